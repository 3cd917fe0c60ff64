package real

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/go-rod/rod/lib/proto"
)

// AddAuthenticator gives the tab a passkey device: built in, with a fingerprint reader that agrees until it is told otherwise.
func (p *Page) AddAuthenticator() proto.WebAuthnAuthenticatorID {
	p.t.Helper()
	if err := (proto.WebAuthnEnable{}).Call(p); err != nil {
		p.t.Fatalf("enable virtual authenticators: %v", err)
	}
	added, err := proto.WebAuthnAddVirtualAuthenticator{Options: &proto.WebAuthnVirtualAuthenticatorOptions{
		Protocol: proto.WebAuthnAuthenticatorProtocolCtap2, Transport: proto.WebAuthnAuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true}}.Call(p)
	if err != nil {
		p.t.Fatalf("add a virtual authenticator: %v", err)
	}
	return added.AuthenticatorID
}

// Code is what an authenticator app with the secret shows now, or some steps of 30 seconds later (RFC 6238). It is worked out by
// hand: the library that Doorward checks codes with would agree with itself. The code of the step before is taken as long as its next
// one lasts, so that for it Code waits for a new step near the end of one.
func Code(t testing.TB, secret string, steps int64) string {
	t.Helper()
	const step = 30 * time.Second
	if left := step - time.Duration(time.Now().UnixNano())%step; steps < 0 && left < 8*time.Second {
		time.Sleep(left)
	}
	key, err := base32.StdEncoding.DecodeString(secret)
	if err != nil {
		t.Fatalf("secret %q: %v", secret, err)
	}
	mac := hmac.New(sha1.New, key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()/30+steps)))
	sum := mac.Sum(nil)
	number := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&15:]) & 0x7fffffff
	return fmt.Sprintf("%06d", number%1_000_000)
}
