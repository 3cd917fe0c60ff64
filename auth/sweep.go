package auth

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/doorward/doorward/store"
)

const (
	// sweepEvery is how often memory is looked over: sessions that have expired, endings elsewhere, waits.
	sweepEvery = time.Second
	// pingEvery is how often the store must prove that it can be written while nothing else asks of it.
	pingEvery = 10 * time.Second
	// seenEvery is how old the store's time of a session's last request may get.
	seenEvery = 15 * time.Second
	// expireEvery is how often the store's expired sessions are marked as ended.
	expireEvery = time.Minute
	// keepEnded is how long a session that has ended is kept for whoever looks into an incident.
	keepEnded = 30 * 24 * time.Hour
	// overlap is how far back each look for sessions that ended elsewhere reaches, for gateways whose clocks differ.
	overlap = 2 * time.Minute
	// batch is how many rows one transaction writes: others wait for it.
	batch = 500
)

// sweeper remembers when the periodic work was last done. Only Run's goroutine touches it.
type sweeper struct {
	pinged, seen, expired time.Time
	tokens                time.Time // when tokens were used is stored up to here
	ended                 time.Time // endings elsewhere are known up to here
}

// Run ends sessions that have expired, writes what changed in memory to the store in batches, learns what
// other processes have ended and watches the store, until ctx ends. Then it writes once more.
func (a *Auth) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	var watch sync.WaitGroup
	watch.Go(func() { a.watchDirectories(ctx) })
	watch.Go(func() { a.runTexts(ctx) })
	defer watch.Wait()
	for {
		select {
		case now := <-ticker.C:
			a.Sweep(ctx, now)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
			defer cancel()
			return a.flush(last, time.Now(), true)
		}
	}
}

// Close writes what is only in memory. It is to be called after Run has ended and nobody signs in any more;
// nothing else needs to be freed.
func (a *Auth) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), storeLimit)
	defer cancel()
	if err := a.flush(ctx, time.Now(), true); err != nil {
		return fmt.Errorf("store sessions and failures: %w", err)
	}
	return nil
}

// Sweep does one round of Run's work. It must not be called while Run runs.
func (a *Auth) Sweep(ctx context.Context, now time.Time) {
	at := a.stamp(now)
	cfg := a.cfg.Load()
	a.sessions.forgetWhere(func(s *Session) bool { return a.closed(s, at) || !s.alive(at, cfg) })
	a.tokens.forgetWhere(func(h *heldToken) bool { return a.closed(h.session, at) || !now.Before(h.session.Expires) }, false)
	a.waits.sweep(now)
	a.hasher.giveBack()
	if a.health.since.Load() != nil || due(&a.sweeper.pinged, now, pingEvery) {
		if !a.checkStore(now) {
			return
		}
	}
	if err := a.learnEndings(ctx, now); err != nil {
		a.sweepFailed("learn which sessions ended", err, now)
		return
	}
	if err := a.flush(ctx, now, false); err != nil {
		a.sweepFailed("store sessions and failures", err, now)
		return
	}
	if err := a.answerResets(ctx, now); err != nil {
		a.sweepFailed("answer who forgot a password", err, now)
	}
	if due(&a.sweeper.expired, now, expireEvery) {
		if err := a.expireStored(ctx, now); err != nil {
			a.sweepFailed("end expired sessions", err, now)
		}
		if err := a.tellFailures(ctx, now); err != nil {
			a.sweepFailed("tell people of failed sign-ins", err, now)
		}
		if err := a.learnReview(ctx, now); err != nil {
			a.sweepFailed("learn when a review is due", err, now)
		}
	}
}

func (a *Auth) sweepFailed(what string, err error, now time.Time) {
	a.log.Warn("auth sweep: "+what, slog.Any("error", err))
	a.suspect(err, now)
}

// due tells whether the period has passed, and if so begins the next. A clock set back begins anew.
func due(last *time.Time, now time.Time, period time.Duration) bool {
	if d := now.Sub(*last); d >= 0 && d < period {
		return false
	}
	*last = now
	return true
}

// learnEndings drops the sessions from memory that another process has ended: a second gateway, or a command.
func (a *Auth) learnEndings(ctx context.Context, now time.Time) error {
	from := a.sweeper.ended
	if from.IsZero() || from.After(now) {
		from = now
	}
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	ids, err := readStrings(ctx, a.db, sqlEndedSince, store.Micros(from.Add(-overlap)))
	if err != nil {
		return err
	}
	if err := a.learnTokens(ctx, from); err != nil {
		return err
	}
	a.sweeper.ended = now
	a.sessions.endKnown(ids)
	return nil
}

// flush writes endings, times of last requests and failures to the store.
func (a *Auth) flush(ctx context.Context, now time.Time, all bool) error {
	if told := a.sessions.unstoredEndings(); len(told) > 0 {
		if err := a.storeEndings(ctx, told); err != nil {
			return err
		}
		a.sessions.storedEndings(told)
	}
	if err := a.storeWaits(ctx, now); err != nil {
		return err
	}
	if all || due(&a.sweeper.tokens, now, tokensUsedEvery) {
		if err := a.storeTokensUsed(ctx); err != nil {
			return err
		}
	}
	if all || due(&a.sweeper.seen, now, seenEvery) {
		return a.storeSeen(ctx)
	}
	return nil
}

func (a *Auth) storeWaits(ctx context.Context, now time.Time) error {
	changes := a.waits.takeChanges()
	if len(changes) == 0 {
		return nil
	}
	err := a.db.Write(ctx, func(tx *sql.Tx) error {
		for key, f := range changes {
			if err := storeFailing(ctx, tx, key, f); err != nil {
				return fmt.Errorf("store failed sign-ins: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		a.waits.putBack(changes)
	}
	return err
}

func storeFailing(ctx context.Context, tx *sql.Tx, key netip.Prefix, f *failing) error {
	if f == nil {
		_, err := tx.ExecContext(ctx, sqlDeleteFailure, key.String())
		return err
	}
	_, err := tx.ExecContext(ctx, sqlPutFailure, key.String(), strings.Join(f.accounts, " "), len(f.accounts),
		store.Micros(f.until), store.Micros(f.updated))
	return err
}

// storeSeen writes the times of last requests, many to a transaction.
func (a *Auth) storeSeen(ctx context.Context) error {
	var stale []*Session
	for _, s := range a.sessions.snapshot() {
		if s.seenWall.Load() > s.stored.Load() {
			stale = append(stale, s)
		}
	}
	for len(stale) > 0 {
		part := stale[:min(batch, len(stale))]
		stale = stale[len(part):]
		seen := make([]int64, len(part))
		err := a.db.Write(ctx, func(tx *sql.Tx) error {
			for i, s := range part {
				seen[i] = s.seenWall.Load()
				if _, err := tx.ExecContext(ctx, sqlSeen, store.Micros(time.Unix(0, seen[i])), s.ID); err != nil {
					return fmt.Errorf("store last request: %w", err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i, s := range part {
			s.stored.Store(seen[i])
		}
	}
	return nil
}

// expireStored marks expired sessions as ended, so that they are not listed, and forgets old ones. An idle
// one gets more time than its own, because another process may know of a request that it has not written yet.
func (a *Auth) expireStored(ctx context.Context, now time.Time) error {
	at := store.Micros(now)
	return a.db.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, sqlEndExpired, at, store.Micros(now.Add(-overlap))); err != nil {
			return fmt.Errorf("end expired sessions: %w", err)
		}
		old := store.Micros(now.Add(-keepEnded))
		if _, err := tx.ExecContext(ctx, sqlPruneTokens, old); err != nil {
			return fmt.Errorf("forget old session tokens: %w", err)
		}
		if _, err := tx.ExecContext(ctx, sqlPruneSignIns, old); err != nil {
			return fmt.Errorf("forget old sessions: %w", err)
		}
		if _, err := tx.ExecContext(ctx, sqlPruneAPITokens, old); err != nil {
			return fmt.Errorf("forget old API tokens: %w", err)
		}
		if _, err := tx.ExecContext(ctx, sqlDeleteOldFailures, store.Micros(now.Add(-2*forgetAfter))); err != nil {
			return fmt.Errorf("forget old failures: %w", err)
		}
		return forgetBegun(ctx, tx, now, a.cfg.Load().SignIn)
	})
}

// forgetBegun forgets sign-ins that were begun and never ended, links that are over, and counts that no window needs.
func forgetBegun(ctx context.Context, tx *sql.Tx, now time.Time, cfg SignInConfig) error {
	for _, old := range []struct {
		statement string
		before    time.Time
	}{
		{sqlForgetPending, now}, {sqlForgetLinks, now.Add(-linkWindow)}, {sqlForgetRates, now.Add(-maxRateWindow)},
		{sqlForgetSignInRates, now.Add(-2 * max(cfg.Staff.Window, cfg.Users.Window))},
		{sqlForgetResets, now.Add(-resetPatience)}, {sqlForgetInvitations, now.Add(-keepInvitations)},
		{sqlForgetRegistrations, now},
	} {
		if _, err := tx.ExecContext(ctx, old.statement, store.Micros(old.before)); err != nil {
			return fmt.Errorf("forget what is over: %w", err)
		}
	}
	return nil
}
