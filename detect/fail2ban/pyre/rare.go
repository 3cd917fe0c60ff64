package pyre

import (
	"strings"
	"unicode/utf8"
)

// rare is for the steps that few expressions have.
func (m *matcher) rare(i *inst, pc, pos int) (int, int, bool) {
	switch i.op {
	case instEnter:
		m.setRegister(i.x, -1)
		m.setRegister(i.x+1, -1)
		return pc + 1, pos, true
	case instLoop:
		return m.loop(i, pc, pos), pos, true
	case instAtomic:
		next, ok := m.alone(i.x, pos)
		return i.y, next, ok
	case instPossess:
		next, ok := m.possess(i, pos)
		return i.y, next, ok
	case instLook:
		return i.y, pos, m.looks(i, pos)
	case instRef:
		next, ok := m.refer(i, pos)
		return pc + 1, next, ok
	case instCondition:
		if start, stop := m.caps[2*i.slot], m.caps[2*i.slot+1]; start >= 0 && stop >= start {
			return i.x, pos, true
		}
		return i.y, pos, true
	}
	return pc, pos, false
}

// loop decides whether the loop at pc goes once more. A round that took nothing is the last.
func (m *matcher) loop(i *inst, pc, pos int) int {
	count := m.registers[i.slot] + 1
	if count < i.min {
		m.setRegister(i.slot, count)
		return i.x
	}
	if i.manner == lazy {
		m.push(frame{kind: frameLazyLoop, pc: int32(pc), a: pos})
		return i.y
	}
	if i.max != infinite && count >= i.max || pos == m.registers[i.slot+1] {
		return i.y
	}
	if i.then != nil && !i.then.fits(m.s, pos) {
		return i.y
	}
	if i.other == nil || i.other.fits(m.s, pos) {
		m.push(frame{kind: frameTry, pc: int32(i.y), a: pos})
	}
	m.setRegister(i.slot, count)
	m.setRegister(i.slot+1, pos)
	return i.x
}

// alone matches the program at pc without a way back into it; what it captured stays.
func (m *matcher) alone(pc, pos int) (int, bool) {
	base := len(m.stack)
	next, r := m.run(pc, pos)
	if r != matched {
		return pos, false
	}
	kept := base
	for _, f := range m.stack[base:] {
		if f.kind == frameCap || f.kind == frameRegister {
			m.stack[kept] = f
			kept++
		}
	}
	m.stack = m.stack[:kept]
	return next, true
}

func (m *matcher) possess(i *inst, pos int) (int, bool) {
	count := 0
	for ; count < i.min; count++ {
		next, ok := m.alone(i.x, pos)
		if !ok {
			return pos, false
		}
		pos = next
	}
	for last := -1; (i.max == infinite || count < i.max) && pos != last; count++ {
		last = pos
		next, ok := m.alone(i.x, pos)
		if !ok {
			return pos, m.steps >= 0
		}
		pos = next
	}
	return pos, true
}

// looks answers a look-ahead or look-behind.
func (m *matcher) looks(i *inst, pos int) bool {
	at := pos
	if i.behind {
		for range i.min {
			if at == 0 {
				return i.negative
			}
			_, n := utf8.DecodeLastRuneInString(m.s[:at])
			at -= n
		}
	}
	base := len(m.stack)
	_, ok := m.alone(i.x, at)
	if !i.negative || !ok {
		return ok != i.negative && m.steps >= 0
	}
	for len(m.stack) > base { // what it captured must not stay
		f := m.stack[len(m.stack)-1]
		m.stack = m.stack[:len(m.stack)-1]
		if f.kind == frameCap {
			m.caps[f.pc] = f.a
		} else {
			m.registers[f.pc] = f.a
		}
	}
	return false
}

// refer matches what a group has captured.
func (m *matcher) refer(i *inst, pos int) (int, bool) {
	start, stop := m.caps[2*i.slot], m.caps[2*i.slot+1]
	if start < 0 || stop < start {
		return pos, false
	}
	text := m.s[start:stop]
	m.sees(pos + 2*len(text) + utf8.UTFMax) // folded, a character may be longer
	m.steps -= len(text) / 8
	if i.fold&flagIgnoreCase == 0 {
		return pos + len(text), strings.HasPrefix(m.s[pos:], text)
	}
	fold := lower
	if i.fold&flagASCII != 0 {
		fold = lowerASCII
	}
	for at := 0; at < len(text); {
		want, n := decode(text, at)
		got, k := decode(m.s, pos)
		if k == 0 || fold(want) != fold(got) {
			return pos, false
		}
		at, pos = at+n, pos+k
	}
	return pos, true
}
