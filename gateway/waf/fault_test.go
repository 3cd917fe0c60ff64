package waf_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/gateway/waf"
)

// asked is what a site is told of r.
func asked(r *http.Request) waf.Request {
	return waf.Request{ID: "id", Client: netip.MustParseAddr("192.0.2.7"), Host: "desk.example", URI: r.RequestURI,
		Covers: func(string) bool { return false }}
}

// pairs is a form of n harmless pairs.
func pairs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "&a%d=%d", i, i)
	}
	return b.String()[1:]
}

func formRequest(body string) *http.Request {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	r.Header.Set("Accept", "text/html")
	return r
}

// brokenBody panics when it is read for the second time.
type brokenBody struct{ read bool }

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.read {
		panic("broken body")
	}
	b.read = true
	return copy(p, "a=1"), nil
}

// TestFaults: what the engine could not judge is refused where the site blocks, passes whole where it only tells, and is told
// in both cases.
func TestFaults(t *testing.T) {
	e := engine(t, waf.Doorward) // for all of them: compiling takes a second
	t.Run("reading", func(t *testing.T) { testFaultWhileReading(t, e) })
	t.Run("answers", func(t *testing.T) { testFaultsOfAnswers(t, e) })
	t.Run("end", func(t *testing.T) { testFaultAtTheEnd(t, e) })
	t.Run("rules before limits", func(t *testing.T) { testRulesBeforeLimits(t, e) })
	for _, mode := range []waf.Mode{waf.Block, waf.Detect} {
		for _, c := range []struct {
			name   string
			broken func(*waf.Site) // before the request
			begun  func(*waf.Inspection)
			body   string
			kind   waf.FaultKind
			step   string
		}{
			{"rules", (*waf.Site).BreakRules, nil, "a=1", waf.Rules, "request-headers"},
			{"panic", nil, (*waf.Inspection).Break, "a=1", waf.Panic, "request-body"},
			{"limit", nil, nil, pairs(1001), waf.Limit, "request-body"},
			{"none", nil, nil, pairs(1000), "", ""},
		} {
			t.Run(string(mode)+" "+c.name, func(t *testing.T) {
				o := siteOptions()
				o.Mode, o.Answers = mode, waf.Off
				s, err := e.Site(o)
				if err != nil {
					t.Fatal(err)
				}
				if c.broken != nil {
					c.broken(s)
				}
				before := e.Stats()
				r := formRequest(c.body)
				i, verdict, err := s.Inspect(r, asked(r), time.Now())
				body := r.Body
				if verdict == nil && err == nil {
					if c.begun != nil {
						c.begun(i)
					}
					body, verdict, err = i.Body(r.Body)
				}
				if verdict != nil {
					t.Errorf("refused by rule %d", verdict.Rule)
				}
				var f *waf.Fault
				closed := mode == waf.Block && c.kind != ""
				if errors.As(err, &f) != closed || err != nil && f == nil {
					t.Fatalf("got the error %v; closed should be %v", err, closed)
				}
				if err == nil {
					if got, err := io.ReadAll(body); err != nil || string(got) != c.body {
						t.Errorf("%d bytes are passed on, %v; want all %d", len(got), err, len(c.body))
					}
				}
				report := i.Finish(time.Now(), nil)
				if c.kind == "" {
					if report != nil {
						t.Errorf("got %+v, want nothing to report", report)
					}
					return
				}
				if report == nil || report.Fault == nil || report.Fault.Kind != c.kind || report.Fault.Step != c.step || report.Closed != closed || report.Found() {
					t.Fatalf("got %+v, want a fault %s in %s, closed %v, and no finding", report, c.kind, c.step, closed)
				}
				after := e.Stats()
				counts := map[waf.FaultKind]uint64{waf.Panic: after.Panics - before.Panics, waf.Limit: after.Limits - before.Limits, waf.Rules: after.Rules - before.Rules}
				for kind, n := range counts {
					if kind == c.kind && n != 1 || kind != c.kind && n != 0 {
						t.Errorf("%d faults %s are counted", n, kind)
					}
				}
				if after.Memory != 0 || after.Detected != before.Detected {
					t.Errorf("%d bytes are still taken, %d findings are counted", after.Memory, after.Detected-before.Detected)
				}
			})
		}
	}
}

// testRulesBeforeLimits: a request with too many pairs and an attack among those that are looked at is refused by rules.
func testRulesBeforeLimits(t *testing.T, e *waf.Engine) {
	s, err := e.Site(siteOptions())
	if err != nil {
		t.Fatal(err)
	}
	r := formRequest("q=%3Cscript%3Ealert(1)%3C/script%3E&" + pairs(1001))
	i, verdict, err := s.Inspect(r, asked(r), time.Now())
	if verdict == nil && err == nil {
		_, verdict, err = i.Body(r.Body)
	}
	report := i.Finish(time.Now(), nil)
	if verdict == nil || err != nil || report.Fault != nil || report.Refused == nil {
		t.Errorf("got %+v and %v, report %+v", verdict, err, report)
	}
}

// testFaultWhileReading: a panic gives back what was taken for the body.
func testFaultWhileReading(t *testing.T, e *waf.Engine) {
	s, err := e.Site(siteOptions())
	if err != nil {
		t.Fatal(err)
	}
	r := formRequest("")
	r.Body, r.ContentLength = io.NopCloser(&brokenBody{}), 6
	i, _, err := s.Inspect(r, asked(r), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var f *waf.Fault
	if _, _, err = i.Body(r.Body); !errors.As(err, &f) || f.Kind != waf.Panic || !strings.Contains(f.Error(), "broken body") || !strings.Contains(f.Stack, "brokenBody") {
		t.Errorf("got %v with the stack %q", err, f.Stack)
	}
	if i.Finish(time.Now(), nil); e.Stats().Memory != 0 {
		t.Errorf("%d bytes are still taken", e.Stats().Memory)
	}
}

// testFaultsOfAnswers: an answer that could not be judged is withheld only where answers are refused.
func testFaultsOfAnswers(t *testing.T, e *waf.Engine) {
	for _, c := range []struct {
		answers waf.Mode
		late    bool // the panic comes while the body passes
		step    string
		closed  bool
	}{
		{waf.Block, false, "answer-headers", true},
		{waf.Detect, false, "answer-headers", false},
		{waf.Detect, true, "answer-body", false},
	} {
		o := siteOptions()
		o.Answers = c.answers
		s, err := e.Site(o)
		if err != nil {
			t.Fatal(err)
		}
		r := formRequest("a=1")
		i, _, err := s.Inspect(r, asked(r), time.Now())
		if err == nil {
			_, _, err = i.Body(r.Body)
		}
		if err != nil {
			t.Fatal(err)
		}
		const page = "<html>hello</html>"
		res := &http.Response{StatusCode: 200, Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"text/html"}}, Body: io.NopCloser(strings.NewReader(page))}
		if !c.late {
			i.Break()
		}
		_, err = i.Answer(res)
		if c.late {
			i.Break()
		}
		if (err != nil) != c.closed {
			t.Errorf("answers %s: got %v", c.answers, err)
		}
		if got, err := io.ReadAll(res.Body); !c.closed && (err != nil || string(got) != page) {
			t.Errorf("answers %s: got %q, %v", c.answers, got, err)
		}
		report := i.Finish(time.Now(), nil)
		if report == nil || report.Fault == nil || report.Fault.Step != c.step || report.Closed != c.closed {
			t.Errorf("answers %s: got %+v, want a fault in %s, closed %v", c.answers, report, c.step, c.closed)
		}
	}
	if got := e.Stats().Memory; got != 0 {
		t.Errorf("%d bytes are still taken", got)
	}
}

// testFaultAtTheEnd: what fails when the answer is out is told and closes nothing; a panic of somebody else passes through.
func testFaultAtTheEnd(t *testing.T, e *waf.Engine) {
	s, err := e.Site(siteOptions())
	if err != nil {
		t.Fatal(err)
	}
	begin := func() *waf.Inspection {
		r := formRequest("a=1")
		i, _, err := s.Inspect(r, asked(r), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	i := begin()
	i.Break()
	if report := i.Finish(time.Now(), nil); report == nil || report.Fault == nil || report.Fault.Step != "end" || report.Closed {
		t.Errorf("got %+v, want a fault at the end", report)
	}
	var report *waf.Report
	var met any
	func() {
		defer func() { met = recover() }()
		i := begin()
		defer func() { report = i.Finish(time.Now(), nil) }()
		panic("of somebody else")
	}()
	if met != "of somebody else" || report != nil {
		t.Errorf("got the panic %v and %+v", met, report)
	}
}
