package auth_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store/storetest"
)

// placeholder stands in fuzzed client data for the challenge of the run, which no fuzzer could guess.
const placeholder = "the challenge"

func clientData(kind, origin string) []byte {
	return []byte(`{"type":"` + kind + `","challenge":"` + placeholder + `","origin":"` + origin + `","crossOrigin":false}`)
}

// FuzzPasskeyAnswer: whatever a stranger sends with a ceremony of ours, nobody is signed in and the error is one
// that callers know. With sound the device itself has signed it: then it may be right, if the device has verified its owner.
func FuzzPasskeyAnswer(f *testing.F) {
	x := newFactors(f, storetest.SQLite(f))
	p, d := x.named("agent"), newDevice(f)
	x.enrolDevice(d, p)
	right := sha256.Sum256([]byte("example.org"))
	data := append(right[:], flagUP|flagUV|flagBE|flagBS, 0, 0, 0, 0)
	f.Add(clientData("webauthn.get", deskOrigin), data, []byte{}, true, true)
	f.Add(clientData("webauthn.get", deskOrigin), data, []byte("0123456789abcdef"), false, true)
	f.Add(clientData("webauthn.get", "https://evil.example"), data, []byte{}, true, true)
	f.Add(clientData("webauthn.create", deskOrigin), append(data[:32:32], 0xc5, 0, 0, 0, 0), []byte{}, true, false)
	f.Add([]byte(strings.Repeat("[", 1000)), []byte{}, []byte{}, false, false)
	f.Fuzz(func(t *testing.T, client, data, handle []byte, own, sound bool) {
		options, ceremony, err := x.BeginPasskeySignIn(t.Context(), "", deskHost, x.now)
		if err != nil {
			t.Fatal(err)
		}
		client = bytes.ReplaceAll(client, []byte(placeholder), []byte(readQuestion(t, options).PublicKey.Challenge))
		if own {
			handle = d.handle
		}
		hash := sha256.Sum256(client)
		signature := handle
		if sound {
			signature = sign(t, d.key, append(slices.Clone(data), hash[:]...))
		}
		response, err := json.Marshal(map[string]any{"id": b64(d.id), "rawId": b64(d.id), "type": "public-key", "response": map[string]string{
			"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature), "userHandle": b64(handle)}})
		if err != nil {
			t.Fatal(err)
		}
		id, verified, err := x.FinishPasskey(t.Context(), deskHost, ceremony, response, "", x.now)
		may := sound && own && bytes.HasPrefix(data, right[:]) && len(data) > 32 && data[32]&(flagUP|flagUV) == flagUP|flagUV
		if err == nil && (!may || id != p.ID || !verified) || err != nil && (id != "" || !errors.Is(err, auth.ErrWrong)) {
			t.Errorf("%s: signed in as %q, %t, %v; it may be: %t", response, id, verified, err, may)
		}
	})
}

// FuzzPasskeyEnrolment: whatever a person's browser sends ends in a passkey or in an error that callers know.
func FuzzPasskeyEnrolment(f *testing.F) {
	x := newFactors(f, storetest.SQLite(f))
	p := x.named("agent")
	options, _, err := x.BeginPasskeyEnrolment(f.Context(), p, deskHost, x.now)
	if err != nil {
		f.Fatal(err)
	}
	add := func(d *device, change func(*answer)) {
		var whole struct {
			Response struct{ AttestationObject string }
		}
		if err := json.Unmarshal(d.create(options, deskOrigin, change), &whole); err != nil {
			f.Fatal(err)
		}
		object, err := base64.RawURLEncoding.DecodeString(whole.Response.AttestationObject)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(d.id, clientData("webauthn.create", deskOrigin), object)
	}
	for _, d := range []*device{newDevice(f), newEd25519Device(f), newRSADevice(f)} {
		add(d, func(*answer) {})
	}
	for _, format := range []string{"packed", "tpm", "android-key", "android-safetynet", "fido-u2f", "apple", "compound"} {
		add(newDevice(f), func(a *answer) { a.format = format })
	}
	add(newDevice(f), func(a *answer) { a.cose = []byte{0xa1, 1, 2} })
	f.Fuzz(func(t *testing.T, id, client, object []byte) {
		options, ceremony, err := x.BeginPasskeyEnrolment(t.Context(), p, deskHost, x.now)
		if err != nil {
			t.Fatal(err)
		}
		client = bytes.ReplaceAll(client, []byte(placeholder), []byte(readQuestion(t, options).PublicKey.Challenge))
		response, err := json.Marshal(map[string]any{"id": b64(id), "rawId": b64(id), "type": "public-key", "response": map[string]any{
			"clientDataJSON": b64(client), "attestationObject": b64(object), "transports": []string{"usb"}}})
		if err != nil {
			t.Fatal(err)
		}
		info, _, err := x.FinishPasskeyEnrolment(t.Context(), person, p.ID, deskHost, ceremony, "x", response, x.now)
		if err != nil && !errors.Is(err, auth.ErrWrong) {
			t.Errorf("%s: %v", response, err)
		}
		if err == nil {
			if err := x.RemovePasskey(t.Context(), person, p.ID, info.ID, auth.PasswordLevel); err != nil {
				t.Errorf("remove it again: %v", err)
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
