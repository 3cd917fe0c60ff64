package auth

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/doorward/doorward/store"
)

const (
	// ceremonyFor is how long a person may take between the browser's question and the answer.
	ceremonyFor = 2 * time.Minute
	// maxResponse bounds what a browser sends back, in bytes.
	maxResponse = 64 << 10
	// keepUsed is how much longer than it is good for a used ceremony is remembered, for nodes whose clocks differ.
	keepUsed = 10 * time.Minute

	purposeEnrol  = "passkey-enrolment"
	purposeSignIn = "passkey-sign-in"
)

// ceremony is what we must remember between asking a browser for a passkey and its answer. It is sealed
// and given to the browser, so that questions of strangers take no room here; only the ones that led to
// something are written down, so that they serve once (WebAuthn 7.1 step 8, 7.2 step 11, 13.4.3).
type ceremony struct {
	Challenge []byte `json:"challenge"`
	Principal string `json:"principal,omitempty"` // whose passkey; empty: anybody's
	Host      string `json:"host"`
	RPID      string `json:"rp_id"`
	Expires   int64  `json:"expires"` // microseconds
}

// refusedPasskey is ErrWrong with the constant word that says why, for events and logs.
type refusedPasskey struct {
	reason string
	cause  error // may be nil
}

// reasonCloned is the one reason that somebody must look into: two devices have the same key.
const reasonCloned = "counter-went-back"

func (e *refusedPasskey) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("passkey refused: %s: %v", e.reason, e.cause)
	}
	return "passkey refused: " + e.reason
}

func (e *refusedPasskey) Unwrap() error { return ErrWrong }

func refuse(reason string, cause error) error { return &refusedPasskey{reason, cause} }

// sealCeremony makes the ceremony for a question that was just made, and the question's JSON.
func (a *Auth) sealCeremony(purpose string, c ceremony, question any, now time.Time) ([]byte, string, error) {
	options, err := json.Marshal(question)
	if err != nil {
		return nil, "", err
	}
	c.Expires = store.Micros(now.Add(ceremonyFor))
	state, err := json.Marshal(c)
	if err != nil {
		return nil, "", err
	}
	return options, a.secrets.seal(purpose, "", state), nil
}

// openCeremony believes a ceremony only for the purpose, host and account that it was made for, and in time.
func (a *Auth) openCeremony(purpose, host, sealed, principalID string, now time.Time) (ceremony, error) {
	var c ceremony
	state, err := a.secrets.open(purpose, "", sealed)
	if err != nil {
		return c, refuse("unknown-ceremony", err)
	}
	if err := json.Unmarshal(state, &c); err != nil {
		return c, refuse("unknown-ceremony", err)
	}
	left := store.FromMicros(c.Expires).Sub(now)
	switch {
	case left <= 0 || left > ceremonyFor+clockSlack:
		return c, refuse("expired-ceremony", nil)
	case c.Host != host:
		return c, refuse("ceremony-of-another-host", nil)
	case c.Principal != principalID:
		return c, refuse("ceremony-of-another-account", nil)
	}
	return c, nil
}

// useOnce writes down that something which was good once has been used; false if it was before. Rows go
// when what they stand for has expired by itself.
func useOnce(ctx context.Context, tx *sql.Tx, purpose string, what []byte, expires, now time.Time) (bool, error) {
	if _, err := tx.ExecContext(ctx, sqlPruneUsedOnce, store.Micros(now.Add(-keepUsed))); err != nil {
		return false, fmt.Errorf("forget what has expired: %w", err)
	}
	hash := sha256.Sum256(append([]byte(purpose+"\x00"), what...))
	done, err := tx.ExecContext(ctx, sqlUseOnce, hex.EncodeToString(hash[:]), store.Micros(expires))
	if err != nil {
		return false, fmt.Errorf("note that it was used: %w", err)
	}
	n, err := done.RowsAffected()
	return n == 1, err
}

// use is useOnce for the ceremony.
func (c ceremony) use(ctx context.Context, tx *sql.Tx, now time.Time) error {
	first, err := useOnce(ctx, tx, "passkey", c.Challenge, store.FromMicros(c.Expires), now)
	if err == nil && !first {
		err = refuse("replayed-ceremony", nil)
	}
	return err
}

// session is the ceremony as the WebAuthn library knows it.
func (c ceremony) session(handle []byte, verification protocol.UserVerificationRequirement) webauthn.SessionData {
	return webauthn.SessionData{Challenge: protocol.URLEncodedBase64(c.Challenge).String(), RelyingPartyID: c.RPID,
		UserID: handle, UserVerification: verification, CredParams: passkeyAlgorithms()}
}

// webAuthn is the library set up for one ceremony at one origin. No attestation is asked for: it would tell
// the make of the device, and we refuse none. What extensions say that nobody asked for is ignored.
func (a *Auth) webAuthn(rpID, origin string) (*webauthn.WebAuthn, error) {
	timeout := webauthn.TimeoutConfig{Timeout: ceremonyFor, TimeoutUVD: ceremonyFor}
	discoverable := false
	return webauthn.New(&webauthn.Config{RPID: rpID, RPDisplayName: a.cfg.Load().Factors.Name, RPOrigins: []string{origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementPreferred,
			RequireResidentKey: &discoverable, UserVerification: protocol.VerificationPreferred},
		Timeouts:                          webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore})
}

// passkeyAlgorithms are ES256, EdDSA and RS256, in this order of preference.
func passkeyAlgorithms() []protocol.CredentialParameter {
	var list []protocol.CredentialParameter
	for _, alg := range []webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgES256, webauthncose.AlgEdDSA, webauthncose.AlgRS256} {
		list = append(list, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: alg})
	}
	return list
}

// passkeyUser is an account as the WebAuthn library knows it.
type passkeyUser struct {
	handle, name, displayName string
	credentials               []webauthn.Credential
}

func (u passkeyUser) WebAuthnID() []byte                         { return []byte(u.handle) }
func (u passkeyUser) WebAuthnName() string                       { return u.name }
func (u passkeyUser) WebAuthnDisplayName() string                { return u.displayName }
func (u passkeyUser) WebAuthnCredentials() []webauthn.Credential { return u.credentials }

// userHandle is what passkeys know an account by: the 16 bytes of its id, which say nothing about the person
// (WebAuthn 14.6.1).
func userHandle(principalID string) (string, error) {
	id, err := uuid.Parse(principalID)
	if err != nil {
		return "", fmt.Errorf("account id: %w", err)
	}
	return string(id[:]), nil
}
