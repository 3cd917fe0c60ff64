package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway/exclusion"
)

// wafRoutes are about what the firewall found, and what is left out of its rules.
func (h *Handler) wafRoutes() []route {
	from := parameter{name: "from", means: "how far back to look (RFC 3339); default: as far as events are kept"}
	return []route{
		{method: "GET", path: "/v1/waf/sites", needs: auth.SeeEvents, summary: "How the firewall of each site stands", out: []WAFSite{}, answer: h.wafSites},
		{method: "GET", path: "/v1/waf/findings/{id}", needs: auth.SeeEvents, summary: "What the firewall found in the request with this id, and the narrowest exclusions",
			query: []parameter{from}, out: WAFFinding{}, answer: h.wafFinding},
		{method: "GET", path: "/v1/waf/proposals", needs: auth.SeeEvents, summary: "Exclusions for what people who were signed in sent to a site, as far as they are not in force",
			query: []parameter{{name: "site", means: "the site's name", required: true}, {name: "from", means: "from when on (RFC 3339); default: the last seven days"},
				{name: "people", means: "only what at least so many different people sent; default 1", number: true}},
			out: []WAFProposal{}, answer: h.wafProposals},
		{method: "GET", path: "/v1/waf/exclusions", needs: auth.SeeEvents, summary: "What administrators left out of the firewall's rules",
			query: []parameter{{name: "site", means: "only those of this site"}}, out: []WAFExclusion{}, answer: h.wafExclusions},
		{method: "POST", path: "/v1/waf/exclusions", needs: auth.AddDecisions, summary: "Leave out, as narrowly as can be, what the firewall found in a request. Not by an API token",
			in: NewWAFExclusion{}, out: WAFExclusions{}, answer: h.addWAFExclusion},
		{method: "DELETE", path: "/v1/waf/exclusions/{id}", needs: auth.AddDecisions, summary: "Undo an exclusion by its id, or all that were made of a request by that one's",
			query: []parameter{{name: "reason", means: "why, for the journal"}}, out: []WAFExclusion{},
			missing: noSuch("exclusion", "doorward waf exclusion list shows them"), answer: h.deleteWAFExclusion},
	}
}

func (h *Handler) wafSites(*http.Request, auth.Actor) (any, error) {
	if h.deps.WAFSites == nil {
		return []WAFSite{}, nil
	}
	sites := h.deps.WAFSites()
	for i := range sites {
		if sites[i].Compiled != "" {
			continue // the gateway says how many it uses
		}
		for _, e := range h.deps.Exclusions.All() {
			if e.Site == sites[i].Site {
				sites[i].Added++
			}
		}
	}
	return sites, nil
}

// findFinding reads the path's or the body's request id as people copy it.
func (h *Handler) findFinding(r *http.Request, request string, from time.Time) (exclusion.Finding, error) {
	id := strings.ToUpper(strings.TrimSpace(request))
	if id == "" || len(id) > 64 {
		return exclusion.Finding{}, badRequest("request has to be the id that stands on the page of the refusal")
	}
	f, err := exclusion.Find(r.Context(), h.deps.Events, id, from)
	var other *exclusion.NotOfRulesError
	switch {
	case errors.Is(err, exclusion.ErrNoFinding):
		since := "in what is kept of the events"
		if !from.IsZero() {
			since = "since " + from.UTC().Format(time.DateTime)
		}
		return f, &Error{Status: http.StatusNotFound, Message: fmt.Sprintf("the firewall found nothing in a request %s %s", id, since),
			Hint: "doorward event search --field request_id=" + id + " shows whether there was such a request; findings go with the events, after events.retention_days"}
	case errors.As(err, &other):
		return f, &Error{Status: http.StatusConflict, Message: "request " + id + ": " + other.Error(), Hint: "no exclusion changes that; doorward event search --field request_id=" + id + " shows it"}
	}
	return f, err
}

func (h *Handler) wafFinding(r *http.Request, _ auth.Actor) (any, error) {
	from, err := moment(r.URL.Query(), "from")
	if err != nil {
		return nil, err
	}
	f, err := h.findFinding(r, r.PathValue("id"), from)
	if err != nil {
		return nil, err
	}
	narrowest, not := f.Narrowest("")
	out := WAFFinding{Event: wireEvents([]event.Event{f.Event})[0], Hits: make([]WAFHit, 0, len(f.Hits)), More: f.More, RefusedBy: f.RefusedBy, WouldRefuse: f.Would,
		Score: f.Score, AnswerScore: f.Answer, Exceeded: f.Exceeded, Limit: f.Limit, Exclusions: h.proposed(narrowest), Unnarrowed: wireUnnarrowed(not)}
	for _, hit := range f.Hits {
		out.Hits = append(out.Hits, WAFHit(hit))
	}
	return out, nil
}

// proposed are exclusions, and what leaves them out already.
func (h *Handler) proposed(all []exclusion.Exclusion) []WAFExclusion {
	out := make([]WAFExclusion, 0, len(all))
	for _, x := range all {
		w := wireExclusion(x)
		w.InForce = h.inForce(x)
		out = append(out, w)
	}
	return out
}

func (h *Handler) inForce(x exclusion.Exclusion) string {
	if e, covered := h.deps.Exclusions.Covering(x); covered {
		return e.ID
	}
	if h.deps.LeftOut != nil && h.deps.LeftOut(x) {
		return "configuration"
	}
	return ""
}

func wireExclusion(e exclusion.Exclusion) WAFExclusion {
	w := WAFExclusion{ID: e.ID, Site: e.Site, Path: e.Path, Rule: e.Rule, Parameter: e.Parameter(), YAML: e.YAML(), Reason: e.Reason, Request: e.Request,
		Created: e.Created, CreatedBy: e.By}
	if w.Parameter == "" {
		w.Target = e.Target
	}
	return w
}

func wireUnnarrowed(all []exclusion.Unnarrowed) []WAFUnnarrowed {
	out := make([]WAFUnnarrowed, 0, len(all))
	for _, u := range all {
		out = append(out, WAFUnnarrowed(u))
	}
	return out
}

func (h *Handler) wafProposals(r *http.Request, _ auth.Actor) (any, error) {
	q := r.URL.Query()
	from, err := moment(q, "from")
	if err != nil {
		return nil, err
	}
	people, err := number(r, "people", 1, 1000)
	if err != nil {
		return nil, err
	}
	if q.Get("site") == "" {
		return nil, badRequest("site has to be the name of a site")
	}
	if from.IsZero() {
		from = time.Now().AddDate(0, 0, -7)
	}
	found, err := exclusion.Propose(r.Context(), h.deps.Events, q.Get("site"), from, func(x exclusion.Exclusion) bool { return h.inForce(x) != "" })
	if err != nil {
		return nil, err
	}
	out := []WAFProposal{}
	for _, p := range found {
		if p.People >= int(people) {
			out = append(out, WAFProposal{Exclusion: wireExclusion(p.Exclusion), Message: p.Message, Requests: p.Requests, People: p.People})
		}
	}
	return out, nil
}

func (h *Handler) wafExclusions(r *http.Request, _ auth.Actor) (any, error) {
	site := r.URL.Query().Get("site")
	out := []WAFExclusion{}
	for _, e := range h.deps.Exclusions.All() {
		if site == "" || e.Site == site {
			out = append(out, wireExclusion(e))
		}
	}
	return out, nil
}

func (h *Handler) addWAFExclusion(r *http.Request, who auth.Actor) (any, error) {
	if who.As != nil && who.As.Token {
		return nil, &Error{Status: http.StatusForbidden, Message: "what lets more through takes a person; an API token is not enough"}
	}
	var in NewWAFExclusion
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	f, err := h.findFinding(r, in.Request, time.Time{})
	if err != nil {
		return nil, err
	}
	if err := h.checkSite(f.Event.Site); err != nil {
		return nil, err
	}
	wanted, not, err := chosen(f, in)
	if err != nil {
		return nil, err
	}
	out := WAFExclusions{Exclusions: h.proposed(wanted), Unnarrowed: wireUnnarrowed(not), More: f.More}
	if in.DryRun {
		return out, nil
	}
	var missing []exclusion.Exclusion
	var at []int
	for i, x := range wanted {
		if out.Exclusions[i].InForce == "" {
			x.Reason = in.Reason
			missing, at = append(missing, x), append(at, i)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	standing, made, err := h.deps.Exclusions.Add(r.Context(), exclusion.Actor{Name: who.Name, Origin: who.Origin}, missing, time.Now())
	if err != nil {
		return nil, err
	}
	for i, e := range standing {
		out.Exclusions[at[i]] = wireExclusion(e)
		if !made[i] {
			out.Exclusions[at[i]].InForce = e.ID
		}
	}
	return out, nil
}

// checkSite refuses an exclusion that nothing would ever ask.
func (h *Handler) checkSite(name string) error {
	if h.deps.WAFSites == nil {
		return nil
	}
	sites := h.deps.WAFSites()
	i := slices.IndexFunc(sites, func(s WAFSite) bool { return s.Site == name })
	switch {
	case i < 0:
		return &Error{Status: http.StatusConflict, Message: fmt.Sprintf("the finding is of the site %s, which is no longer configured", name),
			Hint: "a site goes by its first host; doorward waf status lists those there are"}
	case sites[i].Mode == "off":
		return &Error{Status: http.StatusConflict, Message: fmt.Sprintf("the firewall of the site %s is off; there is nothing to leave out", name)}
	}
	return nil
}

// chosen are the finding's exclusions that a person wants.
func chosen(f exclusion.Finding, in NewWAFExclusion) ([]exclusion.Exclusion, []exclusion.Unnarrowed, error) {
	if in.Path != "" && !exclusion.Below(f.Path, in.Path) {
		return nil, nil, badRequest(fmt.Sprintf("path has to be a prefix, of whole segments, of the request's path %s", f.Path))
	}
	wanted, not := f.Narrowest(in.Path)
	if in.Rule != 0 {
		var matched []string
		for _, hit := range f.Hits {
			if id := strconv.Itoa(hit.Rule); !slices.Contains(matched, id) {
				matched = append(matched, id)
			}
		}
		wanted = slices.DeleteFunc(wanted, func(x exclusion.Exclusion) bool { return x.Rule != in.Rule })
		not = slices.DeleteFunc(not, func(u exclusion.Unnarrowed) bool { return u.Rule != in.Rule })
		if len(wanted)+len(not) == 0 {
			return nil, nil, badRequest(fmt.Sprintf("rule %d is none of those that matched: %s", in.Rule, strings.Join(matched, ", ")))
		}
	}
	if len(wanted) > 0 {
		return wanted, not, nil
	}
	why := "it has no match that could be read"
	if f.Exceeded != "" && len(f.Hits) == 0 {
		return nil, nil, &Error{Status: http.StatusConflict, Message: fmt.Sprintf("no rule matched: the body went beyond %s (%d bytes)", f.Exceeded, f.Limit),
			Hint: "if such requests are harmless, raise " + f.Exceeded + " below waf of the site " + f.Event.Site}
	}
	if len(not) > 0 {
		why = fmt.Sprintf("rule %d at %s: %s", not[0].Rule, not[0].Variable, not[0].Problem)
	}
	return nil, nil, &Error{Status: http.StatusConflict, Message: "the finding cannot be left out narrowly: " + why,
		Hint: "if such requests are harmless all the same, write an exclusion into the configuration: sites[].waf.exclude, with rules and a path"}
}

func (h *Handler) deleteWAFExclusion(r *http.Request, who auth.Actor) (any, error) {
	gone, err := h.deps.Exclusions.Delete(r.Context(), exclusion.Actor{Name: who.Name, Origin: who.Origin}, r.PathValue("id"), r.URL.Query().Get("reason"))
	if err != nil {
		return nil, err
	}
	out := make([]WAFExclusion, 0, len(gone))
	for _, e := range gone {
		out = append(out, wireExclusion(e))
	}
	return out, nil
}

// publicExclusion is the part of public that is about exclusions; nil for other errors.
func publicExclusion(err error, to route) *Error {
	var input *exclusion.InputError
	switch {
	case errors.As(err, &input):
		return badRequest(input.Error())
	case errors.Is(err, exclusion.ErrFull):
		return &Error{Status: http.StatusConflict, Message: exclusion.ErrFull.Error(),
			Hint: "move those that proved themselves to the configuration: doorward waf exclusion list --yaml"}
	case errors.Is(err, exclusion.ErrNotFound) && to.missing != nil:
		return to.missing
	}
	return nil
}
