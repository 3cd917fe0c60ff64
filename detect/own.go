package detect

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
)

// ownPlace is where the place in Doorward's own events is saved; no source has such a name.
var ownPlace = place{source: "(own)", key: "events"}

const (
	maxRuns   = 64              // processes that were killed before they took up what the one before had left
	ownBatch  = 4096            // events of the store that are put in order together, at least
	flushWait = 5 * time.Second // for events to be stored, before they are read again
)

// ownTap is the tap of this process, whichever pipeline reads it.
type ownTap struct {
	*event.Tap
	read bool // by a pipeline that may have been ended before it had saved what it took; pipelines follow one another
}

// ownEvents are Doorward's own events as a pipeline takes them: from the tap, at once, and after a start from the store those that were
// stored and that the saved counts do not hold. The lock of the pipeline is for all but the first three.
type ownEvents struct {
	log  *event.Log
	tap  *ownTap
	take func(e *event.Event, now time.Time) []decision.Proposal

	runs  []ownRun // the last one is of this process
	mark  *ownMark // behind the place that is saved
	fresh bool     // something was taken since the last save
}

// ownRun is how far the events of a process are counted.
type ownRun struct {
	Run  int64  `json:"run"`
	Last uint32 `json:"last"` // the number of the newest that counts
	// Days are places in the store that no event stands before that does not count. Events of later days do not count yet.
	Days map[string]event.Position `json:"days"`
}

// ownMark is an end of the store: when all events up to the number are taken, everything before it counts.
type ownMark struct {
	days   map[string]event.Position
	number uint32
}

// look marks where the store ends now.
func (o *ownEvents) look(ctx context.Context, now time.Time) (*ownMark, error) {
	m := &ownMark{days: map[string]event.Position{}}
	for _, at := range []time.Time{now.AddDate(0, 0, -1), now} { // what began before midnight
		day := at.UTC().Format(time.DateOnly)
		end, err := o.log.End(ctx, day)
		if err != nil {
			return nil, err
		}
		m.days[day] = end
	}
	m.number = o.log.Serial().Number // after the ends: what is stored was told before
	return m, nil
}

// self is how far the events of this process are counted.
func (o *ownEvents) self() *ownRun { return &o.runs[len(o.runs)-1] }

// taken notes that an event is taken from the tap; false: it counts already.
func (o *ownEvents) taken(e *event.Event) bool {
	serial, ok := event.SerialOf(e.ID)
	if ok && serial.Run == o.self().Run {
		if !serial.After(o.self().Last) {
			return false
		}
		o.self().Last = serial.Number
	}
	o.fresh = true
	return true
}

// position is the place to save with the counts.
func (o *ownEvents) position() []byte {
	if m := o.mark; m != nil && !(event.Serial{Number: m.number}).After(o.self().Last) {
		o.self().Days, o.mark = m.days, nil
	}
	text, err := json.Marshal(o.runs)
	if err != nil { // of texts and numbers
		return nil
	}
	return text
}

// begin takes up the place and puts this process into it, if it does not stand there.
func (o *ownEvents) begin(text []byte, mark *ownMark, now time.Time) {
	o.runs, o.mark = nil, nil
	if len(text) > 0 && json.Unmarshal(text, &o.runs) != nil {
		o.runs = nil // of another version
	}
	o.runs = o.runs[max(0, len(o.runs)-maxRuns):]
	run := o.log.Serial().Run
	if len(o.runs) > 0 && o.self().Run == run {
		return
	}
	self := ownRun{Run: run, Days: map[string]event.Position{now.UTC().Format(time.DateOnly): {}}}
	if mark != nil && mark.number == 0 { // else some are in the tap, and may be stored
		self.Days = mark.days
	}
	o.runs = append(o.runs, self)
}

// announce puts this process into the saved place before it meets anybody, so that the next one knows what to look for should this one
// be killed at once.
func (p *pipeline) announce(ctx context.Context, now time.Time) error {
	mark, err := p.own.look(ctx, now)
	if err != nil {
		p.log.Warn("look at the event log", slog.Any("error", err))
	}
	var text string
	err = p.db.QueryRowContext(ctx, sqlPosition, p.name, ownPlace.source, ownPlace.key).Scan(&text)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read the place in the event log: %w", err)
	}
	saved, err := hex.DecodeString(text)
	if err != nil {
		return fmt.Errorf("read the place in the event log: %w", err)
	}
	p.own.begin(saved, mark, now)
	return p.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, sqlSavePosition, p.name, ownPlace.source, ownPlace.key, hex.EncodeToString(p.own.position()), store.Micros(now))
		return err
	})
}

// resume counts what was stored and not counted: by a process that was killed, or by this one before it failed. Only then are events
// taken from the tap. What cannot be read now is left to the next start: it must not hold up what happens.
func (p *pipeline) resume(ctx context.Context) error {
	o, now := p.own, time.Now()
	mark, err := o.look(ctx, now)
	if err != nil {
		p.log.Warn("look at the event log", slog.Any("error", err))
	}
	o.begin(p.positions[ownPlace], mark, now)
	if o.tap.read { // what was taken from the tap, and does not count, is in the store only
		limited, cancel := context.WithTimeout(ctx, flushWait)
		err := o.log.Flush(limited)
		cancel()
		if err != nil {
			p.log.Warn("some of Doorward's own events may not count", slog.Any("error", err))
		}
	}
	var left []ownRun
	for i := range o.runs {
		if &o.runs[i] == o.self() && !o.tap.read {
			continue // all is in the tap
		}
		err := p.countStored(ctx, &o.runs[i])
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			p.log.Warn("events from before the start do not count yet", slog.Any("error", err))
			if &o.runs[i] != o.self() {
				left = append(left, o.runs[i])
			}
		}
	}
	p.mu.Lock()
	o.runs = append(left, *o.self())
	p.mu.Unlock()
	o.tap.read = true
	return p.save(ctx, time.Now(), true)
}

// ownDays are the days in which events of a process may stand that do not count, in their order.
func (r *ownRun) ownDays() []string {
	var days []string
	for day := range r.Days {
		days = append(days, day)
	}
	slices.Sort(days)
	if n := len(days); n > 0 {
		if last, err := time.Parse(time.DateOnly, days[n-1]); err == nil {
			days = append(days, last.AddDate(0, 0, 1).Format(time.DateOnly)) // it lived on over midnight
		}
	}
	return days
}

// countStored judges the stored events of a process that do not count yet, in the order in which they were told.
func (p *pipeline) countStored(ctx context.Context, r *ownRun) error {
	before, counted := r.Last, 0
	for _, day := range r.ownDays() {
		var wait []event.Event
		for at, more := r.Days[day], true; more; {
			some, next, err := p.own.log.Feed(ctx, day, at, 1000)
			switch {
			case errors.Is(err, event.ErrDay):
			case err != nil && (ctx.Err() != nil || store.Unavailable(err)):
				return err
			case err != nil:
				p.log.Warn("an event of Doorward's own does not count", slog.String("day", day), slog.Any("error", err))
			}
			more, at = len(some) > 0 && next != at, next
			for i := range some {
				if s, ok := event.SerialOf(some[i].ID); ok && s.Run == r.Run && s.After(before) {
					wait = append(wait, some[i])
				}
			}
			// A batch stands in the order of time; only at its end can the order of telling be made.
			if len(wait) > 0 && (!more || next.Skip == 0 && len(wait) >= ownBatch) {
				if err := p.countAll(ctx, r, wait); err != nil {
					return err
				}
				counted, wait = counted+len(wait), nil
			}
		}
	}
	if counted > 0 {
		p.log.Info("events from before the start are counted", slog.Int("events", counted))
	}
	return nil
}

// countAll judges events of one process.
func (p *pipeline) countAll(ctx context.Context, r *ownRun, all []event.Event) error {
	number := func(e *event.Event) event.Serial { s, _ := event.SerialOf(e.ID); return s }
	slices.SortFunc(all, func(a, b event.Event) int {
		switch x, y := number(&a), number(&b); {
		case x.Number == y.Number:
			return 0
		case x.After(y.Number):
			return 1
		}
		return -1
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var found []decision.Proposal
	for i := range all {
		found = append(found, p.own.take(&all[i], now)...)
		if s := number(&all[i]); s.After(r.Last) {
			r.Last = s.Number
		}
	}
	p.own.fresh = true
	p.note()
	return p.decide(ctx, found, now)
}

// follow has Doorward's own events judged until ctx ends.
func (p *pipeline) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-p.own.tap.Events():
			if err := p.takeEvents(ctx, e); err != nil {
				return
			}
		}
	}
}

// takeEvents judges an event and those that wait behind it.
func (p *pipeline) takeEvents(ctx context.Context, first *event.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var all []decision.Proposal
	take := func(e *event.Event) {
		if p.own.taken(e) {
			all = append(all, p.own.take(e, now)...)
		}
	}
	take(first)
	for range maxTogether {
		select {
		case e := <-p.own.tap.Events():
			take(e)
			continue
		default:
		}
		break
	}
	p.note()
	return p.decide(ctx, all, now)
}
