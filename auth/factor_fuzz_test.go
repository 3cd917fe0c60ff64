package auth_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store/storetest"
)

// FuzzPasskeyAnswer: whatever a stranger sends with a ceremony of ours, nobody is signed in and the error is one that
// callers know.
func FuzzPasskeyAnswer(f *testing.F) {
	x := newFactors(f, storetest.SQLite(f))
	d := newDevice(f)
	x.enrolDevice(d, x.named("agent"))
	options, ceremony, err := x.BeginPasskeySignIn(f.Context(), "", deskHost, x.now)
	if err != nil {
		f.Fatal(err)
	}
	good := d.get(options, deskOrigin, func(a *answer) { a.spoilSignature = true })
	f.Add(good)
	f.Add(d.get(options, deskOrigin, func(a *answer) { a.handle = nil }))
	f.Add(newDevice(f).get(options, deskOrigin))
	f.Add([]byte(`{}`))
	f.Add([]byte(strings.Repeat(`{"id":`, 1000)))
	f.Fuzz(func(t *testing.T, response []byte) {
		id, _, err := x.FinishPasskey(t.Context(), deskHost, ceremony, response, "", x.now)
		if id != "" || !errors.Is(err, auth.ErrWrong) {
			t.Errorf("%q: signed in as %q, %v; want ErrWrong", response, id, err)
		}
	})
}

// FuzzPasskeyEnrolment: whatever a person's browser sends ends in a passkey or in an error that callers know.
func FuzzPasskeyEnrolment(f *testing.F) {
	x := newFactors(f, storetest.SQLite(f))
	p := x.named("agent")
	options, ceremony, err := x.BeginPasskeyEnrolment(f.Context(), p, deskHost, x.now)
	if err != nil {
		f.Fatal(err)
	}
	for _, d := range []*device{newDevice(f), newEd25519Device(f), newRSADevice(f)} {
		f.Add(d.create(options, deskOrigin, func(a *answer) { a.origin = "https://evil.example" }))
	}
	f.Add(newDevice(f).create(options, deskOrigin, func(a *answer) { a.format = "packed" }))
	f.Add(newDevice(f).create(options, deskOrigin, func(a *answer) { a.cose = []byte{0xa1, 1, 2} }))
	f.Fuzz(func(t *testing.T, response []byte) {
		_, _, err := x.FinishPasskeyEnrolment(t.Context(), person, p.ID, deskHost, ceremony, "x", response, x.now)
		if err != nil && !errors.Is(err, auth.ErrWrong) && !errors.Is(err, auth.ErrExists) && !errors.Is(err, auth.ErrTooManyPasskeys) {
			t.Errorf("%q: %v", response, err)
		}
	})
}

// FuzzCeremony: no text but our own is a ceremony.
func FuzzCeremony(f *testing.F) {
	x := newFactors(f, storetest.SQLite(f))
	d := newDevice(f)
	x.enrolDevice(d, x.named("agent"))
	options, ceremony, err := x.BeginPasskeySignIn(f.Context(), "", deskHost, x.now)
	if err != nil {
		f.Fatal(err)
	}
	response := d.get(options, deskOrigin)
	f.Add(ceremony[:len(ceremony)-1])
	f.Add(ceremony[1:])
	f.Add("")
	f.Add(x.Seal("passkey-enrolment", "", []byte(`{"host":"desk.example.org"}`)))
	f.Fuzz(func(t *testing.T, sealed string) {
		if sealed == ceremony {
			t.Skip()
		}
		id, _, err := x.FinishPasskey(t.Context(), deskHost, sealed, response, "", x.now)
		if id != "" || auth.FactorReason(err) != "unknown-ceremony" {
			t.Errorf("%q: signed in as %q, %v", sealed, id, err)
		}
	})
}

// FuzzCode: what is read from a typed code has exactly the alphabet and length of a code, and reading it again changes nothing.
func FuzzCode(f *testing.F) {
	f.Add("123 456")
	f.Add("１２３４５６")
	f.Add("abcd-efgh-jkmn-pqrs-tvwx-yz01")
	f.Add("oooo-iiii-llll-uuuu-0000-1111")
	f.Add("\x00\xff€")
	f.Fuzz(func(t *testing.T, typed string) {
		if code, ok := auth.TOTPInput(typed); ok {
			if again, ok := auth.TOTPInput(code); !ok || again != code || len(code) != 6 || strings.Trim(code, "0123456789") != "" {
				t.Errorf("%q is read as %q, then as %q", typed, code, again)
			}
		}
		if code, ok := auth.RecoveryInput(typed); ok {
			if again, ok := auth.RecoveryInput(code); !ok || again != code || len(code) != 24 || strings.Trim(code, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") != "" {
				t.Errorf("%q is read as %q, then as %q", typed, code, again)
			}
		}
	})
}
