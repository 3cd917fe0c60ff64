package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/doorward/doorward/event"
)

// ConfirmCode takes the code that was typed in for a step of the browser's registration; a form of an earlier step, sent
// again, changes nothing. After the last step the account is made, without a role, and the person is signed in: then the
// registration is nil and the outcome says how far. The errors are ErrNotOffered, ErrNoRegistration, ErrWrong, ErrCodeOver, *WaitError
// and ErrUnavailable. Wrong codes make an address wait as wrong passwords do (M-40).
func (a *Auth) ConfirmCode(ctx context.Context, at Attempt, token string, step RegistrationStep, text string, now time.Time) (*Registration, Outcome, error) {
	if _, err := a.mayTry(ctx, at, now); err != nil {
		return nil, Outcome{}, err
	}
	var r *registrationRow
	var wrong, limited bool
	err := a.withRegistration(ctx, at, token, now, func(ctx context.Context, tx *sql.Tx, row *registrationRow) (time.Duration, error) {
		r, wrong, limited = row, false, false
		if r.step() != step || step == ChooseAnother {
			return 0, nil
		}
		if !r.codeIsGood(now) {
			return 0, ErrCodeOver
		}
		if wrong = !a.rightCode(r, text); wrong {
			r.tries++
			_, err := tx.ExecContext(ctx, sqlRegistrationTry, r.id)
			return 0, err
		}
		var err error
		limited, err = a.passStep(ctx, tx, at, r, now)
		return 0, err
	})
	if err != nil {
		return nil, Outcome{}, err
	}
	if wrong {
		a.failed(ctx, addressKey(at.Address), nobody, now)
		a.recordRegistration(at, "registration-code", event.Failure, event.Low, r.person.Name, "wrong-"+string(step)+"-code", now)
		return r.show(now), Outcome{}, ErrWrong
	}
	if limited {
		a.counted.limited.Add(1)
		a.recordRegistration(at, "registration-code", event.Refused, event.Medium, r.person.Name, "text-message-limit", now)
	}
	a.wakeTexts()
	if r.step() != ChooseAnother || step == ChooseAnother {
		return r.show(now), Outcome{}, nil
	}
	return a.complete(ctx, at, token, now)
}

// passStep notes that the step's code was right, and begins the next. limited tells that no text message may be sent now;
// the person can ask for one later.
func (a *Auth) passStep(ctx context.Context, tx *sql.Tx, at Attempt, r *registrationRow, now time.Time) (limited bool, err error) {
	statement := sqlRegistrationEmail
	if r.step() == ConfirmPhone {
		statement = sqlRegistrationPhone
	}
	if _, err := tx.ExecContext(ctx, statement, r.id); err != nil {
		return false, fmt.Errorf("confirm: %w", err)
	}
	r.mac, r.macExpires, r.tries, r.codes, r.coded = "", 0, 0, 0, 0
	if r.step() == ConfirmPhone {
		r.phoneDone = true
	}
	r.emailDone = true
	if r.step() != ConfirmPhone {
		return false, nil
	}
	wait, err := a.textCode(ctx, tx, at, r, now)
	return wait > 0, err
}

// ChooseName gives a registration whose name is taken another one. The result and the errors are ConfirmCode's, and *InputError.
func (a *Auth) ChooseName(ctx context.Context, at Attempt, token, name string, now time.Time) (*Registration, Outcome, error) {
	if !validName(name) {
		return nil, Outcome{}, nameError()
	}
	var r *registrationRow
	err := a.withRegistration(ctx, at, token, now, func(ctx context.Context, tx *sql.Tx, row *registrationRow) (time.Duration, error) {
		if r = row; r.step() != ChooseAnother {
			return 0, nil
		}
		r.person.Name = name
		_, err := tx.ExecContext(ctx, sqlRegistrationName, name, r.id)
		return 0, err
	})
	if err != nil {
		return nil, Outcome{}, err
	}
	if r.step() != ChooseAnother {
		return r.show(now), Outcome{}, nil
	}
	return a.complete(ctx, at, token, now)
}

// complete makes the account of a registration that has confirmed everything, and signs the person in.
func (a *Auth) complete(ctx context.Context, at Attempt, token string, now time.Time) (*Registration, Outcome, error) {
	var r *registrationRow
	var over bool
	by := Actor{Name: "registration", Origin: at.Address.Unmap().String()}
	err := a.withRegistration(ctx, at, token, now, func(ctx context.Context, tx *sql.Tx, row *registrationRow) (time.Duration, error) {
		r, over = row, false
		r.person.Origin = originRegistered
		name, other, err := taken(ctx, tx, r.person)
		if err != nil {
			return 0, err
		}
		if over = other || name && r.names >= maxNames; over || !name {
			if _, err := tx.ExecContext(ctx, sqlDeleteRegistration, r.id); err != nil {
				return 0, fmt.Errorf("end registration: %w", err)
			}
		}
		if over || name {
			return 0, nil
		}
		return 0, a.insertAccount(ctx, tx, by, &r.person, r.phc)
	})
	switch {
	case err != nil:
		return nil, Outcome{}, err
	case over:
		a.recordRegistration(at, "registration", event.Refused, event.Medium, r.person.Name, "taken", now)
		return nil, Outcome{}, ErrNoRegistration
	case r.person.ID == "":
		return r.show(now), Outcome{}, nil
	}
	a.counted.registered.Add(1)
	a.recordRegistration(at, "registration", event.Success, event.Medium, r.person.Name, "", now)
	out, err := a.signInNew(ctx, at, r.person, r.phc, now)
	return nil, out, err
}

// originRegistered is the origin of accounts that people made for themselves.
const originRegistered = "registered"

// taken tells whether the name is another account's, and whether the e-mail address or the phone number is.
func taken(ctx context.Context, tx *sql.Tx, p Principal) (name, other bool, err error) {
	var names, emails, phones int
	err = errors.Join(tx.QueryRowContext(ctx, sqlTaken, fold(p.Name)).Scan(&names),
		tx.QueryRowContext(ctx, sqlTakenEmail, fold(p.Email)).Scan(&emails),
		tx.QueryRowContext(ctx, sqlTakenPhone, p.Phone).Scan(&phones))
	if err != nil {
		return false, false, fmt.Errorf("look for other accounts: %w", err)
	}
	return names > 0, emails+phones > 0, nil
}
