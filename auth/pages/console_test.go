package pages_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/auth/oidc"
	"github.com/doorward/doorward/auth/pages"
	"github.com/doorward/doorward/language/languagetest"
	"github.com/doorward/doorward/mail/mailtest"
)

// The console's cookies have names of their own: cookies ignore ports, and both realms may be at one host.
func TestConsoleCookies(t *testing.T) {
	s := newSite(t, auth.Config{Roles: []auth.RoleConfig{{Name: "user", Sessions: auth.RoleSessionsConfig{Remember: time.Hour}}}})
	app, _ := s.enrolApp("agent")
	console, err := pages.New(pages.Config{Realm: auth.ConsoleRealm, CookieName: "__Host-doorward-console"},
		pages.Deps{Auth: s.auth, Texts: languagetest.Shipped(t), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	send := func(r *http.Request, cookies ...*http.Cookie) *http.Response {
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		console.ServeHTTP(w, r.WithContext(pages.Visit(r.Context(), pages.Visitor{Address: addr("192.0.2.1"), Host: host, Site: "console"})))
		return w.Result()
	}
	if page := body(t, send(httptest.NewRequest(http.MethodGet, "https://"+host+"/.doorward/sign-in", nil))); strings.Contains(page, "remember") {
		t.Error("the console offers to stay signed in")
	}
	res := send(request("/.doorward/sign-in", signInForm("agent", password, "/")))
	if got := res.Header.Get("Location"); got != factorPage || len(res.Cookies()) != 1 || res.Cookies()[0].Name != "__Host-doorward-console-pending" {
		t.Fatalf("sent to %s with %v", got, res.Cookies())
	}
	pending := res.Cookies()[0]
	factor := func(cookies ...*http.Cookie) *http.Response {
		return send(request(factorPage, map[string][]string{"code": {app.code(0)}}), cookies...)
	}
	for what, cookies := range map[string][]*http.Cookie{
		"under the site's name": {{Name: pendingName, Value: pending.Value}},
		"twice":                 {pending, {Name: pending.Name, Value: strings.Repeat("A", 43)}},
	} {
		if got := factor(cookies...).Header.Get("Location"); got != "/.doorward/sign-in" {
			t.Errorf("%s: sent to %q", what, got)
		}
	}
	site := s.browser("192.0.2.1")
	site.jar[pendingName] = pending.Value
	site.wantSentTo(site.post(factorPage, "code", app.code(0)), "/.doorward/sign-in", "at the site")

	res = factor(pending)
	var names []string
	for _, c := range res.Cookies() {
		names = append(names, c.Name)
	}
	if got := strings.Join(names, " "); got != "__Host-doorward-console __Host-doorward-console-device __Host-doorward-console-pending" {
		t.Errorf("%d with the cookies %s", res.StatusCode, got)
	}
}

// The ways in that lead by the sites are offered there and not at the console.
func TestConsoleOffersNoOtherWays(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a secret of the provider's\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := registering("")
	cfg.OIDC = []oidc.Config{{Name: "staff", Title: "Staff", Issuer: "http://127.0.0.1:9", ClientID: "doorward", ClientSecretFile: secret}}
	s := newSiteWith(t, cfg, mailtest.Start(t, mailtest.Options{}))
	console, err := pages.New(pages.Config{Realm: auth.ConsoleRealm, CookieName: "__Host-doorward-console"}, pages.Deps{Auth: s.auth, Texts: languagetest.Shipped(t)})
	if err != nil {
		t.Fatal(err)
	}
	ways := []string{`href="/.doorward/reset"`, `href="/.doorward/register"`, `href="/.doorward/oidc/staff/start?return_to=%2f"`}
	b := s.browser("192.0.2.1")
	b.wantText(b.get("/.doorward/sign-in"), http.StatusOK, "the site", ways...)
	s.pages = console
	page := b.wantText(b.get("/.doorward/sign-in"), http.StatusOK, "the console", `name="password"`)
	for _, way := range ways {
		if strings.Contains(page, way) {
			t.Errorf("the console offers %s", way)
		}
	}
}
