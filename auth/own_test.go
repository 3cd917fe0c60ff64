package auth_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// A person ends their own sessions and nobody else's (ASVS 7.4.3, 7.5.2).
func TestOwnSessions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		first, mine := f.signIn("agent")
		second, other := f.signIn("agent")
		third, _ := f.signIn("agent")
		foreign, stranger := f.signIn("user")
		wantErr(t, f.RevokeOwn(t.Context(), person, stranger, mine.ID, f.now), auth.ErrNotFound, "another's session")
		wantErr(t, f.RevokeOwn(t.Context(), person, mine, "no-such-id", f.now), auth.ErrNotFound, "no session")
		f.wantSession(first, nil, "another's try")
		if err := f.RevokeOwn(t.Context(), person, mine, other.ID, f.now); err != nil {
			t.Fatal(err)
		}
		f.wantSession(second, auth.ErrNoSession, "ended")
		wantErr(t, f.RevokeOwn(t.Context(), person, mine, other.ID, f.now), auth.ErrNotFound, "ended before")
		if n, err := f.RevokeOthers(t.Context(), person, mine, f.now); n != 1 || err != nil {
			t.Errorf("ended %d others, %v; want 1", n, err)
		}
		f.wantSession(first, nil, "this one")
		f.wantSession(third, auth.ErrNoSession, "the others")
		f.wantSession(foreign, nil, "another person's")
	})
}

func TestSetLanguage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		token, s := f.signIn("agent")
		for _, tag := range []string{"not a tag", "de\n", "x-" + string(make([]byte, 40))} {
			var input *auth.InputError
			if err := f.SetLanguage(t.Context(), person, s.Principal.ID, tag, f.now); !errors.As(err, &input) {
				t.Errorf("language %q: %v, want an input error", tag, err)
			}
		}
		wantErr(t, f.SetLanguage(t.Context(), person, "nobody", "de", f.now), auth.ErrNotFound, "nobody's")
		for _, tag := range []string{"de", "de", ""} {
			if err := f.SetLanguage(t.Context(), person, s.Principal.ID, tag, f.now); err != nil {
				t.Fatal(err)
			}
			if again, err := f.session(token); err != nil || again.Principal.Language != tag {
				t.Errorf("the session speaks %q, %v; want %q", again.Principal.Language, err, tag)
			}
		}
	})
}

// ASVS 7.5.1: the proof is fresh, of this session, and as strong as a sign-in.
func TestConfirmed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		_, s := f.signIn("agent")
		_, another := f.signIn("agent")
		confirmed := func(s *auth.Session, proof string, want bool, what string) {
			t.Helper()
			if got := f.Confirmed(s, proof, f.now); got != want {
				t.Errorf("%s: confirmed %t, want %t", what, got, want)
			}
		}
		confirmed(s, "", true, "just signed in")
		f.now = f.now.Add(11 * time.Minute)
		confirmed(s, "", false, "eleven minutes later")
		at := attempt("", "wrong", "192.0.2.1")
		_, err := f.ConfirmByPassword(t.Context(), at, s, "", f.now)
		wantErr(t, err, auth.ErrWrong, "a wrong password")
		at.Password = password
		proof, err := f.ConfirmByPassword(t.Context(), at, s, "", f.now)
		if err != nil {
			t.Fatal(err)
		}
		confirmed(s, proof, true, "with the proof")
		confirmed(another, proof, false, "another session with it")
		confirmed(s, proof+"A", false, "a changed proof")
		f.now = f.now.Add(9 * time.Minute)
		confirmed(s, proof, true, "nine minutes later")
		f.now = f.now.Add(2 * time.Minute)
		confirmed(s, proof, false, "eleven minutes later")

		app, recovery := f.enrolApp(f.named("agent"))
		f.now = f.now.Add(30 * time.Second)
		for code, want := range map[string]error{"": auth.ErrWrong, app.wrong(f.now): auth.ErrWrong} {
			_, err := f.ConfirmByPassword(t.Context(), at, s, code, f.now)
			wantErr(t, err, want, "password and code "+code)
			f.now = f.now.Add(time.Minute) // past the wait
		}
		for _, code := range []string{app.code(f.now), recovery[0]} {
			if proof, err = f.ConfirmByPassword(t.Context(), at, s, code, f.now); err != nil {
				t.Fatalf("password and code: %v", err)
			}
			confirmed(s, proof, true, "with password and code")
		}
		_, err = f.ConfirmByPassword(t.Context(), at, s, recovery[0], f.now)
		wantErr(t, err, auth.ErrWrong, "the recovery code again")
	})
}

// While the account's codes are not looked at, a right one is not called wrong, and costs the person no wait.
func TestConfirmWhileCodesAreClosed(t *testing.T) {
	f := newFactors(t, storetest.SQLite(t))
	_, s := f.signIn("agent")
	app, recovery := f.enrolApp(f.named("agent"))
	f.now = f.now.Add(time.Minute)
	for range 10 {
		f.wantCode(s.Principal.ID, app.wrong(f.now), false, "a guess")
	}
	at := attempt("", password, "192.0.2.1")
	_, err := f.ConfirmByPassword(t.Context(), at, s, app.code(f.now), f.now)
	wantErr(t, err, auth.ErrTooManyCodes, "the right code after too many wrong ones")
	if left := f.Waiting(at.Address, f.now); left != 0 {
		t.Errorf("the person has to wait %v", left)
	}
	_, err = f.ConfirmByPassword(t.Context(), at, s, recovery[0], f.now)
	wantErr(t, err, nil, "a recovery code")
}

// A passkey confirms when it has verified the person, and never one of somebody else.
func TestConfirmByPasskey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		_, s := f.signIn("agent")
		key := newDevice(t)
		f.enrolDevice(key, s.Principal)
		at := attempt("", "", "192.0.2.1")
		at.Host = deskHost
		prove := func(change ...func(*answer)) error {
			options, ceremony, err := f.BeginPasskeySignIn(t.Context(), s.Principal.ID, deskHost, f.now)
			if err != nil {
				t.Fatal(err)
			}
			f.now = f.now.Add(time.Minute) // past any wait
			proof, err := f.ConfirmByPasskey(t.Context(), at, s, ceremony, key.get(options, deskOrigin, change...), f.now)
			if (err == nil) != (proof != "") {
				t.Errorf("proof %q with %v", proof, err)
			}
			return err
		}
		wantErr(t, prove(func(a *answer) { a.flags &^= flagUV }), auth.ErrWrong, "a device that verified nobody")
		wantErr(t, prove(func(a *answer) { a.spoilSignature = true }), auth.ErrWrong, "a wrong signature")
		if err := prove(); err != nil {
			t.Errorf("a right answer: %v", err)
		}
	})
}

// The level of a sign-in rises by the request that set the factor up, and only where just that was lacking.
func TestEnrolmentStep(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		f.roles(auth.RoleConfig{Name: "agent", Factor: "any"})
		at := attempt("agent", password, "192.0.2.1")
		out := f.begin(at)
		f.wantStep(out, nil, auth.StepEnrol, "a password alone")
		_, _, err := f.ProveTOTPEnrolment(t.Context(), at, out.Token, "123456", f.now)
		wantErr(t, err, auth.ErrNotFound, "a code before any key")
		e, err := f.BeginTOTP(t.Context(), out.Pending.Principal)
		if err != nil {
			t.Fatal(err)
		}
		app := newApp(t, e)
		elsewhere := f.begin(at)
		_, _, err = f.ProveTOTPEnrolment(t.Context(), at, out.Token, app.wrong(f.now), f.now)
		wantErr(t, err, auth.ErrWrong, "a wrong code")
		f.now = f.now.Add(30 * time.Second)
		done, recovery, err := f.ProveTOTPEnrolment(t.Context(), at, out.Token, app.code(f.now), f.now)
		f.wantStep(done, err, "", "the right code")
		if s := done.Session; s.Level != auth.FactorLevel || s.Methods != "password totp" || len(recovery) != 10 {
			t.Errorf("by %q at level %d with %d recovery codes", s.Methods, s.Level, len(recovery))
		}

		// The other sign-in of the same account now lacks the proof, and cannot set up another app in its place.
		e, err = f.BeginTOTP(t.Context(), out.Pending.Principal)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = f.ProveTOTPEnrolment(t.Context(), at, elsewhere.Token, newApp(t, e).code(f.now), f.now)
		wantErr(t, err, auth.ErrNoPending, "an app in place of the proof")
		if p, err := f.PendingSignIn(t.Context(), at, elsewhere.Token, f.now); err != nil || p.Step != auth.StepFactor {
			t.Errorf("the other sign-in: %+v, %v; want that it lacks the factor", p, err)
		}
		key := newDevice(t)
		at.Host = deskHost
		other := f.begin(at)
		options, ceremony, err := f.BeginPasskeyEnrolment(t.Context(), other.Pending.Principal, deskHost, f.now)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = f.ProvePasskeyEnrolment(t.Context(), at, other.Token, ceremony, "", key.create(options, deskOrigin), f.now)
		wantErr(t, err, auth.ErrNoPending, "a passkey in place of the proof")
		if has, err := f.Factors(t.Context(), other.Pending.Principal.ID); err != nil || len(has.Passkeys) > 0 {
			t.Errorf("factors %+v, %v", has, err)
		}
	})
}

func TestEnrolmentStepWithPasskey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		f.roles(auth.RoleConfig{Name: "agent", Factor: "passkey"})
		if got := f.RequiredLevel(f.named("agent")); got != auth.PasskeyLevel {
			t.Errorf("required level %d", got)
		}
		at := attempt("agent", password, "192.0.2.1")
		at.Host = deskHost
		out := f.begin(at)
		key := newDevice(t)
		begin := func() (options []byte, ceremony string) {
			options, ceremony, err := f.BeginPasskeyEnrolment(t.Context(), out.Pending.Principal, deskHost, f.now)
			if err != nil {
				t.Fatal(err)
			}
			return options, ceremony
		}
		options, ceremony := begin()
		_, _, err := f.ProvePasskeyEnrolment(t.Context(), at, out.Token, ceremony, "", key.create(options, "https://evil.example"), f.now)
		wantErr(t, err, auth.ErrWrong, "made elsewhere")
		options, ceremony = begin()
		var input *auth.InputError
		if _, _, err := f.ProvePasskeyEnrolment(t.Context(), at, out.Token, ceremony, "a\nb", key.create(options, deskOrigin), f.now); !errors.As(err, &input) {
			t.Errorf("a bad name: %v", err)
		}
		response := key.create(options, deskOrigin)
		done, recovery, err := f.ProvePasskeyEnrolment(t.Context(), at, out.Token, ceremony, "laptop", slices.Clone(response), f.now)
		f.wantStep(done, err, "", "the passkey")
		if s := done.Session; s.Level != auth.PasskeyLevel || s.Methods != "password passkey" || len(recovery) != 10 {
			t.Errorf("by %q at level %d with %d recovery codes", s.Methods, s.Level, len(recovery))
		}
		_, _, err = f.ProvePasskeyEnrolment(t.Context(), at, out.Token, ceremony, "laptop", response, f.now)
		wantErr(t, err, auth.ErrNoPending, "once more")
	})
}
