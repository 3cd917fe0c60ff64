package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/gateway"
)

// TestFactorIsAskedFor: a person is sent to the page that asks for the factor, a program is told 403.
func TestFactorIsAskedFor(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(strings.ToLower(r.URL.Path), "/any") || strings.HasPrefix(strings.ToLower(r.URL.Path), "/keys") {
			t.Errorf("%s arrived with a password alone", r.URL)
		}
	})
	site := publicSite(t, up.URL)
	site.Access = []gateway.AccessRule{{Path: "/any", Factor: "any"}, {Path: "/keys", Factor: "passkey"}}
	r := start(t, gateway.Config{}, site)
	cookie, _ := r.signIn("uli")
	for _, c := range []struct {
		method, path, mode string
		want               int
		location           string
	}{
		{"GET", "/any/x?a=1&b=2", "navigate", 303, "/.doorward/step-up?return_to=%2Fany%2Fx%3Fa%3D1%26b%3D2"},
		{"GET", "/keys", "navigate", 303, "/.doorward/step-up?return_to=%2Fkeys&factor=passkey"},
		{"POST", "/any", "navigate", 303, "/.doorward/step-up?return_to=%2Fany"},
		{"GET", "/ANY", "navigate", 303, "/.doorward/step-up?return_to=%2FANY"},
		{"GET", "/any", "cors", 403, ""}, {"POST", "/keys", "", 403, ""}, {"GET", "/any", "", 403, ""},
		{"GET", "/any%2f", "navigate", 400, ""}, {"GET", "/%61ny", "cors", 403, ""},
		{"GET", "/", "navigate", 200, ""}, {"GET", "/an", "navigate", 200, ""},
	} {
		req, err := http.NewRequest(c.method, r.url("https", c.path), nil)
		must(t, err)
		req.AddCookie(cookie)
		if c.mode != "" {
			req.Header.Set("Sec-Fetch-Mode", c.mode)
			req.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		res, err := r.client().Do(req)
		must(t, err)
		res.Body.Close()
		if got := res.Header.Get("Location"); res.StatusCode != c.want || c.want != 200 && got != c.location {
			t.Errorf("%s %s (%s): got %d to %q, want %d to %q", c.method, c.path, c.mode, res.StatusCode, got, c.want, c.location)
		}
	}
	if n := r.Stats().Refused["factor"]; n != 8 {
		t.Errorf("%d refusals were counted as factor, want 8", n)
	}
}

// TestActivity: where a role requires activity, only what a person does keeps the session alive (D-19). The session
// is looked at a minute after it began, so that the request shows.
func TestActivity(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	dir := appFolderWith(t, "poll_paths:\n  - {path: /poll, source: \"choice: the test's\"}\nwebsocket_paths:\n  - {path: /ws, source: \"choice: the test's\"}\n")
	site := publicSite(t, up.URL)
	site.App = dir
	r := startWith(t, gateway.Deps{RequireActivity: func(s *auth.Session) bool { return s.HasRole(auth.Agent) }}, gateway.Config{}, site)
	for i, c := range []struct {
		role    auth.Role
		request string // METHOD PATH and headers
		want    bool
	}{
		{auth.User, "GET /", true},
		{auth.User, "GET /x Sec-Fetch-Mode=cors Sec-Fetch-Dest=empty", true},
		{auth.User, "GET /poll", false},
		{auth.Agent, "GET /", true}, // a client that sends none of the headers is believed
		{auth.Agent, "GET /poll", false},
		{auth.Agent, "GET / Sec-Fetch-Mode=navigate Sec-Fetch-Dest=document Sec-Fetch-User=?1", true},
		{auth.Agent, "GET / Sec-Fetch-Mode=navigate Sec-Fetch-Dest=document", true},
		{auth.Agent, "GET / Sec-Fetch-Mode=navigate Sec-Fetch-Dest=iframe", false}, // a frame that loads itself anew
		{auth.Agent, "GET / Sec-Fetch-Mode=navigate Sec-Fetch-Dest=iframe Sec-Fetch-User=?1", true},
		{auth.Agent, "GET /x Sec-Fetch-Mode=cors Sec-Fetch-Dest=empty", false},
		{auth.Agent, "GET /x Sec-Fetch-Mode=no-cors Sec-Fetch-Dest=image", false},
		{auth.Agent, "HEAD /x Sec-Fetch-Site=same-origin", false},
		{auth.Agent, "OPTIONS /x Sec-Fetch-Mode=cors", false},
		{auth.Agent, "POST /x Sec-Fetch-Mode=cors Sec-Fetch-Site=same-origin", true},
		{auth.Agent, "POST /poll Sec-Fetch-Mode=cors Sec-Fetch-Site=same-origin", false},
		{auth.Agent, "GET /poll Sec-Fetch-Mode=navigate Sec-Fetch-Dest=document", false},
		{auth.Agent, "GET /ws Sec-Fetch-Mode=websocket Sec-Fetch-Dest=empty Sec-Fetch-Site=same-origin", false},
	} {
		name := fmt.Sprintf("person%d", i)
		began := time.Now().Add(-time.Minute)
		cookie, _ := r.signInAt(name, c.role, began)
		words := strings.Fields(c.request)
		req, err := http.NewRequest(words[0], r.url("https", words[1]), nil)
		must(t, err)
		for _, header := range words[2:] {
			key, value, _ := strings.Cut(header, "=")
			req.Header.Set(key, value)
		}
		req.AddCookie(cookie)
		res, err := r.client().Do(req)
		must(t, err)
		res.Body.Close()
		s, err := r.auth.PollSession(t.Context(), auth.SiteRealm, "localhost", cookie.Value, time.Now())
		must(t, err)
		if got := s.LastSeen().Sub(began) > 30*time.Second; got != c.want {
			t.Errorf("%s by %s: noted as activity: %v, want %v", c.request, c.role, got, c.want)
		}
	}
}

// TestOwnCookiesOfPages: what our pages keep in the browser reaches them, each name once, and nothing else does.
func TestOwnCookiesOfPages(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		want  string
	}{
		"none":           {nil, ""},
		"others":         {[]string{"a=1; b=2"}, ""},
		"the session":    {[]string{"__Host-doorward=t"}, ""},
		"ours":           {[]string{"a=1; __Host-doorward=t; __Host-doorward-pending=p; __Host-doorward-device=d=1; b=2"}, "__Host-doorward-pending=p __Host-doorward-device=d=1"},
		"two lines":      {[]string{"__Host-doorward-oidc=o", "__Host-doorward-device=d"}, "__Host-doorward-oidc=o __Host-doorward-device=d"},
		"the console's":  {[]string{"__Host-doorward-console=c"}, ""},
		"tossed":         {[]string{"__Host-doorward-device=planted; __Host-doorward-oidc=o", "__Host-doorward-device=d"}, "__Host-doorward-oidc=o"},
		"tossed, thrice": {[]string{"__Host-doorward-device=1; __Host-doorward-device=2; __Host-doorward-device=3"}, ""},
		"another case":   {[]string{"__host-doorward-device=d"}, ""},
		"many":           {[]string{strings.Repeat("__Host-doorward-x=1; ", 500)}, ""},
	} {
		var got []string
		for _, cookie := range gateway.OwnCookies(c.lines) {
			got = append(got, cookie.Name+"="+cookie.Value)
		}
		if joined := strings.Join(got, " "); joined != c.want {
			t.Errorf("%s: got %q, want %q", name, joined, c.want)
		}
	}
	var flood strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&flood, "__Host-doorward-%d=1; ", i)
	}
	if n := len(gateway.OwnCookies([]string{flood.String()})); n > 16 {
		t.Errorf("%d cookies were kept, want 16 at most", n)
	}
}

// TestOwnCookiesStayHere: no cookie of ours reaches an application, and none of an application's passes for ours.
func TestOwnCookiesStayHere(t *testing.T) {
	t.Parallel()
	names := []string{"__Host-doorward-pending", "__Host-doorward-device", "__Host-doorward-oidc", "__HOST-DOORWARD-oidc", "__Host-doorward-anything"}
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Cookie"); got != "a=1; b=2" {
			t.Errorf("the application got %q, want a=1; b=2", got)
		}
		for _, name := range names {
			w.Header().Add("Set-Cookie", name+"=planted; Path=/; Secure")
		}
		w.Header().Add("Set-Cookie", "mine=1")
	})
	r := start(t, gateway.Config{}, publicSite(t, up.URL))
	req, err := http.NewRequest(http.MethodGet, r.url("https", "/"), nil)
	must(t, err)
	req.Header.Set("Cookie", "a=1; "+strings.Join(names, "=x; ")+"=x; b=2")
	res, err := r.client().Do(req)
	must(t, err)
	res.Body.Close()
	if got := res.Header["Set-Cookie"]; len(got) != 1 || !strings.HasPrefix(got[0], "mine=1") {
		t.Errorf("the browser got %q, want the application's own cookie alone", got)
	}
}

// TestOwnPagesAndForgery: another site's link may lead to our pages and another server's POST may reach them, but
// another site's page cannot act on them.
func TestOwnPagesAndForgery(t *testing.T) {
	t.Parallel()
	up := application(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s arrived", r.URL) })
	r := start(t, gateway.Config{}, publicSite(t, up.URL))
	for _, c := range []struct {
		method, path string
		headers      map[string]string
		crossSite    bool
	}{
		{"GET", "/.doorward/oidc/corp/callback?code=x", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, false},
		{"GET", "/.doorward/link/abc", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, false},
		{"POST", "/.doorward/oidc/corp/logout", nil, false},
		{"POST", "/.doorward/oidc/corp/logout", map[string]string{"Origin": "https://evil.example"}, true},
		{"POST", "/.doorward/oidc/corp/logout", map[string]string{"Origin": "null"}, true},
		{"POST", "/.doorward/link/abc", map[string]string{"Sec-Fetch-Site": "cross-site"}, true},
		{"POST", "/.doorward/passkey/finish", map[string]string{"Sec-Fetch-Site": "same-site"}, true},
		{"POST", "/.doorward/passkey/finish", map[string]string{"Sec-Fetch-Site": "same-origin"}, false},
	} {
		req, err := http.NewRequestWithContext(context.Background(), c.method, r.url("https", c.path), strings.NewReader("logout_token=x"))
		must(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for name, value := range c.headers {
			req.Header.Set(name, value)
		}
		before := r.Stats().Refused["cross-site"]
		res, err := r.client().Do(req)
		must(t, err)
		res.Body.Close()
		if got := res.StatusCode == http.StatusForbidden && r.Stats().Refused["cross-site"] == before+1; got != c.crossSite {
			t.Errorf("%s %s with %v: got %d, refused as cross-site %v, want %v", c.method, c.path, c.headers, res.StatusCode, got, c.crossSite)
		}
	}
}
