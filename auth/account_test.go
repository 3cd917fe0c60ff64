package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// entries are the journal's entries from an index on, without what differs from run to run.
func (f *fixture) entries(from int64) []journal.Entry {
	f.t.Helper()
	list, err := f.journal.Entries(context.Background(), from, 1000)
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

func (f *fixture) wantJournal(from int64, want []journal.Entry) {
	f.t.Helper()
	got := f.entries(from)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(journal.Entry{}, "Index", "Time")); diff != "" {
		f.t.Errorf("journal (-want +got):\n%s", diff)
	}
}

func TestAddPrincipal(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		n := int64(len(f.entries(0)))
		added, err := f.AddPrincipal(t.Context(), actor, auth.NewPrincipal{Name: "Zoë", Email: "Zoe@Example.com",
			DisplayName: "Zoë <b>", Roles: []auth.Role{auth.User, auth.Admin, auth.User}, Password: password})
		if err != nil {
			t.Fatal(err)
		}
		list, err := f.Principals(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := auth.Principal{ID: added.ID, Name: "Zoë", Email: "Zoe@Example.com", DisplayName: "Zoë <b>",
			Roles: []auth.Role{auth.Admin, auth.User}, Created: added.Created, Changed: added.Created, Origin: "local"}
		if len(list) != 5 {
			t.Fatalf("%d accounts, want 5", len(list))
		}
		i := slices.IndexFunc(list, func(p auth.Principal) bool { return p.ID == added.ID })
		if i < 0 {
			t.Fatalf("accounts %+v: the new one is not among them", list)
		}
		for what, got := range map[string]auth.Principal{"returned": added, "listed": list[i]} {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("account as %s (-want +got):\n%s", what, diff)
			}
		}
		f.wantJournal(n, []journal.Entry{{Actor: "cli:tester", Origin: "local", Action: "account.add", Target: "Zoë",
			After: `{"id":"` + added.ID + `","name":"Zoë","email":"Zoe@Example.com","display_name":"Zoë \u003cb\u003e","roles":["admin","user"],"disabled":false}`}})
	})
}

func TestAddPrincipalRefuses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		before := f.entries(0)
		good := auth.NewPrincipal{Name: "zoe", Email: "zoe@example.com", Roles: []auth.Role{auth.User}, Password: password}
		for name, c := range map[string]struct {
			change func(*auth.NewPrincipal)
			field  string // "" = ErrExists
		}{
			"name taken in another case":      {func(n *auth.NewPrincipal) { n.Name = "AGENT" }, ""},
			"name taken in full width":        {func(n *auth.NewPrincipal) { n.Name = "ａｇｅｎｔ" }, ""},
			"e-mail taken in another case":    {func(n *auth.NewPrincipal) { n.Email = "AGENT@Example.COM" }, ""},
			"no name":                         {func(n *auth.NewPrincipal) { n.Name = "" }, "name"},
			"name with an at sign":            {func(n *auth.NewPrincipal) { n.Name = "zoe@example.com" }, "name"},
			"name with a line break":          {func(n *auth.NewPrincipal) { n.Name = "zoe\r\nX-Role: owner" }, "name"},
			"name that is too long":           {func(n *auth.NewPrincipal) { n.Name = strings.Repeat("z", 257) }, "name"},
			"two at signs":                    {func(n *auth.NewPrincipal) { n.Email = "zoe@example.com@evil.example" }, "email"},
			"e-mail with NUL":                 {func(n *auth.NewPrincipal) { n.Email = "zoe@example.com\x00" }, "email"},
			"e-mail without domain":           {func(n *auth.NewPrincipal) { n.Email = "zoe@" }, "email"},
			"display name with a line break":  {func(n *auth.NewPrincipal) { n.DisplayName = "a\nb" }, "display name"},
			"no role":                         {func(n *auth.NewPrincipal) { n.Roles = nil }, "roles"},
			"unknown role":                    {func(n *auth.NewPrincipal) { n.Roles = []auth.Role{auth.User, "root"} }, "roles"},
			"no password":                     {func(n *auth.NewPrincipal) { n.Password = "" }, "password"},
			"password of 14 characters":       {func(n *auth.NewPrincipal) { n.Password = strings.Repeat("é", 14) }, "password"},
			"password of 257 characters":      {func(n *auth.NewPrincipal) { n.Password = strings.Repeat("x", 257) }, "password"},
			"password that is not UTF-8":      {func(n *auth.NewPrincipal) { n.Password = password + "\xff" }, "password"},
			"password equal to the e-mail":    {func(n *auth.NewPrincipal) { n.Password = "ZOE@example.com" }, "password"},
			"password equal to the long name": {func(n *auth.NewPrincipal) { n.Name = "zoe-the-agent-of-all"; n.Password = "Zoe-The-Agent-Of-All" }, "password"},
		} {
			n := good
			c.change(&n)
			_, err := f.AddPrincipal(t.Context(), actor, n)
			var input *auth.InputError
			var unfit *auth.PasswordError
			if errors.As(err, &unfit) {
				input = &auth.InputError{Field: "password"}
				err = fmt.Errorf("%w: %w", err, input)
			}
			if c.field == "" && !errors.Is(err, auth.ErrExists) || c.field != "" && (!errors.As(err, &input) || input.Field != c.field) {
				t.Errorf("%s: %v, want an error about %q", name, err, c.field)
			}
			if err != nil && n.Password != "" && strings.Contains(err.Error(), n.Password) {
				t.Errorf("%s: the error contains the password: %v", name, err)
			}
		}
		if got := f.entries(0); len(got) != len(before) {
			t.Errorf("%d journal entries for changes that were not made", len(got)-len(before))
		}
		if _, err := f.AddPrincipal(t.Context(), actor, good); err != nil {
			t.Errorf("the account that all these were made from: %v", err)
		}
		for _, name := range []string{"no-mail-1", "no-mail-2"} {
			if _, err := f.AddPrincipal(t.Context(), actor, auth.NewPrincipal{Name: name, Roles: good.Roles, Password: password}); err != nil {
				t.Errorf("account without e-mail: %v", err)
			}
		}
	})
}

// What changes an account ends its sessions at once, and is in the journal with before and after.
func TestChangesEndSessions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		const newPassword = "another horse battery"
		for _, c := range []struct {
			action string
			do     func() error
			signIn error // afterwards, with the password
			with   string
		}{
			{"account.password", func() error { return f.ResetPassword(t.Context(), actor, "agent@example.com", newPassword, false) }, nil, newPassword},
			{"account.roles", func() error {
				return f.SetRoles(t.Context(), actor, "AGENT", []auth.Role{auth.User, auth.Agent})
			}, nil, newPassword},
			{"account.disable", func() error { return f.SetDisabled(t.Context(), actor, "agent", true) }, auth.ErrWrong, newPassword},
		} {
			with := password
			if c.action != "account.password" {
				with = newPassword
			}
			out, err := f.SignIn(t.Context(), attempt("agent", with, "192.0.2.1"), f.now)
			token, s := out.Token, out.Session
			if err != nil {
				t.Fatalf("%s: %v", c.action, err)
			}
			bystander, _ := f.signIn("user")
			n := int64(len(f.entries(0)))
			if err := c.do(); err != nil {
				t.Fatalf("%s: %v", c.action, err)
			}
			if !ended(s) {
				t.Errorf("%s: Done is open", c.action)
			}
			f.wantSession(token, auth.ErrNoSession, c.action)
			f.wantSession(bystander, nil, c.action+": another account")
			wantErr(t, f.try("agent", c.with, "192.0.2.1"), c.signIn, c.action+": sign in after it")
			got := f.entries(n)
			if len(got) != 1 || got[0].Action != c.action || got[0].Target != "agent" || got[0].Before == "" || got[0].After == "" {
				t.Errorf("%s: journal %+v", c.action, got)
			}
			for _, e := range got {
				for _, secret := range []string{password, newPassword, "argon2id", token} {
					if strings.Contains(e.Before+e.After, secret) {
						t.Errorf("%s: the journal contains %q", c.action, secret)
					}
				}
			}
			f.restart()
			f.wantSession(token, auth.ErrNoSession, c.action+" and a restart")
		}
		if err := f.SetDisabled(t.Context(), actor, "agent", false); err != nil {
			t.Fatal(err)
		}
		n := int64(len(f.entries(0)))
		wantErr(t, f.SetDisabled(t.Context(), actor, "agent", false), nil, "enable what is enabled")
		f.wantJournal(n, nil)
		wantErr(t, f.try("agent", newPassword, "192.0.2.50"), nil, "enabled again")
		wantErr(t, f.try("agent", password, "192.0.2.50"), auth.ErrWrong, "the old password")
		for _, name := range []string{"nobody", "", "agent\x00", "a@b@c"} {
			wantErr(t, f.SetDisabled(t.Context(), actor, name, true), auth.ErrNotFound, name)
			wantErr(t, f.ResetPassword(t.Context(), actor, name, password, false), auth.ErrNotFound, name)
		}
		var unfit *auth.PasswordError
		for _, bad := range []string{"", "fourteen chars", strings.Repeat("x", 257), "Agent@Example.com"} {
			if err := f.ResetPassword(t.Context(), actor, "agent", bad, false); !errors.As(err, &unfit) {
				t.Errorf("ResetPassword to %q: %v, want a *PasswordError", bad, err)
			}
		}
		if n := row[int](f, `SELECT COUNT(*) FROM password w JOIN principal p ON p.id = w.principal_id WHERE p.name = 'agent'`); n != 2 {
			t.Errorf("%d passwords in the history, want 2", n)
		}
	})
}

func TestLastOwnerStays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		token, _ := f.signIn("owner")
		wantErr(t, f.SetDisabled(t.Context(), actor, "owner", true), auth.ErrLastOwner, "disable")
		wantErr(t, f.SetRoles(t.Context(), actor, "owner", []auth.Role{auth.Admin}), auth.ErrLastOwner, "other roles")
		wantErr(t, f.SetRoles(t.Context(), actor, "owner", []auth.Role{auth.Admin, auth.Owner}), nil, "one role more")
		f.wantSession(token, auth.ErrNoSession, "after a change of roles")

		f.add("owner2", auth.Owner)
		wantErr(t, f.SetDisabled(t.Context(), actor, "owner2", true), nil, "disable one of two")
		wantErr(t, f.SetDisabled(t.Context(), actor, "owner", true), auth.ErrLastOwner, "the other is disabled")
		wantErr(t, f.SetDisabled(t.Context(), actor, "owner2", false), nil, "enable")

		// Two at the same time, each from its own process: one must fail.
		b := f.another()
		var fine atomic.Int64
		var all sync.WaitGroup
		for name, a := range map[string]*auth.Auth{"owner": f.Auth, "owner2": b} {
			all.Go(func() {
				err := a.SetDisabled(context.Background(), actor, name, true)
				if err == nil {
					fine.Add(1)
				} else if !errors.Is(err, auth.ErrLastOwner) {
					t.Errorf("disable %s: %v", name, err)
				}
			})
		}
		all.Wait()
		if fine.Load() != 1 {
			t.Errorf("%d of two owners could be disabled at the same time, want 1", fine.Load())
		}
	})
}

// The same name at the same time, from two processes: one account.
func TestAddPrincipalAtTheSameTime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		var fine atomic.Int64
		var all sync.WaitGroup
		for _, a := range []*auth.Auth{f.Auth, f.another(), f.Auth, f.another()} {
			all.Go(func() {
				_, err := a.AddPrincipal(context.Background(), actor, auth.NewPrincipal{Name: "zoe", Roles: []auth.Role{auth.User}, Password: password})
				if err == nil {
					fine.Add(1)
				} else if !errors.Is(err, auth.ErrExists) {
					t.Errorf("add: %v", err)
				}
			})
		}
		all.Wait()
		if fine.Load() != 1 {
			t.Errorf("%d accounts were made, want 1", fine.Load())
		}
	})
}
