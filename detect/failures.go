package detect

import (
	"container/list"
	"math"
	"time"
)

// maxFailing is how many addresses a jail counts failures of at once. Who fails chooses the addresses; the one that failed
// longest ago is forgotten.
const maxFailing = 50_000

// failures counts failures as fail2ban does: within the find time, and beyond it by the rate so far.
type failures struct {
	findTime   time.Duration
	maxRetry   int
	maxMatches int

	byID    map[string]*list.Element
	order   *list.List // of *failure, the longest without one first
	newest  time.Time  // of all failures
	evicted uint64
}

// failure is what is known of one address, or of another id that a filter counts by.
type failure struct {
	ID    string    `json:"id"`
	Count int       `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Lines []string  `json:"lines,omitempty"` // the newest
}

func newFailures(findTime time.Duration, maxRetry, maxMatches int) *failures {
	return &failures{findTime: findTime, maxRetry: maxRetry, maxMatches: min(maxMatches, maxEvidence), byID: map[string]*list.Element{}, order: list.New()}
}

// add counts a failure. When there are too many it returns them, and the count begins again.
func (f *failures) add(id string, at time.Time, line string) (failure, bool) {
	if at.After(f.newest) {
		f.newest = at
	}
	f.forget()
	e := f.byID[id]
	if e == nil {
		if f.order.Len() >= maxFailing {
			f.remove(f.order.Front())
			f.evicted++
		}
		e = f.order.PushBack(&failure{ID: id, First: at, Last: at})
		f.byID[id] = e
	}
	one := e.Value.(*failure)
	one.adjust(at, f.findTime)
	one.Count++
	if f.maxMatches > 0 {
		one.Lines = newest(one.Lines, line, f.maxMatches)
	}
	f.order.MoveToBack(e)
	if one.Count < f.maxRetry {
		return failure{}, false
	}
	f.remove(e)
	return *one, true
}

// newest adds a line and leaves out the oldest of more than n, in place.
func newest(lines []string, line string, n int) []string {
	if over := len(lines) - n + 1; over > 0 {
		lines = lines[:copy(lines, lines[over:])]
	}
	return append(lines, line)
}

// adjust counts failures from before the find time by their rate, as fail2ban does: who tries once a minute for an hour is not
// one who begins anew every ten minutes.
func (f *failure) adjust(at time.Time, findTime time.Duration) {
	if !at.After(f.Last) {
		return
	}
	if f.First.Before(at.Add(-findTime)) {
		rate := float64(f.Count) / at.Sub(f.First).Seconds() * findTime.Seconds()
		f.Count, f.First = int(math.RoundToEven(rate)), at.Add(-findTime)
	}
	f.Last = at
}

// forget drops those whose last failure is longer ago than the find time.
func (f *failures) forget() {
	for e := f.order.Front(); e != nil; e = f.order.Front() {
		if one := e.Value.(*failure); one.Last.After(f.newest.Add(-f.findTime)) {
			return
		}
		f.remove(e)
	}
}

func (f *failures) remove(e *list.Element) {
	delete(f.byID, e.Value.(*failure).ID)
	f.order.Remove(e)
}

// savedFailures is the state of failures.
type savedFailures struct {
	Newest time.Time `json:"newest"`
	All    []failure `json:"all"`
}

func (f *failures) state() savedFailures {
	s := savedFailures{Newest: f.newest, All: make([]failure, 0, f.order.Len())}
	for e := f.order.Front(); e != nil; e = e.Next() {
		s.All = append(s.All, *e.Value.(*failure))
	}
	return s
}

func (f *failures) restore(s savedFailures) {
	f.newest = s.Newest
	for _, one := range s.All[max(0, len(s.All)-maxFailing):] {
		if f.byID[one.ID] == nil {
			f.byID[one.ID] = f.order.PushBack(&one)
		}
	}
}
