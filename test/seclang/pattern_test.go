package seclang_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"

	"github.com/doorward/doorward/seclang/pattern"
)

// oracle asks Coraza's operator about a text: whether it matches, and the captures it keeps.
func oracle(t *testing.T, operator, argument string) func(text string) (bool, []string) {
	t.Helper()
	rule := fmt.Sprintf("SecRuleEngine On\nSecRule ARGS:x \"@%s %s\" \"id:1,phase:1,pass,nolog,capture,setvar:tx.hit=1\"",
		operator, strings.ReplaceAll(argument, `"`, `\"`))
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().WithDirectives(rule))
	if err != nil {
		t.Fatalf("@%s %s: %v", operator, argument, err)
	}
	return func(text string) (bool, []string) {
		tx := waf.NewTransaction()
		defer tx.Close()
		tx.AddGetRequestArgument("x", text)
		tx.ProcessRequestHeaders()
		vars := tx.(plugintypes.TransactionState).Variables().TX()
		if hit := vars.Get("hit"); len(hit) == 0 {
			return false, nil
		}
		var kept []string
		for i := range 10 {
			kept = append(kept, strings.Join(vars.Get(strconv.Itoa(i)), ""))
		}
		return true, kept
	}
}

// words makes texts of pieces that tell flags, assertions and bytes apart.
func words(rng *rand.Rand) string {
	pieces := []string{"a", "b", "c", "A", "_", "1", " ", "\n", "\r\n", "é", "É", "s", "\u017f", "k", "\u212a", "\xff", "\xc3", "\xa9", "\xac\xed", "\xe9", "\ufffd",
		"\x00", "<", ">", "\xbc", "\xbe", "abc", "select", "SELECT"}
	var b strings.Builder
	for range rng.IntN(9) {
		b.WriteString(pieces[rng.IntN(len(pieces))])
	}
	return b.String()
}

// padded is the list with what Coraza's ten captures hold.
func padded(list []string) []string {
	list = slices.Clone(list[:min(len(list), 9)])
	for len(list) < 10 {
		list = append(list, "")
	}
	return list
}

func TestExpressionsAsCoraza(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, expr := range []string{
		`a`, `^a`, `a$`, `^a$`, `^$`, `a.b`, `a.*b`, `(?i)k`, `(?i)select`, `(?i)s+`, `\ba`, `a\b`, `\Bb`, `\Aa`, `a\z`, `(a)(b)?(c)?`, `(a|b)+`, `[^a]`,
		`[^a]b`, `(?-s)a.b`, `(?-m)a$`, `é`, `(?i)é`, `\xe9`, `\x{e9}`, `\xc3\xa9`, `\x{c3}\x{a9}`, `\xac\xed`, `(\xff)(.?)`, `\x{bc}[^\x{be}>]*[\x{be}>]|<[^\x{be}]*\x{be}`,
		`\x{212a}`, `\x41`, `\\x41`, `(?i)\xe9a`, `^\xff`, `\xff$`, `a\xff.`, `\x{fffd}`, `\pL`, `(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)`, `\x{e9}|a(b)`, `[\xe0-\xef]+`, `(?i)[\xe0-\xef]`,
	} {
		re, err := pattern.Compile(expr)
		if err != nil {
			t.Errorf("%q: %v", expr, err)
			continue
		}
		ask := oracle(t, "rx", expr)
		for range 400 {
			text := words(rng)
			want, kept := ask(text)
			if got := re.Match(text); got != want {
				t.Errorf("%q on %q: got %v, want %v", expr, text, got, want)
				break
			}
			if want {
				if got := padded(re.Submatch(text)); !slices.Equal(got, kept) {
					t.Errorf("%q on %q: captures are %q, want %q", expr, text, got, kept)
					break
				}
			}
		}
	}
}

func TestPhrasesAsCoraza(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for _, argument := range []string{"a", "a ab abc bc", "select b", "é É", "k s", "a1 1 _a", "ba b aba", "abcabc bca c", "< >"} {
		p, err := pattern.NewPhrases(pattern.SplitPhrases(argument))
		if err != nil {
			t.Fatal(err)
		}
		ask := oracle(t, "pm", argument)
		for range 400 {
			text := words(rng)
			want, kept := ask(text)
			if got := p.Match(text); got != want {
				t.Errorf("@pm %s on %q: got %v, want %v", argument, text, got, want)
				break
			}
			got := p.Find(text, 10)
			for want && len(got) < 10 {
				got = append(got, "")
			}
			if !slices.Equal(got, kept) {
				t.Errorf("@pm %s on %q: captures are %q, want %q", argument, text, got, kept)
				break
			}
		}
	}
}
