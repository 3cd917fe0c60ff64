package gateway_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/gateway"
)

// BenchmarkRequestSide is what judging costs: an ordinary path, the dearest one, a browser's headers, and the rules of
// the application folder with the most paths.
func BenchmarkRequestSide(b *testing.B) {
	all := []string{"encoded-slash", "semicolon", "double-encoding", "backslash"}
	path := func(name, target string, classes ...string) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := gateway.CanonicalPath(target, classes...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	path("ordinary path", "/Ticket/Display.html")
	path("escaped path", "/wiki/caf%C3%A9%20au%20lait")
	path("dearest path", "/"+strings.Repeat("a%2Fb;c%5C%C3%A9/", 230), all...)

	target, err := gateway.CanonicalPath("/Ticket/Display.html")
	if err != nil {
		b.Fatal(err)
	}
	app, err := gateway.LoadApp("request-tracker")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("headers", func(b *testing.B) {
		b.ReportAllocs()
		browser := http.Header{"Accept": {"text/html"}, "Accept-Encoding": {"gzip"}, "Accept-Language": {"de"}, "Connection": {"keep-alive"}, "Cookie": {"__Host-doorward=" + strings.Repeat("x", 43) + "; RT_SID_example.443=1"},
			"Referer": {"https://x/"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-User": {"?1"}, "Upgrade-Insecure-Requests": {"1"}, "User-Agent": {"Mozilla/5.0"}}
		r := &http.Request{ProtoMajor: 1, Header: browser.Clone()}
		for b.Loop() {
			r.Header["Cookie"], r.Header["Connection"] = browser["Cookie"], browser["Connection"]
			gateway.SessionToken(r.Header)
			if _, err := gateway.CleanHeaders(r, app, target); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("access", func(b *testing.B) {
		b.ReportAllocs()
		policy, err := gateway.NewAccessPolicy([]gateway.AccessRule{{Path: "/"}}, app)
		if err != nil {
			b.Fatal(err)
		}
		s, from := session(auth.Agent), netip.MustParseAddr("203.0.113.9")
		for b.Loop() {
			if got := policy.Judge(target, s, from); got != "allow" {
				b.Fatal(got)
			}
		}
	})
	b.Run("limit", func(b *testing.B) {
		b.ReportAllocs()
		l := gateway.NewLimiter(gateway.LimitsConfig{RequestsPerSecond: 1e9, Burst: 1e9})
		from := netip.MustParseAddr("203.0.113.9")
		for b.Loop() {
			if wait := l.Take("", from, time.Second); wait != 0 {
				b.Fatal(wait)
			}
		}
	})
	b.Run("answer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			gateway.Answer(http.Header{"Content-Type": {"text/html"}, "Server": {"x"}, "Set-Cookie": {"RT_SID_example.443=1; path=/; HttpOnly"}}, gateway.SiteConfig{}, app, true, true)
		}
	})
}
