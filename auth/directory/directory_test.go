package directory_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth/directory"
	"github.com/doorward/doorward/porttest"
)

func identity() directory.Identity {
	return directory.Identity{Directory: "office", Subject: "entryuuid:" + zoeUUID, Username: "zoe", Email: "zoe@example.org", Name: "Zoë Müller",
		Groups: []string{"cn=Helpdesk,ou=groups,dc=example,dc=org", "cn=staff,ou=groups,dc=example,dc=org"}, Roles: []string{"agent"}}
}

func TestAuthenticate(t *testing.T) {
	s := newServer(t)
	got, err := s.directory(nil).Authenticate(t.Context(), " zoe ", zoePassword)
	if diff := cmp.Diff(identity(), got); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	binds, searches := s.asked()
	if diff := cmp.Diff([]string{serviceDN, zoeDN}, binds); diff != "" {
		t.Errorf("binds (-want +got):\n%s", diff)
	}
	// Nothing is read of anybody before the password was right.
	want := []string{"dc=example,dc=org (uid=zoe) 1.1",
		zoeDN + " (uid=zoe) entryUUID,objectGUID,userAccountControl,uid,mail,displayName,memberOf"}
	if diff := cmp.Diff(want, searches); diff != "" {
		t.Errorf("searches (-want +got):\n%s", diff)
	}
}

// TestWhatIsNeverSent: a bind without a password succeeds as nobody (RFC 4513, 5.1.2).
func TestWhatIsNeverSent(t *testing.T) {
	s := newServer(t)
	s.onBind(func(dn, password string) result { return result{} }) // a directory that lets everybody in
	d := s.directory(nil)
	for name, typed := range map[string]struct{ login, password string }{
		"no password":        {"zoe", ""},
		"NUL":                {"zoe", "\x00"},
		"password with NUL":  {"zoe", zoePassword + "\x00anything"},
		"password not UTF-8": {"zoe", "\xff\xfe"},
		"endless password":   {"zoe", strings.Repeat("a", 1025)},
		"no name":            {"", zoePassword},
		"blank name":         {" \t", zoePassword},
		"name with NUL":      {"zoe\x00", zoePassword},
		"name of lines":      {"zoe\nroot", zoePassword},
		"endless name":       {strings.Repeat("a", 257), zoePassword},
		"name not UTF-8":     {"zoe\xff", zoePassword},
	} {
		_, err := d.Authenticate(t.Context(), typed.login, typed.password)
		t.Run(name, func(t *testing.T) { wantReason(t, err, directory.Wrong) })
	}
	if binds, searches := s.asked(); len(binds)+len(searches) > 0 {
		t.Errorf("the directory was asked: binds %q, searches %q", binds, searches)
	}
}

// TestEntryWithoutDN: a bind as "" is one as nobody, whatever the password.
func TestEntryWithoutDN(t *testing.T) {
	s := newServer(t)
	s.onBind(func(dn, password string) result { return result{} })
	s.onSearch(func(base, filter string) ([]entry, result) { return []entry{{"", nil}}, result{} })
	_, err := s.directory(nil).Authenticate(t.Context(), "zoe", zoePassword)
	wantReason(t, err, directory.Misconfigured)
	if binds, _ := s.asked(); !slices.Equal(binds, []string{serviceDN}) {
		t.Errorf("binds were %q, want the service account's only", binds)
	}
}

func TestRefusals(t *testing.T) {
	microsoft := func(data string) result {
		return result{ldap.LDAPResultInvalidCredentials, "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data " + data + ", v4563\x00\n"}
	}
	for name, c := range map[string]struct {
		answer result
		want   directory.Reason
	}{
		"wrong":                    {result{ldap.LDAPResultInvalidCredentials, ""}, directory.Wrong},
		"wrong (AD)":               {microsoft("52e"), directory.Wrong},
		"unknown (AD)":             {microsoft("525"), directory.Wrong},
		"not now":                  {microsoft("530"), directory.NotNow},
		"not from here":            {microsoft("531"), directory.NotNow},
		"password expired":         {microsoft("532"), directory.PasswordExpired},
		"disabled":                 {microsoft("533"), directory.Disabled},
		"account expired":          {microsoft("701"), directory.Expired},
		"must change":              {microsoft("773"), directory.MustChange},
		"locked":                   {microsoft("775"), directory.Locked},
		"number elsewhere":         {result{ldap.LDAPResultInvalidCredentials, "data 532 of somebody"}, directory.Wrong},
		"inactive (389)":           {result{ldap.LDAPResultUnwillingToPerform, "Account inactivated. Contact system administrator."}, directory.Wrong},
		"too many failures (389)":  {result{ldap.LDAPResultConstraintViolation, "Exceed password retry limit."}, directory.Wrong},
		"entry without a password": {result{ldap.LDAPResultInappropriateAuthentication, ""}, directory.Wrong},
		"busy":                     {result{ldap.LDAPResultBusy, ""}, directory.Unavailable},
		"ask another":              {result{ldap.LDAPResultReferral, ""}, directory.Misconfigured},
		"stronger":                 {result{ldap.LDAPResultStrongAuthRequired, ""}, directory.Misconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.onBind(func(dn, password string) result {
				if dn == zoeDN {
					return c.answer
				}
				return ordinaryBind(dn, password)
			})
			id, err := s.directory(nil).Authenticate(t.Context(), "zoe", zoePassword)
			wantReason(t, err, c.want)
			if diff := cmp.Diff(directory.Identity{}, id); diff != "" {
				t.Errorf("an identity came with the error:\n%s", diff)
			}
		})
	}
}

// TestUnknownNameCostsTheSame: as many connections, binds and searches as a wrong password, and what was typed is not
// tried on anybody else.
func TestUnknownNameCostsTheSame(t *testing.T) {
	ask := func(login string) (binds, searches int) {
		s := newServer(t)
		s.onBind(func(dn, password string) result {
			if dn == "cn=decoy,dc=example,dc=org" && (password == zoePassword || len(password) < 20) {
				t.Errorf("the decoy was bound with %q", password)
			}
			return ordinaryBind(dn, password)
		})
		d := s.directory(func(c *directory.Config) { c.DecoyDN = "cn=decoy,dc=example,dc=org" })
		_, err := d.Authenticate(t.Context(), login, zoePassword+"!")
		wantReason(t, err, directory.Wrong)
		b, q := s.asked()
		return len(b), len(q)
	}
	b1, s1 := ask("zoe")
	b2, s2 := ask("nobody")
	if b1 != b2 || s1 != s2 || b1 != 2 {
		t.Errorf("a wrong password takes %d binds and %d searches, an unknown name %d and %d; want the same", b1, s1, b2, s2)
	}
	// Not even a decoy that lets everybody in does.
	s := newServer(t)
	s.onBind(func(dn, password string) result { return result{} })
	_, err := s.directory(nil).Authenticate(t.Context(), "nobody", zoePassword)
	wantReason(t, err, directory.Wrong)
}

func TestSeveralEntriesMatch(t *testing.T) {
	s := newServer(t)
	s.onSearch(func(base, filter string) ([]entry, result) {
		return []entry{zoe(), {"uid=zoe,ou=old,dc=example,dc=org", nil}}, result{}
	})
	_, err := s.directory(nil).Authenticate(t.Context(), "zoe", zoePassword)
	wantReason(t, err, directory.Ambiguous)
	s.onSearch(func(base, filter string) ([]entry, result) {
		return []entry{zoe()}, result{code: ldap.LDAPResultSizeLimitExceeded}
	})
	_, err = s.directory(nil).Authenticate(t.Context(), "zoe", zoePassword)
	wantReason(t, err, directory.Ambiguous)
	if binds, _ := s.asked(); slices.Contains(binds, zoeDN) {
		t.Errorf("somebody was bound: %q", binds)
	}
}

func TestServiceAccountRefused(t *testing.T) {
	s := newServer(t)
	s.onBind(func(dn, password string) result { return result{ldap.LDAPResultInvalidCredentials, "no\nway"} })
	_, err := s.directory(nil).Authenticate(t.Context(), "zoe", zoePassword)
	wantReason(t, err, directory.Misconfigured)
	s = newServer(t)
	s.onSearch(func(base, filter string) ([]entry, result) {
		return nil, result{code: ldap.LDAPResultInsufficientAccessRights}
	})
	_, err = s.directory(nil).Lookup(t.Context(), "entryuuid:"+zoeUUID)
	wantReason(t, err, directory.Misconfigured)
}

// TestReferralsAreNotFollowed: another server would get the service account's password.
func TestReferralsAreNotFollowed(t *testing.T) {
	s := newServer(t)
	s.onSearch(func(base, filter string) ([]entry, result) {
		return nil, result{ldap.LDAPResultReferral, "ldap://127.0.0.1:1/"}
	})
	_, err := s.directory(nil).Authenticate(t.Context(), "zoe", zoePassword)
	wantReason(t, err, directory.Misconfigured)
}

func TestDirectoryIsAway(t *testing.T) {
	s := newServer(t)
	port, err := porttest.Free()
	if err != nil {
		t.Fatal(err)
	}
	away := s.directory(func(c *directory.Config) { c.URL = fmt.Sprint("ldap://127.0.0.1:", port) })
	_, err = away.Authenticate(t.Context(), "zoe", zoePassword)
	wantReason(t, err, directory.Unavailable)
	_, err = away.Lookup(t.Context(), "entryuuid:"+zoeUUID)
	wantReason(t, err, directory.Unavailable)

	for name, raw := range map[string]func(net.Conn){
		"hangs up":       func(net.Conn) {},
		"talks nonsense": func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
		"endless answer": func(c net.Conn) {
			_, _ = c.Write([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x04, 0x84, 0x7f, 0xff, 0xff, 0xf0})
			for i := range 64 {
				if _, err := c.Write(make([]byte, 1<<20)); err != nil {
					return
				}
				if i > 32 { // the system's buffers hold some
					t.Errorf("%d MiB were read of one answer", i)
					return
				}
			}
		},
	} {
		s := newServer(t)
		s.onRaw(raw)
		_, err := s.directory(nil).Authenticate(t.Context(), "zoe", zoePassword)
		t.Run(name, func(t *testing.T) { wantReason(t, err, directory.Unavailable) })
	}
}

// TestSlowDirectory: a person who gives up does not wait, and those who find no place are told so.
func TestSlowDirectory(t *testing.T) {
	s := newServer(t)
	arrived := make(chan struct{}, 10)
	quiet := make(chan struct{})
	s.onRaw(func(c net.Conn) {
		arrived <- struct{}{}
		<-quiet
	})
	d := s.directory(func(c *directory.Config) { c.Connections, c.Timeout = 3, time.Minute })
	ctx, giveUp := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for range 3 {
		waiting.Go(func() { _, _ = d.Authenticate(ctx, "zoe", zoePassword) }) // how they end is of no interest
	}
	for range 3 {
		<-arrived
	}
	full, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.Authenticate(full, "zoe", zoePassword)
	wantReason(t, err, directory.Busy)
	if got := d.Refused(); got != 1 {
		t.Errorf("%d were counted as turned away, want 1", got)
	}
	giveUp()
	waiting.Wait()
	close(quiet)
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	for _, change := range []func(*directory.Config){
		func(c *directory.Config) { c.BindPasswordFile = "/dev/null" },
		func(c *directory.Config) { c.BindPasswordFile = "/does/not/exist" },
		func(c *directory.Config) { c.CAFile = "/dev/null" },
		func(c *directory.Config) { c.CAFile = "/does/not/exist" },
	} {
		cfg := directory.Config{Name: "office", URL: "ldaps://127.0.0.1", BaseDN: "dc=example,dc=org", Connections: 1}
		change(&cfg)
		if _, err := directory.New(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestErrorTellsItsCause(t *testing.T) {
	s := newServer(t)
	_, err := s.directory(nil).Authenticate(t.Context(), "zoe", "wrong")
	if _, ok := errors.AsType[*ldap.Error](err); !ok || !errors.Is(err, directory.ErrWrong) {
		t.Errorf("%v tells not what the directory said", err)
	}
}

// FuzzLogin: whatever is typed stays one value of the filter.
func FuzzLogin(f *testing.F) {
	s := newServer(f)
	d := s.directory(nil)
	for _, seed := range []string{"zoe", "*", "zoe)(uid=*", `\2a`, "a*b", "(|(uid=*))", `zo\e`, "{login}", "{dn}", "ä", "zoe)(|(objectClass=*", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, login string) {
		var filters []string
		s.onSearch(func(base, filter string) ([]entry, result) {
			filters = append(filters, filter)
			return nil, result{}
		})
		_, err := d.Authenticate(t.Context(), login, "x")
		if !errors.Is(err, directory.ErrWrong) {
			t.Errorf("%q: %v", login, err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, got := range filters {
			if want := "(uid=" + ldap.EscapeFilter(strings.TrimSpace(login)) + ")"; got != want {
				t.Errorf("%q was searched by %s, want %s", login, got, want)
			}
		}
	})
}
