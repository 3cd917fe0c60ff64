package mail

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/doorward/doorward/store"
)

const (
	// atOnce is how many messages of one process are on their way at a time.
	atOnce = 4
	// pollEvery is how often the store is looked at for what nobody woke us for: another process's messages, and
	// what is due again.
	pollEvery = time.Second
	// pruneEvery is how often the record is shortened.
	pruneEvery = time.Hour
	// storeLimit bounds reading and writing what is due.
	storeLimit = 10 * time.Second
	// leaseMargin is how long after the end of a try its message still belongs to who tried it. Clocks of processes
	// on one database may differ by that much.
	leaseMargin = 30 * time.Second
	// grace is how long messages on their way have when Run is told to end.
	grace = 5 * time.Second
	// expireBatch is how many messages one transaction gives up.
	expireBatch = 100
)

// backoff is how long a message waits after its nth try, when the server has answered that it may be sent later.
func backoff(tries int) time.Duration {
	waits := [...]time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}
	return waits[min(max(tries, 1), len(waits))-1]
}

// Run sends what is due, gives up what is of no use any more and shortens the record, until ctx ends. Messages on
// their way then have five seconds; what is not done by then is sent again later.
func (o *Outbox) Run(ctx context.Context) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() { o.work(ctx, sending) })
	}
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	var pruned time.Time
	var quiet bool
	o.Wake()
	for {
		select {
		case <-ctx.Done():
			workers.Wait()
			return nil
		case now := <-ticker.C:
			err := o.look(ctx, now)
			if err == nil && now.Sub(pruned) >= pruneEvery {
				pruned = now
				err = o.Prune(ctx, now)
			}
			if err != nil && ctx.Err() == nil && !quiet {
				o.log.Error("look after mail", slog.Any("error", err))
			}
			quiet = err != nil // once is enough to say that the store is away
		}
	}
}

// work sends one message after the other whenever it is woken, until ctx ends.
func (o *Outbox) work(ctx, sending context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		}
		for ctx.Err() == nil {
			worked, err := o.step(sending, time.Now)
			if err != nil {
				o.log.Warn("send mail", slog.Any("error", err))
			}
			if !worked {
				break
			}
		}
	}
}

// look counts what waits, gives up what has expired, and wakes a worker when something is due.
func (o *Outbox) look(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	var waiting, next, expires int64
	if err := o.db.QueryRowContext(ctx, sqlWaiting).Scan(&waiting, &next, &expires); err != nil {
		return fmt.Errorf("count waiting mail: %w", err)
	}
	o.waiting.Store(waiting)
	if waiting > 0 && expires <= store.Micros(now) {
		if err := o.expire(ctx, now); err != nil {
			return err
		}
	}
	if waiting > 0 && next <= store.Micros(now) {
		o.Wake()
	}
	return nil
}

// Deliver does one round of Run's work at the time now: it gives up what has expired and tries everything that is
// due, one after the other. It returns how many messages it tried.
func (o *Outbox) Deliver(ctx context.Context, now time.Time) (int, error) {
	if err := o.look(ctx, now); err != nil {
		return 0, err
	}
	for tried := 0; ; tried++ {
		worked, err := o.step(ctx, func() time.Time { return now })
		if err != nil || !worked {
			return tried, err
		}
	}
}

// claimed is a message that this process alone may send for a while.
type claimed struct {
	Message
	id, claim string
	created   time.Time
	tries     int // with the one that begins
}

// step takes the message that has been due longest, if there is one and the server is not resting, and tries it.
func (o *Outbox) step(ctx context.Context, clock func() time.Time) (worked bool, err error) {
	cfg := *o.cfg.Load()
	now := clock()
	if !cfg.Enabled() || !o.gate.enter(now) {
		return false, nil
	}
	defer o.gate.leave()
	c, err := o.claim(ctx, cfg, now)
	if err != nil || c == nil {
		return false, err
	}
	o.Wake() // there may be more; another worker looks meanwhile
	cfg.Timeout = min(cfg.Timeout, c.Expires.Sub(now))
	var failed *Error
	e, err := compose(cfg, c.Message, c.id, c.created)
	if err != nil {
		failed = &Error{Step: StepSettings, Err: err}
	} else {
		failed = transmit(ctx, cfg, e)
	}
	return true, o.settle(ctx, c, failed, clock())
}

// claim takes one due message out of the others' reach, until well after a try must have ended. It returns nil when
// none is due.
func (o *Outbox) claim(ctx context.Context, cfg Config, now time.Time) (*claimed, error) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	var id string
	err := o.db.QueryRowContext(ctx, sqlDue, store.Micros(now)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil // seen without the lock that a write would take
	}
	if err != nil {
		return nil, fmt.Errorf("look for due mail: %w", err)
	}
	var c *claimed
	err = o.db.Write(ctx, func(tx *sql.Tx) error {
		c = &claimed{}
		var created, expires int64
		row := tx.QueryRowContext(ctx, sqlLoad, store.Micros(now))
		err := row.Scan(&c.id, &c.Kind, &c.To, &created, &expires, &c.tries, &c.Language, &c.Subject, &c.Text, &c.HTML)
		if errors.Is(err, sql.ErrNoRows) {
			c = nil
			return nil
		}
		if err != nil {
			return err
		}
		c.created, c.Expires = store.FromMicros(created), store.FromMicros(expires)
		c.tries++
		if c.claim, err = store.NewID(); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, sqlClaim, c.claim, store.Micros(now.Add(cfg.Timeout+leaseMargin)), c.id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim due mail: %w", err)
	}
	return c, nil
}

// settle stores what became of a try, and tells it.
func (o *Outbox) settle(ctx context.Context, c *claimed, failed *Error, now time.Time) error {
	r := Result{ID: c.id, Kind: c.Kind, To: c.To, Outcome: Sent, Tries: c.tries, Time: now}
	var wait time.Duration
	switch {
	case failed == nil:
		o.gate.fine()
	case failed.Permanent():
		o.gate.fine()
		r.Outcome, r.Detail = Failed, failed.Error()
	case failed.aboutMessage():
		o.gate.fine()
		r.Outcome, r.Detail, wait = Retry, failed.Error(), backoff(c.tries)
	case ctx.Err() != nil: // we end, which is nobody's fault
		r.Outcome, r.Detail, wait = Retry, failed.Error(), time.Second
	default:
		r.Outcome, r.Detail, wait = Retry, failed.Error(), o.gate.failed(now)
	}
	if r.Outcome == Retry && !now.Add(wait).Before(c.Expires) {
		r.Outcome = Expired
	}
	if err := o.record(ctx, c, r, now.Add(wait)); err != nil {
		return fmt.Errorf("store that mail %s was %s: %w", r.ID, r.Outcome, err)
	}
	o.tell(r)
	return nil
}

// record writes the result. The message's fate is decided, so it is written even when ctx has ended, and tried for
// as long as the claim lasts at least: what is not written is sent twice.
func (o *Outbox) record(ctx context.Context, c *claimed, r Result, next time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseMargin)
	defer cancel()
	for {
		err := o.db.Write(ctx, func(tx *sql.Tx) error {
			var err error
			if r.Outcome == Retry {
				_, err = tx.ExecContext(ctx, sqlAgain, store.Micros(next), r.Detail, c.id, c.claim)
			} else {
				_, err = tx.ExecContext(ctx, sqlEnd, string(r.Outcome), store.Micros(r.Time), r.Detail, c.id, c.claim)
			}
			return err
		})
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return err
		}
	}
}

// tell counts a result, logs it and hands it on.
func (o *Outbox) tell(r Result) {
	attrs := []any{slog.String("id", r.ID), slog.String("kind", r.Kind), slog.String("to", r.To), slog.Int("tries", r.Tries)}
	switch r.Outcome {
	case Sent:
		o.sent.Add(1)
		o.log.Debug("mail sent", attrs...)
	case Retry:
		o.retried.Add(1)
		o.log.Warn("mail not taken, will be tried again", append(attrs, slog.String("error", r.Detail))...)
	case Failed:
		o.failed.Add(1)
		o.log.Error("mail refused", append(attrs, slog.String("error", r.Detail))...)
	case Expired:
		o.expired.Add(1)
		o.log.Error("mail expired before it was taken", append(attrs, slog.String("error", r.Detail))...)
	}
	o.onResult(r)
}

// expire gives up what is of no use any more and in nobody's hands.
func (o *Outbox) expire(ctx context.Context, now time.Time) error {
	for {
		var gone []Result
		err := o.db.Write(ctx, func(tx *sql.Tx) (err error) {
			if gone, err = expired(ctx, tx, now); err != nil {
				return err
			}
			for _, r := range gone {
				if _, err := tx.ExecContext(ctx, sqlExpire, store.Micros(now), r.ID); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("give up expired mail: %w", err)
		}
		for _, r := range gone {
			o.tell(r)
		}
		if len(gone) < expireBatch {
			return nil
		}
	}
}

func expired(ctx context.Context, tx *sql.Tx, now time.Time) ([]Result, error) {
	rows, err := tx.QueryContext(ctx, sqlExpired, store.Micros(now), expireBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var gone []Result
	for rows.Next() {
		r := Result{Outcome: Expired, Time: now}
		if err := rows.Scan(&r.ID, &r.Kind, &r.To, &r.Tries, &r.Detail); err != nil {
			return nil, err
		}
		gone = append(gone, r)
	}
	return gone, rows.Err()
}

// Prune removes what became of messages longer than 30 days ago, and of more than the newest 50,000. Run does it
// every hour.
func (o *Outbox) Prune(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	err := o.db.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, sqlPrune, store.Micros(now.Add(-keepRecord))); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, sqlPruneMany, maxRecord)
		return err
	})
	if err != nil {
		return fmt.Errorf("shorten the record of mail: %w", err)
	}
	return nil
}
