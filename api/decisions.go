package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/decision"
)

// decisionRoutes are about who is refused, slowed down or challenged, and about the programs that read it.
func (h *Handler) decisionRoutes() []route {
	noDecision := noSuch("decision, or it has ended", "doorward decision list shows them")
	return []route{
		{method: "GET", path: "/v1/decisions", needs: auth.SeeEvents, summary: "Decisions that stand, by their number",
			query: []parameter{{name: "address", means: "only those about this address or a network that it is in"},
				{name: "origin", means: "only those whose origin begins so, such as detection: or import:list.txt"},
				{name: "action", means: "only those of this action: ban, challenge or throttle"},
				{name: "target", means: "only those about exactly this target"},
				{name: "after", means: "only those with a higher number: the last one of the page before", number: true},
				{name: "limit", means: "how many; default and most 1000", number: true}},
			out: []Decision{}, answer: h.decisions},
		{method: "POST", path: "/v1/decisions", needs: auth.AddDecisions, summary: "Decide: ban, challenge or throttle an address, a network, an account or a country",
			in: NewDecision{}, out: AddedDecision{}, answer: h.addDecision},
		{method: "POST", path: "/v1/decisions/import", needs: auth.AddDecisions, summary: "Decide on up to 5000 targets in one transaction; those that are refused hold up no other",
			in: ImportedDecisions{}, out: ImportReport{}, body: maxLargeBody, answer: h.importDecisions},
		{method: "DELETE", path: "/v1/decisions", needs: auth.AddDecisions, summary: "Lift a decision, all about a target, or all of an origin",
			query: []parameter{{name: "which", means: "an id or a target"}, {name: "origin", means: "in the place of which: the whole origin, such as import:list.txt"},
				{name: "reason", means: "why, for the journal"}},
			out: LiftedDecisions{}, missing: noDecision, answer: h.deleteDecision},
		{method: "GET", path: "/v1/bouncers", needs: auth.SeeEvents, summary: "Programs that read the decisions by CrowdSec's protocol", out: []Bouncer{}, answer: h.bouncers},
		{method: "POST", path: "/v1/bouncers/{name}", needs: auth.AddDecisions, summary: "Let a program read the decisions; its key is shown this once. Not by an API token",
			out: AddedBouncer{}, answer: h.addBouncer},
		{method: "DELETE", path: "/v1/bouncers/{name}", needs: auth.AddDecisions, summary: "Take a program's key away", out: done{},
			missing: noSuch("bouncer", "doorward decision bouncer list shows them"), answer: h.removeBouncer},
	}
}

func wireDecision(d decision.Decision) Decision {
	if d.Evidence == nil {
		d.Evidence = []string{}
	}
	return Decision{ID: d.ID, Number: d.Number, Action: string(d.Action), Kind: string(d.Target.Kind), Target: d.Target.Short(), Origin: d.Origin, Reason: d.Reason,
		Evidence: d.Evidence, Created: d.Created, Until: d.Until, Repeats: d.Repeats, Spoofable: d.Spoofable}
}

func (h *Handler) decisions(r *http.Request, _ auth.Actor) (any, error) {
	q := r.URL.Query()
	f := decision.Filter{Origin: q.Get("origin"), Action: decision.Action(q.Get("action"))}
	var err error
	if text := q.Get("address"); text != "" {
		if f.Address, err = netip.ParseAddr(text); err != nil {
			return nil, badRequest("address must be an address")
		}
	}
	if text := q.Get("target"); text != "" {
		if f.Target, err = decision.ParseTarget(text); err != nil {
			return nil, err
		}
	}
	if f.Action != "" && !slices.Contains(decision.Actions(), f.Action) {
		return nil, badRequest("action must be ban, challenge or throttle")
	}
	if f.After, err = number(r, "after", 0, 1<<62); err != nil {
		return nil, err
	}
	limit, err := number(r, "limit", maxEntries, maxEntries)
	if err != nil {
		return nil, err
	}
	f.Limit = int(limit)
	list, err := h.deps.Decisions.Find(r.Context(), f, time.Now())
	if err != nil {
		return nil, err
	}
	out := make([]Decision, 0, len(list))
	for _, d := range list {
		out = append(out, wireDecision(d))
	}
	return out, nil
}

// decider is who decides. The address that they use now is the token's client, or what the command line says of itself.
func decider(who auth.Actor, from string) decision.Actor {
	by := decision.Actor{Name: who.Name, Origin: who.Origin}
	for _, text := range []string{who.Origin, from} {
		if addr, err := netip.ParseAddr(text); err == nil && !by.Address.IsValid() {
			by.Address = addr
		}
	}
	return by
}

// checkCountry refuses a decision about a country that nobody would be in, as far as Doorward knows, and one about the country of who asks.
func (h *Handler) checkCountry(p decision.Proposal, by decision.Actor) error {
	if p.Target.Kind != decision.Country || h.deps.CountryTarget == nil {
		return nil
	}
	if err := h.deps.CountryTarget(strings.ToUpper(p.Target.Name), by.Address); err != nil {
		return &Error{Status: http.StatusConflict, Message: err.Error()}
	}
	return nil
}

func (h *Handler) addDecision(r *http.Request, who auth.Actor) (any, error) {
	var in NewDecision
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	now := time.Now()
	p, err := h.propose(in.Target, in.Action, in.Seconds, in.Permanent, in.Reason)
	if err != nil {
		return nil, err
	}
	if p.Target.Kind == decision.Account && who.As != nil {
		// A ban closes an account as disabling it does, and goes by the same rules.
		target, err := h.deps.Auth.Principal(r.Context(), p.Target.Name)
		if err != nil {
			return nil, err
		}
		if err := h.deps.Auth.MayChange(who.As, target, auth.Change{Kind: auth.DisableAccount}); err != nil {
			return nil, err
		}
	}
	if err := h.checkCountry(p, decider(who, in.From)); err != nil {
		return nil, err
	}
	p.Origin = "admin:" + who.Name
	d, result, err := h.deps.Decisions.Add(r.Context(), decider(who, in.From), p, now)
	if err != nil {
		return nil, err
	}
	full, err := h.deps.Decisions.Find(r.Context(), decision.Filter{Target: d.Target, Action: d.Action}, now)
	if err == nil && len(full) == 1 {
		d = full[0] // with the evidence that others have given
	}
	return AddedDecision{Decision: wireDecision(d), Result: string(result)}, nil
}

// propose reads what a person or a list says.
func (h *Handler) propose(target, action string, seconds int64, permanent bool, reason string) (decision.Proposal, error) {
	about, err := decision.ParseTarget(target)
	if err != nil {
		return decision.Proposal{}, err
	}
	p := decision.Proposal{Action: decision.Action(action), Target: about, Reason: reason}
	if action == "" {
		p.Action = decision.Ban
	}
	switch {
	case permanent && seconds != 0:
		return p, badRequest("seconds and permanent contradict each other; give one")
	case seconds < 0 || seconds > 1<<30:
		return p, badRequest("seconds is not a length of time that decisions may have")
	case seconds > 0:
		p.For = time.Duration(seconds) * time.Second
	case !permanent:
		p.For = h.deps.Decisions.Config().DefaultDuration
	}
	return p, nil
}

func (h *Handler) importDecisions(r *http.Request, who auth.Actor) (any, error) {
	var in ImportedDecisions
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if in.Name == "" || len(in.Name) > 100 {
		return nil, badRequest("name must say in 1 to 100 bytes where the decisions come from")
	}
	if len(in.Decisions) > decision.MaxBatch {
		return nil, badRequest("more than 5000 decisions at once; send the rest in another request")
	}
	report := ImportReport{Refused: []RefusedImport{}}
	refuse := func(target, problem string) {
		report.RefusedCount++
		if len(report.Refused) < maxRefused {
			report.Refused = append(report.Refused, RefusedImport{target, problem})
		}
	}
	var ps []decision.Proposal
	now := time.Now().Truncate(time.Microsecond) // as the store keeps it, so that an end comes out as it was given
	for _, d := range in.Decisions {
		p, err := h.propose(d.Target, d.Action, d.Seconds, d.Permanent, d.Reason)
		if err == nil && !d.Until.IsZero() {
			p, err = endAt(p, d, now)
		}
		switch {
		case err != nil:
			refuse(d.Target, err.Error())
			continue
		case p.Target.Kind == decision.Account && who.As != nil:
			refuse(d.Target, "accounts are banned one at a time")
			continue
		}
		if err := h.checkCountry(p, decider(who, in.From)); err != nil {
			refuse(d.Target, err.Error())
			continue
		}
		p.Origin = "import:" + in.Name
		ps = append(ps, p)
	}
	out, err := h.deps.Decisions.Import(r.Context(), decider(who, in.From), in.Name, ps, now)
	if err != nil {
		return nil, err
	}
	for i, o := range out {
		switch o.Result {
		case decision.Made:
			report.Made++
		case decision.Extended:
			report.Extended++
		case decision.Standing, decision.Known:
			report.Standing++
		default:
			refuse(ps[i].Target.Short(), o.Problem)
		}
	}
	return report, nil
}

// endAt is a proposal that ends when its line says.
func endAt(p decision.Proposal, d ImportedDecision, now time.Time) (decision.Proposal, error) {
	if d.Seconds != 0 || d.Permanent {
		return p, badRequest("until, seconds and permanent contradict each other; give one")
	}
	if p.For = d.Until.Sub(now); p.For <= 0 {
		return p, badRequest("has ended")
	}
	return p, nil
}

// maxRefused caps the refusals that an import's answer names; all are counted.
const maxRefused = 100

func (h *Handler) deleteDecision(r *http.Request, who auth.Actor) (any, error) {
	q := r.URL.Query()
	which, origin, by := q.Get("which"), q.Get("origin"), decider(who, "")
	if (which == "") == (origin == "") {
		return nil, badRequest("say which decision, or which origin")
	}
	if origin != "" {
		n, err := h.deps.Decisions.DeleteOrigin(r.Context(), by, origin, q.Get("reason"), time.Now())
		return LiftedDecisions{Count: n}, err
	}
	lifted, err := h.deps.Decisions.Delete(r.Context(), by, which, q.Get("reason"), time.Now())
	if err != nil {
		return nil, h.orWider(r, which, err)
	}
	out := LiftedDecisions{Count: len(lifted)}
	for _, d := range lifted {
		out.Decisions = append(out.Decisions, wireDecision(d))
	}
	return out, nil
}

// orWider says which network's decision holds for an address that no decision is about itself: lifting that one lets others in too.
func (h *Handler) orWider(r *http.Request, which string, err error) error {
	target, bad := decision.ParseTarget(which)
	if !errors.Is(err, decision.ErrNotFound) || bad != nil || target.Kind != decision.Address || !target.Prefix.IsSingleIP() {
		return err
	}
	list, bad := h.deps.Decisions.Find(r.Context(), decision.Filter{Address: target.Prefix.Addr()}, time.Now())
	if bad != nil || len(list) == 0 {
		return err
	}
	wider := list[0].Target.Short()
	return &Error{Status: http.StatusNotFound, Message: fmt.Sprintf("no decision is about %s itself; the %s of %s holds for it", target.Short(), list[0].Action, wider),
		Hint: "doorward decision delete " + wider + " lifts that for the whole network; decisions.allow spares the one address"}
}

func (h *Handler) bouncers(r *http.Request, _ auth.Actor) (any, error) {
	list, err := h.deps.Bouncers.List(r.Context())
	if err != nil {
		return nil, err
	}
	out := make([]Bouncer, 0, len(list))
	for _, b := range list {
		out = append(out, Bouncer(b))
	}
	return out, nil
}

func (h *Handler) addBouncer(r *http.Request, who auth.Actor) (any, error) {
	if who.As != nil && who.As.Token {
		return nil, &Error{Status: http.StatusForbidden, Message: "a new key takes a person; an API token is not enough"}
	}
	key, err := h.deps.Bouncers.Add(r.Context(), decider(who, ""), r.PathValue("name"), time.Now())
	return AddedBouncer{Name: r.PathValue("name"), Key: key}, err
}

func (h *Handler) removeBouncer(r *http.Request, who auth.Actor) (any, error) {
	return done{}, h.deps.Bouncers.Remove(r.Context(), decider(who, ""), r.PathValue("name"))
}

// publicDecision is the part of public that is about decisions; nil for other errors.
func publicDecision(err error) *Error {
	var input *decision.InputError
	var refused *decision.RefusedError
	switch {
	case errors.As(err, &input):
		return badRequest(input.Error())
	case errors.As(err, &refused):
		e := &Error{Status: http.StatusConflict, Message: refused.Error()}
		if refused.Result == decision.Allowed {
			e.Hint = "the allow list is under decisions.allow in the configuration"
		}
		return e
	}
	return nil
}
