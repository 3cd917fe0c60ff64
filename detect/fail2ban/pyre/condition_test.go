package pyre_test

import (
	"math/rand/v2"
	"testing"
)

// TestConditionsAskForText: where a condition on a group asks for a text, ways that take the group are left out in texts without it. What
// is found is what Python finds, wherever group, condition and text stand.
func TestConditionsAskForText(t *testing.T) {
	py := newPython(t)
	exprs := []string{
		`^(?P<u>(?P<c>\S+)|[^:]+) from (\S+)(?(c): |.*$)`, `((a)|b)+(?(2):|a)`, `(?:(a)|b)*(?(1):|)`, `(?>(a)|a)(?(1):|b)`,
		`(?=(a)|ab)..?(?(1):|b)`, `(?:(?:(a)|(b)|.)(?(2):|))+(?(1)b:|a)`, `((a)|(?(2):|b))(?(2):|a)`, `(?(1):|)(?:(a)|b)`,
		`(?:(a)|(ab)|b)(?(1):|(?(2)b:|a))`, `(?:b(a)|.)(?(1)(?:a:|a:b)|.)`, `(?:(a)|A)(?(1)::|:)`, `(?:(?P<x>a)|b(?P<y>a?))(?(x)b:)(?(y):a)`,
		`(?<!b)(?:(a)|.)(?(1).*:|.)`,
	}
	r := rand.New(rand.NewPCG(7, 7))
	letters := []rune("aab: :A\né")
	for i, expr := range exprs {
		q := question{Expr: expr, Flags: []string{"", "i", "s"}[i%3], Texts: []string{"root from h port 1 ssh2", "root from h: x", "a: from b from h", "ro:ot from h: ", ""}}
		for range 300 {
			text := make([]rune, r.IntN(9))
			for n := range text {
				text[n] = letters[r.IntN(len(letters))]
			}
			q.Texts = append(q.Texts, string(text))
		}
		if n := compare(t, py, q); n > 0 {
			t.Errorf("%q: %d texts took too long", expr, n)
		}
	}
}
