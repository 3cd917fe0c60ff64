package gateway

import (
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

// redirector answers on the plain HTTP listeners: ACME challenges (RFC 8555 8.3), and a redirect to HTTPS
// for everything else (F-45). Nothing is forwarded from here.
type redirector struct {
	g         *Gateway
	challenge func(w http.ResponseWriter, r *http.Request) bool
	port      int // of the HTTPS listener
}

// ServeHTTP writes an access event for each request, like the chain.
func (rd *redirector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, id: newRequestID(), started: time.Now(), policy: rd.g.policy.Load(), conn: connOf(r), last: endsConnection(r)}
	h := rd.g.record(rd.g.recoverPanic(rd.g.clientAddress(rd.answer)))
	if err := h(x, r, x); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func (rd *redirector) answer(w http.ResponseWriter, r *http.Request, x *exchange) error {
	if rd.challenge(w, r) {
		return nil // whoever issues certificates is let in from every country
	}
	return rd.g.judgeDecision(rd.redirect)(w, r, x)
}

func (rd *redirector) redirect(w http.ResponseWriter, r *http.Request, x *exchange) error {
	host, ok := canonicalHost(r.Host)
	if !ok {
		return refuse(http.StatusBadRequest, "host-malformed", "")
	}
	if x.site = x.policy.siteFor(host); x.site == nil {
		return refuse(http.StatusMisdirectedRequest, "host-unknown", "")
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		// What a form or a program sent in the clear is already compromised; it must not go on as if it were not.
		no := refuse(http.StatusForbidden, "plain-http", "refusal.plain_http")
		no.close = true
		return no
	}
	target := r.URL.EscapedPath()
	if target == "" || target[0] != '/' {
		return refuse(http.StatusBadRequest, "path-ambiguous", "")
	}
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", "https://"+authorityOf(host, rd.port)+target)
	w.Header().Set("Cache-Control", "no-store") // the port may change
	w.WriteHeader(http.StatusPermanentRedirect)
	return nil
}

// authorityOf writes host and port as a URL needs them.
func authorityOf(host string, port int) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		host = "[" + host + "]"
	}
	if port == 443 {
		return host
	}
	return host + ":" + strconv.Itoa(port)
}
