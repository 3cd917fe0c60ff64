package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"

	"github.com/doorward/doorward/gateway/waf"
)

// policy is one configuration, built whole: everything that can fail has been tried before a request is
// judged by it. A request keeps the policy it began with.
type policy struct {
	cfg    Config
	sites  []*site
	byHost map[string]*site // canonical host → site
	keys   *assertionKeys
	waf    *waf.Engine
	// matchLog is nil unless the configuration names a file.
	matchLog *waf.MatchLog
	hops     []netip.Prefix // whose word about the client counts, of those who come from a proxy that asks
}

// site is one application with everything needed to judge and forward its requests.
type site struct {
	name        string // its first host: what events, metrics and the console call it
	hosts       []string
	cfg         SiteConfig
	app         *App
	access      *accessPolicy
	countries   *countryRule
	asksCountry bool // a rule of this site asks for the client's country
	paths       pathAllow
	forgery     *forgeryGuard
	waf         *wall // nil where it is off
	identity    *identity
	answers     *answerRules
	pool        *pool
	clients     *clientCertificates // nil where nobody needs a certificate
	proxy       *proxy              // nil, like pool, where another server reaches the application
}

// newPolicy builds the sites of cfg. It opens no listener and starts no goroutine; an error names the site.
func (g *Gateway) newPolicy(cfg Config) (*policy, error) {
	p := &policy{cfg: cfg, byHost: make(map[string]*site), hops: slices.Concat(cfg.ForwardAuth.Trusted, cfg.TrustedProxies)}
	var err error
	if p.keys, err = openAssertionKeys(filepath.Join(cfg.DataDir, "identity.key")); err != nil {
		return nil, err
	}
	var older *waf.Engine
	if before := g.policy.Load(); before != nil {
		older = before.waf
	}
	if p.waf, err = waf.NewEngine(cmp.Or(cfg.WAF.Rules, waf.Doorward), int64(cfg.WAF.Memory), older); err != nil {
		return nil, err
	}
	p.waf.Compare(cfg.WAF.Compare, g.noteDifference)
	for _, sc := range cfg.Sites {
		s, err := g.newSite(cfg, sc, p)
		if err != nil {
			return nil, fmt.Errorf("site %s: %w", siteName(sc), err)
		}
		for _, host := range s.hosts {
			if other := p.byHost[host]; other != nil {
				return nil, fmt.Errorf("site %s: host %q already belongs to site %s", s.name, host, other.name)
			}
			p.byHost[host] = s
		}
		p.sites = append(p.sites, s)
	}
	p.keepPrograms()
	switch before := g.policy.Load(); {
	case cfg.WAF.MatchLog == "":
	case before != nil && before.cfg.WAF.MatchLog == cfg.WAF.MatchLog:
		p.matchLog = before.matchLog
	default:
		if p.matchLog, err = waf.OpenMatchLog(cfg.WAF.MatchLog); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func siteName(sc SiteConfig) string {
	if len(sc.Hosts) == 0 {
		return "without hosts"
	}
	return sc.Hosts[0]
}

// keepPrograms lets go of compiled rules that no site uses any more.
func (p *policy) keepPrograms() {
	var used []*waf.Site
	for _, s := range p.sites {
		if s.waf != nil {
			used = append(used, s.waf.configured) // while it learns, by the same rules
		}
	}
	p.waf.Keep(used)
}

func (g *Gateway) newSite(cfg Config, sc SiteConfig, p *policy) (*site, error) {
	s := &site{cfg: sc}
	for _, raw := range sc.Hosts {
		host, ok := canonicalHost(raw)
		if !ok {
			return nil, fmt.Errorf("host %q is not a host name or an address", raw)
		}
		s.hosts = append(s.hosts, host)
	}
	if len(s.hosts) == 0 {
		return nil, fmt.Errorf("no hosts")
	}
	s.name = s.hosts[0]
	var err error
	if s.app, err = LoadApp(sc.App); err != nil {
		return nil, err
	}
	if s.paths, err = newPathAllow(sc.Paths, s.app); err != nil {
		return nil, err
	}
	s.answers = newAnswerRules(sc, s.app)
	s.forgery = newForgeryGuard(sc.CSRF, s.app)
	if s.access, err = newAccessPolicy(sc.Access, newZoneTable(cfg.Zones), s.app); err != nil {
		return nil, err
	}
	s.countries, s.asksCountry = newCountryRule(sc.Countries), sc.asksCountry()
	if s.asksCountry && g.country == nil {
		return nil, errors.New("countries are asked for, but no country database is configured")
	}
	if s.identity, err = newIdentity(sc.Identity, s.app, s.name, p.keys, cfg.DataDir); err != nil {
		return nil, err
	}
	if s.clients, err = newClientCertificates(sc.ClientCertificates, g.log); err != nil {
		return nil, err
	}
	if sc.ForwardAuth && len(sc.Upstreams) == 0 {
		return s, nil
	}
	if s.waf, err = newWall(p.waf, sc, s.app); err != nil {
		return nil, fmt.Errorf("waf: %w", err)
	}
	g.leaveOut(s)
	if s.pool, err = newPool(sc.Upstream, sc.Upstreams, g.log); err != nil {
		return nil, err
	}
	s.proxy = newProxy(s, g)
	return s, nil
}

// upstreams tells how the application's addresses are.
func (s *site) upstreams() []UpstreamStatus {
	if s.pool == nil {
		return nil
	}
	return s.pool.Status()
}

// siteFor returns the site that serves a canonical host, or nil.
func (p *policy) siteFor(host string) *site { return p.byHost[host] }

// run watches the upstreams and the lists of client certificates until ctx ends.
func (p *policy) run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, s := range p.sites {
		if s.pool != nil {
			wg.Go(func() { s.pool.Run(ctx) })
		}
		if s.clients != nil {
			wg.Go(func() { s.clients.Run(ctx) })
		}
	}
	wg.Wait()
	for _, s := range p.sites {
		if s.pool != nil {
			s.pool.Close()
		}
	}
}

// siteOf finds the request's site and its canonical host: Host decides, and a TLS server name must lead to
// the same site, or one site's certificate and checks would open another (421, RFC 9110 15.5.20).
func (p *policy) siteOf(r *http.Request) (*site, string, error) {
	host, ok := canonicalHost(r.Host)
	if len(p.sites) == 1 && p.sites[0].cfg.AnyHost && r.TLS == nil {
		if !ok {
			host = p.sites[0].hosts[0]
		}
		return p.sites[0], host, nil
	}
	if !ok {
		return nil, "", refuse(http.StatusBadRequest, "host-malformed", "")
	}
	s := p.siteFor(host)
	if s == nil {
		return nil, "", refuse(http.StatusMisdirectedRequest, "host-unknown", "")
	}
	if r.TLS == nil {
		return s, host, nil
	}
	if r.TLS.ServerName == "" {
		// A client that connects by address sends no name. With one site there is nothing to confuse.
		if len(p.sites) > 1 {
			return nil, "", refuse(http.StatusMisdirectedRequest, "server-name-missing", "")
		}
		return s, host, nil
	}
	named, ok := canonicalHost(r.TLS.ServerName)
	if !ok || p.siteFor(named) != s {
		return nil, "", refuse(http.StatusMisdirectedRequest, "server-name-differs", "")
	}
	return s, host, nil
}
