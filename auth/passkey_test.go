package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// signInWith asks at the first host, has the device answer, and returns what came of it.
func (f *fixture) signInWith(d *device, expect string, change ...func(*answer)) (string, bool, error) {
	f.t.Helper()
	options, ceremony, err := f.BeginPasskeySignIn(f.t.Context(), expect, deskHost, f.now)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.FinishPasskey(f.t.Context(), deskHost, ceremony, d.get(options, deskOrigin, change...), expect, f.now)
}

func TestPasskeyEnrolment(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		f.withEvents(t)
		p := f.named("agent")
		options, ceremony, err := f.BeginPasskeyEnrolment(t.Context(), p, deskHost, f.now)
		if err != nil {
			t.Fatal(err)
		}
		q := readQuestion(t, options).PublicKey
		if q.RP.ID != "example.org" || q.RP.Name != "Example Desk" || q.User.Name != "agent" || q.User.DisplayName != "The agent" ||
			q.Attestation != "none" || q.AuthenticatorSelection.ResidentKey != "preferred" || q.AuthenticatorSelection.UserVerification != "preferred" ||
			q.Timeout != 120_000 || len(q.Challenge) != 43 || fmt.Sprint(q.PubKeyCredParams) != "[{-7} {-8} {-257}]" || len(q.ExcludeCredentials) != 0 {
			t.Errorf("options: %s", options)
		}
		if strings.Contains(string(options), p.ID) || strings.Contains(ceremony, "agent") {
			t.Errorf("options or ceremony show whose they are: %s %s", options, ceremony)
		}
		n := int64(len(f.entries(0)))
		d := newDevice(t)
		info, recovery, err := f.FinishPasskeyEnrolment(t.Context(), person, p.ID, deskHost, ceremony, "  My phone ", d.create(options, deskOrigin), f.now)
		if err != nil || len(recovery) != 10 {
			t.Fatalf("finish: %d recovery codes, %v", len(recovery), err)
		}
		want := auth.PasskeyInfo{ID: info.ID, Name: "My phone", Created: f.now.UTC().Truncate(time.Microsecond), Kind: auth.SyncedPasskey, Alone: true}
		if diff := cmp.Diff(want, info); diff != "" {
			t.Errorf("passkey (-want +got):\n%s", diff)
		}
		got := f.factors(p.ID)
		if diff := cmp.Diff(auth.FactorSummary{Passkeys: []auth.PasskeyInfo{info}, RecoveryLeft: 10}, got); diff != "" || got.Best() != auth.PasskeyLevel {
			t.Errorf("factors (-want +got):\n%s", diff)
		}
		if got := f.entries(n); len(got) != 1 || got[0].Action != "factor.add" || got[0].Target != "agent" ||
			got[0].After != `{"kind":"synced","passkey":"`+info.ID+`","name":"My phone"}` {
			t.Errorf("journal: %+v", got)
		}
		if lines := f.recorded(t); len(lines) != 1 || lines[0] != `factor-add success user="agent" source=192.0.2.9 site= factor=synced actor=agent` {
			t.Errorf("events: %v", lines)
		}
		options, _, err = f.BeginPasskeyEnrolment(t.Context(), p, "help.example.org", f.now)
		if q := readQuestion(t, options).PublicKey; err != nil || q.RP.ID != "example.org" || len(q.ExcludeCredentials) != 1 || q.ExcludeCredentials[0].ID != b64(d.id) {
			t.Errorf("options of a second one at another host: %s, %v", options, err)
		}
	})
}

// A passkey signs in at every host below the domain, with no name and no password, and after a password.
func TestPasskeySignIn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		p := f.named("agent")
		for name, d := range map[string]*device{"ES256": newDevice(t), "EdDSA": newEd25519Device(t), "RS256": newRSADevice(t)} {
			info := f.enrolDevice(d, p)
			f.step()
			for _, host := range []string{deskHost, "help.example.org"} {
				for _, expect := range []string{"", p.ID} {
					f.step()
					options, ceremony, err := f.BeginPasskeySignIn(t.Context(), expect, host, f.now)
					if err != nil {
						t.Fatal(err)
					}
					q := readQuestion(t, options).PublicKey
					if expect == "" && (len(q.AllowCredentials) != 0 || q.UserVerification != "required") {
						t.Errorf("options without a name: %s", options)
					}
					if expect != "" && (len(q.AllowCredentials) == 0 || q.UserVerification != "preferred") {
						t.Errorf("options after a password: %s", options)
					}
					id, verified, err := f.FinishPasskey(t.Context(), host, ceremony, d.get(options, "https://"+host), expect, f.now)
					if id != p.ID || !verified || err != nil {
						t.Errorf("%s at %s, expecting %q: %q, verified %t, %v; want %q", name, host, expect, id, verified, err, p.ID)
					}
				}
			}
			for _, k := range f.factors(p.ID).Passkeys {
				if k.ID == info.ID && !k.LastUsed.Equal(f.now.Truncate(time.Microsecond)) {
					t.Errorf("%s: last used %v, want %v", name, k.LastUsed, f.now)
				}
			}
		}
		_, _, err := f.BeginPasskeySignIn(t.Context(), f.named("user").ID, deskHost, f.now)
		wantErr(t, err, auth.ErrNotFound, "ask for the passkeys of an account without any")
	})
}

// A security key without a PIN is good after a password only, until it has verified its owner after one:
// whoever finds it could set a PIN of his own.
func TestSecurityKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		p := f.named("agent")
		d := newSecurityKey(t)
		info := f.enrolDevice(d, p, func(a *answer) { a.transports, a.attachment = []string{"usb", "nfc", "no such"}, "cross-platform" })
		if info.Kind != auth.SecurityKey || info.Alone {
			t.Errorf("passkey: %+v, want a security key that is no only factor", info)
		}
		if got, want := row[string](f, `SELECT transports FROM passkey`), "usb nfc"; got != want {
			t.Errorf("transports are %q, want %q", got, want)
		}
		if id, verified, err := f.signInWith(d, p.ID); id != p.ID || verified || err != nil {
			t.Errorf("after a password: %q, verified %t, %v", id, verified, err)
		}
		withoutHandle := func(a *answer) { a.handle = nil }
		if id, _, err := f.signInWith(d, p.ID, withoutHandle); id != p.ID || err != nil {
			t.Errorf("after a password, without a user handle: %q, %v", id, err)
		}
		refused := func(err error, reason, what string) {
			t.Helper()
			if !errors.Is(err, auth.ErrWrong) || auth.FactorReason(err) != reason {
				t.Errorf("%s: %v, want ErrWrong because of %s", what, err, reason)
			}
		}
		_, _, err := f.signInWith(d, "")
		refused(err, "never-verified-its-owner", "alone, without verification")
		d.flags |= flagUV
		_, _, err = f.signInWith(d, "")
		refused(err, "never-verified-its-owner", "alone, with a PIN that somebody set")
		if id, verified, err := f.signInWith(d, p.ID); id != p.ID || !verified || err != nil {
			t.Errorf("after a password, with the PIN: %q, verified %t, %v", id, verified, err)
		}
		if id, verified, err := f.signInWith(d, ""); id != p.ID || !verified || err != nil {
			t.Errorf("alone after that: %q, verified %t, %v", id, verified, err)
		}
		d.flags &^= flagUV
		if _, _, err = f.signInWith(d, p.ID); err != nil {
			t.Errorf("after a password, without the PIN again: %v", err)
		}
		_, _, err = f.signInWith(d, "")
		refused(err, "not-valid", "alone, without verification this time")
		if got := f.factors(p.ID).Passkeys[0]; !got.Alone {
			t.Errorf("what was verified once is forgotten: %+v", got)
		}
	})
}

// A counter that does not grow means that another device has the same key.
func TestPasskeyCounter(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		f.withEvents(t)
		p := f.named("agent")
		d := newSecurityKey(t)
		f.enrolDevice(d, p)
		if _, _, err := f.signInWith(d, p.ID); err != nil {
			t.Fatal(err)
		}
		count := func() int { return row[int](f, `SELECT sign_count FROM passkey`) }
		at := count()
		for _, counter := range []uint32{uint32(at), uint32(at) - 1, 1, 0} {
			_, _, err := f.signInWith(d, p.ID, func(a *answer) { a.counter = counter })
			if !errors.Is(err, auth.ErrWrong) || auth.FactorReason(err) != "counter-went-back" || count() != at {
				t.Errorf("counter %d after %d: %v, stored %d; want it refused", counter, at, err, count())
			}
			f.RecordFactorUse(attempt("agent", "", "192.0.2.9"), "agent", "passkey", err, f.now)
		}
		if got := strings.Count(strings.Join(f.recorded(t), "\n"), " reason=counter-went-back"); got != 4 {
			t.Errorf("%d events of a counter that went back, want 4", got)
		}
		if _, _, err := f.signInWith(d, p.ID, func(a *answer) { a.counter = 1 << 31 }); err != nil || count() != 1<<31 {
			t.Errorf("a high counter: %v, stored %d", err, count())
		}
	})
}

func TestPasskeysOfAnAccount(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		p, other := f.named("agent"), f.named("user")
		first, second := newDevice(t), newDevice(t)
		one, two := f.enrolDevice(first, p), f.enrolDevice(second, p)
		n := int64(len(f.entries(0)))
		if err := f.RenamePasskey(t.Context(), person, p.ID, one.ID, "Büro"); err != nil {
			t.Fatal(err)
		}
		if got := f.entries(n); len(got) != 1 || got[0].Action != "factor.rename" {
			t.Errorf("journal: %+v", got)
		}
		var input *auth.InputError
		for _, name := range []string{strings.Repeat("ü", 65), "a\nb", "a\x00", "\xff", "\u202eabc"} {
			if err := f.RenamePasskey(t.Context(), person, p.ID, one.ID, name); !errors.As(err, &input) {
				t.Errorf("rename to %q: %v, want *InputError", name, err)
			}
		}
		wantErr(t, f.RenamePasskey(t.Context(), person, other.ID, one.ID, "mine"), auth.ErrNotFound, "rename another's")
		wantErr(t, f.RemovePasskey(t.Context(), person, other.ID, one.ID, auth.PasswordLevel), auth.ErrNotFound, "remove another's")
		if err := f.RemovePasskey(t.Context(), person, p.ID, one.ID, auth.PasskeyLevel); err != nil {
			t.Errorf("remove one of two: %v", err)
		}
		if _, _, err := f.signInWith(first, ""); auth.FactorReason(err) != "unknown-passkey" {
			t.Errorf("sign in with a removed one: %v", err)
		}
		f.enrolApp(p)
		wantErr(t, f.RemovePasskey(t.Context(), person, p.ID, two.ID, auth.PasskeyLevel), auth.ErrLastFactor, "remove the last where one is demanded")
		if err := f.RemovePasskey(t.Context(), person, p.ID, two.ID, auth.FactorLevel); err != nil {
			t.Errorf("remove the last where an app is enough: %v", err)
		}
		if got := f.factors(p.ID); len(got.Passkeys) != 0 || !got.TOTP || got.RecoveryLeft != 10 {
			t.Errorf("factors: %+v", got)
		}
		wantErr(t, f.RemoveTOTP(t.Context(), person, p.ID, auth.FactorLevel), auth.ErrLastFactor, "remove the app after that")
	})
}

// An account has at most 20 passkeys, whatever was begun before.
func TestTooManyPasskeys(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		p := f.named("agent")
		early := newDevice(t)
		options, ceremony, err := f.BeginPasskeyEnrolment(t.Context(), p, deskHost, f.now)
		if err != nil {
			t.Fatal(err)
		}
		for i := range auth.MaxPasskeys {
			d := newDevice(t)
			if i == 0 {
				d.id = make([]byte, 1023) // the longest id that there may be
			}
			f.enrolDevice(d, p)
		}
		_, _, err = f.FinishPasskeyEnrolment(t.Context(), person, p.ID, deskHost, ceremony, "", early.create(options, deskOrigin), f.now)
		wantErr(t, err, auth.ErrTooManyPasskeys, "finish one that was begun before")
		_, _, err = f.BeginPasskeyEnrolment(t.Context(), p, deskHost, f.now)
		wantErr(t, err, auth.ErrTooManyPasskeys, "begin one more")
		if got := len(f.factors(p.ID).Passkeys); got != auth.MaxPasskeys {
			t.Errorf("%d passkeys, want %d", got, auth.MaxPasskeys)
		}
	})
}

// Strangers can ask as often as they like: nothing is stored until a ceremony leads to something, and that is
// forgotten when it has expired.
func TestCeremoniesTakeNoRoom(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		p := f.named("agent")
		d := newDevice(t)
		f.enrolDevice(d, p)
		rows := func() int { return row[int](f, `SELECT COUNT(*) FROM used_once`) }
		for range 50 {
			if _, _, err := f.BeginPasskeySignIn(t.Context(), "", deskHost, f.now); err != nil {
				t.Fatal(err)
			}
			if _, _, err := f.signInWith(newDevice(t), "", func(a *answer) { a.handle = d.handle }); !errors.Is(err, auth.ErrWrong) {
				t.Fatalf("a stranger's passkey: %v", err)
			}
		}
		if got := rows(); got != 1 {
			t.Errorf("%d rows after 100 questions to strangers, want the enrolment's alone", got)
		}
		for range 20 {
			f.now = f.now.Add(5 * time.Minute)
			if _, _, err := f.signInWith(d, ""); err != nil {
				t.Fatal(err)
			}
		}
		if got := rows(); got > 4 {
			t.Errorf("%d rows after 20 sign-ins in 100 minutes, want those of the last 12", got)
		}
		for i, want := range []bool{true, false} {
			if first, err := f.UseOnce(t.Context(), []byte("x"), f.now.Add(time.Minute), f.now); first != want || err != nil {
				t.Errorf("use %d: %t, %v", i+1, first, err)
			}
		}
	})
}
