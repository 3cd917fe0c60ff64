package pattern

import (
	"bytes"
	"errors"
	"strings"
)

// Phrases finds any of many phrases in a text, as @pm and @pmFromFile do. ASCII letters of the text are taken as lower
// case, those of the phrases too, and other letters of the phrases as well: É is never found, é is.
type Phrases struct {
	list   []string
	class  [256]uint8
	fronts fronts
	// starts has a bit for each two classes, by their last six bits, that a phrase may begin with.
	starts [64]uint64
}

// NewPhrases takes the phrases of one operator. Empty ones are left out, as between two spaces of an @pm; without any
// other it is an error.
func NewPhrases(list []string) (*Phrases, error) {
	p := &Phrases{}
	for _, s := range list {
		if s != "" {
			p.list = append(p.list, strings.ToLower(s))
		}
	}
	if len(p.list) == 0 {
		return nil, errors.New("there are no phrases")
	}
	t := newTrie(p.list)
	p.class, p.fronts = t.class, newFronts(t)
	for i, class := range t.edges[0].class {
		second := t.edges[0].to[i]
		if t.ends[second] {
			p.starts[class%64] = 1<<64 - 1
		}
		for _, next := range t.edges[second].class {
			p.starts[class%64] |= 1 << (next % 64)
		}
	}
	return p, nil
}

// SplitPhrases returns the phrases of an @pm argument.
func SplitPhrases(argument string) []string { return strings.Split(argument, " ") }

// ReadPhrases returns the phrases of a file for @pmFromFile: one a line, without the space around it; empty lines and
// those that begin with # are none.
func ReadPhrases(file string) []string {
	var list []string
	for line := range strings.Lines(file) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			list = append(list, line)
		}
	}
	return list
}

// Match says whether any phrase is in s.
func (p *Phrases) Match(s string) bool { return p.next(s, 0) < len(s) }

// Find returns the texts of the first n matches as they stand in s: for each place from the left where a phrase
// begins, the longest that does. So matches may overlap, as they do in Coraza, which keeps ten.
func (p *Phrases) Find(s string, n int) []string {
	var found []string
	for i := p.next(s, 0); i < len(s) && len(found) < n; i = p.next(s, i+1) {
		found = append(found, s[i:i+p.at(s[i:])])
	}
	return found
}

// next is the first place from i on where a phrase begins, or the end.
func (p *Phrases) next(s string, i int) int {
	for ; i < len(s); i++ {
		starts := p.starts[p.class[s[i]]%64]
		if i+1 < len(s) {
			starts >>= p.class[s[i+1]] % 64
			starts &= 1
		}
		if starts != 0 && p.at(s[i:]) > 0 {
			return i
		}
	}
	return i
}

// at returns the length of the longest phrase that s begins with, or 0.
func (p *Phrases) at(s string) int {
	size, state, f := 0, uint32(0), &p.fronts
	for i := range len(s) {
		from, to := f.first[state], f.first[state+1]
		n := bytes.IndexByte(f.class[from:to], p.class[s[i]])
		if n < 0 {
			break
		}
		next := f.to[int(from)+n]
		state = next &^ tellFlag
		if next != state {
			size = i + 1
		}
	}
	return size
}

// tellFlag marks the state where a phrase ends.
const tellFlag = 1 << 31

// fronts are a trie's ways on in one piece: a hundred thousand small ones would be work for the garbage collector.
type fronts struct {
	first []uint32 // by state: its first way on, and the next state's first
	class []uint8
	to    []uint32 // with tellFlag where a text ends
}

func newFronts(t *trie) fronts {
	f := fronts{first: make([]uint32, 1, len(t.edges)+1), class: make([]uint8, 0, len(t.edges)), to: make([]uint32, 0, len(t.edges))}
	for state := range t.edges {
		e := &t.edges[state]
		f.class = append(f.class, e.class...)
		for _, to := range e.to {
			if t.ends[to] {
				to |= tellFlag
			}
			f.to = append(f.to, to)
		}
		f.first = append(f.first, uint32(len(f.to)))
	}
	return f
}

// Needs is what Regexp.Needs is, for the phrases: one set, of whole phrases. A text that has a member matches, but for the one with U+017F
// or U+212A that has none.
func (p *Phrases) Needs() [][]string {
	s := make(sequence, 0, len(p.list))
	for _, text := range p.list {
		s = append(s, literal{text: lower(text)})
	}
	return [][]string{clause{any: s.tidy()}.texts()}
}

// LiteralNeeds is what Regexp.NeedsIn is, for an operator that matches only texts with one of the literals in them, as
// @contains, @beginsWith and @streq do. A literal with macros is none: its text is not known.
func LiteralNeeds(literals []string, texts Texts) [][]string {
	r := newRarity(texts)
	var s sequence
	for _, text := range literals {
		if text == "" {
			return nil
		}
		s = append(s, literal{text: r.window(lower(text))})
	}
	if len(s) == 0 {
		return nil
	}
	c := merge(clause{any: s.tidy()}.weigh(r), r)
	return [][]string{c.texts()}
}
