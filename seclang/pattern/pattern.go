// Package pattern is the fast side of @rx, @pm, @pmFromFile and @contains: it says what a text must contain for an
// expression to match, finds many such literals in one pass, and confirms candidates with a bounded automaton whose
// states are made as texts need them. Go's regexp remains the judge: each answer is the one it gives for the
// expression as Coraza hands it over. The package knows texts only: no rules, no variables, no transformations.
//
// All that Compile and the New functions return is safe for use by many goroutines.
package pattern

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"sync"
)

// Regexp is a compiled expression. Its answers never change; what it keeps of texts are states, within its Memory. Most expressions
// are never asked, since their words are in no text; so what a question needs is made when the first one comes.
type Regexp struct {
	expr    string
	flagged string // the expression with its flags
	bytes   bool   // each byte of a text is one character
	groups  int    // its own and the whole
	memory  *Memory

	makeWhole sync.Once
	whole     *regexp.Regexp
	makeLazy  sync.Once
	lazy      *lazy // nil: the expression has no automaton
}

// Compile compiles an expression of Go's syntax as Coraza's @rx does: under (?sm), so that the dot takes newlines and
// ^ and $ stand at lines. An expression whose characters and escapes together are no UTF-8, such as \xac\xed, gets
// no flags and sees each byte of a text as one character. It has a Memory of its own of DefaultMemory bytes.
func Compile(expr string) (*Regexp, error) {
	return CompileIn(NewMemory(DefaultMemory), expr)
}

// CompileIn is Compile with the states of all expressions of a program in one Memory.
func CompileIn(m *Memory, expr string) (*Regexp, error) {
	r := &Regexp{expr: expr, flagged: expr, bytes: meansBytes(expr), memory: m}
	if !r.bytes {
		r.flagged = "(?sm)" + expr
	}
	// Whatever is wrong with an expression is found here: what comes after the parser has no errors.
	tree, err := r.tree()
	if err != nil {
		return nil, fmt.Errorf("compile expression %q: %w", expr, err)
	}
	r.groups = tree.MaxCap() + 1
	return r, nil
}

func (r *Regexp) tree() (*syntax.Regexp, error) { return syntax.Parse(r.flagged, syntax.Perl) }

// automaton is nil when the expression has none.
func (r *Regexp) automaton() *lazy {
	r.makeLazy.Do(func() {
		tree, err := r.tree()
		if err != nil {
			return
		}
		if prog, err := syntax.Compile(tree.Simplify()); err == nil {
			r.lazy = newLazy(prog, r.bytes, r.memory)
		}
	})
	return r.lazy
}

// judge is Go's regexp of the expression.
func (r *Regexp) judge() *regexp.Regexp {
	r.makeWhole.Do(func() { r.whole, _ = regexp.Compile(r.flagged) }) // it was parsed before
	return r.whole
}

// String returns the expression as it was given to Compile.
func (r *Regexp) String() string { return r.expr }

// Match says whether the expression matches anywhere in s.
func (r *Regexp) Match(s string) bool { return r.MatchAt(s) >= 0 }

// MatchAt is Match and says after how many bytes of s the match was certain; -1 is none. Quote wants to know it.
func (r *Regexp) MatchAt(s string) int {
	if l := r.automaton(); l != nil {
		if end, found, known := l.search(s); known {
			if !found {
				return -1
			}
			return end
		}
		l.memory.fallbacks.Add(1)
	}
	text := s
	if r.bytes {
		text = widen(s)
	}
	if !r.judge().MatchString(text) {
		return -1
	}
	return len(s)
}

// Groups returns how many texts Submatch returns.
func (r *Regexp) Groups() int { return r.groups }

// quoted is how many bytes before and behind the place where a match was certain are looked at for Quote.
const quoted = 4 << 10

// Quote is Submatch for people to read: of a long text only what stands around at is looked at, which MatchAt returned. It may be
// a part of the match, and nil when the match is longer than that. Its cost is bounded whatever the text.
func (r *Regexp) Quote(s string, at int) []string {
	if len(s) <= 2*quoted {
		return r.Submatch(s)
	}
	return r.Submatch(s[max(0, at-quoted):min(len(s), at+quoted)])
}

// Submatch returns the text of the leftmost match and of its groups, as regexp.FindStringSubmatch does: a group that
// took no part is empty. It returns nil when there is no match. It is slow: ask Match first.
func (r *Regexp) Submatch(s string) []string {
	if !r.bytes {
		return r.judge().FindStringSubmatch(s)
	}
	groups := r.judge().FindStringSubmatch(widen(s))
	for i := range groups {
		groups[i] = narrow(groups[i])
	}
	return groups
}
