package pyre

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// byteSet holds the bytes with which something can begin, and whether it can stand at the end of the text. It may
// hold too much, never too little: the matcher uses it to leave out what cannot fit.
type byteSet struct {
	bits [4]uint64
	end  bool
}

func (b *byteSet) fits(s string, pos int) bool {
	if pos >= len(s) {
		return b.end
	}
	c := s[pos]
	return b.bits[c>>6]&(1<<(c&63)) != 0
}

func (b *byteSet) add(c byte) { b.bits[c>>6] |= 1 << (c & 63) }

// addSet adds the bytes with which a character of s can begin. All bytes of characters above ASCII count.
func (b *byteSet) addSet(s *runeSet) {
	b.bits[0] |= s.ascii[0]
	b.bits[1] |= s.ascii[1]
	b.bits[2], b.bits[3] = ^uint64(0), ^uint64(0)
}

// Bounds on the work for one set, and for all sets of a program; beyond them nothing is known.
const (
	maxClosure  = 400
	maxClosures = 1 << 18
)

// first returns with what the program can go on at pc; nil: anything.
func (p *program) first(pc int) *byteSet {
	b := &byteSet{}
	p.seen = p.seen[:0]
	if p.closures > maxClosures || !p.closure(pc, b) {
		return nil
	}
	return b
}

// closure adds what can follow at pc and reports whether that is known.
func (p *program) closure(pc int, b *byteSet) bool {
	for {
		if slices.Contains(p.seen, pc) {
			return true
		}
		if p.closures += len(p.seen)/8 + 1; len(p.seen) > maxClosure || p.closures > maxClosures {
			return false
		}
		p.seen = append(p.seen, pc)
		i := &p.insts[pc]
		switch i.op {
		case instLiteral:
			b.add(i.literal[0])
			return true
		case instSet:
			b.addSet(i.set)
			return true
		case instRun:
			b.addSet(i.set)
			if i.min > 0 {
				return true
			}
			pc++
		case instAt:
			switch i.place {
			case placeTextEnd:
				b.end = true
				return true
			case placeTextEndLine, placeLineEnd:
				b.end = true
				b.add('\n')
				return true
			}
			pc++
		case instSave, instEnter, instProbe:
			pc++
		case instJump:
			pc = i.x
		case instLook:
			pc = i.y // what it sees may only forbid
		case instSplit, instLoop, instCondition:
			if !p.closure(i.x, b) {
				return false
			}
			pc = i.y
		default:
			return false
		}
	}
}

// second returns what can stand after the first character of a match, if that is ASCII; nil: anything. p.seen holds
// where the search for first has come.
func (p *program) second() *byteSet {
	first := p.seen
	p.seen = nil
	b := &byteSet{}
	for _, pc := range first {
		after := false
		switch i := &p.insts[pc]; i.op {
		case instLiteral:
			if after = len(i.literal) == 1; !after {
				b.add(i.literal[1])
			}
		case instSet:
			after = true
		case instRun:
			after = i.min < 2
			b.addSet(i.set)
		case instAt:
			if i.place == placeTextEnd || i.place == placeTextEndLine || i.place == placeLineEnd {
				return nil
			}
		}
		if after && !p.closure(pc+1, b) {
			return nil
		}
	}
	return b
}

// look fills in what the matcher can know before it tries.
func (p *program) look() {
	p.begin = p.first(0)
	if p.begin != nil {
		p.next = p.second()
	}
	for pc := range p.insts {
		i := &p.insts[pc]
		switch i.op {
		case instSplit, instLoop:
			i.then, i.other = p.first(i.x), p.first(i.y)
		case instRun:
			i.then = p.first(pc + 1)
			for next := pc + 1; ; next++ {
				if p.insts[next].op == instLiteral {
					i.hint = p.insts[next].literal
				}
				if p.insts[next].op != instSave {
					break
				}
			}
		}
	}
	p.seen = nil
	for pc := 0; ; pc++ {
		i := &p.insts[pc]
		if i.op == instLiteral {
			p.lead = i.literal
		}
		if i.op != instSave && (i.op != instAt || i.place != placeTextStart && i.place != placeLineStart) {
			break
		}
	}
	if !p.lines {
		p.prefix = p.lead
	}
}

// refuses says at a glance, without a matcher, that s has no match.
func (p *program) refuses(s string) bool {
	if !p.lines {
		return false
	}
	if p.lead != "" && !strings.HasPrefix(s, p.lead) || p.begin != nil && !p.begin.fits(s, 0) {
		return p.anchored || strings.IndexByte(s, '\n') < 0
	}
	return false
}

// decode returns the character at pos and its length; 0 at the end.
func decode(s string, pos int) (rune, int) {
	if pos < len(s) && s[pos] < utf8.RuneSelf {
		return rune(s[pos]), 1
	}
	if pos >= len(s) {
		return 0, 0
	}
	return utf8.DecodeRuneInString(s[pos:])
}
