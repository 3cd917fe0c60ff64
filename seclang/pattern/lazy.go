package pattern

import (
	"regexp/syntax"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// lazy is a deterministic automaton whose states are made when a text first needs them. A state is the set of
// instructions that the text so far leads to, and the kind of its last character. It reads characters as Go's regexp
// does, so that it answers for every text, also for one that is no UTF-8. Assertions are settled when the next
// character is known.
//
// Reading needs no lock: a table's entries only ever go from unknown to known, and what replaces a table is published
// whole. Making a state takes the lock.
type lazy struct {
	*program
	memory   *Memory
	anchored bool // only the beginning of a text can begin a match
	wide     int  // bytes from here on are not characters by themselves

	mu   sync.Mutex
	held atomic.Int64 // bytes of states
	now  atomic.Pointer[states]
}

// What an entry of the table is, if no state: the numbers of the first three rows, which are never used.
const (
	entryUnknown = 0
	entryDead    = 1 // no text that begins so matches
	entryMatch   = 2
	firstState   = 3
)

const (
	// maxStates is for one expression; with it filled, the states go and the text has one more try.
	maxStates = 8192
	// maxFlushes is how often one text may fill the states.
	maxFlushes = 1
	// growStates is how many states a table has room for at first.
	growStates = 16
)

// newLazy returns nil when the program is too large for an automaton.
func newLazy(prog *syntax.Prog, bytes bool, m *Memory) *lazy {
	p, ok := newProgram(prog, bytes)
	if !ok {
		return nil
	}
	l := &lazy{program: p, memory: m, anchored: prog.StartCond()&syntax.EmptyBeginText != 0, wide: utf8.RuneSelf}
	if bytes {
		l.wide = 256
	}
	m.join(l)
	return l
}

// search says whether the expression matches anywhere in s, and after how many bytes that is certain; known is false when states
// ran out.
func (l *lazy) search(s string) (end int, found, known bool) {
	run := l.now.Load()
	if run == nil {
		run = l.begin()
	}
	next := *run.next.Load()
	stride := uint32(l.count + 1)
	state := firstState * stride
	flushes := 0
	low, wide := &l.low, l.wide
	var stay *stayer
	if len(s) >= longText {
		stay = &stayer{every: stayAfter}
	}
	for end < len(s) {
		b := s[end]
		class := uint32(low[b])
		end++
		if int(b) >= wide {
			r, size := utf8.DecodeRuneInString(s[end-1:])
			class = uint32(l.of(r))
			end += size - 1
		}
		to := atomic.LoadUint32(&next[state+class])
		if to > entryMatch {
			if stay != nil && to == state && stay.passes(l, next, state) {
				for end < len(s) && stay.on[s[end]] {
					end++
					stay.gain++
				}
			}
			state = to
			continue
		}
		if to == entryUnknown {
			before := run
			if run, to = l.make(run, state, class, &flushes); to == entryUnknown {
				return end, false, false
			}
			next = *run.next.Load()
			if stay != nil && run != before {
				stay.state = 0 // the states have other numbers now
			}
		}
		if to <= entryMatch {
			return end, to == entryMatch, true
		}
		state = to
	}
	last := uint32(l.count)
	to := atomic.LoadUint32(&next[state+last])
	if to == entryUnknown {
		if _, to = l.make(run, state, last, &flushes); to == entryUnknown {
			return end, false, false
		}
	}
	return end, to == entryMatch, true
}

// begin returns the states, and makes the first when there are none.
func (l *lazy) begin() *states {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now.Load(); now != nil {
		return now
	}
	return l.flush()
}

// flush puts the first state alone in the place of all states. The caller holds the lock.
func (l *lazy) flush() *states {
	l.release()
	run := newStates(l.count + 1)
	l.account(run.bytes())
	w := l.memory.rooms.get(len(l.inst))
	w.begin()
	w.name(kindEdge)
	l.account(run.add(string(w.key)))
	l.memory.rooms.put(w)
	l.now.Store(run)
	return run
}

// release forgets all states.
func (l *lazy) release() {
	if l.now.Load() != nil {
		l.memory.flushes.Add(1)
	}
	l.account(-l.held.Load())
}

func (l *lazy) account(bytes int64) {
	l.held.Add(bytes)
	l.memory.used.Add(bytes)
}

// make finds out where a state goes with a class, and returns it with the states it belongs to, which others may
// have replaced meanwhile. It returns entryUnknown when this text has used up its room.
func (l *lazy) make(run *states, state, class uint32, flushes *int) (*states, uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.memory.rooms.get(len(l.inst))
	defer func() {
		l.memory.steps.Add(w.steps)
		l.memory.rooms.put(w)
	}()
	from := run.keys[state/run.stride]
	now := l.now.Load()
	if now != run {
		run = now
		state = l.intern(run, from)
	} else if to := (*run.next.Load())[state+class]; to != entryUnknown {
		return run, to
	}
	to := l.step(w, run, from, class)
	if to == entryUnknown {
		// A new state, whose key the step has left.
		var known bool
		if to, known = run.index[string(w.key)]; !known {
			if len(run.keys) >= maxStates || !l.memory.fits(run.growth()) && !l.memory.makeRoom(l, run.growth()) {
				if *flushes++; *flushes > maxFlushes {
					return run, entryUnknown
				}
				run = l.flush()
				state = l.intern(run, from)
			}
			to = l.intern(run, string(w.key))
		}
	}
	run.set(state+class, to)
	return run, to
}

// intern returns the state of a key, new or not.
func (l *lazy) intern(run *states, key string) uint32 {
	if state, known := run.index[key]; known {
		return state
	}
	l.account(run.add(key))
	return run.index[key]
}

// step goes from the state that a key names over a class. It returns entryDead or entryMatch, or entryUnknown with
// the key of the state it comes to in w.
func (l *lazy) step(w *scratch, run *states, from string, class uint32) uint32 {
	before, after := kind(from[0]), l.kind[class]
	have := syntax.EmptyOpContext(before.sample(), after.sample())
	start := run.startOf(l, w, before, class, have)
	if start.match {
		return entryMatch
	}
	w.begin()
	for i := 1; i < len(from); i += 2 {
		pc := uint16(from[i]) | uint16(from[i+1])<<8
		in := &l.inst[pc]
		w.steps++
		if in.op == syntax.InstRune {
			if w.mark[pc] != w.round {
				w.mark[pc] = w.round
				w.found = append(w.found, pc)
			}
		} else if in.need&^have == 0 {
			w.follow(l.program, in.out, have, false)
		}
		if w.match {
			return entryMatch
		}
	}
	if class == uint32(l.count) {
		return entryDead
	}
	if l.cross(w, class) {
		return entryMatch
	}
	for _, pc := range start.found {
		w.steps++
		if w.mark[pc] != w.round {
			w.mark[pc] = w.round
			w.found = append(w.found, pc)
		}
	}
	if len(w.found) == 0 && l.anchored {
		return entryDead
	}
	w.name(after)
	return entryUnknown
}

// cross takes a character: it puts in place of the set what its members lead to, and says whether the match is there.
func (l *lazy) cross(w *scratch, class uint32) bool {
	w.waiting = append(w.waiting[:0], w.found...)
	w.begin()
	var have syntax.EmptyOp
	if l.kind[class] == kindNewline {
		have = syntax.EmptyBeginLine
	}
	for _, pc := range w.waiting {
		w.steps++
		in := &l.inst[pc]
		if !l.sets[in.set].has(int(class)) {
			continue
		}
		if w.follow(l.program, in.out, have, true); w.match {
			return true
		}
	}
	return false
}
