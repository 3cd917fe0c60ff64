package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/auth/pages"
)

// chain is the order in which every request is judged, outermost first: read it top to bottom to follow
// one request. Nothing reaches an application by another way.
func (g *Gateway) chain() handler {
	steps := []step{
		g.record,           // one access event a request, refusals too; errors become answers here
		g.recoverPanic,     // our own defect costs one request, not the process
		g.clientAddress,    // who is asking, through trusted proxies only
		g.judgeDecision,    // who is banned or slowed down, whatever they ask for
		g.findSite,         // Host, and the TLS server name that must agree
		g.inspectRaw,       // for test tools only: the firewall before everything that refuses
		g.canonicalise,     // one reading of method, path and headers, or none
		g.challenge,        // who has to show a browser first
		g.judgeOrigin,      // network and country rules
		g.findSession,      // who is signed in
		g.limit,            // rate and load, strangers first to go
		g.refuseForgery,    // cross-site state changes
		g.judgeRoleAddress, // where the person's roles may be used
		g.ownPages,         // /.doorward/* ends here
		g.judgeAccess,      // the site's access policy
		g.limitBody,        // size and parameters of the body
		g.inspect,          // the web application firewall: the request now, the answer on its way back
	}
	h := g.forward // identity, proxy, cookie and header rules
	for i := len(steps) - 1; i >= 0; i-- {
		h = steps[i](h)
	}
	return h
}

// ServeHTTP judges one request by the policy in force when it arrived. A trusted proxy's question about a request
// goes through the chain of authz.go.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.serveAuthz(w, r) {
		return
	}
	x := &exchange{w: w, id: newRequestID(), started: time.Now(), policy: g.policy.Load(), conn: connOf(r), last: endsConnection(r)}
	if err := g.handle(x, r, x); err != nil {
		// record has answered already; what is left is the order to break the connection.
		panic(http.ErrAbortHandler)
	}
}

func (g *Gateway) record(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		x.aborted = true // until the answer is out: an abort is a panic that passes through here
		defer g.recordAccess(r, x)
		if err := next(w, r, x); err != nil {
			g.report(w, r, x, err)
		}
		x.aborted = false
		return nil
	}
}

func (g *Gateway) recoverPanic(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) (err error) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if e, ok := p.(error); ok && errors.Is(e, http.ErrAbortHandler) {
				panic(p) // the answer was cut on purpose
			}
			g.counters.panics.Add(1)
			x.name()
			g.log.Error("recover from a panic", slog.String("request_id", x.id), slog.Any("panic", p),
				slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("panic: %v", p)
		}()
		return next(w, r, x)
	}
}

func (g *Gateway) clientAddress(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		x.peer = peerOf(r)
		client, err := clientAddress(x.peer, r.Header, x.policy.cfg.TrustedProxies)
		if err != nil {
			x.client = x.peer
			return err
		}
		x.client = client
		x.secure = r.TLS != nil || forwardedSecure(x.peer, r.Header, x.policy.cfg.TrustedProxies)
		return next(w, r, x)
	}
}

func (g *Gateway) findSite(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		var err error
		if x.site, x.host, err = x.policy.siteOf(r); err != nil {
			return err
		}
		return next(w, r, x)
	}
}

func (g *Gateway) canonicalise(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		path, err := canonicalise(r, x.site.paths)
		if err != nil {
			return err
		}
		x.path = path
		if x.bearer, err = takeAPIToken(r.Header); err != nil {
			return err
		}
		x.cookies = r.Header["Cookie"]
		if x.bearer == "" { // a request with both is the token's
			x.token = sessionToken(r.Header)
		}
		if x.token == "" && path.decoded == signOutPath {
			x.tokens = sessionTokens(r.Header)
		}
		dropped, err := cleanHeaders(r, x.site.app, path)
		if dropped > 0 {
			g.counters.droppedHeaders.Add(uint64(dropped))
		}
		if err != nil {
			return err
		}
		return next(w, r, x)
	}
}

func (g *Gateway) findSession(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		if x.bearer != "" {
			if err := g.findTokenSession(r, x); err != nil {
				return err
			}
			return next(w, r, x)
		}
		if x.token == "" {
			return next(w, r, x)
		}
		address := limiterKey{address: limitAddress(x.client)}
		if g.guesses.spent(address, x.started) && !g.auth.HoldsSession(x.token) && !g.alwaysAllowed(x.client) {
			no := refuse(http.StatusTooManyRequests, "session-guess", "")
			no.retryAfter = 2 * time.Second
			return no
		}
		s, err := g.auth.PollSession(r.Context(), auth.SiteRealm, x.host, x.token, x.started)
		switch {
		case err == nil:
			x.session = s
			if g.isActivity(r, x) {
				g.auth.Touch(s, x.started)
			}
			if x.conn != nil {
				x.conn.keepFor(s.ID)
			}
		case errors.Is(err, auth.ErrUnavailable):
			x.storeDown = true
		case errors.Is(err, auth.ErrNoSession):
			g.guesses.takeKey(address, x.started.Sub(g.guesses.started)) // the store was asked for nothing
		default:
			return fmt.Errorf("look up session: %w", err)
		}
		return next(w, r, x)
	}
}

func (g *Gateway) limit(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		x.key = keyOf(x)
		if no := g.inFlight.enter(x.key); no != nil {
			return no
		}
		x.under = g.inFlight
		defer x.release()
		if wait := g.limiter.take(x, x.started); wait > 0 && !g.alwaysAllowed(x.client) {
			no := refuse(http.StatusTooManyRequests, "rate", "")
			no.retryAfter = wait
			return no
		}
		return next(w, r, x)
	}
}

// ownPrefix is where our own pages live at every site. Any other spelling of it belongs to nobody, or an
// application that ignores case could be made to answer in our name.
const ownPrefix = "/.doorward/"

func (g *Gateway) ownPages(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		if !strings.HasPrefix(x.path.folded, ownPrefix) {
			return next(w, r, x)
		}
		if !strings.HasPrefix(x.path.decoded, ownPrefix) {
			return refuse(http.StatusNotFound, "own-page-unknown", "")
		}
		if err := x.refuseToken(); err != nil {
			return err
		}
		applyResponseRules(w.Header(), x.site, x.secure, false)
		w.Header().Set("X-Request-Id", x.id)
		if x.path.decoded == ownPrefix+"jwks.json" {
			return x.policy.keys.serve(w, r)
		}
		if x.path.decoded == challengePath && g.decisions != nil {
			return g.serveChallenge(w, r, x)
		}
		if err := g.prepareSignOut(r, x); err != nil {
			return err
		}
		ctx := pages.Visit(r.Context(), pages.Visitor{
			Address: x.client, Host: x.host, Site: x.site.name, RequestID: x.id, Token: x.token, Session: x.session,
			Cookies: ownCookies(x.cookies),
		})
		g.pages.ServeHTTP(w, r.WithContext(ctx))
		return nil
	}
}

func (g *Gateway) judgeAccess(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		v := x.site.access.judge(x.path, x.session, x.from)
		switch v.decision {
		case allow:
			return next(w, r, x)
		case signIn:
			return x.askToSignIn(r)
		case stepUp:
			return x.askForFactor(r, v.level)
		default:
			return refuse(http.StatusForbidden, v.reason, "")
		}
	}
}

func (g *Gateway) limitBody(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		limit := int64(x.site.cfg.MaxBody)
		if r.ContentLength > limit {
			no := refuse(http.StatusRequestEntityTooLarge, "body-too-large", "")
			no.close = true
			return no
		}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(w, r.Body, limit)
		}
		if err := refuseBodyParameters(r, x.site.app, x.path); err != nil {
			return err
		}
		return next(w, r, x)
	}
}

// forward sends the judged request to the application, with the identity of whoever is signed in.
func (g *Gateway) forward(w http.ResponseWriter, r *http.Request, x *exchange) error {
	if x.site.proxy == nil {
		return refuse(http.StatusNotFound, "not-proxied", "refusal.not_proxied")
	}
	if err := x.site.identity.identify(x); err != nil {
		return err
	}
	return x.site.proxy.serve(w, r, x)
}
