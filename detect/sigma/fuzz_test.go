package sigma_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/detect/sigma"
)

// FuzzRules: no file makes the reader fall over, and what it takes can be held against an event, with the same answer
// whether rules are chosen by literals or not.
func FuzzRules(f *testing.F) {
	f.Add(correlated(threeInTen))
	f.Add(chained)
	f.Add(counting())
	rng := rand.New(rand.NewPCG(9, 9))
	for i := range 30 {
		f.Add(randomRule(rng, i))
	}
	for _, text := range []string{"", "---\n---\n", "title: [", "title: &a\n", "a: {b: {c: {d: [[[[", "\xff: \x00", "title: t\nlogsource: {service: test}\nfilter: {rules: any, s: x, condition: not s}\n",
		"title: t\nlogsource: {service: test}\ndetection:\n  '|all': [a, b]\n  condition: 1 of *\nrespond: {ban: permanent, target: x, escalate: {factor: 2, max: 1d}}\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := sigma.Parse("f.yml", []byte(text), sigma.Options{})
		if err != nil {
			return
		}
		sieved, err := sigma.Compile(c, sigma.Limits{Groups: 10, Marks: 100})
		if err != nil {
			return
		}
		plain, err := sigma.Compile(c, sigma.Limits{Groups: 10, Marks: 100})
		if err != nil {
			t.Fatalf("the same rules are refused the second time: %v", err)
		}
		plain = plain.WithoutSieve()
		for i := range 20 {
			e := randomEvent(rand.New(rand.NewPCG(uint64(i), 1)))
			e.Time = time.Unix(int64(i), 0)
			if got, want := len(sieved.Process(e)), len(plain.Process(e)); got != want {
				t.Fatalf("%d matches of %+v, want %d", got, e, want)
			}
		}
		if groups, marks := sieved.Groups(); groups < 0 || marks > 100+100 {
			t.Fatalf("%d groups with %d marks", groups, marks)
		}
		state, err := sieved.State()
		if err != nil {
			t.Fatal(err)
		}
		if err := plain.Restore(state); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzCondition: the parser of conditions always ends, and takes what it takes with more spaces and brackets too.
func FuzzCondition(f *testing.F) {
	for _, text := range []string{"a", "a and b or not c", "(a)", "1 of s*", "all of them", "not not a", "1 of", "a b", ")", "((((", "a|b", "any of *_x", "NOT a AND (b)"} {
		f.Add(text)
	}
	names := []string{"a", "b", "c", "s1", "s2", "_x", "y_x"}
	f.Fuzz(func(t *testing.T, text string) {
		if sigma.ParseCondition(text, names) != nil {
			return
		}
		spaced := "( " + strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text) + " )"
		if len(spaced) < 16<<10 && strings.Count(text, "(")+strings.Count(strings.ToLower(text), "not") < 60 {
			if err := sigma.ParseCondition(spaced, names); err != nil {
				t.Fatalf("%q is taken, %q is not: %v", text, spaced, err)
			}
		}
	})
}

// FuzzState: no saved text makes an engine fall over or break its limits.
func FuzzState(f *testing.F) {
	e := engine(f, counting(), sigma.Limits{})
	feed(e, many("0", "1")+"; 2 E=b ip=1 u=3; 3 E=c ip=2")
	saved, err := e.State()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(saved)
	f.Add([]byte(`{"version":1,"correlations":[{"key":"near","form":"x","groups":[{"k":"AA==","t":[1,2],"g":[99,1]}]}]}`))
	f.Fuzz(func(t *testing.T, saved []byte) {
		e := engine(t, counting(), sigma.Limits{Groups: 3, Marks: 10})
		if e.Restore(saved) != nil {
			return
		}
		feed(e, many("0", "1", "2")+"; 3 E=b ip=1 u=3; 4 E=c ip=1 u=3")
		if groups, marks := e.Groups(); groups < 0 || groups > 3*10 || marks > 10*10 {
			t.Fatalf("%d groups with %d marks", groups, marks)
		}
	})
}
