package decision

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/doorward/doorward/store"
)

const (
	followEvery = time.Second // how often other nodes' changes are read, and what ran out is taken out
	tidyEvery   = time.Hour   // how often the store is tidied
	keepEnded   = 7 * 24 * time.Hour
	// maxHistory caps the offences of all targets together, and the decisions that have ended; tidyAfter is after how many changes the store is
	// tidied before its time.
	maxHistory = 400_000
	tidyAfter  = maxHistory / 10
	sweepBatch = 10_000
	storeLimit = 5 * time.Second
)

// Run follows other nodes' changes, takes out what ran out, keeps the allow list fresh and the store tidy, until ctx ends. While the store is
// away it goes on with what it has.
func (l *List) Run(ctx context.Context) error {
	var names sync.WaitGroup
	names.Go(func() { l.keepNames(ctx) })
	defer names.Wait()
	follow, own, tidy := time.NewTicker(followEvery), time.NewTicker(ownEvery), time.NewTicker(tidyEvery)
	defer follow.Stop()
	defer own.Stop()
	defer tidy.Stop()
	away := false
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-own.C:
			l.refreshOwn()
			continue
		case <-tidy.C:
			err = l.Tidy(ctx, time.Now())
		case <-follow.C:
			if err = l.Follow(ctx, time.Now()); err == nil && l.untidy.Load() > tidyAfter {
				err = l.Tidy(ctx, time.Now())
			}
		}
		if (err != nil) != away && ctx.Err() == nil {
			if away = err != nil; away {
				l.log.Warn("decisions go on as they are in memory: the store does not answer", slog.Any("error", err))
			} else {
				l.log.Info("decisions follow the store again")
			}
		}
	}
}

// Follow does once what Run does each second: it takes out what ran out by now and what the allow list forbids, and reads what other nodes
// changed.
func (l *List) Follow(ctx context.Context, now time.Time) error {
	l.expire(now)
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	var head int64
	var secret string
	if err := l.db.QueryRowContext(ctx, sqlHead).Scan(&head, &secret); err != nil {
		return fmt.Errorf("follow decisions: %w", err)
	}
	l.mu.Lock()
	behind := head != l.seen
	l.mu.Unlock()
	if behind {
		if err := l.catchUp(ctx, now); err != nil {
			return fmt.Errorf("follow decisions: %w", err)
		}
	}
	if l.allowDirty.Swap(false) {
		if err := l.endAllowed(ctx, now); err != nil {
			l.allowDirty.Store(true)
			return fmt.Errorf("end decisions about allowed addresses: %w", err)
		}
	}
	return nil
}

// catchUp reads what other nodes changed.
func (l *List) catchUp(ctx context.Context, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := &batch{l: l, now: now, before: make(map[place]*Decision)}
	var secret string
	if err := l.db.QueryRowContext(ctx, sqlHead).Scan(&b.revision, &secret); err != nil {
		return err
	}
	rows, err := l.db.QueryContext(ctx, sqlChanged, l.seen, b.revision)
	if err == nil {
		err = b.takeRows(rows)
	}
	if err != nil {
		b.undo()
		return err
	}
	l.publish(b)
	return nil
}

// expire takes out what ran out. Whoever looks up does not need it; watchers and the memory do.
func (l *List) expire(now time.Time) {
	for {
		n := l.expireSome(now)
		l.counted.expired.Add(uint64(n))
		if n < sweepBatch {
			return
		}
	}
}

func (l *List) expireSome(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	gone := l.book.expired(now, sweepBatch)
	if len(gone) == 0 {
		return 0
	}
	draft := l.snapshot.Load().draft(len(gone))

	for _, d := range gone {
		draft.put(d.Target, d.Action, nil)
	}
	l.snapshot.Store(draft.next)
	l.tell(nil, gone)
	return len(gone)
}

// endAllowed ends what the allow list forbids by now.
func (l *List) endAllowed(ctx context.Context, now time.Time) error {
	s, allowed := l.snapshot.Load(), l.allowed.Load()
	hit := false
	for p := range allowed.prefixes.All() {
		if s.prefixes.OverlapsPrefix(p) {
			hit = true
			break
		}
	}
	if !hit {
		return nil
	}
	return l.change(ctx, now, func(b *batch) error {
		var list []*Decision
		for p := range l.book.places {
			if p.target.Kind == Address && allowed.prefixes.OverlapsPrefix(p.target.Prefix) {
				list = append(list, l.book.get(p))
			}
		}
		for _, d := range list {
			if err := b.end(ctx, d, "allowed"); err != nil {
				return err
			}
		}
		b.counts = append(b.counts, func() {
			l.counted.allowEnded.Add(uint64(len(list)))
			l.log.Warn("ended decisions that the allow list forbids", slog.Int("decisions", len(list)))
		})
		return nil
	})
}

// Tidy forgets what ended more than a week ago, and offences that are too old, or too many, to count. A key is remembered for a day at least,
// unless there are more than 400,000.
func (l *List) Tidy(ctx context.Context, now time.Time) error {
	remember := l.cfg.Load().Remember
	err := l.db.Write(ctx, func(tx *sql.Tx) error {
		before := store.Micros(now.Add(-keepEnded))
		for _, statement := range []string{sqlDropEnded, sqlDropExpired} {
			if _, err := tx.ExecContext(ctx, statement, before); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, sqlDropOffences, store.Micros(now.Add(-remember-24*time.Hour))); err != nil {
			return err
		}
		return l.capHistory(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("tidy decisions: %w", err)
	}
	l.untidy.Store(0)
	return nil
}

// capHistory drops the oldest of what strangers can make more of than there is room for.
func (l *List) capHistory(ctx context.Context, tx *sql.Tx) error {
	for _, h := range []struct{ count, oldest, drop string }{
		{sqlCountKept, sqlOldestOffences, sqlDropOffences},
		{sqlCountEnded, sqlOldestEnded, sqlDropEnded},
	} {
		var kept int
		if err := tx.QueryRowContext(ctx, h.count).Scan(&kept); err != nil {
			return err
		}
		if kept <= maxHistory {
			continue
		}
		var limit int64
		if err := tx.QueryRowContext(ctx, h.oldest, kept-maxHistory-1).Scan(&limit); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, h.drop, limit)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err == nil {
			l.counted.forgotten.Add(uint64(n))
		}
	}
	return nil
}
