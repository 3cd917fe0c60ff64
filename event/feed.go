package event

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
)

const (
	// feedStep is how many rows of a batch are read at once.
	feedStep = 128
	// maxFeedBytes ends an answer of long events early; the rest comes with the next.
	maxFeedBytes = 4 << 20
	// nearby is how far apart rows of a batch may be that are read together.
	nearby = 1_000_000 // microseconds
)

// Position says how much of a day was read in the order of arrival: all batches up to Batch, and the first
// Skip events of the one after it. The zero Position is the beginning.
type Position struct {
	Batch int64
	Skip  int
}

// DayEnd is a day of the log and where it ends now.
type DayEnd struct {
	Day string // 2006-01-02, in UTC
	End Position
}

// ErrDay says that there is no such day in the log.
var ErrDay = errors.New("the log has no such day")

// Days lists the days of the log, the oldest first. The day is that of the events' time: an event that
// states an older time arrives at the end of an older day.
func (l *Log) Days(ctx context.Context) ([]DayEnd, error) {
	all := []DayEnd{}
	err := l.eachDay(ctx, math.MinInt64, math.MaxInt64, func(d day) error {
		return l.archive.ask(ctx, d, func(db *sql.DB) error {
			var last int64
			if err := db.QueryRowContext(ctx, sqlBatchLast, int64(d)).Scan(&last); err != nil {
				return err
			}
			all = append(all, DayEnd{Day: d.String(), End: Position{Batch: last}})
			return nil
		})
	})
	slices.Reverse(all)
	return all, err
}

// End is where a day of the log ends now; zero when the log has no such day. What is stored later comes behind it.
func (l *Log) End(ctx context.Context, dayName string) (Position, error) {
	d, ok := parseDay(dayName)
	if !ok {
		return Position{}, ErrDay
	}
	days, err := l.archive.days(ctx)
	if err != nil {
		return Position{}, fmt.Errorf("list days of events: %w", err)
	}
	if !slices.Contains(days, d) {
		return Position{}, nil
	}
	var end Position
	err = l.archive.ask(ctx, d, func(db *sql.DB) error { return db.QueryRowContext(ctx, sqlBatchLast, int64(d)).Scan(&end.Batch) })
	if err != nil {
		return Position{}, fmt.Errorf("read the end of %s: %w", d, err)
	}
	return end, nil
}

// Feed returns up to limit (1,000 at most) events of a day in the order in which they were stored, from
// after on, and the position behind the last of them. Nothing is left out and nothing comes twice,
// whatever times the events state and however many processes write. No events: there are no more by now.
//
// An event that is damaged comes with what could be read of it; the error then names it, and the rest is
// there all the same.
func (l *Log) Feed(ctx context.Context, dayName string, after Position, limit int) ([]Event, Position, error) {
	d, ok := parseDay(dayName)
	if !ok {
		return nil, after, ErrDay
	}
	days, err := l.archive.days(ctx)
	if err != nil {
		return nil, after, fmt.Errorf("list days of events: %w", err)
	}
	if !slices.Contains(days, d) {
		return nil, after, ErrDay
	}
	if limit <= 0 || limit > 1000 {
		limit = 1000
	}
	f := feed{log: l, day: d, at: after, limit: limit}
	var damaged error
	for more := true; more && len(f.events) < limit && f.bytes < maxFeedBytes; {
		if more, err = f.batch(ctx, &damaged); err != nil {
			return f.events, f.at, fmt.Errorf("read events of %s: %w", d, err)
		}
	}
	return f.events, f.at, damaged
}

// feed is one Feed under way.
type feed struct {
	log    *Log
	day    day
	at     Position
	limit  int
	events []Event
	bytes  int64
}

// batch reads on in the batch after the position; false: there is none.
func (f *feed) batch(ctx context.Context, damaged *error) (bool, error) {
	var number int64
	var data []byte
	err := f.log.archive.ask(ctx, f.day, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, sqlBatchNext, int64(f.day), f.at.Batch).Scan(&number, &data)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	rows, ok := readArrivals(data)
	if !ok {
		// The batch stays unread rather than being left out without a word.
		return false, fmt.Errorf("the list of batch %d is damaged", number)
	}
	rest := rows[min(max(f.at.Skip, 0), len(rows)):]
	for len(rest) > 0 && len(f.events) < f.limit && f.bytes < maxFeedBytes {
		n := min(len(rest), feedStep, f.limit-len(f.events))
		for i := 1; i < n; i++ {
			if rest[i].at-rest[i-1].at > nearby || rest[i].at < rest[i-1].at {
				n = i
			}
		}
		if err := f.read(ctx, rest[:n], damaged); err != nil {
			return false, err
		}
		rest = rest[n:]
		f.at.Skip = len(rows) - len(rest)
	}
	if len(rest) == 0 {
		f.at = Position{Batch: number}
	}
	return true, nil
}

// read adds the events of rows, which stand close together.
func (f *feed) read(ctx context.Context, rows []arrival, damaged *error) error {
	wanted := make(map[arrival]int, len(rows))
	for i, a := range rows {
		wanted[a] = i
	}
	type found struct {
		place int
		event Event
	}
	var all []found
	span := everything()
	span.from, span.to = rows[0].at, rows[len(rows)-1].at+1
	err := f.log.archive.read(ctx, f.day, span, func(r *row) bool {
		place, ok := wanted[arrival{r.at, r.tail}]
		if !ok {
			return true
		}
		e, err := r.event()
		if err != nil {
			*damaged = errors.Join(*damaged, fmt.Errorf("event %s: %w", e.ID, err))
		}
		all = append(all, found{place, e})
		return true
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Compare(a.place, b.place) })
	for i := range all {
		f.events = append(f.events, all[i].event)
		f.bytes += all[i].event.size()
	}
	return nil
}
