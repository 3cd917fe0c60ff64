package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
)

// Errors about second factors that callers decide on. What a person shows and is not right is ErrWrong.
var (
	// ErrLastFactor means that the account would no longer reach the level that is asked of it.
	ErrLastFactor = errors.New("this is the last factor of its kind, and one is required")
	// ErrTooManyCodes means that the account's authenticator app has been guessed at too often. The code was
	// not looked at. Passkeys and recovery codes still work.
	ErrTooManyCodes = errors.New("too many wrong codes of the authenticator app")
	// ErrTooManyPasskeys means that the account has as many passkeys as it may.
	ErrTooManyPasskeys = errors.New("too many passkeys")
	// ErrNoPasskeys means that passkeys are not possible at this host; the error's text says why.
	ErrNoPasskeys = errors.New("passkeys are not possible here")
)

// FactorSummary is what second factors an account has.
type FactorSummary struct {
	TOTP         bool      // an authenticator app is in use
	TOTPSince    time.Time // since when; zero without one
	Passkeys     []PasskeyInfo
	RecoveryLeft int // recovery codes not used yet
}

// Best is the highest level that a sign-in with these factors can reach. Recovery codes only stand in for one.
func (f FactorSummary) Best() Level { return bestLevel(f.TOTP, len(f.Passkeys)) }

func bestLevel(totp bool, passkeys int) Level {
	switch {
	case passkeys > 0:
		return PasskeyLevel
	case totp:
		return FactorLevel
	}
	return PasswordLevel
}

// reader is what both the store and a transaction can do.
type reader interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Factors returns the second factors of an account; none for an id that is no account's. The error is
// ErrUnavailable.
func (a *Auth) Factors(ctx context.Context, principalID string) (FactorSummary, error) {
	f, err := readFactors(ctx, a.db, principalID)
	if err != nil {
		return FactorSummary{}, fmt.Errorf("read factors: %w", a.storeError(err))
	}
	return f, nil
}

func readFactors(ctx context.Context, from reader, principalID string) (f FactorSummary, err error) {
	var sealed string
	var since, step int64
	err = from.QueryRowContext(ctx, sqlTOTP, principalID, 1).Scan(&sealed, &since, &step)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return f, fmt.Errorf("read authenticator app: %w", err)
	}
	f.TOTP, f.TOTPSince = err == nil, store.FromMicros(since)
	if err := from.QueryRowContext(ctx, sqlRecoveryLeft, principalID).Scan(&f.RecoveryLeft); err != nil {
		return f, fmt.Errorf("count recovery codes: %w", err)
	}
	rows, err := readPasskeys(ctx, from, principalID)
	for _, p := range rows {
		f.Passkeys = append(f.Passkeys, p.info())
	}
	return f, err
}

// factorOwner reads the account that a factor belongs to, without its roles. A disabled account has no use of
// factors, so it counts as not found.
func factorOwner(ctx context.Context, tx *sql.Tx, principalID string) (Principal, error) {
	var p Principal
	dest, finish := principalColumns(&p)
	err := tx.QueryRowContext(ctx, sqlFactorOwner, principalID).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return p, ErrNotFound
	}
	if err != nil {
		return p, fmt.Errorf("read account: %w", err)
	}
	if finish(); p.Disabled {
		return p, ErrNotFound
	}
	return p, nil
}

// dropFactor runs remove, which takes one factor away, in one transaction with the check that the account
// still reaches the level least and with the journal entry. Recovery codes that have nothing left to recover go too.
func (a *Auth) dropFactor(ctx context.Context, by Actor, principalID string, least Level, what factorNote,
	remove func(tx *sql.Tx, what *factorNote) error) error {
	var owner Principal
	err := a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		if owner, err = factorOwner(ctx, tx, principalID); err != nil {
			return err
		}
		if err := remove(tx, &what); err != nil {
			return err
		}
		left, err := readFactors(ctx, tx, principalID)
		if err != nil {
			return err
		}
		if left.Best() < least {
			return ErrLastFactor
		}
		if left.Best() == PasswordLevel {
			if _, err := tx.ExecContext(ctx, sqlDeleteRecovery, principalID); err != nil {
				return fmt.Errorf("remove recovery codes: %w", err)
			}
		}
		if err := a.tellFactor(ctx, tx, owner, "removed", what.Kind, time.Now()); err != nil {
			return err
		}
		return a.note(ctx, tx, by, "factor.remove", owner.Name, what, nil)
	})
	if err != nil {
		return a.storeError(err)
	}
	a.recordFactor("factor-remove", by, owner.Name, what.Kind, nil)
	return nil
}

// ResetFactors removes every second factor of an account, for a person who has lost them, and ends its
// sessions. Who then signs in with the password alone has to enrol anew before anything else, if a role
// demands a factor. The caller has made sure who asks, and has asked the administrator for a factor; mail
// is never enough (ASVS 6.4.4). The errors are ErrNotFound and ErrUnavailable.
func (a *Auth) ResetFactors(ctx context.Context, by Actor, name string) error {
	var owner string
	err := a.change(ctx, by, "account.reset-factors", name, Change{Kind: ResetFactorsOf}, func(tx *sql.Tx, p *Principal, now time.Time) (bool, error) {
		owner = p.Name
		had, err := readFactors(ctx, tx, p.ID)
		if err != nil {
			return false, err
		}
		for _, query := range []string{sqlDeletePasskeys, sqlDeleteRecovery, sqlDeleteWrongCodes} {
			if _, err := tx.ExecContext(ctx, query, p.ID); err != nil {
				return false, fmt.Errorf("remove factors: %w", err)
			}
		}
		for _, confirmed := range []int{0, 1} {
			if _, err := tx.ExecContext(ctx, sqlDeleteTOTP, p.ID, confirmed); err != nil {
				return false, fmt.Errorf("remove authenticator app: %w", err)
			}
		}
		if _, err := tx.ExecContext(ctx, sqlSetChanged, store.Micros(now), p.ID); err != nil {
			return false, err
		}
		if err := a.tellFactor(ctx, tx, *p, "removed", "all", now); err != nil {
			return false, err
		}
		return true, a.note(ctx, tx, by, "factor.remove", p.Name, noteOf(had), nil)
	})
	if err != nil {
		return fmt.Errorf("reset factors of account %q: %w", name, err)
	}
	a.recordFactor("factor-remove", by, owner, "all", nil)
	return nil
}

// factorNote is a factor as the journal shows it.
type factorNote struct {
	Kind     string `json:"kind"`
	Passkey  string `json:"passkey,omitempty"` // its id
	Name     string `json:"name,omitempty"`
	Passkeys int    `json:"passkeys,omitempty"` // how many, where it is about all
	By       string `json:"by,omitempty"`       // recovery-code: what let a sign-in add it that lacked the person's own passkey
}

func noteOf(f FactorSummary) factorNote {
	n := factorNote{Kind: "recovery-codes", Passkeys: len(f.Passkeys)}
	switch {
	case f.TOTP && n.Passkeys > 0:
		n.Kind = "totp and passkeys"
	case f.TOTP:
		n.Kind = "totp"
	case n.Passkeys > 0:
		n.Kind = "passkeys"
	case f.RecoveryLeft == 0:
		n.Kind = "none"
	}
	return n
}

// recordFactor leaves the event of a factor that was added or removed, or could not be.
func (a *Auth) recordFactor(action string, by Actor, user, kind string, err error) {
	e := event.Event{Class: event.Authentication, Action: action, Outcome: event.Success, User: user, Severity: event.Low,
		Fields: []event.Field{{Key: "factor", Value: kind}, {Key: "actor", Value: by.Name}}}
	if addr, err := netip.ParseAddr(by.Origin); err == nil {
		e.Source = addr.Unmap()
	}
	if err != nil {
		e.Outcome = event.Failure
		e.Fields = append(e.Fields, event.Field{Key: "reason", Value: factorReason(err)})
	}
	a.append(e)
}

// recordFactorUse leaves the event of a second factor that was shown at a sign-in: kind is totp, recovery-code
// or passkey, user the account's name as far as it is known, err what came of it.
func (a *Auth) recordFactorUse(at Attempt, user, kind string, err error, now time.Time) {
	e := event.Event{Time: now, Class: event.Authentication, Action: "factor-use", Outcome: event.Success, User: user,
		Source: at.Address.Unmap(), Site: at.Site, Severity: event.Informational,
		Fields: []event.Field{
			{Key: "factor", Value: kind},
			{Key: "realm", Value: string(at.Realm)},
			{Key: "host", Value: at.Host},
			{Key: "user_agent", Value: cut(at.UserAgent, maxUserAgent)},
			{Key: "request_id", Value: at.RequestID},
		}}
	if err != nil {
		reason := factorReason(err)
		e.Outcome, e.Severity = event.Failure, event.Low
		switch {
		case reason == reasonCloned:
			e.Severity = event.High
		case errors.Is(err, ErrTooManyCodes):
			e.Outcome, e.Severity = event.Refused, event.Medium
		case !errors.Is(err, ErrWrong):
			e.Outcome = event.Refused
		}
		e.Fields = append(e.Fields, event.Field{Key: "reason", Value: reason})
	}
	a.append(e)
}

// factorReason is the constant word for an error, for events.
func factorReason(err error) string {
	var refused *refusedPasskey
	switch {
	case errors.As(err, &refused):
		return refused.reason
	case errors.Is(err, ErrWrong):
		return "wrong-code"
	case errors.Is(err, ErrTooManyCodes):
		return "too-many-wrong-codes"
	case errors.Is(err, ErrNoPasskeys):
		return "not-possible-here"
	case errors.Is(err, ErrTooManyPasskeys):
		return "too-many"
	case errors.Is(err, ErrExists):
		return "known-already"
	case errors.Is(err, ErrUnavailable):
		return "store-away"
	}
	return "not-stored"
}
