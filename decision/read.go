package decision

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/store"
)

// about finds in the snapshot what a filter's address or target picks, without evidence.
func (l *List) about(f Filter, now time.Time) []*Decision {
	s := l.snapshot.Load()
	var out []*Decision
	add := func(held *slot) {
		if held == nil {
			return
		}
		for _, d := range held {
			if d != nil && d.Active(now) && d.Number > f.After && (f.Action == "" || d.Action == f.Action) && strings.HasPrefix(d.Origin, f.Origin) {
				out = append(out, d)
			}
		}
	}
	switch {
	case f.Address.IsValid():
		for _, held := range s.prefixes.Supernets(single(f.Address)) {
			add(held)
		}
	case f.Target.Kind == Account:
		add(s.accounts[f.Target.Name])
	case f.Target.Kind == Country:
		add(s.countries[f.Target.Name])
	default:
		held, _ := s.prefixes.Get(f.Target.Prefix)
		add(held)
	}
	slices.SortFunc(out, func(a, b *Decision) int { return int(a.Number - b.Number) })
	return out
}

// About returns the standing decisions about an address, or about networks that it is in, from the snapshot: without evidence, and without
// asking the store.
func (l *List) About(addr netip.Addr, now time.Time) []Decision {
	var out []Decision
	for _, d := range l.about(Filter{Address: addr}, now) {
		out = append(out, *d)
	}
	return out
}

// Within returns the standing decisions about addresses and networks in p, from the snapshot and at most limit of them.
func (l *List) Within(p netip.Prefix, limit int, now time.Time) []Decision {
	var out []Decision
	p, ok := canonicalPrefix(p)
	if !ok {
		return nil
	}
	for _, held := range l.snapshot.Load().prefixes.Subnets(p) {
		for _, d := range held {
			if d != nil && d.Active(now) && len(out) < limit {
				out = append(out, *d)
			}
		}
	}
	return out
}

// Standing passes every standing decision of the snapshot to use, without evidence, until that returns false. It returns the revision that the
// decisions were read at or after.
func (l *List) Standing(now time.Time, use func(Decision) bool) (revision int64) {
	l.mu.Lock()
	revision, s := l.seen, l.snapshot.Load()
	l.mu.Unlock()
	for held := range s.slots() {
		for _, d := range held {
			if d != nil && d.Active(now) && !use(*d) {
				return revision
			}
		}
	}
	return revision
}

// slots passes all slots.
func (s *snapshot) slots() func(yield func(*slot) bool) {
	return func(yield func(*slot) bool) {
		for _, held := range s.prefixes.All() {
			if !yield(held) {
				return
			}
		}
		for _, m := range []map[string]*slot{s.accounts, s.countries} {
			for _, held := range m {
				if !yield(held) {
					return
				}
			}
		}
	}
}

// Position is how far somebody has read the changes.
type Position struct {
	Revision int64
	At       time.Time // what had run out by then was read
}

// maxDelta caps the changes that one call of Since returns; whoever is further behind reads on from the position that it returns. What ran out is
// never more than there may be decisions.
const maxDelta = 20_000

// Since returns from the store what changed after a position: what stands now and is new or lasts longer, and what ended or ran out, without
// evidence. The position is where to go on.
func (l *List) Since(ctx context.Context, from Position, now time.Time) (added, ended []Decision, next Position, err error) {
	var head int64
	var secret string
	if err := l.db.QueryRowContext(ctx, sqlHead).Scan(&head, &secret); err != nil {
		return nil, nil, from, fmt.Errorf("read changes: %w", err)
	}
	next = Position{Revision: min(head, from.Revision+maxDelta), At: now}
	rows, err := l.db.QueryContext(ctx, sqlChanged, from.Revision, next.Revision)
	if err != nil {
		return nil, nil, from, fmt.Errorf("read changes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		d, over, err := scan(rows, nil)
		if err != nil {
			return nil, nil, from, err
		}
		if over.IsZero() && d.Active(now) {
			added = append(added, *d)
		} else {
			ended = append(ended, *d)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, nil, from, fmt.Errorf("read changes: %w", err)
	}
	gone, err := l.db.QueryContext(ctx, sqlExpired, store.Micros(from.At), store.Micros(now))
	if err != nil {
		return nil, nil, from, fmt.Errorf("read what ran out: %w", err)
	}
	defer gone.Close()
	for gone.Next() {
		d, _, err := scan(gone, nil)
		if err != nil {
			return nil, nil, from, err
		}
		if d.revision <= from.Revision { // else it is among the changes
			ended = append(ended, *d)
		}
	}
	return added, ended, next, gone.Err()
}
