package gateway

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/doorward/doorward/decision"
)

// judgeDecision refuses who is banned, whatever they ask for, and holds who is to be slowed down to the rate that is left to them. It comes
// before the request is looked at: a banned client buys as little work as possible.
func (g *Gateway) judgeDecision(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		d, decided := g.decisionAbout(x.client, x.started)
		if !decided {
			return next(w, r, x)
		}
		switch d.Action {
		case decision.Ban:
			no := refuse(http.StatusForbidden, "banned", "refusal.banned")
			no.close = x.client == x.peer // a proxy's connection carries others too
			return no
		case decision.Throttle:
			if wait := g.takeThrottled(x); wait > 0 {
				no := refuse(http.StatusTooManyRequests, "throttled", "")
				no.retryAfter = wait
				return no
			}
		case decision.Challenge:
			x.challenged = true
		}
		return next(w, r, x)
	}
}

// decisionAbout is the strongest decision about an address, or about its country.
func (g *Gateway) decisionAbout(client netip.Addr, now time.Time) (decision.Decision, bool) {
	if g.decisions == nil {
		return decision.Decision{}, false
	}
	d, decided := g.decisions.Lookup(client, now)
	if g.country == nil || !g.decisions.HasCountries() || g.decisions.Allowed(client) {
		return d, decided
	}
	code, _ := g.country(client)
	if code == "" {
		return d, decided
	}
	if c, ok := g.decisions.LookupCountry(code, now); ok && (!decided || c.Action.Stronger(d.Action)) {
		return c, true
	}
	return d, decided
}

// takeThrottled takes a token of the lower rate, for an address or an IPv6 /64.
func (g *Gateway) takeThrottled(x *exchange) time.Duration {
	rate := g.decisions.Config().Throttle
	g.throttle.configure(LimitsConfig{RequestsPerSecond: rate.RequestsPerSecond, Burst: rate.Burst})
	return g.throttle.takeKey(limiterKey{address: limitAddress(x.client)}, x.started.Sub(g.throttle.started))
}

// alwaysAllowed tells whether the address is on the allow list, which exempts from the rate of requests. It exempts nobody from the wait after
// wrong sign-ins.
func (g *Gateway) alwaysAllowed(client netip.Addr) bool {
	return g.decisions != nil && g.decisions.Allowed(client)
}

// nowBanned tells whether the exchange, which was let through, would be refused by now: its stream is ended.
func (g *Gateway) nowBanned(x *exchange) bool {
	now := time.Now()
	if d, decided := g.decisionAbout(x.client, now); decided && d.Action == decision.Ban {
		return true
	}
	if x.session == nil {
		return false
	}
	d, decided := g.decisions.LookupAccount(x.session.Principal.Name, now)
	return decided && d.Action == decision.Ban
}
