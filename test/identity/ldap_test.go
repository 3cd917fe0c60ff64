package identity_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorward/doorward/auth/directory"
	"github.com/doorward/doorward/test/real"
)

const helpdesk, admins, staff = "cn=helpdesk,ou=groups," + suffix, "cn=admins,ou=groups," + suffix, "cn=staff,ou=groups," + suffix

// TestEveryWayToConnect: TLS from the start, TLS started, the socket, and loopback in the clear.
func TestEveryWayToConnect(t *testing.T) {
	s := startSlapd(t, true)
	want := directory.Identity{Directory: "office", Username: "zoe", Email: "zoe@example.org", Name: "Zoe Miller", Groups: []string{helpdesk, staff}, Roles: []string{"agent"}}
	for name, change := range map[string]func(*directory.Config){
		"ldaps":            nil,
		"StartTLS":         func(c *directory.Config) { c.URL = fmt.Sprintf("ldap://127.0.0.1:%d", s.plain) },
		"socket":           func(c *directory.Config) { c.URL = "ldapi://" + s.socket },
		"loopback, plain":  func(c *directory.Config) { c.URL, c.Plain = fmt.Sprintf("ldap://127.0.0.1:%d", s.plain), true },
		"groups by search": func(c *directory.Config) { c.GroupBaseDN = "ou=groups," + suffix },
	} {
		got, err := s.directory(change).Authenticate(t.Context(), "zoe", zoePassword)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(directory.Identity{}, "Subject")); err != nil || diff != "" {
			t.Errorf("%s: error %v (-want +got):\n%s", name, err, diff)
		}
		if !strings.HasPrefix(got.Subject, "entryuuid:") {
			t.Errorf("%s: subject %q, want the entryUUID", name, got.Subject)
		}
	}
}

func TestConnectionsThatAreNotTrusted(t *testing.T) {
	s := startSlapd(t, true)
	for name, change := range map[string]func(*directory.Config){
		"unknown authority":           func(c *directory.Config) { c.CAFile = "" },
		"unknown authority, StartTLS": func(c *directory.Config) { c.CAFile, c.URL = "", fmt.Sprintf("ldap://127.0.0.1:%d", s.plain) },
		"another name":                func(c *directory.Config) { c.ServerName = "ldap.example.org" },
	} {
		_, err := s.directory(change).Authenticate(t.Context(), "zoe", zoePassword)
		if !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrUnavailable", name, err)
		}
	}
	if log := s.Log(); strings.Contains(log, `BIND dn="`+serviceDN) {
		t.Error("the service account was bound all the same")
	}
	// A server without TLS, as after a downgrade by somebody on the way: nothing is sent.
	bare := startSlapd(t, false)
	_, err := bare.directory(func(c *directory.Config) { c.URL = fmt.Sprintf("ldap://127.0.0.1:%d", bare.plain) }).Authenticate(t.Context(), "zoe", zoePassword)
	if !errors.Is(err, directory.ErrUnavailable) && !errors.Is(err, directory.ErrConfig) {
		t.Errorf("without TLS: got %v, want ErrUnavailable or ErrConfig", err)
	}
	if log := bare.Log(); strings.Contains(log, `BIND dn="`+serviceDN) {
		t.Error("the service account's password crossed the network in the clear")
	}
}

func TestWhoGetsIn(t *testing.T) {
	s := startSlapd(t, true)
	d := s.directory(func(c *directory.Config) { c.DecoyDN = "cn=decoy,ou=services," + suffix })
	for _, c := range []struct{ login, password string }{
		{"zoe", "wrong"}, {"zoe", ""}, {"zoe", "\x00"}, {"zoe", "another long password"}, {"nobody", zoePassword}, {"*", zoePassword}, {"z*", zoePassword},
		{"zoe)(uid=*", zoePassword}, {"zoe)(|(uid=*", zoePassword}, {`zo\65`, zoePassword}, {"uid=zoe,ou=people," + suffix, zoePassword}, {"decoy", ""}, {"doorward", servicePassword},
	} {
		if id, err := d.Authenticate(t.Context(), c.login, c.password); !errors.Is(err, directory.ErrWrong) {
			t.Errorf("%q with %q: got %+v, %v; want ErrWrong", c.login, c.password, id, err)
		}
	}
	bob, err := d.Authenticate(t.Context(), "BOB", "another long password")
	if err != nil || bob.Username != "bob" || !slices.Equal(bob.Roles, []string{"admin", "agent"}) {
		t.Errorf("bob: got %+v, %v; want an admin and agent", bob, err)
	}
	eve, err := d.Authenticate(t.Context(), "eve", "yet another password")
	if err != nil || len(eve.Roles) != 0 || !slices.Equal(eve.Groups, []string{staff}) {
		t.Errorf("eve: got %+v, %v; want no role", eve, err)
	}
	real.Eventually(t, time.Minute, "slapd to tell of a password checked for an unknown name", func() bool {
		return strings.Contains(s.Log(), `BIND dn="cn=decoy,ou=services,`+suffix)
	})
	log := s.Log()
	if strings.Contains(log, `BIND dn="" method=128`) {
		t.Error("somebody was bound as nobody")
	}
	if strings.Contains(log, zoePassword) {
		t.Error("the password is in the directory's log")
	}
}

// TestLookupFollowsTheDirectory: a new name keeps the subject, a group left takes its role, and who is gone is gone.
func TestLookupFollowsTheDirectory(t *testing.T) {
	s := startSlapd(t, true)
	d := s.directory(nil)
	zoe, err := d.Authenticate(t.Context(), "zoe", zoePassword)
	if err != nil {
		t.Fatal(err)
	}
	s.change("ldapmodify", fmt.Sprintf("dn: uid=zoe,ou=people,%s\nchangetype: modrdn\nnewrdn: uid=zoe.smith\ndeleteoldrdn: 1\n", suffix))
	now, err := d.Lookup(t.Context(), zoe.Subject)
	if err != nil || now.Subject != zoe.Subject || now.Username != "zoe.smith" || !slices.Equal(now.Roles, []string{"agent"}) {
		t.Errorf("after a new name: got %+v, %v; want zoe.smith with her subject and role", now, err)
	}
	s.change("ldapmodify", fmt.Sprintf("dn: %s\nchangetype: modify\ndelete: member\nmember: uid=zoe.smith,ou=people,%s\n", helpdesk, suffix))
	if now, err = d.Lookup(t.Context(), zoe.Subject); err != nil || len(now.Roles) != 0 {
		t.Errorf("after leaving the group: got roles %q, %v; want none", now.Roles, err)
	}
	limited := s.directory(func(c *directory.Config) { c.UserFilter = "(&(uid={login})(!(employeeType=left)))" })
	s.change("ldapmodify", fmt.Sprintf("dn: uid=zoe.smith,ou=people,%s\nchangetype: modify\nadd: employeeType\nemployeeType: left\n", suffix))
	if _, err = limited.Lookup(t.Context(), zoe.Subject); !errors.Is(err, directory.ErrGone) {
		t.Errorf("outside the filter: got %v, want ErrGone", err)
	}
	s.change("ldapmodify", fmt.Sprintf("dn: uid=zoe.smith,ou=people,%s\nchangetype: delete\n", suffix))
	if _, err = d.Lookup(t.Context(), zoe.Subject); !errors.Is(err, directory.ErrGone) {
		t.Errorf("after her entry was deleted: got %v, want ErrGone", err)
	}
	if _, err = d.Authenticate(t.Context(), "zoe.smith", zoePassword); !errors.Is(err, directory.ErrWrong) {
		t.Errorf("after her entry was deleted: got %v, want ErrWrong", err)
	}
}

// TestDirectoryRestarts: while it is down nobody is taken for gone, and then it works again by itself.
func TestDirectoryRestarts(t *testing.T) {
	s := startSlapd(t, true)
	d := s.directory(nil)
	zoe, err := d.Authenticate(t.Context(), "zoe", zoePassword)
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if _, err = d.Authenticate(t.Context(), "zoe", zoePassword); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("sign-in: got %v, want ErrUnavailable", err)
	}
	if _, err = d.Lookup(t.Context(), zoe.Subject); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("lookup: got %v, want ErrUnavailable", err)
	}
	s.start()
	if _, err = d.Lookup(t.Context(), zoe.Subject); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}

func TestWrongServicePassword(t *testing.T) {
	s := startSlapd(t, true)
	d := s.directory(func(c *directory.Config) { c.BindDN = "cn=decoy,ou=services," + suffix })
	if _, err := d.Authenticate(t.Context(), "zoe", zoePassword); !errors.Is(err, directory.ErrConfig) {
		t.Errorf("got %v, want ErrConfig", err)
	}
	d = s.directory(func(c *directory.Config) { c.BindDN, c.BindPasswordFile = "", "" }) // this directory shows nobody anything
	if _, err := d.Authenticate(t.Context(), "zoe", zoePassword); err == nil {
		t.Error("an anonymous search found somebody whom the directory shows to nobody")
	}
}
