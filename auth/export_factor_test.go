package auth

import (
	"context"
	"database/sql"
	"time"
)

// The parts of second factors that a sign-in calls from within the package.

// CheckTOTP is checkTOTP in a transaction of its own, committed whatever the answer.
func (a *Auth) CheckTOTP(ctx context.Context, principalID, code string, now time.Time) (ok bool, err error) {
	err = a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		ok, err = a.checkTOTP(ctx, tx, principalID, code, now)
		return err
	})
	return ok, err
}

// UseRecoveryCode is useRecoveryCode in a transaction of its own.
func (a *Auth) UseRecoveryCode(ctx context.Context, principalID, code string, now time.Time) (ok bool, err error) {
	err = a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		ok, err = a.useRecoveryCode(ctx, tx, principalID, code, now)
		return err
	})
	return ok, err
}

// FinishPasskey is finishPasskey.
func (a *Auth) FinishPasskey(ctx context.Context, host, ceremony string, response []byte, expect string, now time.Time) (string, bool, error) {
	return a.finishPasskey(ctx, host, ceremony, response, expect, now)
}

// RecordFactorUse is recordFactorUse.
func (a *Auth) RecordFactorUse(at Attempt, user, kind string, err error, now time.Time) {
	a.recordFactorUse(at, user, kind, err, now)
}

// Seal, Open and MAC are the installation's secrets.
func (a *Auth) Seal(purpose, context string, plain []byte) string {
	return a.secrets.seal(purpose, context, plain)
}

// Open is the reverse of Seal.
func (a *Auth) Open(purpose, context, sealed string) ([]byte, error) {
	return a.secrets.open(purpose, context, sealed)
}

// MAC is the keyed hash.
func (a *Auth) MAC(purpose string, data []byte) string { return a.secrets.mac(purpose, data) }

// Derived is the key of a use and purpose, from the key of the installation.
func Derived(key [32]byte, use, purpose string) []byte {
	return (&secrets{key: key}).derive(use, purpose)
}

// UseOnce is useOnce in a transaction of its own.
func (a *Auth) UseOnce(ctx context.Context, what []byte, expires, now time.Time) (first bool, err error) {
	err = a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		first, err = useOnce(ctx, tx, "test", what, expires, now)
		return err
	})
	return first, err
}

// Pure functions.
var (
	FactorReason  = factorReason
	TOTPCode      = totpCode
	TOTPInput     = digitsInput
	RecoveryInput = recoveryInput
	OriginAt      = originAt
)

// DefaultRPID is the relying party id that the hosts give.
func (c FactorsConfig) DefaultRPID() string { return c.defaultRPID() }

// MaxPasskeys is how many an account may have.
const MaxPasskeys = maxPasskeys
