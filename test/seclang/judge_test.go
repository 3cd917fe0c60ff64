package seclang_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/seclang/judge"
)

// judged are operators with arguments; the values' words are among them.
func judged() [][2]string {
	all := [][2]string{
		{"validateUrlEncoding", ""}, {"validateUtf8Encoding", ""}, {"detectSQLi", ""}, {"detectXSS", ""}, {"unconditionalMatch", ""}, {"noMatch", ""},
		{"validateByteRange", ""}, {"validateByteRange", "1-255"}, {"validateByteRange", "9,10,13,32-126,128-255"}, {"validateByteRange", "38, 44-46,48-58 ,61,65-90,95,97-122"},
		{"ipMatch", "127.0.0.1,::1"}, {"ipMatch", "10.0.0.0/8, 2001:db8::/32 ,192.168.1.77"}, {"ipMatch", "::ffff:10.1.2.3"}, {"ipMatch", "::ffff:10.1.0.0/112"}, {"ipMatch", "::/0"}, {"ipMatch", "0.0.0.0/0"},
		{"ipMatchFromFile", "networks.data"}, {"ipMatchF", "networks.data"},
	}
	for _, name := range []string{"eq", "ge", "gt", "le", "lt"} {
		for _, argument := range []string{"0", "5", "-5", "+5", "abc", "9223372036854775807", "-9223372036854775808", "99999999999999999999", "18446744073709551615"} {
			all = append(all, [2]string{name, argument})
		}
	}
	for _, name := range []string{"streq", "contains", "beginsWith", "endsWith", "within", "strmatch"} {
		for _, argument := range []string{"a", "GET HEAD POST", "abc", "|application/json|", "5", "-->"} {
			all = append(all, [2]string{name, argument})
		}
	}
	return all
}

// judgedValues makes n texts of numbers, addresses, words and attacks, and the values of the transformations.
func judgedValues(n int) []string {
	parts := []string{
		"0", "5", "-5", "+5", "+", "-", "4", "6", "05", "5 ", "0x5", "5_0", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
		"18446744073709551615", "18446744073709551616", "99999999999999999999", "-99999999999999999999", "9300000000000000000x", "99999999999999999999x", "1e3",
		"127.0.0.1", "127.0.0.01", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::ffff:7f00:1", "fe80::1%eth0", "10.1.2.3", "10.1.2.3.4", "10.1.2", "192.168.1.77", "2001:db8::5", "2001:DB8::5", "[::1]",
		"::ffff:10.1.2.3", "::10.1.2.3", "300.1.1.1", "10.1.2.3 ", "a", "abc", "ab", "GET", "HEAD", "GET HEAD", "|application/json|", "-->", "", "%41", "%4", "%", "%zz", "\xff", "ä", "\xed\xa0\x80",
		"1' or '1'='1", "1 union select 1", "' or 1=1--", "admin'--", "1;drop table x", "\" or sleep(5)#", "it's one", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "javascript:alert(1)", "<a href=x>", "<b>", "a < b", "x' onclick='y", "<!--", "<svg/onload=1>",
	}
	r := rand.New(rand.NewPCG(3, 4))
	all := slices.Clone(parts)
	for len(all) < n {
		s := parts[r.IntN(len(parts))]
		for range r.IntN(3) {
			s += []string{"", " ", "/**/", "'", "\"", "%00"}[r.IntN(6)] + parts[r.IntN(len(parts))]
		}
		if b := []byte(s); r.IntN(3) == 0 && len(b) > 0 {
			b[r.IntN(len(b))] = byte(r.IntN(256))
			s = string(b)
		}
		all = append(all, s)
	}
	return append(all, values(9, n)...)
}

func TestJudgesAreCorazas(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "networks.data"), []byte("# ours\n 10.0.0.0/8 \r\n\n2001:db8::/32,127.0.0.1"), 0o600); err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	rules.WriteString("SecRuleEngine On\nSecArgumentsLimit 1000000\n")
	var ours []judge.Judge
	for i, o := range judged() {
		j, err := judge.New(o[0], o[1], os.DirFS(dir))
		if err != nil {
			t.Fatal(err)
		}
		ours = append(ours, j)
		argument := o[1]
		if strings.Contains(o[0], "ipMatchF") {
			argument = filepath.Join(dir, argument)
		}
		fmt.Fprintf(&rules, "SecRule ARGS_GET \"@%s %s\" \"id:%d,phase:1,pass,log,capture,msg:'%%{TX.0}'\"\n", o[0], argument, i+1)
	}
	waf := corazaWAF(t, rules.String())
	all := judgedValues(12_000)
	wrong := 0
	for len(all) > 0 {
		batch := all[:min(len(all), 1000)]
		all = all[len(batch):]
		tx := waf.NewTransaction()
		for i, v := range batch {
			tx.AddGetRequestArgument(fmt.Sprint(i), v)
		}
		tx.ProcessRequestHeaders()
		matched := make(map[int]map[string]string) // rule to the argument's name to what was captured
		for _, m := range tx.MatchedRules() {
			matched[m.Rule().ID()] = make(map[string]string)
			for _, d := range m.MatchedDatas() {
				matched[m.Rule().ID()][d.Key()] = d.Message()
			}
		}
		for i, j := range ours {
			for k, v := range batch {
				captured, want := matched[i+1][fmt.Sprint(k)]
				found, got := j(v)
				if got != want || got && judged()[i][0] == "detectSQLi" && found != captured {
					if wrong++; wrong <= 40 {
						t.Errorf("@%s %s on %q: got %v %q, want %v %q", judged()[i][0], judged()[i][1], v, got, found, want, captured)
					}
				}
			}
		}
		if err := tx.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if wrong > 0 {
		t.Errorf("%d verdicts differ", wrong)
	}
}

// TestPhrasesAreCorazas: what Coraza finds with @pm and @pmFromFile is what a plain search for our phrases finds.
func TestPhrasesAreCorazas(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "words.data")
	if err := os.WriteFile(file, []byte("# words\n Union Select \r\n\nÄpfel\n#no\n|41|\nc#d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const list = "AppleWebKit <!-- ( ?> ÄB |42|"
	phrases, err := judge.Phrases(list)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := judge.PhraseFiles("words.data", os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	waf := corazaWAF(t, "SecRuleEngine On\nSecArgumentsLimit 1000000\n"+
		"SecRule ARGS_GET \"@pm "+list+"\" \"id:1,phase:1,pass,log\"\nSecRule ARGS_GET \"@pmFromFile "+file+"\" \"id:2,phase:1,pass,log\"\n")
	r := rand.New(rand.NewPCG(5, 6))
	parts := append(append([]string{"UNION", "select", "Ä", "ä", "A", "B", "|41|", "#no", "c#D", "# words", "apple", "%", "\xff", " "}, phrases...), lines...)
	tx := waf.NewTransaction()
	var all []string
	for range 20_000 {
		s := ""
		for range 1 + r.IntN(4) {
			part := parts[r.IntN(len(parts))]
			if r.IntN(3) == 0 {
				part = strings.ToUpper(part)
			}
			s += part[r.IntN(1+r.IntN(len(part))):]
		}
		all = append(all, s)
		tx.AddGetRequestArgument(fmt.Sprint(len(all)-1), s)
	}
	tx.ProcessRequestHeaders()
	want := [3]map[string]bool{1: {}, 2: {}}
	for _, m := range tx.MatchedRules() {
		for _, d := range m.MatchedDatas() {
			want[m.Rule().ID()][d.Key()] = true
		}
	}
	for i, s := range all {
		for id, list := range map[int][]string{1: phrases, 2: lines} {
			got := slices.ContainsFunc(list, func(p string) bool { return strings.Contains(asciiLower(s), p) })
			if got != want[id][fmt.Sprint(i)] {
				t.Errorf("rule %d on %q: got %v, want %v", id, s, got, !got)
			}
		}
	}
	if err := tx.Close(); err != nil {
		t.Fatal(err)
	}
}

func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
