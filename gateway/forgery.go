package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The kinds of exception from the guard against forged requests.
const (
	forgeryWebhook  = "webhook"
	forgeryEmbedded = "embedded"
	forgeryFormPost = "form-post"
	forgeryCORS     = "cors"
)

// forgeryGuard keeps other sites' pages from acting with the visitor's session (I-81, OWASP ASVS 5.0 3.5.1). It is
// immutable.
type forgeryGuard struct {
	off, strict bool
	exceptions  []forgeryException
}

// forgeryException lets some pages of others start requests on some paths.
type forgeryException struct {
	kind        string
	paths       []string // as written, like everything that opens
	origins     []string // in the form of the Origin header
	methods     []string // of kind cors
	headers     []string // of kind cors, canonical
	credentials bool     // of kind cors
}

// newForgeryGuard compiles a site's settings and what its application's folder knows of webhooks.
func newForgeryGuard(cfg CSRFConfig, app *App) *forgeryGuard {
	g := &forgeryGuard{off: cfg.Off, strict: cfg.Strict}
	for _, e := range cfg.Exceptions {
		compiled := forgeryException{kind: e.Kind, paths: []string{e.Path}, credentials: e.Credentials, methods: e.Methods}
		for _, origin := range e.Origins {
			compiled.origins = append(compiled.origins, strings.ToLower(origin))
		}
		for _, name := range e.Headers {
			compiled.headers = append(compiled.headers, strings.ToLower(name))
		}
		g.exceptions = append(g.exceptions, compiled)
	}
	if len(app.WebhookPaths) > 0 {
		g.exceptions = append(g.exceptions, forgeryException{kind: forgeryWebhook, paths: app.WebhookPaths})
	}
	return g
}

// admits tells whether a page of origin may start the request.
func (e *forgeryException) admits(origin string) bool {
	return e.kind == forgeryWebhook || slices.Contains(e.origins, strings.ToLower(origin))
}

// keepsCookies tells whether the request goes on with what the visitor's browser adds to it by itself. Only a
// page that the administrator named may make use of it.
func (e *forgeryException) keepsCookies() bool {
	return e.kind == forgeryFormPost || e.kind == forgeryCORS && e.credentials
}

// find returns the exception that covers the request, or nil.
func (g *forgeryGuard) find(r *http.Request, path canonicalPath) *forgeryException {
	origin := r.Header.Get("Origin")
	for i := range g.exceptions {
		e := &g.exceptions[i]
		if !path.under(e.paths) || !e.admits(origin) {
			continue
		}
		if e.kind == forgeryFormPost || e.kind == forgeryEmbedded {
			if r.Method != http.MethodPost {
				continue
			}
		}
		return e
	}
	return nil
}

// refuseForgery keeps other sites' pages from acting with the visitor's session (I-81).
func (g *Gateway) refuseForgery(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		if strings.HasPrefix(x.path.folded, ownPrefix) {
			if g.fromElsewhere(r, x) {
				return refuse(http.StatusForbidden, "cross-site", "refusal.cross_site")
			}
			return next(w, r, x)
		}
		guard := x.site.forgery
		if guard.off {
			return next(w, r, x)
		}
		if len(guard.exceptions) > 0 {
			if e := guard.find(r, x.path); e != nil && !sameOrigin(r.Header.Get("Origin"), r.Host) {
				done, err := e.apply(w, r, x)
				if done || err != nil {
					return err
				}
				return next(w, r, x)
			}
		}
		if g.fromElsewhere(r, x) {
			return refuse(http.StatusForbidden, "cross-site", "refusal.cross_site")
		}
		if guard.unexplained(r, x) {
			return refuse(http.StatusForbidden, "origin-missing", "refusal.origin_missing")
		}
		return next(w, r, x)
	}
}

// fromElsewhere tells that the request changes something and was started by a page of another site.
func (g *Gateway) fromElsewhere(r *http.Request, x *exchange) bool {
	return g.crossOrigin.Check(r) != nil || changesState(r.Method) && x.secure && fromPlainHTTP(r)
}

// unexplained tells that a request which changes something does not say where it came from, although it should: every
// browser since 2020 sends Origin or Sec-Fetch-Site with such requests, so one without was robbed of them on its way. A
// program shows no pages, and nobody else's page can make it act; strict asks programs too. Without cookies there
// is nothing that a page could make use of.
func (g *forgeryGuard) unexplained(r *http.Request, x *exchange) bool {
	if !changesState(r.Method) || len(x.cookies) == 0 || x.bearer != "" {
		return false
	}
	if r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != "" || refersToItself(r, x) {
		return false
	}
	return g.strict || strings.Contains(r.Header.Get("User-Agent"), "Mozilla/")
}

// refersToItself tells that the Referer is a page of the same host, and of the same scheme where that is https.
func refersToItself(r *http.Request, x *exchange) bool {
	u, err := url.Parse(r.Header.Get("Referer"))
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) && (u.Scheme == "https" || u.Scheme == "http" && !x.secure)
}

// apply lets a request from another site through as far as the exception goes. done says that it was answered.
func (e *forgeryException) apply(w http.ResponseWriter, r *http.Request, x *exchange) (done bool, err error) {
	origin := r.Header.Get("Origin")
	if e.kind == forgeryCORS {
		if asksPreflight(r) && x.ask == nil {
			return true, e.answerPreflight(w, r, x, origin)
		}
		if changesState(r.Method) && !slices.Contains(e.methods, r.Method) {
			return false, refuse(http.StatusForbidden, "cross-site", "refusal.cross_site")
		}
		x.corsOrigin, x.corsCredentials = origin, e.credentials
	}
	if e.keepsCookies() || len(x.cookies) == 0 {
		return false, nil
	}
	if x.ask != nil {
		// The proxy that asks would pass the cookies on.
		if changesState(r.Method) {
			return false, refuse(http.StatusForbidden, "cross-site", "refusal.cross_site")
		}
		return false, nil
	}
	delete(r.Header, "Cookie")
	x.cookies, x.token, x.session, x.storeDown = nil, "", nil, false
	return false, nil
}

// asksPreflight recognises a browser's question before a script's request (Fetch, "CORS-preflight request").
func asksPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// preflightAge is how long a browser may remember the answer.
const preflightAge = "600" // s

// answerPreflight answers in the application's place: the question carries no cookies, so that its access rules would
// refuse it, and a stranger's OPTIONS need not reach the application.
func (e *forgeryException) answerPreflight(w http.ResponseWriter, r *http.Request, x *exchange, origin string) error {
	method := r.Header.Get("Access-Control-Request-Method")
	if method != http.MethodGet && method != http.MethodHead && !slices.Contains(e.methods, method) {
		return refuse(http.StatusForbidden, "cross-site", "refusal.cross_site")
	}
	for _, line := range r.Header["Access-Control-Request-Headers"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.ToLower(strings.Trim(name, " \t")); name != "" && !slices.Contains(e.headers, name) {
				return refuse(http.StatusForbidden, "cross-site", "refusal.cross_site")
			}
		}
	}
	h := w.Header()
	applyResponseRules(h, x.site, x.secure, false)
	allowOrigin(h, origin, e.credentials)
	h.Set("Access-Control-Allow-Methods", strings.Join(append([]string{"GET", "HEAD"}, e.methods...), ", "))
	if len(e.headers) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(e.headers, ", "))
	}
	h.Set("Access-Control-Max-Age", preflightAge)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// allowOrigin says that scripts of origin may read the answer.
func allowOrigin(h http.Header, origin string, credentials bool) {
	h.Set("Access-Control-Allow-Origin", origin)
	h.Add("Vary", "Origin")
	h.Del("Access-Control-Allow-Credentials")
	if credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

func changesState(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// fromPlainHTTP tells that the page which started the request came without TLS. CrossOriginProtection compares
// hosts only, but whoever sits on the network can write such a page in any host's name.
func fromPlainHTTP(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Origin"), "://")
	return strings.EqualFold(scheme, "http")
}
