package gateway

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway/waf"
)

// noteFault tells that the firewall could not judge a request or its answer, in an event of its own: nobody knows what the
// request was. The log has what a developer needs of a panic.
func (g *Gateway) noteFault(r *http.Request, x *exchange, report *waf.Report) {
	e := faultEvent(report.Fault)
	e.Time, e.Source, e.Site = x.started, x.client, x.site.name
	if report.Closed {
		e.Outcome = event.Refused
	}
	if x.session != nil {
		e.User = x.session.Principal.Name
	}
	e.Fields = append(inspectedFields(r, x), e.Fields...)
	g.events.Append(e)
	g.logFault(x.id, report.Fault)
}

// noteExceeded tells that a request's body was longer than the firewall has room for, in an event of its own: no rule matched.
func (g *Gateway) noteExceeded(r *http.Request, x *exchange, over *waf.Exceeded) {
	e := event.Event{Time: x.started, Class: event.Detection, Action: "waf-limit", Outcome: event.Unknown, Severity: event.Low, Source: x.client,
		Site: x.site.name}
	if over.Refused {
		e.Outcome = event.Refused
	}
	if x.session != nil {
		e.User = x.session.Principal.Name
	}
	e.Fields = append(inspectedFields(r, x), exceededFields(over)...)
	g.events.Append(e)
}

// exceededFields name the limit that a request's body went beyond; none where it did not.
func exceededFields(over *waf.Exceeded) []event.Field {
	if over == nil {
		return nil
	}
	return []event.Field{{Key: "setting", Value: over.Setting}, {Key: "limit", Value: strconv.Itoa(over.Limit)}}
}

// logFault logs a fault of the firewall's. A request with too much in it is the client's, and only an event.
func (g *Gateway) logFault(id string, f *waf.Fault) {
	if f.Kind != waf.Limit {
		g.log.Error("inspect request", slog.String("request_id", id), slog.Any("error", f), slog.String("stack", f.Stack))
	}
}

// maxFault caps what an event tells of an error, in bytes: a panic may quote what it choked on.
const maxFault = 300

func faultEvent(f *waf.Fault) event.Event {
	e := event.Event{Class: event.Detection, Action: "waf-error", Outcome: event.Failure, Severity: event.High,
		Fields: []event.Field{{Key: "failed", Value: string(f.Kind)}, {Key: "step", Value: f.Step}}}
	if f.Kind == waf.Limit {
		e.Severity = event.Medium // a client's doing, not ours
	}
	if f.Rule != 0 {
		e.Fields = append(e.Fields, event.Field{Key: "rule", Value: strconv.Itoa(f.Rule)})
	}
	e.Fields = append(e.Fields, event.Field{Key: "error", Value: clip(f.Err.Error(), maxFault)})
	return e
}

// noteDifference tells that the firewall's two ways of judging do not agree about a request. The difference is a defect of ours.
func (g *Gateway) noteDifference(d waf.Difference) {
	e := event.Event{Class: event.Detection, Action: "waf-difference", Outcome: event.Unknown, Severity: event.High,
		Fields: []event.Field{{Key: "difference", Value: d.What}}}
	if d.Fault != nil {
		e = faultEvent(d.Fault)
		g.logFault(d.ID, d.Fault)
	}
	e.Time, e.Site = time.Now(), d.Host
	if s := g.policy.Load().siteFor(d.Host); s != nil {
		e.Site = s.name
	}
	e.Fields = append([]event.Field{{Key: "request_id", Value: d.ID}}, e.Fields...)
	g.events.Append(e)
}

// settling is how long the end waits for a comparison under way.
const settling = 5 * time.Second
