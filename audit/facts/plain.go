package facts

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
)

// pagesOf are paths of the site that have something to show if anything has: the start page, its usual files, and some that it
// loads and links to. A redirect of / alone protects none of the others.
func (s *siteProbe) pagesOf(start reply) []string {
	all := []string{"/", s.e.path, s.base() + "index.html", s.base() + "index.php"}
	for _, address := range []string{start.url, s.lost.url} {
		if u, err := url.Parse(address); err == nil {
			all = append(all, u.EscapedPath())
		}
	}
	from, err := url.Parse(start.url)
	for _, address := range start.page.local {
		if err != nil || len(all) >= 12 {
			break
		}
		if to, err := from.Parse(address); err == nil && to.Hostname() == from.Hostname() && to.EscapedPath() != "" && !slices.Contains(all, to.EscapedPath()) {
			all = append(all, to.EscapedPath())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// plain asks without TLS, at port 80, for pages that have something to show.
func (s *siteProbe) plain(ctx context.Context, start reply) error {
	for _, path := range s.pagesOf(start) {
		host := s.e.host
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		address := "http://" + host + path
		r, err := s.ask(ctx, "GET", address)
		// Whoever takes the connection and then says nothing is busy, and may say everything next time.
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" && (errors.Is(err, syscall.ECONNREFUSED) || ctx.Err() == nil && dial.Timeout()) {
			s.found.Plain = append(s.found.Plain, Plain{URL: address, State: "closed", Origin: "GET " + address})
			return nil
		}
		if err != nil {
			return err
		}
		s.cookies(r)
		s.found.Plain = append(s.found.Plain, Plain{address, plainState(r), r.status, r.location, "GET " + address})
	}
	return nil
}

// plainState says what an answer without TLS gives away. The text beside a redirect is read by whoever listens.
func plainState(r reply) string {
	switch {
	case r.location != "" && strings.HasPrefix(r.location, "https://") && len(r.text) < 4096 && !r.page.text && !r.page.form:
		return "redirect"
	case r.status >= 500:
		return "error"
	case r.status >= 400 && r.status != http.StatusUnauthorized:
		return "refused"
	}
	return "content"
}
