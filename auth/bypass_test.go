package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// Ways around a step that were tried.

// Whoever has taken a session over, or sits at a screen that was left open, must not set up a factor of their own by asking for
// more than the session has: that needs the same fresh proof as on the account's pages (ASVS 7.5.1).
func TestStepUpEnrolsNobodyWithoutProof(t *testing.T) {
	f := newFactors(t, storetest.SQLite(t))
	s := f.begin(attempt("agent", password, "192.0.2.1"))
	f.now = f.now.Add(11 * time.Minute)
	at := attempt("", "", "192.0.2.1")
	out, err := f.StepUp(t.Context(), at, s.Session, s.Token, auth.FactorLevel, f.now)
	wantErr(t, err, auth.ErrNotConfirmed, "an old session")
	if out.Pending != nil || out.Token != "" {
		t.Errorf("an old session: %+v, want nothing begun", out)
	}
	at.Proof = "forged"
	_, err = f.StepUp(t.Context(), at, s.Session, s.Token, auth.FactorLevel, f.now)
	wantErr(t, err, auth.ErrNotConfirmed, "a forged proof")
	again := attempt("agent", password, "192.0.2.1")
	if at.Proof, err = f.ConfirmByPassword(t.Context(), again, s.Session, "", f.now); err != nil {
		t.Fatal(err)
	}
	out, err = f.StepUp(t.Context(), at, s.Session, s.Token, auth.FactorLevel, f.now)
	f.wantStep(out, err, auth.StepEnrol, "with a fresh proof")

	at.Proof = ""
	f.enrolApp(f.named("agent"))
	out, err = f.StepUp(t.Context(), at, s.Session, s.Token, auth.FactorLevel, f.now)
	f.wantStep(out, err, auth.StepFactor, "who has a factor needs no other proof")
	_, err = f.StepUp(t.Context(), at, s.Session, s.Token, auth.PasskeyLevel, f.now)
	wantErr(t, err, nil, "a passkey where there is an app: the app is asked for first")
}

// A step-up goes on from a session: when that has ended, so has the step-up.
func TestStepUpEndsWithItsSession(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		app, _ := f.enrolApp(f.named("agent"))
		stolen := f.signedInWithApp("agent", app, "192.0.2.1")
		f.roles(auth.RoleConfig{Name: "agent"})
		at := attempt("", "", "192.0.2.1")
		out, err := f.StepUp(t.Context(), at, stolen.Session, stolen.Token, auth.PasskeyLevel, f.now)
		f.wantStep(out, err, auth.StepEnrol, "a step-up")
		if _, err := f.RevokeAll(t.Context(), actor, "agent"); err != nil {
			t.Fatal(err)
		}
		_, err = f.PendingSignIn(t.Context(), at, out.Token, f.now)
		wantErr(t, err, auth.ErrNoPending, "after the session was revoked")
		_, err = f.ContinueSignIn(t.Context(), at, out.Token, f.now)
		wantErr(t, err, auth.ErrNoPending, "after the session was revoked, going on")
	})
}

// Only the mailbox, or an administrator, makes an address trusted (D-13): a session that is carried to a new address does not.
func TestStepUpTrustsNoAddress(t *testing.T) {
	f := newFactors(t, storetest.SQLite(t))
	f.withMail()
	f.roles(trusting())
	app, _ := f.enrolApp(f.named("agent"))
	s := f.signedInWithApp("agent", app, "10.0.0.1")
	f.now = f.now.Add(time.Minute)
	elsewhere := attempt("", "", "198.51.100.7")
	out, err := f.StepUp(t.Context(), elsewhere, s.Session, s.Token, auth.FactorLevel, f.now)
	f.wantStep(out, err, "", "the level is reached")
	f.now = f.now.Add(time.Minute)
	f.wantStep(f.begin(attempt("agent", password, "198.51.100.7")), nil, auth.StepFactor, "the factor first")
	if n := row[int](f, `SELECT COUNT(*) FROM known_address WHERE trusted_until > 0`); n != 0 {
		t.Errorf("%d addresses are trusted by a step-up alone", n)
	}
}

// signedInWithApp signs in with password and code.
func (f *fixture) signedInWithApp(login string, app app, address string) auth.Outcome {
	f.t.Helper()
	f.now = f.now.Add(time.Minute)
	at := attempt(login, password, address)
	out := f.begin(at)
	done, err := f.ProveCode(f.t.Context(), at, out.Token, app.code(f.now), f.now)
	f.wantStep(done, err, "", "password and code")
	return done
}

// Two requests at once end a sign-in once: the second finds nothing to go on with.
func TestPendingEndsOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.roles(trusting())
		at := attempt("agent", password, "198.51.100.7")
		out := f.begin(at)
		if _, err := f.TrustAddress(t.Context(), actor, "agent", at.Address, f.now); err != nil {
			t.Fatal(err)
		}
		const requests = 8
		results := make(chan error, requests)
		for range requests {
			go func() {
				_, err := f.ContinueSignIn(t.Context(), at, out.Token, f.now)
				results <- err
			}()
		}
		done := 0
		for range requests {
			switch err := <-results; {
			case err == nil:
				done++
			case !errors.Is(err, auth.ErrNoPending):
				t.Errorf("one more request: %v, want ErrNoPending", err)
			}
		}
		if n := row[int](f, `SELECT COUNT(*) FROM sign_in WHERE ended_at = 0`); done != 1 || n != 1 {
			t.Errorf("%d requests ended the sign-in and made %d sessions, want one", done, n)
		}
	})
}

// A demand for a second factor binds the sessions that there are, as shorter lifetimes do: whoever has taken one over would go on.
func TestRoleThatDemandsAFactorBindsSessions(t *testing.T) {
	f := newFactors(t, storetest.SQLite(t))
	app, _ := f.enrolApp(f.named("admin"))
	weak := f.begin(attempt("agent", password, "192.0.2.1"))
	strong := f.signedInWithApp("admin", app, "192.0.2.1")
	cfg := f.cfg
	cfg.Roles = []auth.RoleConfig{{Name: "agent", Factor: "any"}, {Name: "admin", Factor: "any"}}
	cfg.SetDefaults()
	swap, err := f.Prepare(cfg)
	if err != nil {
		t.Fatal(err)
	}
	swap()
	f.wantSession(weak.Token, auth.ErrNoSession, "a session by the password alone, where a factor is demanded now")
	f.wantSession(strong.Token, nil, "a session with a factor")
}

// Who signs in through another system gets no password here by asking for a change of it: it would outlive the account there.
func TestNoPasswordBesideAnotherSystem(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	p, err := f.Settle(t.Context(), "ldap:staff", "entryuuid:1", "zoe", "zoe@example.com", []auth.Role{auth.Agent}, f.now)
	if err != nil {
		t.Fatal(err)
	}
	s := &auth.Session{ID: "0197a3c2-5f0e-7c11-9b1e-0d6a4f1c2b3a", Principal: p}
	var input *auth.InputError
	err = f.ChangePassword(t.Context(), attempt("", "", "192.0.2.1"), s, password, "another horse battery", f.now)
	if !errors.As(err, &input) || input.Field != "password elsewhere" {
		t.Errorf("a change of the password gave %v, want an *InputError", err)
	}
	if n := row[int](f, `SELECT COUNT(*) FROM password WHERE principal_id = $1`, p.ID); n != 0 {
		t.Errorf("%d passwords are stored", n)
	}
}

// An account whose password its owner has made useless is still its owner's: nobody becomes them by a name or an address that
// they have elsewhere.
func TestDisownedAccountIsNobodyElses(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	server := f.withMail()
	f.begin(attempt("owner", password, "192.0.2.1"))
	code := codeIn(t, f.nextMail(server, "owner@example.com"), "/.doorward/link/not-me")
	if _, err := f.NotMe(t.Context(), attempt("", "", "192.0.2.1"), code, f.now); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ provider, username, email string }{
		{"ldap:staff", "owner", ""}, {"ldap:staff", "mallory", "owner@example.com"}, {"oidc:google", "mallory", "owner@example.com"},
	} {
		p, err := f.Settle(t.Context(), c.provider, "subject of "+c.username, c.username, c.email, []auth.Role{auth.Agent}, f.now)
		if !errors.Is(err, auth.ErrNotInvited) {
			t.Errorf("%+v became %q, %v; want ErrNotInvited", c, p.Name, err)
		}
	}
}

// One who has read the mailbox once must not be able to do so again with a link that was mailed before.
func TestNotMeEndsOtherLinks(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	server := f.withMail()
	var codes []string
	for i := range 3 {
		f.begin(attempt("agent", password, fmt.Sprintf("198.51.100.%d", i)))
		codes = append(codes, codeIn(t, f.nextMail(server, "agent@example.com"), "/.doorward/link/not-me"))
	}
	at := attempt("", "", "192.0.2.1")
	first, err := f.NotMe(t.Context(), at, codes[0], f.now)
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range codes {
		_, err := f.NotMe(t.Context(), at, code, f.now)
		wantErr(t, err, auth.ErrNoLink, "a link that was mailed before")
	}
	out, err := f.ResetByLink(t.Context(), at, first, "another horse battery", f.now)
	f.wantStep(out, err, "", "the person chooses a new password")
}

// A request that began before the link was used, and had to wait for its turn to write, does not use it again.
func TestLinkIsUsedOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		server := f.withMail()
		var codes []string
		for i := range 2 {
			f.begin(attempt("agent", password, fmt.Sprintf("198.51.100.%d", i)))
			codes = append(codes, codeIn(t, f.nextMail(server, "agent@example.com"), "/.doorward/link/not-me"))
		}
		f.now = f.now.Add(time.Minute)
		at := attempt("", "", "192.0.2.1")
		if _, err := f.NotMe(t.Context(), at, codes[0], f.now); err != nil {
			t.Fatal(err)
		}
		for i, what := range []string{"the link that was used", "one that ended with it"} {
			_, err := f.NotMe(t.Context(), at, codes[i], f.now.Add(-time.Second))
			wantErr(t, err, auth.ErrNoLink, what)
		}
		f.Sweep(t.Context(), f.now)
		if n := row[int](f, `SELECT COUNT(*) FROM mailed_link WHERE kind = 'not-me'`); n != 2 {
			t.Errorf("%d links are left for the count of an hour, want 2", n)
		}
		f.Sweep(t.Context(), f.now.Add(time.Hour))
		if n := row[int](f, `SELECT COUNT(*) FROM mailed_link WHERE kind = 'not-me'`); n != 0 {
			t.Errorf("%d links are left an hour later, want none", n)
		}
	})
}

// Who has their password elsewhere chooses none here, and is sent to no link that would say that it is none.
func TestNotMeElsewhere(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	server := f.withMail()
	s, _, err := f.vouch(zoe())
	if err != nil {
		t.Fatal(err)
	}
	code := codeIn(t, f.nextMail(server, "zoe@example.org"), "/.doorward/link/not-me")
	reset, err := f.NotMe(t.Context(), attempt("", "", "192.0.2.1"), code, f.now)
	if err != nil || reset != "" || !ended(s) {
		t.Errorf("not me: link %q, %v, ended %t; want none, and the session ended", reset, err, ended(s))
	}
	if n := row[int](f, `SELECT COUNT(*) FROM mailed_link WHERE kind = 'reset'`); n != 0 {
		t.Errorf("%d links for a new password, want none", n)
	}
}

// A demoted administrator must not come back by an invitation that they made before.
func TestInvitationFallsWithItsMaker(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.cfg.SiteHosts = []string{host}
	f.restart()
	owner := f.named("owner")
	f.add("second", auth.Owner)
	by := auth.Actor{Name: "owner", Origin: "192.0.2.1", As: &auth.Administrator{Principal: owner, Privileges: f.PrivilegesOf(owner.Roles), Level: auth.PasskeyLevel}}
	invited, err := f.Invite(t.Context(), by, auth.NewInvitation{Email: "mallory@example.net", Roles: []auth.Role{auth.Owner}}, f.now)
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(invited.Link, "?c=")
	if _, err := f.InvitationLink(t.Context(), code, f.now); err != nil {
		t.Fatalf("while the maker is an owner: %v", err)
	}
	if err := f.SetRoles(t.Context(), actor, "owner", []auth.Role{auth.Agent}); err != nil {
		t.Fatal(err)
	}
	_, err = f.AcceptInvitation(t.Context(), attempt("", "", "192.0.2.1"), code, auth.Acceptance{Name: "mallory", Password: "another horse battery"}, f.now)
	wantErr(t, err, auth.ErrNoLink, "after the maker was demoted")
}

// What may not be done to an account's roles without a second factor may not be done by a new account either.
func TestPowersTakeAFactor(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	owner := f.named("owner")
	as := func(level auth.Level) *auth.Administrator {
		return &auth.Administrator{Principal: owner, Privileges: f.PrivilegesOf(owner.Roles), Level: level}
	}
	var no *auth.DeniedError
	add := auth.Change{Kind: auth.AddAccount, Roles: []auth.Role{auth.Admin}}
	if err := f.MayChange(as(auth.PasswordLevel), auth.Principal{Name: "x"}, add); !errors.As(err, &no) {
		t.Errorf("an administrator's account by a password alone: %v, want *DeniedError", err)
	}
	wantErr(t, f.MayChange(as(auth.FactorLevel), auth.Principal{Name: "x"}, add), nil, "with a factor")
	add.Roles = []auth.Role{auth.Agent}
	wantErr(t, f.MayChange(as(auth.PasswordLevel), auth.Principal{Name: "x"}, add), nil, "an account without powers")
}

// Strangers cause mails; their browsers' names must not carry words and addresses into them.
func TestMailsCarryNoWordsOfStrangers(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	server := f.withMail()
	for i, c := range []struct{ agent, want, never string }{
		{"Visit https://evil.example/login now", "", "evil"}, {"evil.example/1.0", "", "evil"}, {"Call +1 555 0100", "", "555"},
		{"Firefox/1 (Linux) https://evil.example", "Firefox", "evil"}, {"curl/8.5.0 evil.example", "Browser: curl/8.5.0\n", "evil"},
	} {
		at := attempt("agent", password, fmt.Sprintf("198.51.100.%d", i))
		at.UserAgent = c.agent
		f.begin(at)
		m := f.nextMail(server, "agent@example.com")
		if strings.Contains(m.Text+m.HTML, c.never) || !strings.Contains(m.Text, c.want) {
			t.Errorf("agent %q: the mail holds %q or lacks %q:\n%s", c.agent, c.never, c.want, m.Text)
		}
	}
}
