package pyre

import (
	"strings"
	"unicode/utf8"
)

// Runs are repetitions of one character or set: nearly all repetitions of filters. They take one place on the stack,
// however long they are.

// stepBytes is how many bytes a run looks at for the price of one step.
const stepBytes = 16

// item matches one character of a run.
func (m *matcher) item(i *inst, pos int) (int, bool) {
	if i.guarded && m.probed(i.probes, pos, false) == i.negative {
		m.sees(pos + utf8.UTFMax)
		return 0, false
	}
	return m.one(i.set, pos)
}

// advance moves over up to most characters of the set; most < 0: all.
func (m *matcher) advance(i *inst, pos, most int) int {
	s, start := m.s, pos
	switch {
	case most == 0:
		return pos
	case most < 0 && i.dot:
		if n := strings.IndexByte(s[pos:], '\n'); n >= 0 {
			pos += n
		} else {
			pos = len(s)
		}
	default:
		if !i.guarded { // most characters are ASCII
			for ascii := &i.set.ascii; pos < len(s) && most != 0 && s[pos] < utf8.RuneSelf; pos, most = pos+1, most-1 {
				if c := s[pos]; ascii[c>>6]&(1<<(c&63)) == 0 {
					most = 0
					break
				}
			}
		}
		for ; pos < len(s) && most != 0; most-- {
			n, ok := m.item(i, pos)
			if !ok {
				break
			}
			pos += n
		}
	}
	m.steps -= (pos - start) / stepBytes
	m.sees(pos + utf8.UTFMax)
	return pos
}

// exactly moves over count characters of the set.
func (m *matcher) exactly(i *inst, pos, count int) (int, bool) {
	if count > len(m.s)-pos {
		m.sees(len(m.s) + 1)
		return pos, false
	}
	for range count {
		if c := m.s[min(pos, len(m.s)-1)]; !i.guarded && pos < len(m.s) && c < utf8.RuneSelf {
			if i.set.ascii[c>>6]&(1<<(c&63)) == 0 {
				m.sees(pos + utf8.UTFMax)
				return pos, false
			}
			pos++
			continue
		}
		n, ok := m.item(i, pos)
		if !ok {
			m.sees(pos + utf8.UTFMax)
			return pos, false
		}
		pos += n
	}
	m.steps -= count / stepBytes
	m.sees(pos + utf8.UTFMax)
	return pos, true
}

// take matches a run for the first time and leaves on the stack what else it may be.
func (m *matcher) take(i *inst, pc, pos int) (int, bool) {
	pos, ok := m.exactly(i, pos, i.min)
	if !ok {
		return pos, false
	}
	more := -1
	if i.max != infinite {
		more = i.max - i.min
	}
	if i.manner == lazy {
		if i.then == nil || i.then.fits(m.s, pos) {
			if more != 0 {
				m.push(frame{kind: frameLazy, pc: int32(pc), a: pos, b: more})
			}
			return pos, true
		}
		return m.takeMore(i, pc, pos, more)
	}
	least := pos
	pos = m.advance(i, pos, more)
	if i.manner == possessive {
		return pos, true
	}
	if i.then == nil || i.then.fits(m.s, pos) {
		if pos > least {
			m.push(frame{kind: frameGreedy, pc: int32(pc), a: pos, b: least})
		}
		return pos, true
	}
	return m.giveBack(i, pc, pos, least)
}

// giveBack makes a greedy run that ends at pos shorter, to a place where the rest can go on.
func (m *matcher) giveBack(i *inst, pc, pos, least int) (int, bool) {
	start := pos
	for pos > least {
		if i.hint != "" {
			n := strings.LastIndexByte(m.s[least:pos], i.hint[0])
			if n < 0 {
				m.steps -= (pos - least) / stepBytes
				return pos, false
			}
			pos = least + n
			m.sees(pos + len(i.hint))
			if !strings.HasPrefix(m.s[pos:], i.hint) {
				continue
			}
		} else {
			pos--
			if m.s[pos] >= utf8.RuneSelf {
				_, n := utf8.DecodeLastRuneInString(m.s[least : pos+1])
				pos -= n - 1
			}
			if i.then != nil && !i.then.fits(m.s, pos) {
				continue
			}
		}
		m.steps -= (start - pos) / stepBytes
		if pos > least {
			m.push(frame{kind: frameGreedy, pc: int32(pc), a: pos, b: least})
		}
		return pos, true
	}
	m.steps -= (start - pos) / stepBytes
	return pos, false
}

// takeMore makes a lazy run that ends at pos longer, to a place where the rest can go on.
func (m *matcher) takeMore(i *inst, pc, pos, more int) (int, bool) {
	start := pos
	if i.hint != "" && i.dot && more < 0 { // the literal that must follow says where
		return m.takeTo(i, pc, pos)
	}
	for more != 0 {
		n, ok := m.item(i, pos)
		if !ok {
			break
		}
		pos, more = pos+n, more-1
		if i.then != nil && !i.then.fits(m.s, pos) {
			continue
		}
		m.steps -= (pos - start) / stepBytes
		m.sees(pos + utf8.UTFMax)
		if more != 0 {
			m.push(frame{kind: frameLazy, pc: int32(pc), a: pos, b: max(more, -1)})
		}
		return pos, true
	}
	m.steps -= (pos - start) / stepBytes
	m.sees(pos + utf8.UTFMax)
	return pos, false
}

// takeTo makes a lazy run of dots end before the next place of its hint.
func (m *matcher) takeTo(i *inst, pc, pos int) (int, bool) {
	_, n := decode(m.s, pos)
	if n == 0 || m.s[pos] == '\n' {
		return pos, false
	}
	m.sees(len(m.s) + 1)
	next := strings.Index(m.s[pos+n:], i.hint)
	if next < 0 {
		m.steps -= (len(m.s) - pos) / stepBytes
		return pos, false
	}
	next += pos + n
	m.steps -= (next - pos) / stepBytes
	if strings.IndexByte(m.s[pos:next], '\n') >= 0 {
		return pos, false
	}
	m.push(frame{kind: frameLazy, pc: int32(pc), a: next, b: -1})
	return next, true
}

// at says whether pos is such a place.
func (m *matcher) at(p place, pos int) bool {
	s := m.s
	switch p {
	case placeTextStart:
		return pos == 0
	case placeLineStart:
		return pos == 0 || s[pos-1] == '\n'
	case placeTextEnd:
		return pos == len(s)
	case placeTextEndLine:
		return pos == len(s) || pos == len(s)-1 && s[pos] == '\n'
	case placeLineEnd:
		return pos == len(s) || s[pos] == '\n'
	}
	ascii := p == placeASCIIBound || p == placeASCIINoBound
	bound := wordBefore(s, pos, ascii) != wordAfter(s, pos, ascii)
	if p == placeNoBoundary || p == placeASCIINoBound {
		return !bound && s != "" // in an empty text Python 3.11 finds neither \b nor \B
	}
	return bound
}

func wordBefore(s string, pos int, ascii bool) bool {
	if pos == 0 {
		return false
	}
	if s[pos-1] < utf8.RuneSelf {
		return isWord(rune(s[pos-1]), true)
	}
	r, _ := utf8.DecodeLastRuneInString(s[:pos])
	return isWord(r, ascii)
}

func wordAfter(s string, pos int, ascii bool) bool {
	r, n := decode(s, pos)
	return n > 0 && isWord(r, ascii)
}
