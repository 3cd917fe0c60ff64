package console

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/auth/pages"
	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/geo"
	"github.com/doorward/doorward/hostname"
	"github.com/doorward/doorward/language"
	"golang.org/x/net/netutil"
)

// CookieName is the console's session cookie. It differs from the sites', because cookies ignore ports
// (security.md 1).
const CookieName = "__Host-doorward-console"

// Caps on what peers can make the console hold.
const (
	maxConnections = 256
	maxHeaderBytes = 32 << 10
	maxBodyBytes   = 64 << 10
	stopWithin     = 3 * time.Second
)

// Deps is what the console shows and works with. All are required but API.
type Deps struct {
	Auth    *auth.Auth
	Events  *event.Log
	Log     *slog.Logger
	TLS     *tls.Config // certificates for the names in Config.Hosts
	Texts   *language.Catalogue
	Version string
	Started time.Time

	// API answers what is asked below /api/ with an API token, for the host and from the address; it returns whose token it was and,
	// for the access event, why it was refused. Nil: there is no API.
	API func(w http.ResponseWriter, r *http.Request, host string, client netip.Addr) (user, reason string)
	// Store tells whether the store can be read and written now.
	Store func(context.Context) error
	// Serving is closed once the gateway's listeners accept.
	Serving <-chan struct{}
	// Sites tells the sites and the health of their upstreams.
	Sites func() []gateway.SiteStatus
	// Traffic reads the gateway's counters.
	Traffic func() gateway.Stats
	// Countries and HostNames read the counters of what is known of addresses.
	Countries func() geo.Stats
	HostNames func() hostname.Stats
	// Decisions reads the counters of who is refused.
	Decisions func() decision.Stats
}

// Console is the operators' listener. Make one with New, start it with Run.
type Console struct {
	deps      Deps
	settings  atomic.Pointer[settings]
	listeners []net.Listener
	handler   http.Handler
	pages     *pages.Pages
	overview  *template.Template
	refusal   *template.Template
	counters  counters
	storeSeen storeCheck
	ready     chan struct{}
}

// settings is what a reload may change.
type settings struct {
	hosts    map[string]bool
	networks []netip.Prefix
	token    string // empty: none
}

// New builds the pages and opens the listeners; nothing is served before Run. On an error nothing stays
// open. The error of a port in use wraps syscall.EADDRINUSE and names the address.
func New(cfg Config, deps Deps) (*Console, error) {
	c := &Console{deps: deps, ready: make(chan struct{})}
	s, err := newSettings(cfg)
	if err != nil {
		return nil, err
	}
	c.settings.Store(s)
	c.pages, err = pages.New(pages.Config{Realm: auth.ConsoleRealm, CookieName: CookieName, Title: "Doorward console"},
		pages.Deps{Auth: deps.Auth, Texts: deps.Texts, Events: deps.Events, Log: deps.Log})
	if err != nil {
		return nil, fmt.Errorf("build sign-in pages: %w", err)
	}
	if err := c.parsePages(); err != nil {
		return nil, err
	}
	if c.handler, err = c.routes(); err != nil {
		return nil, err
	}
	for i, address := range cfg.Listen {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("console.listen[%d]: listen on %s: %w", i, address, err), c.Close())
		}
		c.listeners = append(c.listeners, listener)
	}
	return c, nil
}

func newSettings(cfg Config) (*settings, error) {
	s := &settings{hosts: make(map[string]bool), networks: cfg.Networks}
	for _, host := range cfg.Hosts {
		clean, ok := canonicalHost(strings.Trim(host, "[]"))
		if !ok {
			return nil, fmt.Errorf("console host %q is not a host name or an address", host)
		}
		s.hosts[clean] = true
	}
	if cfg.MetricsTokenFile != "" {
		token, err := readToken(cfg.MetricsTokenFile)
		if err != nil {
			return nil, err
		}
		s.token = token
	}
	return s, nil
}

// minToken keeps a token from being guessed over the network.
const minToken = 16 // characters

func readToken(path string) (string, error) {
	// A pipe would keep the reader waiting for ever.
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return "", fmt.Errorf("read metrics token: %w", err)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read metrics token: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, 4096))
	if err != nil {
		return "", fmt.Errorf("read metrics token: %w", err)
	}
	token, _, _ := strings.Cut(string(text), "\n")
	token = strings.TrimSpace(token)
	if len(token) < minToken {
		return "", fmt.Errorf("metrics token in %s: the first line must have at least %d characters", path, minToken)
	}
	return token, nil
}

// Prepare builds what a reload changes, hosts and token, and returns the function that takes it over. The
// listen addresses can change only with a restart.
func (c *Console) Prepare(cfg Config) (swap func(), err error) {
	s, err := newSettings(cfg)
	if err != nil {
		return nil, err
	}
	return func() { c.settings.Store(s) }, nil
}

// Run serves until ctx ends, then gives requests three seconds to finish. It may be called once.
func (c *Console) Run(ctx context.Context) error {
	server := &http.Server{
		Handler:           c,
		TLSConfig:         c.deps.TLS.Clone(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(c.deps.Log.Handler(), slog.LevelDebug),
		ConnState:         c.counters.connection,
	}
	failed := make(chan error, len(c.listeners))
	var serving sync.WaitGroup
	for _, listener := range c.listeners {
		serving.Go(func() {
			err := server.ServeTLS(netutil.LimitListener(listener, maxConnections), "", "")
			if !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", listener.Addr(), err)
			}
		})
	}
	close(c.ready)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if stopErr := server.Shutdown(limit); stopErr != nil {
		err = errors.Join(err, server.Close())
	}
	serving.Wait()
	return err
}

// ServeHTTP answers one request as the listeners do; the peer is r.RemoteAddr.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// Ready is closed once every listener accepts connections.
func (c *Console) Ready() <-chan struct{} { return c.ready }

// Addresses are the addresses that the console listens on, with the ports that the system chose for :0.
func (c *Console) Addresses() []net.Addr {
	addresses := make([]net.Addr, 0, len(c.listeners))
	for _, listener := range c.listeners {
		addresses = append(addresses, listener.Addr())
	}
	return addresses
}

// Close frees the listeners of a console that was never run; after Run it does nothing.
func (c *Console) Close() error {
	var errs []error
	for _, listener := range c.listeners {
		if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
