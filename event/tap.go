package event

import "sync/atomic"

// Tap is a copy of what is appended, for a reader beside the store. Nobody waits for the reader: what it has no room for is
// lost to it and counted.
type Tap struct {
	events  chan Event
	dropped atomic.Uint64
}

// Tap gives the reader every event that is appended from now on, in the order of Append and before it is cleaned; size is how
// many may wait. Each has the ID and the time that it is stored with, unless its time is not believed. There is no way to end a
// tap: make one for the life of the log.
func (l *Log) Tap(size int) *Tap {
	t := &Tap{events: make(chan Event, size)}
	for {
		old := l.taps.Load()
		var all []*Tap
		if old != nil {
			all = append(all, *old...)
		}
		all = append(all, t)
		if l.taps.CompareAndSwap(old, &all) {
			return t
		}
	}
}

// Events is where the events come out. Their fields belong to the log too: they must not be changed.
func (t *Tap) Events() <-chan Event { return t.events }

// Dropped is how many events the reader missed.
func (t *Tap) Dropped() uint64 { return t.dropped.Load() }

// tell gives e to all taps, and a name that the store keeps.
func (l *Log) tell(e *Event) {
	taps := l.taps.Load()
	if taps == nil {
		return
	}
	if e.ID == "" {
		e.ID = NewID(e.Time)
	}
	for _, t := range *taps {
		select {
		case t.events <- *e:
		default:
			t.dropped.Add(1)
		}
	}
}
