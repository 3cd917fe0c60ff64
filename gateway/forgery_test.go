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
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited 20 s until %s", what)
		}
	}
}
