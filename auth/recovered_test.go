package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// atDesk is an attempt at the host that passkeys are made at.
func atDesk(login, password string) auth.Attempt {
	at := attempt(login, password, "192.0.2.1")
	at.Host = deskHost
	return at
}

// A lost passkey that the role demands: a recovery code has the person make a new one, and there is no session before
// (F-26, ASVS 6.4.4).
func TestRecoveryCodeForAPasskey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		f.cfg.SiteHosts, f.cfg.Notices.SignIn = []string{deskHost}, "off"
		server := f.withMail()
		f.roles(auth.RoleConfig{Name: "admin", Factor: "passkey"})
		p := f.named("admin")
		lost := f.enrolDevice(newDevice(t), p)
		f.nextMail(server, "admin@example.com")
		codes, err := f.NewRecoveryCodes(t.Context(), person, p.ID)
		if err != nil {
			t.Fatal(err)
		}
		app, _ := f.enrolApp(p)
		f.nextMail(server, "admin@example.com")
		f.now = f.now.Add(time.Minute)

		at := atDesk("admin", password)
		out := f.begin(at)
		token := out.Token
		f.wantStep(out, nil, auth.StepFactor, "the password")
		if !out.Pending.Recovery || !out.Pending.Passkey {
			t.Errorf("pending %+v, want a passkey or a recovery code", out.Pending)
		}
		_, _, err = f.ProvePasskeyEnrolment(t.Context(), at, token, "", "", nil, f.now)
		wantErr(t, err, auth.ErrNoPending, "a new passkey before the code")
		out, err = f.ProveCode(t.Context(), at, token, app.code(f.now), f.now)
		f.wantStep(out, err, auth.StepFactor, "the app's code, which is no passkey")
		out, err = f.ProveCode(t.Context(), at, token, codes[0], f.now)
		f.wantStep(out, err, auth.StepEnrol, "the recovery code")
		f.wantSession(token, auth.ErrNoSession, "before the new passkey")

		options, ceremony, err := f.BeginPasskeyEnrolment(t.Context(), p, deskHost, f.now)
		if err != nil {
			t.Fatal(err)
		}
		out, shown, err := f.ProvePasskeyEnrolment(t.Context(), at, token, ceremony, "new key", newDevice(t).create(options, deskOrigin), f.now)
		f.wantStep(out, err, "", "the new passkey")
		if out.Session.Level != auth.PasskeyLevel || out.Session.Methods != "password totp recovery passkey" || len(shown) != 0 {
			t.Errorf("session by %q at level %d with %d new codes, want a passkey's and none", out.Session.Methods, out.Session.Level, len(shown))
		}
		has := f.factors(p.ID)
		if len(has.Passkeys) != 2 || has.Passkeys[0].ID != lost.ID || has.RecoveryLeft != 9 {
			t.Errorf("factors %+v, want the lost passkey, the new one and 9 codes", has)
		}
		if m := f.nextMail(server, "admin@example.com"); !strings.Contains(m.Text, "with a recovery code") {
			t.Errorf("mail %q does not say how the passkey came:\n%s", m.Subject, m.Text)
		}
		added := f.journalled("factor.add")
		if last := added[len(added)-1]; !strings.Contains(last.After, `"by":"recovery-code"`) {
			t.Errorf("the journal says %s, want that it was by a recovery code", last.After)
		}

		next := f.begin(at)
		out, err = f.ProveCode(t.Context(), at, next.Token, codes[0], f.now)
		if err == nil {
			t.Errorf("the recovery code again: %+v", out)
		}
	})
}

// At a step-up a recovery code does not help to a passkey, and is not used up: the account's pages ask for the password too.
func TestRecoveryCodeAtAStepUp(t *testing.T) {
	f := newFactors(t, storetest.SQLite(t))
	p := f.named("agent")
	f.enrolDevice(newDevice(t), p)
	codes, err := f.NewRecoveryCodes(t.Context(), person, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	begun := f.begin(atDesk("agent", password))
	s, err := f.ProveCode(t.Context(), atDesk("agent", ""), begun.Token, codes[0], f.now)
	f.wantStep(s, err, "", "a recovery code where any factor will do")

	at := atDesk("", "")
	out, err := f.StepUp(t.Context(), at, s.Session, s.Token, auth.PasskeyLevel, f.now)
	f.wantStep(out, err, auth.StepFactor, "though the session began with a recovery code")
	if out.Pending.Recovery || out.Pending.TOTP || !out.Pending.Passkey {
		t.Errorf("pending %+v, want a passkey only", out.Pending)
	}
	_, err = f.ProveCode(t.Context(), at, out.Token, codes[1], f.now)
	wantErr(t, err, auth.ErrWrong, "a recovery code")
	_, _, err = f.ProvePasskeyEnrolment(t.Context(), at, out.Token, "", "", nil, f.now)
	wantErr(t, err, auth.ErrNoPending, "a new passkey")
	if left := f.factors(p.ID).RecoveryLeft; left != 9 {
		t.Errorf("%d recovery codes left, want 9", left)
	}
}

// Where no passkey can be made, as at an address, a recovery code would be used up for nothing.
func TestRecoveryCodeWithoutPasskeys(t *testing.T) {
	f := newFactors(t, storetest.SQLite(t))
	f.roles(auth.RoleConfig{Name: "admin", Factor: "passkey"})
	p := f.named("admin")
	f.enrolDevice(newDevice(t), p)
	codes, err := f.NewRecoveryCodes(t.Context(), person, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	at := attempt("admin", password, "192.0.2.1")
	at.Host = "192.0.2.80"
	out := f.begin(at)
	_, err = f.ProveCode(t.Context(), at, out.Token, codes[0], f.now)
	wantErr(t, err, auth.ErrWrong, "a recovery code at an address")
	if pending, err := f.PendingSignIn(t.Context(), at, out.Token, f.now); err != nil || pending.Recovery {
		t.Errorf("pending %+v, %v; want no recovery code offered", pending, err)
	}
	if left := f.factors(p.ID).RecoveryLeft; left != 10 {
		t.Errorf("%d recovery codes left, want 10", left)
	}
}
