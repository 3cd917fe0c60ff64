package gateway

import (
	"crypto/rand"
	"encoding/base32"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/auth/pages"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway/waf"
)

// counters count what happened since the start; Stats reads them.
type counters struct {
	requests       atomic.Uint64
	byClass        [6]atomic.Uint64 // by the answer's first digit
	panics         atomic.Uint64
	droppedHeaders atomic.Uint64
	authz          authzCounters
	refusals       sync.Map // reason → *atomic.Uint64; the reasons are constants of this package
}

func (c *counters) refused(reason string) {
	n, ok := c.refusals.Load(reason)
	if !ok {
		n, _ = c.refusals.LoadOrStore(reason, new(atomic.Uint64))
	}
	n.(*atomic.Uint64).Add(1)
}

// Stats is a reading of the gateway's counters. All count since the start, but ConnectionsOpen.
type Stats struct {
	Requests           uint64
	ByStatusClass      [6]uint64 // index 2 counts 2xx; index 0 counts answers that were cut
	Refused            map[string]uint64
	Panics             uint64
	DroppedHeaders     uint64
	ConnectionsOpen    int
	ConnectionsRefused uint64
	ConnectionsEvicted uint64
	StreamsCut         uint64     // answers ended from outside: revocation, reload, shutdown, a client that took nothing
	ProtocolFaults     uint64     // handshakes and requests that net/http could not make sense of
	Authz              AuthzStats // questions of proxies; they are not among Requests
	WAF                waf.Stats
}

// Stats reads the counters.
func (g *Gateway) Stats() Stats {
	st := Stats{Requests: g.counters.requests.Load(), Panics: g.counters.panics.Load(),
		DroppedHeaders: g.counters.droppedHeaders.Load(), Refused: make(map[string]uint64)}
	for i := range st.ByStatusClass {
		st.ByStatusClass[i] = g.counters.byClass[i].Load()
	}
	g.counters.refusals.Range(func(reason, n any) bool {
		st.Refused[reason.(string)] = n.(*atomic.Uint64).Load()
		return true
	})
	st.Authz = g.counters.authz.stats()
	st.WAF = g.WAF()
	st.ConnectionsOpen, st.ConnectionsRefused, st.ConnectionsEvicted = g.server.conns.stats()
	st.StreamsCut, st.ProtocolFaults = g.streams.cuts.Load(), g.server.protocolFault.Load()
	return st
}

// recordAccess appends the request's access event. Its outcome is refused when the chain did not let the request
// through, failure when the answer says so or did not arrive whole, else success. The event log never blocks: what it cannot take it counts.
func (g *Gateway) recordAccess(r *http.Request, x *exchange) {
	class := x.status / 100
	if class >= len(g.counters.byClass) || x.status == 0 {
		class = 0
	}
	g.counters.requests.Add(1)
	g.counters.byClass[class].Add(1)
	outcome, severity := event.Success, event.Informational
	switch {
	case x.refused != "":
		g.counters.refused(x.refused)
		outcome, severity = event.Refused, event.Low
	case class >= 4 || class == 0 || x.aborted:
		outcome = event.Failure
	}
	g.appendAccess(r, x, outcome, severity)
}

// appendAccess appends the access event of an exchange, with more fields.
func (g *Gateway) appendAccess(r *http.Request, x *exchange, outcome event.Outcome, severity event.Severity, more ...event.Field) {
	e := event.Event{Time: x.started, Class: event.HTTP, Action: r.Method, Outcome: outcome,
		Severity: severity, Source: x.client}
	if x.site != nil {
		e.Site = x.site.name
	}
	if x.session != nil {
		e.User = x.session.Principal.Name
	}
	// RequestURI, not the canonical path: evidence is what was asked for, but for the codes of mailed links.
	fields := make([]event.Field, 0, 14)
	fields = append(fields,
		event.Field{Key: "request_id", Value: x.id},
		event.Field{Key: "host", Value: clip(r.Host, 300)},
		event.Field{Key: "target", Value: clip(pages.LogTarget(r.RequestURI), maxPath)},
		event.Field{Key: "status", Value: strconv.Itoa(x.status)},
		event.Field{Key: "bytes", Value: strconv.FormatInt(x.written, 10)},
		event.Field{Key: "micros", Value: strconv.FormatInt(time.Since(x.started).Microseconds(), 10)},
		event.Field{Key: "user_agent", Value: clip(r.UserAgent(), 512)})
	switch {
	case x.refused != "":
		fields = append(fields, event.Field{Key: "reason", Value: x.refused})
	case x.aborted:
		fields = append(fields, event.Field{Key: "reason", Value: "aborted"})
	}
	if x.peer != x.client {
		fields = append(fields, event.Field{Key: "peer", Value: x.peer.String()})
	}
	if x.certificate != nil {
		fields = append(fields, event.Field{Key: "certificate", Value: x.certificate.shown})
	}
	if x.session != nil {
		for _, role := range x.session.Principal.Roles {
			fields = append(fields, event.Field{Key: "roles", Value: string(role)})
		}
		// Of people only: what strangers send must not have name servers asked (D-11).
		if name := g.auth.HostNameNow(x.client); name != "" {
			fields = append(fields, event.Field{Key: "host_name", Value: name})
		}
	}
	if x.session != nil && x.session.IsToken() {
		fields = append(fields, event.Field{Key: "token", Value: x.session.ID})
	}
	if x.ask != nil {
		fields = append(fields, event.Field{Key: "via", Value: "forward-auth"})
	}
	if isEmbedded(r) {
		fields = append(fields, event.Field{Key: "embedded", Value: "true"})
	}
	e.Fields = append(fields, more...)
	g.events.Append(e)
}

// isEmbedded tells whether the browser says that a page had the request sent, a page elsewhere or as a part of itself: a picture, a frame, a script
// (Fetch Metadata). Who looks at a page did not choose what it loads, and must not be banned for it.
func isEmbedded(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		return true
	}
	if r.Header.Get("Sec-Fetch-Mode") == "no-cors" { // also what a link pings and what is fetched beforehand, which state no destination
		return true
	}
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "", "document", "empty":
		return false
	}
	return true
}

// clip cuts what a client made long, so that nobody can fill the queue's memory, and with it drive out other
// people's events, with a few requests. The copy lets go of the rest.
func clip(s string, length int) string {
	if len(s) <= length {
		return s
	}
	return strings.Clone(s[:length])
}

// newRequestID is 80 random bits, short enough to read out over the telephone.
func newRequestID() string {
	var b [10]byte
	rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
	return base32.StdEncoding.EncodeToString(b[:])
}
