package auth

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/doorward/doorward/store"
)

// maxPublicKey bounds a passkey's public key in bytes. RSA with 8192 bits needs 1,040; a longer one would let
// whoever enrolled it buy our processor time with each sign-in.
const maxPublicKey = 1200

// BeginPasskeyEnrolment asks p's browser to make a passkey at host: options is the JSON for
// navigator.credentials.create (an object with publicKey), ceremony goes back to FinishPasskeyEnrolment
// within two minutes. The errors are ErrNoPasskeys, ErrTooManyPasskeys and ErrUnavailable.
func (a *Auth) BeginPasskeyEnrolment(ctx context.Context, p Principal, host string, now time.Time) (options []byte, ceremony string, err error) {
	options, ceremony, err = a.beginEnrolment(ctx, p, host, now)
	if err != nil {
		return nil, "", fmt.Errorf("begin passkey enrolment: %w", a.storeError(err))
	}
	return options, ceremony, nil
}

func (a *Auth) beginEnrolment(ctx context.Context, p Principal, host string, now time.Time) ([]byte, string, error) {
	rpID, err := a.rpIDAt(ctx, host, now)
	if err != nil {
		return nil, "", err
	}
	have, err := readPasskeys(ctx, a.db, p.ID)
	if err != nil {
		return nil, "", err
	}
	if len(have) >= maxPasskeys {
		return nil, "", ErrTooManyPasskeys
	}
	user := passkeyUser{name: cut(p.Name, maxLabel), displayName: cut(p.DisplayName, maxLabel)}
	if user.displayName == "" {
		user.displayName = user.name
	}
	if user.handle, err = userHandle(p.ID); err != nil {
		return nil, "", err
	}
	var known []protocol.CredentialDescriptor
	for _, k := range have {
		credential := k.credential()
		known = append(known, credential.Descriptor())
	}
	w, err := a.webAuthn(rpID, "https://"+host)
	if err != nil {
		return nil, "", err
	}
	creation, _, err := w.BeginRegistration(user, webauthn.WithCredentialParameters(passkeyAlgorithms()), webauthn.WithExclusions(known))
	if err != nil {
		return nil, "", err
	}
	c := ceremony{Challenge: creation.Response.Challenge, Principal: p.ID, Host: host, RPID: rpID}
	return a.sealCeremony(purposeEnrol, c, creation, now)
}

// FinishPasskeyEnrolment stores the passkey that the browser made for the account. response is the JSON of the
// PublicKeyCredential, name what the person calls it. If the account has no recovery codes left, it
// gets new ones, which are returned to be shown once. The errors are ErrWrong (the response is not what was asked
// for, or too late), ErrExists (the passkey is enrolled already), *InputError, ErrNoPasskeys, ErrTooManyPasskeys, ErrNotFound and
// ErrUnavailable.
func (a *Auth) FinishPasskeyEnrolment(ctx context.Context, by Actor, principalID, host, ceremony, name string, response []byte,
	now time.Time) (info PasskeyInfo, recovery []string, err error) {
	p, owner, recovery, err := a.finishEnrolment(ctx, by, principalID, host, ceremony, name, response, now)
	if err != nil {
		err = a.storeError(err)
		a.recordFactor("factor-add", by, owner.Name, "passkey", err)
		return PasskeyInfo{}, nil, fmt.Errorf("finish passkey enrolment: %w", err)
	}
	a.relying.fixed.Store(nil)
	a.recordFactor("factor-add", by, owner.Name, p.kind(), nil)
	return p.info(), recovery, nil
}

func (a *Auth) finishEnrolment(ctx context.Context, by Actor, principalID, host, sealed, name string, response []byte,
	now time.Time) (p passkey, owner Principal, recovery []string, err error) {
	made, err := a.checkEnrolment(principalID, host, sealed, name, response, now)
	if err != nil {
		return p, owner, nil, err
	}
	err = a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		owner, recovery, err = a.storeEnrolment(ctx, tx, by, made, now)
		return err
	})
	return made.passkey, owner, recovery, err
}

// newPasskey is a passkey that a browser has made as it was asked to, not stored yet.
type newPasskey struct {
	passkey
	ceremony  ceremony
	aaguid    []byte
	recovered bool // at a sign-in with a recovery code: it may stand in for a lost one
}

// checkEnrolment judges all of an enrolment that does not depend on the store.
func (a *Auth) checkEnrolment(principalID, host, sealed, name string, response []byte, now time.Time) (n newPasskey, err error) {
	if name, err = passkeyName(name); err != nil {
		return n, err
	}
	if n.ceremony, err = a.openCeremony(purposeEnrol, host, sealed, principalID, now); err != nil {
		return n, err
	}
	made, err := a.verifyEnrolment(n.ceremony, response)
	if err != nil {
		return n, err
	}
	n.aaguid = made.Authenticator.AAGUID
	n.passkey = passkey{principalID: principalID, credentialID: made.ID, publicKey: made.PublicKey, name: name,
		transports: knownTransports(made.Transport), attachment: string(made.Authenticator.Attachment),
		signCount: made.Authenticator.SignCount, userVerified: made.Flags.UserVerified,
		eligible: made.Flags.BackupEligible, backedUp: made.Flags.BackupState, created: now.UTC().Truncate(time.Microsecond)}
	n.id, err = store.NewID()
	return n, err
}

// verifyEnrolment judges the browser's answer (WebAuthn 7.1).
func (a *Auth) verifyEnrolment(c ceremony, response []byte) (*webauthn.Credential, error) {
	if len(response) > maxResponse {
		return nil, refuse("malformed-response", errors.New("too long"))
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return nil, refuse("malformed-response", err)
	}
	if n := len(parsed.Response.AttestationObject.AuthData.AttData.CredentialPublicKey); n > maxPublicKey {
		return nil, refuse("malformed-response", fmt.Errorf("public key of %d bytes", n))
	}
	origin := parsed.Response.CollectedClientData.Origin
	if !originAt(origin, c.Host) {
		return nil, refuse("wrong-origin", nil)
	}
	user := passkeyUser{}
	if user.handle, err = userHandle(c.Principal); err != nil {
		return nil, err
	}
	w, err := a.webAuthn(c.RPID, origin)
	if err != nil {
		return nil, err
	}
	made, err := w.CreateCredential(user, c.session(user.WebAuthnID(), protocol.VerificationPreferred), parsed)
	if err != nil {
		return nil, refuse("not-valid", err)
	}
	if len(made.ID) == 0 {
		return nil, refuse("malformed-response", errors.New("empty credential id"))
	}
	return made, nil
}

func (a *Auth) storeEnrolment(ctx context.Context, tx *sql.Tx, by Actor, made newPasskey,
	now time.Time) (owner Principal, recovery []string, err error) {
	p, c := made.passkey, made.ceremony
	if owner, err = factorOwner(ctx, tx, p.principalID); err != nil {
		return owner, nil, err
	}
	if err := c.use(ctx, tx, now); err != nil {
		return owner, nil, err
	}
	have, err := readPasskeys(ctx, tx, p.principalID)
	if err != nil {
		return owner, nil, err
	}
	if len(have) >= maxPasskeys {
		return owner, nil, ErrTooManyPasskeys
	}
	var taken int
	if err := tx.QueryRowContext(ctx, sqlCredentialTaken, hex.EncodeToString(p.credentialID)).Scan(&taken); err != nil {
		return owner, nil, fmt.Errorf("look for the passkey: %w", err)
	}
	if taken > 0 {
		return owner, nil, ErrExists
	}
	if err := fixRPID(ctx, tx, c.RPID); err != nil {
		return owner, nil, err
	}
	if err := insertPasskey(ctx, tx, p, made.aaguid); err != nil {
		return owner, nil, err
	}
	if recovery, err = a.recoveryIfNone(ctx, tx, p.principalID, now); err != nil {
		return owner, nil, err
	}
	told, note := "added", factorNote{Kind: p.kind(), Passkey: p.id, Name: p.name}
	if made.recovered {
		told, note.By = "recovered", "recovery-code"
	}
	if err := a.tellFactor(ctx, tx, owner, told, "passkey", now); err != nil {
		return owner, nil, err
	}
	return owner, recovery, a.note(ctx, tx, by, "factor.add", owner.Name, nil, note)
}

// knownTransports keeps the words that we know: the list comes from the browser and goes back to it.
func knownTransports(from []protocol.AuthenticatorTransport) []string {
	var list []string
	for _, t := range []protocol.AuthenticatorTransport{protocol.USB, protocol.NFC, protocol.BLE, protocol.SmartCard, protocol.Hybrid, protocol.Internal} {
		if slices.Contains(from, t) {
			list = append(list, string(t))
		}
	}
	return list
}
