package pattern

import "fmt"

// What the tests ask that callers need not.
var (
	MeansBytes = meansBytes
	Widen      = widen
)

// Clauses describes all clauses that Needs chooses from.
func Clauses(r *Regexp, texts Texts) (out []string) {
	for _, c := range r.clauses(texts) {
		out = append(out, fmt.Sprintf("%.2g %d %.300s", c.expect, len(c.any), fmt.Sprint(c.any)))
	}
	return out
}

// Asked is how many members a Scan of s may compare.
func (f *Finder) Asked(s string) (asked int) {
	for i, at := f.next(s, 0, 0); i > 0; i, at = f.next(s, i, at) {
		pair := at % (codes * codes)
		asked += int(f.byPair[pair+1] - f.byPair[pair])
		asked += len(f.members(at&gramMask)) + len(f.members(at%(codes*codes*codes)|triple))
	}
	return asked
}

// Forget throws an expression's states away.
func Forget(r *Regexp) {
	if l := r.automaton(); l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.flush()
	}
}
