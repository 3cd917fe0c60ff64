package pattern

import (
	"regexp/syntax"
	"slices"
	"sync/atomic"
)

// states are what a lazy automaton has made since it last threw all away. All but next is read and written under the
// automaton's lock. A state is the place of its row in the table.
type states struct {
	stride uint32                   // entries a row: the classes and the end
	next   atomic.Pointer[[]uint32] // rows; entries are read and written atomically
	keys   []string                 // by number
	index  map[string]uint32
	starts []*start // by kind and class; nil: not known yet
	extra  int64    // bytes of starts not accounted yet
}

// start is where a match that begins between a kind of character and a class has come to after it. It is the same for
// every state, and by far the largest part of one; so it is not in their keys.
type start struct {
	found []uint16
	match bool
}

func newStates(stride int) *states {
	s := &states{stride: uint32(stride), index: make(map[string]uint32), starts: make([]*start, 4*stride)}
	s.keys = make([]string, firstState, growStates)
	table := make([]uint32, growStates*stride)
	s.next.Store(&table)
	return s
}

func (s *states) bytes() int64 { return int64(growStates*s.stride)*4 + int64(len(s.starts))*8 + 256 }

// growth is about what one more state costs.
func (s *states) growth() int64 {
	const ofKey = 256
	if table := *s.next.Load(); uint32(len(table)) < uint32(len(s.keys)+1)*s.stride {
		return int64(len(table))*4 + ofKey
	}
	return ofKey
}

// add makes the state of a key and returns the bytes it costs.
func (s *states) add(key string) int64 {
	const ofIndex = 64 // an entry of a map and two string headers, about
	cost := int64(len(key)) + ofIndex + s.extra
	s.extra = 0
	number := uint32(len(s.keys))
	s.keys = append(s.keys, key)
	s.index[key] = number * s.stride
	table := *s.next.Load()
	if uint32(len(table)) < (number+1)*s.stride {
		// Searches go on in the old table, which nobody writes to any more.
		larger := make([]uint32, 2*len(table))
		copy(larger, table)
		cost += int64(len(table)) * 4
		s.next.Store(&larger)
	}
	return cost
}

// set makes an entry known.
func (s *states) set(at, to uint32) { atomic.StoreUint32(&(*s.next.Load())[at], to) }

// startOf returns where a match that begins before a class has come to after it.
func (s *states) startOf(l *lazy, w *scratch, before kind, class uint32, have syntax.EmptyOp) *start {
	at := uint32(before)*s.stride + class
	if s.starts[at] != nil {
		return s.starts[at]
	}
	made := &start{}
	w.begin()
	w.follow(l.program, l.start, have, false)
	made.match = w.match || class < s.stride-1 && l.cross(w, class)
	if !made.match && class < s.stride-1 {
		made.found = slices.Clone(w.found)
	}
	s.extra += int64(len(made.found))*2 + 40
	s.starts[at] = made
	return made
}
