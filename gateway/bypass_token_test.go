package gateway_test

import (
	"bufio"
	"context"
	"encoding/base64"
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

// apiToken makes an API token of an account and returns its text and its id.
func (r *running) apiToken(account string, n auth.NewToken) (token, id string) {
	r.t.Helper()
	if n.Name == "" {
		n.Name = "test"
	}
	if n.Privileges == nil {
		n.Privileges = []auth.Privilege{auth.UseSites}
	}
	info, token, err := r.auth.AddToken(r.t.Context(), auth.Actor{Name: "test", Origin: "local"}, account, n, time.Now())
	must(r.t, err)
	return token, info.ID
}

func (r *running) revokeToken(id string) {
	r.t.Helper()
	must(r.t, r.auth.RevokeToken(r.t.Context(), auth.Actor{Name: "test", Origin: "local"}, id, time.Now()))
}

// TestBypassToken attacks API tokens: ways to have one reach the application, to use one where it is not good, and to reach
// what is a person's with one.
func TestBypassToken(t *testing.T) {
	t.Parallel()
	b := startBypass(t)
	agent, _ := b.apiToken("agent", auth.NewToken{})
	elsewhere, _ := b.apiToken("agent", auth.NewToken{Name: "elsewhere", Hosts: []string{"other.localhost"}})
	office, _ := b.apiToken("agent", auth.NewToken{Name: "office", Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	ended, id := b.apiToken("agent", auth.NewToken{Name: "ended"})
	b.revokeToken(id)
	console, _ := b.apiToken("admin", auth.NewToken{Name: "console", Privileges: []auth.Privilege{auth.SeeEvents}})
	b.never = []string{strings.TrimPrefix(agent, auth.TokenPrefix), strings.TrimPrefix(elsewhere, auth.TokenPrefix), strings.TrimPrefix(office, auth.TokenPrefix),
		strings.TrimPrefix(ended, auth.TokenPrefix), strings.TrimPrefix(console, auth.TokenPrefix), base64.StdEncoding.EncodeToString([]byte("x:" + agent))}
	request := func(path, lines string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: {host}\r\n" + lines + "\r\n\r\n"
	}
	bearer := func(token string) string { return "Authorization: Bearer " + token }
	good := bearer(agent)
	var attacks []attack
	add := func(name, request, want string, arrives []string, also ...string) {
		attacks = append(attacks, attack{name: name, request: request, want: want, seen: arrives, also: also})
	}
	// The good one goes first, so that it is in memory when guesses begin to wait.
	for _, path := range []string{"/ok", "/static/x", "/public/x", "/api/v1/x", "/API/v1/x", "/api/v1", "/rest/1.0", "/ws"} {
		add("good at "+path, request(path, good), "200", seen("agent GET "+path), "!Authorization")
	}
	add("other names beside it pass", request("/api/v1/x", good+"\r\nX-Note: n"), "200", seen("agent GET /api/v1/x"), "X-Note=n", "!Authorization")
	// rules hold as for the person
	add("role", request("/admin/x", good), "403", nothing)
	add("denied path", request("/secret", good), "403", nothing)
	add("network of a rule", request("/intra/x", good), "403", nothing)
	add("cross-site", "POST /ok HTTP/1.1\r\nHost: {host}\r\nOrigin: https://evil.example\r\n"+good+"\r\nContent-Length: 0\r\n\r\n", "403", nothing)
	// a person's own pages
	for _, path := range []string{"/.doorward/account", "/.doorward/account/password", "/.doorward/sign-in", "/.doorward/sign-out", "/.doorward/step-up", "/.doorward/confirm", "/.doorward/oidc/x/start", "/.doorward/reset", "/.doorward/nothing"} {
		add("own page "+path, request(path, good), "403", nothing)
	}
	add("own page with a cookie", request("/.doorward/account", good+"\r\nCookie: __Host-doorward={token}"), "403", nothing)
	add("style", request("/.doorward/static/doorward.css", good), "200", nothing)
	add("keys", request("/.doorward/jwks.json", good), "200", nothing)
	// with a cookie, the token counts
	add("token and cookie", request("/ok", good+"\r\nCookie: __Host-doorward={token}; a=1"), "200", seen("agent GET /ok"), "Cookie=a=1", "!Authorization")
	add("token and the admin's cookie", "GET /admin HTTP/1.1\r\nHost: {host}\r\n{admin}"+good+"\r\n\r\n", "403", nothing)
	// spellings of the good one
	for _, scheme := range []string{"bearer", "BEARER", "bEaReR"} {
		add("scheme "+scheme, request("/api/v1/x", "authorization: "+scheme+" "+agent), "200", seen("agent GET /api/v1/x"), "!Authorization")
	}
	for _, between := range []string{"\t", "  ", " \t "} {
		add("between "+between, request("/api/v1/x", "AUTHORIZATION: Bearer"+between+agent+between), "200", seen("agent GET /api/v1/x"), "!Authorization")
	}
	add("connection names it", request("/api/v1/x", good+"\r\nConnection: Authorization"), "200", seen("agent GET /api/v1/x"), "!Authorization")
	// a whole token where none belongs
	for _, value := range []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+agent)), "Basic " + base64.RawURLEncoding.EncodeToString([]byte(agent+":")), "basic\t" + base64.StdEncoding.EncodeToString([]byte("zoë:"+agent)),
		"Basic " + agent, "Token " + agent, "Token token=" + agent, "Token token=\"" + agent + "\"", "Bearer:" + agent, "Bearer=" + agent, "Bearer \"" + agent + "\"", "Bearer <" + agent + ">", agent, "Bearer," + agent,
		"Bearer x " + agent, "Bearer Bearer " + agent, "Basic eDp4, Bearer " + agent, "Bearer DW_" + strings.TrimPrefix(agent, "dw_"), "Bearer\xa0" + agent, "Digest username=\"" + agent + "\", realm=\"x\""} {
		for _, path := range []string{"/ok", "/api/v1/x", "/static/x"} {
			add("misplaced at "+path+" "+value, request(path, "Authorization: "+value), "400", nothing)
		}
	}
	// several headers
	for _, path := range []string{"/ok", "/api/v1/x"} {
		add("twice at "+path, request(path, good+"\r\n"+good), "400", nothing)
		add("behind Basic at "+path, request(path, "Authorization: Basic eDp4\r\n"+good), "400", nothing)
		add("before Basic at "+path, request(path, good+"\r\nauthorization: Basic eDp4"), "400", nothing)
		add("behind an empty one at "+path, request(path, "Authorization:\r\n"+good), "400", nothing)
	}
	add("other headers at once", request("/api/v1/x", good+"\r\nProxy-Authorization: Bearer "+agent+"\r\nAUTHORIZATION_: Bearer "+agent+"\r\nHttp-Authorization: Bearer "+agent+"\r\nRedirect-Http-Authorization: Bearer "+agent+"\r\nX-Forwarded-Authorization: Bearer "+agent),
		"200", seen("agent GET /api/v1/x"), "!Authorization", "!Proxy-Authorization")
	// what is the application's own still passes where it may
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("root:password"))
	add("Basic on a declared path", request("/api/v1/x", "Cookie: __Host-doorward={token}\r\nAuthorization: "+basic), "200", seen("agent GET /api/v1/x"), "Authorization="+basic)
	add("another Bearer on a declared path", request("/api/v1/x", "Cookie: __Host-doorward={token}\r\nAuthorization: Bearer eyJ.dw_.x"), "200", seen("agent GET /api/v1/x"), "Authorization=Bearer eyJ.dw_.x")
	add("Basic of nobody on a declared path", request("/api/v1/x", "Authorization: "+basic), "401", nothing)
	// not good here: first those that are no guesses
	add("another host's", request("/ok", bearer(elsewhere)), "401", nothing)
	add("another host's on a public path", request("/static/x", bearer(elsewhere)), "401", nothing)
	add("another network's", request("/ok", bearer(office)), "403", nothing)
	add("another network's, claimed", request("/ok", bearer(office)+"\r\nX-Forwarded-For: 10.0.0.1"), "403", nothing)
	add("revoked", request("/ok", bearer(ended)), "401", nothing)
	add("revoked, with a cookie", request("/ok", bearer(ended)+"\r\nCookie: __Host-doorward={token}"), "401", nothing)
	add("not for the sites", request("/ok", bearer(console)), "403", nothing)
	for _, token := range []string{"dw_", "dw_x", "dw_" + strings.Repeat("A", 43), agent + "x", agent[:len(agent)-1], agent + "," + agent, agent + ", Basic eDp4", agent + " " + agent, agent + "\t, realm=x", agent + "=", "dw_{token}"} {
		add("unknown "+token, request("/api/v1/x", bearer(token)), "401|429", nothing)
	}
	add("good while guesses wait", request("/ok", good), "200", seen("agent GET /ok"))
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) { b.run(t, a) })
	}
	enough(t, b, 120)
	b.run2(t, attack2{name: "HTTP/2", fields: []field{{":path", "/api/v1/x"}, {"cookie", ""}, {"authorization", "bearer " + agent}}, want: "200", seen: seen("agent GET /api/v1/x"), also: []string{"!Authorization"}})
	b.run2(t, attack2{name: "HTTP/2 twice", fields: []field{{":path", "/api/v1/x"}, {"cookie", ""}, {"authorization", "Bearer " + agent}, {"authorization", "Bearer " + agent}}, want: "400", seen: nothing})
}

// TestTokenRevocationEndsStream: a stream that a token has opened ends with the token.
func TestTokenRevocationEndsStream(t *testing.T) {
	t.Parallel()
	r := start(t, gateway.Config{}, publicSite(t, application(t, eventStream(nil)).URL))
	r.signIn("ada")
	token, id := r.apiToken("ada", auth.NewToken{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url("https", "/events"), nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := r.client().Do(req)
	must(t, err)
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "data: first\n" {
		t.Fatalf("got %q, %v, want the first event", line, err)
	}
	revoked := time.Now()
	r.revokeToken(id)
	if _, err := io.Copy(io.Discard, lines); err == nil || time.Since(revoked) > busySecond {
		t.Errorf("the stream ended with %v after %v, want broken off within a second", err, time.Since(revoked))
	}
	if res := r.withToken(http.MethodGet, "/", token); res.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer ") {
		t.Errorf("afterwards: got %d with %v, want 401 and Bearer", res.StatusCode, res.Header)
	}
}

func (r *running) withToken(method, path, token string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url("https", path), nil)
	must(r.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	res, err := r.client().Do(req)
	must(r.t, err)
	res.Body.Close()
	return res
}

// TestTokenAtTheGateway: what a token cannot do, what its use leaves behind, and that nobody's session lives longer by it.
func TestTokenAtTheGateway(t *testing.T) {
	t.Parallel()
	began := time.Now()
	site := publicSite(t, application(t, func(http.ResponseWriter, *http.Request) {}).URL)
	site.Access = []gateway.AccessRule{{Path: "/keys", Factor: "passkey"}, {Path: "/"}}
	r := startWith(t, gateway.Deps{RequireActivity: func(s *auth.Session) bool {
		t.Errorf("it was asked whether %s is active", s.ID)
		return false
	}}, gateway.Config{}, site)
	r.signIn("ada")
	token, id := r.apiToken("ada", auth.NewToken{})
	for path, want := range map[string]int{"/": 200, "/keys": 403, "/.doorward/account": 403} {
		if res := r.withToken(http.MethodGet, path, token); res.StatusCode != want || res.Header.Get("Location") != "" {
			t.Errorf("%s: got %d to %q, want %d", path, res.StatusCode, res.Header.Get("Location"), want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, r.deps.Events.Flush(ctx))
	events, err := r.deps.Events.Query(ctx, event.Query{From: began.Add(-time.Second), Class: event.HTTP, Limit: 100})
	must(t, err)
	reasons := make(map[string]string)
	for _, e := range events {
		f := make(map[string]string)
		for _, field := range e.Fields {
			f[field.Key] = field.Value
		}
		if e.User != "ada" || f["token"] != id {
			t.Errorf("%s: by %q with the token %q, want ada's %s", f["target"], e.User, f["token"], id)
		}
		reasons[f["target"]] = f["reason"]
	}
	if len(reasons) != 3 || reasons["/keys"] != "factor" || reasons["/.doorward/account"] != "token" {
		t.Errorf("got the reasons %v, want factor and token", reasons)
	}
}

// TestTokenStoreAway: without the store a token that is not known yet is no stranger's either.
func TestTokenStoreAway(t *testing.T) {
	t.Parallel()
	r := start(t, gateway.Config{}, gateway.SiteConfig{Hosts: []string{"localhost"}, Upstreams: []string{application(t, func(http.ResponseWriter, *http.Request) {}).URL}, App: appFolder(t)})
	r.signInAs("ada", auth.Admin)
	known, _ := r.apiToken("ada", auth.NewToken{Name: "known"})
	unknown, _ := r.apiToken("ada", auth.NewToken{Name: "unknown"})
	if got := r.withToken(http.MethodGet, "/", known).StatusCode; got != 200 {
		t.Fatalf("with the store: got %d, want 200", got)
	}
	must(t, os.Rename(filepath.Join(r.dir, "doorward.db"), filepath.Join(r.dir, "away")))
	eventually(t, time.Minute, "503 for both", func() bool {
		return r.withToken(http.MethodGet, "/", unknown).StatusCode == 503 && r.withToken(http.MethodGet, "/", known).StatusCode == 503
	})
	must(t, os.Rename(filepath.Join(r.dir, "away"), filepath.Join(r.dir, "doorward.db")))
	eventually(t, time.Minute, "200 for both", func() bool {
		return r.withToken(http.MethodGet, "/", unknown).StatusCode == 200 && r.withToken(http.MethodGet, "/", known).StatusCode == 200
	})
}

// TestAuthzToken: the proxy learns whose the token is, and to pass on nothing of it.
func TestAuthzToken(t *testing.T) {
	t.Parallel()
	r := start(t, trusting("127.0.0.1/32"), authzSite(t))
	agent, _ := r.signInAs("anna", auth.Agent)
	token, _ := r.apiToken("anna", auth.NewToken{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	for name, c := range map[string]struct {
		q              question
		authorization  string
		from           string
		want           int
		reason, passes string
	}{
		"token":                         {question{}, "Bearer " + token, "192.0.2.1", 200, "", ""},
		"token on a declared path":      {question{uri: "/api/x"}, "bearer  " + token, "192.0.2.1", 200, "", ""},
		"token by POST":                 {question{uri: "/api/x", method: "POST"}, "Bearer " + token, "192.0.2.1", 200, "", ""},
		"token from elsewhere":          {question{}, "Bearer " + token, "198.51.100.1", 403, "token-network", ""},
		"token, redirect":               {question{mode: "mode=redirect", uri: "/keys"}, "Bearer " + token, "192.0.2.1", 403, "factor", ""},
		"unknown token, redirect":       {question{mode: "mode=redirect"}, "Bearer dw_x", "192.0.2.9", 401, "token-invalid", ""},
		"unknown token beside a cookie": {question{cookie: agent}, "Bearer dw_y", "192.0.2.10", 401, "token-invalid", ""},
		"token as a password":           {question{uri: "/api/x"}, "Token " + token, "192.0.2.1", 400, "token-misplaced", ""},
		"Basic on a declared path":      {question{cookie: agent, uri: "/api/x"}, "Basic eDp4", "192.0.2.1", 200, "", "Basic eDp4"},
		"Basic elsewhere":               {question{cookie: agent}, "Basic eDp4", "192.0.2.1", 403, "authorization", ""},
	} {
		before := r.Stats().Refused[c.reason]
		c.q.header = http.Header{"Authorization": {c.authorization}, "X-Forwarded-For": {c.from}, "Sec-Fetch-Mode": {"navigate"}}
		res := r.ask(c.q)
		who := ""
		if c.want == 200 {
			who = "anna"
		}
		if res.StatusCode != c.want || res.Header.Get("X-Doorward-User") != who || res.Header.Get("Authorization") != c.passes ||
			res.Header.Get("Location")+res.Header.Get("X-Doorward-Location") != "" || c.reason != "" && r.Stats().Refused[c.reason] != before+1 {
			t.Errorf("%s: got %d %v, want %d %s and Authorization %q", name, res.StatusCode, res.Header, c.want, c.reason, c.passes)
		}
	}
}
