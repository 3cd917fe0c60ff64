package auth_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// withOwnRoles adds a role that may do nothing here, and one that leads the helpdesk.
func withOwnRoles(cfg auth.Config) auth.Config {
	cfg.Roles = []auth.RoleConfig{
		{Name: "customer", Factor: "none"},
		{Name: "lead", Staff: true, Factor: "none", Privileges: []auth.Privilege{auth.SeeAccounts, auth.ManageAccounts}},
		{Name: "giver", Factor: "none", Privileges: []auth.Privilege{auth.ManageAccounts, auth.ManageRoles, auth.ManageSessions}},
	}
	return cfg
}

// TestMayChange is the table of the rules between accounts.
func TestMayChange(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.reload(withOwnRoles(f.cfg))
	person := func(name string, roles ...auth.Role) auth.Principal {
		return auth.Principal{ID: "id of " + name, Name: name, Roles: roles}
	}
	// by is "NAME" for a session with a second factor, "NAME/password" for one without, "NAME/token" for a token with all privileges.
	by := func(text string) *auth.Administrator {
		name, how, _ := strings.Cut(text, "/")
		role := auth.Role(strings.TrimSuffix(name, "-2"))
		a := &auth.Administrator{Principal: person(name, role), Privileges: f.PrivilegesOf([]auth.Role{role}), Level: auth.FactorLevel}
		if how != "" {
			a.Level, a.Token = auth.PasswordLevel, how == "token"
		}
		return a
	}
	all := []auth.ChangeKind{auth.SetRolesOf, auth.SetPasswordOf, auth.AskNewPassword, auth.DisableAccount, auth.EnableAccount, auth.ResetFactorsOf,
		auth.TrustAddressOf, auth.ForgetAddressOf, auth.EndSessionsOf, auth.RevokeTokenOf}
	except := func(list []auth.ChangeKind, but ...auth.ChangeKind) []auth.ChangeKind {
		return slices.DeleteFunc(slices.Clone(list), func(k auth.ChangeKind) bool { return slices.Contains(but, k) })
	}
	accounts := except(all, auth.SetRolesOf, auth.EndSessionsOf, auth.RevokeTokenOf) // what manage-accounts opens
	for _, c := range []struct {
		by, target string
		may        []auth.ChangeKind
	}{
		{"owner", "owner-2", all},
		{"owner", "admin", all},
		{"owner", "user", all},
		{"owner", "owner", []auth.ChangeKind{auth.AskNewPassword, auth.ForgetAddressOf, auth.EndSessionsOf, auth.RevokeTokenOf}},
		{"owner/password", "admin", except(all, auth.SetRolesOf, auth.ResetFactorsOf)},
		{"owner/token", "admin", []auth.ChangeKind{auth.AskNewPassword, auth.DisableAccount, auth.ForgetAddressOf, auth.EndSessionsOf, auth.RevokeTokenOf}},
		{"owner/token", "user", except(all, auth.SetRolesOf, auth.ResetFactorsOf)},
		{"admin", "owner", nil},
		{"admin/token", "owner", nil},
		{"admin", "admin-2", except(all, auth.SetRolesOf)},
		{"admin", "agent", except(all, auth.SetRolesOf)},
		{"admin", "lead", except(all, auth.SetRolesOf)},
		{"admin/password", "agent", except(all, auth.SetRolesOf, auth.ResetFactorsOf)},
		{"lead", "agent", accounts},
		{"lead", "admin", nil},
		{"lead", "giver", nil},
		{"lead", "lead-2", accounts},
		{"agent", "user", nil},
		{"agent", "agent", []auth.ChangeKind{auth.AskNewPassword, auth.ForgetAddressOf, auth.EndSessionsOf, auth.RevokeTokenOf}},
		{"agent/token", "agent", nil},
		{"user", "user-2", nil},
		{"gone", "user", nil}, // a role that the configuration has no more
		{"admin", "gone", except(all, auth.SetRolesOf)},
	} {
		target := person(c.target, auth.Role(strings.TrimSuffix(c.target, "-2")))
		for _, kind := range all {
			err := f.MayChange(by(c.by), target, auth.Change{Kind: kind})
			var no *auth.DeniedError
			if want := slices.Contains(c.may, kind); (err == nil) != want || err != nil && !errors.As(err, &no) {
				t.Errorf("%s to %s of %s: %v; want allowed %t", c.by, kind, c.target, err, want)
			}
		}
	}
	disabled := by("owner")
	disabled.Principal.Disabled = true
	if f.MayChange(disabled, person("user", auth.User), auth.Change{Kind: auth.DisableAccount}) == nil {
		t.Error("a disabled owner may disable")
	}
	if f.MayChange(by("owner"), person("user", auth.User), auth.Change{Kind: "make coffee"}) == nil {
		t.Error("a change that nobody knows is allowed")
	}
	if err := f.MayChange(by("owner/password"), person("owner", auth.Owner), auth.Change{Kind: auth.AddTokenOf}); err != nil {
		t.Errorf("a token of the own account: %v", err)
	}
	for _, who := range []string{"owner/token", "admin"} {
		if f.MayChange(by(who), person("owner", auth.Owner), auth.Change{Kind: auth.AddTokenOf}) == nil {
			t.Errorf("%s may add a token of owner", who)
		}
	}
}

// TestMayGive is the table of who may give which roles.
func TestMayGive(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.reload(withOwnRoles(f.cfg))
	for _, c := range []struct {
		by    auth.Role
		token bool
		have  []auth.Role // nil: a new account
		give  []auth.Role
		want  string // empty: allowed
	}{
		{"owner", false, nil, []auth.Role{"owner", "admin"}, ""},
		{"owner", true, nil, []auth.Role{"agent", "customer"}, ""},
		{"owner", true, nil, []auth.Role{"lead"}, "takes a person"},
		{"owner", false, []auth.Role{"user"}, []auth.Role{"owner"}, ""},
		{"admin", false, nil, []auth.Role{"user", "customer"}, ""},
		{"admin", false, nil, []auth.Role{"agent"}, "takes the privilege manage-roles"},
		{"admin", false, nil, []auth.Role{"owner"}, "takes the privilege manage-roles"},
		{"admin", false, []auth.Role{"user"}, []auth.Role{"customer"}, "takes the privilege manage-roles"},
		{"giver", false, []auth.Role{"user"}, []auth.Role{"customer", "agent"}, ""},
		{"giver", false, []auth.Role{"user"}, []auth.Role{"giver"}, ""},
		{"giver", false, []auth.Role{"user"}, []auth.Role{"lead"}, "the role lead has the privilege see-accounts, which you lack"},
		{"giver", false, []auth.Role{"lead"}, []auth.Role{"user"}, "has the privilege see-accounts, which you lack"},
		{"giver", false, []auth.Role{"user"}, []auth.Role{"owner"}, "only an owner may make owners"},
		{"giver", false, nil, []auth.Role{"owner"}, "only an owner may make owners"},
		{"giver", false, []auth.Role{"owner"}, []auth.Role{"user"}, "only an owner may change an owner's account"},
		{"lead", false, nil, []auth.Role{"user"}, ""},
		{"agent", false, nil, []auth.Role{"user"}, "takes the privilege manage-accounts"},
	} {
		by := &auth.Administrator{Principal: auth.Principal{ID: "by", Name: "by", Roles: []auth.Role{c.by}},
			Privileges: f.PrivilegesOf([]auth.Role{c.by}), Level: auth.PasskeyLevel, Token: c.token}
		target, change := auth.Principal{ID: "target", Name: "target", Roles: c.have}, auth.Change{Kind: auth.SetRolesOf, Roles: c.give}
		if c.have == nil {
			target, change.Kind = auth.Principal{Name: "target", Roles: c.give}, auth.AddAccount
		}
		err := f.MayChange(by, target, change)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s (token %t) gives %v to one who has %v: %v; want %q", c.by, c.token, c.give, c.have, err, c.want)
		}
	}
}

// TestRulesHoldInTheStore: every change asks in its own transaction, and one that is refused leaves nothing.
func TestRulesHoldInTheStore(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		_, admin := f.signIn("admin")
		_, owner := f.signIn("owner")
		by := auth.Actor{Name: "admin", Origin: "192.0.2.1", As: f.Administrator(admin)}
		ctx, n := t.Context(), int64(len(f.entries(0)))
		for what, do := range map[string]func() error{
			"roles":      func() error { return f.SetRoles(ctx, by, "agent", []auth.Role{auth.User}) },
			"password":   func() error { return f.ResetPassword(ctx, by, "owner", password+" two", false) },
			"change":     func() error { return f.RequireNewPassword(ctx, by, "owner") },
			"disable":    func() error { return f.SetDisabled(ctx, by, "owner", true) },
			"factors":    func() error { return f.ResetFactors(ctx, by, "agent") },
			"trust":      func() error { _, err := f.TrustAddress(ctx, by, "owner", owner.Address, f.now); return err },
			"one":        func() error { return f.RevokeSession(ctx, by, owner.ID) },
			"all":        func() error { _, err := f.RevokeAll(ctx, by, "owner"); return err },
			"everybody":  func() error { _, err := f.RevokeAll(ctx, by, ""); return err },
			"forget":     func() error { return f.ForgetAddress(ctx, by, owner.Principal.ID, addressOf(f, owner)) },
			"new owner":  func() error { return addAs(f, by, "new", auth.Owner) },
			"new admin":  func() error { return addAs(f, by, "new", auth.Admin, auth.User) },
			"own roles":  func() error { return f.SetRoles(ctx, by, "admin", []auth.Role{auth.Owner}) },
			"own factor": func() error { return f.ResetFactors(ctx, by, "admin") },
		} {
			var no *auth.DeniedError
			if err := do(); !errors.As(err, &no) {
				t.Errorf("%s: %v, want a *DeniedError", what, err)
			}
		}
		f.wantJournal(n, nil)
		if ended(owner) || ended(admin) {
			t.Error("a refused change ended a session")
		}
		wantErr(t, addAs(f, by, "new", auth.User), nil, "an account without privileges")
		wantErr(t, f.SetDisabled(ctx, by, "agent", true), nil, "disable an agent")
	})
}

func addAs(f *fixture, by auth.Actor, name string, roles ...auth.Role) error {
	_, err := f.AddPrincipal(f.t.Context(), by, auth.NewPrincipal{Name: name, Roles: roles, Password: password})
	return err
}

// addressOf is the network that the session came from.
func addressOf(f *fixture, s *auth.Session) netip.Prefix {
	f.t.Helper()
	known, err := f.KnownAddresses(f.t.Context(), s.Principal.ID)
	if err != nil || len(known) == 0 {
		f.t.Fatalf("known addresses %v, %v", known, err)
	}
	return known[0].Prefix
}

// TestUnknownRoles: what the configuration has no more gives no right, at once and after a restart, until it is back.
func TestUnknownRoles(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		plain := f.cfg
		f.cfg = withOwnRoles(f.cfg)
		f.restart()
		lead := f.add("linda", "lead")
		token, s := f.signIn("linda")
		if !s.HasRole("lead") || !f.May(lead, auth.ManageAccounts) || !f.May(lead, auth.UseSites) {
			t.Errorf("with the role: session roles %v, manage-accounts %t", s.Principal.Roles, f.May(lead, auth.ManageAccounts))
		}
		check := func(when string) {
			t.Helper()
			s, err := f.session(token)
			if err != nil || len(s.Principal.Roles) != 0 {
				t.Errorf("%s: session %+v, %v; want one without roles", when, s, err)
			}
			for _, p := range auth.Privileges() {
				if f.May(lead, p) {
					t.Errorf("%s: may %s", when, p)
				}
			}
			if got := f.UnknownRoles(lead.Roles); len(got) != 1 || got[0] != "lead" {
				t.Errorf("%s: unknown roles %v, want lead", when, got)
			}
		}
		f.reload(plain)
		check("after a reload")
		_, fresh := f.signIn("linda")
		if len(fresh.Principal.Roles) != 0 {
			t.Errorf("a new session has the roles %v", fresh.Principal.Roles)
		}
		f.cfg = plain
		f.restart()
		check("after a restart")
		f.reload(withOwnRoles(plain))
		if s, err := f.session(token); err != nil || !s.HasRole("lead") {
			t.Errorf("when the role is back: %+v, %v", s, err)
		}
	})
}
