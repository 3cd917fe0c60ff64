package pattern_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/doorward/doorward/seclang/pattern"
)

// expressions are of every kind of instruction and assertion.
func expressions() []string {
	return []string{
		``, `a`, `abc`, `^`, `$`, `^$`, `\A`, `\z`, `\b`, `\B`, `^a`, `a$`, `\Aa`, `a\z`, `\ba`, `a\b`, `\Ba\B`, `^\b$`, `$^`, `$\n^`,
		`(?-m)^a$`, `(?-s).a.`, `a.b`, `(?i)select`, `(?i)kiss`, `[^a]`, `[^a]\z`, `é`, `(?i)é`, `[à-ö]+b`, `\x{fffd}`, `[^\x00-\x7f]a`,
		`a{2,5}b`, `(a|b)*c`, `(?:a|ab)(?:c|bcd)(?:d*)`, `a.{3}b`, `(?i)\bor\b\s*\d`, `x*`, `\pL\d`, `[[:alpha:]]_`, `\s+\S`, `\w\W\w`,
		`(^|a)b($|c)`, `\b\w+\b\z`, `(?m)^b$`, `(?:^|\n)x(?:$|\n)`, `[^\n]*\n\z`, `\bé`, `a\Bé`, `(a+)+$`, `.*a.*b.*c`,
		`\xac\xed`, `\x{bc}[^\x{be}>]*[\x{be}>]|<[^\x{be}]*\x{be}`, `\xff\b`, `(?i)\xe9a`, `^\xfe.`,
	}
}

// judge is Go's regexp over the text as Compile documents it, or nil for one that is about bytes.
func judge(t testing.TB, expr string) *regexp.Regexp {
	t.Helper()
	re, err := regexp.Compile("(?sm)" + expr)
	if err != nil {
		t.Fatal(err)
	}
	return re
}

func TestMatchAgreesWithGo(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{"a", "b", "c", "d", "x", "_", "1", " ", "\n", "\n", "é", "É", "s", "S", "\u017f", "\u212a", "k", "\xff", "\xc3", "\xa9", "�", "\x00", "-", "or", "select", "Ö", "\u2028"}
	for _, expr := range expressions() {
		re, err := pattern.Compile(expr)
		if err != nil {
			t.Errorf("compile %q: %v", expr, err)
			continue
		}
		want := judge(t, expr)
		if pattern.MeansBytes(expr) {
			want = regexp.MustCompile(expr)
		}
		for range 3000 {
			text := ""
			for range rng.IntN(9) {
				text += alphabet[rng.IntN(len(alphabet))]
			}
			seen := text
			if pattern.MeansBytes(expr) {
				seen = pattern.Widen(text)
			}
			if got, want := re.Match(text), want.MatchString(seen); got != want {
				t.Errorf("%q on %q: got %v, want %v", expr, text, got, want)
				break
			}
		}
	}
}

// TestMatchAgreesOnRules compares on texts made for each expression of the Core Rule Set, and on what becomes of them
// when a few bytes change.
func TestMatchAgreesOnRules(t *testing.T) {
	memory := pattern.NewMemory(64 << 20)
	matched, all := 0, 0
	for i, r := range rulesOf(t, "rx") {
		re, err := pattern.CompileIn(memory, r.argument)
		if err != nil {
			t.Errorf("rule %s: %v", r.id, err)
			continue
		}
		raw := pattern.MeansBytes(r.argument)
		want := judge(t, r.argument)
		if raw {
			want = regexp.MustCompile(r.argument)
		}
		g := &generator{rng: rand.New(rand.NewPCG(3, uint64(i))), most: 60, raw: raw}
		tree := treeOf(t, r.argument)
		for n := range 60 {
			text := g.text(tree)
			switch n % 4 {
			case 1:
				text = g.around(g.flip(text))
			case 2:
				text = g.mutate(text)
			case 3:
				text = g.mutate(g.around(text))
			}
			seen := text
			if raw {
				seen = pattern.Widen(text)
			}
			expected := want.MatchString(seen)
			all++
			if expected {
				matched++
			}
			if got := re.Match(text); got != expected {
				t.Errorf("rule %s: %q on %q: got %v, want %v", r.id, r.argument, text, got, expected)
				break
			}
		}
	}
	usage := memory.Usage()
	t.Logf("%d of %d texts matched; %+v", matched, all, usage)
	if usage.Fallbacks > 0 {
		t.Errorf("%d texts went to Go's regexp, want none", usage.Fallbacks)
	}
	if matched < all/2 || matched == all {
		t.Errorf("%d of %d texts matched: they try one side only", matched, all)
	}
}

// TestLongTextsAgree is about what is done for long texts only, with states that are thrown away under way.
func TestLongTextsAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 13))
	pieces := []string{"lorem ipsum ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "b", "ab", "\n", "é", "\xff", "x y z ", "foo", "           ", "bbbbbbbbbbbbbbbbbbbbbbbbbb"}
	for _, expr := range []string{`x[^y]*yq|a[ab]{9}c|p[^r]*rq`, `foo\s+bar`, `\bfoo\b$`, `a[ab]{9}c`, `é+x`, `[^a]{40}\xff`, `(?i)IPSUM\s*é`, `^foo$`, `[ab]{60,}c|zfoo`} {
		memory := pattern.NewMemory(30_000)
		re, err := pattern.CompileIn(memory, expr)
		if err != nil {
			t.Fatal(err)
		}
		want := judge(t, expr)
		if pattern.MeansBytes(expr) {
			want = regexp.MustCompile(expr)
		}
		for range 100 {
			text := ""
			for len(text) < 2048+rng.IntN(3000) {
				text += pieces[rng.IntN(len(pieces))]
				if rng.IntN(8) == 0 {
					text += randomAB(rng, 60) + "xzpy"[rng.IntN(4):] + strings.Repeat("z", 50)
				}
			}
			text += []string{"y rq", "yq", "foo bar", "\nfoo", "c", "\nfoo\n", "zfoo", "ééx", "é"}[rng.IntN(9)]
			seen := text
			if pattern.MeansBytes(expr) {
				seen = pattern.Widen(text)
			}
			if got, want := re.Match(text), want.MatchString(seen); got != want {
				t.Errorf("%q on %d bytes that end with %.20q: got %v, want %v", expr, len(text), text[len(text)-20:], got, want)
				break
			}
		}
		if usage := memory.Usage(); usage.Bytes > 30_000 {
			t.Errorf("%q: holds %d bytes, want at most 30000", expr, usage.Bytes)
		}
	}
}

// TestStatesThrownAwayInALongText fills the states while those of one state's bytes are known that change nothing: they
// must not be taken for another state's that gets its number. Where the states are full depends on their size, so all
// limits are tried.
func TestStatesThrownAwayInALongText(t *testing.T) {
	text := strings.Repeat("y", 4) + strings.Repeat("m", 3000) + "x"
	expr := `x[^y]*yq`
	for c := 'a'; c <= 'l'; c++ {
		expr += "|" + string(c) + "1"
		text += string(c) + "m"
	}
	text += "mmmmyq"
	flushes := uint64(0)
	for limit := int64(1000); limit < 8000; limit += 50 {
		memory := pattern.NewMemory(limit)
		re, err := pattern.CompileIn(memory, expr)
		if err != nil {
			t.Fatal(err)
		}
		if !re.Match(text) {
			t.Errorf("with %d bytes: got no match", limit)
		}
		flushes += memory.Usage().Flushes
	}
	if flushes == 0 {
		t.Error("the states were never full")
	}
}
