// Package pyre searches texts with regular expressions as Python 3.11's re module understands them, because
// fail2ban's filters are written for it. It reads Python's syntax with a parser of its own and matches with the same
// rules as Python's backtracking matcher. It knows nothing of fail2ban, of logs or of dates.
package pyre

import (
	"errors"
	"regexp"
	"time"
)

// ErrTimeout is what Search returns when a text costs more than the expression's Timeout allows. Whether the text
// matches is then unknown: the caller counts it.
var ErrTimeout = errors.New("regular expression took too long on this text")

// Options are the flags an expression is compiled with; each one may also stand in the expression, as in (?i).
type Options struct {
	Timeout    time.Duration // the most one Search may take, about; 0: DefaultTimeout
	IgnoreCase bool          // re.IGNORECASE
	MultiLine  bool          // re.MULTILINE
	DotAll     bool          // re.DOTALL
	Verbose    bool          // re.VERBOSE
	ASCII      bool          // re.ASCII
}

// DefaultTimeout is the most one Search may take if the options state none.
const DefaultTimeout = 100 * time.Millisecond

// Regexp is a compiled expression. It is safe for use by many goroutines.
type Regexp struct {
	re *regexp.Regexp
}

// Match is where an expression matched a text.
type Match struct {
	re   *Regexp
	text string
	caps []int
}

// Compile reads a Python expression for str.
func Compile(expr string, o Options) (*Regexp, error) {
	flags := ""
	if o.IgnoreCase {
		flags += "i"
	}
	if o.MultiLine {
		flags += "m"
	}
	if o.DotAll {
		flags += "s"
	}
	if flags != "" {
		expr = "(?" + flags + ")" + expr
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, err
	}
	return &Regexp{re: re}, nil
}

// Search returns the leftmost match in s, nil if there is none, as Python's search does. s is taken as UTF-8.
func (re *Regexp) Search(s string) (*Match, error) { return re.SearchFrom(s, 0) }

// SearchFrom is Search for a match that starts at byte from or later; what stands before is still seen by ^, \b and
// look-behind, as with the argument pos of Python's search.
func (re *Regexp) SearchFrom(s string, from int) (*Match, error) {
	loc := re.re.FindStringSubmatchIndex(s[from:])
	if loc == nil {
		return nil, nil
	}
	for i := range loc {
		if loc[i] >= 0 {
			loc[i] += from
		}
	}
	return &Match{re: re, text: s, caps: loc}, nil
}

// Groups returns the number of capturing groups.
func (re *Regexp) Groups() int { return re.re.NumSubexp() }

// Names returns the names of the groups by their number; the whole match (0) and groups without a name have "".
func (re *Regexp) Names() []string { return re.re.SubexpNames() }

// Literals returns texts of which at least one is part of every match, so that a search for them may stand in front
// of many expressions. None: unknown, the expression must be tried on every text. If fold is true the literals are in
// lower case and the case of ASCII letters of the text must be ignored.
func (re *Regexp) Literals() (literals []string, fold bool) { return nil, false }

// Span returns the first byte of group i and the byte after it; -1, -1 if the group took no part. Group 0 is the
// whole match.
func (m *Match) Span(i int) (start, end int) {
	if i < 0 || 2*i+1 >= len(m.caps) {
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

// Named returns the text of the group of that name and whether it took part.
func (m *Match) Named(name string) (string, bool) {
	for i, n := range m.re.Names() {
		if n == name && name != "" {
			return m.Group(i)
		}
	}
	return "", false
}
