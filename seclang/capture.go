package seclang

import (
	"slices"

	"github.com/doorward/doorward/seclang/pattern"
)

// capture is what TX.0 to TX.9 are after a match. Nobody has asked for it yet: most rules capture for their log line only, and to
// find the groups of an expression costs more than to find that it matches. An attacker who makes every rule match every value
// would pay little for much.
type capture struct {
	groups int // how many of the variables are set

	expression *pattern.Regexp // whose groups of text they are; nil: they are known
	text       string
	at         int // where the match was certain
	known      []string
}

// capture notes what a match has captured. What older ones have set and this one does not stays.
func (t *Transaction) capture(c capture) {
	c.groups = min(c.groups, len(captureNames))
	t.captures = slices.DeleteFunc(t.captures, func(older capture) bool { return older.groups <= c.groups })
	t.captures = append(t.captures, c) // never more than there are variables
}

// settle sets TX.0 to TX.9. Whoever reads or writes them calls it before.
func (t *Transaction) settle() {
	if len(t.captures) == 0 {
		return
	}
	for _, c := range t.captures {
		found := c.known
		if c.expression != nil {
			found = c.expression.Submatch(c.text)
		}
		for n := range min(c.groups, len(found)) {
			t.tx.set(int32(n), captureNames[n], found[n])
		}
	}
	t.captures = t.captures[:0]
}

// quote is TX.n for a log line, which must not cost what a long text does; ok says that it is not in its slot yet.
func (t *Transaction) quote(n int) (text string, ok bool) {
	for _, c := range slices.Backward(t.captures) {
		if n >= c.groups {
			continue
		}
		found := c.known
		if c.expression != nil {
			found = c.expression.Quote(c.text, c.at)
		}
		if n < len(found) {
			text = found[n]
		}
		return text, true
	}
	return "", false
}
