package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math/big"
	"slices"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	"github.com/doorward/doorward/auth"
)

// The flags of authenticator data (WebAuthn 6.1).
const (
	flagUP = 1 << 0
	flagUV = 1 << 2
	flagBE = 1 << 3
	flagBS = 1 << 4
	flagAT = 1 << 6
)

// device is an authenticator with the browser around it: it makes one passkey and answers for it. The tests
// change its answers to what an attacker would send.
type device struct {
	t       testing.TB
	id      []byte
	key     crypto.Signer
	cose    []byte
	handle  []byte
	counter uint32
	flags   byte
	aaguid  [16]byte
}

// newDevice is a synced passkey's device: it verifies its owner and does not count.
func newDevice(t testing.TB) *device {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return newDeviceOf(t, key, map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
}

func newDeviceOf(t testing.TB, key crypto.Signer, cose map[int]any) *device {
	t.Helper()
	d := &device{t: t, id: make([]byte, 32), key: key, flags: flagUP | flagUV | flagBE | flagBS}
	_, _ = rand.Read(d.id)
	var err error
	if d.cose, err = webauthncbor.Marshal(cose); err != nil {
		t.Fatal(err)
	}
	return d
}

// newSecurityKey counts, has no PIN and keeps its key to itself.
func newSecurityKey(t testing.TB) *device {
	d := newDevice(t)
	d.flags, d.counter = flagUP, 7
	return d
}

func newEd25519Device(t testing.TB) *device {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newDeviceOf(t, key, map[int]any{1: 1, 3: -8, -1: 6, -2: []byte(public)})
}

func newRSADevice(t testing.TB) *device {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return newDeviceOf(t, key, map[int]any{1: 3, 3: -257, -1: key.N.Bytes(), -2: big.NewInt(int64(key.E)).Bytes()})
}

// question is what a page gets to ask the browser.
type question struct {
	PublicKey struct {
		Challenge string `json:"challenge"`
		RPID      string `json:"rpId"`
		RP        struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"rp"`
		User struct {
			ID          string `json:"id"`
			Name        string `json:"name"`
			DisplayName string `json:"displayName"`
		} `json:"user"`
		Timeout                int                                            `json:"timeout"`
		Attestation            string                                         `json:"attestation"`
		UserVerification       string                                         `json:"userVerification"`
		AuthenticatorSelection struct{ ResidentKey, UserVerification string } `json:"authenticatorSelection"`
		PubKeyCredParams       []struct{ Alg int }                            `json:"pubKeyCredParams"`
		AllowCredentials       []struct{ ID string }                          `json:"allowCredentials"`
		ExcludeCredentials     []struct{ ID string }                          `json:"excludeCredentials"`
	} `json:"publicKey"`
}

func readQuestion(t testing.TB, options []byte) question {
	t.Helper()
	var q question
	if err := json.Unmarshal(options, &q); err != nil {
		t.Fatalf("options %s: %v", options, err)
	}
	return q
}

// answer is what the browser and the device put together; a test changes it before it is made to JSON.
type answer struct {
	kind, challenge, origin string
	crossOrigin             bool
	rpID                    string
	flags                   byte
	counter                 uint32
	id, rawID, handle       []byte
	key                     crypto.Signer
	cose                    []byte
	format                  string
	transports              []string
	attachment              string
	extensions              map[string]any
	spoilSignature          bool
}

func (d *device) answer(q question, origin string) answer {
	rpID := q.PublicKey.RPID
	if rpID == "" {
		rpID = q.PublicKey.RP.ID
	}
	return answer{challenge: q.PublicKey.Challenge, origin: origin, rpID: rpID, flags: d.flags, counter: d.counter,
		id: d.id, rawID: d.id, handle: d.handle, key: d.key, cose: d.cose, format: "none", transports: []string{"internal", "hybrid"}, attachment: "platform"}
}

// create answers navigator.credentials.create.
func (d *device) create(options []byte, origin string, change ...func(*answer)) []byte {
	d.t.Helper()
	q := readQuestion(d.t, options)
	handle, err := base64.RawURLEncoding.DecodeString(q.PublicKey.User.ID)
	if err != nil {
		d.t.Fatal(err)
	}
	d.handle = handle
	a := d.answer(q, origin)
	a.kind = "webauthn.create"
	a.flags |= flagAT
	for _, f := range change {
		f(&a)
	}
	data := a.data()
	if a.flags&flagAT != 0 {
		data = append(data, d.aaguid[:]...)
		data = binary.BigEndian.AppendUint16(data, uint16(len(a.id)))
		data = append(append(data, a.id...), a.cose...)
	}
	object, err := webauthncbor.Marshal(map[string]any{"fmt": a.format, "attStmt": map[string]any{}, "authData": data})
	if err != nil {
		d.t.Fatal(err)
	}
	return a.json(d.t, map[string]any{"attestationObject": b64(object), "transports": a.transports})
}

// get answers navigator.credentials.get.
func (d *device) get(options []byte, origin string, change ...func(*answer)) []byte {
	d.t.Helper()
	if d.counter > 0 {
		d.counter++
	}
	a := d.answer(readQuestion(d.t, options), origin)
	a.kind = "webauthn.get"
	for _, f := range change {
		f(&a)
	}
	data := a.data()
	hash := sha256.Sum256(a.clientData(d.t))
	signature := sign(d.t, a.key, append(slices.Clone(data), hash[:]...))
	if a.spoilSignature {
		signature[len(signature)-1] ^= 1
	}
	response := map[string]any{"authenticatorData": b64(data), "signature": b64(signature)}
	if a.handle != nil {
		response["userHandle"] = b64(a.handle)
	}
	return a.json(d.t, response)
}

func sign(t testing.TB, key crypto.Signer, data []byte) []byte {
	t.Helper()
	digest, hash := data, crypto.Hash(0)
	if _, ok := key.(ed25519.PrivateKey); !ok {
		sum := sha256.Sum256(data)
		digest, hash = sum[:], crypto.SHA256
	}
	signature, err := key.Sign(rand.Reader, digest, hash)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func (a *answer) data() []byte {
	hash := sha256.Sum256([]byte(a.rpID))
	return binary.BigEndian.AppendUint32(append(hash[:], a.flags), a.counter)
}

func (a *answer) clientData(t testing.TB) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"type": a.kind, "challenge": a.challenge, "origin": a.origin, "crossOrigin": a.crossOrigin})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (a *answer) json(t testing.TB, response map[string]any) []byte {
	t.Helper()
	response["clientDataJSON"] = b64(a.clientData(t))
	if a.extensions == nil {
		a.extensions = map[string]any{}
	}
	text, err := json.Marshal(map[string]any{"id": b64(a.id), "rawId": b64(a.rawID), "type": "public-key",
		"authenticatorAttachment": a.attachment, "clientExtensionResults": a.extensions, "response": response})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// The first host and the origin that a browser has there.
const (
	deskHost   = "desk.example.org"
	deskOrigin = "https://desk.example.org:8443"
)

// enrolDevice gives an account a passkey of the device at the first host.
func (f *fixture) enrolDevice(d *device, p auth.Principal, change ...func(*answer)) auth.PasskeyInfo {
	f.t.Helper()
	options, ceremony, err := f.BeginPasskeyEnrolment(f.t.Context(), p, deskHost, f.now)
	if err != nil {
		f.t.Fatal(err)
	}
	info, _, err := f.FinishPasskeyEnrolment(f.t.Context(), person, p.ID, deskHost, ceremony, "", d.create(options, deskOrigin, change...), f.now)
	if err != nil {
		f.t.Fatal(err)
	}
	return info
}
