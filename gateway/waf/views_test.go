package waf_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/doorward/doorward/gateway/waf"
)

// TestReportNamesTheView shows that a report says in which form of a value something was found, and that an exclusion for the
// parameter is one for its views.
func TestReportNamesTheView(t *testing.T) {
	e := engine(t, waf.Doorward)
	o := waf.SiteOptions{Mode: waf.Block, Answers: waf.Off, ParanoiaLevel: 1, InboundThreshold: 5, OutboundThreshold: 4, BodyLimit: 1 << 20,
		AnswerLimit: 1 << 10}
	for _, c := range []struct {
		name       string
		exclusions []waf.Exclusion
		refused    bool
	}{
		{"without exclusions", nil, true},
		{"with one for the parameter", []waf.Exclusion{{Tags: []string{"attack-xss"}, Target: "ARGS:q"}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			o.Exclusions = c.exclusions
			s, err := e.Site(o)
			if err != nil {
				t.Fatal(err)
			}
			now := time.Unix(1700000000, 0)
			r := request(t, entry{place: "query", coding: "json", text: "PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=="})
			i, verdict, err := s.Inspect(r, waf.Request{ID: "id", Client: netip.MustParseAddr("192.0.2.7"), Host: "desk.example", URI: r.RequestURI,
				Covers: func(string) bool { return true }}, now)
			if err != nil {
				t.Fatal(err)
			}
			if verdict == nil {
				_, verdict, err = i.Body(r.Body)
			}
			if err != nil || (verdict != nil) != c.refused {
				t.Fatalf("got %+v and %v", verdict, err)
			}
			report := i.Finish(now, nil)
			if c.refused {
				if h := report.Hits[0]; h.View != "json base64" || h.Variable != "ARGS:q" || h.Value != "<script>alert(1)</script>" {
					t.Errorf("got %+v", h)
				}
			}
		})
	}
}
