package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store/storetest"
)

// parts takes a browser's answer apart, so that what is inside can be fuzzed and not only its base64.
func parts(t testing.TB, answer []byte) (a struct {
	Response map[string]any `json:"response"`
	RawID    string         `json:"rawId"`
}) {
	t.Helper()
	if err := json.Unmarshal(answer, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func unb64(t testing.TB, v any) []byte {
	t.Helper()
	text, _ := v.(string)
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzPasskeyAnswer: whatever a stranger sends with a ceremony of ours, as a whole or inside, nobody is signed
// in and the error is one that callers know.
func FuzzPasskeyAnswer(f *testing.F) {
	x := newFactors(f, storetest.SQLite(f))
	d := newDevice(f)
	x.enrolDevice(d, x.named("agent"))
	options, ceremony, err := x.BeginPasskeySignIn(f.Context(), "", deskHost, x.now)
	if err != nil {
		f.Fatal(err)
	}
	for _, change := range []func(*answer){
		func(a *answer) { a.spoilSignature = true }, func(a *answer) { a.handle = nil }, func(a *answer) { a.origin = "null" },
		func(a *answer) { a.flags |= 0xc0 },
	} {
		whole := d.get(options, deskOrigin, change)
		r := parts(f, whole).Response
		f.Add(whole, unb64(f, r["clientDataJSON"]), unb64(f, r["authenticatorData"]), unb64(f, r["signature"]), d.handle)
	}
	f.Add([]byte(strings.Repeat(`{"id":`, 1000)), []byte(strings.Repeat("[", 1000)), []byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, whole, client, data, signature, handle []byte) {
		inside, err := json.Marshal(map[string]any{"id": b64(d.id), "rawId": b64(d.id), "type": "public-key", "response": map[string]string{
			"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature), "userHandle": b64(handle)}})
		if err != nil {
			t.Fatal(err)
		}
		for _, response := range [][]byte{whole, inside} {
			id, _, err := x.FinishPasskey(t.Context(), deskHost, ceremony, response, "", x.now)
			if id != "" || !errors.Is(err, auth.ErrWrong) {
				t.Errorf("%q: signed in as %q, %v; want ErrWrong", response, id, err)
			}
		}
	})
}

// FuzzPasskeyEnrolment: whatever a person's browser sends, as a whole or inside, ends in a passkey or in an error that
// callers know.
func FuzzPasskeyEnrolment(f *testing.F) {
	x := newFactors(f, storetest.SQLite(f))
	p := x.named("agent")
	options, ceremony, err := x.BeginPasskeyEnrolment(f.Context(), p, deskHost, x.now)
	if err != nil {
		f.Fatal(err)
	}
	add := func(d *device, change func(*answer)) {
		whole := d.create(options, deskOrigin, change)
		a := parts(f, whole)
		f.Add(whole, unb64(f, a.RawID), unb64(f, a.Response["clientDataJSON"]), unb64(f, a.Response["attestationObject"]))
	}
	for _, d := range []*device{newDevice(f), newEd25519Device(f), newRSADevice(f)} {
		add(d, func(a *answer) { a.flags &^= flagUP })
	}
	for _, format := range []string{"packed", "tpm", "android-key", "android-safetynet", "fido-u2f", "apple", "compound"} {
		add(newDevice(f), func(a *answer) { a.format = format })
	}
	add(newDevice(f), func(a *answer) { a.cose = []byte{0xa1, 1, 2} })
	f.Fuzz(func(t *testing.T, whole, id, client, object []byte) {
		inside, err := json.Marshal(map[string]any{"id": b64(id), "rawId": b64(id), "type": "public-key", "response": map[string]any{
			"clientDataJSON": b64(client), "attestationObject": b64(object), "transports": []string{"usb"}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, response := range [][]byte{whole, inside} {
			_, _, err := x.FinishPasskeyEnrolment(t.Context(), person, p.ID, deskHost, ceremony, "x", response, x.now)
			if err != nil && !errors.Is(err, auth.ErrWrong) && !errors.Is(err, auth.ErrExists) && !errors.Is(err, auth.ErrTooManyPasskeys) {
				t.Errorf("%q: %v", response, err)
			}
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
