package pattern

import (
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// maxClasses is what a class's number has room for, less the end of the text.
const maxClasses = 255

// classes divides all characters into those that no instruction of a program tells apart.
type classes struct {
	low   [256]uint8 // of a byte that is a character by itself
	from  []rune     // above those: where each stretch begins
	high  []uint8    // and its class
	count int
	kind  []kind     // of each class, and of the end after them
	sets  []classSet // which classes an instruction takes
	setOf []uint16   // by instruction: its set
}

// classSet is a set of classes.
type classSet [4]uint64

func (s *classSet) has(c int) bool { return s[c>>6]&(1<<(c&63)) != 0 }

// kind is what an assertion sees of the character before or after it.
type kind uint8

const (
	kindEdge    kind = iota // no character: the text begins or ends here
	kindNewline             // \n
	kindWord                // what \w takes
	kindOther
)

// sample is a character of the kind, as syntax.EmptyOpContext takes it.
func (k kind) sample() rune {
	switch k {
	case kindEdge:
		return -1
	case kindNewline:
		return '\n'
	case kindWord:
		return 'w'
	}
	return ' '
}

func kindOf(r rune) kind {
	switch {
	case r == '\n':
		return kindNewline
	case syntax.IsWordChar(r):
		return kindWord
	}
	return kindOther
}

// newClasses returns the classes of a program, or false when there are too many. With bytes there are 256 characters.
func newClasses(prog *syntax.Prog, bytes bool) (*classes, bool) {
	c := &classes{setOf: make([]uint16, len(prog.Inst))}
	last := rune(unicode.MaxRune)
	if bytes {
		last = 255
	}
	// Words and newlines are told apart from others always: that costs three classes.
	cuts := []rune{0, '\n', '\n' + 1, '0', '9' + 1, 'A', 'Z' + 1, '_', '_' + 1, 'a', 'z' + 1, utf8.RuneSelf}
	var takers []*syntax.Inst // one instruction a set
	seen := make(map[string]uint16)
	for i := range prog.Inst {
		inst := &prog.Inst[i]
		pairs, ok := pairsOf(inst)
		if !ok {
			continue
		}
		key := make([]byte, 0, 8*len(pairs))
		for _, r := range pairs {
			key = binary.LittleEndian.AppendUint32(key, uint32(r))
		}
		n, known := seen[string(key)]
		if !known {
			n = uint16(len(takers))
			seen[string(key)] = n
			takers = append(takers, inst)
			for j := 0; j < len(pairs); j += 2 {
				cuts = append(cuts, pairs[j], pairs[j+1]+1)
			}
		}
		c.setOf[i] = n
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	cuts = slices.DeleteFunc(cuts, func(r rune) bool { return r > last })
	return c, c.divide(cuts, takers, last)
}

// divide gives each stretch between two cuts its class.
func (c *classes) divide(cuts []rune, takers []*syntax.Inst, last rune) bool {
	c.sets = make([]classSet, len(takers))
	byTakers := make(map[string]int)
	for i, lo := range cuts {
		hi := last
		if i+1 < len(cuts) {
			hi = cuts[i+1] - 1
		}
		key := make([]byte, 1+(len(takers)+7)/8)
		key[0] = byte(kindOf(lo))
		for t, inst := range takers {
			if inst.MatchRune(lo) {
				key[1+t/8] |= 1 << (t % 8)
			}
		}
		class, known := byTakers[string(key)]
		if !known {
			class = c.count
			if class == maxClasses {
				return false
			}
			byTakers[string(key)] = class
			c.count++
			c.kind = append(c.kind, kindOf(lo))
			for t := range takers {
				if key[1+t/8]&(1<<(t%8)) != 0 {
					c.sets[t][class>>6] |= 1 << (class & 63)
				}
			}
		}
		for r := lo; r <= min(hi, 255); r++ {
			c.low[r] = uint8(class)
		}
		if hi >= utf8.RuneSelf {
			c.from = append(c.from, lo)
			c.high = append(c.high, uint8(class))
		}
	}
	c.kind = append(c.kind, kindEdge)
	return true
}

// pairsOf returns the ranges of characters that an instruction takes, as pairs of first and last; false when it takes
// no character.
func pairsOf(inst *syntax.Inst) ([]rune, bool) {
	switch inst.Op {
	case syntax.InstRuneAny:
		return []rune{0, unicode.MaxRune}, true
	case syntax.InstRuneAnyNotNL:
		return []rune{0, '\n' - 1, '\n' + 1, unicode.MaxRune}, true
	case syntax.InstRune1:
		return []rune{inst.Rune[0], inst.Rune[0]}, true
	case syntax.InstRune:
		if len(inst.Rune) != 1 {
			return inst.Rune, true
		}
		r := inst.Rune[0]
		pairs := []rune{r, r}
		if syntax.Flags(inst.Arg)&syntax.FoldCase != 0 {
			for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
				pairs = append(pairs, f, f)
			}
		}
		return pairs, true
	}
	return nil, false
}

// of returns the class of a character beyond ASCII.
func (c *classes) of(r rune) uint8 {
	i, found := slices.BinarySearch(c.from, r)
	if !found {
		i--
	}
	return c.high[i]
}
