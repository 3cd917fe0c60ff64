package waf_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/gateway/waf"
)

// TestAnswersAreBounded: of an answer the rules see what fits into the limit, also of one that is unpacked for them, and all of it is passed on.
func TestAnswersAreBounded(t *testing.T) {
	const leak = "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version"
	e := engine(t, waf.CRS)
	o := siteOptions()
	o.AnswerLimit, o.Answers = 10_000, waf.Block
	s, err := e.Site(o)
	if err != nil {
		t.Fatal(err)
	}
	for before, found := range map[int]bool{o.AnswerLimit - len(leak): true, o.AnswerLimit: false, 20 << 20: false} {
		for _, coding := range []string{"", "gzip"} {
			r := formRequest("a=1")
			i, _, err := s.Inspect(r, asked(r), time.Now())
			if err == nil {
				_, _, err = i.Body(r.Body)
			}
			if err != nil {
				t.Fatal(err)
			}
			text := []byte(strings.Repeat("x", before) + leak)
			if coding != "" {
				var packed bytes.Buffer
				z := gzip.NewWriter(&packed)
				z.Write(text)
				z.Close()
				text = packed.Bytes()
			}
			res := &http.Response{StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"text/html"}}, Body: io.NopCloser(bytes.NewReader(text))}
			if coding != "" {
				res.Header.Set("Content-Encoding", coding)
			}
			v, err := i.Answer(res)
			if (v != nil) != found || err != nil {
				t.Errorf("%d bytes before the leak, %q: refused %v, %v; want %v", before, coding, v != nil, err, found)
			}
			if passed, err := io.ReadAll(res.Body); v == nil && (err != nil || !bytes.Equal(passed, text)) {
				t.Errorf("%d bytes before the leak, %q: %d of %d bytes are passed on, %v", before, coding, len(passed), len(text), err)
			}
			i.Finish(time.Now(), nil)
		}
	}
	if held := e.Stats().Memory; held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
}

// TestFieldsBeforeRules: a body with more besides files than the site's limit is refused before rules see what it holds; at the limit they do.
// A multipart body whose length is not twice the limit is read whole before it is counted.
func TestFieldsBeforeRules(t *testing.T) {
	e := engine(t, waf.CRS)
	const most = 5000
	attack := "<script>alert(1)</script>"
	form := func(n int) string { return "a=" + attack + "&b=" + strings.Repeat("b", n-len("a="+attack+"&b=")) }
	parts := func(n int) string {
		front := "--limit\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\n"
		back := "\r\n--limit\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n" + attack
		end := "\r\n--limit--\r\n"
		return front + strings.Repeat("c", most/2) + back + strings.Repeat("b", n-len(front+back+end)) + end
	}
	for _, c := range []struct {
		kind string
		body func(n int) string
	}{{formKind, form}, {"multipart/form-data; boundary=limit", parts}} {
		for _, mode := range []waf.Mode{waf.Block, waf.Detect} {
			o := siteOptions()
			o.Mode, o.Answers, o.FieldsLimit = mode, waf.Off, most
			s, err := e.Site(o)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range []int{most, most + 1} {
				r := formRequest(c.body(n))
				r.Header.Set("Content-Type", c.kind)
				i, _, err := s.Inspect(r, asked(r), time.Now())
				if err != nil {
					t.Fatal(err)
				}
				body, verdict, err := i.Body(r.Body)
				over := n > most
				if errors.Is(err, waf.ErrFields) != (over && mode == waf.Block) || (verdict != nil) != (!over && mode == waf.Block) {
					t.Errorf("%s, %s, %d bytes: %v, %v", c.kind, mode, n, err, verdict)
				}
				if passed, err := io.ReadAll(body); err != nil || string(passed) != c.body(n) {
					t.Errorf("%s, %s, %d bytes: %d are passed on, %v", c.kind, mode, n, len(passed), err)
				}
				report := i.Finish(time.Now(), nil)
				if report == nil || (report.Exceeded != nil) != over || len(report.Hits) == 0 && !(over && mode == waf.Block) {
					t.Fatalf("%s, %s, %d bytes: got %+v", c.kind, mode, n, report)
				}
				if x := report.Exceeded; over && (x.Setting != "fields_limit" || x.Limit != most || x.Refused != (mode == waf.Block)) {
					t.Errorf("%s, %s: got %+v", c.kind, mode, x)
				}
				if over && mode == waf.Block && len(report.Hits) > 0 {
					t.Errorf("%s: rules saw %+v", c.kind, report.Hits)
				}
			}
		}
	}
	if got := e.Stats(); got.Fields != 4 || got.Memory != 0 {
		t.Errorf("got %+v", got)
	}
}
