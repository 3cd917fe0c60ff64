package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/doorward/doorward/store"
)

// BeginPasskeySignIn asks a browser at host for a passkey: options is the JSON for
// navigator.credentials.get (an object with publicKey), ceremony goes back with the answer within two
// minutes. With an empty principalID it is the only factor: the device offers what it has, must verify the person, and the
// options are the same for everybody. With a principalID it comes after that account's password, and lists its
// passkeys: give it to nobody else. The errors are ErrNoPasskeys, ErrNotFound (the account has no passkey) and ErrUnavailable.
func (a *Auth) BeginPasskeySignIn(ctx context.Context, principalID, host string, now time.Time) (options []byte, ceremony string, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	options, ceremony, err = a.beginPasskey(ctx, principalID, host, now)
	if err != nil {
		return nil, "", fmt.Errorf("begin passkey sign-in: %w", a.storeError(err))
	}
	return options, ceremony, nil
}

func (a *Auth) beginPasskey(ctx context.Context, principalID, host string, now time.Time) ([]byte, string, error) {
	rpID, err := a.rpIDAt(ctx, host, now)
	if err != nil {
		return nil, "", err
	}
	w, err := a.webAuthn(rpID, "https://"+host)
	if err != nil {
		return nil, "", err
	}
	var question *protocol.CredentialAssertion
	if principalID == "" {
		question, _, err = w.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	} else {
		var user passkeyUser
		if user, err = a.passkeyUser(ctx, principalID); err != nil {
			return nil, "", err
		}
		question, _, err = w.BeginLogin(user, webauthn.WithUserVerification(protocol.VerificationPreferred))
	}
	if err != nil {
		return nil, "", err
	}
	c := ceremony{Challenge: question.Response.Challenge, Principal: principalID, Host: host, RPID: rpID}
	return a.sealCeremony(purposeSignIn, c, question, now)
}

// passkeyUser is an account with its passkeys.
func (a *Auth) passkeyUser(ctx context.Context, principalID string) (u passkeyUser, err error) {
	if u.handle, err = userHandle(principalID); err != nil {
		return u, ErrNotFound
	}
	list, err := readPasskeys(ctx, a.db, principalID)
	if err != nil {
		return u, err
	}
	if len(list) == 0 {
		return u, ErrNotFound
	}
	for _, p := range list {
		u.credentials = append(u.credentials, p.credential())
	}
	return u, nil
}

// finishPasskey judges a browser's answer to BeginPasskeySignIn with the same host and account (expect), and
// returns whose passkey it is and whether the device verified the person. It stores the use, so that the ceremony serves once.
//
// As the only factor (no expect) it reaches PasskeyLevel; the device has then verified the person, and the passkey had done so
// before, when it was made or after a password: whoever finds a security key without a PIN could set one (WebAuthn 7.2 step 24).
// After a password it reaches PasskeyLevel too, verified or not: the password is the second factor, and
// what the device signs cannot be phished.
//
// The errors are ErrWrong, with a constant reason for events, ErrNoPasskeys and ErrUnavailable. An unknown
// passkey, another account's and a disabled account's get the answer of a wrong signature, after the same work.
func (a *Auth) finishPasskey(ctx context.Context, host, sealed string, response []byte, expect string,
	now time.Time) (principalID string, userVerified bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	c, err := a.openCeremony(purposeSignIn, host, sealed, expect, now)
	if err != nil {
		return "", false, err
	}
	if rpID, err := a.rpIDAt(ctx, host, now); err != nil {
		return "", false, a.storeError(err)
	} else if rpID != c.RPID {
		return "", false, refuse("ceremony-of-another-relying-party", nil)
	}
	parsed, err := parseAssertion(response, host)
	if err != nil {
		return "", false, err
	}
	known, err := a.findPasskey(ctx, parsed.RawID)
	if err != nil {
		return "", false, a.storeError(err)
	}
	if err := a.verifyPasskey(c, known, parsed); err != nil {
		return "", false, err
	}
	answer := parsed.Response.AuthenticatorData
	err = a.db.Write(ctx, func(tx *sql.Tx) error { return usePasskey(ctx, tx, c, *known, answer, now) })
	if err != nil {
		return "", false, a.storeError(err)
	}
	return known.principalID, answer.Flags.HasUserVerified(), nil
}

func parseAssertion(response []byte, host string) (*protocol.ParsedCredentialAssertionData, error) {
	if len(response) > maxResponse {
		return nil, refuse("malformed-response", errors.New("too long"))
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return nil, refuse("malformed-response", err)
	}
	if !originAt(parsed.Response.CollectedClientData.Origin, host) {
		return nil, refuse("wrong-origin", nil)
	}
	return parsed, nil
}

// verifyPasskey judges the answer (WebAuthn 7.2, up to the signature). known is nil for an unknown passkey.
func (a *Auth) verifyPasskey(c ceremony, known *passkey, parsed *protocol.ParsedCredentialAssertionData) error {
	handle := parsed.Response.UserHandle
	reason := ""
	switch {
	case known == nil:
		reason = "unknown-passkey"
	case c.Principal != "" && known.principalID != c.Principal:
		reason = "passkey-of-another-account"
	case c.Principal == "" && !known.userVerified:
		reason = "never-verified-its-owner"
	default:
		own, err := userHandle(known.principalID)
		if err != nil {
			return err
		}
		if (len(handle) > 0 || c.Principal == "") && own != string(handle) {
			reason = "wrong-user-handle"
		}
	}
	var credential webauthn.Credential
	if reason == "" {
		credential = known.credential()
	} else {
		credential = webauthn.Credential{ID: parsed.RawID, PublicKey: a.relying.decoy}
	}
	user := passkeyUser{handle: string(handle), credentials: []webauthn.Credential{credential}}
	w, err := a.webAuthn(c.RPID, parsed.Response.CollectedClientData.Origin)
	if err != nil {
		return err
	}
	verification := protocol.VerificationRequired
	if c.Principal != "" {
		verification = protocol.VerificationPreferred
	}
	_, err = w.ValidateLogin(user, c.session(user.WebAuthnID(), verification), parsed)
	if reason == "" && err != nil {
		reason = "not-valid"
	}
	if reason != "" {
		return refuse(reason, err)
	}
	return nil
}

// usePasskey stores what the answer says of the passkey (WebAuthn 7.2 step 25). A counter that did not grow means that
// another device has the same key, and is refused (step 22).
func usePasskey(ctx context.Context, tx *sql.Tx, c ceremony, known passkey, answer protocol.AuthenticatorData, now time.Time) error {
	if _, err := factorOwner(ctx, tx, known.principalID); errors.Is(err, ErrNotFound) {
		return refuse("changed-meanwhile", nil)
	} else if err != nil {
		return err
	}
	p, err := readPasskey(ctx, tx, known.principalID, known.id)
	if errors.Is(err, ErrNotFound) {
		return refuse("changed-meanwhile", nil)
	}
	if err != nil {
		return err
	}
	if err := c.use(ctx, tx, now); err != nil {
		return err
	}
	if (answer.Counter != 0 || p.signCount != 0) && answer.Counter <= p.signCount {
		return refuse(reasonCloned, fmt.Errorf("from %d to %d", p.signCount, answer.Counter))
	}
	verified := p.userVerified || c.Principal != "" && answer.Flags.HasUserVerified()
	_, err = tx.ExecContext(ctx, sqlUsePasskey, int64(answer.Counter), truth(verified), truth(answer.Flags.HasBackupState()),
		store.Micros(now), p.id)
	if err != nil {
		return fmt.Errorf("store use of passkey: %w", err)
	}
	return nil
}
