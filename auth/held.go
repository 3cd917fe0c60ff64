package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/doorward/doorward/store"
)

// Held is a held sign-in as the page of its link shows it: enough to see whether it is one's own (D-14).
type Held struct {
	Name      string // the account's
	Host      string
	Address   netip.Addr
	HostName  string // confirmed reverse DNS, or empty
	Country   string // ISO 3166-1, or empty
	UserAgent string
	Time      time.Time
	// SameBrowser says that the link was opened where the sign-in began; anywhere else it can only be refused.
	SameBrowser bool
}

// holdByMail mails the link that releases the sign-in, unless one was mailed already. It tells whether a mail is or was
// under way.
func (t *turnover) holdByMail(ctx context.Context, tx *sql.Tx, g *grant, pending string) (sent bool, err error) {
	r, err := readPending(ctx, tx, sqlPendingByID, pending)
	if err != nil {
		return false, err
	}
	if r.link.Valid {
		return true, nil
	}
	if !t.a.canMail(g.who.Principal) {
		return false, nil
	}
	code, err := newLink(ctx, tx, link{kind: LinkRelease, principalID: g.who.ID, data: pending}, t.now)
	if err != nil || code == "" {
		return false, err
	}
	until := store.Micros(t.now.Add(LinkRelease.life()))
	if _, err := tx.ExecContext(ctx, sqlHoldPending, tokenKey(code), until, pending); err != nil {
		return false, fmt.Errorf("hold sign-in: %w", err)
	}
	return t.tellHeld(ctx, tx, g.who.Principal, r, code)
}

// HeldSignIn returns the sign-in that the link's code would release. pendingToken is the browser's cookie. The errors are
// ErrNoLink and ErrUnavailable.
func (a *Auth) HeldSignIn(ctx context.Context, at Attempt, code, pendingToken string, now time.Time) (Held, error) {
	var h Held
	err := a.withLink(ctx, LinkRelease, code, now, func(tx *sql.Tx, l *link) error {
		r, who, err := heldBy(ctx, tx, l, now)
		if err != nil {
			return err
		}
		h = Held{Name: who.Name, Host: r.host, Address: parseStored(r.address), UserAgent: r.userAgent,
			Time: store.FromMicros(r.created), SameBrowser: a.sameBrowser(ctx, tx, r, at, pendingToken, now)}
		return nil
	})
	if err != nil {
		return Held{}, a.linkError(err, now)
	}
	h.HostName, h.Country = a.hostName(ctx, h.Address), a.country(h.Address)
	return h, nil
}

// heldBy reads the held sign-in of a link, and its account.
func heldBy(ctx context.Context, tx *sql.Tx, l *link, now time.Time) (*pendingRow, *account, error) {
	r, err := readPending(ctx, tx, sqlLivePendingByID, l.data, store.Micros(now))
	if err != nil {
		return nil, nil, err
	}
	who, err := readAccountByID(ctx, tx, r.principalID)
	if err == nil && (who == nil || who.Disabled || who.phc != r.phc) {
		err = ErrNoLink
	}
	return r, who, err
}

// sameBrowser tells whether the visitor is the browser that began the sign-in, at the address it was begun from.
func (a *Auth) sameBrowser(ctx context.Context, tx *sql.Tx, r *pendingRow, at Attempt, pendingToken string, now time.Time) bool {
	own, err := a.pendingOf(ctx, tx, at, pendingToken, now)
	return err == nil && own.id == r.id && addressKey(at.Address) == addressKey(parseStored(r.address))
}

// ReleaseSignIn releases the held sign-in of the link's code in the browser that began it, trusts the address for the
// roles' period, and goes on with the sign-in. The errors are ErrNoLink, ErrOtherBrowser, ErrWrong, ErrNetwork and ErrUnavailable.
func (a *Auth) ReleaseSignIn(ctx context.Context, at Attempt, code, pendingToken string, now time.Time) (Outcome, error) {
	err := a.withLink(ctx, LinkRelease, code, now, func(tx *sql.Tx, l *link) error {
		r, who, err := heldBy(ctx, tx, l, now)
		if err != nil {
			return err
		}
		if !a.sameBrowser(ctx, tx, r, at, pendingToken, now) {
			return ErrOtherBrowser
		}
		if _, err := tx.ExecContext(ctx, sqlReleasePending, store.Micros(now), store.Micros(now.Add(pendingFor)), r.id); err != nil {
			return fmt.Errorf("release sign-in: %w", err)
		}
		_, period := a.cfg.Load().trust(who.Roles, at.Address)
		if _, err := putAddress(ctx, tx, who.ID, at.Address, "mailed-link", store.Micros(now), store.Micros(now.Add(period))); err != nil {
			return err
		}
		return useLink(ctx, tx, code)
	})
	if err != nil {
		return Outcome{}, a.linkError(err, now)
	}
	return a.ContinueSignIn(ctx, at, pendingToken, now)
}

// RefuseSignIn ends the held sign-in of the link's code: it was somebody else who knows the password. It makes the
// password useless and returns the code of a link by which the person chooses a new one, empty where there is none of
// Doorward's. The errors are ErrNoLink and ErrUnavailable.
func (a *Auth) RefuseSignIn(ctx context.Context, at Attempt, code string, now time.Time) (reset string, err error) {
	var d disowned
	err = a.withLink(ctx, LinkRelease, code, now, func(tx *sql.Tx, l *link) error {
		r, who, err := heldBy(ctx, tx, l, now)
		if err != nil {
			return err
		}
		if err := useLink(ctx, tx, code); err != nil {
			return err
		}
		d, err = a.disown(ctx, tx, who, at, "refused sign-in from "+r.address, now)
		return err
	})
	if err != nil {
		return "", a.linkError(err, now)
	}
	a.disowned(d, at, now)
	return d.reset, nil
}

// linkError keeps what callers of links decide on.
func (a *Auth) linkError(err error, now time.Time) error {
	switch {
	case errors.Is(err, ErrNoLink), errors.Is(err, ErrOtherBrowser):
		return err
	case errors.Is(err, ErrNoPending):
		return ErrNoLink
	}
	return a.stepError(err, now)
}
