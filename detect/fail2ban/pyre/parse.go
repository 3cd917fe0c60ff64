package pyre

import (
	"fmt"
	"strings"
)

// Error says what is wrong with an expression, in the words of Python's re.error, because that is what people search
// for.
type Error struct {
	Msg    string
	Pos    int // in characters; -1: no single place
	Line   int // from 1
	Column int // from 1
	lines  bool
}

func (e *Error) Error() string {
	switch {
	case e.Pos < 0:
		return e.Msg
	case e.lines:
		return fmt.Sprintf("%s at position %d (line %d, column %d)", e.Msg, e.Pos, e.Line, e.Column)
	}
	return fmt.Sprintf("%s at position %d", e.Msg, e.Pos)
}

// Bounds on expressions: they come from files of an administrator, but a filter from a stranger's page must not end
// the process. Python has a bound of its own on the depth: its stack.
const (
	maxExpression = 1 << 16 // characters
	maxDepth      = 200     // groups in groups
	maxRepeat     = 1<<32 - 1
)

const end rune = -1

// token is one character of the expression, or a backslash and what follows.
type token struct {
	r       rune
	escaped bool
}

func (t token) is(r rune) bool { return t.r == r && !t.escaped }

func (t token) in(set string) bool { return !t.escaped && t.r >= 0 && strings.ContainsRune(set, t.r) }

func (t token) String() string {
	if t.escaped {
		return `\` + string(t.r)
	}
	return string(t.r)
}

// parser reads an expression as Python's parser does, one token ahead; the first error stands, and after it every
// token is the end.
type parser struct {
	text  []rune
	index int // after next
	next  token
	flags flags // in force; global ones are only possible at the very start
	err   *Error

	widths    [][2]int64 // of groups, [0] unused
	closed    []bool     // by group
	names     []string   // by group, "" without
	condition map[int]int
	looking   int // the first group that opened inside the outermost look-behind; 0 outside
}

func parse(expr string, f flags) (*node, *parser, error) {
	p := &parser{text: []rune(expr), flags: f, widths: make([][2]int64, 1), closed: make([]bool, 1), names: make([]string, 1),
		condition: make(map[int]int)}
	if len(p.text) > maxExpression {
		p.fail(fmt.Sprintf("expression of more than %d characters", maxExpression), -1)
		return nil, p, p.err
	}
	p.advance()
	n := p.alternatives(0)
	if p.flags&flagASCII != 0 && p.flags&flagUnicode != 0 {
		p.fail("ASCII and UNICODE flags are incompatible", -1)
	}
	if p.next.r != end {
		p.fail("unbalanced parenthesis", p.tell())
	}
	least := -1
	for g, pos := range p.condition {
		if g >= len(p.names) && (least < 0 || pos < p.condition[least]) {
			least = g
		}
	}
	if least >= 0 {
		p.fail(fmt.Sprintf("invalid group reference %d", least), p.condition[least])
	}
	if p.err == nil {
		p.afterwards(n)
	}
	if p.err != nil {
		return nil, p, p.err
	}
	return n, p, nil
}

// afterwards finds what Python finds only when it compiles.
func (p *parser) afterwards(n *node) {
	n.walk(func(n *node) {
		switch {
		case n.op == nodeRepeat && n.flags&flagTemplate != 0:
			names := []string{greedy: "MAX_REPEAT", lazy: "MIN_REPEAT", possessive: "POSSESSIVE_REPEAT"}
			p.fail("internal: unsupported template operator "+names[n.manner], -1)
		case n.op == nodeLook && n.behind:
			if low, high := n.subs[0].width(p.widths); low != high {
				p.fail("look-behind requires fixed-width pattern", -1)
			}
		}
	})
}

// fail keeps the first error and ends the text.
func (p *parser) fail(msg string, pos int) {
	if p.err == nil {
		p.err = &Error{Msg: msg, Pos: pos}
		if pos >= 0 {
			before := p.text[:min(pos, len(p.text))]
			p.err.Line, p.err.Column = 1, pos+1
			for i, r := range before {
				if r == '\n' {
					p.err.Line++
					p.err.Column = pos - i
				}
			}
			for _, r := range p.text {
				p.err.lines = p.err.lines || r == '\n'
			}
		}
	}
	p.index, p.next = len(p.text), token{r: end}
}

func (p *parser) advance() {
	if p.index >= len(p.text) || p.err != nil {
		p.next = token{r: end}
		return
	}
	r := p.text[p.index]
	p.index++
	if r != '\\' {
		p.next = token{r: r}
		return
	}
	if p.index >= len(p.text) {
		p.fail("bad escape (end of pattern)", len(p.text)-1)
		return
	}
	p.next = token{r: p.text[p.index], escaped: true}
	p.index++
}

func (p *parser) get() token {
	t := p.next
	p.advance()
	return t
}

func (p *parser) accept(r rune) bool {
	if !p.next.is(r) {
		return false
	}
	p.advance()
	return true
}

// tell is the place of the next token.
func (p *parser) tell() int {
	switch {
	case p.next.r == end:
		return p.index
	case p.next.escaped:
		return p.index - 2
	}
	return p.index - 1
}

func (p *parser) seek(index int) {
	p.index = index
	p.advance()
}

// alternatives reads a|b|c; depth 0 is the whole expression.
func (p *parser) alternatives(depth int) *node {
	if depth > maxDepth {
		p.fail(fmt.Sprintf("more than %d groups in each other", maxDepth), -1)
		return &node{}
	}
	var subs []*node
	for {
		subs = append(subs, p.sequence(depth, depth == 0 && len(subs) == 0))
		if !p.accept('|') {
			break
		}
	}
	if len(subs) == 1 {
		return subs[0]
	}
	return &node{op: nodeAlternate, subs: subs}
}

const whitespace = " \t\n\r\v\f"

// sequence reads until the next | or ) of this level. Only at the first place of the expression may global flags stand.
func (p *parser) sequence(depth int, first bool) *node {
	n := &node{op: nodeConcat}
	for p.next.r != end && !p.next.in("|)") {
		t := p.get()
		if p.flags&flagVerbose != 0 && p.skips(t) {
			continue
		}
		switch {
		case t.escaped:
			n.add(p.escape(t))
		case t.is('['):
			n.add(p.set())
		case t.in("*+?{"):
			p.repeat(n, t)
		case t.is('('):
			n.add(p.group(depth, first && len(n.subs) == 0))
		case t.is('.'):
			n.add(&node{op: nodeSet, set: anyRune(p.flags&flagDotAll != 0)})
		case t.is('^'):
			n.add(p.at(placeTextStart, placeLineStart))
		case t.is('$'):
			n.add(p.at(placeTextEndLine, placeLineEnd))
		default:
			n.add(p.literal(t.r))
		}
	}
	return n
}

// skips says whether t is white space or the start of a comment of VERBOSE, which is then read to its end.
func (p *parser) skips(t token) bool {
	if t.in(whitespace) {
		return true
	}
	if !t.is('#') {
		return false
	}
	for {
		if t := p.get(); t.r == end || t.is('\n') {
			return true
		}
	}
}

func (n *node) add(sub *node) {
	if sub != nil {
		n.subs = append(n.subs, sub)
	}
}

func (p *parser) at(plain, multi place) *node {
	if p.flags&flagMultiLine != 0 {
		plain = multi
	}
	return &node{op: nodeAt, place: plain}
}

func (p *parser) literal(r rune) *node { return &node{op: nodeRune, r: r, flags: p.flags} }

// repeat puts a quantifier on the last node of n.
func (p *parser) repeat(n *node, t token) {
	here := p.tell()
	low, high := 0, infinite
	switch t.r {
	case '?':
		high = 1
	case '+':
		low = 1
	case '{':
		var ok bool
		if low, high, ok = p.counts(here); !ok {
			n.add(p.literal('{'))
			return
		}
	}
	if p.err != nil {
		return
	}
	at := here - 1 // where the quantifier begins
	if len(n.subs) == 0 || n.subs[len(n.subs)-1].op == nodeAt {
		p.fail("nothing to repeat", at)
		return
	}
	last := n.subs[len(n.subs)-1]
	if last.op == nodeRepeat {
		p.fail("multiple repeat", at)
		return
	}
	r := &node{op: nodeRepeat, subs: []*node{last}, min: low, max: high, flags: p.flags}
	switch {
	case p.accept('?'):
		r.manner = lazy
	case p.accept('+'):
		r.manner = possessive
	}
	n.subs[len(n.subs)-1] = r
}

// counts reads what follows {. If it is no count, the brace is a character and the place is as before.
func (p *parser) counts(here int) (low, high int, ok bool) {
	if p.next.is('}') {
		return 0, 0, false
	}
	first := p.digits()
	second := first
	if p.accept(',') {
		second = p.digits()
	}
	if !p.accept('}') {
		if p.err == nil {
			p.seek(here)
		}
		return 0, 0, false
	}
	low, high = 0, infinite
	if first != "" {
		low = p.count(first)
	}
	if second != "" {
		high = p.count(second)
		if high < low {
			p.fail("min repeat greater than max repeat", here)
		}
	}
	return low, high, true
}

func (p *parser) digits() string {
	var b strings.Builder
	for p.next.in("0123456789") {
		b.WriteRune(p.get().r)
	}
	return b.String()
}

func (p *parser) count(digits string) int {
	v := 0
	for _, d := range digits {
		v = v*10 + int(d-'0')
		if v >= maxRepeat {
			p.fail("the repetition number is too large", -1)
			return 0
		}
	}
	return v
}
