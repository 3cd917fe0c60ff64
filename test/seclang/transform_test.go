// Package seclang_test compares the engine's parts with Coraza, which is the oracle for the published rules and is
// required by this module only.
package seclang_test

import (
	"fmt"
	"html"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/corazawaf/coraza/v3"

	"github.com/doorward/doorward/seclang/transform"
)

func corazaWAF(t testing.TB, directives string) coraza.WAF {
	t.Helper()
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().WithDirectives(directives))
	if err != nil {
		t.Fatalf("Coraza refuses the directives: %v\n%s", err, directives)
	}
	return waf
}

// ours are the functions that Coraza does not know.
func ours(name string) bool { return name == "sqlHexDecode" }

// transformer asks Coraza for the results of all functions: its answer is called with a function's name, a value and the result.
func transformer(t testing.TB) func(values []string, answer func(name, value, result string)) {
	var rules strings.Builder
	rules.WriteString("SecRuleEngine On\nSecArgumentsLimit 1000000\n")
	var names []string
	for _, name := range transform.Names() {
		if !ours(name) {
			names = append(names, name)
			fmt.Fprintf(&rules, "SecRule ARGS_GET \"@unconditionalMatch\" \"id:%d,phase:1,pass,log,t:none,t:%s\"\n", len(names), name)
		}
	}
	waf := corazaWAF(t, rules.String())
	return func(values []string, answer func(name, value, result string)) {
		tx := waf.NewTransaction()
		for _, v := range values {
			tx.AddGetRequestArgument("v", v)
		}
		tx.ProcessRequestHeaders()
		if got := len(tx.MatchedRules()); got != len(names) {
			t.Fatalf("Coraza evaluated %d of %d rules", got, len(names))
		}
		for _, rule := range tx.MatchedRules() {
			data := rule.MatchedDatas()
			if len(data) != len(values) {
				t.Fatalf("Coraza has %d results for %d values", len(data), len(values))
			}
			for i, d := range data {
				answer(names[rule.Rule().ID()-1], values[i], d.Value())
			}
		}
		if err := tx.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// pieces are what the functions look for, whole and cut.
func pieces() []string {
	all := []string{
		"%", "%4", "%41", "%u", "%u0", "%u00e", "%u0041", "%U0141", "%uff1c", "%uff5e", "%uff5f", "%uff00", "%zz", "%u2019", "+", "&", "&amp", "&amp;",
		"&lt", "&lt;", "&#60", "&#60;", "&#x3c;", "&#X3C", "&#", "&#;", "&#x;", "&notit;", "&notin;", "&b=1", "&NewLine;", "&#0;", "&#128;", "&#xd800;",
		"&#x110000;", `\`, `\u`, `\u0041`, `\u{41}`, `\u{ff1c}`, `\u{0ff1c}`, `\u{1ff1c}`, `\u{}`, `\u{1234567}`, `\uff1C`, `\x41`, `\x4`, `\X41`, `\377`, `\400`, `\777`,
		`\18`, `\0`, `\a`, `\b`, `\n`, `\?`, `\"`, `\'`, `\\`, "\\\n", `\41 `, `\000041`, `\110000`, `\d800`, `\ff1c`, `\z`, "/*", "*/", "*/*", "/*/", "<!--", "-->", "--", "-",
		"#", "\x00", " ", "  ", "\t", "\r\n", "\v", "\f", "\u0085", "\u00a0", "\xa0", "\x85", "\u3000", "\u2003", "à", "你", "\xff", "\xc2", "\xe1\x80", "İ", "ſ", "K", "😀",
		"/", "//", "/./", "/../", "..", ".", "./", "../", `\..\`, "C:", "c:/", ":", "::$DATA", "a. ", " .", "...", "'", `"`, "^", ",", ";", "(", "a", "Z", "cmd.exe", "0x4142", "0x", "0X4g",
		"=", "==", "QUJD", "QUI=", "QUI", "-_", "+/", "Q", "41", "4g", "deadBEEF", "hello World", "<script>", "union select", "*",
	}
	return all
}

// values makes n texts: of pieces, of random bytes, and mutations of both.
func values(seed uint64, n int) []string {
	r := rand.New(rand.NewPCG(seed, 1))
	parts := pieces()
	all := append([]string{""}, parts...)
	for len(all) < n {
		var s string
		switch r.IntN(4) {
		case 0:
			b := make([]byte, r.IntN(24))
			for i := range b {
				b[i] = byte(r.IntN(256))
			}
			s = string(b)
		case 1:
			b := make([]byte, r.IntN(24))
			for i := range b {
				b[i] = byte(r.IntN(96) + 32)
			}
			s = string(b)
		default:
			for range 1 + r.IntN(8) {
				s += parts[r.IntN(len(parts))]
			}
		}
		if r.IntN(4) == 0 && s != "" {
			b := []byte(s)
			for range 1 + r.IntN(3) {
				b[r.IntN(len(b))] = byte(r.IntN(256))
			}
			s = string(b)
		}
		if r.IntN(8) == 0 && s != "" {
			s = s[:r.IntN(len(s))]
		}
		all = append(all, s)
	}
	return all
}

func TestTransformationsAreCorazas(t *testing.T) {
	ask := transformer(t)
	funcs := map[string]transform.Func{}
	for _, name := range transform.Names() {
		funcs[name], _ = transform.Lookup(name)
	}
	wrong := map[string]int{}
	compare := func(name, value, want string) {
		if got := funcs[name](value); got != want {
			if wrong[name]++; wrong[name] <= 5 {
				t.Errorf("%s(%q): got %q, want %q", name, value, got, want)
			}
		}
	}
	all := values(7, 100_000)
	for c := range 0x10000 {
		all = append(all, fmt.Sprintf("%%u%04x", c), fmt.Sprintf("\\u%04X.", c), fmt.Sprintf("\\%x ", c))
	}
	for name := range strings.FieldsSeq(entityNames()) {
		all = append(all, "&"+name, "&"+name+";", "&"+name+"x", "a&"+name+"=1&b=2")
	}
	for len(all) > 0 {
		n := min(len(all), 2000)
		ask(all[:n], compare)
		all = all[n:]
	}
	for name, n := range wrong {
		t.Errorf("%s: %d values differ", name, n)
	}
}

// entityNames makes all short names and those that HTML knows among longer ones.
func entityNames() string {
	var b strings.Builder
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, c := range letters {
		for _, d := range letters {
			fmt.Fprintf(&b, "%c%c ", c, d)
			for _, e := range letters {
				if name := string([]rune{c, d, e}); html.UnescapeString("&"+name) != "&"+name || html.UnescapeString("&"+name+";") != "&"+name+";" {
					b.WriteString(name + " ")
				}
			}
		}
	}
	for _, stem := range []string{"A", "E", "I", "N", "O", "U", "Y", "a", "e", "i", "n", "o", "u", "y", "C", "c", "s", "T", "t", "fr", "mi", "pl"} {
		for _, tail := range []string{"Elig", "elig", "acute", "circ", "grave", "ring", "tilde", "uml", "slash", "cedil", "TH", "th", "zlig", "HORN", "horn", "imes", "ac12", "ac14", "ac34", "cro", "ddot", "usmn"} {
			b.WriteString(stem + tail + " ")
		}
	}
	b.WriteString("COPY copy QUOT quot REG reg acute brvbar cedil cent curren deg divide iexcl iquest laquo raquo macr micro middot nbsp not ordf ordm para plusmn pound sect shy sup1 sup2 sup3 szlig thorn times uml yen ETH eth ")
	return b.String()
}
