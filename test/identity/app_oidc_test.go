package identity_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/test/real"
)

// dexConfig is the configuration of Doorward for d.
func dexConfig(t *testing.T, d *dex, more string) string {
	dir := real.Folder(t)
	return fmt.Sprintf(`oidc:
  - name: dex
    title: the staff account
    issuer: %s/dex
    client_id: doorward
    client_secret_file: %s
    ca_file: %s
    scopes: [openid, profile, email, groups]
    roles: [{group: helpdesk, role: agent}, {group: admins, role: admin}]
%s`, d.URL, real.Write(t, dir, "secret", clientSecret+"\n", 0o600),
		real.Write(t, dir, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.Certificate().Raw})), 0o644), more)
}

// startDoorwardWithDex runs slapd, dex and Doorward.
func startDoorwardWithDex(t *testing.T, more string) (*doorward, *dex, *slapd) {
	t.Helper()
	s := startSlapd(t, true)
	port, address := freshAddress(t)
	provider := startDex(t, s, address+"/.doorward/oidc/dex/callback")
	return startDoorward(t, port, dexConfig(t, provider, more)), provider, s
}

// toCallback presses the button of the sign-in page, fills in dex's form and stops before the callback's address.
func (s *surfer) toCallback(login, password string) string {
	t := s.d.t
	t.Helper()
	var callback string
	s.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), s.d.url+"/.doorward/oidc/dex/callback") {
			callback = r.URL.String()
			return http.ErrUseLastResponse
		}
		return nil
	}
	defer func() { s.CheckRedirect = stay }()
	_, page := s.read(s.Get(s.d.url + "/.doorward/sign-in?return_to=/who"))
	const button = `href="/.doorward/oidc/dex/start?return_to=%2fwho"`
	if !strings.Contains(page, button) || !strings.Contains(page, "the staff account") {
		t.Fatalf("the sign-in page has no button %s:\n%s", button, page)
	}
	res, _ := s.read(s.Get(s.d.url + "/.doorward/oidc/dex/start?return_to=%2Fwho"))
	if res.StatusCode != http.StatusOK || !strings.Contains(res.Request.URL.Path, "/dex/auth/ldap/login") {
		t.Fatalf("the button leads to %s, %s; want dex's form", res.Request.URL, res.Status)
	}
	_, page = s.read(s.PostForm(res.Request.URL.String(), url.Values{"login": {login}, "password": {password}}))
	if callback == "" {
		t.Fatalf("dex sends %s nowhere:\n%s", login, page)
	}
	return callback
}

// follow opens an address and returns status, way and page.
func (s *surfer) follow(address string) (status int, location, page string) {
	s.d.t.Helper()
	res, page := s.read(s.Get(address))
	return res.StatusCode, res.Header.Get("Location"), page
}

// TestDoorwardWithDex goes from the sign-in page by dex and slapd to the application.
func TestDoorwardWithDex(t *testing.T) {
	d, provider, s := startDoorwardWithDex(t, "    create_accounts: true\n")
	d.addLocal("emergency", auth.Owner, localPassword)
	zoe, thief := d.surfer(provider.Certificate()), d.surfer(provider.Certificate())
	callback := zoe.toCallback("zoe", zoePassword)

	// The address that dex sent zoe to is worth nothing in another browser, not even in one that has begun a sign-in.
	if status, _, _ := thief.follow(callback); status != http.StatusBadRequest || thief.who() != "" {
		t.Errorf("another browser: got %d as %q, want 400", status, thief.who())
	}
	thief.toCallback("bob", bobPassword)
	if status, _, _ := thief.follow(callback); status != http.StatusBadRequest || thief.who() != "" {
		t.Errorf("another browser with a sign-in of its own: got %d as %q, want 400", status, thief.who())
	}
	if status, to, page := zoe.follow(callback); status != http.StatusSeeOther || to != "/who" || zoe.who() != "zoe (agent)" {
		t.Fatalf("zoe: got %d to %q as %q, want an agent at /who\n%s", status, to, zoe.who(), page)
	}
	if status, _, _ := zoe.follow(callback); status != http.StatusBadRequest || zoe.who() != "zoe (agent)" {
		t.Errorf("a second time: got %d as %q, want 400, and zoe as before", status, zoe.who())
	}
	first, err := d.Auth().Principal(t.Context(), "zoe")
	if err != nil || first.Origin != "oidc:dex" || first.Email != "zoe@example.org" {
		t.Errorf("zoe's account: got %+v, %v", first, err)
	}

	// Other groups there are other roles here, and the session that had the old ones ends.
	s.change("ldapmodify", fmt.Sprintf("dn: %s\nchangetype: modify\nadd: member\nmember: uid=zoe,ou=people,%s\n", admins, suffix))
	again := d.surfer(provider.Certificate())
	if status, _, _ := again.follow(again.toCallback("zoe", zoePassword)); status != http.StatusSeeOther || again.who() != "zoe (admin,agent)" || zoe.who() != "" {
		t.Errorf("zoe with another role: got %d as %q, before %q; want an admin, and the end of before", status, again.who(), zoe.who())
	}
	if second, err := d.Auth().Principal(t.Context(), "zoe"); err != nil || second.ID != first.ID {
		t.Errorf("zoe again is account %s, %v; want %s", second.ID, err, first.ID)
	}

	eve := d.surfer(provider.Certificate())
	if status, _, page := eve.follow(eve.toCallback("eve", "yet another password")); status != http.StatusForbidden || eve.who() != "" || !strings.Contains(page, "ask your administrator") {
		t.Errorf("eve, who has no role: got %d as %q, want 403\n%s", status, eve.who(), page)
	}
	if err := d.Auth().SetDisabled(t.Context(), auth.Actor{Name: "test", Origin: "local"}, "zoe", true); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := again.follow(again.toCallback("zoe", zoePassword)); status != http.StatusUnauthorized || again.who() != "" {
		t.Errorf("zoe, disabled here: got %d as %q, want 401", status, again.who())
	}

	// dex goes away between its form and the callback.
	bob := d.surfer(provider.Certificate())
	callback = bob.toCallback("bob", bobPassword)
	provider.down()
	if status, _, page := bob.follow(callback); status != http.StatusServiceUnavailable || bob.who() != "" {
		t.Errorf("without dex: got %d as %q, want 503\n%s", status, bob.who(), page)
	}
	if status, _ := bob.signIn("emergency", localPassword); status != http.StatusSeeOther || bob.who() != "emergency (owner)" {
		t.Errorf("the local account without dex: got %d as %q, want 303", status, bob.who())
	}
}

// TestDoorwardBeforeDex: Doorward starts while dex is down, and says so to whoever presses the button.
func TestDoorwardBeforeDex(t *testing.T) {
	s := startSlapd(t, true)
	port, address := freshAddress(t)
	provider := startDex(t, s, address+"/.doorward/oidc/dex/callback")
	up := provider.down()
	d := startDoorward(t, port, dexConfig(t, provider, "    create_accounts: true\n"))
	b := d.surfer(provider.Certificate())
	if status, to, page := b.follow(d.url + "/.doorward/oidc/dex/start"); status != http.StatusServiceUnavailable || to != "" || !strings.Contains(page, "<h1") {
		t.Errorf("got %d to %q, want a page with 503\n%s", status, to, page)
	}
	up()
	real.Eventually(t, time.Minute, "the button to work", func() bool {
		status, _, _ := b.follow(d.url + "/.doorward/oidc/dex/start")
		return status == http.StatusSeeOther
	})
	if status, _, _ := b.follow(b.toCallback("bob", bobPassword)); status != http.StatusSeeOther || b.who() != "bob (admin,agent)" {
		t.Errorf("bob: got %d as %q, want 303", status, b.who())
	}
}

// TestDoorwardMakesNoAccounts: without create_accounts nobody gets in whom no administrator has made an account for, and an
// account with a password is not found by an address, but one without.
func TestDoorwardMakesNoAccounts(t *testing.T) {
	d, provider, _ := startDoorwardWithDex(t, "")
	_, err := d.Auth().AddPrincipal(t.Context(), auth.Actor{Name: "test", Origin: "local"},
		auth.NewPrincipal{Name: "boss", Email: "bob@example.org", Roles: []auth.Role{auth.Owner}, Password: localPassword})
	if err != nil {
		t.Fatal(err)
	}
	for login, password := range map[string]string{"zoe": zoePassword, "bob": bobPassword} {
		b := d.surfer(provider.Certificate())
		if status, _, _ := b.follow(b.toCallback(login, password)); status != http.StatusForbidden || b.who() != "" {
			t.Errorf("%s: got %d as %q, want 403", login, status, b.who())
		}
	}
	if _, err := d.Auth().AddPrincipal(t.Context(), auth.Actor{Name: "test", Origin: "local"},
		auth.NewPrincipal{Name: "miller", Email: "zoe@example.org", Roles: []auth.Role{auth.Agent}, NoPassword: true}); err != nil {
		t.Fatal(err)
	}
	b := d.surfer(provider.Certificate())
	if status, _, _ := b.follow(b.toCallback("zoe", zoePassword)); status != http.StatusSeeOther || b.who() != "miller (agent)" {
		t.Errorf("zoe, with an account that was made for her: got %d as %q, want 303 as miller (agent)", status, b.who())
	}
}

// TestSignOutAtGlewlwydEndsTheSession: whoever signs out there is signed out here, at once.
func TestSignOutAtGlewlwydEndsTheSession(t *testing.T) {
	real.Require(t, "sqlite3")
	port, address := freshAddress(t)
	plain := real.FreePort(t) // glewlwyd does not know Doorward's authority
	g := startGlewlwyd(t, address+"/.doorward/oidc/glewlwyd/callback", fmt.Sprintf("http://localhost:%d/.doorward/oidc/glewlwyd/logout", plain))
	d := startDoorward(t, port, fmt.Sprintf(`oidc:
  - name: glewlwyd
    issuer: %s
    client_id: doorward
    client_secret_file: %s
    scopes: [openid]
    username_claim: sub
    default_role: user
    create_accounts: true
`, g.issuer(), real.Write(t, real.Folder(t), "secret", clientSecret, 0o600)), fmt.Sprintf(`plain: ["127.0.0.1:%d"]`, plain))
	person := g.browser("zoe", zoePassword)
	g.call(person, http.MethodPut, "/api/auth/grant/doorward/", map[string]any{"scope": "openid"})
	signIn := func() *surfer {
		b := d.surfer()
		_, to, _ := b.follow(d.url + "/.doorward/oidc/glewlwyd/start")
		res, err := person.Get(to + "&g_continue") // as glewlwyd's own page does on a click
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		status, to, page := b.follow(res.Header.Get("Location"))
		if status != http.StatusSeeOther || !strings.HasSuffix(b.who(), " (user)") {
			t.Fatalf("got %d to %q as %q, want zoe\n%s", status, to, b.who(), page)
		}
		return b
	}
	zoe, other := signIn(), d.surfer()
	d.addLocal("other", auth.User, localPassword)
	if status, _ := other.signIn("other", localPassword); status != http.StatusSeeOther {
		t.Fatalf("the other: got %d, want 303", status)
	}
	out, err := exec.Command("sqlite3", filepath.Join(d.data, "doorward.db"), "SELECT provider_sid FROM sign_in WHERE provider = 'oidc:glewlwyd'").Output()
	sid := strings.TrimSpace(string(out))
	if err != nil || sid == "" || strings.Contains(sid, "\n") {
		t.Fatalf("the session there is %q, %v", sid, err)
	}
	g.call(person, http.MethodDelete, "/api/oidc/session/"+sid+"/", nil)
	began := time.Now()
	real.Eventually(t, time.Minute, "the session here to end", func() bool { return zoe.who() == "" })
	t.Logf("ended %v after the provider had answered", time.Since(began))
	if other.who() != "other (user)" {
		t.Errorf("the other is %q, want to be signed in still", other.who())
	}
	for _, token := range []string{"", "x", "eyJhbGciOiJub25lIn0.e30."} {
		res, _ := zoe.read(zoe.PostForm(d.url+"/.doorward/oidc/glewlwyd/logout", url.Values{"logout_token": {token}}))
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("a notice %q: got %d, want 400", token, res.StatusCode)
		}
	}
}
