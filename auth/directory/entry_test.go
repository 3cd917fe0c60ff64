package directory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth/directory"
)

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
