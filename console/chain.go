package console

import (
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/auth/pages"
	"github.com/doorward/doorward/event"
)

//go:embed templates/*.html static/*
var files embed.FS

// contentPolicy fits pages without any script; styles and pictures are our own files.
const contentPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// counters count the console's own answers since the start.
type counters struct {
	byClass [6]atomic.Uint64 // by the status's first digit
	open    atomic.Int64     // connections open now
}

// connection is the server's word that a connection came or went.
func (c *counters) connection(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
	}
}

// exchange is what the console has learnt about one request; one is made for each.
type exchange struct {
	http.ResponseWriter
	id      string
	started time.Time
	peer    netip.Addr
	host    string
	session *auth.Session // nil while not signed in
	user    string        // of the API token, if one was good
	status  int
	written int64
	reason  string // why it was refused; empty when it was not
	quiet   bool   // a probe that comes every few seconds: not worth an access event when it went well
}

func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(p)
	x.written += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// refusal is the error of a request that is not answered as asked.
type refusal struct {
	status int
	reason string // constant, for the access event
	text   string // what the person reads
}

func (r *refusal) Error() string { return fmt.Sprintf("refused: %d %s", r.status, r.reason) }

// handler answers, or returns an error that answer turns into a page.
type handler func(x *exchange, r *http.Request) error

func (c *Console) parsePages() (err error) {
	functions := template.FuncMap{"clock": clock, "count": count}
	if c.overview, err = template.New("overview.html").Funcs(functions).ParseFS(files, "templates/overview.html"); err != nil {
		return fmt.Errorf("parse overview page: %w", err)
	}
	if c.refusal, err = template.ParseFS(files, "templates/refusal.html"); err != nil {
		return fmt.Errorf("parse refusal page: %w", err)
	}
	return nil
}

func (c *Console) routes() (http.Handler, error) {
	static, err := fs.Sub(files, "static")
	if err != nil {
		return nil, fmt.Errorf("open static files: %w", err)
	}
	metrics, err := c.newMetrics()
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	assets := http.StripPrefix("/static/", http.FileServerFS(static))
	forgery := http.NewCrossOriginProtection()
	mux := http.NewServeMux()
	handle := func(pattern string, h handler) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			x := w.(*exchange) // ServeHTTP below passes nothing else
			if err := forgery.Check(r); err != nil {
				c.answer(x, r, &refusal{http.StatusForbidden, "cross-site", "This request was started by another site, so it was not carried out."})
				return
			}
			if err := h(x, r); err != nil {
				c.answer(x, r, err)
			}
		})
	}
	handle("GET /healthz", c.healthz)
	handle("GET /readyz", c.readyz)
	handle("GET /metrics", func(x *exchange, r *http.Request) error { return c.metrics(x, r, metrics) })
	handle("GET /static/", func(x *exchange, r *http.Request) error { assets.ServeHTTP(x, r); return nil })
	handle("/.doorward/", c.ownPages)
	handle("/api/", c.api)
	handle("GET /{$}", c.forOperators(c.showOverview))
	handle("/", c.forOperators(func(*exchange, *http.Request) error {
		return &refusal{http.StatusNotFound, "page-unknown", "There is no such page."}
	}))
	return c.outer(mux), nil
}

// outer is what every request passes first: the record, our own defects, the peer and the Host.
func (c *Console) outer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{ResponseWriter: w, id: rand.Text()[:16], started: time.Now()}
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			x.peer = peer.Addr().Unmap()
		}
		defer c.record(x, r)
		defer c.recoverPanic(x, r)
		h := x.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", contentPolicy)
		// No HSTS: it would cover every port of localhost, which is not the console's to decide.
		host, ok := canonicalHost(r.Host)
		if !ok || !c.settings.Load().hosts[host] {
			c.answer(x, r, &refusal{http.StatusMisdirectedRequest, "host-unknown", "This host is not served here."})
			return
		}
		x.host = host
		if r.URL.Path != "/metrics" && !c.reaches(x.peer) { // metrics judges its peers itself: a token is enough
			c.answer(x, r, &refusal{http.StatusForbidden, "network", "The console cannot be reached from this network."})
			return
		}
		r.Body = http.MaxBytesReader(x, r.Body, maxBodyBytes)
		next.ServeHTTP(x, r)
	})
}

func (c *Console) recoverPanic(x *exchange, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p) // cut on purpose
	}
	c.deps.Log.Error("recover from a panic", slog.String("request_id", x.id), slog.Any("panic", p),
		slog.String("stack", string(debug.Stack())))
	if x.status != 0 {
		panic(http.ErrAbortHandler) // half an answer must not look whole
	}
	c.answer(x, r, fmt.Errorf("panic: %v", p))
}

// findSession looks up who is signed in to the console.
func (c *Console) findSession(x *exchange, r *http.Request) error {
	cookie, err := r.Cookie(CookieName)
	if err != nil {
		return nil
	}
	s, err := c.deps.Auth.Session(r.Context(), auth.ConsoleRealm, x.host, cookie.Value, x.started)
	switch {
	case err == nil:
		x.session = s
	case errors.Is(err, auth.ErrUnavailable):
		return &refusal{http.StatusServiceUnavailable, "store-unavailable", "The store cannot be read. Please try again in a moment."}
	case !errors.Is(err, auth.ErrNoSession):
		return fmt.Errorf("look up session: %w", err)
	}
	return nil
}

// ownPages are the sign-in pages that the console shares with the sites.
func (c *Console) ownPages(x *exchange, r *http.Request) error {
	// A store that is away must not keep the sign-in page from saying so itself.
	if err := c.findSession(x, r); err != nil && r.Method != http.MethodGet {
		return err
	}
	// As at the sites: a stolen session changes nothing from elsewhere, and can be ended.
	ends := r.URL.Path == "/.doorward/sign-out" || strings.HasPrefix(r.URL.Path, "/.doorward/static/")
	if x.session != nil && !ends && !c.deps.Auth.AllowedFrom(x.session, x.peer) {
		return &refusal{http.StatusForbidden, "role-network", "Your account cannot be used from this network."}
	}
	ctx := pages.Visit(r.Context(), pages.Visitor{Address: x.peer, Host: x.host, Site: "console", RequestID: x.id, Session: x.session})
	c.pages.ServeHTTP(x, r.WithContext(ctx))
	return nil
}

// api answers programs. It knows tokens only: a session's cookie is nothing to it.
func (c *Console) api(x *exchange, r *http.Request) error {
	if c.deps.API == nil {
		return &refusal{http.StatusNotFound, "page-unknown", "There is no such page."}
	}
	x.user, x.reason = c.deps.API(x, r, x.host, x.peer)
	return nil
}

// forOperators lets only signed-in people through whose roles have the privilege for it.
func (c *Console) forOperators(next handler) handler {
	return func(x *exchange, r *http.Request) error {
		if err := c.findSession(x, r); err != nil {
			return err
		}
		if x.session == nil {
			if pages.IsNavigation(r) {
				x.reason = "not-signed-in"
				http.Redirect(x, r, pages.SignInURL(r.URL.RequestURI()), http.StatusSeeOther)
				return nil
			}
			return &refusal{http.StatusUnauthorized, "not-signed-in", "Please sign in."}
		}
		if x.session.IsToken() || !c.deps.Auth.May(x.session.Principal, auth.UseConsole) {
			return &refusal{http.StatusForbidden, "role", "The console is for people whose role has the privilege use-console."}
		}
		if err := c.judgeRemote(x, r); err != nil || x.status != 0 {
			return err
		}
		return next(x, r)
	}
}

// answer makes a status and a page of an error. What is read is the refusal's own text, never the error's.
func (c *Console) answer(x *exchange, r *http.Request, err error) {
	var no *refusal
	if !errors.As(err, &no) {
		c.deps.Log.Error("answer console request", slog.String("request_id", x.id), slog.Any("error", err))
		no = &refusal{http.StatusInternalServerError, "internal-error", "The request could not be answered."}
	}
	x.reason = no.reason
	if x.status != 0 {
		panic(http.ErrAbortHandler) // half an answer is out: only a broken connection keeps it from looking whole
	}
	h := x.Header()
	h.Set("X-Request-Id", x.id)
	switch no.status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Doorward realm="console", uri="/.doorward/sign-in"`)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "2")
	}
	title := http.StatusText(no.status)
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		x.WriteHeader(no.status)
		_, _ = fmt.Fprintf(x, "%d %s\n%s\nrequest %s\n", no.status, title, no.text, x.id)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	x.WriteHeader(no.status)
	_ = c.refusal.Execute(x, struct { // an error here is the reader's departure
		Status          int
		Title, Text, ID string
		SignedIn        bool
	}{no.status, title, no.text, x.id, x.session != nil})
}

// record appends the access event; probes that went well are only counted.
func (c *Console) record(x *exchange, r *http.Request) {
	class := x.status / 100
	if class >= len(c.counters.byClass) {
		class = 0
	}
	c.counters.byClass[class].Add(1)
	if x.quiet && class == 2 {
		return
	}
	e := event.Event{Time: x.started, Class: event.HTTP, Action: r.Method, Outcome: event.Success,
		Severity: event.Informational, Source: x.peer, Site: "console"}
	if x.reason != "" {
		e.Outcome, e.Severity = event.Refused, event.Low
	} else if class >= 4 || class == 0 {
		e.Outcome = event.Failure // the sign-in pages answered so themselves, or it broke
	}
	e.User = x.user
	if x.session != nil {
		e.User = x.session.Principal.Name
	}
	e.Fields = append(make([]event.Field, 0, 8),
		event.Field{Key: "request_id", Value: x.id},
		event.Field{Key: "host", Value: r.Host},
		event.Field{Key: "target", Value: pages.LogTarget(r.RequestURI)},
		event.Field{Key: "status", Value: strconv.Itoa(x.status)},
		event.Field{Key: "bytes", Value: strconv.FormatInt(x.written, 10)},
		event.Field{Key: "micros", Value: strconv.FormatInt(time.Since(x.started).Microseconds(), 10)},
		event.Field{Key: "user_agent", Value: r.UserAgent()})
	if x.reason != "" {
		e.Fields = append(e.Fields, event.Field{Key: "reason", Value: x.reason})
	}
	c.deps.Events.Append(e)
}
