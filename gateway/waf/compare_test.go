package waf_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/gateway/waf"
)

// compared has every request of a site judged plainly too, and returns what was told.
func compared(t *testing.T, e *waf.Engine, s *waf.Site, requests ...*http.Request) []waf.Difference {
	t.Helper()
	told := make(chan waf.Difference, len(requests))
	e.Compare(1, func(d waf.Difference) { told <- d })
	if err := s.Ready(); err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		before := e.Stats()
		i, verdict, err := s.Inspect(r, asked(r), time.Now())
		if verdict == nil && err == nil {
			_, verdict, err = i.Body(r.Body)
		}
		if verdict == nil && err == nil {
			res := &http.Response{StatusCode: 200, Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"text/html"}},
				Body: io.NopCloser(strings.NewReader("<html>You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version</html>"))}
			if _, err = i.Answer(res); err == nil {
				_, err = io.ReadAll(res.Body)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		i.Finish(time.Now(), nil)
		for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // one at a time
			if now := e.Stats(); now.Compared+now.Skipped > before.Compared+before.Skipped && now.Memory == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatal("a request was not compared within a minute")
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e.Settle(ctx)
	close(told)
	var all []waf.Difference
	for d := range told {
		all = append(all, d)
	}
	return all
}

func requests() []*http.Request {
	return []*http.Request{plainRequest("get", 1), plainRequest("form", 2), plainRequest("json", 3),
		formRequest("q=%3Cscript%3Ealert(1)%3C/script%3E"), formRequest("q=PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=="), formRequest(pairs(900))}
}

// TestCompare: the plain way says the same of requests, attacks and answers, whatever the site does with them.
func TestCompare(t *testing.T) {
	for _, mode := range []waf.Mode{waf.Block, waf.Detect} {
		e := engine(t, waf.Doorward)
		o := siteOptions()
		o.Mode, o.Answers = mode, waf.Detect
		s, err := e.Site(o)
		if err != nil {
			t.Fatal(err)
		}
		list := requests()
		for _, d := range compared(t, e, s, list...) {
			t.Errorf("%s: %+v", mode, d)
		}
		if got := e.Stats(); got.Compared != uint64(len(list)) || got.Differed != 0 || got.Skipped != 0 {
			t.Errorf("%s: got %+v, want %d compared", mode, got, len(list))
		}
	}
}

// TestCompareTells: what differs is told and counted, a defect of the plain way too; what is large is left out.
func TestCompareTells(t *testing.T) {
	e := engine(t, waf.Doorward)
	o := siteOptions()
	s, err := e.Site(o)
	if err != nil {
		t.Fatal(err)
	}
	o.ParanoiaLevel = 4
	other, err := e.Site(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Ready(); err != nil {
		t.Fatal(err)
	}
	if err := s.CompareBy(other); err != nil {
		t.Fatal(err)
	}
	told := compared(t, e, s, formRequest("q=it%27s+%3Bhere--"), formRequest("q="+strings.Repeat("a", 300<<10)))
	if got := e.Stats(); len(told) != 1 || told[0].ID != "id" || told[0].Host != "desk.example" || !strings.Contains(told[0].What, "in the second") ||
		got.Compared != 1 || got.Differed != 1 || got.Skipped != 1 {
		t.Errorf("got %+v and %+v, want one difference of two requests, and the other skipped", told, got)
	}
}

// TestCompareSurvives: a panic of the plain way ends the comparison and nothing else.
func TestCompareSurvives(t *testing.T) {
	e := engine(t, waf.Doorward)
	s, err := e.Site(siteOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CompareBy(nil); err != nil {
		t.Fatal(err)
	}
	told := compared(t, e, s, formRequest("q=1"))
	if len(told) != 1 || told[0].Fault == nil || told[0].Fault.Kind != waf.Panic || told[0].Fault.Step != "compare" || e.Stats().Panics != 1 {
		t.Errorf("got %+v", told)
	}
}
