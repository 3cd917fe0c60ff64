package event

import (
	"sync/atomic"
)

// Tap is a copy of what is appended, for a reader beside the store. Nobody waits for the reader: what it has no room for is
// lost to it and counted.
type Tap struct {
	events  chan *Event
	dropped atomic.Uint64
}

// Tap gives the reader every event that is appended from now on, in the order of its Serial and before it is cleaned; size is how
// many may wait. Each has the ID and the time that it is stored with, unless its time is not believed. There is no way to end a
// tap: make one for the life of the log.
func (l *Log) Tap(size int) *Tap {
	t := &Tap{events: make(chan *Event, size)}
	for {
		old := l.queue.told.taps.Load()
		var all []*Tap
		if old != nil {
			all = append(all, *old...)
		}
		all = append(all, t)
		if l.queue.told.taps.CompareAndSwap(old, &all) {
			return t
		}
	}
}

// Events is where the events come out. They are of all taps and of the log: they must not be changed.
func (t *Tap) Events() <-chan *Event { return t.events }

// Dropped is how many events the reader missed.
func (t *Tap) Dropped() uint64 { return t.dropped.Load() }

// Serial says which of a process's events one is, so that a reader can find in the store what it has not had from its tap.
type Serial struct {
	Run    int64  // names the process, by chance
	Number uint32 // counts its events, and begins again after 1,048,575
}

// SerialOf reads the serial from the ID of an event that was tapped. In IDs of other origin it means nothing.
func SerialOf(id string) (Serial, bool) {
	_, tail, ok := parseID(id)
	return Serial{Run: tail >> orderBits, Number: uint32(tail & orderMask)}, ok
}

// After tells whether s comes after other, of the same run and less than 524,288 events apart (serial arithmetic, RFC 1982).
func (s Serial) After(other uint32) bool {
	ahead := (s.Number - other) & orderMask
	return ahead != 0 && ahead < 1<<(orderBits-1)
}

// Serial is that of the newest event that was told to a tap; its Number is 0 before the first.
func (l *Log) Serial() Serial {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	return Serial{Run: l.queue.told.run, Number: l.queue.told.number}
}

// told gives events to taps and numbers them. The queue's lock is held meanwhile, so that they are told in the order in which they wait to
// be stored, and none is stored before it is told.
type told struct {
	taps   atomic.Pointer[[]*Tap]
	run    int64
	number uint32
}

// tell gives e to all taps, and a name that the store keeps.
func (d *told) tell(e *Event) {
	taps := d.taps.Load()
	if taps == nil {
		return
	}
	if e.ID == "" {
		d.number = (d.number + 1) & orderMask
		e.ID = formatID(e.Time.UnixMicro(), d.run<<orderBits|int64(d.number))
	}
	one := *e // only what waits takes memory, not the room for it
	for _, t := range *taps {
		select {
		case t.events <- &one:
		default:
			t.dropped.Add(1)
		}
	}
}
