package pyre

// opcode of a node of the parsed expression.
type nodeOp uint8

const (
	nodeEmpty     nodeOp = iota
	nodeRune             // one character, as written; flags say whether case counts
	nodeSet              // one character of a set
	nodeConcat           // subs one after the other
	nodeAlternate        // the first of subs that fits
	nodeRepeat           // subs[0], min to max times
	nodeGroup            // subs[0], captured as group number group (0: not captured)
	nodeAtomic           // subs[0] once, without a second try
	nodeLook             // subs[0] looked at, ahead or behind, and not taken
	nodeRef              // what the group has captured
	nodeCond             // subs[0] if the group took part, else subs[1]
	nodeAt               // a place: see place
)

// place is an assertion without width.
type place uint8

const (
	placeTextStart    place = iota // \A, and ^ without MULTILINE
	placeLineStart                 // ^ with MULTILINE
	placeTextEnd                   // \Z
	placeTextEndLine               // $ without MULTILINE: the end, or before a newline that ends the text
	placeLineEnd                   // $ with MULTILINE
	placeBoundary                  // \b
	placeNoBoundary                // \B
	placeASCIIBound                // \b with ASCII
	placeASCIINoBound              // \B with ASCII
)

// manner is how a repetition takes its characters.
type manner uint8

const (
	greedy manner = iota
	lazy
	possessive
)

const infinite = -1 // as max of a repetition

type node struct {
	op       nodeOp
	subs     []*node
	r        rune
	set      *runeSet
	flags    flags // in force here
	min, max int
	manner   manner
	group    int
	place    place
	behind   bool // nodeLook
	negative bool // nodeLook
}

type flags uint8

const (
	flagIgnoreCase flags = 1 << iota
	flagMultiLine
	flagDotAll
	flagVerbose
	flagASCII
	flagUnicode
	flagTemplate
)

const typeFlags = flagASCII | flagUnicode

// widthCap keeps sums of widths from overflowing. Python's own bounds are about as high, and no text is that long.
const widthCap = int64(1) << 40

// width returns the least and the most characters n can take, groups being the widths of closed groups.
func (n *node) width(groups [][2]int64) (low, high int64) {
	switch n.op {
	case nodeRune, nodeSet:
		return 1, 1
	case nodeConcat:
		for _, sub := range n.subs {
			l, h := sub.width(groups)
			low, high = min(low+l, widthCap), min(high+h, widthCap)
		}
	case nodeAlternate, nodeCond:
		low, high = n.subs[0].width(groups)
		for _, sub := range n.subs[1:] {
			l, h := sub.width(groups)
			low, high = min(low, l), max(high, h)
		}
	case nodeRepeat:
		l, h := n.subs[0].width(groups)
		low = min(l*int64(n.min), widthCap)
		switch {
		case n.max != infinite:
			high = min(h*int64(n.max), widthCap)
		case h > 0:
			high = widthCap
		}
	case nodeGroup, nodeAtomic:
		return n.subs[0].width(groups)
	case nodeRef:
		if n.group < len(groups) {
			return groups[n.group][0], groups[n.group][1]
		}
	}
	return low, high
}

// nullable says whether n can match without taking a character; places and looks can.
func (n *node) nullable() bool {
	low, _ := n.width(nil) // a reference counts as empty, which it may be
	return low == 0
}

// walk calls f for n and all below it.
func (n *node) walk(f func(*node)) {
	f(n)
	for _, sub := range n.subs {
		sub.walk(f)
	}
}
