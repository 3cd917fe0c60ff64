package event

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"
)

const (
	// maxScan is after how many events one Search stops and leaves the rest to the next.
	maxScan = 250_000
	// scanStep is how many events the database is asked for at once.
	scanStep = 25_000
	// maxSearch bounds the time of one Search.
	maxSearch = 3 * time.Second
	// maxQueryFields bounds the fields that a query may ask for.
	maxQueryFields = 16
	maxQueryText   = 256 // bytes
)

// Page is a part of what a search found.
type Page struct {
	Events []Event // newest first
	// Next is where the next Search goes on; empty: there is nothing older. It can be set although Events is
	// empty, when the search stopped at its limit of work.
	Next string
	// At is how far the search has come: everything it selects from here on was found.
	At time.Time
	// Scanned is how many events the search may have had to look at.
	Scanned int64
}

var (
	// ErrCursor says that a text is no Next of a Page.
	ErrCursor = errors.New("this is not where a search stopped")
	// ErrQuery says that a query asks for more than is looked for.
	ErrQuery = errors.New("a search takes at most 16 fields and a text of 256 bytes")
)

// All walks through every event that q selects, newest first, by one Search after another; q.Limit is how many each one finds. An error
// of a search comes last, with no event, behind what was found until then.
func (l *Log) All(ctx context.Context, q Query) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for cursor := ""; ; {
			page, err := l.Search(ctx, q, cursor)
			for _, e := range page.Events {
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(Event{}, err)
				return
			}
			if cursor = page.Next; cursor == "" {
				return
			}
		}
	}
}

// Search finds the newest events that q selects, from cursor (the Next of the page before; empty: the
// newest of all) on, like Query, but does a bounded work: it looks at 250,000 events or for three seconds,
// and says where to go on. Minutes whose counters say that they hold nothing that q selects cost nothing.
func (l *Log) Search(ctx context.Context, q Query, cursor string) (Page, error) {
	if len(q.Fields) > maxQueryFields || len(q.Text) > maxQueryText {
		return Page{}, ErrQuery
	}
	s := search{log: l, filter: newFilter(q), limit: q.Limit, until: time.Now().Add(maxSearch)}
	if s.limit <= 0 {
		s.limit = defaultLimit
	}
	s.limit = min(s.limit, maxLimit)
	if cursor != "" {
		at, tail, ok := parseID(cursor)
		if !ok {
			return Page{}, ErrCursor
		}
		if at < s.filter.to { // rows of this very moment with a lower tail are still to come
			s.filter.to, s.skip = at+1, &arrival{at, tail}
		}
	}
	if s.filter.from >= s.filter.to {
		return Page{}, nil
	}
	err := l.eachDay(ctx, s.filter.from, s.filter.to, func(d day) error { return s.day(ctx, d) })
	if s.stopped {
		s.page.Next = formatID(s.at, s.tail)
		s.page.At = time.UnixMicro(s.at).UTC()
	}
	return s.page, err
}

// search is one Search under way.
type search struct {
	log     *Log
	filter  filter
	limit   int
	until   time.Time
	page    Page
	stopped bool
	at      int64 // the search has come to the rows before this place
	tail    int64
	skip    *arrival // the place where the page before ended
}

// window is a span of minutes that are read at once.
type window struct{ from, to, events int64 } // microseconds

// windows puts minutes together, newest first, to about scanStep events each.
func (s *search) windows(ctx context.Context, d day) ([]window, error) {
	var all []window
	f := s.filter
	f.site = "" // events of a site may be counted as those of others
	err := s.log.minutes(ctx, d, f, func(m minuteCount) error {
		if s.filter.site != "" && m.site != s.filter.site && m.site != OtherSites {
			return nil
		}
		from := m.minute * minuteMicros
		if n := len(all); n > 0 && (all[n-1].from == from || all[n-1].events+m.count <= scanStep) {
			all[n-1].from = from
			all[n-1].events += m.count
			return nil
		}
		all = append(all, window{from: from, to: from + minuteMicros, events: m.count})
		return nil
	})
	return all, err
}

// day searches one day, as far as limits allow.
func (s *search) day(ctx context.Context, d day) error {
	if s.stopped {
		return nil
	}
	windows, err := s.windows(ctx, d)
	if err != nil {
		return err
	}
	var problems error
	for _, w := range windows {
		if s.page.Scanned >= maxScan || len(s.page.Events) >= s.limit || s.page.Scanned > 0 && time.Now().After(s.until) {
			s.stopped = true
			break
		}
		s.page.Scanned += w.events
		if err := s.read(ctx, d, w); err != nil {
			problems = errors.Join(problems, err)
		}
		if len(s.page.Events) < s.limit {
			s.at, s.tail = max(w.from, s.filter.from), 0
		}
	}
	return problems
}

// read searches one window.
func (s *search) read(ctx context.Context, d day, w window) error {
	f := s.filter
	f.from, f.to = max(f.from, w.from), min(f.to, w.to)
	// Rows of the cursor's own moment may have been shown already.
	f.limit = math.MaxInt64
	var bad error
	err := s.log.archive.read(ctx, d, f, func(r *row) bool {
		if s.before(r) || !f.match(r) {
			return true
		}
		e, err := r.event()
		if err != nil {
			bad = errors.Join(bad, fmt.Errorf("event %s: %w", e.ID, err))
		}
		s.page.Events = append(s.page.Events, e)
		if len(s.page.Events) < s.limit {
			return true
		}
		s.at, s.tail, s.stopped = r.at, r.tail, true
		return false
	})
	return errors.Join(bad, err)
}

// before tells whether r stands at or before the place where the page before this one ended. In a day file
// the rows of one moment are ordered by the low bits of their tails, in a partition by the whole.
func (s *search) before(r *row) bool {
	return s.skip != nil && r.at == s.skip.at && s.log.archive.order(r.tail) >= s.log.archive.order(s.skip.tail)
}
