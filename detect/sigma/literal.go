package sigma

import "regexp/syntax"

// literal is a text that must be in a field (or be all of it) for something to be true. slot is -1 for a keyword.
type literal struct {
	slot  int
	text  string // ASCII in lower case
	whole bool
}

// maxLiterals is how many literals a rule may hang on before it is rather asked every time.
const maxLiterals = 5000

// weight is how rare a set of literals is thought to be: as rare as its shortest.
func weight(set []literal) int {
	least := 1 << 20
	for _, l := range set {
		w := 2 * len(l.text)
		if l.whole {
			w++
		}
		least = min(least, w)
	}
	return least
}

// needs returns literals one of which must be found for n to be true, or nil if there are no such.
func (c *compiler) needs(n *node) []literal {
	if known, ok := c.needed[n]; ok {
		return known
	}
	var set []literal
	switch n.op {
	case opAtom:
		set = c.atomNeeds(n.atom)
	case opAnd:
		for _, kid := range n.kids {
			if s := c.needs(kid); s != nil && (set == nil || weight(s) > weight(set)) {
				set = s
			}
		}
	case opOr:
		for _, kid := range n.kids {
			s := c.needs(kid)
			if s == nil || len(set)+len(s) > maxLiterals {
				set = nil
				break
			}
			set = append(set, s...)
		}
	}
	c.needed[n] = set
	return set
}

func (c *compiler) atomNeeds(a *atom) []literal {
	slot := -1
	if a.field != "" {
		slot = c.slot(a.field)
	}
	var texts []string
	switch a.kind {
	case isText:
		text := string(a.pattern.text)
		if a.pattern.shape == exact && plainASCII(text) {
			return []literal{{slot, string(appendLower(nil, text)), true}}
		}
		best := longestASCII(text)
		for _, p := range a.pattern.pieces {
			if run := longestASCII(string(p.text)); len(run) > len(best) {
				best = run
			}
		}
		texts = []string{best}
	case isRegex:
		re, err := syntax.Parse(a.regex.String(), syntax.Perl)
		if err != nil {
			return nil
		}
		texts = regexTexts(re)
	}
	set := make([]literal, 0, len(texts))
	for _, text := range texts {
		if text == "" {
			return nil
		}
		set = append(set, literal{slot, string(appendLower(nil, text)), false})
	}
	if len(set) == 0 {
		return nil
	}
	return set
}

func plainASCII(s string) bool { return longestASCII(s) == s }

// longestASCII is the longest part of s that is ASCII: the lower case of the rest depends on what stands around it in the
// event, if it is no UTF-8.
func longestASCII(s string) string {
	best, from := "", 0
	for i := 0; i <= len(s); i++ {
		if i == len(s) || s[i] >= 0x80 {
			if i-from > len(best) {
				best = s[from:i]
			}
			from = i + 1
		}
	}
	return best
}
