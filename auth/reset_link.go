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

// Why an account gets no password by mail, as events say it.
const (
	resetElsewhere  = "password-is-elsewhere"
	resetNoPassword = "no-password"
)

// keptFromPasswords tells why a person chooses no password here by themselves; empty when they may. Either another system made
// the account, and checks who the person is, or the account never had a password: an administrator made it so. A password of ours
// would be a way around what was to be the way in. One that had a password until it was made useless is not kept from the next.
func keptFromPasswords(ctx context.Context, from reader, p Principal) (why string, err error) {
	if strings.HasPrefix(p.Origin, "oidc:") || strings.HasPrefix(p.Origin, "ldap:") {
		return resetElsewhere, nil
	}
	var newest int64
	if err := from.QueryRowContext(ctx, sqlNewestPassword, p.ID).Scan(&newest); err != nil {
		return "", fmt.Errorf("look for passwords: %w", err)
	}
	if newest == 0 {
		return resetNoPassword, nil
	}
	return "", nil
}

// resetMark binds a link to the password that it replaces: once that has changed, by whatever way, the link is worth nothing.
// An account whose password was made useless has links without a mark.
func (a *Auth) resetMark(phc string) string {
	if phc == "" {
		return ""
	}
	return a.secrets.mac("reset link", []byte(phc))
}

// resetBy reads the account whose password the link may replace, with its roles.
func (a *Auth) resetBy(ctx context.Context, tx *sql.Tx, l *link) (*account, error) {
	who, err := linkOwner(ctx, tx, l)
	if err != nil {
		return nil, err
	}
	kept, err := keptFromPasswords(ctx, tx, who.Principal)
	if err != nil {
		return nil, err
	}
	if kept != "" || l.data != a.resetMark(who.phc) {
		return nil, ErrNoLink
	}
	return who, nil
}

// ResetLink tells whose password the link's code may replace. The errors are ErrNoLink and ErrUnavailable.
func (a *Auth) ResetLink(ctx context.Context, code string, now time.Time) (name string, err error) {
	who, err := a.resetOwner(ctx, code, now)
	if err != nil {
		return "", err
	}
	return who.Name, nil
}

func (a *Auth) resetOwner(ctx context.Context, code string, now time.Time) (who *account, err error) {
	err = a.withLink(ctx, LinkReset, code, now, func(tx *sql.Tx, l *link) error {
		who, err = a.resetBy(ctx, tx, l)
		return err
	})
	if err != nil {
		return nil, a.linkError(err, now)
	}
	return who, nil
}

// ResetByLink replaces the password of the link's account by a new one, ends the account's sessions and its other links
// of this kind, and goes on as a sign-in: a second factor is proved, or set up, as after a password. An address that is not
// trusted yet counts as released for this sign-in, because the mailbox, which a release would ask for, is what was
// proved; it is trusted from then on as after a release. The errors are ErrNoLink, *PasswordError, ErrBusy, ErrNetwork
// and ErrUnavailable. What a *PasswordError refuses leaves the link as it is.
func (a *Auth) ResetByLink(ctx context.Context, at Attempt, code, text string, now time.Time) (Outcome, error) {
	who, err := a.resetOwner(ctx, code, now)
	if err != nil {
		return Outcome{}, err
	}
	phc, err := a.hashNew(ctx, who.Principal, text, 1, addressKey(at.Address))
	if err != nil {
		return Outcome{}, err
	}
	at.Login = who.Name
	g := a.passwordGrant(at, who, "")
	g.methods, g.released = []string{methodReset}, true
	var ended []string
	g.apply = func(ctx context.Context, tx *sql.Tx, t *turnover, who *account) (err error) {
		ended, err = a.applyReset(ctx, tx, t, who, code, phc)
		return err
	}
	v, out, err := a.finish(ctx, at, verdict{account: who}, g, now)
	if errors.Is(err, ErrWrong) {
		err = ErrNoLink // the password changed, or the account was closed, in this moment
	}
	if errors.Is(err, ErrNoLink) {
		return Outcome{}, err
	}
	a.recordSignIn(at, v, out, err, now)
	if err != nil {
		return Outcome{}, err
	}
	if len(ended) > 0 {
		a.sessions.end(ended...)
	}
	a.append(event.Event{Time: now, Class: event.Authentication, Action: "password-reset", Outcome: event.Success, Source: at.Address.Unmap(),
		User: who.Name, Site: at.Site, Severity: event.Medium, Fields: []event.Field{{Key: "how", Value: "mailed-link"},
			{Key: "sessions_ended", Value: strconv.Itoa(len(ended))}, {Key: "request_id", Value: at.RequestID}}})
	return out, nil
}

// applyReset is what a reset does to the account, in the sign-in's transaction.
func (a *Auth) applyReset(ctx context.Context, tx *sql.Tx, t *turnover, who *account, code, phc string) (ended []string, err error) {
	now := t.now
	l, err := readLink(ctx, tx, LinkReset, code, now)
	if err != nil {
		return nil, err // used meanwhile
	}
	if _, err := a.resetBy(ctx, tx, l); err != nil {
		return nil, err
	}
	before := snapshotOf(who.Principal)
	if _, err := tx.ExecContext(ctx, sqlUseLinksOf, who.ID, string(LinkReset)); err != nil {
		return nil, fmt.Errorf("end links: %w", err)
	}
	if ended, err = endAll(ctx, tx, who.ID, "password-reset", store.Micros(now)); err != nil {
		return nil, err
	}
	if err := putOwnPassword(ctx, tx, who.ID, phc, now); err != nil {
		return nil, err
	}
	who.phc, who.MustChange, who.passwordAt = phc, false, now
	if err := t.tellPassword(ctx, tx, who.Principal, "reset_done"); err != nil {
		return nil, err
	}
	by := Actor{Name: who.Name, Origin: t.at.Address.Unmap().String()}
	return ended, a.note(ctx, tx, by, "account.password-reset", who.Name, before, snapshotOf(who.Principal))
}
