package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/doorward/doorward/store"
)

// Acceptance is what an invited person chooses.
type Acceptance struct {
	Name        string
	DisplayName string // may be empty
	Password    string
	Language    string // of the page; the account has it if the invitation names none
}

// acceptTries is how often an invitation may be tried in an hour: each try may cost a hash, and tells whether a name is taken.
const acceptTries = 20

// InvitationLink returns the open invitation that the link's code belongs to. The errors are ErrNoLink and ErrUnavailable.
func (a *Auth) InvitationLink(ctx context.Context, code string, now time.Time) (i Invitation, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	err = a.peek(ctx, func() error { i, err = a.invitationBy(ctx, a.db, code, now); return err })
	if err != nil {
		return Invitation{}, a.linkError(err, now)
	}
	return i, nil
}

// invitationBy reads the open invitation of the code; ErrNoLink if there is none, if one of its roles exists no more, or if
// whoever made it may not make such an account any more: who is about to lose a role must not keep it by an invitation.
func (a *Auth) invitationBy(ctx context.Context, q reader, code string, now time.Time) (Invitation, error) {
	key := tokenKey(code)
	if key == "" {
		return Invitation{}, ErrNoLink
	}
	i, err := scanInvitation(q.QueryRowContext(ctx, sqlInvitationByHash, key, store.Micros(now)))
	if errors.Is(err, sql.ErrNoRows) {
		return Invitation{}, ErrNoLink
	}
	if err != nil {
		return Invitation{}, fmt.Errorf("read invitation: %w", err)
	}
	if _, err := a.cfg.Load().checkRoles(i.Roles); err != nil {
		a.log.Warn("an invitation is not good any more", slog.String("invitation", i.ID), slog.Any("error", err))
		return Invitation{}, ErrNoLink
	}
	if err := a.inviterMay(ctx, q, i); err != nil {
		return Invitation{}, err
	}
	return i, nil
}

// inviterMay judges an invitation by what its maker may do now. Makers that are no accounts are root.
func (a *Auth) inviterMay(ctx context.Context, q reader, i Invitation) error {
	if !validName(i.InvitedBy) {
		return nil
	}
	by, err := readAccount(ctx, q, sqlAccountByName, fold(i.InvitedBy))
	if err != nil {
		return fmt.Errorf("look up who invited: %w", err)
	}
	if by == nil {
		return nil
	}
	// That a factor was proved was asked when the invitation was made.
	maker := &Administrator{Principal: by.Principal, Privileges: a.PrivilegesOf(by.Roles), Level: PasskeyLevel}
	if err := a.MayChange(maker, Principal{Email: i.Email, Roles: i.Roles}, Change{Kind: AddAccount, Roles: i.Roles}); err != nil {
		a.log.Warn("an invitation is not good any more", slog.String("invitation", i.ID), slog.Any("error", err))
		return ErrNoLink
	}
	return nil
}

// AcceptInvitation makes the account of the link's invitation and signs the person in; what the roles demand, such as a
// second factor, is asked for next. The link counts as proof of the e-mail address and as a release of the visitor's
// address. The errors are ErrNoLink, *InputError, *PasswordError, ErrExists (the name is taken), *WaitError, ErrBusy, ErrNetwork
// and ErrUnavailable; all but the first leave the invitation open, except that after ErrNetwork the account is made.
func (a *Auth) AcceptInvitation(ctx context.Context, at Attempt, code string, n Acceptance, now time.Time) (Outcome, error) {
	i, err := a.InvitationLink(ctx, code, now)
	if err != nil {
		return Outcome{}, err
	}
	p := Principal{Name: n.Name, Email: i.Email, DisplayName: n.DisplayName, Language: i.Language, Origin: originLocal, Roles: i.Roles}
	if p.Language == "" && n.Language != "" {
		p.Language = a.texts.Match(n.Language, n.Language)
	}
	switch {
	case !validName(p.Name):
		return Outcome{}, nameError()
	case p.DisplayName != "" && !usable(p.DisplayName):
		return Outcome{}, displayNameError()
	}
	if err := a.mayAccept(ctx, i, now); err != nil {
		return Outcome{}, err
	}
	phc, err := a.hashNew(ctx, p, n.Password, 0, addressKey(at.Address))
	if err != nil {
		return Outcome{}, err
	}
	if err := a.makeInvited(ctx, at, code, &p, phc, now); err != nil {
		return Outcome{}, err
	}
	return a.signInNew(ctx, at, p, phc, now)
}

// mayAccept counts a try.
func (a *Auth) mayAccept(ctx context.Context, i Invitation, now time.Time) error {
	var wait time.Duration
	err := a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		wait, err = spend(ctx, tx, now, quota{"invitation " + i.ID, acceptTries, time.Hour})
		return err
	})
	if err != nil {
		return fmt.Errorf("accept invitation: %w", a.storeError(err))
	}
	if wait > 0 {
		return &WaitError{wait}
	}
	return nil
}

// makeInvited makes the account and ends the invitation.
func (a *Auth) makeInvited(ctx context.Context, at Attempt, code string, p *Principal, phc string, now time.Time) error {
	by := Actor{Name: "invitation", Origin: at.Address.Unmap().String()}
	err := a.db.Write(ctx, func(tx *sql.Tx) error {
		i, err := a.invitationBy(ctx, tx, code, now)
		if err != nil {
			return err // used meanwhile
		}
		var taken int
		if err := tx.QueryRowContext(ctx, sqlTakenEmail, fold(i.Email)).Scan(&taken); err != nil {
			return fmt.Errorf("look for the e-mail address: %w", err)
		}
		if taken > 0 {
			return ErrNoLink // somebody registered with it meanwhile
		}
		if err := a.insertAccount(ctx, tx, by, p, phc); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, sqlEndInvitation, store.Micros(now), "accepted", i.ID); err != nil {
			return fmt.Errorf("end invitation: %w", err)
		}
		return a.note(ctx, tx, by, "invitation.accept", p.Name, invitationNote(i), nil)
	})
	if errors.Is(err, ErrNoLink) {
		return err
	}
	if err != nil {
		return fmt.Errorf("accept invitation: %w", a.storeError(err))
	}
	return nil
}

// signInNew signs in the person whose account was made a moment ago, and who chose its password then.
func (a *Auth) signInNew(ctx context.Context, at Attempt, p Principal, phc string, now time.Time) (Outcome, error) {
	at.Login = p.Name
	who := &account{Principal: p, phc: phc, passwordAt: now}
	g := a.passwordGrant(at, who, "")
	g.released = true
	v, out, err := a.finish(ctx, at, verdict{account: who}, g, now)
	a.recordSignIn(at, v, out, err, now)
	if err != nil {
		return Outcome{}, err
	}
	return out, nil
}
