package auth_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// addBare makes an account without a password.
func (f *fixture) addBare(name string, roles ...auth.Role) auth.Principal {
	f.t.Helper()
	p, err := f.AddPrincipal(f.t.Context(), actor, auth.NewPrincipal{Name: name, Email: name + "@example.com", Roles: roles, NoPassword: true})
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// An account without a password is opened by none, and costs what every name costs.
func TestNoPasswordOpensNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.cfg.Passwords.Preset = "deskpro" // a preset that has passwords of others changed first
		f.cfg.Passwords.ChangeAtFirstSignIn = true
		f.restart()
		p := f.addBare("zoe", auth.Agent)
		if d, err := f.Details(t.Context(), "zoe", f.now); err != nil || !d.PasswordAt.IsZero() || d.Principal.MustChange || d.Principal.Origin != "local" {
			t.Errorf("made %+v, %v; want a local account without a password that must not be changed", d, err)
		}
		if n := row[int](f, `SELECT COUNT(*) FROM password WHERE principal_id = $1`, p.ID); n != 0 {
			t.Errorf("the store has %d passwords of it", n)
		}
		for i, text := range []string{"", password, " ", "\x00"} {
			hashed := f.Stats().Hashed
			wantErr(t, f.try("zoe", text, "198.51.100."+string(rune('1'+i))), auth.ErrWrong, "the password "+text)
			if n := f.Stats().Hashed - hashed; n != 1 {
				t.Errorf("the password %q: %d hashes were computed, want 1", text, n)
			}
		}
		var input *auth.InputError
		for name, n := range map[string]auth.NewPrincipal{
			"a password beside it": {Name: "x", Roles: []auth.Role{auth.User}, NoPassword: true, Password: password},
			"one to be changed":    {Name: "x", Roles: []auth.Role{auth.User}, NoPassword: true, MustChange: true},
		} {
			if _, err := f.AddPrincipal(t.Context(), actor, n); !errors.As(err, &input) {
				t.Errorf("%s: %v, want an *InputError", name, err)
			}
		}
		var unfit *auth.PasswordError
		if _, err := f.AddPrincipal(t.Context(), actor, auth.NewPrincipal{Name: "x", Roles: []auth.Role{auth.User}}); !errors.As(err, &unfit) {
			t.Errorf("a password that was forgotten: %v, want a *PasswordError", err)
		}
	})
}

// Its person comes by another system, and gets no password beside it: neither by themselves, nor by mail, nor by a forced change.
func TestNoPasswordStaysWithout(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db, func(cfg *auth.Config) { cfg.Notices.SignIn = "every" })
		made := p.addBare("zoe", auth.Agent)
		for _, login := range []string{"zoe", "zoe@example.com"} { // a word, and the second time in an hour nothing
			if err := p.forgot(login, "192.0.2.1"); err != nil {
				t.Errorf("reset of %s: %v, want the same as for everybody: nil", login, err)
			}
		}
		if m := p.next("zoe@example.com"); len(m.Links()) != 0 || !strings.Contains(m.Text, "no password") {
			t.Errorf("a reset mailed %q:\n%s\nwant a word that there is none, without a link", m.Subject, m.Text)
		}
		if n := row[int](p.fixture, `SELECT COUNT(*) FROM mail`); n != 1 {
			t.Errorf("%d mails were written, want one", n)
		}
		if n := row[int](p.fixture, `SELECT COUNT(*) FROM mailed_link WHERE kind = 'reset'`); n != 0 {
			t.Errorf("%d links for a new password were made, want none", n)
		}
		var reasons []string
		for _, line := range p.recorded(t) {
			if _, reason, ok := strings.Cut(line, " reason="); ok {
				reasons = append(reasons, reason)
			}
		}
		if got := strings.Join(reasons, " "); got != "no-password limit" {
			t.Errorf("the events say %q, want no-password limit", got)
		}

		v := zoe()
		v.Email, v.Stranger = "zoe@example.com", true
		s, reason, err := p.vouch(v)
		if err != nil || s.Principal.ID != made.ID {
			t.Fatalf("by the other system: %+v, %s, %v; want the account", s, reason, err)
		}
		var input *auth.InputError
		if err := p.ChangePassword(t.Context(), attempt("", "", "192.0.2.1"), s, "", newPassword, p.now); !errors.As(err, &input) {
			t.Errorf("a change of the password: %v, want an *InputError", err)
		}
		if err := p.RequireNewPassword(t.Context(), actor, "zoe"); !errors.As(err, &input) || ended(s) {
			t.Errorf("a forced change: %v, session ended %t; want an *InputError and nothing done", err, ended(s))
		}
		code := codeIn(t, p.next("zoe@example.com"), "/.doorward/link/not-me")
		if reset, err := p.NotMe(t.Context(), attempt("", "", "192.0.2.1"), code, p.now); reset != "" || err != nil || !ended(s) {
			t.Errorf("not me: link %q, %v, ended %t; want no link, and the session ended", reset, err, ended(s))
		}
		if _, _, err := p.vouch(v); err != nil {
			t.Errorf("the other system afterwards: %v", err)
		}
	})
}

// An owner who has no way in yet does not count as one.
func TestLastOwnerWhoCanEnterStays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.addBare("zoe", auth.Owner)
		wantErr(t, f.SetDisabled(t.Context(), actor, "owner", true), auth.ErrLastOwner, "disable the one with a password")
		v := zoe()
		v.Email, v.Roles = "zoe@example.com", []auth.Role{auth.Owner}
		if _, _, err := f.vouch(v); err != nil {
			t.Fatal(err)
		}
		wantErr(t, f.SetDisabled(t.Context(), actor, "owner", true), nil, "disable when the other has come")
		wantErr(t, f.SetDisabled(t.Context(), actor, "zoe", true), auth.ErrLastOwner, "disable the other")
	})
}

// What an administrator decides holds: with a password that they give the account is one like every other.
func TestNoPasswordUntilOneIsGiven(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db)
		p.addBare("zoe", auth.Agent)
		if err := p.ResetPassword(t.Context(), actor, "zoe", password, true); err != nil {
			t.Fatal(err)
		}
		at := attempt("zoe", password, "192.0.2.1")
		p.wantStep(p.begin(at), nil, auth.StepPassword, "the password that was given")
		v := zoe()
		v.Email, v.Stranger = "zoe@example.com", true
		if _, reason, err := p.vouch(v); !errors.Is(err, auth.ErrNotInvited) || reason != "account-claimed" {
			t.Errorf("the other system: %s, %v; want account-claimed", reason, err)
		}
		out, err := p.ResetByLink(t.Context(), at, p.resetCode("zoe", "zoe@example.com"), newPassword, p.now)
		p.wantStep(out, err, "", "a reset by mail")
	})
}
