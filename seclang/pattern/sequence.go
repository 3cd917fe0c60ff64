package pattern

import (
	"slices"
	"strings"
)

// literal is a text that stands in a match of a part of an expression.
type literal struct {
	text  string
	left  bool // it begins where the part's match begins
	right bool // it ends where the part's match ends
}

// sequence is a set of literals: every match of a part contains one of them, placed as the literal says. A literal
// without text is no knowledge, but for one that is left and right: then the part matched nothing. A sequence
// without literals belongs to a part that nothing matches.
type sequence []literal

// nothing is the sequence of a part that takes no characters, unknown that of one that may be anything.
func nothing() sequence { return sequence{{left: true, right: true}} }
func unknown() sequence { return sequence{{left: true}} }

// ends is unknown, seen from what follows.
func ends() sequence { return sequence{{right: true}} }

// open says whether what follows can lengthen any of the literals.
func (s sequence) open() bool {
	return slices.ContainsFunc(s, func(l literal) bool { return l.right })
}

// begins says whether what comes before can lengthen any of the literals.
func (s sequence) begins() bool {
	return slices.ContainsFunc(s, func(l literal) bool { return l.left })
}

// vague says whether the part may have matched nothing that is known.
func (s sequence) vague() bool {
	return slices.ContainsFunc(s, func(l literal) bool { return l.text == "" })
}

// whole says whether the literals are all that the part can match.
func (s sequence) whole() bool {
	return !slices.ContainsFunc(s, func(l literal) bool { return !l.left || !l.right })
}

// Limits of the analysis. A longer literal, or more of them, would not be rarer by much.
const (
	maxLiteral  = 12   // bytes
	maxSequence = 2000 // literals
	maxCross    = 400  // literals that two parts make together
)

// cross is the sequence of a part that is followed by another. It must hold for each pair that the pair's text
// contains what the literal made of it says. Where there is too much, the beginning is kept, or with end the end.
func cross(a, b sequence, r *rarity, end bool) sequence {
	if len(a)*len(b) > max(maxCross, len(a), len(b)) {
		if end {
			b = b.cutLeft()
		} else {
			a = a.cutRight()
		}
	}
	if end {
		return crossEnd(a, b, r)
	}
	made := make(sequence, 0, len(a)*len(b))
	for _, x := range a {
		if !x.right {
			made = append(made, x)
			continue
		}
		for _, y := range b {
			made = append(made, join(x, y, r))
		}
	}
	return made.tidy().limit(false)
}

// crossEnd is cross that keeps what stands at the end.
func crossEnd(a, b sequence, r *rarity) sequence {
	made := make(sequence, 0, len(a)*len(b))
	for _, y := range b {
		if !y.left {
			made = append(made, y)
			continue
		}
		for _, x := range a {
			made = append(made, join(x, y, r))
		}
	}
	return made.tidy().limit(true)
}

// join is the literal for two that follow each other.
func join(x, y literal, r *rarity) literal {
	switch {
	case x.right && y.left:
		return literal{x.text + y.text, x.left, y.right}
	case y.text != "" && (len(y.text) == 1 && isMark(y.text[0]) || r.expect(y.text) < r.expect(x.text)):
		return literal{y.text, false, y.right}
	}
	return literal{x.text, x.left, false}
}

// limit shortens literals until they and their number are within the limits; with end it keeps their ends.
func (s sequence) limit(end bool) sequence {
	most := maxLiteral
	for ; most > 1; most-- {
		if len(s) <= maxSequence && !slices.ContainsFunc(s, func(l literal) bool { return len(l.text) > most }) {
			return s
		}
		if len(s) <= maxSequence && most < maxLiteral {
			return s
		}
		short := slices.Clone(s)
		for i, l := range short {
			switch {
			case len(l.text) <= most:
			case end:
				short[i] = literal{l.text[len(l.text)-most:], false, l.right}
			default:
				short[i] = literal{l.text[:most], l.left, false}
			}
		}
		s = short.tidy()
	}
	return unknownSide(end)
}

func unknownSide(end bool) sequence {
	if end {
		return ends()
	}
	return unknown()
}

// cutRight makes of each literal one that says nothing of where it ends, cutLeft of where it begins.
func (s sequence) cutRight() sequence {
	cut := slices.Clone(s)
	for i := range cut {
		cut[i].right = false
	}
	return cut.tidy()
}

func (s sequence) cutLeft() sequence {
	cut := slices.Clone(s)
	for i := range cut {
		cut[i].left = false
	}
	return cut.tidy()
}

// withoutNothing leaves out the literal of an empty match.
func (s sequence) withoutNothing() sequence {
	return slices.DeleteFunc(slices.Clone(s), func(l literal) bool { return l == literal{left: true, right: true} })
}

// tidy orders the literals and leaves out those that another says already.
func (s sequence) tidy() sequence {
	slices.SortFunc(s, func(a, b literal) int {
		if n := strings.Compare(a.text, b.text); n != 0 {
			return n
		}
		return 2*order(a.left, b.left) + order(a.right, b.right)
	})
	s = slices.Compact(s)
	if len(s) < 2 || s.whole() {
		return s // whole literals say nothing of each other
	}
	k := newKnown(s)
	return slices.DeleteFunc(s, k.implies)
}

func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// known is a set of literals, to ask what they imply.
type known struct {
	sides map[string]uint8      // by text: which combinations of left and right there are
	sizes [4][maxKnown + 1]bool // by combination: the lengths there are
}

// maxKnown is the length from which on literals are not looked for; a literal that is kept needlessly does no harm.
const maxKnown = 2 * maxLiteral

func sideOf(left, right bool) (side int) {
	if left {
		side |= 1
	}
	if right {
		side |= 2
	}
	return side
}

func newKnown(s sequence) *known {
	k := &known{sides: make(map[string]uint8, len(s))}
	for _, l := range s {
		if l.left && l.right {
			continue
		}
		side := sideOf(l.left, l.right)
		k.sides[l.text] |= 1 << side
		if len(l.text) <= maxKnown {
			k.sizes[side][len(l.text)] = true
		}
	}
	return k
}

func (k *known) has(text string, left, right bool) bool {
	side := sideOf(left, right)
	return k.sizes[side][len(text)] && k.sides[text]&(1<<side) != 0
}

// implies says whether another literal holds wherever this one does: the beginning of it with an unknown end, the end
// of it with an unknown beginning, or any part of it that may stand anywhere.
func (k *known) implies(l literal) bool {
	n := len(l.text)
	for size := range min(n, maxKnown) + 1 {
		if l.left && (size < n || l.right) && k.has(l.text[:size], true, false) {
			return true
		}
		if l.right && (size < n || l.left) && k.has(l.text[n-size:], false, true) {
			return true
		}
		if !k.sizes[0][size] || size == n && !l.left && !l.right {
			continue
		}
		for i := 0; i+size <= n; i++ {
			if k.has(l.text[i:i+size], false, false) {
				return true
			}
		}
	}
	return false
}
