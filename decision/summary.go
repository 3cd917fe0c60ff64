package decision

import (
	"context"
	"fmt"
	"time"

	"github.com/doorward/doorward/store"
)

// Summary is what happened in a time, for people.
type Summary struct {
	Made     int64   // bans that began in it
	Origins  []Count // of these, the most frequent first
	Targets  []Count // targets of these, with how often each is known to have been decided on, the most frequent first
	Standing int64   // bans that stand now
}

// Count is how often something came.
type Count struct {
	Name string
	N    int64
}

// Summary counts the bans that began from from up to to, with at most limit origins and targets.
func (l *List) Summary(ctx context.Context, from, to, now time.Time, limit int) (Summary, error) {
	var s Summary
	begin, end := store.Micros(from), store.Micros(to)
	if err := l.db.QueryRowContext(ctx, sqlCountMade, string(Ban), begin, end).Scan(&s.Made); err != nil {
		return s, fmt.Errorf("count decisions: %w", err)
	}
	if err := l.db.QueryRowContext(ctx, sqlCountStanding, string(Ban), store.Micros(now)).Scan(&s.Standing); err != nil {
		return s, fmt.Errorf("count decisions: %w", err)
	}
	var err error
	if s.Origins, err = l.counts(ctx, sqlMadeByOrigin, begin, end, limit); err != nil {
		return s, err
	}
	if s.Targets, err = l.counts(ctx, sqlMadeByTarget, begin, end, limit); err != nil {
		return s, err
	}
	for i, c := range s.Targets {
		if t, err := ParseTarget(c.Name); err == nil {
			s.Targets[i].Name = t.Short()
		}
	}
	return s, nil
}

func (l *List) counts(ctx context.Context, query string, begin, end int64, limit int) (all []Count, err error) {
	rows, err := l.db.QueryContext(ctx, query, string(Ban), begin, end, limit)
	if err != nil {
		return nil, fmt.Errorf("count decisions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c Count
		if err := rows.Scan(&c.Name, &c.N); err != nil {
			return nil, fmt.Errorf("count decisions: %w", err)
		}
		all = append(all, c)
	}
	return all, rows.Err()
}
