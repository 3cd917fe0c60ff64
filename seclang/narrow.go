package seclang

import (
	"regexp"
	"slices"
	"strings"
)

// Narrowing says of which values a rule finds nothing, although its operator does: values that match Unless as they came,
// and do not match But. It narrows a rule that somebody else keeps without a copy of it. Of a chain, its first link is narrowed.
type Narrowing struct {
	Rule   int // id; a rule that is not loaded is none to narrow
	Unless *regexp.Regexp
	But    *regexp.Regexp // nil: nothing
	At     *regexp.Regexp // what the value's name must match: of a parameter, a cookie, a header; nil: any
	// Each is about the sentences and lines of a value, too: what matches in some that the narrowing spares, and not in the rest of the
	// value without them, is nothing that the rule finds.
	Each bool
}

// narrow gives the narrowings to the rules that they are about.
func (p *Program) narrow(all []Narrowing) {
	for _, n := range all {
		for i := range p.rules {
			if p.rules[i].source.ID == n.Rule {
				l := &p.rules[i].links[0]
				l.narrowed = append(l.narrowed, n)
			}
		}
	}
}

// maxNarrowed is how many bytes the narrowings of one transaction look at: their expressions are slower than the rules'.
const maxNarrowed = 128 << 10

// maxSentences is how many parts of a value are looked at one by one.
const maxSentences = 256

// spares tells whether a value is none that the link finds.
func (t *Transaction) spares(l *link, one *item) bool {
	value := one.value
	for i := range l.narrowed {
		n := &l.narrowed[i]
		if n.At != nil && !n.At.MatchString(one.key) {
			continue
		}
		if t.narrowed+len(value) > maxNarrowed {
			t.Dropped.Spared++
			return false
		}
		t.narrowed += len(value)
		if n.spares(value) {
			return true
		}
	}
	return t.sparesEach(l, one)
}

func (n *Narrowing) spares(value string) bool {
	return n.Unless.MatchString(value) && (n.But == nil || !n.But.MatchString(value))
}

// sparesEach tells whether a link finds nothing in a value but sentences and lines that are none to find. What an attacker spreads over
// several is in what is left, or in none of them.
func (t *Transaction) sparesEach(l *link, one *item) bool {
	if l.source.Operator.Negated || l.source.MultiMatch || !slices.ContainsFunc(l.narrowed, func(n Narrowing) bool { return n.Each }) {
		return false
	}
	parts := sentences(one.value)
	if len(parts) < 2 {
		return false
	}
	if len(parts) > maxSentences || t.narrowed+2*len(one.value) > maxNarrowed {
		t.Dropped.Spared++
		return false
	}
	t.narrowed += 2 * len(one.value) // the parts, and what is left of them
	var rest strings.Builder
	for _, part := range parts {
		if !t.finds(l, part) {
			rest.WriteString(part)
			continue
		}
		text := strings.Trim(part, " \t")
		if !slices.ContainsFunc(l.narrowed, func(n Narrowing) bool { return n.Each && (n.At == nil || n.At.MatchString(one.key)) && n.spares(text) }) {
			return false
		}
	}
	return rest.Len() < len(one.value) && !t.finds(l, rest.String())
}

// finds asks the link's operator about a text, without any effect.
func (t *Transaction) finds(l *link, value string) bool {
	for i := range l.steps {
		value = l.steps[i](value)
	}
	t.looked += len(value)
	return l.operator.plain(t, value, false)
}

// sentences cuts a text before each line break, which may separate commands, and behind the marks that end a sentence.
func sentences(text string) []string {
	var all []string
	from := 0
	cut := func(at int) {
		if at > from {
			all = append(all, text[from:at])
			from = at
		}
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\n':
			cut(i)
		case '.', '!', '?':
			end := i + 1
			for end < len(text) && strings.IndexByte(`"')`, text[end]) >= 0 {
				end++
			}
			if end < len(text) && text[end] == ' ' {
				cut(end)
			}
		case 0xe3, 0xef: // 。 ！ ？
			for _, mark := range [...]string{"。", "！", "？"} {
				if strings.HasPrefix(text[i:], mark) {
					cut(i + len(mark))
				}
			}
		}
	}
	cut(len(text))
	return all
}
