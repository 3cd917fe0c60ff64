package gateway_test

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway"
)

// question is what a proxy asks at /.doorward/authz.
type question struct {
	method, proto, host, uri string // X-Forwarded-*; "-" leaves one out
	mode                     string
	cookie                   *http.Cookie
	header                   http.Header
	outer                    string // the Host of the question itself
}

// ask sends a question over the plain listener. Empty parts are those of a GET of / at https://localhost.
func (r *running) ask(q question) *http.Response {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.url("plain", "/.doorward/authz"), nil)
	must(r.t, err)
	if q.mode != "" {
		req.URL.RawQuery = q.mode
	}
	for name, values := range q.header {
		req.Header[name] = values
	}
	for _, h := range [][3]string{{"X-Forwarded-Method", q.method, "GET"}, {"X-Forwarded-Proto", q.proto, "https"},
		{"X-Forwarded-Host", q.host, "localhost"}, {"X-Forwarded-Uri", q.uri, "/"}} {
		value := h[1]
		if value == "" {
			value = h[2]
		}
		if value != "-" && req.Header[h[0]] == nil {
			req.Header.Set(h[0], value)
		}
	}
	if q.cookie != nil {
		req.AddCookie(q.cookie)
	}
	req.Host = q.outer
	res, err := r.client().Do(req)
	must(r.t, err)
	r.t.Cleanup(func() { res.Body.Close() })
	return res
}

// authzSite is a site that a proxy guards by asking.
func authzSite(t *testing.T) gateway.SiteConfig {
	return gateway.SiteConfig{Hosts: []string{"localhost"}, ForwardAuth: true, Access: []gateway.AccessRule{
		{Path: "/open", Public: true}, {Path: "/secret", Deny: true}, {Path: "/keys", Factor: "passkey"},
		{Path: "/lan", Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
	}, App: appFolderWith(t, `admin_paths:
  - {path: /admin, source: "choice: the test's"}
authorization_paths:
  - {path: /api, source: "choice: the test's"}
websocket_paths:
  - {path: /ws, source: "choice: the test's"}
refused_headers:
  - {header: X-RPC-Auth-Username, source: "choice: the test's"}
refused_parameters:
  - {path: /rest, names: [user, pass], source: "choice: the test's"}
`)}
}

func trusting(networks ...string) gateway.Config {
	var cfg gateway.Config
	for _, n := range networks {
		cfg.ForwardAuth.Trusted = append(cfg.ForwardAuth.Trusted, netip.MustParsePrefix(n))
	}
	return cfg
}

// TestAuthz: what a proxy is told, for each kind of person and target.
func TestAuthz(t *testing.T) {
	t.Parallel()
	r := start(t, trusting("127.0.0.1/32"), authzSite(t))
	agent, _ := r.signInAs("anna", auth.Agent)
	admin, _ := r.signInAs("ada", auth.Admin)
	elsewhere := &http.Cookie{Name: gateway.CookieName, Value: strings.Repeat("x", 43)}
	one := func(name, value string) http.Header { return http.Header{name: {value}} }
	for name, c := range map[string]struct {
		q        question
		want     int
		reason   string
		location string // or X-Doorward-Location
	}{
		"stranger":                {question{}, 401, "not-signed-in", "https://localhost/.doorward/sign-in?return_to=%2F"},
		"stranger with a port":    {question{host: "localhost:8443", uri: "/a?b=1&c=2"}, 401, "not-signed-in", "https://localhost:8443/.doorward/sign-in?return_to=%2Fa%3Fb%3D1%26c%3D2"},
		"stranger's script":       {question{header: one("Sec-Fetch-Mode", "cors")}, 401, "not-signed-in", ""},
		"stranger, redirect":      {question{mode: "mode=redirect", uri: "/x"}, 302, "not-signed-in", "https://localhost/.doorward/sign-in?return_to=%2Fx"},
		"script, redirect":        {question{mode: "mode=redirect", header: one("Sec-Fetch-Mode", "cors")}, 401, "not-signed-in", ""},
		"another mode":            {question{mode: "mode=other"}, 400, "mode-unknown", ""},
		"two modes":               {question{mode: "mode=redirect&mode=x"}, 400, "mode-unknown", ""},
		"a session of nobody":     {question{cookie: elsewhere}, 401, "not-signed-in", "https://localhost/.doorward/sign-in?return_to=%2F"},
		"agent":                   {question{cookie: agent}, 200, "", ""},
		"agent, POST":             {question{cookie: agent, method: "POST"}, 200, "", ""},
		"agent, host in capitals": {question{cookie: agent, host: "LOCALHOST."}, 200, "", ""},
		"agent, any outer host":   {question{cookie: agent, outer: "doorward.internal:9"}, 200, "", ""},
		"agent at admin":          {question{cookie: agent, uri: "/admin/"}, 403, "role", ""},
		"agent at ADMIN":          {question{cookie: agent, uri: "/ADMIN/x?y"}, 403, "role", ""},
		"admin at admin":          {question{cookie: admin, uri: "/admin/"}, 200, "", ""},
		"public":                  {question{uri: "/open/x"}, 200, "", ""},
		"denied":                  {question{cookie: admin, uri: "/secret"}, 403, "path-denied", ""},
		"the folder's denial":     {question{cookie: admin, uri: "/.git/config"}, 403, "path-denied", ""},
		"factor":                  {question{cookie: agent, uri: "/keys?x=1"}, 403, "factor", "https://localhost/.doorward/step-up?return_to=%2Fkeys%3Fx%3D1&factor=passkey"},
		"factor, redirect":        {question{cookie: agent, uri: "/keys", mode: "mode=redirect"}, 302, "factor", "https://localhost/.doorward/step-up?return_to=%2Fkeys&factor=passkey"},
		"factor, script":          {question{cookie: agent, uri: "/keys", mode: "mode=redirect", header: one("Sec-Fetch-Mode", "cors")}, 403, "factor", ""},
		"network":                 {question{cookie: agent, uri: "/lan"}, 403, "network", ""},
		"network, forwarded":      {question{cookie: agent, uri: "/lan", header: one("X-Forwarded-For", "10.1.1.1")}, 200, "", ""},
		"network, claimed":        {question{cookie: agent, uri: "/lan", header: one("X-Forwarded-For", "10.1.1.1, 192.0.2.1")}, 403, "network", ""},
		"malformed client":        {question{cookie: agent, header: one("X-Forwarded-For", "unknown")}, 400, "forwarded-for-malformed", ""},
		"two words on the client": {question{cookie: agent, header: http.Header{"X-Forwarded-For": {"10.1.1.1"}, "Forwarded": {"for=10.1.1.2"}}}, 400, "forwarded-contradiction", ""},
		"no method":               {question{cookie: agent, method: "-"}, 400, "target-missing", ""},
		"no scheme":               {question{cookie: agent, proto: "-"}, 400, "target-missing", ""},
		"no host":                 {question{cookie: agent, host: "-"}, 400, "target-missing", ""},
		"no target":               {question{cookie: agent, uri: "-"}, 400, "target-missing", ""},
		"nothing":                 {question{method: "-", proto: "-", host: "-", uri: "-"}, 400, "target-missing", ""},
		"two targets":             {question{cookie: agent, header: http.Header{"X-Forwarded-Uri": {"/open", "/admin"}}}, 400, "target-missing", ""},
		"two methods":             {question{cookie: agent, header: http.Header{"X-Forwarded-Method": {"GET", "POST"}}}, 400, "target-missing", ""},
		"two hosts":               {question{cookie: agent, host: "localhost, other"}, 400, "host-malformed", ""},
		"empty target":            {question{cookie: agent, header: one("X-Forwarded-Uri", "")}, 400, "target-missing", ""},
		"other headers":           {question{cookie: agent, uri: "-", header: one("X-Original-Url", "/")}, 400, "target-missing", ""},
		"plain http":              {question{cookie: agent, proto: "http"}, 403, "plain-http", ""},
		"plain http, public":      {question{proto: "HTTP", uri: "/open"}, 403, "plain-http", ""},
		"two schemes":             {question{cookie: agent, proto: "https,http"}, 400, "scheme-unknown", ""},
		"another host":            {question{cookie: agent, host: "other.example"}, 421, "host-unknown", ""},
		"a method of WebDAV":      {question{cookie: agent, method: "PROPFIND"}, 400, "method-unknown", ""},
		"method in small letters": {question{cookie: agent, method: "get"}, 400, "method-unknown", ""},
		"relative target":         {question{cookie: agent, uri: "admin"}, 400, "target-form", ""},
		"absolute target":         {question{cookie: agent, uri: "https://localhost/"}, 400, "target-form", ""},
		"dot segments":            {question{cookie: agent, uri: "/open/../admin"}, 400, "path-dot-segment", ""},
		"encoded slash":           {question{cookie: agent, uri: "/open%2f..%2fadmin"}, 400, "path-encoded-slash", ""},
		"double encoding":         {question{cookie: agent, uri: "/%2561dmin"}, 400, "path-double-encoding", ""},
		"empty segment":           {question{cookie: agent, uri: "//admin"}, 400, "path-empty-segment", ""},
		"empty segment, redirect": {question{cookie: agent, uri: "//admin?x", mode: "mode=redirect"}, 308, "path-empty-segment", "https://localhost/admin?x"},
		"the same by POST":        {question{cookie: agent, uri: "//admin", mode: "mode=redirect", method: "POST"}, 400, "path-empty-segment", ""},
		"fragment":                {question{cookie: agent, uri: "/a?b#c"}, 400, "query-malformed", ""},
		"own page":                {question{uri: "/.doorward/sign-in"}, 403, "own-page", ""},
		"own page, capitals":      {question{cookie: agent, uri: "/.DOORWARD/authz"}, 403, "own-page", ""},
		"cross-site POST":         {question{cookie: agent, method: "POST", header: one("Sec-Fetch-Site", "cross-site")}, 403, "cross-site", ""},
		"another origin's POST":   {question{cookie: agent, method: "DELETE", header: one("Origin", "https://evil.example")}, 403, "cross-site", ""},
		"plain origin's POST":     {question{cookie: agent, method: "POST", header: one("Origin", "http://localhost")}, 403, "cross-site", ""},
		"own origin's POST":       {question{cookie: agent, method: "POST", header: one("Origin", "https://localhost")}, 200, "", ""},
		"own origin with a port":  {question{cookie: agent, method: "POST", host: "localhost:8443", header: one("Origin", "https://localhost:8443")}, 200, "", ""},
		"cross-site GET":          {question{cookie: agent, header: one("Sec-Fetch-Site", "cross-site")}, 200, "", ""},
		"Authorization":           {question{cookie: agent, header: one("Authorization", "Basic cm9vdDpyb290")}, 403, "authorization", ""},
		"Authorization, declared": {question{cookie: agent, uri: "/api/x", header: one("Authorization", "Basic cm9vdDpyb290")}, 200, "", ""},
		"another login":           {question{cookie: agent, header: one("X-Rpc-Auth-Username", "root")}, 403, "header-refused", ""},
		"a name in disguise":      {question{cookie: agent, header: one("X_Doorward_User", "root")}, 403, "header-refused", ""},
		"a login parameter":       {question{cookie: agent, uri: "/rest/x?a=1&us%65r=root"}, 403, "parameter", ""},
		"websocket":               {question{cookie: agent, uri: "/ws", header: http.Header{"Upgrade": {"websocket"}, "Origin": {"https://localhost"}}}, 200, "", ""},
		"another site's":          {question{cookie: agent, uri: "/ws", header: http.Header{"Sec-Fetch-Mode": {"websocket"}, "Origin": {"https://evil.example"}}}, 403, "cross-site", ""},
		"websocket elsewhere":     {question{cookie: agent, uri: "/x", header: http.Header{"Upgrade": {"websocket"}}}, 403, "websocket-undeclared", ""},
		"two user agents":         {question{cookie: agent, header: http.Header{"Sec-Fetch-Site": {"same-origin", "cross-site"}}}, 400, "header-repeated", ""},
		"two sessions":            {question{cookie: agent, header: one("Cookie", gateway.CookieName+"=x")}, 401, "not-signed-in", "https://localhost/.doorward/sign-in?return_to=%2F"},
	} {
		before := r.Stats()
		res := r.ask(c.q)
		after := r.Stats()
		location := res.Header.Get("X-Doorward-Location")
		if res.StatusCode/100 == 3 {
			location = res.Header.Get("Location")
		} else if res.Header.Get("Location") != "" {
			t.Errorf("%s: %d has a Location", name, res.StatusCode)
		}
		if res.StatusCode != c.want || location != c.location || c.reason != "" && after.Refused[c.reason] != before.Refused[c.reason]+1 {
			t.Errorf("%s: got %d to %q for %v, want %d to %q for %s", name, res.StatusCode, location, after.Refused, c.want, c.location, c.reason)
		}
		if after.Requests != before.Requests {
			t.Errorf("%s: was counted as a request", name)
		}
		if c.want != 200 {
			for header := range res.Header {
				if strings.HasPrefix(header, "X-Doorward-") && header != "X-Doorward-Location" {
					t.Errorf("%s: %d tells %s", name, res.StatusCode, header)
				}
			}
		}
	}
	if got := r.Stats().Authz; got.Allowed == 0 || got.SignIn == 0 || got.StepUp != 3 || got.Denied == 0 || got.Malformed == 0 {
		t.Errorf("got %+v, want each outcome counted", got)
	}
}

// TestAuthzIdentity: the answer names the person, once, whatever the client claimed, and never the shared secret.
func TestAuthzIdentity(t *testing.T) {
	t.Parallel()
	r := start(t, trusting("127.0.0.1/32"), authzSite(t))
	agent, _ := r.signInAs("anna", auth.Agent)
	spoofed := http.Header{"X-Doorward-User": {"root"}, "X-Doorward-Roles": {"owner"}, "X-Remote-User": {"root"}}
	res := r.ask(question{cookie: agent, header: spoofed})
	for name, want := range map[string]string{"X-Doorward-User": "anna", "X-Doorward-Roles": "agent"} {
		if got := res.Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %q, want %q once", name, got, want)
		}
	}
	if got := res.Header.Get("X-Doorward-Assertion"); strings.Count(got, ".") != 2 {
		t.Errorf("the assertion is %q, want a JWT", got)
	}
	secret, err := os.ReadFile(filepath.Join(r.dir, "identity", "localhost.secret"))
	must(t, err)
	for name, values := range res.Header {
		if strings.Contains(strings.Join(values, " "), strings.TrimSpace(string(secret))) {
			t.Errorf("%s holds the shared secret", name)
		}
	}
	if got := res.Header["Cookie"]; got != nil {
		t.Errorf("Cookie is %q, want none: there are no cookies but ours", got)
	}
	both := r.ask(question{cookie: agent, header: http.Header{"Cookie": {"SID=1; __Host-doorward-device=d; lang=de"}}})
	if got := both.Header["Cookie"]; both.StatusCode != 200 || len(got) != 1 || got[0] != "SID=1; lang=de" {
		t.Errorf("got %d with Cookie %q, want 200 with SID=1; lang=de", both.StatusCode, got)
	}
	if body, err := io.ReadAll(res.Body); err != nil || len(body) > 0 {
		t.Errorf("the answer has a body: %q, %v", body, err)
	}
	res = r.ask(question{uri: "/open", header: spoofed})
	for name := range res.Header {
		if strings.HasPrefix(name, "X-Doorward-") {
			t.Errorf("nobody is signed in, and the answer has %s: %q", name, res.Header[name])
		}
	}
}

// TestAuthzIsNobodyElses: for whoever may not ask, and in every other spelling, the page does not exist: no answer
// depends on what the question is.
func TestAuthzIsNobodyElses(t *testing.T) {
	t.Parallel()
	site := authzSite(t)
	r := start(t, trusting("192.0.2.0/24"), site)
	agent, _ := r.signInAs("anna", auth.Agent)
	for _, q := range []question{{}, {cookie: agent}, {cookie: agent, uri: "/admin"}, {uri: "-"}, {host: "other.example"}, {mode: "mode=redirect"},
		{cookie: agent, header: http.Header{"X-Forwarded-For": {"192.0.2.1"}}}} {
		q.outer = "localhost"
		res := r.ask(q)
		if res.StatusCode != http.StatusNotFound || res.Header.Get("X-Doorward-User") != "" || res.Header.Get("X-Doorward-Location") != "" {
			t.Errorf("%+v: got %d with %v, want 404", q, res.StatusCode, res.Header)
		}
	}
	if got := r.Stats().Authz; got != (gateway.AuthzStats{}) {
		t.Errorf("got %+v, want nothing counted", got)
	}
	may := start(t, trusting("127.0.0.1/32"), site)
	for _, path := range []string{"/.doorward/authz/", "/.doorward/AUTHZ", "/.doorward/authz%3f", "/.doorward/%61uthz", "/.doorward/authz/x", "/.doorward/authzx"} {
		res, err := may.client().Get(may.url("plain", path))
		must(t, err)
		res.Body.Close()
		if res.StatusCode != http.StatusNotFound && res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 404 or 400", path, res.StatusCode)
		}
	}
}

// TestAuthzSiteWithoutUpstreams: Doorward serves its own pages there and nothing else.
func TestAuthzSiteWithoutUpstreams(t *testing.T) {
	t.Parallel()
	cfg := trusting("127.0.0.1/32")
	cfg.TrustedProxies = loopback
	r := start(t, cfg, authzSite(t))
	agent, _ := r.signInAs("anna", auth.Agent)
	for path, want := range map[string]int{"/.doorward/sign-in": 303, "/.doorward/static/doorward.css": 200, "/": 404, "/admin": 403, "/open": 404} {
		if got := r.askFrom("192.0.2.1", path, agent).StatusCode; got != want {
			t.Errorf("%s: got %d, want %d", path, got, want)
		}
	}
	if got := r.Sites(); len(got) != 1 || len(got[0].Upstreams) != 0 {
		t.Errorf("got %+v, want one site without upstreams", got)
	}
	must(t, r.Reload(t.Context(), r.cfg))
}

// TestAuthzLimits: the client that the proxy names is who is limited, not the proxy.
func TestAuthzLimits(t *testing.T) {
	t.Parallel()
	cfg := trusting("127.0.0.1/32")
	cfg.Limits = gateway.LimitsConfig{RequestsPerSecond: 0.001, Burst: 3}
	r := start(t, cfg, authzSite(t))
	from := func(address string) int {
		res := r.ask(question{uri: "/open", header: http.Header{"X-Forwarded-For": {address}}})
		if res.StatusCode == http.StatusTooManyRequests && res.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
		return res.StatusCode
	}
	for i, want := range []int{200, 200, 200, 429} {
		if got := from("192.0.2.1"); got != want {
			t.Errorf("request %d: got %d, want %d", i+1, got, want)
		}
	}
	if got := from("192.0.2.2"); got != 200 {
		t.Errorf("another client: got %d, want 200", got)
	}
	if got := r.Stats().Authz; got.Limited != 1 || got.Allowed != 4 {
		t.Errorf("got %+v, want 4 allowed and 1 limited", got)
	}
}

// TestAuthzRules: country and role rules hold as for a request that comes here.
func TestAuthzRules(t *testing.T) {
	t.Parallel()
	site := authzSite(t)
	site.Countries = gateway.CountryConfig{Deny: []string{"FR"}}
	allowed := func(s *auth.Session, client netip.Addr) bool {
		return !s.HasRole(auth.Admin) || client == netip.MustParseAddr("192.0.2.1")
	}
	country := func(a netip.Addr) (string, bool) {
		if a == netip.MustParseAddr("192.0.2.2") {
			return "FR", false
		}
		return "DE", a.IsLoopback()
	}
	r := startWith(t, gateway.Deps{Country: country, RoleAllowed: allowed}, trusting("127.0.0.1/32"), site)
	admin, _ := r.signInAs("ada", auth.Admin)
	for address, want := range map[string]int{"192.0.2.1": 200, "192.0.2.2": 403, "192.0.2.3": 403} {
		if res := r.ask(question{cookie: admin, header: http.Header{"X-Forwarded-For": {address}}}); res.StatusCode != want {
			t.Errorf("from %s: got %d, want %d", address, res.StatusCode, want)
		}
	}
	if got := r.Stats().Refused; got["country"] != 1 || got["role-network"] != 1 {
		t.Errorf("got %v, want one refusal for the country and one for the role's networks", got)
	}
}

// TestAuthzEvents: a refusal leaves an event, a session one for each address that it comes from, and the rest none.
func TestAuthzEvents(t *testing.T) {
	t.Parallel()
	began := time.Now()
	r := start(t, trusting("127.0.0.1/32"), authzSite(t))
	agent, _ := r.signInAs("anna", auth.Agent)
	from := func(address string) http.Header { return http.Header{"X-Forwarded-For": {address}} }
	for range 5 {
		r.ask(question{cookie: agent, uri: "/desk?x=1", header: from("192.0.2.1")})
		r.ask(question{cookie: agent, uri: "/desk", header: from("2001:db8::1")})
		r.ask(question{cookie: agent, uri: "/desk", header: from("2001:db8::2")})
		r.ask(question{uri: "/open"})
	}
	r.ask(question{cookie: agent, method: "POST", host: "localhost:8443", uri: "/admin/", header: from("192.0.2.1")})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got []string
	eventually(t, time.Minute, "three events", func() bool {
		must(t, r.deps.Events.Flush(ctx))
		events, err := r.deps.Events.Query(ctx, event.Query{From: began.Add(-time.Second), Class: event.HTTP, Limit: 100})
		must(t, err)
		got = got[:0]
		for _, e := range events {
			f := make(map[string]string)
			for _, field := range e.Fields {
				f[field.Key] = field.Value
			}
			got = append(got, strings.Join([]string{e.Action, string(e.Outcome), e.Source.String(), e.User, e.Site, f["host"], f["target"], f["status"],
				f["reason"], f["change"], f["via"], f["peer"]}, " "))
			if f["request_id"] == "" {
				t.Errorf("%s has no request id", got[len(got)-1])
			}
		}
		return len(events) >= 3
	})
	want := map[string]bool{
		"GET success 192.0.2.1 anna localhost localhost /desk?x=1 200  new-address forward-auth 127.0.0.1": true,
		"GET success 2001:db8::1 anna localhost localhost /desk 200  new-address forward-auth 127.0.0.1":   true,
		"POST refused 192.0.2.1 anna localhost localhost:8443 /admin/ 403 role  forward-auth 127.0.0.1":    true,
	}
	for _, line := range got {
		if !want[line] {
			t.Errorf("unexpected event %q", line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %d events, want %d", len(got), len(want))
	}
}

// TestAuthzAppearancesAreCapped: what is remembered of sessions and addresses has an end.
func TestAuthzAppearancesAreCapped(t *testing.T) {
	held := gateway.NoteAppearances(1<<15 + 1000)
	if held != 1<<15 {
		t.Errorf("%d are held, want %d", held, 1<<15)
	}
}

// TestAuthzStoreAway: without the store nobody is let through who would have to be looked up.
func TestAuthzStoreAway(t *testing.T) {
	t.Parallel()
	r := start(t, trusting("127.0.0.1/32"), authzSite(t))
	admin, _ := r.signInAs("ada", auth.Admin)
	if res := r.ask(question{cookie: admin}); res.StatusCode != 200 {
		t.Fatalf("with the store: got %d, want 200", res.StatusCode)
	}
	must(t, os.Rename(filepath.Join(r.dir, "doorward.db"), filepath.Join(r.dir, "away")))
	unknown := &http.Cookie{Name: gateway.CookieName, Value: strings.Repeat("x", 43)}
	eventually(t, time.Minute, "503 for an administrator", func() bool {
		r.ask(question{cookie: unknown})
		return r.ask(question{cookie: admin}).StatusCode == 503
	})
	if res := r.ask(question{cookie: unknown, mode: "mode=redirect"}); res.StatusCode != 503 {
		t.Errorf("somebody unknown: got %d, want 503", res.StatusCode)
	}
	if res := r.ask(question{uri: "/open"}); res.StatusCode != 200 {
		t.Errorf("a public path: got %d, want 200", res.StatusCode)
	}
	must(t, os.Rename(filepath.Join(r.dir, "away"), filepath.Join(r.dir, "doorward.db")))
}

// A proxy that does not say what it asks about is told what is missing: whoever sets it up reads this.
func TestAuthzSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	r := start(t, trusting("127.0.0.1/32"), authzSite(t))
	res := r.ask(question{uri: "-"})
	body, err := io.ReadAll(res.Body)
	must(t, err)
	if res.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "X-Forwarded-Uri") {
		t.Errorf("got %d %q, want 400 and the headers' names", res.StatusCode, body)
	}
}
