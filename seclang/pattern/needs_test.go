package pattern_test

import (
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/doorward/doorward/racetest"
	"github.com/doorward/doorward/seclang/pattern"
)

func compile(t testing.TB, expr string) *pattern.Regexp {
	t.Helper()
	re, err := pattern.Compile(expr)
	if err != nil {
		t.Fatal(err)
	}
	return re
}

func TestNeeds(t *testing.T) {
	for _, c := range []struct {
		expr string
		want [][]string
	}{
		{`a`, [][]string{{"a"}}},
		{`(?i)Union`, [][]string{{"union"}}},
		{`foo|bar`, [][]string{{"bar", "foo"}}},
		{`w["'^]*g["'^]*e["'^]*t`, [][]string{{"w\"", "w'", "w^", "wg\"", "wg'", "wg^", "wge\"", "wge'", "wge^", "wget"}}},
		{`(?i)eval\s*\(.*\)`, [][]string{{"eval\t", "eval\n", "eval\f", "eval\r", "eval ", "eval("}, {")"}, {"("}}},
		// Nothing, or anything, may be enough.
		{``, nil}, {`.*`, nil}, {`a?`, nil}, {`a|`, nil}, {`(?:ab)*`, nil}, {`a|.`, nil}, {`\w+`, nil}, {`^$`, nil}, {`[^a]`, nil},
		// A byte that is no UTF-8 is read as U+FFFD.
		{"�", nil},
		{"(?:�|b)c", [][]string{{"c"}}},
		// Coraza takes this one for bytes, of which none is U+FFFD.
		{`(?:\x{fffd}|b)c`, [][]string{{"bc"}}},
		// Nothing matches it: it is still asked.
		{`[^\x00-\x{10ffff}]`, nil},
		{`\xac\xed`, [][]string{{"\xac\xed"}}},
		{`é`, [][]string{{"é"}}},
		{`(?i)é`, [][]string{{"É", "é"}}},
	} {
		got := compile(t, c.expr).Needs()
		for i := range got {
			slices.Sort(got[i])
		}
		for i := range c.want {
			slices.Sort(c.want[i])
		}
		if !slices.EqualFunc(got, c.want, slices.Equal[[]string]) {
			t.Errorf("needs of %q: got %q, want %q", c.expr, got, c.want)
		}
	}
}

// requirement is the sets of one expression in a finder of their own.
type requirement struct {
	all  *pattern.Finder
	sets int
}

func require(t testing.TB, sets [][]string) requirement {
	return requirement{finder(t, sets), len(sets)}
}

// admits says whether a text has a member of each set.
func (r requirement) admits(s string) bool {
	var hits [1]uint64
	if r.sets > 0 {
		r.all.Scan(s, hits[:])
	}
	return hits[0] == 1<<r.sets-1
}

// TestNeedsRefuseNoMatch makes texts for each expression of the Core Rule Set, lets Go's regexp say which match, and
// asks the requirements for both kinds of texts about each. There are a million matching texts altogether, or
// as many as DOORWARD_STRINGS says.
func TestNeedsRefuseNoMatch(t *testing.T) {
	total := 1_000_000
	if testing.Short() || racetest.On {
		total = 100_000
	}
	if n, err := strconv.Atoi(os.Getenv("DOORWARD_STRINGS")); err == nil {
		total = n
	}
	rules := rulesOf(t, "rx")
	each := total/len(rules) + total/len(rules)/50 + 1
	made, without := 0, 0
	for i, r := range rules {
		re := compile(t, r.argument)
		var needs []requirement
		for _, texts := range []pattern.Texts{pattern.Requests, pattern.Responses} {
			sets := re.NeedsIn(texts)
			needs = append(needs, require(t, sets))
			if len(sets) == 0 && texts == pattern.Requests {
				without++
			}
		}
		raw := pattern.MeansBytes(r.argument)
		judge := judge(t, r.argument)
		if raw {
			judge = regexp.MustCompile(r.argument)
		}
		tree := treeOf(t, r.argument)
		g := &generator{rng: rand.New(rand.NewPCG(7, uint64(i))), most: 40, raw: raw}
		good := 0
		for try := 0; good < each && try < 10*each; try++ {
			text := g.text(tree)
			switch try % 4 {
			case 1:
				text = g.flip(text)
			case 2:
				text = g.around(text)
			case 3:
				text = g.mutate(text)
			}
			if len(text) > 2000 {
				continue
			}
			seen := text
			if raw {
				seen = pattern.Widen(text)
			}
			if !judge.MatchString(seen) {
				continue
			}
			good++
			for kind, n := range needs {
				if !n.admits(text) {
					t.Errorf("rule %s: %q matches %q, which the requirement of kind %d refuses: %q", r.id, r.argument, text, kind, re.NeedsIn(pattern.Texts(kind)))
					return
				}
			}
		}
		if made += good; good < each/2 {
			t.Errorf("rule %s: made %d matching texts of %d: %.80q", r.id, good, each, r.argument)
		}
	}
	t.Logf("%d matching texts of %d expressions, none refused; %d expressions have no requirement", made, len(rules), without)
}

func TestNeedsAreLowerCase(t *testing.T) {
	for _, r := range rulesOf(t, "rx") {
		for _, set := range compile(t, r.argument).Needs() {
			for _, m := range set {
				if m == "" || m != asciiLower(m) || strings.ContainsRune(m, '\u017f') {
					t.Errorf("rule %s: got member %q, want lower case", r.id, m)
				}
			}
		}
	}
}
