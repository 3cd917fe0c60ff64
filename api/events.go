package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/event"
)

// maxEvents bounds one answer.
const maxEvents = 1000

// eventRoutes are about what happened.
func (h *Handler) eventRoutes() []route {
	span := []parameter{{name: "from", means: "at or after this time (RFC 3339)"}, {name: "to", means: "before this time (RFC 3339)"}}
	limit := parameter{name: "limit", means: "how many at most; default 100, most 1000", number: true}
	class := parameter{name: "class", means: "one of " + joined(event.Classes())}
	outcome := parameter{name: "outcome", means: "one of " + joined(event.Outcomes())}
	site := parameter{name: "site", means: "the site's name; * stands for those that are not counted apart"}
	filters := slices.Concat(span, []parameter{class, outcome, {name: "severity", means: "the lowest severity, such as medium"}, {name: "user", means: "the principal's name"},
		{name: "site", means: "the site's name"}, {name: "source", means: "an address or a network"}, {name: "action", means: "what was done, such as sign-in"},
		{name: "field", means: "key=value of a field; may be given several times"}, {name: "text", means: "in the raw line, a field's value, the user, action or site"}, limit})
	return []route{
		{method: "GET", path: "/v1/events", needs: auth.SeeEvents, summary: "Events, the newest first", out: EventPage{}, answer: h.events,
			query: slices.Concat(filters, []parameter{{name: "cursor", means: "next of the page before"}})},
		{method: "GET", path: "/v1/events/counts", needs: auth.SeeEvents, summary: "How many events there were by time, class and outcome", out: []EventCount{}, answer: h.eventCounts,
			query: slices.Concat(span, []parameter{{name: "step", means: "minutes of a step; 0, the default: everything is one", number: true}, class, outcome, site,
				{name: "by_site", means: "1: the counts of each site apart", number: true}})},
		{method: "GET", path: "/v1/events/top", needs: auth.SeeEvents, summary: "The most frequent values in whole hours", out: EventTop{}, answer: h.eventTop,
			query: slices.Concat([]parameter{{name: "list", means: "one of " + joined(event.Lists()), required: true}}, span, []parameter{{name: "limit", means: "how many at most; default 100, most 512", number: true}})},
		{method: "GET", path: "/v1/events/days", needs: auth.SeeEvents, summary: "The days that are kept, and where each ends now", out: []EventDay{}, answer: h.eventDays},
		{method: "GET", path: "/v1/events/feed", needs: auth.SeeEvents, summary: "Events of a day in the order in which they were stored, for exports that neither repeat nor leave out", out: EventFeed{},
			answer: h.eventFeed, missing: noSuch("day in the event log", "GET /v1/events/days lists them"), query: slices.Concat([]parameter{{name: "day", means: "2006-01-02, in UTC", required: true},
				{name: "batch", means: "of the answer before; default 0, the beginning", number: true}, {name: "skip", means: "of the answer before; default 0", number: true}}, filters)},
	}
}

func joined[T ~string](all []T) string {
	words := make([]string, len(all))
	for i, v := range all {
		words[i] = string(v)
	}
	return strings.Join(words, ", ")
}

// oneOf reads an optional query parameter that names one of known.
func oneOf[T ~string](q url.Values, name string, known []T) (T, error) {
	v := T(q.Get(name))
	if v != "" && !slices.Contains(known, v) {
		return "", badRequest(name + " must be one of " + joined(known))
	}
	return v, nil
}

// moment reads an optional time.
func moment(q url.Values, name string) (time.Time, error) {
	text := q.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, badRequest(name + " must be a time as 2026-11-25T14:00:00Z")
	}
	return t, nil
}

// eventQuery reads what all questions about events share.
func eventQuery(q url.Values) (event.Query, error) {
	out := event.Query{User: q.Get("user"), Site: q.Get("site"), Action: q.Get("action"), Text: q.Get("text")}
	var errs [4]error
	out.From, errs[0] = moment(q, "from")
	out.To, errs[1] = moment(q, "to")
	out.Class, errs[2] = oneOf(q, "class", event.Classes())
	out.Outcome, errs[3] = oneOf(q, "outcome", event.Outcomes())
	if err := errors.Join(errs[:]...); err != nil {
		return out, err
	}
	if name := q.Get("severity"); name != "" {
		severity, ok := event.ParseSeverity(name)
		if !ok {
			return out, badRequest("severity must be one of unknown, informational, low, medium, high, critical, fatal")
		}
		out.Severity = severity
	}
	if text := q.Get("source"); text != "" {
		var err error
		if strings.Contains(text, "/") {
			out.Network, err = netip.ParsePrefix(text)
		} else {
			out.Source, err = netip.ParseAddr(text)
		}
		if err != nil {
			return out, badRequest("source must be an address as 203.0.113.5 or a network as 203.0.113.0/24")
		}
	}
	for _, text := range q["field"] {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return out, badRequest("field must be key=value")
		}
		out.Fields = append(out.Fields, event.Field{Key: key, Value: value})
	}
	return out, nil
}

func (h *Handler) events(r *http.Request, _ auth.Actor) (any, error) {
	q, err := eventQuery(r.URL.Query())
	if err != nil {
		return nil, err
	}
	limit, err := number(r, "limit", 100, maxEvents)
	if err != nil {
		return nil, err
	}
	q.Limit = int(limit)
	page, err := h.deps.Events.Search(r.Context(), q, r.URL.Query().Get("cursor"))
	if errors.Is(err, event.ErrCursor) || errors.Is(err, event.ErrQuery) {
		return nil, badRequest(err.Error())
	}
	return EventPage{Events: wireEvents(page.Events), Next: page.Next, At: page.At, Scanned: page.Scanned, Problem: h.problem(r, err)}, nil
}

// problem is an error beside an answer that holds what could be read all the same. Its text goes to the log.
func (h *Handler) problem(r *http.Request, err error) string {
	if err == nil {
		return ""
	}
	h.deps.Log.Error("read events", "path", r.URL.Path, "error", err)
	return "not everything could be read; doorward's log says why"
}

func (h *Handler) eventCounts(r *http.Request, _ auth.Actor) (any, error) {
	q, err := eventQuery(r.URL.Query())
	if err != nil {
		return nil, err
	}
	step, err := number(r, "step", 0, 366*24*60)
	if err != nil {
		return nil, err
	}
	bySite, err := number(r, "by_site", 0, 1)
	if err != nil {
		return nil, err
	}
	counts, err := h.deps.Events.Counts(r.Context(), event.CountQuery{From: q.From, To: q.To, Step: time.Duration(step) * time.Minute, Class: q.Class, Outcome: q.Outcome,
		Site: q.Site, BySite: bySite == 1})
	if errors.Is(err, event.ErrSteps) {
		return nil, badRequest(err.Error())
	}
	if err != nil {
		return nil, err
	}
	out := make([]EventCount, 0, len(counts))
	for _, c := range counts {
		out = append(out, EventCount{Time: c.Time, Class: string(c.Class), Outcome: string(c.Outcome), Site: c.Site, Events: c.Events})
	}
	return out, nil
}

func (h *Handler) eventTop(r *http.Request, _ auth.Actor) (any, error) {
	q, err := eventQuery(r.URL.Query())
	if err != nil {
		return nil, err
	}
	list, err := oneOf(r.URL.Query(), "list", event.Lists())
	if err != nil {
		return nil, err
	}
	if list == "" {
		return nil, badRequest("list must be one of " + joined(event.Lists()))
	}
	limit, err := number(r, "limit", 100, 512)
	if err != nil {
		return nil, err
	}
	top, err := h.deps.Events.Top(r.Context(), list, q.From, q.To, int(limit))
	if err != nil {
		return nil, err
	}
	out := EventTop{From: top.From, To: top.To, Error: top.Error, Items: make([]EventTopItem, 0, len(top.Items))}
	for _, i := range top.Items {
		out.Items = append(out.Items, EventTopItem{Value: i.Value, Events: i.Count})
	}
	return out, nil
}

func (h *Handler) eventDays(r *http.Request, _ auth.Actor) (any, error) {
	days, err := h.deps.Events.Days(r.Context())
	if err != nil {
		return nil, err
	}
	out := make([]EventDay, 0, len(days))
	for _, d := range days {
		out = append(out, EventDay{Day: d.Day, Batch: d.End.Batch})
	}
	return out, nil
}

func (h *Handler) eventFeed(r *http.Request, _ auth.Actor) (any, error) {
	q, err := eventQuery(r.URL.Query())
	if err != nil {
		return nil, err
	}
	batch, err := number(r, "batch", 0, 1<<62)
	if err != nil {
		return nil, err
	}
	skip, err := number(r, "skip", 0, 1<<30)
	if err != nil {
		return nil, err
	}
	limit, err := number(r, "limit", 100, maxEvents)
	if err != nil {
		return nil, err
	}
	events, next, err := h.deps.Events.Feed(r.Context(), r.URL.Query().Get("day"), event.Position{Batch: batch, Skip: int(skip)}, int(limit))
	if errors.Is(err, event.ErrDay) {
		return nil, noSuch("day in the event log", "GET /v1/events/days lists them")
	}
	if err != nil && len(events) == 0 {
		return nil, err
	}
	events = slices.DeleteFunc(events, func(e event.Event) bool { return !q.Match(e) })
	return EventFeed{Events: wireEvents(events), Batch: next.Batch, Skip: next.Skip, Problem: h.problem(r, err)}, nil
}

func wireEvents(events []event.Event) []Event {
	out := make([]Event, 0, len(events))
	for _, e := range events {
		w := Event{ID: e.ID, Time: e.Time, Class: string(e.Class), Outcome: string(e.Outcome), Severity: e.Severity.String(), Action: e.Action,
			User: e.User, Site: e.Site, Raw: e.Raw}
		if e.Source.IsValid() {
			w.Source = e.Source.String()
		}
		for _, f := range e.Fields {
			w.Fields = append(w.Fields, EventField{Key: f.Key, Value: f.Value})
		}
		out = append(out, w)
	}
	return out
}

// EventQuery is what Events asks for; see the parameters of GET /v1/events.
type EventQuery struct {
	From, To                         time.Time
	Class, Outcome, Severity         string
	User, Site, Source, Action, Text string
	Fields                           []string // key=value
	Limit                            int
}

func (q EventQuery) values() url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	for name, t := range map[string]time.Time{"from": q.From, "to": q.To} {
		if !t.IsZero() {
			v.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	set("class", q.Class)
	set("outcome", q.Outcome)
	set("severity", q.Severity)
	set("user", q.User)
	set("site", q.Site)
	set("source", q.Source)
	set("action", q.Action)
	set("text", q.Text)
	for _, f := range q.Fields {
		v.Add("field", f)
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

func eventPath(part string, v url.Values) string {
	return fmt.Sprintf("/v1/events%s?%s", part, v.Encode())
}
