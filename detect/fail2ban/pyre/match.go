package pyre

import (
	"strings"
	"unicode/utf8"
)

// The matcher tries as Python's does: depth first, in the order of the expression, with a stack of what is left to
// try. On the same stack lie the old values of groups and counters, so that a way back restores them.

type frameKind uint8

const (
	frameTry      frameKind = iota // go on at pc and a
	frameCap                       // capture pc was a
	frameRegister                  // register pc was a
	frameGreedy                    // a run at pc has taken up to a; it may give back down to b
	frameLazy                      // a run at pc has taken up to a; it may take b more
	frameLazyLoop                  // the loop at pc may go once more at a
)

type frame struct {
	kind frameKind
	pc   int32
	a, b int
}

type result uint8

const (
	failed result = iota
	matched
	exhausted // the steps are used up
)

// maxFrames bounds the stack; a text that needs more costs too much.
const maxFrames = 1 << 19

// keptFrames is the largest stack that waits in the pool for the next text.
const keptFrames = 1 << 12

// matcher is the state of one search.
type matcher struct {
	p         *program
	s         string
	caps      []int
	registers []int
	stack     []frame
	steps     int // left
	seen      int // the highest byte that had a say, and one more
}

// sees notes that bytes below end had a say.
func (m *matcher) sees(end int) {
	if end > m.seen {
		m.seen = end
	}
}

func (m *matcher) reset(p *program, s string, steps int) {
	m.p, m.s, m.steps, m.stack, m.seen = p, s, steps, m.stack[:0], 0
	for i := range m.caps {
		m.caps[i] = -1
	}
	for i := range m.registers {
		m.registers[i] = -1
	}
}

// search finds the leftmost match that starts at from or later.
func (m *matcher) search(from int) result {
	s, p := m.s, m.p
	if p.anchored {
		if from > 0 {
			return failed
		}
		return m.start(0)
	}
	if p.lines {
		return m.searchLines(from)
	}
	for pos := from; pos <= len(s); {
		switch {
		case p.prefix != "":
			i := strings.Index(s[pos:], p.prefix)
			if i < 0 {
				return failed
			}
			pos += i
		case p.begin != nil:
			for pos < len(s) && (!p.begin.fits(s, pos) || p.next != nil && s[pos] < utf8.RuneSelf && !p.next.fits(s, pos+1)) {
				pos++
			}
			if pos == len(s) && !p.begin.end {
				return failed
			}
			if pos < len(s) && !utf8.RuneStart(s[pos]) { // the set says all high bytes
				pos++
				continue
			}
		}
		if r := m.start(pos); r != failed {
			return r
		}
		_, n := decode(s, pos)
		pos += max(n, 1)
	}
	return failed
}

// searchLines is search for programs that begin with ^ of MULTILINE.
func (m *matcher) searchLines(pos int) result {
	for {
		if pos > 0 && m.s[pos-1] != '\n' {
			n := strings.IndexByte(m.s[pos:], '\n')
			if n < 0 {
				return failed
			}
			pos += n + 1
		}
		if r := m.start(pos); r != failed {
			return r
		}
		if pos++; pos > len(m.s) {
			return failed
		}
	}
}

func (m *matcher) start(pos int) result {
	end, r := m.run(0, pos)
	if r == matched {
		m.caps[0], m.caps[1] = pos, end
	}
	m.stack = m.stack[:0]
	return r
}

func (m *matcher) push(f frame) {
	if len(m.stack) >= maxFrames {
		m.steps = -1
	}
	m.stack = append(m.stack, f)
}

func (m *matcher) setCap(i, v int) {
	m.push(frame{kind: frameCap, pc: int32(i), a: m.caps[i]})
	m.caps[i] = v
}

func (m *matcher) setRegister(i, v int) {
	m.push(frame{kind: frameRegister, pc: int32(i), a: m.registers[i]})
	m.registers[i] = v
}

// run matches the program at pc from pos on, to its instMatch. If it fails, all it has changed is as before.
func (m *matcher) run(pc, pos int) (int, result) {
	base, s, insts := len(m.stack), m.s, m.p.insts
	for ok := true; ; {
		if m.steps--; m.steps < 0 {
			return 0, exhausted
		}
		if !ok {
			if pc, pos, ok = m.back(base); !ok {
				if m.steps < 0 {
					return 0, exhausted
				}
				return 0, failed
			}
			continue
		}
		i := &insts[pc]
		if pos+utf8.UTFMax > m.seen {
			m.seen = pos + utf8.UTFMax // sets, places and what may follow look at one character
		}
		switch i.op {
		case instLiteral:
			m.sees(pos + len(i.literal))
			if ok = strings.HasPrefix(s[pos:], i.literal); ok {
				pc, pos = pc+1, pos+len(i.literal)
			}
		case instSet:
			var n int
			if n, ok = m.one(i.set, pos); ok {
				pc, pos = pc+1, pos+n
			}
		case instAt:
			ok = m.at(i.place, pos)
			pc++
		case instJump:
			pc = i.x
		case instSplit:
			switch {
			case i.then != nil && !i.then.fits(s, pos):
				pc = i.y
			case i.needs != "" && !m.holds(i.needs, pos):
				pc = i.y
			case i.other != nil && !i.other.fits(s, pos):
				pc = i.x
			default:
				m.push(frame{kind: frameTry, pc: int32(i.y), a: pos})
				pc = i.x
			}
		case instSave:
			m.setCap(i.x, pos)
			pc++
		case instRun:
			pos, ok = m.take(i, pc, pos)
			pc++
		case instProbe:
			ok = m.probed(i.probes, pos, i.behind) != i.negative
			pc++
		case instMatch:
			return pos, matched
		default:
			pc, pos, ok = m.rare(i, pc, pos)
			if m.steps < 0 {
				return 0, exhausted
			}
		}
	}
}

// holds says whether a text stands somewhere behind pos.
func (m *matcher) holds(text string, pos int) bool {
	m.sees(len(m.s) + 1)
	m.steps -= (len(m.s) - pos) / stepBytes
	return strings.Contains(m.s[pos:], text)
}

// one matches one character.
func (m *matcher) one(set *runeSet, pos int) (int, bool) {
	if pos >= len(m.s) {
		return 0, false
	}
	if c := m.s[pos]; c < utf8.RuneSelf {
		return 1, set.ascii[c>>6]&(1<<(c&63)) != 0
	}
	r, n := utf8.DecodeRuneInString(m.s[pos:])
	return n, set.slow(r)
}

// back restores the values of the stack above base, down to the newest way that is left to try; ok is false if there
// is none.
func (m *matcher) back(base int) (pc, pos int, ok bool) {
	for len(m.stack) > base {
		f := m.stack[len(m.stack)-1]
		m.stack = m.stack[:len(m.stack)-1]
		switch f.kind {
		case frameTry:
			return int(f.pc), f.a, true
		case frameCap:
			m.caps[f.pc] = f.a
		case frameRegister:
			m.registers[f.pc] = f.a
		case frameGreedy:
			if pos, ok := m.giveBack(&m.p.insts[f.pc], int(f.pc), f.a, f.b); ok {
				return int(f.pc) + 1, pos, true
			}
		case frameLazy:
			if pos, ok := m.takeMore(&m.p.insts[f.pc], int(f.pc), f.a, f.b); ok {
				return int(f.pc) + 1, pos, true
			}
		case frameLazyLoop:
			i := &m.p.insts[f.pc]
			count := m.registers[i.slot] + 1
			if i.max != infinite && count >= i.max || f.a == m.registers[i.slot+1] {
				continue
			}
			m.setRegister(i.slot, count)
			m.setRegister(i.slot+1, f.a)
			return i.x, f.a, true
		}
	}
	return 0, 0, false
}
