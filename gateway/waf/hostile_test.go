package waf_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/gateway/waf"
	"github.com/doorward/doorward/racetest"
	"github.com/doorward/doorward/seclang"
)

// soup is words of attacks in any order: it has what nearly every rule's expression needs, and so is looked at by all of them.
type soup struct {
	rng   *rand.Rand
	words []string
}

func newSoup(t testing.TB) *soup {
	s := &soup{rng: rand.New(rand.NewPCG(5, 5))}
	for _, e := range attacks(t) {
		s.words = append(s.words, strings.Fields(e.text)...)
	}
	return s
}

// text is n bytes of it.
func (s *soup) text(n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(s.words[s.rng.IntN(len(s.words))])
		b.WriteByte(" \n;'\"(<,"[s.rng.IntN(8)])
	}
	return b.String()[:n]
}

// hostileRequest is a request at some limit; kind is the content type of its body.
type hostileRequest struct {
	name, uri, kind, body string
	headers               http.Header
}

func (h hostileRequest) size() int {
	n := len(h.uri) + len(h.body)
	for name, values := range h.headers {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	return n
}

const formKind = "application/x-www-form-urlencoded"

// hostileRequests are at the limits of what is looked at: 128 KB of values, 1,000 arguments, the depths of JSON and XML, the names that JSON
// may repeat, 32 KB of headers.
func hostileRequests(s *soup) []hostileRequest {
	const size = 128 << 10
	repeat := func(n int, one func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(one(i))
		}
		return b.String()
	}
	headers := http.Header{}
	for i := range 90 {
		headers.Set(fmt.Sprintf("X-Header-%d", i), strings.ReplaceAll(s.text(300), "\n", " "))
	}
	nested := func(text string) string {
		return base64.StdEncoding.EncodeToString([]byte(`{"a":[` + quote(url.QueryEscape(url.QueryEscape(text))) + `,` + quote(base64.StdEncoding.EncodeToString([]byte(text))) + `]}`))
	}
	part := func(name, file, text string) string {
		return "--limit\r\nContent-Disposition: form-data; name=\"" + name + "\"" + file + "\r\n\r\n" + text + "\r\n"
	}
	multipart := "multipart/form-data; boundary=limit"
	all := []hostileRequest{
		{name: "form of 1,000 arguments", kind: formKind, body: repeat(1000, func(i int) string { return fmt.Sprintf("&a%d=%s", i, url.QueryEscape(s.text(80))) })[1:]},
		{name: "form of one argument", kind: formKind, body: "a=" + url.QueryEscape(s.text(size))[:size]},
		{name: "form of plain words", kind: formKind, body: "a=" + strings.Repeat("the+quick+brown+fox+", size/20)},
		{name: "form of semicolons", kind: formKind, body: strings.Repeat("a=1;b=or+1;", size/11)},
		{name: "form of nested views", kind: formKind, body: repeat(40, func(i int) string { return fmt.Sprintf("&a%d=%s", i, url.QueryEscape(nested(s.text(600)))) })[1:]},
		{name: "query and cookies", uri: "/?" + repeat(150, func(i int) string { return fmt.Sprintf("&q%d=%s", i, url.QueryEscape(s.text(60))) })[1:],
			headers: http.Header{"Cookie": {repeat(150, func(i int) string { return fmt.Sprintf("c%d=%s; ", i, url.QueryEscape(s.text(60))) })}}},
		{name: "headers", headers: headers},
		{name: "path", uri: "/" + url.PathEscape(s.text(1300))},
		{name: "deep JSON", kind: "application/json", body: strings.Repeat("[", size/2) + strings.Repeat("]", size/2)},
		{name: "JSON just deep enough", kind: "application/json", body: strings.Repeat(`{"a":`, 500) + quote(s.text(size)) + strings.Repeat("}", 500)},
		{name: "JSON of many values", kind: "application/json", body: "[" + repeat(1000, func(int) string { return quote(s.text(100)) + "," }) + "1]"},
		{name: "JSON of long names", kind: "application/json", body: `{` + quote(s.text(1000)) + `:[` + strings.Repeat("1,", 110) + `1],"b":"` + strings.Repeat("the quick brown fox ", size/20) + `"}`},
		{name: "multipart of many names", kind: multipart, body: repeat(100, func(i int) string {
			return part(fmt.Sprint("a", i, `"; name="b`, i, `"; name="c`, i, `"; name="d`, i), "", s.text(1000))
		}) + "--limit--\r\n"},
		{name: "multipart of headers", kind: multipart, body: repeat(100, func(i int) string {
			return "--limit\r\nX-A: " + strings.ReplaceAll(s.text(1000), "\n", " ") + "\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n"
		}) + "--limit--\r\n"},
		{name: "XML of texts in pieces", kind: "text/xml", body: "<a>" + repeat(60, func(int) string { return escapeXML(s.text(1000)) + "<!-- -->" + escapeXML(s.text(1000)) + "<b/>" }) + "</a>"},
		{name: "multipart of 1 MB in parts", kind: multipart, body: repeat(900, func(i int) string { return part(fmt.Sprint("a", i), "", s.text(1000)) }) + "--limit--\r\n"},
		{name: "multipart of a file of 1 MB", kind: multipart, body: part("a", `; filename="a.txt"`, s.text(1<<20)) + "--limit--\r\n"},
		{name: "multipart of file names", kind: multipart, body: repeat(500, func(i int) string {
			return part(fmt.Sprint("a", i), `; filename="`+strings.Map(safe, s.text(150))+`"`, "")
		}) + "--limit--\r\n"},
		{name: "XML of many nodes", kind: "text/xml", body: "<a>" + repeat(2000, func(int) string { return `<b c="` + escapeXML(s.text(20)) + `">` + escapeXML(s.text(20)) + "</b>" }) + "</a>"},
		{name: "XML of one text", kind: "text/xml", body: "<a>" + escapeXML(s.text(size)) + "</a>"},
		{name: "deep XML", kind: "text/xml", body: strings.Repeat("<a>", 40_000)},
	}
	for _, opening := range []string{"<!--", "/*", "'", "\"", "`", "<a b=", "$a$", "&#", "%u", "\\x", "{{", "../", "((", "<svg/onload=", "0x", "<?", "-- ", ";;", "|", "\x00", "é", "\xff"} {
		all = append(all, hostileRequest{name: "form of " + opening, kind: formKind, body: "a=" + url.QueryEscape(strings.Repeat(opening, size/max(2, len(url.QueryEscape(opening)))))})
	}
	return all
}

func safe(r rune) rune {
	if r == '"' || r == '\\' || r < ' ' {
		return '_'
	}
	return r
}

// The bounds of a request's work for each of its bytes. The worst of these requests came to 264 and 11.
const (
	mostLooked = 600 // bytes that transformations, searches and operators are given
	mostSteps  = 60  // instructions looked at while states of expressions are made
)

// TestHostileRequests gives requests at the limits to the rules at all levels, and counts the work. DOORWARD_HOSTILE=1 tries more of
// each, and prints the processor's time.
func TestHostileRequests(t *testing.T) {
	if racetest.On {
		return // nothing runs at the same time, and the counts are the same
	}
	rounds, levels := 1, []int{4}
	if os.Getenv("DOORWARD_HOSTILE") != "" {
		rounds, levels = 5, []int{1, 2, 3, 4}
	}
	e, s := engine(t, waf.Doorward), newSoup(t)
	for _, level := range levels {
		wall := site(t, e, level)
		for range rounds {
			for _, h := range hostileRequests(s) {
				h.inspect(t, wall, level)
			}
		}
	}
}

// inspect shows the request to a site and judges the work.
func (h hostileRequest) inspect(t *testing.T, wall *waf.Site, level int) {
	t.Helper()
	r := &http.Request{Method: http.MethodGet, RequestURI: h.uri, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "desk.example", Header: http.Header{}, Body: http.NoBody}
	if r.RequestURI == "" {
		r.RequestURI = "/"
	}
	r.Header = http.Header{"User-Agent": {"Mozilla/5.0"}, "Accept": {"*/*"}}
	for name, values := range h.headers {
		r.Header[name] = values
	}
	if h.kind != "" {
		r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(strings.NewReader(h.body)), int64(len(h.body))
		r.Header.Set("Content-Type", h.kind)
	}
	steps, fallbacks := wall.Automata()
	began := processorTime(t)
	i, _, err := wall.Inspect(r, waf.Request{ID: "id", Client: netip.MustParseAddr("192.0.2.7"), Server: netip.MustParseAddrPort("192.0.2.1:443"),
		Host: "desk.example", URI: r.RequestURI, Covers: func(string) bool { return false }}, time.Unix(1700000000, 0).UTC())
	if err != nil {
		t.Fatalf("%s: %v", h.name, err)
	}
	if _, _, err = i.Body(r.Body); err != nil {
		t.Fatalf("%s: %v", h.name, err)
	}
	took := processorTime(t) - began
	looked, dropped := i.Work()
	i.Finish(time.Unix(1700000001, 0).UTC(), nil)
	stepsNow, fallbacksNow := wall.Automata()
	size := float64(h.size())
	lookedPer, stepsPer := float64(looked)/size, float64(stepsNow-steps)/size
	if lookedPer > mostLooked || stepsPer > mostSteps {
		t.Errorf("level %d, %s: %.0f bytes looked at and %.0f steps for each byte, want at most %d and %d", level, h.name, lookedPer, stepsPer, mostLooked, mostSteps)
	}
	t.Logf("level %d, %s, %d bytes: %.0f looked at, %.0f steps, %.0f ns a byte; %.1f ms; %d fallbacks; %s", level, h.name, h.size(), lookedPer, stepsPer,
		float64(took)/size, float64(took)/1e6, fallbacksNow-fallbacks, tellDropped(dropped))
}

func tellDropped(d seclang.Dropped) string {
	return fmt.Sprintf("dropped %d variables, %d matches, %d views, %d spared, %d arguments", d.Variables, d.Matches, d.Views, d.Spared, d.Arguments)
}
