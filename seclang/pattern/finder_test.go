package pattern_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/doorward/doorward/seclang/pattern"
)

func finder(t testing.TB, sets [][]string) *pattern.Finder {
	t.Helper()
	a, err := pattern.NewFinder(sets, pattern.Requests)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func scan(a *pattern.Finder, s string) []uint64 {
	hits := make([]uint64, a.Words())
	a.Scan(s, hits)
	return hits
}

// asciiLower is strings.ToLower for ASCII letters alone.
func asciiLower(s string) string {
	out := []byte(s)
	for i, b := range out {
		if 'A' <= b && b <= 'Z' {
			out[i] = b + 'a' - 'A'
		}
	}
	return string(out)
}

func TestScanFindsWhatIsThere(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	letters := "abcABé\xff\x00 '"
	word := func(most int) string {
		var b strings.Builder
		for range 1 + rng.IntN(most) {
			b.WriteByte(letters[rng.IntN(len(letters))])
		}
		return b.String()
	}
	for range 300 {
		sets := make([][]string, 1+rng.IntN(150))
		for i := range sets {
			for range 1 + rng.IntN(5) {
				sets[i] = append(sets[i], word(6))
			}
		}
		a := finder(t, sets)
		for range 20 {
			text := word(60)
			if rng.IntN(8) == 0 {
				text += []string{"\u017f", "\u212a", "é"}[rng.IntN(3)]
			}
			all := strings.Contains(text, "\u017f") || strings.Contains(text, "\u212a")
			hits := scan(a, text)
			for i, set := range sets {
				want := all
				for _, m := range set {
					want = want || strings.Contains(asciiLower(text), asciiLower(m))
				}
				if got := hits[i/64]>>(i%64)&1 == 1; got != want {
					t.Fatalf("set %q in %q: got %v, want %v", set, text, got, want)
				}
			}
		}
	}
}

func TestSetsThatWouldNeverOrAlwaysBeFound(t *testing.T) {
	for _, sets := range [][][]string{{{"a"}, {}}, {{"a", ""}}} {
		if _, err := pattern.NewFinder(sets, pattern.Requests); err == nil {
			t.Errorf("%q: got a finder, want an error", sets)
		}
	}
	if a := finder(t, nil); a.Words() != 0 {
		t.Errorf("words of no sets: got %d, want 0", a.Words())
	}
	scan(finder(t, nil), "any \u017f text")
}

// TestMembersWithOneAnchor looks for texts that make the finder compare as much as possible: members of all requests' expressions and
// phrases over and over, whole and without an end, which nothing of what was found before spares.
func TestMembersWithOneAnchor(t *testing.T) {
	var sets [][]string
	for _, r := range rulesOf(t, "rx") {
		sets = append(sets, compile(t, r.argument).Needs()...)
	}
	for _, r := range rulesOf(t, "pm") {
		sets = append(sets, phrases(t, pattern.SplitPhrases(r.argument)...).Needs()...)
	}
	f := finder(t, sets)
	rng := rand.New(rand.NewPCG(8, 8))
	worst, text := 0.0, ""
	for range 1000 {
		set := sets[rng.IntN(len(sets))]
		member := set[rng.IntN(len(set))]
		s := strings.Repeat(member[:1+rng.IntN(len(member))], 20)
		if asked := float64(f.Asked(s)) / float64(len(s)); asked > worst {
			worst, text = asked, s
		}
	}
	t.Logf("%.1f members a byte in %.60q", worst, text)
	if worst > 20 {
		t.Errorf("%.1f members a byte in %.60q, want at most 20", worst, text)
	}
}
