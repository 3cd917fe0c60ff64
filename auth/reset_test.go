package auth_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	rules "github.com/doorward/doorward/auth/password"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

const newPassword = "seven green bottles stood"

// forgot asks for a reset and has it answered.
func (p *postbox) forgot(login, address string) error {
	p.t.Helper()
	err := p.RequestReset(p.t.Context(), attempt(login, "", address), p.now)
	p.Sweep(p.t.Context(), p.now)
	return err
}

// resetCode asks for a reset and reads the code from the mail.
func (p *postbox) resetCode(login, mailbox string) string {
	p.t.Helper()
	if err := p.forgot(login, "192.0.2.1"); err != nil {
		p.t.Fatalf("ask for a reset: %v", err)
	}
	return codeIn(p.t, p.next(mailbox), "/.doorward/link/reset")
}

func TestReset(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db)
		old, s := p.signIn("agent")
		spare := p.resetCode("AGENT@example.com", "agent@example.com")
		code := p.resetCode("agent", "agent@example.com")
		if name, err := p.ResetLink(t.Context(), code, p.now); name != "agent" || err != nil {
			t.Errorf("ResetLink = %q, %v; want agent", name, err)
		}
		p.wantSession(old, nil, "before the link is used")
		var unfit *auth.PasswordError
		for name, text := range map[string]string{"the current one": password, "too short": "short"} {
			if _, err := p.ResetByLink(t.Context(), attempt("", "", "192.0.2.77"), code, text, p.now); !errors.As(err, &unfit) {
				t.Errorf("reset to %s: %v, want a *PasswordError", name, err)
			}
		}
		if unfit.Problems[0].Code == rules.Reused {
			p.wantSession(old, nil, "after a password that was refused")
		}
		out, err := p.ResetByLink(t.Context(), attempt("", "", "192.0.2.77"), code, newPassword, p.now)
		if err != nil || out.Session == nil || out.Session.Methods != "reset" || out.Session.Level != auth.PasswordLevel {
			t.Fatalf("ResetByLink = %+v, %v; want a session by reset at the password's level", out, err)
		}
		p.wantSession(out.Token, nil, "the new session")
		p.wantSession(old, auth.ErrNoSession, "the session of before")
		if !ended(s) {
			t.Error("the session of before is not done")
		}
		for name, c := range map[string]string{"the used link": code, "the link mailed before": spare} {
			_, err := p.ResetByLink(t.Context(), attempt("", "", "192.0.2.77"), c, newPassword+"!", p.now)
			wantErr(t, err, auth.ErrNoLink, name)
		}
		wantErr(t, p.try("agent", password, "192.0.2.1"), auth.ErrWrong, "the old password")
		wantErr(t, p.try("agent", newPassword, "192.0.2.1"), nil, "the new password")

		m := p.next("agent@example.com")
		if m.Subject != "Your password for desk.example was changed" || !strings.Contains(m.Text, "192.0.2.77") {
			t.Errorf("told %q:\n%s\nwant that the password was changed, and from where", m.Subject, m.Text)
		}
		notMe := codeIn(t, m, "/.doorward/link/not-me")
		if _, err := p.NotMe(t.Context(), attempt("", "", "192.0.2.1"), notMe, p.now); err != nil {
			t.Errorf("the link in that mail: %v", err)
		}
		p.wantSession(out.Token, auth.ErrNoSession, "the thief's session")
		entries := p.journalled("account.password-reset")
		if len(entries) != 1 || entries[0].Actor != "agent" || entries[0].Origin != "192.0.2.77" || strings.Contains(entries[0].After, "argon") {
			t.Errorf("journal: %+v; want one entry by agent from 192.0.2.77", entries)
		}
	})
}

// A stranger cannot tell whether there is an account: the same answer, the same rows, no hash; and the mail goes to the
// account's own address only.
func TestResetRevealsNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db)
		if err := p.SetDisabled(t.Context(), actor, "user", true); err != nil {
			t.Fatal(err)
		}
		p.exec(`UPDATE principal SET origin = 'ldap:office' WHERE name = 'admin'`)
		p.exec(`UPDATE principal SET email = '', email_key = NULL WHERE name = 'owner'`)
		hashed := p.Stats().Hashed
		for i, login := range []string{"agent", "agent@example.com", "nobody", "nobody@example.com", "user", "admin", "owner", "",
			"agent@example.com@evil.example", "agent\x00", strings.Repeat("x", 5000), strings.Repeat("<", 256), password} {
			at := attempt(login, "", "2001:db8:0:"+string("0123456789abcdef"[i])+"::1")
			at.UserAgent = strings.Repeat("\x01", 1000)
			if err := p.RequestReset(t.Context(), at, p.now); err != nil {
				t.Errorf("%q: %v, want the same as for everybody: nil", login, err)
			}
			if n := row[int](p.fixture, `SELECT COUNT(*) FROM reset_request`); n != i+1 {
				t.Errorf("%q: %d requests wait, want %d", login, n, i+1)
			}
			if n := row[int](p.fixture, `SELECT COUNT(*) FROM mail`) + row[int](p.fixture, `SELECT COUNT(*) FROM mailed_link`); n != 0 {
				t.Errorf("%q: something was mailed while the stranger waited", login)
			}
		}
		if n := row[int](p.fixture, `SELECT COUNT(*) FROM reset_request WHERE sealed LIKE '%agent%'`); n != 0 {
			t.Error("what was typed can be read in the store")
		}
		p.Sweep(t.Context(), p.now)
		if resets, told, all := p.mails("reset"), p.mails("reset-elsewhere"), row[int](p.fixture, `SELECT COUNT(*) FROM mail`); resets != 2 || told != 1 || all != 3 {
			t.Errorf("%d links and %d words about another system were mailed, of %d mails; want 2, 1 and 3", resets, told, all)
		}
		if n := p.Stats().Hashed - hashed; n != 0 {
			t.Errorf("%d hashes were computed, want 0", n)
		}
		if n := row[int](p.fixture, `SELECT COUNT(*) FROM reset_request`); n != 0 {
			t.Errorf("%d requests still wait", n)
		}
		var reasons []string
		for _, line := range p.recorded(t) {
			if strings.Contains(line, password) {
				t.Errorf("an event has what was typed: %s", line)
			}
			if _, reason, ok := strings.Cut(line, " reason="); ok {
				reasons = append(reasons, reason)
			}
		}
		want := "unknown-account unknown-account disabled-account password-is-elsewhere no-e-mail unknown-account unknown-account " +
			"unknown-account unknown-account unknown-account unknown-account"
		if got := strings.Join(reasons, " "); got != want {
			t.Errorf("reasons in the events:\n%s\nwant\n%s", got, want)
		}
	})
}

// A second factor stays, and is asked for; so is the one that the role demands.
func TestResetSkipsNoFactor(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db, func(cfg *auth.Config) {
			cfg.Roles = []auth.RoleConfig{{Name: "admin", Factor: "any", TrustedAddresses: auth.TrustConfig{Required: true}}}
			cfg.SetDefaults()
		})
		app, _ := p.enrolApp(p.named("agent"))
		at := attempt("", "", "192.0.2.77")
		// The role demands one, and a release of the address: the mailbox was proved, the factor was not.
		out, err := p.ResetByLink(t.Context(), at, p.resetCode("admin", "admin@example.com"), newPassword, p.now)
		if err != nil || out.Pending == nil || out.Pending.Step != auth.StepEnrol {
			t.Errorf("ResetByLink of a role that demands a factor = %+v, %v; want the step %s", out, err, auth.StepEnrol)
		}
		out, err = p.ResetByLink(t.Context(), at, p.resetCode("agent", "agent@example.com"), newPassword, p.now)
		if err != nil || out.Pending == nil || out.Pending.Step != auth.StepFactor {
			t.Fatalf("ResetByLink with an authenticator app = %+v, %v; want the step %s", out, err, auth.StepFactor)
		}
		p.now = p.now.Add(time.Minute)
		done, err := p.ProveCode(t.Context(), at, out.Token, app.code(p.now), p.now)
		if err != nil || done.Session == nil || done.Session.Methods != "reset totp" || done.Session.Level != auth.FactorLevel {
			t.Errorf("the code after the reset = %+v %+v, %v; want a session by reset and totp", done, done.Pending, err)
		}
	})
}

// A reset releases the address of the browser that used the link, and no other.
func TestResetReleasesAddress(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db, func(cfg *auth.Config) {
			cfg.Roles = []auth.RoleConfig{{Name: "agent", TrustedAddresses: auth.TrustConfig{Required: true}}}
		})
		out, err := p.ResetByLink(t.Context(), attempt("", "", "192.0.2.77"), p.resetCode("agent", "agent@example.com"), newPassword, p.now)
		if err != nil || out.Session == nil {
			t.Fatalf("ResetByLink = %+v, %v; want a session", out, err)
		}
		for address, held := range map[string]bool{"192.0.2.77": false, "192.0.2.78": true} {
			out, err := p.SignIn(t.Context(), attempt("agent", newPassword, address), p.now)
			if err != nil || (out.Pending != nil) != held {
				t.Errorf("from %s: %+v, %v; want held %t", address, out, err, held)
			}
		}
	})
}

// A link is worth nothing once its time is over, the password changed in another way, the account was closed or is
// another system's, or the role may not be used from there.
func TestResetLinkEnds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db, func(cfg *auth.Config) {
			cfg.Roles = []auth.RoleConfig{{Name: "owner", Networks: prefixes("198.51.100.0/24")}}
		})
		use := func(code string, now time.Time) error {
			_, err := p.ResetByLink(t.Context(), attempt("", "", "192.0.2.77"), code, newPassword, now)
			if _, page := p.ResetLink(t.Context(), code, now); (err == nil) != (page == nil) && !errors.Is(err, auth.ErrNetwork) {
				t.Errorf("the page says %v and the form %v", page, err)
			}
			return err
		}
		wantErr(t, use(p.resetCode("agent", "agent@example.com"), p.now.Add(time.Hour)), auth.ErrNoLink, "an hour later")
		changed := p.resetCode("agent", "agent@example.com")
		if err := p.ResetPassword(t.Context(), actor, "agent", "another password of mine", false); err != nil {
			t.Fatal(err)
		}
		wantErr(t, use(changed, p.now), auth.ErrNoLink, "after another change")
		elsewhere := p.resetCode("agent", "agent@example.com")
		p.exec(`UPDATE principal SET origin = 'oidc:office' WHERE name = 'agent'`)
		wantErr(t, use(elsewhere, p.now), auth.ErrNoLink, "of another system's account")
		closed := p.resetCode("user", "user@example.com")
		if err := p.SetDisabled(t.Context(), actor, "user", true); err != nil {
			t.Fatal(err)
		}
		wantErr(t, use(closed, p.now), auth.ErrNoLink, "of a closed account")
		outside := p.resetCode("owner", "owner@example.com")
		wantErr(t, use(outside, p.now), auth.ErrNetwork, "from outside the role's networks")
		wantErr(t, p.ResetPassword(t.Context(), actor, "owner", password+"s", false), nil, "the owner's password")
		for _, bad := range []string{"", "x", strings.Repeat("A", 43), strings.Repeat("\x00", 43)} {
			wantErr(t, use(bad, p.now), auth.ErrNoLink, "the code "+bad)
		}
	})
}

// The link of "this was not me" lets the person choose a password where there is none any more.
func TestResetAfterNotMe(t *testing.T) {
	p := newPostbox(t, storetest.SQLite(t))
	code := p.resetCode("agent", "agent@example.com")
	at := attempt("", "", "192.0.2.77")
	if _, err := p.ResetByLink(t.Context(), at, code, newPassword, p.now); err != nil {
		t.Fatal(err)
	}
	again, err := p.NotMe(t.Context(), at, codeIn(t, p.next("agent@example.com"), "/.doorward/link/not-me"), p.now)
	if err != nil {
		t.Fatal(err)
	}
	mailed := p.resetCode("agent", "agent@example.com")
	out, err := p.ResetByLink(t.Context(), at, again, "another password of mine", p.now)
	if err != nil || out.Session == nil {
		t.Errorf("ResetByLink = %+v, %v; want a session", out, err)
	}
	_, err = p.ResetByLink(t.Context(), at, mailed, newPassword, p.now)
	wantErr(t, err, auth.ErrNoLink, "the other link")
}

// A link is used once, however many browsers send it at the same moment.
func TestResetRace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db)
		code, other := p.resetCode("agent", "agent@example.com"), p.another()
		results := make(chan error)
		for i := range 4 {
			a := []*auth.Auth{p.Auth, other}[i%2]
			go func() {
				at := attempt("", "", "192.0.2."+string(rune('1'+i)))
				_, err := a.ResetByLink(t.Context(), at, code, newPassword+string(rune('1'+i)), p.now)
				results <- err
			}()
		}
		won := 0
		for range 4 {
			if err := <-results; err == nil {
				won++
			} else if !errors.Is(err, auth.ErrNoLink) {
				t.Errorf("got %v, want ErrNoLink", err)
			}
		}
		if won != 1 {
			t.Errorf("%d resets by one link, want 1", won)
		}
	})
}

// Nobody can fill a mailbox, or ours, and nobody can keep a person from a reset.
func TestResetCaps(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db)
		for i := range 10 {
			if err := p.forgot("agent", "2001:db8::1"); err != nil {
				t.Fatalf("request %d: %v", i, err)
			}
		}
		if n := p.mails("reset"); n != 5 {
			t.Errorf("%d mails to one person in an hour, want 5", n)
		}
		for _, login := range []string{"agent", "nobody"} {
			if err := p.forgot(login, "2001:db8::ffff"); waiting(err) == 0 {
				t.Errorf("request 11 of a /64, for %s: %v, want a *WaitError", login, err)
			}
		}
		wantErr(t, p.forgot("agent", "2001:db8:0:1::1"), nil, "from another network")
		// The five links are good, so the person gets in.
		code := codeIn(t, p.next("agent@example.com"), "/.doorward/link/reset")
		_, err := p.ResetByLink(t.Context(), attempt("", "", "192.0.2.1"), code, newPassword, p.now)
		wantErr(t, err, nil, "one of the five links")
		p.now = p.now.Add(2 * time.Hour)
		wantErr(t, p.forgot("agent", "2001:db8::1"), nil, "two hours later")
		if n := p.mails("reset"); n != 6 {
			t.Errorf("%d mails after two hours, want 6", n)
		}

		// All strangers together: a network that somebody has signed in from is not stopped.
		p.exec(`INSERT INTO sign_in_rate (key, window_start, count) VALUES ('reset total', $1, 3000), ('reset mails', $1, 500)
			ON CONFLICT (key, window_start) DO UPDATE SET count = excluded.count`,
			store.Micros(p.now.Truncate(time.Hour)))
		if err := p.forgot("user", "2001:db8:0:2::1"); waiting(err) == 0 {
			t.Errorf("request 3001 in an hour: %v, want a *WaitError", err)
		}
		p.signIn("user")
		if err := p.forgot("user", "192.0.2.1"); err != nil || p.mails("reset") != 7 {
			t.Errorf("from where the person was before: %v, %d mails; want another one", err, p.mails("reset"))
		}
		if err := p.forgot("owner", "192.0.2.1"); err != nil || p.mails("reset") != 7 {
			t.Errorf("for somebody else: %v, %d mails; want the answer and no mail", err, p.mails("reset"))
		}
	})
}

// What waits has a cap, and does not wait for ever.
func TestResetQueue(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db)
		for i := range 1000 {
			p.exec(`INSERT INTO reset_request (id, sealed, created_at) VALUES ($1, 'of another key', $2)`, strconv.Itoa(i), store.Micros(p.now))
		}
		wantErr(t, p.RequestReset(t.Context(), attempt("agent", "", "192.0.2.1"), p.now), auth.ErrBusy, "request 1001")
		p.Sweep(t.Context(), p.now)
		if n := row[int](p.fixture, `SELECT COUNT(*) FROM reset_request`); n != 900 {
			t.Errorf("%d wait after a sweep, want 900", n)
		}
		p.now = p.now.Add(6 * time.Minute)
		p.Sweep(t.Context(), p.now)
		if n := row[int](p.fixture, `SELECT COUNT(*) FROM reset_request`); n != 0 {
			t.Errorf("%d wait after six minutes, want 0", n)
		}
	})
}

func TestResetIsNotOffered(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	wantErr(t, f.RequestReset(t.Context(), attempt("agent", "", "192.0.2.1"), f.now), auth.ErrNotOffered, "without a mail server")
	p := newPostbox(t, storetest.SQLite(t))
	at := attempt("agent", "", "192.0.2.1")
	at.Realm = auth.ConsoleRealm
	wantErr(t, p.RequestReset(t.Context(), at, p.now), auth.ErrNotOffered, "at the console")
	if err := p.db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, login := range []string{"agent", "nobody"} {
		wantErr(t, p.RequestReset(t.Context(), attempt(login, "", "192.0.2.1"), p.now), auth.ErrUnavailable, "without a store")
	}
}
