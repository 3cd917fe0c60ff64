package auth_test

import (
	"errors"
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
