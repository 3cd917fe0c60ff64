package identity_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/test/real"
)

// ldapConfig is the configuration of Doorward for s: helpdesk are agents, admins admins, and people type a name or an address.
func ldapConfig(s *slapd) string {
	return fmt.Sprintf(`ldap:
  - name: office
    url: ldaps://127.0.0.1:%d
    ca_file: %s
    bind_dn: "%s"
    bind_password_file: %s
    base_dn: "ou=people,%s"
    user_filter: "(&(objectClass=inetOrgPerson)(|(uid={login})(mail={login})))"
    roles: [{group: "%s", role: agent}, {group: "%s", role: admin}]
    create_accounts: true
`, s.tls, s.ca, serviceDN, real.Write(s.t, s.dir, "service.password", servicePassword+"\n", 0o600), suffix, helpdesk, admins)
}

const bobPassword, localPassword = "another long password", "a long passphrase of Doorward's own"

// TestDoorwardWithSlapd signs people of a directory in by Doorward's own form, and out when they have left it.
func TestDoorwardWithSlapd(t *testing.T) {
	s := startSlapd(t, true)
	port, _ := freshAddress(t)
	d := startDoorward(t, port, ldapConfig(s))
	d.addLocal("emergency", auth.Owner, localPassword)

	zoe, bob := d.surfer(), d.surfer()
	if status, to := zoe.signIn("zoe", zoePassword); status != http.StatusSeeOther || to != "/" || zoe.who() != "zoe (agent)" {
		t.Fatalf("zoe: got %d to %q as %q, want 303 to / as an agent", status, to, zoe.who())
	}
	first, err := d.Auth().Principal(t.Context(), "zoe")
	if err != nil || first.Origin != "ldap:office" || first.Email != "zoe@example.org" || first.DisplayName != "Zoe Miller" {
		t.Errorf("zoe's account: got %+v, %v", first, err)
	}
	if status, _ := bob.signIn("bob@example.org", bobPassword); status != http.StatusSeeOther || bob.who() != "bob (admin,agent)" {
		t.Errorf("bob by his address: got %d as %q, want an admin and agent", status, bob.who())
	}
	again := d.surfer()
	if status, _ := again.signIn("ZOE", zoePassword); status != http.StatusSeeOther || again.who() != "zoe (agent)" {
		t.Errorf("zoe again: got %d as %q, want 303", status, again.who())
	}
	if second, err := d.Auth().Principal(t.Context(), "zoe"); err != nil || second.ID != first.ID {
		t.Errorf("zoe again is account %s, %v; want %s", second.ID, err, first.ID)
	}
	for _, c := range []struct {
		name, password string
		status         int
	}{{"zoe", "wrong", 401}, {"zoe", "", 401}, {"eve", "yet another password", 403}, {"nobody", zoePassword, 401}} {
		stranger := d.surfer()
		if status, _ := stranger.signIn(c.name, c.password); status != c.status || stranger.who() != "" {
			t.Errorf("%s with %q: got %d as %q, want %d", c.name, c.password, status, stranger.who(), c.status)
		}
	}

	// Whoever leaves a group, leaves its role; whoever leaves the directory, leaves.
	token, robot := real.AddToken(t, d.data, "zoe"), d.surfer()
	program := func() int {
		req, err := http.NewRequest(http.MethodGet, d.url+"/who", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, _ := robot.read(robot.Do(req))
		return res.StatusCode
	}
	if got := program(); got != http.StatusOK {
		t.Errorf("zoe's API token: got %d, want 200", got)
	}
	s.change("ldapmodify", fmt.Sprintf("dn: %s\nchangetype: modify\ndelete: member\nmember: uid=bob,ou=people,%s\n-\nadd: member\nmember: uid=eve,ou=people,%s\n", admins, suffix, suffix))
	s.change("ldapmodify", fmt.Sprintf("dn: uid=zoe,ou=people,%s\nchangetype: delete\n", suffix))
	if err := d.Auth().LookUpDirectories(t.Context(), time.Now()); err != nil {
		t.Errorf("look people up again: %v", err)
	}
	if zoe.who() != "" || again.who() != "" || bob.who() != "" {
		t.Errorf("after the round: zoe is %q and %q, bob %q; want nobody", zoe.who(), again.who(), bob.who())
	}
	if got := program(); got != http.StatusUnauthorized {
		t.Errorf("zoe's API token after she left: got %d, want 401", got)
	}
	if status, _ := zoe.signIn("zoe", zoePassword); status != http.StatusUnauthorized {
		t.Errorf("zoe after she left: got %d, want 401", status)
	}
	if status, _ := bob.signIn("bob", bobPassword); status != http.StatusSeeOther || bob.who() != "bob (agent)" {
		t.Errorf("bob after he left the admins: got %d as %q, want an agent", status, bob.who())
	}

	// Without the directory its people cannot come, stay where they are, and others do not notice.
	s.Stop()
	stranger := d.surfer()
	for _, name := range []string{"bob", "nobody"} {
		if status, _ := stranger.signIn(name, bobPassword); status != http.StatusServiceUnavailable {
			t.Errorf("%s without the directory: got %d, want 503", name, status)
		}
	}
	if err := d.Auth().LookUpDirectories(t.Context(), time.Now()); err == nil || bob.who() != "bob (agent)" {
		t.Errorf("a round without the directory: %v, bob is %q; want an error and bob", err, bob.who())
	}
	if status, _ := stranger.signIn("emergency", localPassword); status != http.StatusSeeOther || stranger.who() != "emergency (owner)" {
		t.Errorf("the local account without the directory: got %d as %q, want 303", status, stranger.who())
	}
}

// TestLocalAccountsStayLocal: somebody of that name in the directory does not become the account's owner, under no login.
func TestLocalAccountsStayLocal(t *testing.T) {
	s := startSlapd(t, true)
	port, _ := freshAddress(t)
	d := startDoorward(t, port, ldapConfig(s))
	d.addLocal("bob", auth.Owner, localPassword)
	for login, want := range map[string]int{"bob": 401, "BOB": 401, "bob@example.org": 403} {
		stranger := d.surfer()
		if status, _ := stranger.signIn(login, bobPassword); status != want || stranger.who() != "" {
			t.Errorf("%s with the directory's password: got %d as %q, want %d", login, status, stranger.who(), want)
		}
	}
	bob := d.surfer()
	if status, _ := bob.signIn("bob", localPassword); status != http.StatusSeeOther || bob.who() != "bob (owner)" {
		t.Errorf("with the local password: got %d as %q, want the owner", status, bob.who())
	}
}

// TestDirectoryAndTOTP: who has set up an authenticator app here is asked for it, wherever the password is.
func TestDirectoryAndTOTP(t *testing.T) {
	s := startSlapd(t, true)
	port, _ := freshAddress(t)
	d := startDoorward(t, port, ldapConfig(s))
	zoe := d.surfer()
	if status, _ := zoe.signIn("zoe", zoePassword); status != http.StatusSeeOther {
		t.Fatalf("zoe: got %d, want 303", status)
	}
	account, err := d.Auth().Principal(t.Context(), "zoe")
	if err != nil {
		t.Fatal(err)
	}
	app, err := d.Auth().BeginTOTP(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	code := func(at time.Time) string {
		c, err := totp.GenerateCode(strings.ReplaceAll(app.Secret, " ", ""), at)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	now := time.Now()
	if _, err := d.Auth().ConfirmTOTP(t.Context(), auth.Actor{Name: "zoe", Origin: "local"}, account.ID, code(now), now); err != nil {
		t.Fatal(err)
	}
	other := d.surfer()
	status, to := other.signIn("zoe", zoePassword)
	if status != http.StatusSeeOther || to != "/.doorward/sign-in/factor" || other.who() != "" {
		t.Fatalf("got %d to %q as %q, want to be asked for the app", status, to, other.who())
	}
	res, _ := other.read(other.PostForm(d.url+to, url.Values{"code": {code(now.Add(30 * time.Second))}}))
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/" || other.who() != "zoe (agent)" {
		t.Errorf("with the code: got %d to %q as %q, want zoe", res.StatusCode, res.Header.Get("Location"), other.who())
	}
	s.change("ldapmodify", fmt.Sprintf("dn: uid=zoe,ou=people,%s\nchangetype: delete\n", suffix))
	if err := d.Auth().LookUpDirectories(t.Context(), time.Now()); err != nil || other.who() != "" {
		t.Errorf("after she left: %v, still %q; want nobody", err, other.who())
	}
}
