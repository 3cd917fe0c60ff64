package auth

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/doorward/doorward/store"
)

// What changes how a person is recognised needs a fresh proof of who is at the keyboard (ASVS 7.5.1): the sign-in is young, or
// the person has just proved themselves again. Of the second the browser keeps a sealed note, good for this session and
// ten minutes. It is no secret that opens anything: without the session's own cookie nobody looks at it. The store need not
// know of it, and every node that has the installation's key believes it.
const (
	confirmedFor     = 10 * time.Minute
	purposeConfirmed = "recent-proof"
)

// Confirmed tells whether the session's person has proved themselves within ten minutes. proof is what ConfirmByPassword or
// ConfirmByPasskey returned, or anything else.
func (a *Auth) Confirmed(s *Session, proof string, now time.Time) bool {
	if age := now.Sub(s.Created); age > -clockSlack && age < confirmedFor {
		return true
	}
	if proof == "" {
		return false
	}
	plain, err := a.secrets.open(purposeConfirmed, s.ID, proof)
	if err != nil {
		return false
	}
	at, err := strconv.ParseInt(string(plain), 10, 64)
	age := now.Sub(store.FromMicros(at))
	return err == nil && age > -clockSlack && age < confirmedFor
}

func (a *Auth) confirmed(s *Session, now time.Time) string {
	return a.secrets.seal(purposeConfirmed, s.ID, strconv.AppendInt(nil, store.Micros(now), 10))
}

// ConfirmByPassword checks the person's password again and, if they have a second factor, a code of the authenticator app
// or a recovery code: a full sign-in once more, in the session that there is. The proof is for Confirmed. Wrong ones count
// like wrong sign-ins. The errors are ErrWrong, *WaitError, ErrTooManyCodes, ErrBusy and ErrUnavailable.
func (a *Auth) ConfirmByPassword(ctx context.Context, at Attempt, s *Session, code string, now time.Time) (proof string, err error) {
	if err := a.Reauthenticate(ctx, at, s, now); err != nil {
		return "", err
	}
	has, err := a.Factors(ctx, s.Principal.ID)
	if err != nil {
		return "", err
	}
	if has.Best() == PasswordLevel {
		return a.confirmed(s, now), nil
	}
	right := false
	err = a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		right, _, err = a.checkCode(ctx, tx, s.Principal.ID, code, now)
		return err
	})
	if errors.Is(err, ErrTooManyCodes) { // not looked at, so not wrong
		a.recordSignIn(at, verdict{account: &account{Principal: s.Principal}, reason: "too-many-wrong-codes"}, Outcome{}, err, now)
		return "", err
	}
	if err != nil {
		return "", a.stepError(err, now)
	}
	if !right {
		return "", a.refuseConfirmation(ctx, at, s, "wrong-code", now)
	}
	return a.confirmed(s, now), nil
}

// ConfirmByPasskey takes a passkey of the person's, which must have verified them: a key that was left in the computer says
// nothing. BeginPasskeySignIn for the account made the ceremony. The errors are ErrWrong, *WaitError, ErrNoPasskeys and
// ErrUnavailable.
func (a *Auth) ConfirmByPasskey(ctx context.Context, at Attempt, s *Session, ceremony string, response []byte, now time.Time) (proof string, err error) {
	at.Login = s.Principal.Name
	if _, err := a.mayTry(ctx, at, now); err != nil {
		return "", err
	}
	_, verified, err := a.finishPasskey(ctx, at.Host, ceremony, response, s.Principal.ID, now)
	if err == nil && !verified {
		err = ErrWrong
	}
	if errors.Is(err, ErrWrong) {
		return "", a.refuseConfirmation(ctx, at, s, "wrong-passkey", now)
	}
	if err != nil {
		return "", a.stepError(err, now)
	}
	return a.confirmed(s, now), nil
}

// refuseConfirmation counts a wrong proof like a wrong sign-in and returns ErrWrong.
func (a *Auth) refuseConfirmation(ctx context.Context, at Attempt, s *Session, reason string, now time.Time) error {
	who := &account{Principal: s.Principal}
	a.failed(ctx, addressKey(at.Address), s.Principal.ID, now)
	a.noteFailure(ctx, who, at, now)
	a.recordSignIn(at, verdict{account: who, reason: reason}, Outcome{}, ErrWrong, now)
	return ErrWrong
}
