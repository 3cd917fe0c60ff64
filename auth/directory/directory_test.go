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
		shown  bool
	}{
		"wrong":                    {result{ldap.LDAPResultInvalidCredentials, ""}, directory.Wrong, false},
		"wrong (AD)":               {microsoft("52e"), directory.Wrong, false},
		"unknown (AD)":             {microsoft("525"), directory.Wrong, false},
		"not now":                  {microsoft("530"), directory.NotNow, true},
		"not from here":            {microsoft("531"), directory.NotNow, true},
		"password expired":         {microsoft("532"), directory.PasswordExpired, true},
		"disabled":                 {microsoft("533"), directory.Disabled, true},
		"account expired":          {microsoft("701"), directory.Expired, true},
		"must change":              {microsoft("773"), directory.MustChange, true},
		"locked":                   {microsoft("775"), directory.Locked, false},
		"number elsewhere":         {result{ldap.LDAPResultInvalidCredentials, "data 532 of somebody"}, directory.Wrong, false},
		"inactive (389)":           {result{ldap.LDAPResultUnwillingToPerform, "Account inactivated. Contact system administrator."}, directory.Wrong, false},
		"too many failures (389)":  {result{ldap.LDAPResultConstraintViolation, "Exceed password retry limit."}, directory.Wrong, false},
		"entry without a password": {result{ldap.LDAPResultInappropriateAuthentication, ""}, directory.Wrong, false},
		"busy":                     {result{ldap.LDAPResultBusy, ""}, directory.Unavailable, false},
		"ask another":              {result{ldap.LDAPResultReferral, ""}, directory.Misconfigured, false},
		"stronger":                 {result{ldap.LDAPResultStrongAuthRequired, ""}, directory.Misconfigured, false},
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
			if got := c.want.Shown(); got != c.shown {
				t.Errorf("%s is shown: %t, want %t", c.want, got, c.shown)
			}
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

func TestLookup(t *testing.T) {
	for _, subject := range []string{"entryuuid:" + zoeUUID, "dn:" + zoeDN} {
		s := newServer(t)
		got, err := s.directory(func(c *directory.Config) { c.UserFilter = "(|(uid={login})(mail={login}))" }).Lookup(t.Context(), subject)
		if diff := cmp.Diff(identity(), got); err != nil || diff != "" {
			t.Errorf("%s: error %v (-want +got):\n%s", subject, err, diff)
		}
		_, searches := s.asked()
		if last := searches[len(searches)-1]; !strings.HasPrefix(last, zoeDN+" (|(uid=*)(mail=*)) ") {
			t.Errorf("%s: the entry was read by %q, want the rest of the filter to hold", subject, last)
		}
	}
	s := newServer(t)
	d := s.directory(nil)
	for _, subject := range []string{"entryuuid:00000000-0000-0000-0000-000000000000", "entryuuid:)(uid=*", "entryuuid:", "objectguid:00", "objectguid:zz", "", "uid=zoe", "dn:"} {
		_, err := d.Lookup(t.Context(), subject)
		t.Run(subject, func(t *testing.T) { wantReason(t, err, directory.Gone) })
	}
	s.onSearch(func(base, filter string) ([]entry, result) { return nil, result{code: ldap.LDAPResultNoSuchObject} })
	_, err := d.Lookup(t.Context(), "dn:"+zoeDN)
	wantReason(t, err, directory.Gone)
	_, err = d.Lookup(t.Context(), "entryuuid:"+zoeUUID)
	wantReason(t, err, directory.Misconfigured) // base_dn itself is not there: nobody is thrown out for a typing mistake
}

func TestActiveDirectory(t *testing.T) {
	guid := "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"
	person := entry{"CN=Zoë,OU=People,DC=example,DC=org", map[string][]string{"sAMAccountName": {"zoe"}, "objectGUID": {guid}, "userAccountControl": {"512"}}}
	s := newServer(t)
	s.onBind(func(dn, password string) result { return result{} })
	var groupFilter string
	s.onSearch(func(base, filter string) ([]entry, result) {
		if base == "OU=Groups,DC=example,DC=org" {
			groupFilter = filter
			return []entry{{"CN=Admins,OU=Groups,DC=example,DC=org", nil}}, result{}
		}
		return []entry{person}, result{}
	})
	d := s.directory(func(c *directory.Config) {
		c.UserFilter, c.UsernameAttribute = "(&(objectCategory=person)(sAMAccountName={login}))", "sAMAccountName"
		c.GroupBaseDN, c.NestedGroups = "OU=Groups,DC=example,DC=org", true
	})
	id, err := d.Authenticate(t.Context(), "zoe", "x")
	want := directory.Identity{Directory: "office", Subject: "objectguid:0102030405060708090a0b0c0d0e0f10", Username: "zoe",
		Groups: []string{"CN=Admins,OU=Groups,DC=example,DC=org"}, Roles: []string{"admin"}}
	if diff := cmp.Diff(want, id); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	if want := `(member:1.2.840.113556.1.4.1941:=CN=Zo\c3\ab,OU=People,DC=example,DC=org)`; groupFilter != want {
		t.Errorf("groups were searched by %s, want %s", groupFilter, want)
	}
	if _, err := d.Lookup(t.Context(), id.Subject); err != nil {
		t.Error(err)
	}
	_, searches := s.asked()
	if want := "(objectGUID=\x01\x02\x03\x04\x05"; !slices.ContainsFunc(searches, func(q string) bool { return strings.Contains(q, want) }) {
		t.Errorf("searches were %q, want one by %q", searches, want)
	}
	person.attributes["userAccountControl"] = []string{"514"}
	_, err = d.Lookup(t.Context(), id.Subject)
	wantReason(t, err, directory.Gone)
	_, err = d.Authenticate(t.Context(), "zoe", "x")
	wantReason(t, err, directory.Disabled)
}

func TestGroups(t *testing.T) {
	many := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("cn=g%d,dc=example,dc=org", i))
		}
		return list
	}
	for name, c := range map[string]struct {
		memberOf []string
		found    int // by the search for groups; -1 is more than the server tells
		want     []string
		reason   directory.Reason
	}{
		"none":                        {},
		"by common name, in any case": {memberOf: []string{"CN=ADMINS,ou=x,dc=example,dc=org"}, want: []string{"admin"}},
		"name of another attribute":   {memberOf: []string{"ou=Admins,dc=example,dc=org"}},
		"common name further up":      {memberOf: []string{"uid=x,cn=Admins,dc=example,dc=org"}},
		"DN elsewhere":                {memberOf: []string{"cn=helpdesk,ou=groups,dc=example,dc=org,dc=evil"}},
		"escaped comma":               {memberOf: []string{`cn=helpdesk\,ou=groups,dc=example,dc=org`}},
		"nonsense":                    {memberOf: []string{"Admins", "=", ""}},
		"twice":                       {memberOf: []string{"cn=Admins,dc=a", "cn=admins,dc=b"}, want: []string{"admin"}},
		"a thousand":                  {memberOf: append(many(999), "cn=Admins,dc=a"), want: []string{"admin"}},
		"more":                        {memberOf: append(many(1000), "cn=Admins,dc=a"), reason: directory.Misconfigured},
		"a thousand found":            {found: 1000},
		"more found":                  {found: 1001, reason: directory.Misconfigured},
		"more than the server tells":  {found: -1, reason: directory.Misconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.onSearch(func(base, filter string) ([]entry, result) {
				if base != "ou=groups,dc=example,dc=org" {
					z := zoe()
					z.attributes["memberOf"] = c.memberOf
					return []entry{z}, result{}
				}
				var entries []entry
				for _, dn := range many(max(c.found, 0)) {
					entries = append(entries, entry{dn, nil})
				}
				if c.found < 0 {
					return entries, result{code: ldap.LDAPResultSizeLimitExceeded}
				}
				return entries, result{}
			})
			d := s.directory(func(cfg *directory.Config) {
				if c.found != 0 {
					cfg.GroupBaseDN = "ou=groups,dc=example,dc=org"
				}
			})
			id, err := d.Authenticate(t.Context(), "zoe", zoePassword)
			if c.reason != "" {
				wantReason(t, err, c.reason)
				return
			}
			if err != nil || !slices.Equal(id.Roles, c.want) || max(c.found, len(c.memberOf)) != len(id.Groups) && name != "none" {
				t.Errorf("got roles %q, %d groups, error %v; want %q", id.Roles, len(id.Groups), err, c.want)
			}
		})
	}
	s := newServer(t)
	id, err := s.directory(func(c *directory.Config) { c.Roles, c.DefaultRole = nil, "user" }).Authenticate(t.Context(), "zoe", zoePassword)
	if err != nil || !slices.Equal(id.Roles, []string{"user"}) {
		t.Errorf("got roles %q, error %v; want the default role", id.Roles, err)
	}
}

func TestTextsThatCannotBeRead(t *testing.T) {
	s := newServer(t)
	z := zoe()
	s.onSearch(func(base, filter string) ([]entry, result) { return []entry{z}, result{} })
	z.attributes["mail"], z.attributes["displayName"] = []string{"zoe@example.org\r\nBcc: x"}, []string{strings.Repeat("ä", 257)}
	id, err := s.directory(nil).Authenticate(t.Context(), "zoe", zoePassword)
	if err != nil || id.Email != "" || id.Name != "" {
		t.Errorf("got %+v, %v; want neither address nor name", id, err)
	}
	z.attributes["uid"] = []string{"zoe\u202e"}
	_, err = s.directory(nil).Authenticate(t.Context(), "zoe", zoePassword)
	wantReason(t, err, directory.Misconfigured)
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := newServer(t)
	away := s.directory(func(c *directory.Config) { c.URL = "ldap://" + addr })
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
