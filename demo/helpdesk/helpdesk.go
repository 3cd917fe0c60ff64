package helpdesk

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

//go:embed templates/*.html static/*
var files embed.FS

// Caps on what visitors can make the helpdesk hold or do at once.
const (
	maxBody    = 64 << 10 // bytes of a posted form
	maxStreams = 100      // open event streams
)

// Headers names the request headers that carry the signed-in person, as the application folder declares them.
type Headers struct {
	User   string // account name
	Email  string
	Roles  string // comma-separated
	Secret string // shared secret, without which nothing else is believed
}

// Config is what the helpdesk must be told.
type Config struct {
	Headers Headers
	// Secrets are the valid shared secrets; a second one stays valid during a rotation. At least one.
	Secrets []string
	// Log receives what whoever runs the demo should know. Required.
	Log *slog.Logger
}

// Helpdesk is the application. It is safe for concurrent use.
type Helpdesk struct {
	config  Config
	pages   map[string]*template.Template
	desk    *desk
	visits  *visits
	mux     *http.ServeMux
	streams atomic.Int64
	tick    time.Duration // pause between two events of a stream
}

// New checks the configuration and prepares the pages; it starts nothing.
func New(c Config) (*Helpdesk, error) {
	if c.Headers.User == "" || c.Headers.Secret == "" {
		return nil, errors.New("helpdesk: the names of the user and the secret header are required")
	}
	if len(c.Secrets) == 0 {
		return nil, errors.New("helpdesk: a shared secret is required")
	}
	for _, secret := range c.Secrets {
		if secret == "" {
			return nil, errors.New("helpdesk: an empty shared secret would let everybody in")
		}
	}
	pages, err := parsePages()
	if err != nil {
		return nil, err
	}
	h := &Helpdesk{config: c, pages: pages, desk: newDesk(), visits: newVisits(), tick: time.Second}
	if h.mux, err = h.routes(); err != nil {
		return nil, err
	}
	return h, nil
}

func parsePages() (map[string]*template.Template, error) {
	pages := map[string]*template.Template{}
	for _, name := range []string{"home", "ticket", "queue", "admin", "data", "live", "problem"} {
		page, err := template.New("layout.html").Funcs(template.FuncMap{"when": when}).
			ParseFS(files, "templates/layout.html", "templates/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("parse page %q: %w", name, err)
		}
		pages[name] = page
	}
	return pages, nil
}

func (h *Helpdesk) routes() (*http.ServeMux, error) {
	static, err := fs.Sub(files, "static")
	if err != nil {
		return nil, fmt.Errorf("open static files: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(static)))
	mux.HandleFunc("GET /{$}", h.page(h.home))
	mux.HandleFunc("POST /tickets", h.page(h.create))
	mux.HandleFunc("GET /tickets/{id}", h.page(h.view))
	mux.HandleFunc("POST /tickets/{id}/replies", h.page(h.reply))
	mux.HandleFunc("POST /tickets/{id}/state", h.page(h.setState))
	mux.HandleFunc("GET /queue/", h.page(h.queue))
	mux.HandleFunc("GET /admin/", h.page(h.admin))
	mux.HandleFunc("GET /data/", h.page(h.data))
	mux.HandleFunc("GET /events", h.page(h.events))
	mux.HandleFunc("/", h.page(func(http.ResponseWriter, *http.Request, *visitor) error {
		return &problem{http.StatusNotFound, "There is no such page."}
	}))
	return mux, nil
}

// ServeHTTP answers one request; without the shared secret the answer is always 403.
func (h *Helpdesk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.fromGateway(r) {
		http.Error(w, "This helpdesk answers only requests that came through its gateway.", http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	h.mux.ServeHTTP(w, r)
}

// Serve answers requests from the listener until ctx ends, and closes it. Open streams end at once.
func (h *Helpdesk) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(h.config.Log.Handler(), slog.LevelWarn),
		// A stream's request ends with ctx, so that Shutdown does not wait for it.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		stopped <- server.Shutdown(limit)
	})
	err := server.Serve(listener)
	if stop() { // ctx is still alive: the listener broke by itself
		return fmt.Errorf("serve helpdesk: %w", err)
	}
	if err := <-stopped; err != nil {
		return errors.Join(fmt.Errorf("stop helpdesk: %w", err), server.Close())
	}
	return nil
}
