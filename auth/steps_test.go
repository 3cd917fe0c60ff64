package auth_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// What ends the sessions of an account ends its sign-ins that lack a step too: a factor that is taken away was proved in vain.
func TestPendingEndsWithSessions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		for name, end := range map[string]func() error{
			"factors are reset": func() error { return f.ResetFactors(t.Context(), actor, "agent") },
			"disabled for a time": func() error {
				return errors.Join(f.SetDisabled(t.Context(), actor, "agent", true), f.SetDisabled(t.Context(), actor, "agent", false))
			},
			"sessions revoked": func() error {
				_, err := f.RevokeAll(t.Context(), actor, "agent")
				return err
			},
			"everybody's sessions revoked": func() error {
				_, err := f.RevokeAll(t.Context(), actor, "")
				return err
			},
		} {
			app, _ := f.enrolApp(f.named("agent"))
			f.exec(`UPDATE principal SET must_change = 1 WHERE name = 'agent'`)
			f.now = f.now.Add(time.Minute)
			at := attempt("agent", password, "192.0.2.1")
			token := f.begin(at).Token
			out, err := f.ProveCode(t.Context(), at, token, app.code(f.now), f.now)
			f.wantStep(out, err, auth.StepPassword, name)
			wantErr(t, end(), nil, name)
			_, err = f.ProveNewPassword(t.Context(), at, token, newPassword, f.now)
			wantErr(t, err, auth.ErrNoPending, name+": the step that was lacking")
			f.now = f.now.Add(time.Minute)
		}
	})
}

// Whoever has a second factor is asked for it, whatever the role demands (F-26, F-41, I-82, M-08).
func TestSecondFactor(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		app, recovery := f.enrolApp(f.named("agent"))
		f.step()
		at := attempt("agent", password, "192.0.2.1")
		out := f.begin(at)
		f.wantStep(out, nil, auth.StepFactor, "a password alone")
		f.wantSession(out.Token, auth.ErrNoSession, "the pending sign-in's token as a session")
		if !out.Pending.TOTP || out.Pending.Passkey {
			t.Errorf("pending %+v, want an authenticator app and no passkey", out.Pending)
		}

		f.now = f.now.Add(30 * time.Second)
		_, err := f.ProveCode(t.Context(), at, out.Token, app.wrong(f.now), f.now)
		wantErr(t, err, auth.ErrWrong, "a wrong code")
		_, err = f.ProveCode(t.Context(), at, strings.Repeat("A", 43), app.code(f.now), f.now)
		wantErr(t, err, auth.ErrNoPending, "another browser")
		console := at
		console.Realm = auth.ConsoleRealm
		_, err = f.ProveCode(t.Context(), console, out.Token, app.code(f.now), f.now)
		wantErr(t, err, auth.ErrNoPending, "the other realm")
		elsewhere := at
		elsewhere.Host = "other.example"
		_, err = f.ProveCode(t.Context(), elsewhere, out.Token, app.code(f.now), f.now)
		wantErr(t, err, auth.ErrNoPending, "another host")

		code := app.code(f.now)
		done, err := f.ProveCode(t.Context(), at, out.Token, code, f.now)
		f.wantStep(done, err, "", "the right code")
		if s := done.Session; s.Level != auth.FactorLevel || s.Methods != "password totp" {
			t.Errorf("session by %q at level %d, want password totp at level 2", s.Methods, s.Level)
		}
		again := f.begin(at)
		_, err = f.ProveCode(t.Context(), at, again.Token, code, f.now)
		wantErr(t, err, auth.ErrWrong, "the code again")
		done, err = f.ProveCode(t.Context(), at, again.Token, strings.ToLower(recovery[0]), f.now)
		f.wantStep(done, err, "", "a recovery code")
		if done.Session.Methods != "password recovery" {
			t.Errorf("by %q, want password recovery", done.Session.Methods)
		}
		third := f.begin(at)
		_, err = f.ProveCode(t.Context(), at, third.Token, recovery[0], f.now)
		wantErr(t, err, auth.ErrWrong, "the recovery code again")
	})
}

// The fifth wrong code ends the sign-in; each counts against the address like a wrong password (M-40).
func TestWrongCodes(t *testing.T) {
	f := newFactors(t, storetest.SQLite(t))
	app, _ := f.enrolApp(f.named("agent"))
	f.now = f.now.Add(time.Minute)
	at := attempt("agent", password, "192.0.2.1")
	out := f.begin(at)
	waited := 0
	for i := range 5 {
		_, err := f.ProveCode(t.Context(), at, out.Token, app.wrong(f.now), f.now)
		if waiting(err) > 0 {
			waited++
			f.now = f.now.Add(11 * time.Second)
			_, err = f.ProveCode(t.Context(), at, out.Token, app.wrong(f.now), f.now)
		}
		wantErr(t, err, auth.ErrWrong, "wrong code "+string(rune('1'+i)))
	}
	if waited != 1 {
		t.Errorf("the address waited %d times in five wrong codes, want once", waited)
	}
	f.now = f.now.Add(11 * time.Second)
	_, err := f.ProveCode(t.Context(), at, out.Token, app.code(f.now), f.now)
	wantErr(t, err, auth.ErrNoPending, "the right code after five wrong ones")
}

// A role that demands a factor has the person set one up before anything else.
func TestFactorDemanded(t *testing.T) {
	f := newFactors(t, storetest.SQLite(t))
	f.roles(auth.RoleConfig{Name: "admin", Factor: "passkey"}, auth.RoleConfig{Name: "agent", Factor: "any"})
	f.wantStep(f.begin(attempt("agent", password, "192.0.2.1")), nil, auth.StepEnrol, "an agent without a factor")
	f.wantStep(f.begin(attempt("user", password, "192.0.2.1")), nil, "", "a user")
	app, _ := f.enrolApp(f.named("admin"))
	f.now = f.now.Add(time.Minute)
	at := attempt("admin", password, "192.0.2.1")
	out := f.begin(at)
	f.wantStep(out, nil, auth.StepFactor, "an administrator with an app only")
	out, err := f.ProveCode(t.Context(), at, out.Token, app.code(f.now), f.now)
	f.wantStep(out, err, auth.StepEnrol, "a code where a passkey is demanded")
}

// A held sign-in needs the factor first, and a new password last.
func TestStepsInOrder(t *testing.T) {
	f := newFactors(t, storetest.SQLite(t))
	server := f.withMail()
	f.roles(trusting())
	app, _ := f.enrolApp(f.named("agent"))
	if err := f.RequireNewPassword(t.Context(), actor, "agent"); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(time.Minute)
	at := attempt("agent", password, "198.51.100.7")
	at.ReturnTo = "/tickets?id=7"
	out := f.begin(at)
	f.wantStep(out, nil, auth.StepFactor, "first")
	if _, err := f.ProveNewPassword(t.Context(), at, out.Token, "a new horse battery", f.now); err != nil {
		t.Fatal(err)
	}
	if p, err := f.PendingSignIn(t.Context(), at, out.Token, f.now); err != nil || p.Step != auth.StepFactor {
		t.Fatalf("a new password before the factor: %+v, %v", p, err)
	}
	token := out.Token
	out, err := f.ProveCode(t.Context(), at, token, app.code(f.now), f.now)
	f.wantStep(out, err, auth.StepHeld, "second")
	code := codeIn(t, f.nextMail(server, "agent@example.com"), "/.doorward/link/release")
	out, err = f.ReleaseSignIn(t.Context(), at, code, token, f.now)
	f.wantStep(out, err, auth.StepPassword, "third")
	var unfit *auth.PasswordError
	if _, err := f.ProveNewPassword(t.Context(), at, token, password, f.now); !errors.As(err, &unfit) || unfit.Problems[0].Code != "reused" {
		t.Errorf("the same password again: %v, want reused", err)
	}
	if _, err := f.ProveNewPassword(t.Context(), at, token, "short", f.now); !errors.As(err, &unfit) {
		t.Errorf("a short password: %v, want a *PasswordError", err)
	}
	const fresh = "a new horse battery"
	out, err = f.ProveNewPassword(t.Context(), at, token, fresh, f.now)
	f.wantStep(out, err, "", "last")
	if out.ReturnTo != "/tickets?id=7" {
		t.Errorf("returns to %q", out.ReturnTo)
	}
	wantErr(t, f.try("agent", password, "10.0.0.2"), auth.ErrWrong, "the old password")
}

// D-06, M-06: a password that is too old must be changed.
func TestPasswordExpires(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.cfg.Passwords.MaxAge = 90 * 24 * time.Hour
	f.restart()
	f.wantStep(f.begin(attempt("agent", password, "192.0.2.1")), nil, "", "young")
	f.now = f.now.Add(91 * 24 * time.Hour)
	f.wantStep(f.begin(attempt("agent", password, "192.0.2.1")), nil, auth.StepPassword, "old")
}

// D-07: former passwords do not come again.
func TestPasswordHistory(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.cfg.Passwords.History = 3
	f.restart()
	s := f.begin(attempt("agent", password, "192.0.2.1")).Session
	at := attempt("", "", "192.0.2.1")
	current := password
	for _, next := range []string{"first horse battery", "second horse battery"} {
		if err := f.ChangePassword(t.Context(), at, s, current, next, f.now); err != nil {
			t.Fatal(err)
		}
		current = next
	}
	var unfit *auth.PasswordError
	for _, old := range []string{password, "first horse battery", current} {
		if err := f.ChangePassword(t.Context(), at, s, current, old, f.now); !errors.As(err, &unfit) || unfit.Problems[0].Code != "reused" {
			t.Errorf("%q again: %v, want reused", old, err)
		}
	}
	if err := f.ChangePassword(t.Context(), at, s, current, "third horse battery", f.now); err != nil {
		t.Fatal(err)
	}
	if err := f.ChangePassword(t.Context(), at, s, "third horse battery", password, f.now); err != nil {
		t.Errorf("the oldest one after three others: %v", err)
	}
}

// A change by the owner ends the other sessions and keeps this one; a wrong current password counts like a wrong sign-in.
func TestChangePassword(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	here, there := f.begin(attempt("agent", password, "192.0.2.1")), f.begin(attempt("agent", password, "192.0.2.2"))
	at := attempt("", "", "192.0.2.1")
	for range 3 {
		wantErr(t, f.ChangePassword(t.Context(), at, here.Session, "wrong", "another horse battery", f.now), auth.ErrWrong, "wrong current password")
	}
	if err := f.ChangePassword(t.Context(), at, here.Session, password, "another horse battery", f.now); waiting(err) == 0 {
		t.Errorf("after three wrong ones: %v, want a wait", err)
	}
	f.now = f.now.Add(11 * time.Second)
	if err := f.ChangePassword(t.Context(), at, here.Session, password, "another horse battery", f.now); err != nil {
		t.Fatal(err)
	}
	f.wantSession(here.Token, nil, "this session")
	f.wantSession(there.Token, auth.ErrNoSession, "the other session")
}

// Who changes their password is told so by mail in their language, however many links were mailed in the hour (ASVS 6.3.7).
func TestPasswordChangeIsTold(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db)
		s := p.begin(attempt("agent", password, "192.0.2.1")).Session
		change := func(from, to string) {
			t.Helper()
			if err := p.ChangePassword(t.Context(), attempt("", "", "192.0.2.77"), s, from, to, p.now); err != nil {
				t.Fatal(err)
			}
		}
		wantErr(t, p.ChangePassword(t.Context(), attempt("", "", "192.0.2.77"), s, "wrong", newPassword, p.now), auth.ErrWrong, "a wrong one")
		change(password, newPassword)
		m := p.next("agent@example.com")
		if m.Subject != "Your password for desk.example was changed" || !strings.Contains(m.Text, "192.0.2.77") || p.mails("password-changed") != 1 {
			t.Errorf("told %q:\n%s\nwant that the password was changed, and from where", m.Subject, m.Text)
		}
		notMe := codeIn(t, m, "/.doorward/link/not-me")
		if err := p.SetLanguage(t.Context(), person, s.Principal.ID, "de", p.now); err != nil {
			t.Fatal(err)
		}
		change(newPassword, password+" 1")
		if m := p.next("agent@example.com"); m.Subject != "Ihr Passwort für desk.example wurde geändert" || len(m.Links()) != 1 {
			t.Errorf("told %q with %d links, want it in German with one", m.Subject, len(m.Links()))
		}
		// Whoever knows the password uses the links of the hour up.
		p.exec(`INSERT INTO mailed_link (hash, kind, principal_id, data, created_at, expires_at)
SELECT l.hash || '-' || p.name, l.kind, l.principal_id, '', l.created_at, 0 FROM mailed_link l, principal p WHERE kind = 'not-me'`)
		change(password+" 1", password+" 2")
		if m := p.next("agent@example.com"); m.Subject != "Ihr Passwort für desk.example wurde geändert" || len(m.Links()) != 0 {
			t.Errorf("told %q with %d links, want it without a link", m.Subject, len(m.Links()))
		}
		for i := range 4 {
			change(fmt.Sprint(password, " ", i+2), fmt.Sprint(password, " ", i+3))
		}
		if n := p.mails("password-changed"); n != 5 {
			t.Errorf("%d mails of seven changes in an hour, want 5", n)
		}
		if _, err := p.NotMe(t.Context(), attempt("", "", "192.0.2.1"), notMe, p.now); err != nil {
			t.Errorf("the link in the first mail: %v", err)
		}
		wantErr(t, p.try("agent", password+" 6", "192.0.2.9"), auth.ErrWrong, "the new password then")
	})
}

// A change that the sign-in demands is told too: it may be somebody else who knows the old password.
func TestForcedChangeIsTold(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db)
		if err := p.RequireNewPassword(t.Context(), actor, "agent"); err != nil {
			t.Fatal(err)
		}
		at := attempt("agent", password, "192.0.2.77")
		out, err := p.ProveNewPassword(t.Context(), at, p.begin(at).Token, newPassword, p.now)
		p.wantStep(out, err, "", "a new password")
		if m := p.next("agent@example.com"); m.Subject != "Your password for desk.example was changed" || len(m.Links()) != 1 {
			t.Errorf("told %q with %d links, want that the password was changed, with one", m.Subject, len(m.Links()))
		}
	})
}

// Proving more than the session has makes a new one (ASVS 7.2.4).
func TestStepUp(t *testing.T) {
	f := newFactors(t, storetest.SQLite(t))
	s := f.begin(attempt("agent", password, "192.0.2.1"))
	at := attempt("", "", "192.0.2.1")
	out, err := f.StepUp(t.Context(), at, s.Session, s.Token, auth.FactorLevel, f.now)
	f.wantStep(out, err, auth.StepEnrol, "a person without a factor")
	app, _ := f.enrolApp(f.named("agent"))
	f.now = f.now.Add(time.Minute)
	out, err = f.StepUp(t.Context(), at, s.Session, s.Token, auth.FactorLevel, f.now)
	f.wantStep(out, err, auth.StepFactor, "a person with an app")
	f.wantSession(s.Token, nil, "meanwhile")
	done, err := f.ProveCode(t.Context(), at, out.Token, app.code(f.now), f.now)
	f.wantStep(done, err, "", "proved")
	if done.Token == s.Token || done.Session.ID == s.Session.ID || done.Session.Level != auth.FactorLevel {
		t.Errorf("session %s at level %d after %s, want another one at level 2", done.Session.ID, done.Session.Level, s.Session.ID)
	}
	f.wantSession(s.Token, auth.ErrNoSession, "the session before")
	same, err := f.StepUp(t.Context(), at, done.Session, done.Token, auth.FactorLevel, f.now)
	f.wantStep(same, err, "", "proved already")
}

// F-44, M-19: roles that may be used from some networks only.
func TestRoleNetworks(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.cfg.Zones = []auth.Zone{{Name: "office", Networks: prefixes("203.0.113.0/24")}}
	f.roles(auth.RoleConfig{Name: "admin", Networks: prefixes("10.0.0.0/8"), Zones: []string{"office"}},
		auth.RoleConfig{Name: "supervisor", Staff: true, Networks: prefixes("203.0.113.0/24")})
	f.add("both", "admin", "supervisor")
	for _, c := range []struct {
		login, from string
		want        error
	}{
		{"admin", "10.9.8.7", nil}, {"admin", "203.0.113.5", nil}, {"admin", "192.0.2.1", auth.ErrNetwork},
		{"admin", "::ffff:10.9.8.7", nil}, {"agent", "192.0.2.1", nil},
		{"both", "203.0.113.5", nil}, {"both", "10.9.8.7", auth.ErrNetwork},
	} {
		wantErr(t, f.try(c.login, password, c.from), c.want, c.login+" from "+c.from)
	}
	wantErr(t, f.try("admin", "wrong", "192.0.2.1"), auth.ErrWrong, "a wrong password from outside")
}

// D-17, D-18: lifetimes by role, the shortest of several; staying signed in only where every role allows it.
func TestRoleLifetimes(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.roles(auth.RoleConfig{Name: "agent", Sessions: auth.RoleSessionsConfig{Idle: 10 * time.Minute}},
		auth.RoleConfig{Name: "user", Sessions: auth.RoleSessionsConfig{Remember: 30 * 24 * time.Hour}})
	f.add("both", auth.Agent, auth.User)
	remember := func(login string) auth.Outcome {
		at := attempt(login, password, "192.0.2.1")
		at.Remember = true
		return f.begin(at)
	}
	agent, user, both := remember("agent"), remember("user"), remember("both")
	if !user.Session.Remember || agent.Session.Remember || both.Session.Remember {
		t.Errorf("remembered: user %t, agent %t, both %t; want the user alone", user.Session.Remember, agent.Session.Remember, both.Session.Remember)
	}
	f.now = f.now.Add(11 * time.Minute)
	f.wantSession(agent.Token, auth.ErrNoSession, "an agent after 11 minutes")
	f.wantSession(both.Token, auth.ErrNoSession, "an agent who is a user too")
	f.now = f.now.Add(20 * 24 * time.Hour)
	f.wantSession(user.Token, nil, "a user after 20 days")
	f.restart()
	f.wantSession(user.Token, nil, "after a restart")
	f.roles(auth.RoleConfig{Name: "user"})
	f.wantSession(user.Token, auth.ErrNoSession, "when the role allows it no more")
}

func TestPrivileges(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.roles(auth.RoleConfig{Name: "auditor", Privileges: []auth.Privilege{auth.SeeEvents, auth.SeeJournal}})
	f.add("eve", "auditor")
	for name, want := range map[string][]auth.Privilege{
		"owner": auth.Privileges(), "eve": {auth.UseSites, auth.SeeEvents, auth.SeeJournal}, "agent": {auth.UseSites}, "user": {auth.UseSites},
	} {
		p, err := f.Principal(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, privilege := range auth.Privileges() {
			if got := f.May(p, privilege); got != slices.Contains(want, privilege) {
				t.Errorf("%s may %s: %t", name, privilege, got)
			}
		}
		p.Disabled = true
		if f.May(p, auth.SeeEvents) {
			t.Errorf("%s may see events although disabled", name)
		}
	}
	if admin, _ := f.Principal(t.Context(), "admin"); f.May(admin, auth.ManageRoles) || !f.May(admin, auth.ManageAccounts) {
		t.Error("an administrator may manage roles, or may not manage accounts")
	}
}
