package auth_test

import (
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// newFactors is a fixture with a key file and two hosts.
func newFactors(t testing.TB, db *store.DB) *fixture {
	t.Helper()
	f := newFixture(t, db)
	f.cfg.DataDir = t.TempDir()
	f.cfg.Factors = auth.FactorsConfig{Name: "Example Desk", Hosts: []string{"desk.example.org", "help.example.org", "192.0.2.7"}}
	f.restart()
	// In the middle of a time step, so that the neighbours are the neighbours.
	f.now = f.now.Truncate(30 * time.Second).Add(15 * time.Second)
	return f
}

var person = auth.Actor{Name: "agent", Origin: "192.0.2.9"}

// named returns one of the fixture's accounts.
func (f *fixture) named(name string) auth.Principal {
	f.t.Helper()
	list, err := f.Principals(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, p := range list {
		if p.Name == name {
			return p
		}
	}
	f.t.Fatalf("no account %s", name)
	return auth.Principal{}
}

func (f *fixture) factors(id string) auth.FactorSummary {
	f.t.Helper()
	s, err := f.Factors(f.t.Context(), id)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// app is an authenticator app.
type app struct {
	t      testing.TB
	secret []byte
}

func newApp(t testing.TB, e auth.TOTPEnrolment) app {
	t.Helper()
	secret, err := base32.StdEncoding.DecodeString(e.Secret)
	if err != nil || len(secret) != 20 {
		t.Fatalf("secret %q: %d bytes, %v; want 20", e.Secret, len(secret), err)
	}
	return app{t, secret}
}

func (a app) code(at time.Time) string {
	a.t.Helper()
	code, err := auth.TOTPCode(a.secret, at.Unix()/30)
	if err != nil {
		a.t.Fatal(err)
	}
	return code
}

// wrong is a code that none of the three steps around has.
func (a app) wrong(at time.Time) string {
	for n := range 1000 {
		code := fmt.Sprintf("%06d", n)
		if code != a.code(at) && code != a.code(at.Add(30*time.Second)) && code != a.code(at.Add(-30*time.Second)) {
			return code
		}
	}
	return ""
}

// enrolApp gives an account an authenticator app and returns it with the recovery codes.
func (f *fixture) enrolApp(p auth.Principal) (app, []string) {
	f.t.Helper()
	e, err := f.BeginTOTP(f.t.Context(), p)
	if err != nil {
		f.t.Fatal(err)
	}
	device := newApp(f.t, e)
	recovery, err := f.ConfirmTOTP(f.t.Context(), person, p.ID, device.code(f.now), f.now)
	if err != nil {
		f.t.Fatal(err)
	}
	return device, recovery
}

func (f *fixture) wantCode(id, code string, want bool, what string) {
	f.t.Helper()
	if ok, err := f.CheckTOTP(f.t.Context(), id, code, f.now); ok != want || err != nil {
		f.t.Errorf("%s: %t, %v; want %t", what, ok, err, want)
	}
}

// The codes of RFC 6238, appendix B, for SHA-1: ours are the last six of its eight digits.
func TestTOTPVectors(t *testing.T) {
	for at, want := range map[int64]string{59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924",
		2000000000: "69279037", 20000000000: "65353130"} {
		if got, err := auth.TOTPCode([]byte("12345678901234567890"), at/30); got != want[2:] || err != nil {
			t.Errorf("code at %d is %s, %v; want %s", at, got, err, want[2:])
		}
	}
}

func TestTOTPEnrolment(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		p := f.named("agent")
		e, err := f.BeginTOTP(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(e.URI)
		if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/Example Desk:agent" {
			t.Errorf("URI is %s, %v", e.URI, err)
		}
		want := url.Values{"secret": {e.Secret}, "issuer": {"Example Desk"}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}
		if diff := cmp.Diff(want, u.Query()); diff != "" {
			t.Errorf("URI's parameters (-want +got):\n%s", diff)
		}
		if !regexp.MustCompile(`^<svg [a-zA-Z0-9:/.="' -]+>(<path fill="#[0f]{3}" d="[MhvHz0-9 -]+"/>){2}</svg>$`).MatchString(e.QR) {
			t.Errorf("the QR code is not two plain paths: %.300s", e.QR)
		}
		if stored := row[string](f, `SELECT sealed FROM totp`); strings.Contains(stored, e.Secret) {
			t.Errorf("the store has the secret: %s", stored)
		}
		device := newApp(t, e)
		f.wantCode(p.ID, device.code(f.now), false, "before it is confirmed")
		if got := f.factors(p.ID); got.TOTP || got.Best() != auth.PasswordLevel {
			t.Errorf("factors before it is confirmed: %+v", got)
		}
		if _, err := f.ConfirmTOTP(t.Context(), person, p.ID, device.wrong(f.now), f.now); !errors.Is(err, auth.ErrWrong) {
			t.Errorf("confirm with a wrong code: %v, want ErrWrong", err)
		}
		if _, err := f.ConfirmTOTP(t.Context(), person, p.ID, device.code(f.now.Add(31*time.Minute)), f.now.Add(31*time.Minute)); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("confirm after 31 minutes: %v, want ErrNotFound", err)
		}
		recovery, err := f.ConfirmTOTP(t.Context(), person, p.ID, device.code(f.now), f.now)
		if err != nil || len(recovery) != 10 {
			t.Fatalf("confirm: %d recovery codes, %v; want 10", len(recovery), err)
		}
		got := f.factors(p.ID)
		if !got.TOTP || !got.TOTPSince.Equal(f.now.Truncate(time.Microsecond)) || got.RecoveryLeft != 10 || got.Best() != auth.FactorLevel {
			t.Errorf("factors: %+v", got)
		}
		if _, err := f.ConfirmTOTP(t.Context(), person, p.ID, device.code(f.now), f.now); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("confirm again: %v, want ErrNotFound", err)
		}
		f.wantCode(p.ID, device.code(f.now), false, "the code that confirmed it, again")
		f.now = f.now.Add(30 * time.Second)
		f.wantCode(p.ID, device.code(f.now), true, "the next code")

		// A second app takes the place of the first only when it is confirmed.
		other, err := f.BeginTOTP(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		newer := newApp(t, other)
		f.now = f.now.Add(30 * time.Second)
		f.wantCode(p.ID, device.code(f.now), true, "the first app while the second is set up")
		f.now = f.now.Add(30 * time.Second)
		if again, err := f.ConfirmTOTP(t.Context(), person, p.ID, newer.code(f.now), f.now); err != nil || again != nil {
			t.Errorf("confirm the second app: recovery codes %v, %v; want none new", again, err)
		}
		f.now = f.now.Add(30 * time.Second)
		f.wantCode(p.ID, device.code(f.now), false, "the first app after the second")
		f.wantCode(p.ID, newer.code(f.now), true, "the second app")
		if _, err := f.BeginTOTP(t.Context(), auth.Principal{ID: "nobody", Name: "nobody"}); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("an app for no account: %v, want ErrNotFound", err)
		}
	})
}

// A step's code is good once, the steps only move forward, and only the neighbours are taken.
func TestTOTPSteps(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		p := f.named("agent")
		device, _ := f.enrolApp(p)
		f.now = f.now.Add(5 * time.Minute)
		at := func(d time.Duration) string { return device.code(f.now.Add(d)) }
		f.wantCode(p.ID, at(-60*time.Second), false, "two steps ago")
		f.wantCode(p.ID, at(60*time.Second), false, "two steps ahead")
		f.wantCode(p.ID, at(-30*time.Second), true, "the step before")
		f.wantCode(p.ID, at(-30*time.Second), false, "the step before, again")
		f.wantCode(p.ID, at(30*time.Second), true, "the step after")
		f.wantCode(p.ID, at(0), false, "this step, after a later one")
		f.now = f.now.Add(time.Minute)
		code := at(0)
		for _, typed := range []string{"", code[:5], code + "0", "+" + code[1:], code[:5] + "x", strings.Repeat(code, 50), code[:3] + "\x00" + code[3:]} {
			f.wantCode(p.ID, typed, false, fmt.Sprintf("%.20q", typed))
		}
		f.wantCode(p.ID, " "+code[:3]+" "+code[3:]+"\n", true, "with spaces")
		f.wantCode(f.named("user").ID, "000000", false, "an account without an app")

		// A row that was moved to another account opens nothing there.
		other := f.named("user")
		f.enrolApp(other)
		f.exec(`UPDATE totp SET sealed = (SELECT x.sealed FROM totp x WHERE x.principal_id = $1) WHERE principal_id = $2`, p.ID, other.ID)
		f.now = f.now.Add(time.Minute)
		f.wantCode(other.ID, device.code(f.now), false, "another account's secret")
	})
}

// Not more than 10 wrong codes in 10 minutes and 30 in a day are looked at, and neither recovery codes nor anybody
// else feel it.
func TestTOTPGuesses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		p := f.named("agent")
		device, recovery := f.enrolApp(p)
		f.now = f.now.Add(time.Minute)
		for i := range 10 {
			f.wantCode(p.ID, "12345", false, "no code at all, which is no guess")
			f.wantCode(p.ID, device.wrong(f.now), false, fmt.Sprintf("wrong code %d", i+1))
		}
		capped := func(what string) {
			t.Helper()
			if ok, err := f.CheckTOTP(t.Context(), p.ID, device.code(f.now), f.now); ok || !errors.Is(err, auth.ErrTooManyCodes) {
				t.Errorf("%s: the right code gives %t, %v; want ErrTooManyCodes", what, ok, err)
			}
		}
		capped("after 10 wrong codes")
		if ok, err := f.another().CheckTOTP(t.Context(), p.ID, device.code(f.now), f.now); ok || !errors.Is(err, auth.ErrTooManyCodes) {
			t.Errorf("another node: %t, %v; want ErrTooManyCodes", ok, err)
		}
		if ok, err := f.UseRecoveryCode(t.Context(), p.ID, recovery[0], f.now); !ok || err != nil {
			t.Errorf("a recovery code meanwhile: %t, %v", ok, err)
		}
		f.now = f.now.Add(9*time.Minute + 30*time.Second)
		capped("after 9 minutes")
		f.now = f.now.Add(30 * time.Second)
		f.wantCode(p.ID, device.code(f.now), true, "after 10 minutes")
		for i := range 20 {
			f.now = f.now.Add(2 * time.Minute)
			f.wantCode(p.ID, device.wrong(f.now), false, fmt.Sprintf("slow wrong code %d", i+11))
		}
		f.now = f.now.Add(11 * time.Minute)
		capped("after 30 wrong codes in a day")
		if n := row[int](f, `SELECT LENGTH(times) FROM wrong_code WHERE principal_id = $1`, p.ID); n > 30*17 {
			t.Errorf("the count takes %d characters", n)
		}
		f.now = f.now.Add(24 * time.Hour)
		f.wantCode(p.ID, device.code(f.now), true, "a day later")
		f.now = f.now.Add(-48 * time.Hour)
		f.wantCode(p.ID, device.wrong(f.now), false, "after the clock was set back")
	})
}

// A recovery code is good once, for its own account, however it is typed.
func TestRecoveryCodes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		p, other := f.named("agent"), f.named("user")
		if _, err := f.NewRecoveryCodes(t.Context(), person, p.ID); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("codes without a factor: %v, want ErrNotFound", err)
		}
		_, codes := f.enrolApp(p)
		f.enrolApp(other)
		seen := make(map[string]bool)
		for _, code := range codes {
			if !regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{4}-){5}[0-9A-HJKMNP-TV-Z]{4}$`).MatchString(code) || seen[code] {
				t.Errorf("code %q is not six groups of four, or there twice", code)
			}
			seen[code] = true
			if n := row[int](f, `SELECT COUNT(*) FROM recovery_code WHERE mac = $1`, code); n != 0 {
				t.Errorf("the store has the code %s", code)
			}
		}
		use := func(id, code string, want bool, what string) {
			t.Helper()
			if ok, err := f.UseRecoveryCode(t.Context(), id, code, f.now); ok != want || err != nil {
				t.Errorf("%s: %t, %v; want %t", what, ok, err, want)
			}
		}
		use(other.ID, codes[0], false, "another account's code")
		use(p.ID, codes[0], true, "a code")
		use(p.ID, codes[0], false, "a code again")
		typed := strings.NewReplacer("0", "o", "1", "l", "-", " ").Replace(strings.ToLower(codes[1]))
		use(p.ID, typed, true, "as people copy it: "+typed)
		use(p.ID, strings.ReplaceAll(codes[2], "-", "\u2013"), true, "with dashes of a word processor")
		for _, wrong := range []string{"", codes[3][:28], codes[3] + "A", strings.Repeat("0", 24), strings.Repeat("A", 1<<16), codes[3][:28] + "€"} {
			use(p.ID, wrong, false, fmt.Sprintf("%.40q", wrong))
		}
		if got := f.factors(p.ID).RecoveryLeft; got != 7 {
			t.Errorf("%d codes left, want 7", got)
		}
		fresh, err := f.NewRecoveryCodes(t.Context(), person, p.ID)
		if err != nil || len(fresh) != 10 {
			t.Fatalf("new codes: %d, %v", len(fresh), err)
		}
		use(p.ID, codes[4], false, "an old code after new ones were made")
		use(p.ID, fresh[0], true, "a new code")
	})
}

// The last factor stays where one is demanded; with it gone, recovery codes have nothing left to recover.
func TestRemoveTOTP(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		f.withEvents(t)
		p := f.named("agent")
		device, recovery := f.enrolApp(p)
		n := int64(len(f.entries(0)))
		if err := f.RemoveTOTP(t.Context(), person, p.ID, auth.FactorLevel); !errors.Is(err, auth.ErrLastFactor) {
			t.Errorf("remove the last factor where one is demanded: %v, want ErrLastFactor", err)
		}
		if got := f.factors(p.ID); !got.TOTP || got.RecoveryLeft != 10 || len(f.entries(n)) != 0 {
			t.Errorf("after that: %+v, journal %+v", got, f.entries(n))
		}
		if err := f.RemoveTOTP(t.Context(), person, p.ID, auth.PasswordLevel); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(auth.FactorSummary{}, f.factors(p.ID)); diff != "" {
			t.Errorf("factors (-want +got):\n%s", diff)
		}
		f.now = f.now.Add(time.Minute)
		f.wantCode(p.ID, device.code(f.now), false, "a code of the removed app")
		if ok, err := f.UseRecoveryCode(t.Context(), p.ID, recovery[0], f.now); ok || err != nil {
			t.Errorf("a recovery code of no factor: %t, %v", ok, err)
		}
		if err := f.RemoveTOTP(t.Context(), person, p.ID, auth.PasswordLevel); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("remove it again: %v, want ErrNotFound", err)
		}
		got := f.entries(n)
		if len(got) != 1 || got[0].Action != "factor.remove" || got[0].Target != "agent" || got[0].Actor != "agent" || got[0].Before != `{"kind":"totp"}` {
			t.Errorf("journal: %+v", got)
		}
		want := []string{
			`factor-add success user="agent" source=192.0.2.9 site= factor=totp actor=agent`,
			`factor-remove success user="agent" source=192.0.2.9 site= factor=totp actor=agent`,
		}
		if diff := cmp.Diff(want, f.recorded(t)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// An administrator's reset removes every factor and ends the sessions.
func TestResetFactors(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		p := f.named("agent")
		_, s := f.signIn("agent") // by the password alone, while there is no factor
		f.enrolApp(p)
		d := newDevice(t)
		f.enrolDevice(d, p)
		if _, err := f.BeginTOTP(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		n := int64(len(f.entries(0)))
		if err := f.ResetFactors(t.Context(), actor, "agent"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(auth.FactorSummary{}, f.factors(p.ID)); diff != "" {
			t.Errorf("factors (-want +got):\n%s", diff)
		}
		if left := row[int](f, `SELECT COUNT(*) FROM totp WHERE principal_id = $1`, p.ID); left != 0 {
			t.Errorf("%d authenticator apps left, want none, not even one being set up", left)
		}
		if !ended(s) {
			t.Error("the account's session goes on")
		}
		got := f.entries(n)
		if len(got) != 2 || got[0].Action != "factor.remove" || got[0].Before != `{"kind":"totp and passkeys","passkeys":1}` ||
			got[1].Action != "account.reset-factors" || got[1].Actor != "cli:tester" {
			t.Errorf("journal: %+v", got)
		}
		wantErr(t, f.ResetFactors(t.Context(), actor, "nobody"), auth.ErrNotFound, "reset of no account")
	})
}

// What a second factor came to is an event with the reason, and never with what was typed.
func TestFactorUseEvents(t *testing.T) {
	f := newFactors(t, storetest.SQLite(t))
	f.withEvents(t)
	at := attempt("agent", "", "192.0.2.9")
	for _, err := range []error{nil, auth.ErrWrong, fmt.Errorf("x: %w", auth.ErrTooManyCodes), auth.ErrUnavailable, errors.New("disk full")} {
		f.RecordFactorUse(at, "agent", "totp", err, f.now)
		f.step()
	}
	const rest = ` user="agent" source=192.0.2.9 site=desk factor=totp realm=site host=desk.example user_agent=Browser/1 request_id=req-1`
	want := []string{
		"factor-use success" + rest, "factor-use failure" + rest + " reason=wrong-code", "factor-use refused" + rest + " reason=too-many-wrong-codes",
		"factor-use refused" + rest + " reason=store-away", "factor-use refused" + rest + " reason=not-stored",
	}
	if diff := cmp.Diff(want, f.recorded(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
