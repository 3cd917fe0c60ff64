package gateway_test

import (
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/gateway"
)

// TestRulesOfOrigin: zones beside networks, countries, factors, and people without a role, as one rule judges them.
func TestRulesOfOrigin(t *testing.T) {
	app := &gateway.App{AdminPaths: []string{"/admin"}}
	net := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	p, err := gateway.NewAccessPolicy([]gateway.AccessRule{
		{Path: "/office", Zones: []string{"office"}},
		{Path: "/either", Zones: []string{"office"}, Networks: net("192.0.2.0/24")},
		{Path: "/open", Public: true, Zones: []string{"office"}},
		{Path: "/any", Factor: "any"},
		{Path: "/admin", Factor: "passkey"}, // the folder's roles stay
		{Path: "/both", Factor: "any", Roles: []string{"agent"}, Zones: []string{"office"}},
		{Path: "/austria", Countries: gateway.CountryConfig{Allow: []string{"AT"}}},
		{Path: "/not-here", Countries: gateway.CountryConfig{Deny: []string{"DE"}}},
		{Path: "/here", Public: true, Countries: gateway.CountryConfig{Allow: []string{"AT", "DE"}}},
	}, app)
	must(t, err)
	inside, partner, outside := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("203.0.113.9")
	at := func(level auth.Level, roles ...auth.Role) *auth.Session {
		s := session(roles...)
		s.Level = level
		return s
	}
	user, admin := session(auth.User), session(auth.Admin)
	for _, c := range []struct {
		path string
		who  *auth.Session
		from netip.Addr
		want string
	}{
		{"/office", user, inside, "allow"}, {"/office", user, partner, "network"}, {"/office", nil, outside, "network"}, {"/OFFICE/x", user, outside, "network"},
		{"/either", user, inside, "allow"}, {"/either", user, partner, "allow"}, {"/either", user, outside, "network"},
		{"/open", nil, inside, "public"}, {"/open", nil, outside, "network"}, {"/Open", nil, inside, "sign-in"},
		{"/any", nil, outside, "sign-in"}, {"/any", user, outside, "factor"}, {"/any", at(auth.PasswordLevel, auth.User), outside, "factor"},
		{"/any", at(auth.FactorLevel, auth.User), outside, "allow"}, {"/any/x", at(auth.PasskeyLevel, auth.User), outside, "allow"}, {"/ANY", user, outside, "factor"},
		{"/admin", at(auth.PasskeyLevel, auth.User), outside, "role"}, {"/admin", admin, outside, "factor"}, {"/admin", at(auth.FactorLevel, auth.Admin), outside, "factor"},
		{"/admin", at(auth.PasskeyLevel, auth.Admin), outside, "allow"},
		{"/both", at(auth.FactorLevel, auth.Agent), outside, "network"}, {"/both", at(auth.FactorLevel, auth.User), inside, "role"},
		{"/both", at(auth.PasswordLevel, auth.Agent), inside, "factor"}, {"/both", at(auth.FactorLevel, auth.Agent), inside, "allow"},
		{"/austria", user, outside, "country"}, {"/not-here", user, outside, "country"}, {"/here", nil, outside, "public"},
		{"/", session(), outside, "role"}, {"/here", session(), outside, "public"}, {"/any", session(), outside, "role"},
	} {
		path, err := gateway.CanonicalPath(c.path)
		must(t, err)
		if got := p.Judge(path, c.who, c.from); got != c.want {
			t.Errorf("%s by %v from %v: got %s, want %s", c.path, c.who, c.from, got, c.want)
		}
	}
	for name, rule := range map[string]gateway.AccessRule{
		"unknown zone": {Path: "/a", Zones: []string{"ofice"}}, "unknown factor": {Path: "/a", Factor: "totp"}, "factor and public": {Path: "/a", Public: true, Factor: "any"},
	} {
		if _, err := gateway.NewAccessPolicy([]gateway.AccessRule{rule}, app); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestStrictestReadingOfFactor: of several readings of a path, the one that asks for more counts.
func TestStrictestReadingOfFactor(t *testing.T) {
	p, err := gateway.NewAccessPolicy([]gateway.AccessRule{{Path: "/a/keys", Factor: "passkey"}, {Path: "/a", Factor: "any"}}, &gateway.App{})
	must(t, err)
	path, err := gateway.CanonicalPath("/a%2Fkeys", "encoded-slash")
	must(t, err)
	s := session(auth.User)
	s.Level = auth.FactorLevel
	if got := p.Judge(path, s, netip.MustParseAddr("203.0.113.9")); got != "factor" {
		t.Errorf("got %s, want factor", got)
	}
}

// countries is a database of three addresses: what it does not hold is unknown.
func countries(asked *atomic.Int64) func(netip.Addr) (string, bool) {
	return func(a netip.Addr) (string, bool) {
		asked.Add(1)
		switch a.String() {
		case "192.0.2.1":
			return "DE", false
		case "192.0.2.2":
			return "FR", false
		default:
			return "", a.IsLoopback()
		}
	}
}

// askFrom sends a GET as a client at address, through a trusted proxy on this host.
func (r *running) askFrom(address, path string, cookie *http.Cookie) *http.Response {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.url("plain", path), nil)
	must(r.t, err)
	req.Header.Set("X-Forwarded-For", address)
	req.Header.Set("X-Forwarded-Proto", "https")
	if cookie != nil {
		req.AddCookie(cookie)
	}
	res, err := r.client().Do(req)
	must(r.t, err)
	res.Body.Close()
	return res
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// TestCountries: a closed country gets nothing, not even the sign-in page; private addresses belong to none.
func TestCountries(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	for name, c := range map[string]struct {
		rule gateway.CountryConfig
		want map[string]int // by address
	}{
		"allow":             {gateway.CountryConfig{Allow: []string{"DE", "AT"}}, map[string]int{"192.0.2.1": 200, "192.0.2.2": 403, "192.0.2.3": 403, "127.0.0.1": 200}},
		"allow and unknown": {gateway.CountryConfig{Allow: []string{"DE"}, Unknown: "allow"}, map[string]int{"192.0.2.1": 200, "192.0.2.2": 403, "192.0.2.3": 200, "127.0.0.1": 200}},
		"deny":              {gateway.CountryConfig{Deny: []string{"FR"}}, map[string]int{"192.0.2.1": 200, "192.0.2.2": 403, "192.0.2.3": 200, "127.0.0.1": 200}},
		"deny and unknown":  {gateway.CountryConfig{Deny: []string{"FR"}, Unknown: "deny"}, map[string]int{"192.0.2.1": 200, "192.0.2.2": 403, "192.0.2.3": 403, "127.0.0.1": 200}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := publicSite(t, up.URL)
			site.Countries = c.rule
			r := startWith(t, gateway.Deps{Country: countries(new(atomic.Int64))}, gateway.Config{TrustedProxies: loopback}, site)
			for address, want := range c.want {
				for _, path := range []string{"/", "/.doorward/sign-in", "/.doorward/static/doorward.css"} {
					if got := r.askFrom(address, path, nil).StatusCode; got != want {
						t.Errorf("%s from %s: got %d, want %d", path, address, got, want)
					}
				}
			}
			if n := r.Stats().Refused["country"]; n == 0 {
				t.Error("no refusal was counted as country")
			}
		})
	}
}

// TestCountriesOfOneRule: a rule's countries narrow its path alone, and a site without any asks nobody.
func TestCountriesOfOneRule(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	site := publicSite(t, up.URL)
	site.Access = append([]gateway.AccessRule{{Path: "/reports", Public: true, Countries: gateway.CountryConfig{Allow: []string{"DE"}}}}, site.Access...)
	other := publicSite(t, up.URL)
	other.Hosts = []string{"other.localhost"}
	asked := new(atomic.Int64)
	r := startWith(t, gateway.Deps{Country: countries(asked)}, gateway.Config{TrustedProxies: loopback}, site, other)
	for address, want := range map[string]int{"192.0.2.1": 200, "192.0.2.2": 403, "192.0.2.3": 403, "127.0.0.1": 200} {
		if got := r.askFrom(address, "/reports/x", nil).StatusCode; got != want {
			t.Errorf("/reports/x from %s: got %d, want %d", address, got, want)
		}
		if got := r.askFrom(address, "/", nil).StatusCode; got != 200 {
			t.Errorf("/ from %s: got %d, want 200", address, got)
		}
	}
	before := asked.Load()
	res, err := r.client().Get(strings.Replace(r.url("plain", "/"), "localhost", "other.localhost", 1))
	must(t, err)
	res.Body.Close()
	if asked.Load() != before {
		t.Error("a site without rules about countries asked for one")
	}
}

// TestCountriesNeedADatabase: without one the rule could not be kept, so the gateway does not start.
func TestCountriesNeedADatabase(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	r := start(t, gateway.Config{}, publicSite(t, up.URL))
	cfg := r.cfg
	site := cfg.Sites[0]
	site.Countries = gateway.CountryConfig{Deny: []string{"FR"}}
	cfg.Sites = []gateway.SiteConfig{site}
	err := r.Reload(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "no country database") {
		t.Errorf("got %v, want an error that names the missing database", err)
	}
}

// TestRoleAddress: a session that its person's roles do not allow from here does nothing but end (D-03, F-44).
func TestRoleAddress(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	allowed := func(s *auth.Session, client netip.Addr) bool {
		return !s.HasRole(auth.Admin) || client == netip.MustParseAddr("192.0.2.1")
	}
	r := startWith(t, gateway.Deps{RoleAllowed: allowed}, gateway.Config{TrustedProxies: loopback}, publicSite(t, up.URL))
	admin, _ := r.signInAs("ada", auth.Admin)
	user, _ := r.signInAs("uli", auth.User)
	for _, c := range []struct {
		who  *http.Cookie
		from string
		path string
		want int
	}{
		{admin, "192.0.2.1", "/", 200}, {admin, "192.0.2.2", "/", 403}, {admin, "192.0.2.2", "/.doorward/account", 403},
		{admin, "192.0.2.2", "/.doorward/sign-out", 200}, {admin, "192.0.2.2", "/.doorward/static/doorward.css", 200},
		{admin, "192.0.2.2", "/.doorward/static/%2e%2e/account", 400}, {admin, "192.0.2.2", "/.doorward/Sign-out", 403}, {admin, "192.0.2.2", "/.doorward/sign-out/", 403},
		{user, "192.0.2.2", "/", 200}, {nil, "192.0.2.2", "/", 200},
	} {
		if got := r.askFrom(c.from, c.path, c.who).StatusCode; got != c.want {
			t.Errorf("%s from %s as %v: got %d, want %d", c.path, c.from, c.who, got, c.want)
		}
	}
	if n := r.Stats().Refused["role-network"]; n != 4 {
		t.Errorf("%d refusals were counted as role-network, want 4", n)
	}
}
