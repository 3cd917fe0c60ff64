package auth_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// attack is one way to have an answer believed that should not be.
type attack struct {
	change func(*answer)
	reason string
}

// whereFrom are the ways that have to do with where the answer was made; they hold for both ceremonies.
func whereFrom() map[string]attack {
	origin := func(o string) attack { return attack{func(a *answer) { a.origin = o }, "wrong-origin"} }
	return map[string]attack{
		"plain http":                     origin("http://desk.example.org:8443"),
		"another site":                   origin("https://evil.example"),
		"another host of ours":           origin("https://help.example.org"),
		"the domain above":               origin("https://example.org"),
		"a host below":                   origin("https://x.desk.example.org"),
		"a host that begins like ours":   origin("https://desk.example.org.evil.example"),
		"a user name like ours":          origin("https://desk.example.org@evil.example"),
		"a user name and port like ours": origin("https://desk.example.org:8443@evil.example"),
		"a path":                         origin("https://desk.example.org/"),
		"no port after the colon":        origin("https://desk.example.org:"),
		"port 0":                         origin("https://desk.example.org:0"),
		"port with a sign":               origin("https://desk.example.org:+443"),
		"port with zeros":                origin("https://desk.example.org:00443"),
		"a port too high":                origin("https://desk.example.org:65536"),
		"upper case":                     origin("https://DESK.example.org"),
		"nothing":                        origin(""),
		"null":                           origin("null"),
		"an app":                         origin("android:apk-key-hash:AAAA"),
		"in a frame of another site":     {func(a *answer) { a.crossOrigin = true }, "not-valid"},
		"another relying party":          {func(a *answer) { a.rpID = "evil.example" }, "not-valid"},
		"the host as relying party":      {func(a *answer) { a.rpID = "desk.example.org" }, "not-valid"},
		"another challenge":              {func(a *answer) { a.challenge = strings.Repeat("A", 43) }, "not-valid"},
		"no challenge":                   {func(a *answer) { a.challenge = "" }, "not-valid"},
		"nobody present":                 {func(a *answer) { a.flags &^= flagUP }, "not-valid"},
		"backed up but not eligible":     {func(a *answer) { a.flags = a.flags&^flagBE | flagBS }, "not-valid"},
		"ids that differ":                {func(a *answer) { a.rawID = []byte("other") }, "malformed-response"},
		"no id":                          {func(a *answer) { a.id, a.rawID = nil, nil }, "malformed-response"},
	}
}

func TestSignInBypasses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		p, other := f.named("agent"), f.named("user")
		d, others := newDevice(t), newDevice(t)
		f.enrolDevice(d, p)
		f.enrolDevice(others, other)
		attacks := whereFrom()
		for what, a := range map[string]attack{
			"an enrolment's answer":           {func(a *answer) { a.kind = "webauthn.create" }, "not-valid"},
			"a wrong signature":               {func(a *answer) { a.spoilSignature = true }, "not-valid"},
			"another device's key":            {func(a *answer) { a.key = others.key }, "not-valid"},
			"not verified":                    {func(a *answer) { a.flags &^= flagUV }, "not-valid"},
			"no longer eligible for backup":   {func(a *answer) { a.flags &^= flagBE | flagBS }, "not-valid"},
			"another's user handle":           {func(a *answer) { a.handle = others.handle }, "wrong-user-handle"},
			"an unknown user handle":          {func(a *answer) { a.handle = bytes.Repeat([]byte{9}, 16) }, "wrong-user-handle"},
			"no user handle":                  {func(a *answer) { a.handle = nil }, "wrong-user-handle"},
			"an unknown passkey":              {func(a *answer) { a.id = []byte("unknown"); a.rawID = a.id }, "unknown-passkey"},
			"another's passkey, our handle":   {func(a *answer) { a.id, a.rawID = others.id, others.id }, "wrong-user-handle"},
			"our passkey, another's in there": {func(a *answer) { a.key, a.handle = others.key, others.handle }, "wrong-user-handle"},
		} {
			attacks[what] = a
		}
		before := row[string](f, `SELECT MAX(last_used_at) || '/' || MAX(sign_count) FROM passkey`)
		for what, a := range attacks {
			id, verified, err := f.signInWith(d, "", a.change)
			if id != "" || verified || !errors.Is(err, auth.ErrWrong) || auth.FactorReason(err) != a.reason {
				t.Errorf("%s: %q, %t, %v; want ErrWrong because of %s", what, id, verified, err, a.reason)
			}
		}
		if after := row[string](f, `SELECT MAX(last_used_at) || '/' || MAX(sign_count) FROM passkey`); after != before {
			t.Errorf("the passkeys have changed from %s to %s", before, after)
		}
		// After a password the passkey must be that account's.
		if _, _, err := f.signInWith(others, p.ID); auth.FactorReason(err) != "passkey-of-another-account" {
			t.Errorf("another's passkey after a password: %v", err)
		}
		if id, _, err := f.signInWith(d, ""); id != p.ID || err != nil {
			t.Errorf("the right answer after all that: %q, %v", id, err)
		}
		if err := f.SetDisabled(t.Context(), actor, "agent", true); err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.signInWith(d, ""); auth.FactorReason(err) != "unknown-passkey" {
			t.Errorf("a disabled account: %v, want what an unknown passkey gets", err)
		}
	})
}

// A ceremony serves once, for its purpose, its host, its account and two minutes.
func TestCeremonies(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		p, other := f.named("agent"), f.named("user")
		d := newDevice(t)
		f.enrolDevice(d, p)
		f.enrolDevice(newDevice(t), other)
		begin := func(expect string) ([]byte, string) {
			t.Helper()
			options, ceremony, err := f.BeginPasskeySignIn(t.Context(), expect, deskHost, f.now)
			if err != nil {
				t.Fatal(err)
			}
			return options, ceremony
		}
		refused := func(what, host, ceremony string, response []byte, expect string, at time.Time, reason string) {
			t.Helper()
			id, _, err := f.FinishPasskey(t.Context(), host, ceremony, response, expect, at)
			if id != "" || !errors.Is(err, auth.ErrWrong) || auth.FactorReason(err) != reason {
				t.Errorf("%s: %q, %v; want ErrWrong because of %s", what, id, err, reason)
			}
		}
		options, ceremony := begin("")
		response := d.get(options, deskOrigin)
		refused("at another host", "help.example.org", ceremony, response, "", f.now, "ceremony-of-another-host")
		refused("at a host of nobody", "evil.example", ceremony, response, "", f.now, "ceremony-of-another-host")
		refused("after a password", deskHost, ceremony, response, p.ID, f.now, "ceremony-of-another-account")
		refused("after two minutes", deskHost, ceremony, response, "", f.now.Add(2*time.Minute), "expired-ceremony")
		refused("an hour before", deskHost, ceremony, response, "", f.now.Add(-time.Hour), "expired-ceremony")
		for i := 0; i < len(ceremony); i += 17 {
			spoilt := []byte(ceremony)
			spoilt[i] = map[bool]byte{true: 'A', false: 'B'}[spoilt[i] != 'A']
			refused("changed", deskHost, string(spoilt), response, "", f.now, "unknown-ceremony")
		}
		refused("none", deskHost, "", response, "", f.now, "unknown-ceremony")
		refused("huge", deskHost, strings.Repeat("A", 1<<20), response, "", f.now, "unknown-ceremony")
		_, unrelated := begin("")
		refused("another question's", deskHost, unrelated, response, "", f.now, "not-valid")
		if id, _, err := f.FinishPasskey(t.Context(), deskHost, ceremony, response, "", f.now.Add(119*time.Second)); id != p.ID || err != nil {
			t.Errorf("the right answer: %q, %v", id, err)
		}
		refused("again", deskHost, ceremony, response, "", f.now, "replayed-ceremony")
		refused("again with another answer", deskHost, ceremony, d.get(options, deskOrigin), "", f.now, "replayed-ceremony")

		options, ceremony = begin(p.ID)
		refused("another account's", deskHost, ceremony, d.get(options, deskOrigin), other.ID, f.now, "ceremony-of-another-account")
		refused("an account's without a name", deskHost, ceremony, d.get(options, deskOrigin), "", f.now, "ceremony-of-another-account")

		// An enrolment's ceremony is none for a sign-in, nor the other way round.
		create, enrolment, err := f.BeginPasskeyEnrolment(t.Context(), p, deskHost, f.now)
		if err != nil {
			t.Fatal(err)
		}
		refused("an enrolment's", deskHost, enrolment, d.get(create, deskOrigin), p.ID, f.now, "unknown-ceremony")
		fresh := newDevice(t)
		_, _, err = f.FinishPasskeyEnrolment(t.Context(), person, p.ID, deskHost, ceremony, "", fresh.create(create, deskOrigin), f.now)
		if !errors.Is(err, auth.ErrWrong) || auth.FactorReason(err) != "unknown-ceremony" {
			t.Errorf("enrol with a sign-in's ceremony: %v", err)
		}
		// A node with another key, or another purpose of this one, seals nothing that is believed.
		forged := f.Seal("pending", "", []byte(`{}`))
		refused("sealed for another purpose", deskHost, forged, response, "", f.now, "unknown-ceremony")
	})
}

func TestEnrolmentBypasses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		p, other := f.named("agent"), f.named("user")
		theirs := newDevice(t)
		f.enrolDevice(theirs, other)
		big2 := new(big.Int).Lsh(big.NewInt(1), 8*1300)
		huge := newDeviceOf(t, &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: big2, E: 3}}, map[int]any{1: 3, 3: -257, -1: big2.Bytes(), -2: []byte{3}})
		es384 := newDeviceOf(t, nil, map[int]any{1: 2, 3: -35, -1: 2, -2: make([]byte, 48), -3: make([]byte, 48)})
		attacks := whereFrom()
		for what, a := range map[string]attack{
			"a sign-in's answer":           {func(a *answer) { a.kind = "webauthn.get" }, "not-valid"},
			"no key in it":                 {func(a *answer) { a.flags &^= flagAT }, "malformed-response"},
			"an algorithm not asked for":   {func(a *answer) { a.cose = es384.cose }, "not-valid"},
			"a key of more than 8192 bits": {func(a *answer) { a.cose = huge.cose }, "malformed-response"},
			"a made-up attestation":        {func(a *answer) { a.format = "packed" }, "not-valid"},
			"an unknown attestation":       {func(a *answer) { a.format = "x" }, "not-valid"},
			"an id that is too long":       {func(a *answer) { a.id = make([]byte, 1024); a.rawID = a.id }, "malformed-response"},
			"another account's passkey":    {func(a *answer) { a.id, a.rawID = theirs.id, theirs.id }, "known-already"},
		} {
			attacks[what] = a
		}
		n := len(f.entries(0))
		for what, a := range attacks {
			options, ceremony, err := f.BeginPasskeyEnrolment(t.Context(), p, deskHost, f.now)
			if err != nil {
				t.Fatal(err)
			}
			_, codes, err := f.FinishPasskeyEnrolment(t.Context(), person, p.ID, deskHost, ceremony, "", newDevice(t).create(options, deskOrigin, a.change), f.now)
			if codes != nil || auth.FactorReason(err) != a.reason {
				t.Errorf("%s: %v; want it refused because of %s", what, err, a.reason)
			}
		}
		options, ceremony, err := f.BeginPasskeyEnrolment(t.Context(), p, deskHost, f.now)
		if err != nil {
			t.Fatal(err)
		}
		d := newDevice(t)
		finish := func(id, host string, at time.Time, response []byte) error {
			_, _, err := f.FinishPasskeyEnrolment(t.Context(), person, id, host, ceremony, "", response, at)
			return err
		}
		response := d.create(options, deskOrigin)
		for reason, err := range map[string]error{
			"ceremony-of-another-account": finish(other.ID, deskHost, f.now, response),
			"ceremony-of-another-host":    finish(p.ID, "help.example.org", f.now, response),
			"expired-ceremony":            finish(p.ID, deskHost, f.now.Add(2*time.Minute), response),
			"malformed-response":          finish(p.ID, deskHost, f.now, append(response, make([]byte, 1<<16)...)),
		} {
			if !errors.Is(err, auth.ErrWrong) || auth.FactorReason(err) != reason {
				t.Errorf("%v; want ErrWrong because of %s", err, reason)
			}
		}
		if got := f.factors(p.ID); len(got.Passkeys) != 0 || got.RecoveryLeft != 0 || len(f.entries(0)) != n {
			t.Errorf("after all that: %+v, %d journal entries more", got, len(f.entries(0))-n)
		}
		if err := finish(p.ID, deskHost, f.now, response); err != nil {
			t.Errorf("the right answer: %v", err)
		}
		wantErr(t, finish(p.ID, deskHost, f.now, response), auth.ErrWrong, "again")
	})
}

// Two answers to one question, and two uses of one code, at the same moment on two nodes: one of them is first.
func TestOnceAtTheSameMoment(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		p := f.named("agent")
		d := newDevice(t)
		f.enrolDevice(d, p)
		device, _ := f.enrolApp(p)
		codes, _ := f.NewRecoveryCodes(t.Context(), person, p.ID)
		if len(codes) != 10 {
			t.Fatalf("%d recovery codes", len(codes))
		}
		f.now = f.now.Add(time.Minute)
		options, ceremony, err := f.BeginPasskeySignIn(t.Context(), "", deskHost, f.now)
		if err != nil {
			t.Fatal(err)
		}
		response, code := d.get(options, deskOrigin), device.code(f.now)
		for what, try := range map[string]func(a *auth.Auth) bool{
			"ceremony": func(a *auth.Auth) bool {
				_, _, err := a.FinishPasskey(t.Context(), deskHost, ceremony, response, "", f.now)
				return err == nil
			},
			"code of the app": func(a *auth.Auth) bool {
				ok, err := a.CheckTOTP(t.Context(), p.ID, code, f.now)
				return ok && err == nil
			},
			"recovery code": func(a *auth.Auth) bool {
				ok, err := a.UseRecoveryCode(t.Context(), p.ID, codes[0], f.now)
				return ok && err == nil
			},
		} {
			var all sync.WaitGroup
			results := make(chan bool, 16)
			for range cap(results) / 8 {
				node := f.another()
				for range 8 {
					all.Go(func() { results <- try(node) })
				}
			}
			all.Wait()
			close(results)
			good := 0
			for ok := range results {
				if ok {
					good++
				}
			}
			if good != 1 {
				t.Errorf("one %s was good %d times, want once", what, good)
			}
		}
	})
}

// An answer for an unknown passkey, and for a known one with a wrong signature, end the same way after the
// same work: both check a signature.
func TestUnknownPasskeyIsChecked(t *testing.T) {
	f := newFactors(t, storetest.SQLite(t))
	d := newDevice(t)
	f.enrolDevice(d, f.named("agent"))
	_, _, known := f.signInWith(d, "", func(a *answer) { a.spoilSignature = true })
	_, _, unknown := f.signInWith(newDevice(t), "", func(a *answer) { a.handle = d.handle })
	for what, err := range map[string]error{"known": known, "unknown": unknown} {
		if !errors.Is(err, auth.ErrWrong) || !strings.Contains(err.Error(), "Error validating the assertion signature") {
			t.Errorf("%s passkey: %v; want a signature that was checked", what, err)
		}
	}
	// Not even the owner of a device can use it under an id that nobody enrolled.
	id := make([]byte, 32)
	_, _ = rand.Read(id)
	if got, _, err := f.signInWith(d, "", func(a *answer) { a.id, a.rawID = id, id }); got != "" || !errors.Is(err, auth.ErrWrong) {
		t.Errorf("under another id: %q, %v", got, err)
	}
}
