package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/console"
)

// From another machine the console answers named networks only, and people there need a second factor (security.md).
func TestConsoleFromAnotherMachine(t *testing.T) {
	r := start(t, func(c *console.Config) {
		c.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	})
	cookie := r.signIn(t, "the-owner")
	ask := func(from, path string, headers ...string) *httptest.ResponseRecorder {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, r.url+path, nil)
		request.RemoteAddr = from
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		answer := httptest.NewRecorder()
		r.console.ServeHTTP(answer, request)
		return answer
	}
	for _, stranger := range []string{"198.51.100.7:4711", "[2001:db9::1]:4711", "[::ffff:198.51.100.7]:4711", "not an address"} {
		for _, path := range []string{"/", "/healthz", "/metrics", "/.doorward/sign-in"} {
			if got := ask(stranger, path, "Cookie", cookie); got.Code != http.StatusForbidden {
				t.Errorf("%s asks for %s: got %d, want 403", stranger, path, got.Code)
			}
		}
	}
	for _, office := range []string{"192.0.2.9:4711", "[2001:db8::9]:4711", "[::ffff:192.0.2.9]:4711"} {
		if got := ask(office, "/.doorward/sign-in"); got.Code != http.StatusOK {
			t.Errorf("%s asks for the sign-in page: got %d, want 200", office, got.Code)
		}
		got := ask(office, "/", "Cookie", cookie, "Accept", "text/html")
		if to := got.Header().Get("Location"); got.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/.doorward/step-up?return_to=%2F") {
			t.Errorf("%s with a password alone: got %d to %q, want 303 to the step-up page", office, got.Code, to)
		}
		if got := ask(office, "/", "Cookie", cookie, "Accept", "application/json"); got.Code != http.StatusForbidden {
			t.Errorf("a program at %s with a password alone: got %d, want 403", office, got.Code)
		}
	}
	if got := ask("127.0.0.1:4711", "/", "Cookie", cookie, "Accept", "text/html"); got.Code != http.StatusOK {
		t.Errorf("at this machine: got %d, want 200", got.Code)
	}
}

// The networks of a person's roles hold at the console's own pages too: a session that was carried elsewhere changes nothing there.
func TestConsoleHoldsRolesToTheirNetworks(t *testing.T) {
	r := start(t, func(c *console.Config) { c.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	cookie := r.signIn(t, "the-watcher")
	cfg := auth.Config{Roles: []auth.RoleConfig{{Name: "watcher", Privileges: []auth.Privilege{auth.UseConsole}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}}
	cfg.SetDefaults()
	swap, err := r.auth.Prepare(cfg)
	must(t, err)
	swap()
	for _, c := range []struct {
		from, path string
		want       int
	}{
		{"127.0.0.1:4711", "/.doorward/account", 200}, {"192.0.2.9:4711", "/.doorward/account", 403}, {"192.0.2.9:4711", "/.doorward/step-up", 403},
		{"192.0.2.9:4711", "/.doorward/sign-out", 200}, {"192.0.2.9:4711", "/.doorward/static/doorward.css", 200},
	} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, r.url+c.path, nil)
		request.RemoteAddr = c.from
		request.Header.Set("Cookie", cookie)
		answer := httptest.NewRecorder()
		r.console.ServeHTTP(answer, request)
		if answer.Code != c.want {
			t.Errorf("%s asks for %s: got %d, want %d", c.from, c.path, answer.Code, c.want)
		}
	}
}
