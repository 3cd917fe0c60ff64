package event

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Limits of a query.
const (
	defaultLimit = 100
	maxLimit     = 10_000
)

// Query selects events. A zero field selects everything.
type Query struct {
	From    time.Time // at or after
	To      time.Time // before
	Class   Class
	Outcome Outcome
	User    string
	Site    string
	Source  netip.Addr
	Network netip.Prefix // of the source
	Action  string
	// Severity is the lowest that is selected.
	Severity Severity
	// Fields must all be there, with exactly these values. At most 16.
	Fields []Field
	// Text is in the raw line, a field's value, the user, action or site. Letters A to Z count as a to z.
	Text  string
	Limit int // how many of the newest; 0 is 100, and 10,000 is the most
}

// Query returns the newest events that q selects, newest first. Events still in the queue are not among
// them; Flush first to see those.
//
// A day that cannot be read does not hide the others: Query then returns what it found and an error that
// names each day that is missing from it.
func (l *Log) Query(ctx context.Context, q Query) ([]Event, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	limit = min(limit, maxLimit)
	days, err := l.archive.days(ctx)
	if err != nil {
		return nil, fmt.Errorf("query events: list days: %w", err)
	}
	slices.SortFunc(days, func(a, b day) int { return int(b - a) })
	f := newFilter(q)
	var found []Event
	var problems error
	for _, d := range days {
		if len(found) == limit || ctx.Err() != nil {
			break
		}
		if (d+1).start() <= f.from || d.start() >= f.to {
			continue
		}
		f.limit = limit - len(found)
		if f.looks() {
			f.limit = math.MaxInt64
		}
		var bad error
		err := l.archive.read(ctx, d, f, func(r *row) bool {
			if !f.match(r) {
				return true
			}
			e, err := r.event()
			if err != nil {
				bad = errors.Join(bad, fmt.Errorf("event %s: %w", e.ID, err))
			}
			found = append(found, e) // what could be read of it is better than nothing
			return len(found) < limit
		})
		if err = errors.Join(bad, err); err != nil {
			problems = errors.Join(problems, fmt.Errorf("query events: day %s: %w", d, err))
		}
	}
	return found, errors.Join(problems, ctx.Err())
}

// Expire removes the days that retention does not keep at the moment now, and returns how many. A day that
// cannot be removed does not keep the others.
func (l *Log) Expire(ctx context.Context, now time.Time) (removed int, err error) {
	days, err := l.archive.days(ctx)
	if err != nil {
		return 0, fmt.Errorf("expire events: list days: %w", err)
	}
	oldest := oldestKept(now, l.cfg.RetentionDays)
	for _, d := range days {
		if d >= oldest {
			continue
		}
		if e := l.archive.remove(ctx, d); e != nil {
			err = errors.Join(err, fmt.Errorf("expire events: day %s: %w", d, e))
			continue
		}
		removed++
	}
	l.expired.Add(uint64(removed))
	return removed, err
}

// filter is a Query in terms of rows.
type filter struct {
	from, to int64 // microseconds: from <= at < to
	class    int64 // code, -1 for any
	outcome  int64
	user     string
	site     string
	source   string
	action   string
	severity int64

	// What the database is not asked for, see match.
	network netip.Prefix
	fields  []Field
	text    string // in lower case

	limit int
}

// everything selects all rows of a day.
func everything() filter {
	f := newFilter(Query{})
	f.limit = math.MaxInt64
	return f
}

func newFilter(q Query) filter {
	f := filter{from: math.MinInt64, to: math.MaxInt64, class: -1, outcome: -1, user: q.User, site: q.Site, action: q.Action, severity: int64(q.Severity),
		fields: q.Fields, text: lower(q.Text)}
	if !q.From.IsZero() {
		f.from = ceilMicros(q.From)
	}
	if !q.To.IsZero() {
		f.to = ceilMicros(q.To)
	}
	if q.Class != "" {
		f.class = int64(slices.Index(classes(), q.Class))
		if f.class < 0 {
			f.to = math.MinInt64 // no event has such a class
		}
	}
	if q.Outcome != "" {
		f.outcome = int64(slices.Index(outcomes(), q.Outcome))
		if f.outcome < 0 {
			f.to = math.MinInt64
		}
	}
	if q.Source.IsValid() {
		f.source = q.Source.Unmap().String()
	}
	if q.Network.IsValid() {
		f.network = q.Network.Masked()
		if a := f.network.Addr(); a.Is4In6() && f.network.Bits() >= 96 {
			f.network = netip.PrefixFrom(a.Unmap(), f.network.Bits()-96)
		}
	}
	return f
}

// ceilMicros rounds up, so that an event stored at the microsecond below t is not taken for one after it.
func ceilMicros(t time.Time) int64 {
	m := t.UnixMicro()
	if t.Nanosecond()%1000 != 0 {
		m++
	}
	return m
}

// where writes the conditions of f beside that on the time, which the dialects store differently. args are
// those already used.
func (f filter) where(args []any) (string, []any) {
	var text strings.Builder
	add := func(condition string, value any) {
		args = append(args, value)
		fmt.Fprintf(&text, " AND "+condition, len(args))
	}
	if f.class >= 0 {
		add("kind / 65536 = $%d", f.class)
	}
	if f.outcome >= 0 {
		add("(kind / 256) %% 256 = $%d", f.outcome)
	}
	if f.user != "" {
		add("user_name = $%d", f.user)
	}
	if f.site != "" {
		add("site = $%d", f.site)
	}
	if f.source != "" {
		add("source = $%d", f.source)
	}
	if f.action != "" {
		add("action = $%d", f.action)
	}
	if f.severity > 0 {
		add("kind %% 256 >= $%d", f.severity)
	}
	return text.String(), args
}
