package waf_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/gateway/waf"
)

func siteOptions() waf.SiteOptions {
	return waf.SiteOptions{Mode: waf.Block, Answers: waf.Block, ParanoiaLevel: 1, InboundThreshold: 5, OutboundThreshold: 4,
		BodyLimit: 13107200, FieldsLimit: 1 << 20, AnswerLimit: 512 << 10}
}

// heap is what is held after a collection, in bytes.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// plainPage is HTML with other words each time.
func plainPage(n, length int) string {
	words := strings.Fields("about balance before board bottle bring camera carry change children city clean clock cold corner country cover door early evening " +
		"family field forest friend garden glass green hand heavy house kitchen lamp letter light little market meeting morning mountain music narrow number " +
		"office paper people picture plant quiet river round school season shelf short silver small square station stone story street summer table thank town")
	r := rand.New(rand.NewPCG(uint64(n), uint64(length)))
	text := func(count int) string {
		out := make([]string, count)
		for i := range out {
			out[i] = words[r.IntN(len(words))]
		}
		return strings.Join(out, " ")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<!doctype html><html><head><title>Page %d</title></head><body>\n", n)
	for b.Len() < length {
		fmt.Fprintf(&b, "<div class=\"row\"><h2>%s</h2><p>%s, <a href=\"/item?id=%d\">%s</a> at %d.50 &euro;.</p></div>\n", text(2), text(14), r.IntN(9999), text(2), r.IntN(300))
	}
	return b.String()
}

// plainRequest is what browsers send.
func plainRequest(kind string, n int) *http.Request {
	var r *http.Request
	switch kind {
	case "form":
		body := fmt.Sprintf("name=Mary+Jane+%d&street=Long+Street+%d&city=London", n, n%300)
		for i := range 3 {
			body += fmt.Sprintf("&comment%d=", i) + strings.Repeat("Please+leave+the+parcel+at+the+neighbour%27s+door.+", 6)
		}
		r = httptest.NewRequest("POST", "/checkout", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case "json":
		body := fmt.Sprintf(`{"number":%d,"customer":{"name":"Mary Jane","city":"London"},"lines":[`, n)
		for i := range 8 {
			body += fmt.Sprintf(`{"item":"lamp %d","count":%d,"price":%d.5,"note":"leave it at the neighbour's door please"},`, n, i, n%90)
		}
		r = httptest.NewRequest("POST", "/api/orders", strings.NewReader(body+`{"item":"last"}]}`))
		r.Header.Set("Content-Type", "application/json")
	case "multipart":
		body := "--limit\r\nContent-Disposition: form-data; name=\"subject\"\r\n\r\nA picture of the lamp\r\n--limit\r\nContent-Disposition: form-data; name=\"file\"; " +
			"filename=\"picture.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n" + strings.Repeat(fmt.Sprintf("\x01\xff%d\x00", n), (1<<20)/8) + "\r\n--limit--\r\n"
		r = httptest.NewRequest("POST", "/tickets", strings.NewReader(body))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=limit")
	default:
		r = httptest.NewRequest("GET", fmt.Sprintf("/search?q=red+shoes+%d&page=%d&sort=price&order=asc&category=women&size=38", n, n%50), nil)
	}
	for _, h := range [][2]string{{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
		{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, {"Accept-Language", "de,en-US;q=0.7,en;q=0.3"},
		{"Accept-Encoding", "gzip, deflate, br"}, {"Referer", fmt.Sprintf("https://example.com/search?page=%d", n)}, {"Upgrade-Insecure-Requests", "1"},
		{"Cookie", fmt.Sprintf("session=%x; theme=dark; lang=de; cart=%d", n*2654435761, n)}, {"Sec-Fetch-Site", "same-origin"}} {
		r.Header.Set(h[0], h[1])
	}
	return r
}

// inspectOne shows one request and its answer to a site, and says which rule refused.
func inspectOne(s *waf.Site, r *http.Request, page string) (refusedBy int, err error) {
	now := time.Now()
	q := waf.Request{ID: "id", Client: netip.MustParseAddr("127.0.0.1"), Server: netip.MustParseAddrPort("127.0.0.1:80"), Host: "example.com", URI: r.RequestURI,
		Covers: func(string) bool { return false }}
	i, verdict, err := s.Inspect(r, q, now)
	if err != nil {
		return 0, err
	}
	defer i.Finish(now, nil)
	if verdict != nil {
		return verdict.Rule, nil
	}
	if r.Body, verdict, err = i.Body(r.Body); err != nil || verdict != nil {
		return ruleOf(verdict), err
	}
	i.PrepareRequest(r.Header)
	answer := &http.Response{StatusCode: 200, Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}}, Body: io.NopCloser(strings.NewReader(page)), Request: r}
	verdict, err = i.Answer(answer)
	return ruleOf(verdict), err
}

func ruleOf(v *waf.Verdict) int {
	if v == nil {
		return 0
	}
	return v.Rule
}

// One engine serves 50 sites under 100 MB of heap: they share one program.
func TestFiftySitesShareOneProgram(t *testing.T) {
	before := heap()
	engine, err := waf.NewEngine(waf.CRS, 256<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	var sites []*waf.Site
	for n := range 50 {
		o := siteOptions()
		o.ParanoiaLevel, o.InboundThreshold = 1+n%4, 100+n
		s, err := engine.Site(o)
		if err != nil {
			t.Fatal(err)
		}
		sites = append(sites, s)
	}
	if err := sites[0].Ready(); err != nil {
		t.Fatal(err)
	}
	page := plainPage(1, 10<<10)
	for n := range 500 {
		if _, err := inspectOne(sites[n%50], plainRequest([]string{"get", "form", "json"}[n%3], n), page); err != nil {
			t.Fatal(err)
		}
	}
	// Below zero where the compiler of a test before this one was still at work, and has come to its end.
	if got, want := int64(heap())-int64(before), int64(100<<20); got > want {
		t.Errorf("heap of %d sites: %d MB, want at most %d", len(sites), got>>20, want>>20)
	} else {
		t.Logf("heap of %d sites: %.1f MB", len(sites), float64(got)/(1<<20))
	}
	if got := engine.RuleSets(); got != 1 {
		t.Errorf("rule sets: %d, want 1", got)
	}
	runtime.KeepAlive(sites)
}

// processorTime is what this process has used, in nanoseconds: the clock says little on a machine with other work.
func processorTime(t testing.TB) int64 {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func BenchmarkInspect(b *testing.B) {
	engine, err := waf.NewEngine(waf.CRS, 256<<20, nil)
	if err != nil {
		b.Fatal(err)
	}
	s, err := engine.Site(siteOptions())
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Ready(); err != nil {
		b.Fatal(err)
	}
	for _, kind := range []string{"get", "form", "json", "multipart", "long"} {
		pages := make([]string, 16)
		for n := range pages {
			pages[n] = plainPage(n, 10<<10)
			if kind == "long" {
				pages[n] = plainPage(n, 100<<10)
			}
		}
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			start := processorTime(b)
			for n := 0; b.Loop(); n++ {
				if rule, err := inspectOne(s, plainRequest(kind, n), pages[n%len(pages)]); err != nil || rule != 0 {
					b.Fatalf("refused by %d, error %v", rule, err)
				}
			}
			b.ReportMetric(float64(processorTime(b)-start)/float64(b.N)/1000, "cpu-µs/op")
		})
	}
}
