package gateway

import (
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// authzPath is where a proxy that keeps its place in front of the application asks about each request
// (docs/forward-auth.md). For everybody but the proxies of forward_auth.trusted it is a page that does not exist.
const authzPath = ownPrefix + "authz"

// authzChain is the order in which a request is judged that a proxy asks about: the chain's own steps, with those
// before the session replaced by what the proxy says, and without those that would need the body. It fails closed
// (security.md 8): whatever the proxy does not say, or says twice, is no request to let through.
func (g *Gateway) authzChain() handler {
	steps := []step{
		g.recordAuthz,      // counters; one event on denial, or when a session appears somewhere new
		g.recoverPanic,     // as for every request
		g.forwardedClient,  // who is asking, as the trusted proxies say
		g.judgeDecision,    // who is banned or slowed down
		g.forwardedTarget,  // what for, from the four headers: site, method and canonical path
		g.challenge,        // who has to show a browser first
		g.judgeOrigin,      // network and country rules
		g.findSession,      // who is signed in
		g.limit,            // rate and load
		g.refuseForgery,    // cross-site state changes, by the forwarded method
		g.judgeRoleAddress, // where the person's roles may be used
		g.judgePassedOn,    // what the application would get that it must not
		g.judgeAccess,      // the site's access policy
	}
	h := g.tellIdentity
	for i := len(steps) - 1; i >= 0; i-- {
		h = steps[i](h)
	}
	return h
}

// authzAsk is one question of a proxy. It is reused, because a question must cost hardly more than an answer: nothing
// may hold on to it.
type authzAsk struct {
	x        exchange
	r        http.Request // a copy of the proxy's request that becomes the one it asks about
	redirect bool         // mode=redirect: an answer that browsers understand, for proxies that pass it on as it is
}

// asksAuthz recognises a question by its bytes: no other spelling is one.
func asksAuthz(target string) bool {
	return strings.HasPrefix(target, authzPath) && (len(target) == len(authzPath) || target[len(authzPath)] == '?')
}

// serveAuthz answers r if it is a question from a proxy that may ask, and tells whether it was.
func (g *Gateway) serveAuthz(w http.ResponseWriter, r *http.Request) bool {
	if !asksAuthz(r.RequestURI) {
		return false
	}
	p, peer := g.policy.Load(), peerOf(r)
	if !containsAddress(p.cfg.ForwardAuth.Trusted, peer) {
		return false
	}
	ask, ok := g.asks.Get().(*authzAsk)
	if !ok {
		ask = &authzAsk{}
	}
	ask.r, ask.redirect = *r, false
	ask.x = exchange{w: w, started: time.Now(), policy: p, conn: connOf(r), peer: peer, client: peer, ask: ask, last: endsConnection(r)}
	if c := ask.x.conn; c != nil && !c.signedIn.Load() {
		c.signedIn.Store(true) // a proxy's connection carries everybody: it is never closed for a newcomer
	}
	if err := g.handleAuthz(&ask.x, &ask.r, &ask.x); err != nil {
		panic(http.ErrAbortHandler)
	}
	ask.x, ask.r = exchange{}, http.Request{}
	g.asks.Put(ask)
	return true
}

// peerOf is the address of the connection's other end. A unix socket has none: whoever may open it is on this host.
func peerOf(r *http.Request) netip.Addr {
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return peer.Addr().Unmap()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// forwardedClient finds the client as clientAddress does; proxies that may ask are believed like trusted_proxies.
func (g *Gateway) forwardedClient(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		client, err := clientAddress(x.peer, r.Header, x.policy.hops)
		if err != nil {
			return err
		}
		x.client = client
		return next(w, r, x)
	}
}

// forwardedTarget makes r the request that the proxy asks about, and judges its target as if it had come here.
func (g *Gateway) forwardedTarget(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		mode := strings.TrimPrefix(r.RequestURI[len(authzPath):], "?")
		if err := x.readForwarded(r); err != nil {
			return err
		}
		switch mode {
		case "":
		case "mode=redirect":
			x.ask.redirect = true
		default:
			return ambiguous("mode-unknown")
		}
		host, ok := canonicalHost(r.Host)
		if !ok {
			return ambiguous("host-malformed")
		}
		if x.site = x.policy.siteFor(host); x.site == nil {
			return refuse(http.StatusMisdirectedRequest, "host-unknown", "")
		}
		x.host = host
		if err := x.readTarget(r); err != nil {
			return err
		}
		if strings.HasPrefix(x.path.folded, ownPrefix) {
			return refuse(http.StatusForbidden, "own-page", "refusal.own_page")
		}
		var err error
		if x.bearer, err = takeAPIToken(r.Header); err != nil {
			return err
		}
		if x.bearer == "" {
			x.token = sessionToken(r.Header)
		}
		return next(w, r, x)
	}
}

// readForwarded takes method, scheme, host and target from the four headers, each of which must be there once.
func (x *exchange) readForwarded(r *http.Request) error {
	var said [4]string
	missing := false
	for i, name := range [...]string{"X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri"} {
		if values := r.Header[name]; len(values) == 1 && values[0] != "" {
			said[i] = values[0]
		} else {
			missing = true
		}
	}
	if missing {
		return refuse(http.StatusBadRequest, "target-missing", "refusal.target_missing")
	}
	r.Method, r.Host, r.RequestURI = said[0], said[2], said[3]
	switch {
	case strings.EqualFold(said[1], "https"):
		x.secure = true
		return nil
	case strings.EqualFold(said[1], "http"):
		// Our cookies travel over TLS only, so that nobody could ever sign in; nothing is to be opened this way either.
		return refuse(http.StatusForbidden, "plain-http", "refusal.plain_http")
	default:
		return ambiguous("scheme-unknown")
	}
}

// readTarget is canonicalise for a target that came in a header. What would be a redirect to the collapsed path is one
// only in redirect mode; the proxy would let it through otherwise.
func (x *exchange) readTarget(r *http.Request) (err error) {
	if !knownMethod(r.Method) {
		return ambiguous("method-unknown")
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	if !cleanQuery(query) {
		return ambiguous("query-malformed")
	}
	x.path, err = canonicalisePath(path, x.site.paths)
	x.path.query = query
	if err != nil && x.path.raw != "" && x.ask.redirect && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		no := refuse(http.StatusPermanentRedirect, "path-empty-segment", "")
		no.location = "https://" + hostWithPort(x.host, r.Host) + x.target()
		return no
	}
	return err
}

// judgePassedOn refuses what is taken out of a request that goes through here, and what nobody takes out where a proxy
// passes it on: an application's own credentials (security.md 3), headers that sign a client in there, parameters that
// do, and header names that the application's server may read as others. Headers that can only be there once must be.
func (g *Gateway) judgePassedOn(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		app := x.site.app
		for name, values := range r.Header {
			switch {
			case !plainHeaderName(name), app.stripsHeader(name):
				return refuse(http.StatusForbidden, "header-refused", "")
			case len(values) > 1 && isSingle(name):
				return ambiguous("header-repeated")
			}
		}
		if r.Header["Authorization"] != nil && !x.path.under(app.AuthorizationPaths) {
			return refuse(http.StatusForbidden, "authorization", "refusal.authorization")
		}
		for _, strip := range app.StripParams {
			if x.path.mayBeUnder(strip.Paths) && formHolds(x.path.query, strip.Names) {
				return refuse(http.StatusForbidden, "parameter", "")
			}
		}
		if _, asked := r.Header["Upgrade"]; asked || r.Header.Get("Sec-Fetch-Mode") == "websocket" {
			if err := judgeWebSocket(r, x); err != nil {
				return err
			}
		}
		return next(w, r, x)
	}
}

// tellIdentity lets the request through: 200 with the headers by which the application learns who is signed in, but
// without the shared secret. The secret says that Doorward speaks; here the proxy does, and its answer may be seen
// by more than the application. Cookie and Authorization are what is left of the client's own without ours, for the
// proxy to pass on in their place.
func (g *Gateway) tellIdentity(w http.ResponseWriter, r *http.Request, x *exchange) error {
	if err := x.site.identity.identify(x); err != nil {
		return err
	}
	cleanCookies(r.Header)
	if cookies := r.Header["Cookie"]; cookies != nil {
		w.Header()["Cookie"] = cookies
	}
	if credentials := r.Header["Authorization"]; credentials != nil { // judgePassedOn has let them pass
		w.Header()["Authorization"] = credentials
	}
	x.site.identity.tell(w.Header(), x)
	w.WriteHeader(http.StatusOK)
	return nil
}
