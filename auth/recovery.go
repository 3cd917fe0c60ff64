package auth

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/store"
)

// Recovery codes stand in for a second factor that is lost: ten, each good once (ASVS 6.5.1). A code is 120
// random bits in 24 characters of Crockford's alphabet, which has no I, L, O and U.
//
// The store has HMACs under the installation's key, not slow hashes as of passwords: nobody guesses 120 bits, with
// the key or without (ASVS 6.5.2 asks for a slow hash below 112), and finding a code is one look-up. For the same
// reason wrong codes need no cap of their own, and no stranger can keep them from working.
const (
	recoveryCodes    = 10
	recoveryBytes    = 15
	recoveryLength   = 24
	recoveryGroup    = 4
	recoveryAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

	purposeRecovery = "recovery-code"
)

// NewRecoveryCodes replaces an account's recovery codes by ten new ones, which are returned to be shown once.
// The errors are ErrNotFound (no account, or one without a second factor) and ErrUnavailable.
func (a *Auth) NewRecoveryCodes(ctx context.Context, by Actor, principalID string) ([]string, error) {
	var owner Principal
	var codes []string
	err := a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		if owner, err = factorOwner(ctx, tx, principalID); err != nil {
			return err
		}
		has, err := readFactors(ctx, tx, principalID)
		if err != nil {
			return err
		}
		if has.Best() == PasswordLevel {
			return ErrNotFound
		}
		if codes, err = a.putRecoveryCodes(ctx, tx, principalID, time.Now()); err != nil {
			return err
		}
		return a.note(ctx, tx, by, "factor.add", owner.Name, nil, factorNote{Kind: "recovery-codes"})
	})
	if err != nil {
		return nil, fmt.Errorf("make recovery codes: %w", a.storeError(err))
	}
	a.recordFactor("factor-add", by, owner.Name, "recovery-codes", nil)
	return codes, nil
}

// recoveryIfNone makes recovery codes for an account that has none left; nil if it has.
func (a *Auth) recoveryIfNone(ctx context.Context, tx *sql.Tx, principalID string, now time.Time) ([]string, error) {
	var left int
	if err := tx.QueryRowContext(ctx, sqlRecoveryLeft, principalID).Scan(&left); err != nil {
		return nil, fmt.Errorf("count recovery codes: %w", err)
	}
	if left > 0 {
		return nil, nil
	}
	return a.putRecoveryCodes(ctx, tx, principalID, now)
}

func (a *Auth) putRecoveryCodes(ctx context.Context, tx *sql.Tx, principalID string, now time.Time) ([]string, error) {
	if _, err := tx.ExecContext(ctx, sqlDeleteRecovery, principalID); err != nil {
		return nil, fmt.Errorf("remove recovery codes: %w", err)
	}
	codes := make([]string, recoveryCodes)
	for i := range codes {
		code := newRecoveryCode()
		if _, err := tx.ExecContext(ctx, sqlInsertRecovery, principalID, a.recoveryMAC(principalID, code), store.Micros(now)); err != nil {
			return nil, fmt.Errorf("store recovery code: %w", err)
		}
		for group := range slices.Chunk([]byte(code), recoveryGroup) {
			codes[i] += "-" + string(group)
		}
		codes[i] = codes[i][1:]
	}
	return codes, nil
}

func newRecoveryCode() string {
	var b [recoveryBytes]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return base32.NewEncoding(recoveryAlphabet).WithPadding(base32.NoPadding).EncodeToString(b[:])
}

// useRecoveryCode tells whether the code is one of the account's and was not used, in the caller's write
// transaction, which uses it up when it is committed.
func (a *Auth) useRecoveryCode(ctx context.Context, tx *sql.Tx, principalID, code string, now time.Time) (bool, error) {
	input, ok := recoveryInput(code)
	if !ok {
		return false, nil
	}
	done, err := tx.ExecContext(ctx, sqlUseRecovery, store.Micros(now), principalID, a.recoveryMAC(principalID, input))
	if err != nil {
		return false, fmt.Errorf("use recovery code: %w", err)
	}
	n, err := done.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("use recovery code: %w", err)
	}
	return n == 1, nil
}

func (a *Auth) recoveryMAC(principalID, code string) string {
	return a.secrets.mac(purposeRecovery, []byte(principalID+"\x00"+code))
}

// recoveryInput reads a code as people copy it: in any case, with or without dashes and spaces, and with the
// letters that the alphabet leaves out for the characters that they look like.
func recoveryInput(code string) (string, bool) {
	code, ok := codeInput(code)
	if !ok {
		return "", false
	}
	code = strings.NewReplacer("O", "0", "I", "1", "L", "1", "U", "V").Replace(strings.ToUpper(code))
	if len(code) != recoveryLength || strings.Trim(code, recoveryAlphabet) != "" {
		return "", false
	}
	return code, true
}
