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
		`[{"decisions":null}]`, `[1]`, "{}\n{\"target\":1}", strings.Repeat("a", 70_000)} {
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
