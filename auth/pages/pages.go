package pages

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"path"
	"strings"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/language"
)

// Config says for whom the pages are.
type Config struct {
	Realm auth.Realm // what a sign-in opens
	// CookieName is the session cookie's; it must begin with __Host-, so that no other host can set it. The pages' other
	// cookies have this name with -pending, -device or -proof behind it.
	CookieName string
	Title      string // shown above the form; default: the host's name
}

// Deps is what the pages work with. All are required but Events.
type Deps struct {
	Auth  *auth.Auth
	Texts *language.Catalogue
	Log   *slog.Logger
	// Events shows people what happened with their account; nil: nothing is shown.
	Events *event.Log
}

// Visitor is what the caller has learnt about a request before it comes here.
type Visitor struct {
	Address   netip.Addr // the client's, after trusted proxies
	Host      string     // canonical; sessions are bound to it
	Site      string     // for events
	RequestID string
	// Token is the session cookie's value, if the caller has taken the cookie out of the request.
	Token   string
	Session *auth.Session // nil when not signed in
	// Cookies are those that these pages keep in the browser beside the session (__Host-doorward-…), if the caller has
	// taken them out of the request. A name that came twice is not among them.
	Cookies []*http.Cookie
}

type visitorKey struct{}

// Visit returns a context that carries the visitor to the pages.
func Visit(ctx context.Context, v Visitor) context.Context {
	return context.WithValue(ctx, visitorKey{}, v)
}

//go:embed templates/*.html static/*
var files embed.FS

// Pages serves everything of ours below /.doorward/ that a person sees. Every request must carry a Visitor.
type Pages struct {
	cfg         Config
	auth        *auth.Auth
	texts       *language.Catalogue
	events      *event.Log
	log         *slog.Logger
	crossOrigin *http.CrossOriginProtection
	routes      map[string]route
	templates   map[string]*template.Template
	static      map[string]asset
	histories   chan struct{} // places for reading recent activity
}

// New builds the pages; the error is a Config that cannot be used.
func New(cfg Config, deps Deps) (*Pages, error) {
	if !strings.HasPrefix(cfg.CookieName, "__Host-") {
		return nil, fmt.Errorf("cookie name %q does not begin with __Host-", cfg.CookieName)
	}
	if cfg.Realm != auth.SiteRealm && cfg.Realm != auth.ConsoleRealm {
		return nil, fmt.Errorf("realm %q is not known", cfg.Realm)
	}
	if deps.Texts == nil {
		return nil, errors.New("the pages have no texts")
	}
	p := &Pages{cfg: cfg, auth: deps.Auth, texts: deps.Texts, events: deps.Events, log: deps.Log,
		crossOrigin: http.NewCrossOriginProtection(), routes: make(map[string]route),
		templates: make(map[string]*template.Template), static: make(map[string]asset), histories: make(chan struct{}, 4)}
	for _, routes := range []map[string]route{p.signInRoutes(), p.linkRoutes(), p.passkeyRoutes(), p.accountRoutes(),
		p.resetRoutes(), p.registerRoutes(), p.inviteRoutes()} {
		maps.Copy(p.routes, routes)
	}
	if err := p.parse(); err != nil {
		return nil, err
	}
	return p, p.loadStatic()
}

// parse reads the templates: each page with the layout and the parts that pages share.
func (p *Pages) parse() error {
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return fmt.Errorf("list pages: %w", err)
	}
	for _, name := range names {
		t, err := template.ParseFS(files, "templates/layout.html", "templates/parts.html", name)
		if err != nil {
			return fmt.Errorf("parse page: %w", err)
		}
		p.templates[path.Base(name)] = t
	}
	return nil
}

// exchange is one request with what is known about its sender.
type exchange struct {
	w    http.ResponseWriter
	r    *http.Request
	v    Visitor
	lang string // the language of the answer
	json bool   // a script of ours asks: answers are JSON
}

// speak chooses the language: what the person has chosen, else what the browser prefers.
func (p *Pages) speak(x *exchange, preferred string) {
	x.lang = p.texts.Match(preferred, x.r.Header.Get("Accept-Language"))
}

// text is the words of a key in the language of the answer.
func (p *Pages) text(x *exchange, key string, pairs ...string) string {
	return p.texts.Text(x.lang, key, pairs...)
}

// route is what a path does. What may change something is a post alone.
type route struct {
	get, post func(*exchange) error
	json      bool // it speaks JSON only
}

// ServeHTTP answers a request below /.doorward/.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v, ok := r.Context().Value(visitorKey{}).(Visitor)
	x := &exchange{w: w, r: r, v: v}
	setHeaders(w.Header())
	preferred := ""
	if v.Session != nil {
		preferred = v.Session.Principal.Language
	}
	p.speak(x, preferred)
	var err error
	if !ok {
		// Without it the wait would not know whom to count, so this is no request to answer.
		err = errors.New("the request carries no visitor")
	} else {
		err = p.serve(x)
	}
	if err != nil {
		p.report(x, err)
	}
}

func (p *Pages) serve(x *exchange) error {
	name := x.r.URL.Path
	to, known := p.routes[name]
	if file, ok := strings.CutPrefix(name, staticPath); ok {
		if a, ok := p.static[file]; ok {
			to, known = route{get: a.serve}, true
		}
	}
	if strings.HasPrefix(name, providerPath) && p.cfg.Realm == auth.SiteRealm {
		to, known = p.providerRoute(name)
	}
	if !known {
		return &refusal{status: http.StatusNotFound, code: "page-unknown", key: "page.error.page_unknown"}
	}
	x.json = to.json
	allowed := ""
	if to.get != nil {
		allowed = "GET, HEAD"
	}
	switch method := x.r.Method; {
	case to.get != nil && (method == http.MethodGet || method == http.MethodHead):
		return to.get(x)
	case to.post != nil && method == http.MethodPost:
		if p.crossOrigin.Check(x.r) != nil {
			return &refusal{status: http.StatusForbidden, code: "cross-site", key: "page.error.cross_site"}
		}
		return to.post(x)
	case to.post != nil && allowed != "":
		allowed += ", POST"
	case to.post != nil:
		allowed = "POST"
	}
	x.w.Header().Set("Allow", allowed)
	return &refusal{status: http.StatusMethodNotAllowed, code: "method", key: "page.error.method"}
}

const (
	contentPolicy = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	// scriptPolicy is for the pages that ask the browser for a passkey, which no form can.
	scriptPolicy = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

// setHeaders puts the strict rules on every answer. The pages need one style sheet and forms, nothing
// else. The referrer stays on this host (the return address is in the sign-in page's URL); no-referrer would make
// browsers send Origin: null with the form, which looks like another site.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
}
