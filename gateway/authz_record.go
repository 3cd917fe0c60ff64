package gateway

import (
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/doorward/doorward/event"
)

// authzCounters count the answers to proxies, by what became of the request.
type authzCounters struct {
	allowed, signIn, stepUp, denied, malformed, limited, unavailable atomic.Uint64
}

// AuthzStats counts the answers to the questions of proxies (forward-auth), since the start.
type AuthzStats struct {
	Allowed     uint64 // 200
	SignIn      uint64 // 401, or a redirect to the sign-in page; an API token that is not good
	StepUp      uint64 // 403, or a redirect, because a further factor is needed
	Denied      uint64 // 403
	Malformed   uint64 // 400, 421 and 431: the proxy's question, or the request, could not be judged
	Limited     uint64 // 429
	Unavailable uint64 // 500 and 503
}

func (c *authzCounters) stats() AuthzStats {
	return AuthzStats{Allowed: c.allowed.Load(), SignIn: c.signIn.Load(), StepUp: c.stepUp.Load(), Denied: c.denied.Load(),
		Malformed: c.malformed.Load(), Limited: c.limited.Load(), Unavailable: c.unavailable.Load()}
}

// count counts an answer other than 200.
func (c *authzCounters) count(status int, reason string) {
	switch {
	case status == http.StatusUnauthorized, reason == "not-signed-in":
		c.signIn.Add(1)
	case reason == "factor":
		c.stepUp.Add(1)
	case status == http.StatusTooManyRequests:
		c.limited.Add(1)
	case status >= http.StatusInternalServerError:
		c.unavailable.Add(1)
	case status == http.StatusForbidden:
		c.denied.Add(1)
	default:
		c.malformed.Add(1)
	}
}

// recordAuthz counts every question and leaves an access event of those that were not answered 200, and of a
// session's first from an address. The proxy keeps a record of its own of what it let through; one event a request
// would cost more than judging it.
func (g *Gateway) recordAuthz(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		err := next(w, r, x)
		if err == nil {
			g.counters.authz.allowed.Add(1)
			if x.session != nil && g.appeared.note(x.session.ID, x.client) {
				x.name()
				g.appendAccess(r, x, event.Success, event.Informational, event.Field{Key: "change", Value: "new-address"})
			}
			return nil
		}
		x.name()
		var no *refusal
		if errors.As(err, &no) {
			x.answerProxy(r, no)
		}
		g.report(w, r, x, err)
		g.counters.authz.count(x.status, x.refused)
		g.counters.refused(x.refused)
		g.appendAccess(r, x, event.Refused, event.Low)
		return nil
	}
}

// answerProxy puts the page that would help into an answer that goes to a proxy. By X-Doorward-Location the proxy
// knows where to send the browser; in redirect mode the answer is the redirect itself. A script's request gets
// neither.
func (x *exchange) answerProxy(r *http.Request, no *refusal) {
	if mode := r.Header.Get("Sec-Fetch-Mode"); no.page == "" || mode != "" && mode != "navigate" {
		return
	}
	no.hint = "https://" + hostWithPort(x.host, r.Host) + no.page
	if x.ask.redirect {
		no.status, no.location = http.StatusFound, no.hint
	}
}

// maxAppeared caps the memory of who was seen where; beyond it something is forgotten, which costs an event.
const maxAppeared = 1 << 15

// appearances remembers which sessions were seen from which addresses (IPv6 by /64).
type appearances struct {
	mu   sync.RWMutex
	seen map[appearance]struct{}
}

type appearance struct {
	session string
	address netip.Addr
}

// note tells whether the session is seen from there for the first time.
func (a *appearances) note(session string, client netip.Addr) bool {
	key := appearance{session, limitAddress(client)}
	a.mu.RLock()
	_, known := a.seen[key]
	a.mu.RUnlock()
	if known {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen == nil {
		a.seen = make(map[appearance]struct{})
	}
	if _, known := a.seen[key]; known {
		return false
	}
	if len(a.seen) >= maxAppeared {
		for other := range a.seen { // the order is random
			delete(a.seen, other)
			break
		}
	}
	a.seen[key] = struct{}{}
	return true
}
