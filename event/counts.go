package event

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxBuckets bounds one histogram.
const maxBuckets = 10_000

// ErrSteps says that a histogram would have more steps than anybody looks at.
var ErrSteps = errors.New("a histogram has at most 10,000 counts: choose a longer step or a shorter time")

// CountQuery selects what Counts adds up. A zero field selects everything.
type CountQuery struct {
	From    time.Time     // at or after, rounded down to the minute
	To      time.Time     // before, rounded up to the minute
	Step    time.Duration // whole minutes, counted from 1970 in UTC; 0: everything is one step
	Class   Class
	Outcome Outcome
	Site    string
	BySite  bool // counts of each site apart
}

// Count is how many events of a class and an outcome began within a step.
type Count struct {
	Time    time.Time // when the step begins; zero if everything is one step
	Class   Class
	Outcome Outcome
	Site    string // only with BySite; OtherSites stands for those beyond the first 64 of a day
	Events  int64
}

// Counts adds up the counters of each minute, so that its cost grows with the minutes and not with the
// events. It returns what it found, the oldest first, and an error that names each day that is missing.
func (l *Log) Counts(ctx context.Context, q CountQuery) ([]Count, error) {
	f := newFilter(Query{From: q.From, To: q.To, Class: q.Class, Outcome: q.Outcome, Site: q.Site})
	sums := map[Count]int64{}
	err := l.eachDay(ctx, f.from, f.to, func(d day) error {
		return l.minutes(ctx, d, f, func(m minuteCount) error {
			key := Count{}
			key.Class, key.Outcome, _ = splitKind(m.kind * kindUnit)
			if q.Step >= time.Minute {
				step := int64(q.Step / time.Minute)
				key.Time = time.UnixMicro(m.minute / step * step * minuteMicros).UTC()
			}
			if q.BySite {
				key.Site = m.site
			}
			if sums[key] += m.count; len(sums) > maxBuckets {
				return ErrSteps
			}
			return nil
		})
	})
	if errors.Is(err, ErrSteps) {
		return nil, ErrSteps
	}
	all := make([]Count, 0, len(sums))
	for key, events := range sums {
		key.Events = events
		all = append(all, key)
	}
	slices.SortFunc(all, func(a, b Count) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(a.Site, b.Site))
	})
	return all, err
}

// Top is a top list. The count of an item is never more than there were, and at most Error less.
type Top struct {
	From, To time.Time // whole hours
	Items    []TopItem // the most frequent first
	// Error is how much a count may be too low, and how often a value that is missing may have occurred: at
	// most a 512th of the events; 0 where there were no more values than are kept.
	Error int64
}

// TopItem is a value and how many events had it.
type TopItem struct {
	Value string
	Count int64
}

// Top returns the limit (100 if 0, 512 at most) most frequent values in the hours that the time from from
// up to to touches. It reads one summary an hour, however many events there were.
func (l *Log) Top(ctx context.Context, list List, from, to time.Time, limit int) (Top, error) {
	place := slices.Index(Lists(), list)
	if place < 0 {
		return Top{}, fmt.Errorf("there is no top list %q", list)
	}
	if limit <= 0 {
		limit = defaultLimit
	}
	f := newFilter(Query{From: from, To: to})
	var sum summary
	var top Top
	err := l.eachDay(ctx, f.from, f.to, func(d day) error {
		first := max(d.start(), f.from) / hourMicros
		end := (min((d+1).start(), f.to) + hourMicros - 1) / hourMicros
		if at := time.UnixMicro(first * hourMicros).UTC(); top.From.IsZero() || at.Before(top.From) {
			top.From = at
		}
		if at := time.UnixMicro(end * hourMicros).UTC(); at.After(top.To) {
			top.To = at
		}
		return l.archive.ask(ctx, d, func(db *sql.DB) error {
			rows, err := db.QueryContext(ctx, sqlHours, first, end)
			if err != nil {
				return err
			}
			defer rows.Close()
			var damaged error
			for rows.Next() {
				var data sql.RawBytes
				if err := rows.Scan(&data); err != nil {
					return err
				}
				if err := mergeLists(data, place, &sum); err != nil {
					damaged = err
				}
			}
			return errors.Join(damaged, rows.Err())
		})
	})
	sum.prune()
	top.Error = sum.lost
	for value, count := range sum.counts {
		top.Items = append(top.Items, TopItem{value, count})
	}
	slices.SortFunc(top.Items, func(a, b TopItem) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	top.Items = top.Items[:min(len(top.Items), limit)]
	return top, err
}

// eachDay calls use with the days that touch from up to to, the newest first. A day that cannot be read
// does not hide the others.
func (l *Log) eachDay(ctx context.Context, from, to int64, use func(day) error) error {
	days, err := l.archive.days(ctx)
	if err != nil {
		return fmt.Errorf("list days of events: %w", err)
	}
	slices.SortFunc(days, func(a, b day) int { return int(b - a) })
	var problems error
	for _, d := range days {
		if (d+1).start() <= from || d.start() >= to {
			continue
		}
		if ctx.Err() != nil {
			return errors.Join(problems, ctx.Err())
		}
		if err := use(d); err != nil {
			problems = errors.Join(problems, fmt.Errorf("read events of %s: %w", d, err))
		}
	}
	return problems
}

// minutes passes the counters of day d that f selects by time, class, outcome and site, newest first.
func (l *Log) minutes(ctx context.Context, d day, f filter, use func(minuteCount) error) error {
	from := max(f.from, d.start()) / minuteMicros
	to := (min(f.to, (d+1).start()) + minuteMicros - 1) / minuteMicros
	return l.archive.ask(ctx, d, func(db *sql.DB) error {
		rows, err := db.QueryContext(ctx, sqlMinutes, from, to)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var m minuteCount
			if err := rows.Scan(&m.minute, &m.kind, &m.site, &m.count); err != nil {
				return err
			}
			if f.class >= 0 && m.kind/kindUnit != f.class || f.outcome >= 0 && m.kind%kindUnit != f.outcome ||
				f.site != "" && m.site != f.site {
				continue
			}
			if err := use(m); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}
