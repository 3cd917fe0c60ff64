package sigma_test

import (
	"strings"
	"testing"

	"github.com/doorward/doorward/detect/sigma"
)

// engine reads and compiles rules that must be good.
func engine(t testing.TB, text string, limits sigma.Limits) *sigma.Engine {
	t.Helper()
	c, err := sigma.Parse("rules.yml", []byte(text), sigma.Options{Placeholders: map[string][]string{
		"Servers": {"srv*", "db1"}, "one": {"1"}, "many": strings.Fields(strings.Repeat("x ", 2000))}})
	if err != nil {
		t.Fatalf("parse: %v\n%s", err, text)
	}
	e, err := sigma.Compile(c, limits)
	if err != nil {
		t.Fatalf("compile: %v\n%s", err, text)
	}
	return e
}

// rule is a rule around a detection, which begins at the first column.
func rule(detection string) string {
	return "title: t\nlogsource:\n    service: test\ndetection:\n    " + strings.ReplaceAll(strings.TrimSpace(detection), "\n", "\n    ") + "\n"
}

// event makes an event of name=value words; | in a value is a space. text=… is its line.
func event(words string) *sigma.Event {
	e := &sigma.Event{Source: sigma.Logsource{Service: "test"}}
	for _, word := range strings.Fields(words) {
		name, value, _ := strings.Cut(word, "=")
		value = strings.ReplaceAll(value, "|", " ")
		if name == "text" {
			e.Text = value
			continue
		}
		e.Fields = append(e.Fields, sigma.Field{Name: name, Value: value})
	}
	return e
}

// TestDetections holds single detections against events: those that must match behind yes, the others behind no.
func TestDetections(t *testing.T) {
	for name, c := range map[string]struct {
		detection string
		yes, no   []string
	}{
		"equal, case ignored": {"s:\n    A: Bär\ncondition: s", []string{"A=bÄR", "A=x A=bär"}, []string{"A=bärr", "A=", "", "B=bär"}},
		"map is and":          {"s:\n    A: 1\n    B: 2\ncondition: s", []string{"A=1 B=2"}, []string{"A=1", "A=1 B=3"}},
		"list is or":          {"s:\n    A: [1, x]\ncondition: s", []string{"A=1", "A=X"}, []string{"A=2"}},
		"list of maps":        {"s:\n    - A: 1\n    - B: 2\n      C: 3\ncondition: s", []string{"A=1", "B=2 C=3"}, []string{"B=2"}},
		"keywords":            {"k:\n    - EvilService\n    - 'svchost.exe -n evil'\ncondition: k", []string{"text=an|evilservice", "Z=svchost.exe|-n|evil"}, []string{"text=svchost.exe"}},
		"one keyword":         {"k: evil\ncondition: k", []string{"text=xevilx"}, []string{"text=xeviX"}},
		"number as keyword":   {"k: [42]\ncondition: k", []string{"text=a42b"}, []string{"text=4"}},
		"keywords all":        {"k:\n    '|all':\n        - one\n        - two\ncondition: k", []string{"text=two|one", "text=one X=two"}, []string{"text=one"}},
		"keyword regex":       {"k:\n    '|re': 'a.c$'\ncondition: k", []string{"text=xabc"}, []string{"text=abcd", "text=ABC"}},
		"keyword startswith":  {"k:\n    '|startswith': ab\ncondition: k", []string{"text=abc"}, []string{"text=xab"}},
		"wildcards":           {"s:\n    A: 'prog?.exe*x'\ncondition: s", []string{"A=progä.exe-yx", "A=PROG1.EXEX"}, []string{"A=prog.exex", "A=prog12.exex", "A=prog1.exexy"}},
		"question mark is one character": {"s:\n    A: '*??x'\ncondition: s", []string{"A=abx", "A=ä😀x"},
			[]string{"A=😀x", "A=x"}},
		"escaped star":           {`s:` + "\n    A: 'a\\*b'\ncondition: s", []string{"A=a*b"}, []string{"A=axb", `A=a\*b`}},
		"backslash and star":     {`s:` + "\n    A: 'a\\\\*'\ncondition: s", []string{`A=a\b`, `A=a\`}, []string{"A=ab", "A=a*"}},
		"both escaped":           {`s:` + "\n    A: 'a\\\\\\*'\ncondition: s", []string{`A=a\*`}, []string{`A=a\b`, `A=a*`}},
		"single backslash":       {`s:` + "\n    A: 'c:\\dir'\ncondition: s", []string{`A=C:\Dir`}, []string{"A=c:dir"}},
		"double is single":       {`s:` + "\n    A: 'c:\\\\dir'\ncondition: s", []string{`A=C:\Dir`}, []string{`A=c:\\dir`}},
		"three are double":       {`s:` + "\n    A: 'a\\\\\\b'\ncondition: s", []string{`A=a\\b`}, []string{`A=a\b`}},
		"four are double":        {`s:` + "\n    A: 'a\\\\\\\\b'\ncondition: s", []string{`A=a\\b`}, []string{`A=a\b`}},
		"null":                   {"s:\n    A: null\ncondition: s", []string{"", "B=1"}, []string{"A=", "A=1"}},
		"not null":               {"s:\n    A|neq: null\ncondition: s", []string{"A="}, []string{"B=1"}},
		"empty":                  {"s:\n    A: ''\ncondition: s", []string{"A="}, []string{"", "A=1"}},
		"true":                   {"s:\n    A: true\ncondition: s", []string{"A=True"}, []string{"A=1"}},
		"float":                  {"s:\n    A: 1.50\ncondition: s", []string{"A=1.50"}, []string{"A=1.5"}},
		"hexadecimal":            {"s:\n    A: 0x10\ncondition: s", []string{"A=16"}, []string{"A=0x10"}},
		"contains":               {"s:\n    A|contains: [b c, '*d']\ncondition: s", []string{"A=ab|Cd", "A=d"}, []string{"A=b"}},
		"contains all":           {"s:\n    A|contains|all: [x, y]\ncondition: s", []string{"A=yx"}, []string{"A=xx"}},
		"contains a number":      {"s:\n    A|contains: 46\ncondition: s", []string{"A=1464"}, []string{"A=4"}},
		"startswith":             {"s:\n    A|startswith: ab\ncondition: s", []string{"A=ABc"}, []string{"A=xab"}},
		"endswith":               {"s:\n    A|endswith: '\\cmd.exe'\ncondition: s", []string{`A=c:\CMD.exe`}, []string{"A=cmd.exe"}},
		"cased":                  {"s:\n    A|contains|cased: aB\ncondition: s", []string{"A=xaBx"}, []string{"A=xabx"}},
		"neq":                    {"s:\n    A|neq: [1, 2]\ncondition: s", []string{"A=3", ""}, []string{"A=1", "A=2"}},
		"neq contains":           {"s:\n    A|contains|neq: x\ncondition: s", []string{"A=b"}, []string{"A=axb"}},
		"re":                     {"s:\n    A|re: 'a.+[0-9]{2}'\ncondition: s", []string{"A=zab12"}, []string{"A=zAb12", "A=ab1"}},
		"re i":                   {"s:\n    A|re|i: '^a.c$'\ncondition: s", []string{"A=ABC"}, []string{"A=xabc"}},
		"re or":                  {"s:\n    A|re: ['ab', 'c{3}']\ncondition: s", []string{"A=ab", "A=cccc"}, []string{"A=cc"}},
		"re neq":                 {"s:\n    A|re|neq: ab\ncondition: s", []string{"A=ba"}, []string{"A=ab"}},
		"exists":                 {"s:\n    A|exists: true\ncondition: s", []string{"A="}, []string{"B=1"}},
		"exists not":             {"s:\n    A|exists: false\ncondition: s", []string{"B=1"}, []string{"A="}},
		"cidr 4":                 {"s:\n    A|cidr: [10.0.0.0/8, 192.0.2.0/24]\ncondition: s", []string{"A=10.1.2.3", "A=::ffff:10.0.0.1", "A=192.0.2.255"}, []string{"A=11.0.0.1", "A=10.0.0", "A=x"}},
		"cidr 6":                 {"s:\n    A|cidr: '2001:db8::/32'\ncondition: s", []string{"A=2001:DB8:1::1", "A=2001:db8::1%eth0"}, []string{"A=2001:db9::1", "A=10.0.0.1"}},
		"gt":                     {"s:\n    A|gt: 9\ncondition: s", []string{"A=10", "A=9.5", "A=1e3"}, []string{"A=9", "A=x", "A=inf", "A=NaN", "A=0x99", "A="}},
		"range":                  {"s:\n    A|gte: 2\n    A|lte: 4\ncondition: s", []string{"A=2", "A=4"}, []string{"A=1", "A=5"}},
		"lt":                     {"s:\n    A|lt: -1.5\ncondition: s", []string{"A=-2"}, []string{"A=-1.5"}},
		"hour":                   {"s:\n    A|hour: [22, 23]\ncondition: s", []string{"A=2026-11-25T22:01:02Z", "A=2026-11-25T23:00:00+05:00", "A=2026-11-25|22:00:00"}, []string{"A=2026-11-25T21:00:00Z", "A=22"}},
		"minute":                 {"s:\n    A|minute: 1\ncondition: s", []string{"A=2026-11-25T22:01:02.5Z"}, []string{"A=2026-11-25T22:02:02Z"}},
		"day, week, month, year": {"s:\n    A|day: 25\n    A|week: 48\n    A|month: 11\n    A|year: 2026\ncondition: s", []string{"A=2026-11-25"}, []string{"A=2026-11-26", "A=2025-11-25"}},
		"windash":                {"s:\n    A|contains|windash: ' -a-b'\ncondition: s", []string{"A=x|/a-b", "A=x|–a-b", "A=x|-a-b", "A=x|―a-b", "A=x|—A-b"}, []string{"A=x|-a/b", "A=x|a-b"}},
		"base64":                 {"s:\n    A|base64: 'foobar'\ncondition: s", []string{"A=Zm9vYmFy"}, []string{"A=foobar"}},
		"base64 wide":            {"s:\n    A|wide|base64|contains: 'cmd'\ncondition: s", []string{"A=xYwBtAGQAx"}, []string{"A=Y21k"}},
		"utf16be base64":         {"s:\n    A|utf16be|base64|contains: 'cmd'\ncondition: s", []string{"A=AGMAbQBk"}, []string{"A=YwBtAGQA"}},
		"utf16 base64":           {"s:\n    A|utf16|base64|contains: 'cmd'\ncondition: s", []string{"A=//5jAG0AZAA="}, []string{"A=YwBtAGQA"}},
		"base64offset":           {"s:\n    A|base64offset|contains: 'foobar'\ncondition: s", []string{"A=Zm9vYmFy", "A=eGZvb2Jhcng=", "A=eHhmb29iYXJ4"}, []string{"A=Zm9vYm"}},
		"expand":                 {"s:\n    A|expand: '%Servers%.%one%'\ncondition: s", []string{"A=srvX.1", "A=DB1.1"}, []string{"A=%Servers%.1", "A=db2.1"}},
		"expand escaped":         {"s:\n    A|expand: '\\%plain%one%'\ncondition: s", []string{"A=%plain1"}, []string{"A=1"}},
		"percent without expand": {"s:\n    A: '%one%'\ncondition: s", []string{"A=%one%"}, []string{"A=1"}},
		"fieldref":               {"s:\n    A|fieldref: B\ncondition: s", []string{"A=x B=X", "A=1 A=2 B=2"}, []string{"A=x B=y", "A=x", "B=x", ""}},
		"fieldref startswith":    {"s:\n    A|fieldref|startswith: B\ncondition: s", []string{"A=xyz B=XY"}, []string{"A=axy B=xy"}},
		"fieldref cased endswith": {"s:\n    A|fieldref|endswith|cased: B\ncondition: s", []string{"A=xyZ B=yZ"},
			[]string{"A=xyz B=yZ"}},
		"fieldref contains": {"s:\n    A|fieldref|contains: B\ncondition: s", []string{"A=xyz B=y"}, []string{"A=xz B=y"}},
		"fieldref neq":      {"s:\n    A|fieldref|neq: B\ncondition: s", []string{"A=x B=y"}, []string{"A=x B=x"}},
		"precedence":        {"a:\n    A: 1\nb:\n    B: 1\nc:\n    C: 1\ncondition: a or b and not c", []string{"A=1 C=1", "B=1"}, []string{"B=1 C=1", "C=1"}},
		"brackets":          {"a:\n    A: 1\nb:\n    B: 1\nc:\n    C: 1\ncondition: (a or b) and not (c)", []string{"A=1"}, []string{"A=1 C=1"}},
		"not not":           {"a:\n    A: 1\ncondition: not not a", []string{"A=1"}, []string{"A=2"}},
		"1 of":              {"s_1:\n    A: 1\ns_2:\n    B: 1\nx:\n    C: 1\ncondition: 1 of s_* and not x", []string{"A=1", "B=1"}, []string{"C=1", "A=1 C=1"}},
		"all of":            {"a_s:\n    A: 1\nb_s:\n    B: 1\ncondition: all of *_s", []string{"A=1 B=1"}, []string{"A=1"}},
		"1 of them":         {"a:\n    A: 1\n_b:\n    B: 1\ncondition: 1 of them", []string{"A=1"}, []string{"B=1"}},
		"all of them":       {"a:\n    A: 1\nb:\n    B: 1\n_c:\n    C: 1\ncondition: all of them", []string{"A=1 B=1"}, []string{"B=1"}},
		"list of conditions": {"a:\n    A: 1\nb:\n    B: 1\ncondition:\n    - a\n    - b", []string{"A=1", "B=1"},
			[]string{"C=1"}},
		"any value of a field": {"s:\n    A|endswith: x\ncondition: s", []string{"A=1 A=2x A=3"}, []string{"A=1 A=2"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := rule(c.detection)
			sieved, plain := engine(t, text, sigma.Limits{}), engine(t, text, sigma.Limits{}).WithoutSieve()
			for i, words := range append(append([]string{}, c.yes...), c.no...) {
				want := i < len(c.yes)
				if got := len(plain.Process(event(words))) == 1; got != want {
					t.Errorf("event %q: got a match %t, want %t", words, got, want)
				}
				if got := len(sieved.Process(event(words))) == 1; got != want {
					t.Errorf("event %q, rules chosen by literals: got a match %t, want %t", words, got, want)
				}
			}
		})
	}
}

// TestLongValues: multi-line regular expressions, values with NUL and without valid UTF-8.
func TestLongValues(t *testing.T) {
	for _, c := range []struct {
		detection, value string
		want             bool
	}{
		{"s:\n    A|re|m: '^b$'\ncondition: s", "a\nb\nc", true},
		{"s:\n    A|re: '^b$'\ncondition: s", "a\nb\nc", false},
		{"s:\n    A|re|s: 'a.b'\ncondition: s", "a\nb", true},
		{"s:\n    A|re: 'a.b'\ncondition: s", "a\nb", false},
		{"s:\n    A|re|i|m|s: '^B.c'\ncondition: s", "a\nb\nC", true},
		{"s:\n    A|re|i: 'pass'\ncondition: s", "paſs", true}, // the long s is an s
		{"s:\n    A|re|i: 'kill'\ncondition: s", "\u212aILL", true},
		{"s:\n    A|wide|contains: 'cmd'\ncondition: s", "xC\x00m\x00d\x00", true},
		{"s:\n    A|contains: b\ncondition: s", "a\x00\xff\xfeB", true},
		{"s:\n    A: \"a\\0b\"\ncondition: s", "a\x00B", true},
		{"s:\n    A|contains: '?é'\ncondition: s", "\xc3É", true},
		{"s:\n    A: 'a*b*c*d*e*f?g'\ncondition: s", strings.Repeat("abcdef", 20_000), false},
	} {
		e := &sigma.Event{Source: sigma.Logsource{Service: "test"}, Fields: []sigma.Field{{Name: "A", Value: c.value}}}
		for _, en := range []*sigma.Engine{engine(t, rule(c.detection), sigma.Limits{}), engine(t, rule(c.detection), sigma.Limits{}).WithoutSieve()} {
			if got := len(en.Process(e)) == 1; got != c.want {
				t.Errorf("%s\n%.40q: got %t, want %t", c.detection, c.value, got, c.want)
			}
		}
	}
}

// TestFileForms: line ends of other systems, the mark that some editors begin a file with, comments, and texts of several lines.
func TestFileForms(t *testing.T) {
	text := rule("s:\n    A: foo # why\n    # and why\n    B: |\n        x\n        y\n    C: >-\n        p\n        q\ncondition: s")
	ev := &sigma.Event{Source: sigma.Logsource{Service: "test"}, Fields: []sigma.Field{{Name: "A", Value: "foo"}, {Name: "B", Value: "x\ny\n"}, {Name: "C", Value: "p q"}}}
	for _, text := range []string{text, "\ufeff" + text, strings.ReplaceAll(text, "\n", "\r\n"), "---\n" + text + "---\n# nothing\n...\n"} {
		if got := engine(t, text, sigma.Limits{}).Process(ev); len(got) != 1 {
			t.Errorf("%q: got %d matches, want 1", text, len(got))
		}
	}
}

// TestLogsource: a rule meets events of its logsource only; a part it leaves out is any.
func TestLogsource(t *testing.T) {
	doc := func(title, source string) string {
		return "title: " + title + "\nlogsource: {" + source + "}\ndetection:\n    s:\n        A: 1\n    condition: s\n---\n"
	}
	e := engine(t, doc("linux", "product: linux")+doc("sshd", "product: linux, service: sshd")+doc("web", "category: webserver"), sigma.Limits{})
	for _, c := range []struct {
		source sigma.Logsource
		want   string
	}{
		{sigma.Logsource{Product: "linux", Service: "sshd"}, "linux sshd"},
		{sigma.Logsource{Product: "linux", Service: "cron"}, "linux"},
		{sigma.Logsource{Product: "linux", Category: "webserver", Service: "apache"}, "linux web"},
		{sigma.Logsource{Category: "webserver"}, "web"},
		{sigma.Logsource{Service: "sshd"}, ""},
		{sigma.Logsource{}, ""},
	} {
		var got []string
		for _, m := range e.Process(&sigma.Event{Source: c.source, Fields: []sigma.Field{{Name: "A", Value: "1"}}}) {
			got = append(got, m.Head().Title)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: got %v, want %v", c.source, got, c.want)
		}
	}
}

// TestFilters: a filter's condition must hold too, for the rules it names or all of its logsource.
func TestFilters(t *testing.T) {
	const rules = `title: a
name: rule_a
logsource: {product: linux, service: test}
detection:
    s:
        A: 1
    condition: s
---
title: b
id: 6f3e2987-db24-4c78-a860-b4f4095a7095
logsource: {service: test}
detection:
    s:
        A: 1
    condition: s
---
title: f
logsource: {%s}
filter:
    rules: %s
    selection:
        User|startswith: adm_
    condition: not selection
`
	for _, c := range []struct{ source, names, user, want string }{
		{"service: test", "[rule_a]", "adm_x", "b"},
		{"service: test", "6f3e2987-DB24-4c78-a860-b4f4095a7095", "adm_x", "a"},
		{"service: test", "any", "adm_x", ""},
		{"product: linux", "any", "adm_x", "b"},
		{"service: test", "any", "bob", "ab"},
	} {
		e := engine(t, strings.NewReplacer("{%s}", "{"+c.source+"}", "%s", c.names).Replace(rules), sigma.Limits{})
		got := ""
		for _, m := range e.Process(&sigma.Event{Source: sigma.Logsource{Product: "linux", Service: "test"},
			Fields: []sigma.Field{{Name: "A", Value: "1"}, {Name: "User", Value: c.user}}}) {
			got += m.Rule.Title
		}
		if got != c.want {
			t.Errorf("filter for %s of %s, user %s: got %q, want %q", c.names, c.source, c.user, got, c.want)
		}
	}
}
