package auth

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
)

// NotMe does what the link in a notice says: all sessions end, the password is useless, no address or browser is known
// any more. It returns the code of a link by which the person chooses a new password, empty where there is none of
// Doorward's. Factors stay. The errors are ErrNoLink and ErrUnavailable.
func (a *Auth) NotMe(ctx context.Context, at Attempt, code string, now time.Time) (reset string, err error) {
	var d disowned
	err = a.withLink(ctx, LinkNotMe, code, now, func(tx *sql.Tx, l *link) error {
		who, err := linkOwner(ctx, tx, l)
		if err != nil {
			return err
		}
		if err := useLink(ctx, tx, code); err != nil {
			return err
		}
		d, err = a.disown(ctx, tx, who, at, "said not me", now)
		return err
	})
	if err != nil {
		return "", a.linkError(err, now)
	}
	a.disowned(d, at, now)
	return d.reset, nil
}

// NotMeLink tells whose account a notice's link is for. The errors are ErrNoLink and ErrUnavailable.
func (a *Auth) NotMeLink(ctx context.Context, code string, now time.Time) (name string, err error) {
	err = a.withLink(ctx, LinkNotMe, code, now, func(tx *sql.Tx, l *link) error {
		who, err := linkOwner(ctx, tx, l)
		if err == nil {
			name = who.Name
		}
		return err
	})
	if err != nil {
		return "", a.linkError(err, now)
	}
	return name, nil
}

// linkOwner reads the account that a link is for; ErrNoLink when it is closed or gone.
func linkOwner(ctx context.Context, tx *sql.Tx, l *link) (*account, error) {
	who, err := readAccountByID(ctx, tx, l.principalID)
	if err != nil {
		return nil, err
	}
	if who == nil || who.Disabled {
		return nil, ErrNoLink
	}
	return who, nil
}

// disowned is an account that was taken back from whoever knows its password.
type disowned struct {
	id        string
	name, why string
	reset     string   // the code of the link to choose a new password with; empty where there is none of Doorward's
	ended     []string // its sign-ins
}

// disown takes everything from whoever knows the password: it is retired, sessions and begun sign-ins end, and nothing is
// trusted. What the person has set up as a second factor stays.
func (a *Auth) disown(ctx context.Context, tx *sql.Tx, who *account, at Attempt, why string, now time.Time) (d disowned, err error) {
	d = disowned{id: who.ID, name: who.Name, why: why}
	if d.ended, err = endAll(ctx, tx, who.ID, "not-me", store.Micros(now)); err != nil {
		return d, err
	}
	for _, statement := range []string{sqlRetirePassword, sqlDeleteAddressesOf, sqlDeleteDevicesOf} {
		if _, err := tx.ExecContext(ctx, statement, who.ID); err != nil {
			return d, fmt.Errorf("take back what the password opened: %w", err)
		}
	}
	if _, err := tx.ExecContext(ctx, sqlEndTokensOf, store.Micros(now), "not-me", who.ID); err != nil {
		return d, fmt.Errorf("end tokens: %w", err)
	}
	// Nor do links that were mailed before: who could read the mailbox would do the same again with the next one.
	for _, kind := range []LinkKind{LinkNotMe, LinkReset} {
		if _, err := tx.ExecContext(ctx, sqlUseLinksOf, who.ID, string(kind)); err != nil {
			return d, fmt.Errorf("end links: %w", err)
		}
	}
	kept, err := keptFromPasswords(ctx, tx, who.Principal)
	if err != nil {
		return d, err
	}
	if kept == "" {
		code, hash := newToken()
		if _, err := tx.ExecContext(ctx, sqlInsertLink, hexHash(hash), string(LinkReset), who.ID, "", store.Micros(now),
			store.Micros(now.Add(LinkReset.life()))); err != nil {
			return d, fmt.Errorf("store link: %w", err)
		}
		d.reset = code
	}
	by := Actor{Name: who.Name, Origin: at.Address.String()}
	return d, a.note(ctx, tx, by, "account.not-me", who.Name, map[string]string{"why": why}, map[string]int{"sessions_ended": len(d.ended)})
}

// disowned does what follows once disown is in the store.
func (a *Auth) disowned(d disowned, at Attempt, now time.Time) {
	a.sessions.end(d.ended...)
	a.tokens.forget(d.id)
	a.append(event.Event{Time: now, Class: event.Incident, Action: "not-me", Outcome: event.Success, Source: at.Address,
		User: d.name, Site: at.Site, Severity: event.High, Fields: []event.Field{{Key: "reason", Value: d.why}}})
}
