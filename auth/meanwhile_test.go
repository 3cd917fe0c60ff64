package auth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// meanwhile has something happen while a new password is judged: between what was proved for it and its being stored.
type meanwhile struct{ do func() }

// newMeanwhile configures a breach check that does it, once, and knows of no password.
func newMeanwhile(t *testing.T, cfg *auth.Config) *meanwhile {
	t.Helper()
	m := &meanwhile{}
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if do := m.do; do != nil {
			m.do = nil
			do()
		}
	}))
	t.Cleanup(service.Close)
	cfg.Passwords.BreachCheck.URL = service.URL + "/"
	cfg.Passwords.BreachCheck.Timeout = 10 * time.Second
	return m
}

// A factor that is set up while the new password is judged is asked for before the password changes.
func TestForcedChangeWaitsForFactor(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		m := newMeanwhile(t, &f.cfg)
		f.restart()
		if err := f.RequireNewPassword(t.Context(), actor, "agent"); err != nil {
			t.Fatal(err)
		}
		at := attempt("agent", password, "192.0.2.1")
		begun := f.begin(at)
		f.wantStep(begun, nil, auth.StepPassword, "first")
		var device app
		m.do = func() { device, _ = f.enrolApp(f.named("agent")) }
		out, err := f.ProveNewPassword(t.Context(), at, begun.Token, newPassword, f.now)
		f.wantStep(out, err, auth.StepFactor, "a new password after an app was set up")
		if n := len(f.journalled("account.password")); n != 0 {
			t.Errorf("the password was changed %d times before the factor was proved", n)
		}
		f.now = f.now.Add(time.Minute)
		out, err = f.ProveCode(t.Context(), at, begun.Token, device.code(f.now), f.now)
		f.wantStep(out, err, auth.StepPassword, "the code")
		out, err = f.ProveNewPassword(t.Context(), at, begun.Token, newPassword, f.now)
		f.wantStep(out, err, "", "a new password then")
	})
}

// Who knows the password, and has it changed while its owner takes the account back, is not left with one that works.
func TestChangeIsRefusedWhenTakenBackMeanwhile(t *testing.T) {
	for name, takeBack := range map[string]func(*postbox, auth.Outcome) error{
		"not me": func(p *postbox, _ auth.Outcome) error {
			_, err := p.NotMe(t.Context(), attempt("", "", "192.0.2.1"), codeIn(t, p.next("agent@example.com"), "/.doorward/link/not-me"), p.now)
			return err
		},
		"another password": func(p *postbox, _ auth.Outcome) error {
			return p.ResetPassword(t.Context(), actor, "agent", "an administrator's choice", false)
		},
		"session ended": func(p *postbox, out auth.Outcome) error {
			return p.RevokeSession(t.Context(), actor, out.Session.ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				var m *meanwhile
				p := newPostbox(t, db, func(cfg *auth.Config) {
					m = newMeanwhile(t, cfg)
					cfg.Notices.SignIn = "every"
				})
				thief := p.begin(attempt("agent", password, "203.0.113.9"))
				m.do = func() {
					if err := takeBack(p, thief); err != nil {
						t.Error(err)
					}
				}
				err := p.ChangePassword(t.Context(), attempt("", "", "203.0.113.9"), thief.Session, password, newPassword, p.now)
				wantErr(t, err, auth.ErrWrong, "the thief's change")
				wantErr(t, p.try("agent", newPassword, "203.0.113.9"), auth.ErrWrong, "the thief's password")
			})
		})
	}
}
