package pattern_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/doorward/doorward/seclang/pattern"
)

// FuzzMatch compares any expression on any text with Go's regexp, and asks the requirements about each match.
func FuzzMatch(f *testing.F) {
	for i, expr := range expressions() {
		f.Add(expr, []string{"abc", "a\nb", "é\xff", "select or 1", "\xac\xed"}[i%5])
	}
	for i, r := range rulesOf(f, "rx") {
		if i%6 == 0 && len(r.argument) < 300 {
			f.Add(r.argument, "<script>alert(1)</script> union select 1 from x")
		}
	}
	f.Fuzz(func(t *testing.T, expr, text string) {
		if len(expr) > 400 || len(text) > 400 {
			return
		}
		flagged, seen := "(?sm)"+expr, text
		if pattern.MeansBytes(expr) {
			flagged, seen = expr, pattern.Widen(text)
		}
		judge, bad := regexp.Compile(flagged)
		re, err := pattern.CompileIn(pattern.NewMemory(1<<18), expr)
		if (err == nil) != (bad == nil) {
			t.Fatalf("compile %q: got %v, want %v", expr, err, bad)
		}
		if err != nil {
			return
		}
		want := judge.MatchString(seen)
		for range 2 { // the second time with the states of the first
			if got := re.Match(text); got != want {
				t.Fatalf("%q on %q: got %v, want %v", expr, text, got, want)
			}
		}
		if got := re.Submatch(text); (got != nil) != want {
			t.Fatalf("%q on %q: submatch %q, want match %v", expr, text, got, want)
		}
		if !want || strings.Contains(text, "\u017f") || strings.Contains(text, "\u212a") {
			return
		}
		for _, kind := range []pattern.Texts{pattern.Requests, pattern.Responses} {
			for _, set := range re.NeedsIn(kind) {
				if len(set) == 0 {
					t.Fatalf("%q needs a member of nothing", expr)
				}
				found := false
				for _, member := range set {
					found = found || strings.Contains(asciiLower(text), member)
				}
				if !found {
					t.Fatalf("%q matches %q, which has none of %q", expr, text, set)
				}
			}
		}
	})
}
