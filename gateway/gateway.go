package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/auth/pages"
	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway/exclusion"
	"github.com/doorward/doorward/language"
)

// CookieName is the session cookie at the sites. It never reaches an application (security.md 1).
const CookieName = "__Host-doorward"

// Deps is what the gateway works with. Auth, Events, Log and Texts are required.
type Deps struct {
	Auth   *auth.Auth
	Events *event.Log
	Log    *slog.Logger
	// Texts are what our own pages say. Required.
	Texts *language.Catalogue
	// Country returns the country of an address, as two capital letters and empty if it is not known, and whether the
	// address is a private one, which is no country's. Nil: there is no database, and no rule may ask for a country.
	Country func(netip.Addr) (code string, private bool)
	// RoleAllowed tells whether the roles of a session let it be used from an address. Nil: from everywhere.
	RoleAllowed func(*auth.Session, netip.Addr) bool
	// RequireActivity tells whether what a page asks for on its own keeps the session alive (false), or only what a person
	// does (true, D-19). Nil: false.
	RequireActivity func(*auth.Session) bool
	// Decisions are who is refused, slowed down or challenged. Nil: nobody is.
	Decisions *decision.List
	// Exclusions are what administrators left out of the firewall's rules. Nil: nothing but what the configuration says.
	Exclusions *exclusion.List
	// Sockets are the listening sockets that the service manager passed, by name; a listen address fd:NAME
	// takes all of that name, a host:port the one that is bound to it.
	Sockets map[string][]net.Listener
}

// Gateway serves the sites of its configuration. Make one with New, start it with Run.
type Gateway struct {
	auth   *auth.Auth
	events *event.Log
	log    *slog.Logger
	texts  *language.Catalogue

	decisions *decision.List
	throttle  *limiter // of those that a decision slows down

	exclusions *exclusion.List
	excluded   map[string][]exclusion.Exclusion // by site; guarded by reload

	country         func(netip.Addr) (code string, private bool)
	roleAllowed     func(*auth.Session, netip.Addr) bool
	requireActivity func(*auth.Session) bool

	policy      atomic.Pointer[policy]
	handle      handler
	handleAuthz handler
	asks        sync.Pool // of *authzAsk
	appeared    appearances
	pages       *pages.Pages
	crossOrigin *http.CrossOriginProtection
	limiter     *limiter
	guesses     *limiter // of addresses whose session cookies are nobody's
	inFlight    *inFlight
	turns       *turns
	counters    counters
	server      *server
	streams     *streams
	sockets     map[string][]net.Listener

	// reload serialises policy changes; run is closed over by Run and starts a policy's health checks.
	reload sync.Mutex
	run    func(*policy) (stop func())
	stop   func()
}

// New builds the gateway of cfg: keys, sites and listeners. Everything that can fail fails here; nothing
// is served before Run. On an error nothing stays open.
func New(cfg Config, deps Deps) (*Gateway, error) {
	g := &Gateway{auth: deps.Auth, events: deps.Events, log: deps.Log, texts: deps.Texts, sockets: deps.Sockets,
		decisions: deps.Decisions, throttle: newLimiter(cfg.Limits), exclusions: deps.Exclusions,
		country: deps.Country, roleAllowed: deps.RoleAllowed, requireActivity: deps.RequireActivity,
		crossOrigin: http.NewCrossOriginProtection(), streams: newStreams(cfg.Limits)}
	var err error
	g.pages, err = pages.New(pages.Config{Realm: auth.SiteRealm, CookieName: CookieName},
		pages.Deps{Auth: deps.Auth, Texts: deps.Texts, Events: deps.Events, Log: deps.Log})
	if err != nil {
		return nil, fmt.Errorf("build sign-in pages: %w", err)
	}
	g.limiter, g.guesses = newLimiter(cfg.Limits), newLimiter(cfg.Limits)
	if g.decisions != nil {
		g.streams.decided, g.streams.refused = g.decisions.Generation, g.nowBanned
	}
	g.inFlight = newInFlight(cfg.Limits.InFlight)
	g.turns = newTurns(runtime.GOMAXPROCS(0))
	g.handle, g.handleAuthz = g.chain(), g.authzChain()
	p, err := g.newPolicy(cfg)
	if err != nil {
		return nil, err
	}
	g.policy.Store(p)
	if g.server, err = newServer(cfg, g); err != nil {
		return nil, err
	}
	if g.exclusions != nil {
		g.exclusions.Use(g.useExclusions)
	}
	return g, nil
}

// Run serves until ctx ends, then lets requests finish for a while and returns. It may be called once.
func (g *Gateway) Run(ctx context.Context) error {
	health, cancel := context.WithCancel(ctx)
	defer cancel()
	var watching sync.WaitGroup
	g.reload.Lock()
	g.run = func(p *policy) func() {
		watch, stop := context.WithCancel(health)
		watching.Go(func() { p.run(watch) })
		return stop
	}
	g.stop = g.run(g.policy.Load())
	g.reload.Unlock()
	watching.Go(func() { g.tellLearning(health) })
	err := g.server.Run(ctx)
	cancel()
	watching.Wait()
	settle, end := context.WithTimeout(context.WithoutCancel(ctx), settling)
	defer end()
	g.policy.Load().waf.Settle(settle)
	return err
}

// Reload builds cfg's policy and certificates and swaps them in; requests under way finish by the old one.
// On an error the old policy stays in force. Listen addresses and the timeouts of connections cannot change
// while running.
func (g *Gateway) Reload(ctx context.Context, cfg Config) error {
	g.reload.Lock()
	defer g.reload.Unlock()
	old := g.policy.Load()
	if err := sameServer(old.cfg, cfg); err != nil {
		return err
	}
	p, err := g.newPolicy(cfg)
	if err != nil {
		return err
	}
	if err := g.server.reload(ctx, cfg); err != nil {
		return err
	}
	g.limiter.configure(cfg.Limits)
	g.guesses.configure(cfg.Limits)
	g.inFlight.configure(cfg.Limits.InFlight)
	g.policy.Store(p)
	if old.matchLog != nil && old.matchLog != p.matchLog {
		_ = old.matchLog.Close() // what requests under way still find is counted as dropped
	}
	g.streams.cut(func(x *exchange) bool { return p.siteFor(x.host) == nil })
	if g.run != nil {
		g.stop()
		g.stop = g.run(p)
	}
	return nil
}

// Ready is closed once every listener accepts connections.
func (g *Gateway) Ready() <-chan struct{} { return g.server.ready }

// Addresses are the addresses that the gateway listens on for kind "https", "http" or "plain", with the
// ports that the system chose for :0.
func (g *Gateway) Addresses(kind string) []net.Addr { return g.server.addresses(kind) }

// Close frees the listeners of a gateway that was never run.
func (g *Gateway) Close() error { return g.server.Close() }

// SiteStatus is what a person sees of a site on the console.
type SiteStatus struct {
	Name      string
	Hosts     []string
	App       string
	Upstreams []UpstreamStatus
}

// Sites tells each site's name, hosts, application folder and upstream health.
func (g *Gateway) Sites() []SiteStatus {
	p := g.policy.Load()
	out := make([]SiteStatus, 0, len(p.sites))
	for _, s := range p.sites {
		out = append(out, SiteStatus{Name: s.name, Hosts: s.hosts, App: s.app.Name, Upstreams: s.upstreams()})
	}
	return out
}

// sameServer refuses what net/http takes at the start only; a reload that seemed to change it would mislead.
func sameServer(old, new Config) error {
	for _, setting := range []struct {
		key  string
		same bool
	}{
		{"listen.https", slices.Equal(old.Listen.HTTPS, new.Listen.HTTPS)},
		{"listen.http", slices.Equal(old.Listen.HTTP, new.Listen.HTTP)},
		{"listen.plain", slices.Equal(old.Listen.Plain, new.Listen.Plain)},
		{"limits.header_bytes", old.Limits.HeaderBytes == new.Limits.HeaderBytes},
		{"limits.header_timeout", old.Limits.HeaderTimeout == new.Limits.HeaderTimeout},
		{"limits.body_timeout", old.Limits.BodyTimeout == new.Limits.BodyTimeout},
		{"limits.idle_timeout", old.Limits.IdleTimeout == new.Limits.IdleTimeout},
	} {
		if !setting.same {
			return fmt.Errorf("%s cannot change while running; restart to use it", setting.key)
		}
	}
	return nil
}
