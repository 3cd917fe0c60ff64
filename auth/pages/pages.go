package pages

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"

	"github.com/doorward/doorward/auth"
)

// Config says for whom the pages are.
type Config struct {
	Realm auth.Realm // what a sign-in opens
	// CookieName is the session cookie's; it must begin with __Host-, so that no other host can set it.
	CookieName string
	Title      string // shown above the form; default: the host's name
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

//go:embed sign_in.html sign_out.html message.html layout.html doorward.css
var files embed.FS

// Pages serves /.doorward/sign-in, /.doorward/sign-out and /.doorward/static/. Every request must carry a Visitor.
type Pages struct {
	cfg         Config
	auth        *auth.Auth
	log         *slog.Logger
	crossOrigin *http.CrossOriginProtection
	templates   map[string]*template.Template
	css         []byte
	cssTag      string
}

// New builds the pages; the error is a Config that cannot be used.
func New(cfg Config, a *auth.Auth, log *slog.Logger) (*Pages, error) {
	if !strings.HasPrefix(cfg.CookieName, "__Host-") {
		return nil, fmt.Errorf("cookie name %q does not begin with __Host-", cfg.CookieName)
	}
	if cfg.Realm != auth.SiteRealm && cfg.Realm != auth.ConsoleRealm {
		return nil, fmt.Errorf("realm %q is not known", cfg.Realm)
	}
	p := &Pages{cfg: cfg, auth: a, log: log, crossOrigin: http.NewCrossOriginProtection(), templates: make(map[string]*template.Template)}
	for _, name := range []string{"sign_in.html", "sign_out.html", "message.html"} {
		t, err := template.ParseFS(files, "layout.html", name)
		if err != nil {
			return nil, fmt.Errorf("parse page: %w", err)
		}
		p.templates[name] = t
	}
	var err error
	if p.css, err = files.ReadFile("doorward.css"); err != nil {
		return nil, fmt.Errorf("read style: %w", err)
	}
	p.cssTag = tag(p.css)
	return p, nil
}

// ServeHTTP answers a request below /.doorward/.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v, ok := r.Context().Value(visitorKey{}).(Visitor)
	x := &exchange{w: w, r: r, v: v}
	setHeaders(w.Header())
	var err error
	if !ok {
		// Without it the wait would not know whom to count, so this is no request to answer.
		err = errors.New("the request carries no visitor")
	} else {
		err = p.route(x)
	}
	if err != nil {
		p.report(x, err)
	}
}

// exchange is one request with what is known about its sender.
type exchange struct {
	w http.ResponseWriter
	r *http.Request
	v Visitor
}

func (p *Pages) route(x *exchange) error {
	method := x.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var get, post func(*exchange) error
	switch path := x.r.URL.Path; {
	case path == signInPath:
		get, post = p.showSignIn, p.signIn
	case path == signOutPath:
		get, post = p.showSignOut, p.signOut
	case path == staticPath+"doorward.css":
		get = p.showStyle
	default:
		return &refusal{status: http.StatusNotFound, code: "page-unknown", text: "There is no such page."}
	}
	switch {
	case method == http.MethodGet:
		return get(x)
	case method == http.MethodPost && post != nil:
		if p.crossOrigin.Check(x.r) != nil {
			return &refusal{status: http.StatusForbidden, code: "cross-site",
				text: "This request was started by another site, so it was not carried out."}
		}
		return post(x)
	}
	allowed := "GET, HEAD"
	if post != nil {
		allowed += ", POST"
	}
	x.w.Header().Set("Allow", allowed)
	return &refusal{status: http.StatusMethodNotAllowed, code: "method", text: "This page cannot be used in this way."}
}

// setHeaders puts the strict rules on every answer. The pages need one style sheet and one form, nothing
// else. The referrer stays on this host (the return address is in the sign-in page's URL); no-referrer would make
// browsers send Origin: null with the form, which looks like another site.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
}

func (p *Pages) showStyle(x *exchange) error {
	h := x.w.Header()
	h.Set("Content-Type", "text/css; charset=utf-8")
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("ETag", p.cssTag)
	serveContent(x, p.css)
	return nil
}

// title is what stands above the form.
func (p *Pages) title(v Visitor) string {
	if p.cfg.Title != "" {
		return p.cfg.Title
	}
	return v.Host
}

// page is what the templates show.
type page struct {
	Title, Heading, Message string
	Name, ReturnTo          string // of the sign-in form
	Wrong                   bool   // the message is about what was typed
	SignedIn                string // the account's name
	RequestID               string
}

// show renders a page completely before it answers, so that a defect gives 500 and never half a page.
func (p *Pages) show(x *exchange, status int, name string, data page) error {
	data.Title, data.RequestID = p.title(x.v), x.v.RequestID
	var b bytes.Buffer
	if err := p.templates[name].ExecuteTemplate(&b, "layout.html", data); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	x.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(b.Bytes()) // an error is the visitor's departure
	}
	return nil
}
