package gateway

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/auth/pages"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway/waf"
	"github.com/doorward/doorward/seclang"
)

// inspect shows the request to the site's web application firewall, and by way of the proxy the application's answer
// (F-07, F-32, I-24, I-61). It stands behind the access policy, so that strangers cannot buy the work.
func (g *Gateway) inspect(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		if x.site.waf == nil || x.site.proxy == nil || x.inspection != nil {
			return next(w, r, x)
		}
		return g.inspectAs(g.inspected(r, x), next, w, r, x)
	}
}

// inspectRaw shows the request as it came to the firewall of a site with any_host, before anything else refuses it.
func (g *Gateway) inspectRaw(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		if !x.site.cfg.AnyHost || x.site.waf == nil {
			return next(w, r, x)
		}
		w.Header().Set("X-Request-Id", x.id) // by which a tool finds its lines in the match log
		q := g.inspected(r, x)
		q.URI = r.RequestURI
		path := r.URL.Path // which the gateway makes another one
		q.Covers = func(prefix string) bool { _, under := cutPathPrefix(path, prefix); return under }
		return g.inspectAs(q, next, w, r, x)
	}
}

// inspectAs shows the request to the firewall in the words of q, and then to the rest of the chain.
func (g *Gateway) inspectAs(q waf.Request, next handler, w http.ResponseWriter, r *http.Request, x *exchange) error {
	inspection, verdict, err := x.site.waf.at(x.started).Inspect(r, q, x.started)
	x.inspection = inspection
	x.endInspect = func() { g.endInspection(r, x, q) }
	defer x.endInspect()
	switch {
	case err != nil:
		return inspectionError(err)
	case verdict != nil:
		return refuseByRules(verdict)
	}
	body, verdict, err := x.inspection.Body(r.Body)
	switch {
	case err != nil:
		return inspectionError(err)
	case verdict != nil:
		return refuseByRules(verdict)
	}
	r.Body = body
	x.inspection.PrepareRequest(r.Header)
	return next(w, r, x)
}

// inspectionError is the answer when the firewall could not judge a request or its answer: the door stays closed.
func inspectionError(err error) error {
	var fault *waf.Fault
	switch {
	case errors.Is(err, waf.ErrTooLarge):
		no := refuse(http.StatusRequestEntityTooLarge, "body-too-large", "")
		no.close = true
		return no
	case errors.Is(err, waf.ErrFields):
		no := refuse(http.StatusRequestEntityTooLarge, "fields-too-large", "")
		no.close = true
		return no
	case errors.Is(err, waf.ErrBusy):
		return overload("waf-memory")
	case errors.As(err, &fault):
		return refuse(http.StatusServiceUnavailable, "waf-error", "")
	default:
		return bodyError(err)
	}
}

// inspected is what the rules are told of a request: what the application will get.
func (g *Gateway) inspected(r *http.Request, x *exchange) waf.Request {
	q := waf.Request{ID: x.id, Client: x.client, Host: x.host, URI: x.path.raw,
		Session: x.key.session, Network: limitAddress(x.client), Turn: func() (func(), error) { return g.turns.take(r.Context(), keyOf(x)) },
		Covers: func(prefix string) bool { return x.path.under([]string{prefix}) }}
	if x.path.query != "" {
		q.URI += "?" + x.path.query
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if server, err := netip.ParseAddrPort(local.String()); err == nil {
			q.Server = server
		}
	}
	return q
}

// inspectAnswer shows the application's answer to the rules.
func (x *exchange) inspectAnswer(res *http.Response) error {
	if x.inspection == nil {
		return nil
	}
	verdict, err := x.inspection.Answer(res)
	switch {
	case err != nil:
		return inspectionError(err)
	case verdict != nil:
		return refuseByRules(verdict)
	}
	if x.inspection.Done() {
		x.endInspect()
	}
	return nil
}

// refuseByRules is the answer that rules ask for.
func refuseByRules(v *waf.Verdict) error {
	status := v.Status
	if status < 300 || status > 599 || status < 400 && v.Location == "" {
		status = http.StatusForbidden
	}
	no := refuse(status, "waf", "refusal.waf")
	no.location, no.close = v.Location, v.Drop
	return no
}

// endInspection tells what the rules found in one event.
func (g *Gateway) endInspection(r *http.Request, x *exchange, q waf.Request) {
	if x.inspection == nil {
		return
	}
	var logged func(seclang.Match)
	if l := x.policy.matchLog; l != nil {
		logged = func(m seclang.Match) { l.Write(m, q, x.started) }
	}
	report := x.inspection.Finish(time.Now(), logged)
	x.inspection = nil
	if report != nil && report.Fault != nil {
		g.noteFault(r, x, report)
	}
	if report != nil && report.Exceeded != nil {
		g.noteExceeded(r, x, report.Exceeded)
	}
	if report == nil || !report.Found() {
		return
	}
	e := event.Event{Time: x.started, Class: event.Detection, Action: "waf", Outcome: event.Unknown, Severity: event.Low, Source: x.client,
		Site: x.site.name}
	switch {
	case report.Refused != nil:
		e.Outcome, e.Severity = event.Refused, event.Medium
	case report.Would != 0:
		e.Severity = event.Medium
	}
	if x.session != nil {
		e.User = x.session.Principal.Name
	}
	e.Fields = append(inspectedFields(r, x),
		event.Field{Key: "score", Value: strconv.Itoa(report.Inbound)})
	if report.Outbound > 0 {
		e.Fields = append(e.Fields, event.Field{Key: "answer_score", Value: strconv.Itoa(report.Outbound)})
	}
	ids := make([]string, 0, len(report.Hits))
	for _, hit := range report.Hits {
		ids = append(ids, strconv.Itoa(hit.Rule))
	}
	e.Fields = append(e.Fields, event.Field{Key: "rules", Value: strings.Join(slices.Compact(ids), ",")})
	if report.Refused != nil {
		e.Fields = append(e.Fields, event.Field{Key: "refused_by", Value: strconv.Itoa(report.Refused.Rule)})
	} else if report.Would != 0 {
		e.Fields = append(e.Fields, event.Field{Key: "would_refuse", Value: strconv.Itoa(report.Would)})
	}
	if isEmbedded(r) {
		e.Fields = append(e.Fields, event.Field{Key: "embedded", Value: "true"})
	}
	e.Fields = append(e.Fields, exceededFields(report.Exceeded)...)
	if report.More > 0 {
		e.Fields = append(e.Fields, event.Field{Key: "more", Value: strconv.Itoa(report.More)})
	}
	for _, hit := range report.Hits {
		text, err := json.Marshal(hit)
		if err != nil {
			continue // a struct of texts and numbers always has a JSON form
		}
		e.Fields = append(e.Fields, event.Field{Key: "match", Value: string(text)})
	}
	g.events.Append(e)
}

// inspectedFields name the request that an event of the firewall is about.
func inspectedFields(r *http.Request, x *exchange) []event.Field {
	return []event.Field{{Key: "request_id", Value: x.id}, {Key: "host", Value: clip(r.Host, 300)}, {Key: "method", Value: clip(r.Method, 32)},
		{Key: "target", Value: clip(pages.LogTarget(r.RequestURI), maxPath)}}
}

// WAF reads the firewall's counters.
func (g *Gateway) WAF() waf.Stats { return g.policy.Load().waf.Stats() }
