package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
)

// A registration becomes an account in steps: what was typed is judged, then the e-mail address is confirmed by a code, then
// the phone number by another. Nothing on the way tells whether an address, a number or a name is an account's already:
// whoever has the mailbox or the phone is told there, and nobody else. A name that is taken shows only to who has
// confirmed both.

const (
	registrationLife = 24 * time.Hour
	// maxRegistrations is how many may be begun and not complete, and maxRegistrationsFrom how many from one network.
	maxRegistrations     = 5000
	maxRegistrationsFrom = 20
	// registerTries is how often one network may send the form in an hour, mistakes included, and registerTriesInAll how
	// often all may: each may ask a breach service and cost a hash.
	registerTries      = 30
	registerTriesInAll = 2000
	// registerMails is how many codes are mailed to one address in a day.
	registerMails = 5
	// maxNames is how many names a registration may try that are taken.
	maxNames = 5
)

// ErrNoRegistration means that the browser has begun no registration here, that its time is over, or that it cannot become
// an account because the address or the number is another one's.
var ErrNoRegistration = errors.New("no registration has begun")

// RegistrationStep is what a registration lacks.
type RegistrationStep string

// The steps, in their order.
const (
	ConfirmEmail  RegistrationStep = "email" // type in the code that was mailed
	ConfirmPhone  RegistrationStep = "phone" // type in the code of the text message
	ChooseAnother RegistrationStep = "name"  // the name is taken
)

// NewRegistration is what a person types in who wants an account.
type NewRegistration struct {
	Name        string
	Email       string
	DisplayName string // may be empty
	Phone       string // as people write numbers; may be empty where the configuration does not require it
	Password    string
	Language    string // of the page: mails, text messages and the account have it
}

// Registration is an account that is not complete.
type Registration struct {
	Step               RegistrationStep
	Name, Email, Phone string // the phone number in E.164
	Expires            time.Time
	// Codes is how many more codes may be asked for in this step; Good tells whether one is under way that can still be typed in.
	Codes int
	Good  bool
}

// OffersRegistration tells whether people may register: it is on and there is a mail server.
func (a *Auth) OffersRegistration() bool {
	return a.cfg.Load().Registration.Enabled && a.mails()
}

// RegistrationPhone tells whether the form asks for a phone number: PhoneRequired, PhoneOptional or PhoneOff.
func (a *Auth) RegistrationPhone() string { return a.cfg.Load().Registration.Phone }

// RegistrationDomains are those that e-mail addresses may have; none: all.
func (a *Auth) RegistrationDomains() []string { return a.cfg.Load().Registration.Domains }

// Register begins a registration and mails the code that confirms the address. The token is for a cookie of the browser's: with
// no other can the registration go on. An address that is an account's gets a mail that says so in place of a code, after the
// same work. The errors are ErrNotOffered, *InputError, *PasswordError, *WaitError, ErrBusy and ErrUnavailable.
func (a *Auth) Register(ctx context.Context, at Attempt, n NewRegistration, now time.Time) (token string, r *Registration, err error) {
	if !a.OffersRegistration() || at.Realm != SiteRealm {
		return "", nil, ErrNotOffered
	}
	token, row, known, err := a.register(ctx, at, n, now)
	var wait *WaitError
	switch {
	case errors.As(err, &wait):
		a.recordRegistration(at, "registration-begin", event.Refused, event.Low, n.Name, "limit", now)
	case err == nil && known:
		a.recordRegistration(at, "registration-begin", event.Unknown, event.Low, n.Name, "known-e-mail", now)
	case err == nil:
		a.recordRegistration(at, "registration-begin", event.Unknown, event.Informational, n.Name, "", now)
	}
	if err != nil {
		return "", nil, err
	}
	a.mail.Wake()
	return token, row.show(now), nil
}

func (a *Auth) register(ctx context.Context, at Attempt, n NewRegistration, now time.Time) (token string, r *registrationRow, known bool, err error) {
	number, err := a.cfg.Load().Registration.check(&n)
	if err != nil {
		return "", nil, false, err
	}
	network := addressKey(at.Address)
	if err := a.spendOne(ctx, now, quota{"register try " + network.String(), registerTries, time.Hour},
		quota{"register try total", registerTriesInAll, time.Hour}); err != nil {
		return "", nil, false, err
	}
	p := Principal{Name: n.Name, Email: n.Email, DisplayName: n.DisplayName, Phone: number.e164, Language: a.texts.Match(n.Language, n.Language)}
	phc, err := a.hashNew(ctx, p, n.Password, 0, network)
	if err != nil {
		return "", nil, false, err
	}
	return a.beginRegistration(ctx, at, p, phc, now)
}

// check judges what was typed, but for the password. It knows nothing of accounts.
func (c RegistrationConfig) check(n *NewRegistration) (number phoneNumber, err error) {
	n.Name, n.Email, n.DisplayName = strings.TrimSpace(n.Name), strings.TrimSpace(n.Email), strings.TrimSpace(n.DisplayName)
	switch {
	case !validName(n.Name):
		return number, nameError()
	case !validEmail(n.Email):
		return number, &InputError{"email", "must be one address with exactly one @"}
	case !c.allowsDomain(n.Email):
		return number, &InputError{"email", "must be of " + strings.Join(c.Domains, ", ")}
	case n.DisplayName != "" && !usable(n.DisplayName):
		return number, displayNameError()
	case c.Phone == PhoneOff, c.Phone == PhoneOptional && strings.TrimSpace(n.Phone) == "":
		return number, nil
	}
	return c.parsePhone(n.Phone)
}

// spendOne is spend in a transaction of its own; the error is *WaitError when a quota is used up.
func (a *Auth) spendOne(ctx context.Context, now time.Time, quotas ...quota) error {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	return a.limitedWrite(ctx, func(tx *sql.Tx) (time.Duration, error) { return spend(ctx, tx, now, quotas...) })
}

// limitedWrite runs f in a transaction; when f returns a wait, what it did stays and the error is *WaitError.
func (a *Auth) limitedWrite(ctx context.Context, f func(tx *sql.Tx) (time.Duration, error)) error {
	var wait time.Duration
	err := a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		wait, err = f(tx)
		return err
	})
	var limited *WaitError
	if err == nil && wait > 0 {
		err = &WaitError{wait}
	}
	if errors.As(err, &limited) {
		a.counted.limited.Add(1)
		return err
	}
	if err != nil {
		return a.storeError(err)
	}
	return nil
}

// beginRegistration stores a registration and mails its first code. known tells that the address is an account's.
func (a *Auth) beginRegistration(ctx context.Context, at Attempt, p Principal, phc string, now time.Time) (token string, r *registrationRow, known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	token, hash := newToken()
	id, err := store.NewID()
	if err != nil {
		return "", nil, false, fmt.Errorf("register: %w", err)
	}
	err = a.limitedWrite(ctx, func(tx *sql.Tx) (time.Duration, error) {
		r = &registrationRow{id: id, host: at.Host, person: p, phc: phc, expires: store.Micros(now.Add(registrationLife))}
		if wait, err := a.mayRegister(ctx, tx, at, now); err != nil || wait > 0 {
			return wait, err
		}
		if _, err := tx.ExecContext(ctx, sqlInsertRegistration, id, hexHash(hash), at.Host, addressKey(at.Address).String(), p.Name, p.Email,
			p.DisplayName, p.Phone, p.Language, phc, store.Micros(now), r.expires); err != nil {
			return 0, fmt.Errorf("store registration: %w", err)
		}
		wait, taken, err := a.mailCode(ctx, tx, r, now)
		if known = taken; wait > 0 {
			err = &WaitError{wait} // and nothing stays: no browser would have the token
		}
		return 0, err
	})
	if err != nil {
		return "", nil, false, fmt.Errorf("register: %w", err)
	}
	return token, r, known, nil
}

// mayRegister counts a registration against what one network, and all, may begin.
func (a *Auth) mayRegister(ctx context.Context, tx *sql.Tx, at Attempt, now time.Time) (time.Duration, error) {
	cfg, network := a.cfg.Load().Registration, addressKey(at.Address).String()
	var all, same int
	if err := tx.QueryRowContext(ctx, sqlCountRegistrations, store.Micros(now)).Scan(&all); err != nil {
		return 0, fmt.Errorf("count registrations: %w", err)
	}
	if err := tx.QueryRowContext(ctx, sqlCountRegistrationsFrom, network, store.Micros(now)).Scan(&same); err != nil {
		return 0, fmt.Errorf("count registrations: %w", err)
	}
	if all >= maxRegistrations || same >= maxRegistrationsFrom {
		return time.Hour, nil
	}
	return spend(ctx, tx, now, quota{"register address " + network, cfg.PerAddress, time.Hour}, quota{"register total", cfg.PerDay, 24 * time.Hour})
}

// registrationRow is a registration as the store has it.
type registrationRow struct {
	id, host             string
	person               Principal // without an id and roles
	phc                  string
	emailDone, phoneDone bool
	mac                  string
	macExpires           int64
	tries, codes, names  int
	coded, expires       int64
}

func (a *Auth) readRegistration(ctx context.Context, q reader, at Attempt, token string, now time.Time) (*registrationRow, error) {
	key := tokenKey(token)
	if key == "" || at.Realm != SiteRealm {
		return nil, ErrNoRegistration
	}
	var r registrationRow
	var emailDone, phoneDone int
	p := &r.person
	err := q.QueryRowContext(ctx, sqlRegistrationByToken, key, at.Host, store.Micros(now)).Scan(&r.id, &r.host, &p.Name, &p.Email,
		&p.DisplayName, &p.Phone, &p.Language, &r.phc, &emailDone, &phoneDone, &r.mac, &r.macExpires, &r.tries, &r.codes, &r.names, &r.coded, &r.expires)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNoRegistration
	}
	if err != nil {
		return nil, fmt.Errorf("read registration: %w", err)
	}
	r.emailDone, r.phoneDone = emailDone != 0, phoneDone != 0
	return &r, nil
}

func (r *registrationRow) step() RegistrationStep {
	switch {
	case !r.emailDone:
		return ConfirmEmail
	case r.person.Phone != "" && !r.phoneDone:
		return ConfirmPhone
	}
	return ChooseAnother
}

func (r *registrationRow) show(now time.Time) *Registration {
	return &Registration{Step: r.step(), Name: r.person.Name, Email: r.person.Email, Phone: r.person.Phone,
		Expires: store.FromMicros(r.expires), Codes: max(0, maxCodes-r.codes), Good: r.codeIsGood(now)}
}

// RegistrationState returns the registration that the browser has begun here. The errors are ErrNoRegistration and ErrUnavailable.
func (a *Auth) RegistrationState(ctx context.Context, at Attempt, token string, now time.Time) (*Registration, error) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	var r *registrationRow
	err := a.peek(ctx, func() (err error) { r, err = a.readRegistration(ctx, a.db, at, token, now); return err })
	if err != nil {
		return nil, a.registrationError(err, now)
	}
	return r.show(now), nil
}

// registrationError keeps what callers decide on.
func (a *Auth) registrationError(err error, now time.Time) error {
	var wait *WaitError
	switch {
	case errors.Is(err, ErrNoRegistration), errors.Is(err, ErrCodeOver), errors.As(err, &wait):
		return err
	}
	return a.stepError(err, now)
}

// recordRegistration leaves the event of a step. The name is one that a stranger typed.
func (a *Auth) recordRegistration(at Attempt, action string, outcome event.Outcome, severity event.Severity, name, reason string, now time.Time) {
	e := event.Event{Time: now, Class: event.Authentication, Action: action, Outcome: outcome, Severity: severity,
		Source: at.Address.Unmap(), User: nameForEvent(name, a.cfg.Load().shortest), Site: at.Site, Fields: []event.Field{
			{Key: "host", Value: at.Host}, {Key: "user_agent", Value: cut(at.UserAgent, maxUserAgent)}, {Key: "request_id", Value: at.RequestID}}}
	if reason != "" {
		e.Fields = append(e.Fields, event.Field{Key: "reason", Value: reason})
	}
	a.append(e)
}

func minutes(d time.Duration) string { return strconv.Itoa(int(d / time.Minute)) }
