package judge_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/corazawaf/libinjection-go"

	"github.com/doorward/doorward/seclang/judge"
)

func data() fstest.MapFS {
	return fstest.MapFS{
		"words.data":    {Data: []byte("# words\n\n  Union Select \r\nÄpfel\n#not this\n|41|\n")},
		"networks.data": {Data: []byte("10.0.0.0/8\n# us\n2001:db8::/32, 192.0.2.7\n")},
		"bad.data":      {Data: []byte("10.0.0.0/8\nlocalhost\n")},
		"empty.data":    {Data: []byte("# nothing\n")},
	}
}

func TestJudges(t *testing.T) {
	for _, c := range []struct{ name, argument, yes, no string }{
		{"beginsWith", "GET", "GET /", " GET"},
		{"contains", "b", "abc", "aBc"},
		{"containsWord", "cat", "a cat_ cat!", "cats _cat"},
		{"detectSQLi", "", "1' or '1'='1", "it's one"},
		{"detectXSS", "", "<script>", "a < b"},
		{"endsWith", ".pdf", "a.pdf", "a.pdf "},
		{"eq", "0", "none", "1"},
		{"eq", "9223372036854775807", "99999999999999999999", "9223372036854775806"},
		{"eq", "x", "", "-1"},
		{"ge", "5", "5", "4"},
		{"gt", "5", "+6", "5"},
		{"ipMatch", "127.0.0.1, 2001:db8::/32 ,::ffff:198.51.100.0/120", "::ffff:127.0.0.1", "127.0.0.1%lo"},
		{"ipMatch", "127.0.0.1,2001:db8::/32,::ffff:198.51.100.0/120", "198.51.100.77", "2001:db9::1"},
		{"ipMatchFromFile", "networks.data", "192.0.2.7", "192.0.2.8"},
		{"ipMatchF", "./networks.data", "10.9.8.7", ""},
		{"le", "5", "-5", "6"},
		{"lt", "5", "4", "5"},
		{"streq", "a", "a", "A"},
		{"strmatch", "b", "abc", "ac"},
		{"within", "GET HEAD POST", "HEAD", "PUT"},
		{"validateByteRange", "9, 32-126", "a\n", "a\tb"},
		{"validateUrlEncoding", "", "%41%4", "%41+%aF"},
		{"validateUtf8Encoding", "", "\xff", "ä"},
	} {
		j, err := judge.New(strings.ToUpper(c.name), c.argument, data())
		if err != nil {
			t.Errorf("@%s %s: %v", c.name, c.argument, err)
			continue
		}
		if _, ok := j(c.yes); !ok {
			t.Errorf("@%s %s: %q does not match", c.name, c.argument, c.yes)
		}
		if _, ok := j(c.no); ok {
			t.Errorf("@%s %s: %q matches", c.name, c.argument, c.no)
		}
	}
	if !slices.IsSorted(judge.Names()) {
		t.Errorf("names are not sorted: %v", judge.Names())
	}
}

func TestFingerprint(t *testing.T) {
	j, err := judge.New("detectSQLi", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if found, ok := j("1 union select 1"); !ok || found != "1UE1" {
		t.Errorf("got %q, %v; want the fingerprint 1UE1", found, ok)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ name, argument, want string }{
		{"nonsense", "", "no operator is called @nonsense"},
		{"rbl", "example.org", "operator @rbl would ask another server about every request; use the gateway's decision lists"},
		{"geoLookup", "", "operator @geoLookup is not supported; use the site's country rules"},
		{"inspectFile", "/bin/true", "operator @inspectFile would run a program on every upload"},
		{"validateSchema", "a.xsd", "operator @validateSchema is used by no published rule; write the check with @rx"},
		{"eq", "%{tx.a}", `operator @eq: the argument "%{tx.a}" has a macro, and nobody has expanded it`},
		{"validateByteRange", "32-256", `operator @validateByteRange: "256" is no number of a byte; want 0 to 255`},
		{"validateByteRange", "5-1", `operator @validateByteRange: the range "5-1" ends before it begins`},
		{"ipMatch", "10.0.0.0/8,localhost", `operator @ipMatch: "localhost" is no address and no network`},
		{"ipMatch", "::ffff:0.0.0.0/90", `operator @ipMatch: the network "::ffff:0.0.0.0/90" holds IPv4 and IPv6 addresses; name them apart`},
		{"ipMatchFromFile", "bad.data", `operator @ipMatchFromFile: "localhost" is no address and no network`},
		{"ipMatchFromFile", "../etc/passwd", "operator @ipMatchFromFile: read ../etc/passwd: the file is outside the folder of the rules"},
	} {
		if _, err := judge.New(c.name, c.argument, data()); err == nil || err.Error() != c.want {
			t.Errorf("@%s %s: got %v, want %s", c.name, c.argument, err, c.want)
		}
	}
	if _, err := judge.New("ipMatchF", "a", nil); err == nil {
		t.Error("a file is read without a folder")
	}
}

func TestPhrases(t *testing.T) {
	got, err := judge.Phrases(" AppleWebKit  <!-- É ")
	if want := []string{"applewebkit", "<!--", "é"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	got, err = judge.PhraseFiles("words.data", data())
	if want := []string{"union select", "äpfel", "|41|"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	for _, name := range []string{"", "missing.data", "empty.data", "words.data missing.data"} {
		if got, err := judge.PhraseFiles(name, data()); err == nil {
			t.Errorf("%q: got %q, want an error", name, got)
		}
	}
	if got, err := judge.Phrases(" "); err == nil {
		t.Errorf("got %q for no phrase", got)
	}
}

// FuzzJudges: none fails on any text, and the detector of scripts finds nothing where it is not asked.
func FuzzJudges(f *testing.F) {
	for _, s := range []string{"1' or 1=1--", "<svg/onload=1>", "x' onclick='y", "/*!union*/", "127.0.0.1", "%4", "\xff", "-5", "' '", "--", "1#", "`", "union", "sp_password", "unionselect"} {
		f.Add(s)
	}
	var all []judge.Judge
	for _, name := range judge.Names() {
		argument := map[string]string{"ipMatchF": "networks.data", "ipMatchFromFile": "networks.data", "ipMatch": "::1,10.0.0.0/8"}[name]
		j, err := judge.New(name, argument, data())
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, j)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, j := range all {
			j(s)
		}
		if !strings.ContainsAny(s, "<=") && libinjection.IsXSS(s) {
			t.Errorf("the detector finds a script in %q", s)
		}
		word := strings.Map(func(r rune) rune {
			if r == '_' || 'a' <= r|0x20 && r|0x20 <= 'z' {
				return r
			}
			return -1
		}, s)
		if found, _ := libinjection.IsSQLi(word); found {
			t.Errorf("the detector finds SQL in the word %q", word)
		}
	})
}

func BenchmarkJudges(b *testing.B) {
	s := "a customer writes about invoice 4711 of last week, which is wrong"
	for _, c := range []struct{ name, argument string }{
		{"detectSQLi", ""}, {"detectXSS", ""}, {"eq", "0"}, {"within", "GET HEAD POST"}, {"validateByteRange", "32-126"},
		{"validateUrlEncoding", ""}, {"validateUtf8Encoding", ""}, {"ipMatch", "127.0.0.1,::1"},
	} {
		j, err := judge.New(c.name, c.argument, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				j(s)
			}
		})
	}
}
