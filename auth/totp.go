package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"database/sql"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
	"golang.org/x/text/unicode/norm"

	"github.com/doorward/doorward/store"
)

// Time-based one-time passwords (RFC 6238) with what every authenticator app supports: SHA-1, 6 digits,
// 30 seconds; a code of the step before or after is taken too (RFC 6238 5.2), each step at most once.
const (
	totpDigits = 6
	totpPeriod = 30
	// totpSecret is the length of a secret in bytes: 160 bits (RFC 4226 4, R6).
	totpSecret = 20
	// totpPending is how long an authenticator app that is being set up may take to give its first code.
	totpPending = 30 * time.Minute
	// maxLabel is how many bytes of an account's name the app shows.
	maxLabel = 64

	purposeTOTP = "totp"
)

// How many wrong codes of one account are looked at, whatever way they come. With three codes right at a time, who
// knows the password and guesses all year has a chance of about 3 %, and keeps neither passkeys nor
// recovery codes from working. A right code does not clear the count: its owner's would help the guesser.
const (
	wrongPerWindow = 10
	wrongWindow    = 10 * time.Minute
	wrongPerDay    = 30
	wrongDay       = 24 * time.Hour
)

// TOTPEnrolment is an authenticator app that is being set up. It is a secret: to be shown once, to its owner.
type TOTPEnrolment struct {
	Secret string // base32, for typing
	URI    string // otpauth://totp/…
	QR     string // the URI as a QR code: an SVG element with nothing active in it, black on white
}

// BeginTOTP makes a new secret for an authenticator app of p. It is stored, sealed, but of no use until
// ConfirmTOTP, within 30 minutes; an app in use goes on until then. A later call replaces an earlier one. The errors are ErrNotFound and
// ErrUnavailable.
func (a *Auth) BeginTOTP(ctx context.Context, p Principal) (TOTPEnrolment, error) {
	secret := make([]byte, totpSecret)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the program instead
	defer clear(secret)
	e, err := describeTOTP(a.cfg.Load().Factors.Name, p.Name, secret)
	if err != nil {
		return TOTPEnrolment{}, fmt.Errorf("begin authenticator app: %w", err)
	}
	err = a.db.Write(ctx, func(tx *sql.Tx) error {
		if _, err := factorOwner(ctx, tx, p.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, sqlPutTOTP, p.ID, a.secrets.seal(purposeTOTP, p.ID, secret), store.Micros(time.Now()))
		return err
	})
	if err != nil {
		return TOTPEnrolment{}, fmt.Errorf("begin authenticator app: %w", a.storeError(err))
	}
	return e, nil
}

func describeTOTP(issuer, account string, secret []byte) (TOTPEnrolment, error) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: cut(account, maxLabel), Secret: secret,
		Period: totpPeriod, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		return TOTPEnrolment{}, err
	}
	svg, err := qrSVG(key.URL())
	return TOTPEnrolment{Secret: key.Secret(), URI: key.URL(), QR: svg}, err
}

// ConfirmTOTP takes an authenticator app into use with its first code, in place of the one before. If the
// account has no recovery codes left, it gets new ones, which are returned to be shown once. The errors are ErrWrong, ErrNotFound
// (nothing was begun, or too long ago) and ErrUnavailable. A wrong code here is not counted: whoever may
// try has just been shown the secret.
func (a *Auth) ConfirmTOTP(ctx context.Context, by Actor, principalID, code string, now time.Time) (recovery []string, err error) {
	var owner Principal
	err = a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		owner, recovery, err = a.confirmTOTP(ctx, tx, by, principalID, code, now)
		return err
	})
	if err != nil {
		err = a.storeError(err)
		a.recordFactor("factor-add", by, owner.Name, "totp", err)
		return nil, fmt.Errorf("confirm authenticator app: %w", err)
	}
	a.recordFactor("factor-add", by, owner.Name, "totp", nil)
	return recovery, nil
}

// confirmTOTP is ConfirmTOTP's transaction.
func (a *Auth) confirmTOTP(ctx context.Context, tx *sql.Tx, by Actor, principalID, code string,
	now time.Time) (owner Principal, recovery []string, err error) {
	if owner, err = factorOwner(ctx, tx, principalID); err != nil {
		return owner, nil, err
	}
	secret, begun, _, err := a.readTOTP(ctx, tx, principalID, 0)
	if err != nil {
		return owner, nil, err
	}
	if secret == nil || now.Sub(begun) > totpPending || begun.Sub(now) > totpPending {
		return owner, nil, ErrNotFound
	}
	step, ok := matchTOTP(secret, code, 0, now)
	if !ok {
		return owner, nil, ErrWrong
	}
	if _, err := tx.ExecContext(ctx, sqlDeleteTOTP, principalID, 1); err != nil {
		return owner, nil, fmt.Errorf("replace authenticator app: %w", err)
	}
	if _, err := tx.ExecContext(ctx, sqlConfirmTOTP, store.Micros(now), step, principalID); err != nil {
		return owner, nil, fmt.Errorf("store authenticator app: %w", err)
	}
	if recovery, err = a.recoveryIfNone(ctx, tx, principalID, now); err != nil {
		return owner, nil, err
	}
	if err := a.tellFactor(ctx, tx, owner, "added", "totp", now); err != nil {
		return owner, nil, err
	}
	return owner, recovery, a.note(ctx, tx, by, "factor.add", owner.Name, nil, factorNote{Kind: "totp"})
}

// RemoveTOTP takes the authenticator app away. least is the level that the account must still be able to
// reach afterwards, PasswordLevel if nothing is demanded of it. The errors are ErrLastFactor, ErrNotFound and ErrUnavailable.
func (a *Auth) RemoveTOTP(ctx context.Context, by Actor, principalID string, least Level) error {
	err := a.dropFactor(ctx, by, principalID, least, factorNote{Kind: "totp"}, func(tx *sql.Tx, _ *factorNote) error {
		done, err := tx.ExecContext(ctx, sqlDeleteTOTP, principalID, 1)
		return oneRow(done, err, ErrNotFound)
	})
	if err != nil {
		return fmt.Errorf("remove authenticator app: %w", err)
	}
	return nil
}

// checkTOTP tells whether the code is right, in the caller's write transaction, which must be committed
// whatever the answer: it holds the wrong code's count, or the step that must not serve again. The answer is
// false for an account without an authenticator app. The error ErrTooManyCodes means that the code was not looked at.
func (a *Auth) checkTOTP(ctx context.Context, tx *sql.Tx, principalID, code string, now time.Time) (bool, error) {
	secret, _, last, err := a.readTOTP(ctx, tx, principalID, 1)
	if err != nil || secret == nil {
		return false, err
	}
	defer clear(secret)
	wrong, err := readWrongCodes(ctx, tx, principalID, now)
	if err != nil {
		return false, err
	}
	if wrong.tooMany(now) {
		return false, ErrTooManyCodes
	}
	step, ok := matchTOTP(secret, code, last, now)
	if !ok {
		if _, wellFormed := digitsInput(code); !wellFormed {
			return false, nil // no guess: it could not have been right
		}
		wrong = append(wrong, store.Micros(now))
		if _, err := tx.ExecContext(ctx, sqlPutWrongCodes, principalID, wrong.String()); err != nil {
			return false, fmt.Errorf("count wrong code: %w", err)
		}
		return false, nil
	}
	done, err := tx.ExecContext(ctx, sqlUseTOTP, step, principalID)
	if err := oneRow(done, err, ErrWrong); err != nil {
		return false, fmt.Errorf("store the code's step: %w", err)
	}
	return true, nil
}

// readTOTP reads an account's secret, in use (1) or being set up (0); nil if there is none, or if it was sealed with a
// key that is lost: then no code is right until the person's factors are reset.
func (a *Auth) readTOTP(ctx context.Context, tx *sql.Tx, principalID string, confirmed int) (secret []byte, created time.Time, last int64, err error) {
	var sealed string
	var at int64
	err = tx.QueryRowContext(ctx, sqlTOTP, principalID, confirmed).Scan(&sealed, &at, &last)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, created, 0, nil
	}
	if err != nil {
		return nil, created, 0, fmt.Errorf("read authenticator app: %w", err)
	}
	if secret, err = a.secrets.open(purposeTOTP, principalID, sealed); err != nil {
		a.log.Error("open the secret of an authenticator app", slog.String("principal", principalID), slog.Any("error", err))
		return nil, created, 0, nil
	}
	return secret, store.FromMicros(at), last, nil
}

// matchTOTP returns the time step whose code this is: one of three around now, and later than the last one
// used, so that no code serves twice (RFC 6238 5.2).
func matchTOTP(secret []byte, code string, last int64, now time.Time) (step int64, ok bool) {
	input, wellFormed := digitsInput(code)
	if !wellFormed {
		return 0, false
	}
	current := now.Unix() / totpPeriod
	for s := current - 1; s <= current+1; s++ { // all three, so that the time tells nothing
		want, err := totpCode(secret, s)
		if err == nil && subtle.ConstantTimeCompare([]byte(input), []byte(want)) == 1 && s > last && !ok {
			step, ok = s, true
		}
	}
	return step, ok
}

// totpCode is the code of a time step.
func totpCode(secret []byte, step int64) (string, error) {
	return hotp.GenerateCodeCustom(base32.StdEncoding.EncodeToString(secret), uint64(step),
		hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
}

// digitsInput reads a code of six digits, of an app or sent to somebody, as people type it, with spaces or a dash in the
// middle.
func digitsInput(code string) (string, bool) {
	code, ok := codeInput(code)
	if !ok || len(code) != totpDigits || strings.Trim(code, "0123456789") != "" {
		return "", false
	}
	return code, true
}

// codeInput takes spaces and dashes out of a code that was typed, and makes full-width characters plain.
// ok is false for what is too long to be a code of any kind.
func codeInput(code string) (string, bool) {
	if len(code) > 128 {
		return "", false
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\r', '\n', '-', '_', '.', '\u00ad', '\u2010', '\u2011', '\u2012', '\u2013', '\u2014', '\u2212':
			return -1
		}
		return r
	}, norm.NFKC.String(code)), true
}

// wrongCodes has the times, in microseconds, of an account's wrong codes of the last day.
type wrongCodes []int64

func readWrongCodes(ctx context.Context, tx *sql.Tx, principalID string, now time.Time) (wrongCodes, error) {
	var times string
	err := tx.QueryRowContext(ctx, sqlWrongCodes, principalID).Scan(&times)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read wrong codes: %w", err)
	}
	var w wrongCodes
	for _, field := range strings.Fields(times) {
		at, err := strconv.ParseInt(field, 10, 64)
		// One from the future means that the clock was set back; it must not count for longer than others.
		if age := now.Sub(store.FromMicros(at)); err == nil && age > -clockSlack && age < wrongDay {
			w = append(w, at)
		}
	}
	return w, nil
}

func (w wrongCodes) tooMany(now time.Time) bool {
	recent := 0
	for _, at := range w {
		if now.Sub(store.FromMicros(at)) < wrongWindow {
			recent++
		}
	}
	return recent >= wrongPerWindow || len(w) >= wrongPerDay
}

// String is w as it is stored.
func (w wrongCodes) String() string {
	fields := make([]string, len(w))
	for i, at := range w {
		fields[i] = strconv.FormatInt(at, 10)
	}
	return strings.Join(fields, " ")
}

// oneRow makes missing the error of a statement that was to change a row and found none.
func oneRow(done sql.Result, err, missing error) error {
	if err != nil {
		return err
	}
	n, err := done.RowsAffected()
	if err == nil && n == 0 {
		return missing
	}
	return err
}
