package pyre

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Go's regexp takes time in proportion to the text, whatever the expression. It stands behind the matcher: for texts
// on which trying in Python's order takes too many steps, which a stranger may write on purpose. Where both mean the
// same, its answer is the answer; where they do not, an expression that matches at least as much can still say no.
type linear struct {
	exact     *regexp.Regexp // nil: there is none
	superset  *regexp.Regexp // nil: there is none
	onlyASCII bool           // exact holds for ASCII texts only, because Go's \b knows ASCII only
	oneLine   bool           // exact holds for texts without newline only, because Go has no $ before a last newline
}

// fits says whether exact means the same for this text.
func (l *linear) fits(s string) bool {
	if l.exact == nil || s == "" || l.oneLine && strings.Contains(s, "\n") {
		return false
	}
	for i := 0; l.onlyASCII && i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func newLinear(n *node) *linear {
	l := &linear{}
	t := &translator{exact: true, linear: l}
	t.node(n, nil)
	if t.exact {
		l.exact, _ = regexp.Compile(t.b.String())
	}
	t = &translator{superset: true, linear: &linear{}}
	t.node(n, nil)
	l.superset, _ = regexp.Compile(t.b.String())
	return l
}

// translator writes a node in Go's syntax.
type translator struct {
	b        strings.Builder
	linear   *linear
	superset bool // write what matches at least as much
	exact    bool // until something has no equal
}

// node writes n; before is the set of characters of which one stands before n for certain, nil if unknown. It returns
// the same for what follows n.
func (t *translator) node(n *node, before *runeSet) *runeSet {
	switch n.op {
	case nodeEmpty:
		return before
	case nodeRune:
		return t.rune(n)
	case nodeSet:
		t.b.WriteString(n.set.class())
		return n.set
	case nodeConcat:
		for _, sub := range n.subs {
			before = t.node(sub, before)
		}
		return before
	case nodeAlternate:
		return t.alternate(n.subs, before)
	case nodeRepeat:
		return t.repeat(n, before)
	case nodeGroup, nodeAtomic:
		t.exact = t.exact && n.op == nodeGroup
		t.b.WriteString(choose(n.group > 0, "(", "(?:"))
		before = t.node(n.subs[0], before)
		t.b.WriteString(")")
		return before
	case nodeLook:
		if !n.always(before) {
			t.exact = false
		}
		return before
	case nodeRef:
		t.exact = false
		t.b.WriteString(`(?s:.*)`)
	case nodeCond:
		t.exact = false
		t.alternate(n.subs, before)
	case nodeAt:
		t.at(n.place)
		return before
	}
	return nil
}

func (t *translator) rune(n *node) *runeSet {
	set := n.single()
	if set == nil {
		if !utf8.ValidRune(n.r) {
			t.b.WriteString(`[^\x{0}-\x{10FFFF}]`)
			return nil
		}
		fmt.Fprintf(&t.b, `\x{%X}`, n.r)
		return (&runeSet{items: []setItem{{low: n.r, high: n.r}}}).seal()
	}
	t.b.WriteString(set.class())
	return set
}

func (t *translator) alternate(subs []*node, before *runeSet) *runeSet {
	t.b.WriteString("(?:")
	var after *runeSet
	for i, sub := range subs {
		if i > 0 {
			t.b.WriteString("|")
		}
		after = union(after, t.node(sub, before), i == 0)
	}
	t.b.WriteString(")")
	return after
}

// union is a set that holds both; nil, which is unknown, makes all unknown.
func union(a, b *runeSet, first bool) *runeSet {
	switch {
	case first:
		return b
	case a == nil || b == nil || a.negative || b.negative || a.fold || b.fold:
		return nil
	}
	return (&runeSet{items: append(append([]setItem(nil), a.items...), b.items...)}).seal()
}

func (t *translator) repeat(n *node, before *runeSet) *runeSet {
	sub := n.subs[0]
	if n.manner == possessive || sub.nullable() && n.min != n.max {
		t.exact = false // Python ends at an empty round
	}
	t.b.WriteString("(?:")
	// In a second round its own end stands before it, so only what both agree on would be known.
	after := t.node(sub, nil)
	t.b.WriteString(")")
	switch {
	case n.min == 0 && n.max == infinite:
		t.b.WriteString("*")
	case n.min == 1 && n.max == infinite:
		t.b.WriteString("+")
	case n.min == 0 && n.max == 1:
		t.b.WriteString("?")
	case n.max == infinite:
		fmt.Fprintf(&t.b, "{%d,}", n.min)
	default:
		fmt.Fprintf(&t.b, "{%d,%d}", n.min, n.max)
	}
	if n.manner == lazy {
		t.b.WriteString("?")
	}
	switch {
	case n.min > 0:
		return after
	case n.max == 0:
		return before
	}
	return union(before, after, false)
}

// always says whether a look-behind for one character is met by what stands before it.
func (n *node) always(before *runeSet) bool {
	if !n.behind || n.negative || before == nil || before.negative || before.fold {
		return false
	}
	sub := n.subs[0]
	for (sub.op == nodeConcat || sub.op == nodeGroup && sub.group == 0) && len(sub.subs) == 1 {
		sub = sub.subs[0]
	}
	for _, i := range before.items {
		if i.category != notCategory || i.high-i.low > utf8.RuneSelf {
			return false
		}
		for r := i.low; r <= i.high; r++ {
			switch {
			case sub.op == nodeRune && sub.r == r:
			case sub.op == nodeSet && sub.set.has(r):
			default:
				return false
			}
		}
	}
	return true
}

func (t *translator) at(p place) {
	switch p {
	case placeTextStart:
		t.b.WriteString(`\A`)
	case placeLineStart:
		t.b.WriteString(`(?m:^)`)
	case placeTextEnd:
		t.b.WriteString(`\z`)
	case placeTextEndLine:
		t.linear.oneLine = true
		t.b.WriteString(choose(t.superset, `(?m:$)`, `\z`))
	case placeLineEnd:
		t.b.WriteString(`(?m:$)`)
	case placeBoundary, placeNoBoundary:
		t.linear.onlyASCII = true
		if !t.superset {
			t.b.WriteString(choose(p == placeBoundary, `\b`, `\B`))
		}
	case placeASCIIBound:
		t.b.WriteString(`\b`)
	case placeASCIINoBound:
		t.b.WriteString(`\B`)
	}
}
