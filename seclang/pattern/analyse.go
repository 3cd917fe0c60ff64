package pattern

import (
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// maxMembers is how many characters of a class are told one by one.
const maxMembers = 24

// analysis reads off a tree what every match contains.
type analysis struct {
	rarity *rarity
	bytes  bool // characters are bytes
	marks  bool // what hides words counts as one mark rather than with the letter before it
	hides  bool // set when there is something that may hide words
}

// part is what is known of a part of an expression.
type part struct {
	head    sequence // with as much as possible known from the beginning
	tail    sequence // from the end
	clauses []clause // every match contains a member of each, the rarest first
}

// manyWords is how many literals a list of words has.
const manyWords = 64

// clauses kept for a part; the expression's own are chosen from them.
const maxClauses = 5

func (a *analysis) tree(re *syntax.Regexp) part {
	switch re.Op {
	case syntax.OpLiteral:
		return a.text(re)
	case syntax.OpCharClass:
		return a.exact(a.class(re.Rune))
	case syntax.OpNoMatch:
		return a.exact(sequence{})
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return a.exact(nothing())
	case syntax.OpCapture:
		return a.tree(re.Sub[0])
	case syntax.OpQuest:
		return a.maybe(a.tree(re.Sub[0]), false)
	case syntax.OpStar:
		return a.maybe(a.tree(re.Sub[0]), true)
	case syntax.OpPlus:
		return a.again(a.tree(re.Sub[0]))
	case syntax.OpRepeat:
		return a.repeat(re)
	case syntax.OpConcat:
		parts := make([]part, len(re.Sub))
		for i, sub := range re.Sub {
			parts[i] = a.tree(sub)
		}
		return a.concat(parts)
	case syntax.OpAlternate:
		parts := make([]part, len(re.Sub))
		for i, sub := range re.Sub {
			parts[i] = a.tree(sub)
		}
		return a.either(parts)
	}
	// Any character, and what a later Go may add.
	return part{head: unknown(), tail: ends()}
}

// exact is a part of which all matches are known, if the sequence says so.
func (a *analysis) exact(s sequence) part {
	p := part{head: s, tail: s}
	if !s.whole() {
		p.tail = ends()
	}
	p.keep(a, s)
	return p
}

// text is a literal, whose characters may stand in several forms each. A long one is taken as several, so that the
// rarest part of it can be chosen.
func (a *analysis) text(re *syntax.Regexp) part {
	const piece = 6
	var parts []part
	s := nothing()
	for i, r := range re.Rune {
		forms := []rune{r, r}
		if re.Flags&syntax.FoldCase != 0 {
			for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
				forms = append(forms, f, f)
			}
		}
		s = cross(s, a.class(forms), a.rarity, false)
		if (i+1)%piece == 0 && len(re.Rune) > maxLiteral {
			parts, s = append(parts, a.exact(s)), nothing()
		}
	}
	if len(parts) == 0 {
		return a.exact(s)
	}
	return a.concat(append(parts, a.exact(s)))
}

// class is the sequence of a class, or unknown when it has too many members or one that is no text of its own: U+FFFD
// is also what a byte that is no UTF-8 is read as.
func (a *analysis) class(pairs []rune) sequence {
	s := sequence{}
	for i := 0; i < len(pairs); i += 2 {
		lo, hi := pairs[i], pairs[i+1]
		if a.bytes {
			hi = min(hi, 255)
		}
		if hi-lo >= 4*maxMembers {
			return unknown()
		}
		for r := lo; r <= hi; r++ {
			text, ok := a.spell(r)
			if !ok {
				return unknown()
			}
			if text != "" {
				s = append(s, literal{text, true, true})
			}
		}
	}
	if s = s.tidy(); len(s) > maxMembers {
		return unknown()
	}
	return s
}

// spell returns the bytes of a character, ASCII letters as lower case. They are none for the two characters that
// Go's (?i) folds to ASCII letters: a text with one of them asks every expression anyway.
func (a *analysis) spell(r rune) (string, bool) {
	switch {
	case r == longS || r == kelvin:
		return "", true
	case r >= 'A' && r <= 'Z':
		r += 'a' - 'A'
	case a.bytes:
		return string([]byte{byte(r)}), true
	case r == utf8.RuneError || !utf8.ValidRune(r):
		return "", false
	}
	return string(r), true
}

const (
	longS  = '\u017f'
	kelvin = '\u212a'
)

// maybe is a part that may be absent and, with more, may come again and again.
func (a *analysis) maybe(p part, more bool) part {
	head, tail := p.head.withoutNothing(), p.tail.withoutNothing()
	if more {
		head, tail = head.cutRight(), tail.cutLeft()
	}
	a.hides = a.hides || slices.ContainsFunc(head, func(l literal) bool { return hasMark(l.text) })
	if a.marks {
		head, tail = markOf(head, a.rarity), markOf(tail, a.rarity)
	}
	return part{head: append(nothing(), head...).tidy(), tail: append(nothing(), tail...).tidy()}
}

func hasMark(text string) bool {
	for i := range len(text) {
		if isMark(text[i]) {
			return true
		}
	}
	return false
}

// markOf puts one mark in place of each literal that has one.
func markOf(s sequence, r *rarity) sequence {
	made := make(sequence, 0, len(s))
	for _, l := range s {
		best := ""
		for i := range len(l.text) {
			if c := l.text[i : i+1]; isMark(c[0]) && (best == "" || r.expect(c) < r.expect(best)) {
				best = c
			}
		}
		if best != "" {
			l = literal{text: best}
		}
		made = append(made, l)
	}
	return made.tidy()
}

// again is a part that comes once or more.
func (a *analysis) again(p part) part {
	q := part{head: p.head.cutRight(), tail: p.tail.cutLeft(), clauses: p.clauses}
	// One that matched nothing may have come before one that matched something.
	if head := p.head.withoutNothing(); len(head) < len(p.head) {
		q = a.maybe(p, true)
	}
	return q
}

// repeat spells the first few rounds out.
func (a *analysis) repeat(re *syntax.Regexp) part {
	const rounds = 6
	p := a.tree(re.Sub[0])
	var parts []part
	for range min(re.Min, rounds) {
		parts = append(parts, p)
	}
	if re.Max != re.Min || re.Min > rounds {
		parts = append(parts, a.maybe(p, re.Max < 0 || re.Max-min(re.Min, rounds) > 1))
	}
	return a.concat(parts)
}

// concat is parts that follow each other.
func (a *analysis) concat(parts []part) part {
	made := part{head: nothing(), tail: nothing()}
	for _, p := range parts {
		if !made.head.open() {
			break
		}
		made.head = cross(made.head, p.head, a.rarity, false)
	}
	if made.head.whole() {
		made.tail = made.head
		for i := range parts {
			for _, c := range parts[i].clauses {
				made.keepClause(c)
			}
		}
		made.keep(a, made.head)
		return made
	}
	for i := len(parts) - 1; i >= 0 && made.tail.begins(); i-- {
		made.tail = cross(parts[i].tail, made.tail, a.rarity, true)
	}
	for i := range parts {
		for _, c := range parts[i].clauses {
			made.keepClause(c)
		}
	}
	for i := 0; i < len(parts); {
		i = a.chain(&made, parts, i)
	}
	made.keep(a, made.head)
	made.keep(a, made.tail)
	return made
}

// chain keeps what is known from the end of one part on, and returns where it is worth to begin again.
func (a *analysis) chain(made *part, parts []part, from int) int {
	const rare = 0.5 // what is rarer need not be looked for from the next part on
	chain, next := parts[from].tail, from+1
	for ; next < len(parts) && chain.open(); next++ {
		if len(parts[next].head) > manyWords && chain.vague() {
			break // nothing is gained over the words alone
		}
		longer := cross(chain, parts[next].head, a.rarity, false)
		if len(longer) > 2*len(chain) {
			made.keep(a, chain)
		}
		chain = longer
	}
	if expect, ok := made.keep(a, chain); !ok || expect > rare {
		return from + 1
	}
	return next
}

// either is one of several parts.
func (a *analysis) either(parts []part) part {
	var made part
	for _, p := range parts {
		made.head = append(made.head, p.head...)
		made.tail = append(made.tail, p.tail...)
	}
	made.head = made.head.tidy().limit(false)
	if made.head.whole() {
		made.tail = made.head
		made.keep(a, made.head)
		return made
	}
	made.tail = made.tail.tidy().limit(true)
	for rank := range 3 {
		var all sequence
		for _, p := range parts {
			if len(p.head) == 0 {
				continue // nothing matches it
			}
			if len(p.clauses) == 0 {
				all = append(all, literal{})
				continue
			}
			all = append(all, p.clauses[min(rank, len(p.clauses)-1)].any...)
		}
		made.keep(a, all)
	}
	made.keep(a, made.head)
	made.keep(a, made.tail)
	return made
}
