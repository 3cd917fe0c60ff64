package pattern_test

import (
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"github.com/doorward/doorward/seclang/pattern"
)

func phrases(t testing.TB, list ...string) *pattern.Phrases {
	t.Helper()
	p, err := pattern.NewPhrases(list)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPhrases(t *testing.T) {
	for _, c := range []struct {
		list []string
		text string
		want []string
	}{
		{[]string{"a", "ab", "abcd", "bc"}, "xabcABCD", []string{"ab", "bc", "ABCD", "BC"}},
		{[]string{"abcx", "bc"}, "abcd", []string{"bc"}},
		{[]string{"aa", "aaaa"}, "aaaaa", []string{"aaaa", "aaaa", "aa", "aa"}},
		{[]string{"É"}, "É é", []string{"é"}},
		{[]string{"k"}, "\u212a K", []string{"K"}},
		{[]string{"a", "", ""}, "b", nil},
	} {
		p := phrases(t, c.list...)
		if got := p.Find(c.text, 10); !slices.Equal(got, c.want) {
			t.Errorf("%q in %q: got %q, want %q", c.list, c.text, got, c.want)
		}
		if got := p.Match(c.text); got != (c.want != nil) {
			t.Errorf("%q in %q: got %v, want %v", c.list, c.text, got, c.want != nil)
		}
	}
	if got := phrases(t, "a").Find(strings.Repeat("a", 40), 10); len(got) != 10 {
		t.Errorf("got %d matches, want the 10 that were asked", len(got))
	}
	if _, err := pattern.NewPhrases([]string{""}); err == nil {
		t.Error("no phrases: got no error, want one")
	}
}

func TestReadPhrases(t *testing.T) {
	got := pattern.ReadPhrases("# comment\n\n  one \r\ntwo words\n\t# also\n\tthree")
	if want := []string{"one", "two words", "three"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPhraseFiles puts each phrase of the Core Rule Set's files into a text, where it must be found and admitted.
func TestPhraseFiles(t *testing.T) {
	names, err := fs.Glob(coreruleset.FS, "@owasp_crs/*.data")
	if err != nil || len(names) < 15 {
		t.Fatalf("read %d files: %v", len(names), err)
	}
	g := &generator{rng: rand.New(rand.NewPCG(9, 9))}
	for _, name := range names {
		text, err := fs.ReadFile(coreruleset.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		list := pattern.ReadPhrases(string(text))
		p := phrases(t, list...)
		needs := []requirement{require(t, p.Needs())}
		for _, phrase := range list {
			text := g.around(g.flip(strings.ToLower(phrase)))
			if !p.Match(text) || len(p.Find(text, 1)) != 1 {
				t.Errorf("%s: %q is not found in %q", name, phrase, text)
			}
			for _, n := range needs {
				if !n.admits(text) {
					t.Errorf("%s: %q is refused", name, text)
				}
			}
		}
	}
}

func TestLiteralNeeds(t *testing.T) {
	for _, literals := range [][]string{nil, {""}, {"a", ""}} {
		if got := pattern.LiteralNeeds(literals, pattern.Requests); got != nil {
			t.Errorf("%q: got %q, want nothing known", literals, got)
		}
	}
	got := pattern.LiteralNeeds([]string{"A.Very-Long-Literal"}, pattern.Requests)
	if len(got) != 1 || len(got[0]) != 1 || !strings.Contains("a.very-long-literal", got[0][0]) {
		t.Errorf("got %q, want a part of the literal", got)
	}
}
