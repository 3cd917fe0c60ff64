package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/decision"
)

// FuzzImport: no list keeps more in memory than a part, and no decision of it lasts less than a second.
func FuzzImport(f *testing.F) {
	for _, seed := range []string{"192.0.2.7\n# x\n2001:db8::/64 ; y", `{"target":"192.0.2.7","until":"2027-01-01T00:00:00Z"}`, "[{'sshd': ['192.0.2.7']}]",
		`[{"value":"192.0.2.7","scope":"Ip","type":"ban","duration":"4h"}]`, `[{"decisions":[{"value":"x","scope":"Ip","duration":"1h"}]}]`, "[", "{", "[{}]", "\ufeff192.0.2.7",
		`[{"decisions":null}]`, `[1]`, "{}\n{\"target\":1}", strings.Repeat("a", 70_000), "\x1f\x8bx", "a\x00b", `{"target":"192.0.2.7","seconds":-5}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l := &importer{s: streams{out: io.Discard, err: io.Discard}, now: time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)}
		l.send = func() error {
			if len(l.in.Decisions) > decision.MaxBatch {
				t.Errorf("%d decisions at once", len(l.in.Decisions))
			}
			for _, d := range l.in.Decisions {
				if d.Seconds < 0 {
					t.Errorf("got %+v", d)
				}
			}
			l.in.Decisions = l.in.Decisions[:0]
			return nil
		}
		_ = l.read(strings.NewReader(text)) // an error is one way to answer
		if len(l.report.Refused) > 100 {
			t.Errorf("%d refusals are kept", len(l.report.Refused))
		}
	})
}

// TestImportOddLists: a line that cannot be read holds up no other, and a file that is no list says what it is.
func TestImportOddLists(t *testing.T) {
	long := strings.Repeat("1", 200_000)
	for _, c := range []struct{ list, took, refused, problem string }{
		{"192.0.2.1\n" + long + "\n192.0.2.2\r\n", "192.0.2.1 192.0.2.2", "line 2: is longer than 65536 bytes", ""},
		{`{"target":"192.0.2.1"}` + "\n{\"target\":\"" + long + "\"}\n" + `{"target":"192.0.2.2"}`, "192.0.2.1 192.0.2.2", "line 2: is longer than 65536 bytes", ""},
		{long, "", "line 1: is longer than 65536 bytes", ""},
		{`{"target":"192.0.2.1","seconds":-5}`, "", "192.0.2.1: lasts less than a second", ""},
		{`{"target":"192.0.2.1","seconds":9223372036854775807}`, "", "more than ten years", ""},
		{`{"target":"192.0.2.1","until":"9999-01-01T00:00:00Z"}`, "", "more than ten years", ""},
		{`[{"value":"192.0.2.1","scope":"Ip","type":"ban","duration":"9999999h"}]`, "", `the duration "9999999h"`, ""},
		{"\x1f\x8b\x08\x00", "", "", "packed with gzip"},
		{"\xff\xfe1\x009\x00", "", "", "no text"},
	} {
		l := &importer{s: streams{out: io.Discard, err: io.Discard}, now: time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)}
		var took, refused []string
		l.send = func() error {
			for _, d := range l.in.Decisions {
				took = append(took, d.Target)
			}
			return nil
		}
		err, problem := l.read(strings.NewReader(c.list)), ""
		if err != nil {
			problem = err.Error()
		}
		for _, r := range l.report.Refused {
			refused = append(refused, r.Target+": "+r.Problem)
		}
		if strings.Join(took, " ") != c.took || !strings.Contains(strings.Join(refused, ", "), c.refused) || (problem == "") != (c.problem == "") || !strings.Contains(problem, c.problem) {
			t.Errorf("%.60q: took %q, refused %.200q, %q; want %q, %q, %q", c.list, took, refused, problem, c.took, c.refused, c.problem)
		}
	}
}
