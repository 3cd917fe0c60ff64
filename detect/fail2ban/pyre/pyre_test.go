package pyre_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/doorward/doorward/detect/fail2ban/pyre"
)

func compile(t testing.TB, expr string) *pyre.Regexp {
	t.Helper()
	re, err := pyre.Compile(expr, pyre.Options{})
	if err != nil {
		t.Fatalf("compile %q: %v", expr, err)
	}
	return re
}

func TestMatchHasGroupsByNumberAndName(t *testing.T) {
	re := compile(t, `^(?P<user>\S+) (from )?(?P<host>é\d+)?$`)
	if got, want := re.Names(), []string{"", "user", "", "host"}; !slices.Equal(got, want) || re.Groups() != 3 {
		t.Errorf("names %q, %d groups, want %q and 3", got, re.Groups(), want)
	}
	m, err := re.Search("bob é7")
	if err != nil || m == nil {
		t.Fatalf("search: %v, %v", m, err)
	}
	if user, ok := m.Named("user"); user != "bob" || !ok {
		t.Errorf("user %q, %v, want bob", user, ok)
	}
	if from, ok := m.Group(2); from != "" || ok {
		t.Errorf("group 2 %q, %v, want none", from, ok)
	}
	if start, end := m.Span(3); start != 4 || end != 7 {
		t.Errorf("host at %d to %d, want bytes 4 to 7", start, end)
	}
	if other, ok := m.Named("none"); other != "" || ok {
		t.Errorf("unknown name: %q, %v", other, ok)
	}
	if start, end := m.Span(4); start != -1 || end != -1 {
		t.Errorf("group 4 at %d to %d, want -1 and -1", start, end)
	}
}

// TestHostileTextsEndInTime: what would take longer than the universe has is answered by Go's regexp, or given up.
func TestHostileTextsEndInTime(t *testing.T) {
	many := strings.Repeat("a", 3000)
	for _, c := range []struct {
		expr, text string
		match      bool
		err        error
	}{
		{`^(a+)+$`, many + "b", false, nil},
		{`^(a+)+$`, many, true, nil},
		{`(a|aa)+$`, many + "b", false, nil},
		{`^(a|b|ab)*c`, strings.Repeat("ab", 2000), false, nil},
		{`^(.*?,){11}P`, strings.Repeat("1,", 2000), false, nil},
		{`^(a+)+(?=b)b\1$`, many + "c", false, nil},              // only the superset can say no
		{`^(a+)+(?!a)b\1c`, many + "bc", false, pyre.ErrTimeout}, // nothing can say
		{`(?:a?){30}a{30}`, strings.Repeat("a", 30), true, nil},
		{`x*x*x*x*x*y`, strings.Repeat("x", 3000), false, nil},
		{`^(?>(a|aa)+)\1c`, many + "b", false, nil},
	} {
		m, err := compile(t, c.expr).Search(c.text)
		if (m != nil) != c.match || !errors.Is(err, c.err) {
			t.Errorf("%q: match %v, %v, want %v, %v", c.expr, m != nil, err, c.match, c.err)
		}
	}
}

// TestTimeoutIsTheSameInEveryRun: the budget is counted, so a replay gives up on the same lines.
func TestTimeoutIsTheSameInEveryRun(t *testing.T) {
	text := strings.Repeat("a", 24) + "bc"
	var first []bool
	for range 3 {
		var now []bool
		for timeout := time.Microsecond; timeout < 50*time.Millisecond; timeout *= 8 {
			re, err := pyre.Compile(`^(a+)+(?!a)b\1c`, pyre.Options{Timeout: timeout})
			if err != nil {
				t.Fatal(err)
			}
			_, err = re.Search(text)
			now = append(now, err != nil)
		}
		if first == nil {
			first = now
		}
		if !slices.Equal(first, now) || !slices.Contains(now, true) {
			t.Errorf("gave up: %v, before %v", now, first)
		}
	}
}

func TestSearchIntoStartsLater(t *testing.T) {
	var m pyre.Match
	for _, c := range []struct {
		expr       string
		from, want int
	}{
		{`b`, 2, 3}, {`^b`, 1, -1}, {`(?<=a)b`, 1, 1}, {`\bb`, 1, 5}, {`(?m)^b`, 1, 5}, {`$`, 1, 6},
	} {
		ok, err := compile(t, c.expr).SearchInto(&m, "abab\nb", c.from)
		got := -1
		if ok {
			got, _ = m.Span(0)
		}
		if got != c.want || err != nil {
			t.Errorf("%q from %d: at %d, %v, want %d", c.expr, c.from, got, err, c.want)
		}
	}
}

func TestLiterals(t *testing.T) {
	for _, c := range []struct {
		expr string
		want []string
		fold bool
	}{
		{`^Failed \S+ for .* from`, []string{"Failed "}, false},
		{`(?:ab|cd)x?`, []string{"ab", "cd"}, false},
		{`a(?:b(c)d)e+`, []string{"abcd"}, false},
		{`(?i)Error NUMBER`, []string{"error number"}, true},
		{`(?i)skip`, []string{"p"}, true}, // s, k and i have twins outside of ASCII
		{`a|`, nil, false},
		{`\d+`, nil, false},
		{`(?:x|\d)abc*`, []string{"ab"}, false},
	} {
		got, fold := compile(t, c.expr).Literals()
		if !slices.Equal(got, c.want) || fold != c.fold {
			t.Errorf("%q: %q, %v, want %q, %v", c.expr, got, fold, c.want, c.fold)
		}
	}
}

func TestExpressionsHaveBounds(t *testing.T) {
	for _, expr := range []string{strings.Repeat("a", 1<<16+1), strings.Repeat("(", 250) + strings.Repeat(")", 250),
		strings.Repeat("(?(1)", 250) + strings.Repeat(")", 250)} {
		if _, err := pyre.Compile(expr, pyre.Options{}); err == nil {
			t.Errorf("%.10s… of %d characters is accepted", expr, len(expr))
		}
	}
	// Counts are counters: no copies are made.
	if m, err := compile(t, `(?:(?:ab{1000}){1000}){1000}`).Search("abab"); m != nil || err != nil {
		t.Errorf("counts: %v, %v", m, err)
	}
}

func FuzzSearch(f *testing.F) {
	for _, expr := range []string{`^(a+)+\1$`, `(?P<n>a)(?(n)b|c)`, `(?i)[k-s]{,3}?x`, `(?<=ab)\b.*+$`, `(?x) a # b`, `((a)|b)*?(?!c)`, `[]\w-]`, `\x{`, `(?>a|b)++`} {
		f.Add(expr, "abab\nK x", uint8(3))
	}
	f.Fuzz(func(t *testing.T, expr, text string, o uint8) {
		re, err := pyre.Compile(expr, pyre.Options{IgnoreCase: o&1 > 0, MultiLine: o&2 > 0, DotAll: o&4 > 0, Verbose: o&8 > 0, ASCII: o&16 > 0,
			Timeout: time.Millisecond})
		if err != nil {
			return
		}
		literals, fold := re.Literals()
		m, err := re.Search(text)
		if err != nil || m == nil {
			return
		}
		for g := range re.Groups() + 1 {
			if start, end := m.Span(g); start > end || end > len(text) || start < -1 {
				t.Fatalf("%q in %q: group %d at %d to %d", expr, text, g, start, end)
			}
		}
		if len(literals) > 0 && !fold && utf8.ValidString(text) && !slices.ContainsFunc(literals, func(l string) bool { return strings.Contains(text, l) }) {
			t.Fatalf("%q matches %q without any of %q", expr, text, literals)
		}
	})
}
