package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/gateway"
)

// appRequest is what the application behind the gateway saw of a request.
type appRequest struct {
	URI    string
	Header http.Header
}

// appSite is one application folder at work: a site of its own in a running gateway, in front of an
// application that answers with what it saw.
type appSite struct {
	t      *testing.T
	app    *gateway.App
	host   string
	port   string // of the HTTPS listener
	plain  string // of the listener without TLS, for what needs HTTP/1.1
	client *http.Client
	tokens map[auth.Role]string
	opened map[auth.Role]*auth.Session
}

type appAnswer struct {
	status int
	header http.Header
	seen   *appRequest // nil: the request did not reach the application
}

// startApps runs a gateway with a site for each embedded folder, all with the same rules of their own, and an account for
// each role.
func startApps(t *testing.T, access ...gateway.AccessRule) []*appSite {
	t.Helper()
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name := r.URL.Query().Get("set-cookie"); name != "" {
			w.Header().Add("Set-Cookie", name+"=value; Path=/; Max-Age=86400; Expires="+time.Now().Add(24*time.Hour).UTC().Format(http.TimeFormat))
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(appRequest{r.RequestURI, r.Header}) // a client that left reads nothing
	}))
	t.Cleanup(echo.Close)
	// The paths of configuration and log files are asked for on purpose: the folder's own facts have to close them, not the firewall.
	var sites []gateway.SiteConfig
	for _, name := range gateway.AppNames() {
		sites = append(sites, gateway.SiteConfig{Hosts: []string{name + ".localhost"}, Upstreams: []string{echo.URL}, App: name, Access: access, WAF: gateway.SiteWAFConfig{Mode: "off"}})
	}
	g := start(t, gateway.Config{Limits: gateway.LimitsConfig{RequestsPerSecond: 1e6, Burst: 1e6}}, sites...)
	const password = "seventeen letters"
	roles := []auth.Role{auth.Owner, auth.Admin, auth.Agent, auth.User}
	for _, role := range roles {
		_, err := g.auth.AddPrincipal(t.Context(), auth.Actor{Name: "test", Origin: "local"}, auth.NewPrincipal{Name: "the-" + string(role),
			Email: string(role) + "@example.org", DisplayName: "Ms " + string(role), Roles: []auth.Role{role}, Password: password})
		must(t, err)
	}
	var all []*appSite
	for _, name := range gateway.AppNames() {
		app, err := gateway.LoadApp(name)
		must(t, err)
		s := &appSite{t: t, app: app, host: name + ".localhost", port: g.port("https"), plain: g.port("plain"), client: g.client(),
			tokens: map[auth.Role]string{}, opened: map[auth.Role]*auth.Session{}}
		for _, role := range roles {
			out, err := g.auth.SignIn(t.Context(), auth.Attempt{Login: "the-" + string(role), Password: password,
				Address: netip.MustParseAddr("127.0.0.1"), Realm: auth.SiteRealm, Host: s.host, Site: s.host}, time.Now())
			must(t, err)
			s.tokens[role], s.opened[role] = out.Token, out.Session
		}
		all = append(all, s)
	}
	return all
}

// nobody is the role of a visitor who is not signed in.
const nobody auth.Role = ""

func (s *appSite) ask(as auth.Role, path string, change func(*http.Request)) appAnswer {
	s.t.Helper()
	req, err := http.NewRequest("GET", "https://"+s.host+":"+s.port+path, nil)
	must(s.t, err)
	if as != nobody {
		req.Header.Set("Cookie", gateway.CookieName+"="+s.tokens[as])
	}
	if change != nil {
		change(req)
	}
	res, err := s.client.Do(req)
	must(s.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(s.t, err)
	a := appAnswer{status: res.StatusCode, header: res.Header}
	var seen appRequest
	if json.Unmarshal(body, &seen) == nil && seen.URI != "" {
		a.seen = &seen
	}
	return a
}

// spellings are all ways to write the fact's path, made here from the fact's own words and not by the code
// under test: the aliases, below each front controller, with more behind, and in another case.
func (s *appSite) spellings(fact gateway.AppFact) []string {
	prefixes := []string{""}
	for _, f := range s.app.Facts {
		if f.Kind == "prefixes" {
			prefixes = append(append(prefixes, f.Value), f.Aliases...)
		}
	}
	var all []string
	for _, prefix := range prefixes {
		for _, path := range append([]string{fact.Value}, fact.Aliases...) {
			p := prefix + path
			all = append(all, p, p+"/", p+"/more?q=1", strings.ToUpper(p), p[:len(p)-1]+"%"+strings.ToUpper(hexByte(p[len(p)-1])))
		}
	}
	return all
}

func hexByte(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

// TestSiteRulesHoldInEverySpelling: a rule that keeps /admin and /agent on the intranet (D-03, D-31, M-19) holds below the
// application's front controllers too, and one that opens a path does not open those.
func TestSiteRulesHoldInEverySpelling(t *testing.T) {
	intranet := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, s := range startApps(t, gateway.AccessRule{Path: "/admin", Networks: intranet}, gateway.AccessRule{Path: "/agent", Networks: intranet},
		gateway.AccessRule{Path: "/free", Public: true}) {
		s.t = t
		for _, path := range append(s.spellings(gateway.AppFact{Value: "/admin"}), s.spellings(gateway.AppFact{Value: "/agent"})...) {
			if got := s.ask(auth.Owner, path, nil); got.status != http.StatusForbidden || got.seen != nil {
				t.Errorf("%s: owner from outside the intranet, %s: %d, want 403", s.app.Name, path, got.status)
			}
		}
		if got := s.ask(nobody, "/free/x", nil); got.seen == nil {
			t.Errorf("%s: a stranger, /free/x: %d, want it to reach the application", s.app.Name, got.status)
		}
		for _, prefix := range s.app.Prefixes {
			if got := s.ask(nobody, prefix+"/free/x", nil); got.seen != nil {
				t.Errorf("%s: a stranger, %s/free/x: %d and reached the application", s.app.Name, prefix, got.status)
			}
		}
	}
}

// TestEveryFactHolds takes each fact of each embedded folder and shows at a running gateway that it holds. A kind
// without a check here fails, so that no fact stands untested.
func TestEveryFactHolds(t *testing.T) {
	for _, s := range startApps(t) {
		t.Run(s.app.Name, func(t *testing.T) {
			s.t = t
			for _, fact := range s.app.Facts {
				t.Run(fact.Kind+"/"+strings.Trim(fact.Value, "/"), func(t *testing.T) {
					s.t = t
					s.check(fact)
				})
			}
		})
	}
}

func (s *appSite) check(fact gateway.AppFact) {
	s.t.Helper()
	switch fact.Kind {
	case "admin_paths":
		s.onlyFor(fact, auth.Owner, auth.Admin)
	case "agent_paths":
		s.onlyFor(fact, auth.Owner, auth.Admin, auth.Agent)
	case "data_paths", "deny_paths":
		s.onlyFor(fact)
	case "deny_names":
		s.deniesName(fact)
	case "attachment_paths":
		s.takesAnyName(fact)
	case "api_paths":
		s.isGuarded(fact)
	case "prefixes":
		s.isFrontController(fact)
	case "websocket_paths":
		s.takesWebSockets(fact)
	case "poll_paths":
		s.isNoUse(fact)
	case "session_cookies", "remember_cookies":
		s.isLoginCookie(fact)
	case "identity":
		s.tellsIdentity(fact)
	case "refused_parameters":
		s.refusesParameters(fact)
	case "refused_headers":
		s.dropsHeader(fact)
	default:
		s.t.Errorf("no check for facts of kind %s: write one", fact.Kind)
	}
}

// onlyFor shows that every spelling of the path lets those roles pass and nobody else. A path that a stricter
// fact covers as well needs not let them pass.
func (s *appSite) onlyFor(fact gateway.AppFact, allowed ...auth.Role) {
	s.t.Helper()
	for _, path := range s.spellings(fact) {
		for _, role := range []auth.Role{nobody, auth.User, auth.Agent, auth.Admin, auth.Owner} {
			got := s.ask(role, path, nil)
			switch may := role != nobody && contains(allowed, role); {
			case may && got.seen == nil && !s.isDenied(path):
				s.t.Errorf("%s %s: %d, want it to reach the application", role, path, got.status)
			case !may && got.seen != nil:
				s.t.Errorf("%q %s: %d and reached the application", role, path, got.status)
			case role != nobody && !may && got.status != http.StatusForbidden:
				s.t.Errorf("%s %s: %d, want 403", role, path, got.status)
			case len(allowed) == 0 && got.status != http.StatusForbidden:
				s.t.Errorf("%q %s: %d, want 403 for everybody (D-30)", role, path, got.status)
			}
		}
	}
}

func contains(roles []auth.Role, role auth.Role) bool {
	for _, r := range roles {
		if r == role {
			return true
		}
	}
	return false
}

// deniesName shows that nobody gets a segment of that name, at the root, in a folder, as a folder, and in another case.
func (s *appSite) deniesName(fact gateway.AppFact) {
	s.t.Helper()
	name := strings.Replace(fact.Value, "*", "config", 1)
	for _, path := range []string{"/" + name, "/some/folder/" + name, "/some/" + name + "/config", "/some/" + strings.ToUpper(name), "/some/%2e" + name[1:]} {
		if strings.HasPrefix(path, "/some/%2e") && name[0] != '.' {
			continue
		}
		for _, role := range []auth.Role{nobody, auth.Owner} {
			if got := s.ask(role, path, nil); got.status != http.StatusForbidden || got.seen != nil {
				s.t.Errorf("%q %s: %d, want 403", role, path, got.status)
			}
		}
	}
	if strings.HasPrefix(fact.Value, "*") {
		if got := s.ask(auth.Owner, "/some/"+fact.Value[1:], nil); got.seen == nil {
			s.t.Errorf("/some/%s: %d: the * stands for at least one letter", fact.Value[1:], got.status)
		}
	}
	if got := s.ask(auth.Owner, "/some/x"+name+"x", nil); got.seen == nil {
		s.t.Errorf("/some/x%sx: %d, want it to reach the application", name, got.status)
	}
}

// takesAnyName shows that a file whose name somebody chose can be fetched.
func (s *appSite) takesAnyName(fact gateway.AppFact) {
	s.t.Helper()
	if len(s.app.DenyNames) == 0 {
		s.t.Fatal("the folder denies no names")
	}
	for _, name := range s.app.DenyNames {
		path := fact.Value + "/12/34/" + strings.Replace(name, "*", "config", 1)
		if got := s.ask(auth.Owner, path, nil); got.seen == nil {
			s.t.Errorf("owner %s: %d, want it to reach the application", path, got.status)
		}
	}
}

// isDenied tells whether the folder denies the path to everybody by another fact.
func (s *appSite) isDenied(path string) bool {
	u, err := url.Parse(path)
	must(s.t, err)
	for _, list := range [][]string{s.app.DenyPaths, s.app.DataPaths} {
		for _, denied := range list {
			if p, d := strings.ToLower(u.Path), strings.ToLower(denied); p == d || strings.HasPrefix(p, d+"/") {
				return true
			}
		}
	}
	return false
}

// isGuarded shows that a program without a session is told 401, not sent to a page, and that no password of the
// application's own passes.
func (s *appSite) isGuarded(fact gateway.AppFact) {
	s.t.Helper()
	for _, path := range s.spellings(fact) {
		basic := func(r *http.Request) { r.SetBasicAuth("root", "password") }
		if got := s.ask(nobody, path, basic); got.status != http.StatusUnauthorized || got.seen != nil {
			s.t.Errorf("a program without a session, %s: %d, want 401", path, got.status)
		}
		got := s.ask(auth.Owner, path, basic)
		if got.seen == nil {
			s.t.Errorf("owner %s: %d, want it to reach the application", path, got.status)
		} else if got.seen.Header.Get("Authorization") != "" {
			s.t.Errorf("owner %s: the application saw Authorization", path)
		}
	}
}

// isFrontController shows that what is denied and restricted below / is so below the prefix.
func (s *appSite) isFrontController(fact gateway.AppFact) {
	s.t.Helper()
	for _, prefix := range append([]string{fact.Value}, fact.Aliases...) {
		for _, path := range s.app.Spellings("/phpmyadmin") {
			if got := s.ask(auth.Owner, path, nil); got.status != http.StatusForbidden {
				s.t.Errorf("owner %s: %d, want 403", path, got.status)
			}
		}
		if got := s.ask(auth.Owner, prefix+"/phpmyadmin/index.php", nil); got.status != http.StatusForbidden {
			s.t.Errorf("owner %s/phpmyadmin/index.php: %d, want 403", prefix, got.status)
		}
		if got := s.ask(auth.Owner, prefix+"/anything-else", nil); got.seen == nil {
			s.t.Errorf("owner %s/anything-else: %d, want it to reach the application", prefix, got.status)
		}
	}
}

// takesWebSockets shows that the request to upgrade passes here and not elsewhere.
func (s *appSite) takesWebSockets(fact gateway.AppFact) {
	s.t.Helper()
	upgrade := func(r *http.Request) {
		r.URL.Scheme, r.URL.Host = "http", s.host+":"+s.plain
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		r.Header.Set("Sec-WebSocket-Version", "13")
		r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	}
	for _, path := range append([]string{fact.Value}, fact.Aliases...) {
		got := s.ask(auth.Owner, path+"/channel", upgrade)
		if got.seen == nil || got.seen.Header.Get("Upgrade") != "websocket" {
			s.t.Errorf("upgrade on %s: %d, saw %v; want it to reach the application", path, got.status, got.seen)
		}
		if got := s.ask(auth.Owner, path+"-not/channel", upgrade); got.status != http.StatusForbidden {
			s.t.Errorf("upgrade on %s-not: %d, want 403", path, got.status)
		}
		if got := s.ask(nobody, path+"/channel", upgrade); got.seen != nil {
			s.t.Errorf("upgrade on %s by a stranger: %d and reached the application", path, got.status)
		}
	}
}

// isNoUse shows that asking for the path reaches the application and keeps no session alive, while another path does.
func (s *appSite) isNoUse(fact gateway.AppFact) {
	s.t.Helper()
	session := s.opened[auth.Agent]
	use := func(path string) time.Duration {
		before := session.LastSeen()
		time.Sleep(1100 * time.Millisecond) // use is noted once a second
		if got := s.ask(auth.Agent, path, nil); got.seen == nil {
			s.t.Errorf("agent %s: %d, want it to reach the application", path, got.status)
		}
		return session.LastSeen().Sub(before)
	}
	for _, path := range append([]string{fact.Value, fact.Value + "/more"}, fact.Aliases...) {
		if moved := use(path); moved != 0 {
			s.t.Errorf("asking for %s counted as use of the session: last seen moved by %v", path, moved)
		}
		if got := s.ask(nobody, path, nil); got.seen != nil {
			s.t.Errorf("a stranger, %s: %d and reached the application", path, got.status)
		}
	}
	if moved := use("/anything"); moved <= 0 {
		s.t.Error("another path did not count as use of the session, so the above shows nothing")
	}
}

// isLoginCookie shows that scripts cannot read the cookie and that it ends with the browser (D-18).
func (s *appSite) isLoginCookie(fact gateway.AppFact) {
	s.t.Helper()
	name := strings.ReplaceAll(fact.Value, "*", "abc.443")
	got := s.ask(auth.Owner, "/anything?set-cookie="+url.QueryEscape(name), nil)
	line := got.header.Get("Set-Cookie")
	for _, want := range []string{name + "=value", "; HttpOnly", "; Secure", "; SameSite="} {
		if !strings.Contains(line, want) {
			s.t.Errorf("Set-Cookie %q lacks %q", line, want)
		}
	}
	for _, gone := range []string{"Max-Age", "Expires"} {
		if strings.Contains(line, gone) {
			s.t.Errorf("Set-Cookie %q still has %s", line, gone)
		}
	}
	other := s.ask(auth.Owner, "/anything?set-cookie=theme", nil).header.Get("Set-Cookie")
	if strings.Contains(other, "HttpOnly") || !strings.Contains(other, "Max-Age") {
		s.t.Errorf("Set-Cookie of another cookie became %q; it is no login", other)
	}
}

// tellsIdentity shows that the header arrives with Doorward's value and never with the client's.
func (s *appSite) tellsIdentity(fact gateway.AppFact) {
	s.t.Helper()
	field, name, _ := strings.Cut(fact.Value, "=")
	want := map[string]string{"user": "the-agent", "email": "agent@example.org", "name": "Ms agent", "roles": "agent"}[field]
	for _, spelling := range []string{"", name, strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "_")} {
		got := s.ask(auth.Agent, "/anything", func(r *http.Request) {
			if spelling != "" {
				r.Header[spelling] = []string{"spoofed"}
			}
		})
		if got.seen == nil {
			s.t.Fatalf("with %q: %d, want it to reach the application", spelling, got.status)
		}
		values := got.seen.Header.Values(name)
		if len(values) != 1 || values[0] == "" || want != "" && values[0] != want {
			s.t.Errorf("with %q: the application saw %s %q, want one value %q", spelling, name, values, want)
		}
		for other, values := range got.seen.Header {
			if strings.Contains(strings.Join(values, " "), "spoofed") {
				s.t.Errorf("with %q: the client's value arrived as %s", spelling, other)
			}
		}
	}
}

// refusesParameters shows that each name is refused in the query and in a form, and that others pass.
func (s *appSite) refusesParameters(fact gateway.AppFact) {
	s.t.Helper()
	for _, path := range append([]string{fact.Value}, fact.Aliases...) {
		for _, name := range fact.Names {
			form := url.Values{"other": {"1"}, name: {"x"}}.Encode()
			for what, change := range map[string]func(*http.Request){
				"query":      func(r *http.Request) { r.URL.RawQuery = form },
				"upper case": func(r *http.Request) { r.URL.RawQuery = strings.ToUpper(form) },
				"form": func(r *http.Request) {
					r.Method, r.Body = "POST", io.NopCloser(strings.NewReader(form))
					r.ContentLength = int64(len(form))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				},
			} {
				if got := s.ask(auth.Owner, path+"/x", change); got.status != http.StatusForbidden || got.seen != nil {
					s.t.Errorf("%s, %s in the %s: %d, want 403", path, name, what, got.status)
				}
			}
		}
		if got := s.ask(auth.Owner, path+"/x?other=1", nil); got.seen == nil && !s.isDenied(path+"/x") {
			s.t.Errorf("%s without those parameters: %d, want it to reach the application", path, got.status)
		}
	}
}

// dropsHeader shows that the header never arrives.
func (s *appSite) dropsHeader(fact gateway.AppFact) {
	s.t.Helper()
	for _, name := range []string{fact.Value, strings.ToLower(fact.Value), strings.ReplaceAll(fact.Value, "-", "_")} {
		got := s.ask(auth.Owner, "/anything", func(r *http.Request) { r.Header[name] = []string{"stolen"} })
		if got.seen == nil {
			s.t.Fatalf("with %s: %d, want it to reach the application", name, got.status)
		}
		for other, values := range got.seen.Header {
			if strings.Contains(strings.Join(values, " "), "stolen") {
				s.t.Errorf("%s arrived as %s", name, other)
			}
		}
	}
}
