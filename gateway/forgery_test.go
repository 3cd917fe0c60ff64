package gateway_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/gateway"
)

// TestStrangersAreSentToSignIn as demo.md words it: a navigation is redirected, everything else is told 401.
func TestStrangersAreSentToSignIn(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) { t.Error("a stranger's request arrived") })
	site := publicSite(t, up.URL)
	site.Access = nil
	r := start(t, gateway.Config{}, site)
	for _, c := range []struct {
		method, mode, accept string
		want                 int
	}{
		{"GET", "", "text/html", 303},
		{"GET", "navigate", "*/*", 303},
		{"HEAD", "navigate", "", 303},
		{"POST", "navigate", "text/html", 303}, // a form that was open for longer than the session
		{"POST", "", "text/html", 401},
		{"POST", "cors", "text/html", 401},
		{"GET", "cors", "*/*", 401},
		{"GET", "", "*/*", 401},
		{"GET", "", "", 401},
		{"PUT", "", "", 401},
	} {
		req, err := http.NewRequest(c.method, r.url("https", "/desk?q=1"), nil)
		must(t, err)
		for name, value := range map[string]string{"Sec-Fetch-Mode": c.mode, "Accept": c.accept} {
			if value != "" {
				req.Header.Set(name, value)
			}
		}
		if c.mode != "" {
			req.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		res, err := r.client().Do(req)
		must(t, err)
		res.Body.Close()
		location := ""
		if c.want == 303 {
			location = "/.doorward/sign-in?return_to=%2Fdesk%3Fq%3D1"
		}
		if got := res.Header.Get("Location"); res.StatusCode != c.want || got != location {
			t.Errorf("%+v: got %d to %q, want %d to %q", c, res.StatusCode, got, c.want, location)
		}
	}
}

// TestForgeryFromPlainHTTP: a page that came without TLS is another site, though its host is ours: whoever
// sits on the network can write one.
func TestForgeryFromPlainHTTP(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	r := start(t, gateway.Config{}, publicSite(t, up.URL))
	host := "localhost:" + r.port("https")
	for _, c := range []struct {
		method, path, origin, upgrade string
		want                          int
	}{
		{"POST", "/", "https://" + host, "", 200},
		{"POST", "/", "http://" + host, "", 403},
		{"POST", "/", "HTTP://" + host, "", 403},
		{"POST", "/.doorward/sign-in", "http://" + host, "", 403},
		{"GET", "/", "http://" + host, "", 200}, // changes nothing
		{"GET", "/ws", "http://" + host, "websocket", 403},
	} {
		req, err := http.NewRequest(c.method, "https://"+host+c.path, strings.NewReader(""))
		must(t, err)
		req.Header.Set("Origin", c.origin)
		client := r.client()
		if c.upgrade != "" {
			client.Transport.(*http.Transport).ForceAttemptHTTP2 = false
			req.Header.Set("Connection", "Upgrade")
			req.Header.Set("Upgrade", c.upgrade)
		}
		res, err := client.Do(req)
		must(t, err)
		res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%s %s from %s: got %d, want %d", c.method, c.path, c.origin, res.StatusCode, c.want)
		}
	}
}

// TestSignOutWithSeveralCookies ends whichever session is among them: the page says that it has.
func TestSignOutWithSeveralCookies(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	site := publicSite(t, up.URL)
	site.Access = nil
	r := start(t, gateway.Config{}, site)
	first, _ := r.signIn("first")
	second, _ := r.signIn("second")
	if got := r.signOut(first.String() + "; " + second.String() + "; " + gateway.CookieName + "=" + strings.Repeat("A", 43)); got != 303 {
		t.Fatalf("sign-out: got %d, want 303", got)
	}
	for _, cookie := range []*http.Cookie{first, second} {
		if got := r.statusWith(cookie.String()); got != 401 {
			t.Errorf("after the sign-out: got %d, want 401", got)
		}
	}
	third, _ := r.signIn("third")
	if got := r.signOut(strings.Repeat(third.String()+"; ", 100)); got != 400 {
		t.Errorf("sign-out with a hundred cookies: got %d, want 400", got)
	}
}

// TestSignOutWhileTheStoreIsAway does not say that a session ended which nobody could end.
func TestSignOutWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	site := publicSite(t, up.URL)
	site.Access = nil
	r := start(t, gateway.Config{}, site)
	cookie, _ := r.signInAs("boss", auth.Owner) // whose sessions close at once
	file, aside := filepath.Join(r.dir, "doorward.db"), filepath.Join(r.dir, "aside.db")
	must(t, os.Rename(file, aside))
	r.await("the session cannot be looked up", func() bool { return r.statusWith(cookie.String()) == 503 })
	if got := r.signOut(cookie.String()); got != 503 {
		t.Errorf("sign-out without the store: got %d, want 503", got)
	}
	must(t, os.Rename(aside, file))
	r.await("the store is back", func() bool { return r.statusWith(cookie.String()) == 200 })
	if got := r.signOut(cookie.String()); got != 303 {
		t.Errorf("sign-out with the store: got %d, want 303", got)
	}
	if got := r.statusWith(cookie.String()); got != 401 {
		t.Errorf("after the sign-out: got %d, want 401", got)
	}
}

func (r *running) statusWith(cookies string) int { return r.send(http.MethodGet, "/", cookies) }

func (r *running) signOut(cookies string) int {
	return r.send(http.MethodPost, "/.doorward/sign-out", cookies)
}

func (r *running) send(method, path, cookies string) int {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url("https", path), nil)
	must(r.t, err)
	req.Header.Set("Cookie", cookies)
	res, err := r.client().Do(req)
	must(r.t, err)
	res.Body.Close()
	return res.StatusCode
}

// await waits for what takes effect within a few seconds.
func (r *running) await(what string, done func() bool) {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited 20 s until %s", what)
		}
	}
}

// forged is one request of TestForgedRequests.
type forged struct {
	method, path string
	header       map[string]string
	want         int
	cookies      string // what the application gets; with want 200
}

const browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// TestForgedRequests walks through docs/csrf.md's tables, with the cookies that a browser would add.
func TestForgedRequests(t *testing.T) {
	t.Parallel()
	seen := make(chan *http.Request, 1)
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		seen <- r
	})
	site := publicSite(t, up.URL)
	site.App = appFolderWith(t, "webhook_paths:\n  - {path: /folder-hooks, source: \"choice: this test\"}\n")
	const www, login = "https://www.example.org", "https://login.example.net"
	site.CSRF.Exceptions = []gateway.CSRFException{
		{Kind: "webhook", Path: "/hooks"},
		{Kind: "embedded", Path: "/form", Origins: []string{www, "null"}},
		{Kind: "form-post", Path: "/sso/callback", Origins: []string{login}},
		{Kind: "cors", Path: "/widget", Origins: []string{www}, Methods: []string{"POST", "PUT"}, Headers: []string{"Content-Type"}},
		{Kind: "cors", Path: "/private", Origins: []string{www}, Methods: []string{"POST"}, Credentials: true},
	}
	r := start(t, gateway.Config{}, site)
	own := "https://localhost:" + r.port("https")
	head := func(pairs ...string) map[string]string {
		h := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i]] = pairs[i+1]
		}
		return h
	}
	const kept = "app=1"
	for _, c := range []forged{
		// Nothing said.
		{"POST", "/", nil, 200, kept},
		{"POST", "/", head("User-Agent", "curl/8.5.0"), 200, kept},
		{"POST", "/", head("User-Agent", browser), 403, ""},
		{"PUT", "/", head("User-Agent", browser), 403, ""},
		{"GET", "/", head("User-Agent", browser), 200, kept},
		{"POST", "/", head("User-Agent", browser, "Origin", own), 200, kept},
		{"POST", "/", head("User-Agent", browser, "Sec-Fetch-Site", "same-origin"), 200, kept},
		{"POST", "/", head("User-Agent", browser, "Referer", own+"/page?x=1"), 200, kept},
		{"POST", "/", head("User-Agent", browser, "Referer", "http://localhost:"+r.port("https")+"/"), 403, ""},
		{"POST", "/", head("User-Agent", browser, "Referer", own+".evil.example/"), 403, ""},
		{"POST", "/", head("User-Agent", browser, "Referer", "https://evil.example/"+own), 403, ""},
		{"POST", "/", head("User-Agent", browser, "Referer", "::"), 403, ""},
		// Elsewhere.
		{"POST", "/", head("Origin", www), 403, ""},
		{"POST", "/", head("Origin", "null"), 403, ""},
		{"POST", "/", head("Sec-Fetch-Site", "cross-site"), 403, ""},
		{"POST", "/", head("Sec-Fetch-Site", "same-site", "Origin", www), 403, ""},
		{"DELETE", "/hooks2", head("Origin", www), 403, ""},
		// Webhooks.
		{"POST", "/hooks/pay", head("Origin", "https://pay.example"), 200, ""},
		{"POST", "/hooks/pay", head("User-Agent", browser), 200, ""},
		{"POST", "/hooks", head("Sec-Fetch-Site", "cross-site", "Origin", www), 200, ""},
		{"POST", "/HOOKS", head("Origin", www), 403, ""},
		{"POST", "/hooks/pay", head("Origin", own), 200, kept},
		{"POST", "/folder-hooks", head("Origin", www), 200, ""},
		// Embedded forms.
		{"POST", "/form", head("Origin", www, "Sec-Fetch-Site", "cross-site"), 200, ""},
		{"POST", "/form", head("Origin", "null", "Sec-Fetch-Site", "cross-site"), 200, ""},
		{"POST", "/form", head("Origin", "https://WWW.example.org"), 200, ""},
		{"POST", "/form", head("Origin", www+".evil.example"), 403, ""},
		{"POST", "/form", head("Origin", "http://www.example.org"), 403, ""},
		{"PUT", "/form", head("Origin", www), 403, ""},
		{"POST", "/formx", head("Origin", www), 403, ""},
		// An identity provider's answer.
		{"POST", "/sso/callback", head("Origin", login, "Sec-Fetch-Site", "cross-site"), 200, kept},
		{"POST", "/sso/callback", head("Origin", www), 403, ""},
		// Scripts.
		{"POST", "/widget", head("Origin", www, "Sec-Fetch-Site", "cross-site"), 200, ""},
		{"DELETE", "/widget", head("Origin", www), 403, ""},
		{"GET", "/widget", head("Origin", www), 200, ""},
		{"POST", "/private", head("Origin", www), 200, kept},
		{"PUT", "/private", head("Origin", www), 403, ""},
	} {
		req, err := http.NewRequest(c.method, own+c.path, nil)
		must(t, err)
		req.Header.Set("Cookie", kept)
		req.Header.Set("User-Agent", "")
		for name, value := range c.header {
			req.Header.Set(name, value)
		}
		res, err := r.client().Do(req)
		must(t, err)
		res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%s %s %v: got %d, want %d", c.method, c.path, c.header, res.StatusCode, c.want)
		}
		if res.StatusCode != 200 {
			continue
		}
		if got := (<-seen).Header.Get("Cookie"); got != c.cookies {
			t.Errorf("%s %s %v: the application got the cookies %q, want %q", c.method, c.path, c.header, got, c.cookies)
		}
		wantOrigin := "*" // the application's own word
		if strings.HasPrefix(c.path, "/widget") || strings.HasPrefix(c.path, "/private") {
			wantOrigin = www
		}
		if got := res.Header["Access-Control-Allow-Origin"]; len(got) != 1 || got[0] != wantOrigin {
			t.Errorf("%s %s: Access-Control-Allow-Origin %q, want %q alone", c.method, c.path, got, wantOrigin)
		}
	}
}

// TestPreflight: a browser's question before a script's request is answered here, and only for what is declared.
func TestPreflight(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) { t.Error("a preflight reached the application") })
	site := publicSite(t, up.URL)
	site.Access = nil // a preflight has no session
	const www = "https://www.example.org"
	site.CSRF.Exceptions = []gateway.CSRFException{
		{Kind: "cors", Path: "/widget", Origins: []string{www}, Methods: []string{"POST"}, Headers: []string{"Content-Type", "X-Requested-With"}}}
	r := start(t, gateway.Config{}, site)
	for _, c := range []struct {
		path, origin, method, headers string
		want                          int
	}{
		{"/widget/x", www, "POST", "content-type, x-requested-with", 204},
		{"/widget", www, "GET", "", 204},
		{"/widget", www, "DELETE", "", 403},
		{"/widget", www, "POST", "authorization", 403},
		{"/widget", "https://evil.example", "POST", "", 401},
		{"/other", www, "POST", "", 401},
	} {
		req, err := http.NewRequest(http.MethodOptions, r.url("https", c.path), nil)
		must(t, err)
		req.Header.Set("Origin", c.origin)
		req.Header.Set("Access-Control-Request-Method", c.method)
		if c.headers != "" {
			req.Header.Set("Access-Control-Request-Headers", c.headers)
		}
		res, err := r.client().Do(req)
		must(t, err)
		res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%+v: got %d", c, res.StatusCode)
		}
		origin := ""
		if c.want == 204 {
			origin = www
			if got := res.Header.Get("Access-Control-Allow-Methods"); got != "GET, HEAD, POST" {
				t.Errorf("%+v: methods %q", c, got)
			}
			if got := res.Header.Get("Access-Control-Allow-Credentials"); got != "" {
				t.Errorf("%+v: credentials %q, want none", c, got)
			}
		}
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != origin {
			t.Errorf("%+v: Access-Control-Allow-Origin %q, want %q", c, got, origin)
		}
	}
}

// TestForgeryGuardSettings: strict asks programs too, off asks nobody; neither touches our own pages.
func TestForgeryGuardSettings(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	for name, c := range map[string]struct {
		cfg                       gateway.CSRFConfig
		program, cross, own, none int
	}{
		"default": {gateway.CSRFConfig{}, 200, 403, 403, 200},
		"strict":  {gateway.CSRFConfig{Strict: true}, 403, 403, 403, 200},
		"off":     {gateway.CSRFConfig{Off: true}, 200, 200, 403, 200},
	} {
		site := publicSite(t, up.URL)
		site.CSRF = c.cfg
		r := start(t, gateway.Config{}, site)
		for _, q := range []struct {
			path, origin, cookies string
			want                  int
		}{
			{"/", "", "app=1", c.program},
			{"/", "https://evil.example", "app=1", c.cross},
			{"/.doorward/sign-in", "https://evil.example", "app=1", c.own},
			{"/", "", "", c.none},
		} {
			res, _ := fetch(t, r.client(), http.MethodPost, r.url("https", q.path), "Origin", q.origin, "Cookie", q.cookies)
			if res.StatusCode != q.want {
				t.Errorf("%s: POST %s from %q with cookies %q: got %d, want %d", name, q.path, q.origin, q.cookies, res.StatusCode, q.want)
			}
		}
	}
}
