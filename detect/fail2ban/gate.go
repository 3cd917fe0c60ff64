package fail2ban

// gate keeps lines from expressions that can't match them: each expression names texts of which one must stand in what it
// matches, and one pass over a line finds all of them (Aho and Corasick 1975). A filter that looks at several lines at once has no
// gate, and neither has one with more expressions than there are bits.
type gate struct {
	open    bool   // every line is looked at by every expression
	tells   bool   // lines that no failregex matches are looked at too, as an ignoreregex may
	always  uint64 // the expressions that name no text
	needed  uint64 // the bit of the prefregex, when it names a text
	classes [256]uint8
	width   uint32
	next    []uint32 // by state times width, plus class: the next state times width
	accept  []uint64 // by state: what the texts that end here are of
	first   uint32   // states from here on, times width, end a text
	sieve   sieve
}

// maxGateStates bounds the memory of a gate; Debian's filters need some hundred.
const maxGateStates = 20_000

// all is a mask of every expression.
const all = ^uint64(0)

func newGate(f *Filter) *gate {
	g := &gate{open: f.maxLines > 1 || len(f.fail) > 63}
	g.tells = len(f.ignore) > 0 && len(f.ignore) < len(f.fail)-2
	if g.open {
		return g
	}
	texts := map[string]uint64{}
	fold := false
	add := func(e *expression, bit uint64) bool {
		literals, folded := e.re.Literals()
		fold = fold || folded
		for _, text := range literals {
			texts[text] |= bit
		}
		return len(literals) > 0
	}
	for i, e := range f.fail {
		if !add(e, 1<<i) {
			g.always |= 1 << i
		}
	}
	if f.prefix != nil && add(f.prefix, 1<<63) {
		g.needed = 1 << 63
	}
	g.build(texts, fold)
	return g
}

// seen tells which expressions a line may match, by number; none when the prefregex can't.
func (g *gate) seen(line splitLine) uint64 {
	if g.open {
		return all
	}
	mask := g.always
	switch {
	case len(g.next) == 0:
	case g.sieve.step > 0:
		g.sift(line, &mask)
	default:
		state := g.scan(0, line.before, &mask)
		state = g.scan(state, line.after, &mask)
		g.scan(state, "\n", &mask)
	}
	if mask&g.needed != g.needed {
		return 0
	}
	return mask &^ (1 << 63)
}

// scan runs over a text from a state and marks what it finds.
func (g *gate) scan(state uint32, text string, mask *uint64) uint32 {
	found := *mask
	next, classes, first := g.next, &g.classes, g.first
	for i := 0; i < len(text); i++ {
		state = next[state+uint32(classes[text[i]])]
		if state >= first {
			found |= g.accept[state/g.width]
		}
	}
	*mask = found
	return state
}
