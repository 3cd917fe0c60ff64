package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/doorward/doorward/store"
)

const (
	codeDigits = 6
	codeLife   = 10 * time.Minute
	// codeTries is how many wrong codes make one useless, and maxCodes how many codes a step may have: 15 guesses at a
	// million for a registration.
	codeTries = 5
	maxCodes  = 3
	// codePause is how long after one code the next may be asked for.
	codePause = 30 * time.Second
)

// ErrCodeOver means that no code can be typed in: the last one was guessed at too often, or its ten minutes are over. Another has to be
// asked for.
var ErrCodeOver = errors.New("the code is over")

func newCode() (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return "", fmt.Errorf("make code: %w", err)
	}
	return fmt.Sprintf("%0*d", codeDigits, n), nil
}

// codeMAC is what is stored of a code. It is good for one registration and one step only.
func (a *Auth) codeMAC(r *registrationRow, step RegistrationStep, code string) string {
	return a.secrets.mac("registration code", []byte(r.id+" "+string(step)+" "+code))
}

func (r *registrationRow) codeIsGood(now time.Time) bool {
	return r.mac != "" && r.tries < codeTries && store.Micros(now) < r.macExpires
}

// putCode makes the step's next code the one to be typed in, and returns it. Of an address or a number that is another
// account's no code is right, and what is returned is nothing.
func (a *Auth) putCode(ctx context.Context, tx *sql.Tx, r *registrationRow, taken bool, now time.Time) (code string, err error) {
	step := r.step()
	if code, err = newCode(); err != nil {
		return "", err
	}
	proof := code
	if taken {
		proof, _ = newToken()
	}
	r.mac, r.macExpires, r.tries, r.coded = a.codeMAC(r, step, proof), store.Micros(now.Add(codeLife)), 0, store.Micros(now)
	r.codes++
	if _, err := tx.ExecContext(ctx, sqlRegistrationCode, r.mac, r.macExpires, r.coded, r.id); err != nil {
		return "", fmt.Errorf("store code: %w", err)
	}
	if taken {
		return "", nil
	}
	return code, nil
}

// mailCode mails the code that confirms the address, or the word that it is an account's.
func (a *Auth) mailCode(ctx context.Context, tx *sql.Tx, r *registrationRow, now time.Time) (wait time.Duration, taken bool, err error) {
	// The address is hashed: it is somebody's who perhaps never heard of us.
	key := "register mail " + a.secrets.mac("registration e-mail", []byte(fold(r.person.Email)))
	if wait, err = spend(ctx, tx, now, quota{key, registerMails, 24 * time.Hour}); err != nil || wait > 0 {
		return wait, false, err
	}
	var n int
	if err := tx.QueryRowContext(ctx, sqlTakenEmail, fold(r.person.Email)).Scan(&n); err != nil {
		return 0, false, fmt.Errorf("look for the e-mail address: %w", err)
	}
	taken = n > 0
	code, err := a.putCode(ctx, tx, r, taken, now)
	if err != nil {
		return 0, taken, err
	}
	// Nothing that a stranger typed is in the mail, but for the address: it would be a way to send anybody anything.
	l := letter{kind: "register", to: Principal{Name: r.person.Email, Email: r.person.Email, Language: r.person.Language}, host: r.host,
		code: code, until: now.Add(codeLife), pairs: []string{"minutes", minutes(codeLife)}}
	if taken {
		l.kind = "register_known"
		l.path = "/.doorward/reset"
	}
	_, err = a.send(ctx, tx, l, now)
	return 0, taken, err
}

// textCode sends the code that confirms the number, or the word that it is an account's.
func (a *Auth) textCode(ctx context.Context, tx *sql.Tx, at Attempt, r *registrationRow, now time.Time) (wait time.Duration, err error) {
	cfg := a.cfg.Load().Registration
	number, err := cfg.parsePhone(r.person.Phone)
	if err != nil {
		return time.Hour, nil // the countries have changed since it was accepted
	}
	const day = 24 * time.Hour
	wait, err = spend(ctx, tx, now,
		quota{"sms number " + a.secrets.mac("registration phone", []byte(number.e164)), cfg.SMS.PerNumber, day},
		quota{"sms address " + addressKey(at.Address).String(), cfg.SMS.PerAddress, time.Hour},
		quota{"sms country " + number.country, cfg.SMS.PerCountry, day}, quota{"sms total", cfg.SMS.PerDay, day})
	if err != nil || wait > 0 {
		return wait, err
	}
	var n int
	if err := tx.QueryRowContext(ctx, sqlTakenPhone, number.e164).Scan(&n); err != nil {
		return 0, fmt.Errorf("look for the phone number: %w", err)
	}
	code, err := a.putCode(ctx, tx, r, n > 0, now)
	if err != nil {
		return 0, err
	}
	m := textMessage{To: number.e164, Kind: "code", Language: r.person.Language, Text: a.texts.Text(r.person.Language, "sms.code",
		"code", code, "host", r.host, "minutes", minutes(codeLife)) + "\n\n@" + r.host + " #" + code}
	if n > 0 {
		m.Kind, m.Text = "known", a.texts.Text(r.person.Language, "sms.known", "host", r.host)
	}
	return 0, a.addText(ctx, tx, m, now)
}

// ResendCode makes and sends another code for the step that the registration lacks; the one before is good no more. The errors are
// ErrNoRegistration, ErrCodeOver (the step has had its codes: the registration has to begin anew), *WaitError and ErrUnavailable.
func (a *Auth) ResendCode(ctx context.Context, at Attempt, token string, now time.Time) (*Registration, error) {
	var r *registrationRow
	err := a.withRegistration(ctx, at, token, now, func(ctx context.Context, tx *sql.Tx, row *registrationRow) (wait time.Duration, err error) {
		r = row
		switch {
		case r.step() == ChooseAnother:
			return 0, nil
		case r.codes >= maxCodes:
			return 0, ErrCodeOver
		case r.coded > 0 && now.Before(store.FromMicros(r.coded).Add(codePause)):
			return store.FromMicros(r.coded).Add(codePause).Sub(now), nil
		case r.step() == ConfirmEmail:
			wait, _, err = a.mailCode(ctx, tx, r, now)
			return wait, err
		}
		return a.textCode(ctx, tx, at, r, now)
	})
	if err != nil {
		return nil, err
	}
	a.mail.Wake()
	a.wakeTexts()
	return r.show(now), nil
}

// withRegistration runs f in a transaction on the registration that the browser's cookie names. Cookies that are none cost one
// bounded read.
func (a *Auth) withRegistration(ctx context.Context, at Attempt, token string, now time.Time,
	f func(ctx context.Context, tx *sql.Tx, r *registrationRow) (time.Duration, error)) error {
	if !a.OffersRegistration() {
		return ErrNotOffered
	}
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	err := a.peek(ctx, func() error { _, err := a.readRegistration(ctx, a.db, at, token, now); return err })
	if err != nil {
		return a.registrationError(err, now)
	}
	var wait time.Duration
	err = a.db.Write(ctx, func(tx *sql.Tx) error {
		r, err := a.readRegistration(ctx, tx, at, token, now)
		if err != nil {
			return err
		}
		wait, err = f(ctx, tx, r)
		return err
	})
	if err != nil {
		return a.registrationError(err, now)
	}
	if wait > 0 {
		a.counted.limited.Add(1)
		return &WaitError{wait}
	}
	return nil
}

// rightCode compares in constant time.
func (a *Auth) rightCode(r *registrationRow, text string) bool {
	code, ok := digitsInput(text)
	return ok && hmac.Equal([]byte(r.mac), []byte(a.codeMAC(r, r.step(), code)))
}
