package pages_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/pquerna/otp/hotp"

	"github.com/doorward/doorward/auth"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// app is an authenticator app.
type app struct {
	t      testing.TB
	secret []byte
}

// newApp waits for the next step where this one is about to end: which codes were used already must not change on the way.
func newApp(t testing.TB, secret string) app {
	t.Helper()
	const step = 30 * time.Second
	if left := step - time.Duration(time.Now().UnixNano())%step; left < 6*time.Second {
		time.Sleep(left)
	}
	b, err := base32.StdEncoding.DecodeString(secret)
	if err != nil || len(b) == 0 {
		t.Fatalf("secret %q: %v", secret, err)
	}
	return app{t, b}
}

// code is what the app shows some steps from now.
func (a app) code(steps int64) string {
	a.t.Helper()
	code, err := hotp.GenerateCode(base32.StdEncoding.EncodeToString(a.secret), uint64(time.Now().Unix()/30+steps))
	if err != nil {
		a.t.Fatal(err)
	}
	return code
}

// enrolApp gives an account an app, with the code of the step before, and returns the recovery codes too.
func (s *site) enrolApp(name string) (app, []string) {
	s.t.Helper()
	p := s.person(name)
	e, err := s.auth.BeginTOTP(s.t.Context(), p)
	if err != nil {
		s.t.Fatal(err)
	}
	a := newApp(s.t, e.Secret)
	codes, err := s.auth.ConfirmTOTP(s.t.Context(), auth.Actor{Name: name, Origin: "local"}, p.ID, a.code(-1), time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	return a, codes
}

// device is an authenticator with the browser around it: it verifies its owner and has one synced passkey.
type device struct {
	t      testing.TB
	id     []byte
	key    *ecdsa.PrivateKey
	handle []byte
}

func newDevice(t testing.TB) *device {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := &device{t: t, id: make([]byte, 32), key: key}
	_, _ = rand.Read(d.id)
	return d
}

type question struct {
	PublicKey struct {
		Challenge string `json:"challenge"`
		RPID      string `json:"rpId"`
		RP        struct {
			ID string `json:"id"`
		} `json:"rp"`
		User struct {
			ID string `json:"id"`
		} `json:"user"`
	} `json:"publicKey"`
}

func (d *device) read(options []byte) (q question) {
	d.t.Helper()
	if err := json.Unmarshal(options, &q); err != nil {
		d.t.Fatalf("options %s: %v", options, err)
	}
	return q
}

func (d *device) authData(rpID string, flags byte) []byte {
	const verifiedAndSynced = 1<<0 | 1<<2 | 1<<3 | 1<<4
	hash := sha256.Sum256([]byte(rpID))
	return binary.BigEndian.AppendUint32(append(hash[:], flags|verifiedAndSynced), 0)
}

func (d *device) json(kind, challenge string, response map[string]any) (text, clientData []byte) {
	d.t.Helper()
	clientData = d.marshal(map[string]any{"type": kind, "challenge": challenge, "origin": "https://" + host, "crossOrigin": false})
	response["clientDataJSON"] = b64(clientData)
	return d.marshal(map[string]any{"id": b64(d.id), "rawId": b64(d.id), "type": "public-key",
		"clientExtensionResults": map[string]any{}, "response": response}), clientData
}

func (d *device) marshal(v any) []byte {
	d.t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		d.t.Fatal(err)
	}
	return text
}

// create answers navigator.credentials.create.
func (d *device) create(options []byte) []byte {
	d.t.Helper()
	q := d.read(options)
	var err error
	if d.handle, err = base64.RawURLEncoding.DecodeString(q.PublicKey.User.ID); err != nil {
		d.t.Fatal(err)
	}
	point, err := d.key.PublicKey.Bytes()
	if err != nil {
		d.t.Fatal(err)
	}
	cose, err := webauthncbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	if err != nil {
		d.t.Fatal(err)
	}
	data := append(d.authData(q.PublicKey.RP.ID, 1<<6), make([]byte, 16)...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(d.id)))
	data = append(append(data, d.id...), cose...)
	object, err := webauthncbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	if err != nil {
		d.t.Fatal(err)
	}
	text, _ := d.json("webauthn.create", q.PublicKey.Challenge, map[string]any{"attestationObject": b64(object), "transports": []string{"internal"}})
	return text
}

// get answers navigator.credentials.get.
func (d *device) get(options []byte) []byte {
	d.t.Helper()
	q := d.read(options)
	data := d.authData(q.PublicKey.RPID, 0)
	response := map[string]any{"authenticatorData": b64(data), "userHandle": b64(d.handle)}
	_, clientData := d.json("webauthn.get", q.PublicKey.Challenge, response)
	hash := sha256.Sum256(clientData)
	digest := sha256.Sum256(append(slices.Clone(data), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, d.key, digest[:])
	if err != nil {
		d.t.Fatal(err)
	}
	response["signature"] = b64(signature)
	text, _ := d.json("webauthn.get", q.PublicKey.Challenge, response)
	return text
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
