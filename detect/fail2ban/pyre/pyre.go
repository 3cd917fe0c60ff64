// Package pyre searches texts with regular expressions as Python 3.11's re module understands them, because
// fail2ban's filters are written for it. It reads Python's syntax with a parser of its own and tries in the order in
// which Python tries, so that the groups are Python's too. It knows nothing of fail2ban, of logs or of dates.
//
// Texts are UTF-8. A byte that is not part of a character counts as one U+FFFD for sets and look-behind, and equals no
// literal; so decode the text first, where that matters.
package pyre

import (
	"errors"
	"strings"
	"sync"
	"time"
)

// ErrTimeout is what a search returns when a text costs more than the expression's Timeout allows. Whether the text
// matches is then unknown: the caller counts it.
var ErrTimeout = errors.New("regular expression took too long on this text")

// Options are the flags an expression is compiled with; each one may also stand in the expression, as in (?i).
type Options struct {
	Timeout    time.Duration // the most one search may take, counted in steps so that every run agrees; 0: DefaultTimeout
	IgnoreCase bool          // re.IGNORECASE
	MultiLine  bool          // re.MULTILINE
	DotAll     bool          // re.DOTALL
	Verbose    bool          // re.VERBOSE
	ASCII      bool          // re.ASCII
}

// DefaultTimeout is the most one search may take if the options state none.
const DefaultTimeout = 100 * time.Millisecond

// stepTime is about what a step of the matcher takes. Steps are counted and not measured, so that the same lines give
// the same answers on a slow machine and in a replay.
const stepTime = 20 * time.Nanosecond

// quickSteps are enough for nearly all lines; what takes more is first put to Go's regexp.
const quickSteps = 1 << 14

// Regexp is a compiled expression. It is safe for use by many goroutines.
type Regexp struct {
	expr     string
	root     *node
	program  *program
	names    []string
	steps    int
	must     string // every match holds it; "" if the start of the program finds misses as fast
	matchers sync.Pool
	linear   func() *linear
}

// Match is where an expression matched a text. The zero Match may be given to SearchInto.
type Match struct {
	re   *Regexp
	text string
	caps []int
	seen int
}

// Compile reads a Python expression for str. The error is an *Error with Python's words and place.
func Compile(expr string, o Options) (*Regexp, error) {
	root, p, err := parse(expr, o.flags())
	if err != nil {
		return nil, err
	}
	prog, ok := emitProgram(root, p.widths)
	if !ok {
		return nil, &Error{Msg: "expression is too large", Pos: -1}
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	re := &Regexp{expr: expr, root: root, program: prog, names: p.names, steps: int(o.Timeout / stepTime)}
	if q := root.literals(); len(q.texts) == 1 && !q.fold && !prog.lines && prog.prefix == "" {
		re.must = q.texts[0]
	}
	re.linear = sync.OnceValue(func() *linear { return newLinear(root) })
	return re, nil
}

func (o Options) flags() flags {
	var f flags
	for flag, on := range map[flags]bool{flagIgnoreCase: o.IgnoreCase, flagMultiLine: o.MultiLine, flagDotAll: o.DotAll,
		flagVerbose: o.Verbose, flagASCII: o.ASCII} {
		if on {
			f |= flag
		}
	}
	return f
}

// Search returns the leftmost match in s, nil if there is none, as Python's search does.
func (re *Regexp) Search(s string) (*Match, error) {
	m := &Match{}
	ok, err := re.SearchInto(m, s, 0)
	if err != nil || !ok {
		return nil, err
	}
	return m, nil
}

// SearchInto is Search without memory of its own: it fills m, which may hold an older match, and reports whether there
// is a match at byte from or later. What stands before from is still seen by \b and look-behind, and ^ matches only at
// the true start, as with the argument pos of Python's search. Without a match m is as before.
func (re *Regexp) SearchInto(m *Match, s string, from int) (bool, error) {
	return re.SearchWithin(nil, m, s, from)
}

// SearchWithin is SearchInto, and takes what it costs from a budget; nil: there is none. It returns ErrTimeout when the budget is
// used up.
func (re *Regexp) SearchWithin(b *Budget, m *Match, s string, from int) (bool, error) {
	if !b.spend((len(s) - from) / scanBytes) {
		return false, ErrTimeout
	}
	if re.must != "" && !strings.Contains(s[from:], re.must) || from == 0 && re.program.refuses(s) {
		return false, nil
	}
	state, _ := re.matchers.Get().(*matcher)
	if state == nil {
		state = &matcher{caps: make([]int, re.program.caps), registers: make([]int, re.program.registers)}
	}
	r, err := re.search(b, state, s, from)
	if r == matched {
		m.re, m.text, m.caps, m.seen = re, s, append(m.caps[:0], state.caps...), 0
		if re.program.anchored && state.seen <= len(s) {
			m.seen = state.seen
		}
	}
	state.s = ""
	if cap(state.stack) <= keptFrames {
		re.matchers.Put(state)
	}
	return r == matched, err
}

func (re *Regexp) search(b *Budget, state *matcher, s string, from int) (result, error) {
	quick := min(re.steps, quickSteps+4*len(s))
	if r := re.try(b, state, s, from, quick); r != exhausted {
		return r, nil
	}
	l := re.linear()
	if !b.spend(len(s) - from) {
		return exhausted, ErrTimeout
	}
	if from == 0 && l.fits(s) {
		if loc := l.exact.FindStringSubmatchIndex(s); loc != nil {
			copy(state.caps, loc)
			state.seen = len(s) + 1
			return matched, nil
		}
		return failed, nil
	}
	if l.superset != nil && !l.superset.MatchString(s[from:]) {
		return failed, nil
	}
	if quick < re.steps {
		if r := re.try(b, state, s, from, re.steps); r != exhausted {
			return r, nil
		}
	}
	return exhausted, ErrTimeout
}

// try is one search of the matcher, of so many steps and no more than the budget has.
func (re *Regexp) try(b *Budget, state *matcher, s string, from, steps int) result {
	if b != nil {
		steps = min(steps, b.left)
	}
	state.reset(re.program, s, steps)
	r := state.search(from)
	b.spend(steps - max(state.steps, 0))
	return r
}

// String returns the expression as it was given to Compile.
func (re *Regexp) String() string { return re.expr }

// Groups returns the number of capturing groups.
func (re *Regexp) Groups() int { return len(re.names) - 1 }

// Names returns the names of the groups by their number; the whole match (0) and groups without a name have "".
func (re *Regexp) Names() []string { return re.names }

// Index returns the number of the group of that name, -1 if there is none.
func (re *Regexp) Index(name string) int {
	for i, n := range re.names {
		if n == name && name != "" {
			return i
		}
	}
	return -1
}

// Literals returns texts of which at least one is part of every match, so that one search for them may stand in front
// of many expressions. None: unknown, the expression must be tried on every text. If fold is true the literals are in
// lower case and the case of ASCII letters of the text must be ignored.
func (re *Regexp) Literals() (literals []string, fold bool) {
	q := re.root.literals()
	for i := range q.texts {
		if q.fold {
			q.texts[i] = strings.Map(lowerASCII, q.texts[i])
		}
	}
	return q.texts, q.fold
}

// Span returns the first byte of group i and the byte after it; -1, -1 if the group took no part or is none. Group 0 is
// the whole match.
func (m *Match) Span(i int) (start, end int) {
	if i < 0 || 2*i+1 >= len(m.caps) || m.caps[2*i] < 0 || m.caps[2*i+1] < m.caps[2*i] {
		return -1, -1
	}
	return m.caps[2*i], m.caps[2*i+1]
}

// Group returns the text of group i and whether the group took part. Group 0 is the whole match.
func (m *Match) Group(i int) (string, bool) {
	start, end := m.Span(i)
	if start < 0 {
		return "", false
	}
	return m.text[start:end], true
}

// Seen returns how many bytes decided: every text that begins with the same ones has the same match at the same place.
// 0: unknown, as for all expressions that may match elsewhere than at the start of the text.
func (m *Match) Seen() int { return m.seen }

// Named returns the text of the group of that name and whether it took part.
func (m *Match) Named(name string) (string, bool) { return m.Group(m.re.Index(name)) }
