package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/store"
)

// An invitation is an account that an administrator has decided on, and that the person completes with a name and a
// password of their own. It works with registration off.

const (
	defaultInvitation = 7 * 24 * time.Hour
	maxInvitation     = 30 * 24 * time.Hour
	// maxInvitations is how many may be open at a time.
	maxInvitations = 1000
	// keepInvitations is how long it can be seen what became of one.
	keepInvitations = 90 * 24 * time.Hour
	// maxListedInvitations is how many Invitations returns at most.
	maxListedInvitations = 2000
)

// Invitation is the account that somebody was asked to complete.
type Invitation struct {
	ID          string
	Email       string
	Name        string // proposed; may be empty
	DisplayName string // proposed; may be empty
	Language    string // of the mail and of the account: a BCP 47 tag; may be empty
	Roles       []Role // at least one
	InvitedBy   string // the actor's name
	Created     time.Time
	Expires     time.Time
	Ended       time.Time // zero while it is open, or when its time passed
	How         string    // how it ended: accepted, revoked, replaced
}

// State is open, accepted, revoked, replaced or expired.
func (i Invitation) State(now time.Time) string {
	switch {
	case i.How != "":
		return i.How
	case !now.Before(i.Expires):
		return "expired"
	}
	return "open"
}

// NewInvitation is an invitation to be made.
type NewInvitation struct {
	Email       string
	Name        string // proposed; may be empty
	DisplayName string // proposed; may be empty
	Language    string // may be empty
	Roles       []Role // at least one
	// Host is the site that the link leads to; empty: the first one of the configuration.
	Host string
	// Life is how long the link is good: an hour to 30 days; 0: 7 days.
	Life time.Duration
}

// Invited is an invitation with its link, which is shown once and kept nowhere.
type Invited struct {
	Invitation
	Link   string
	Mailed bool // it is also on its way by mail
}

// Invite makes an invitation. Earlier ones to the same e-mail address end. Where the administrator may not make an account
// with these roles the error is *DeniedError; the others are *InputError, ErrExists (the address is an account's) and
// ErrUnavailable.
func (a *Auth) Invite(ctx context.Context, by Actor, n NewInvitation, now time.Time) (Invited, error) {
	host, err := a.checkInvitation(&n)
	if err != nil {
		return Invited{}, fmt.Errorf("invite: %w", err)
	}
	code, hash := newToken()
	var made Invited
	err = a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		if err := a.MayChange(by.As, Principal{Email: n.Email, Roles: n.Roles}, Change{Kind: AddAccount, Roles: n.Roles}); err != nil {
			return err
		}
		made = Invited{Invitation: Invitation{Email: n.Email, Name: n.Name, DisplayName: n.DisplayName, Language: n.Language,
			Roles: n.Roles, InvitedBy: by.Name, Created: now, Expires: now.Add(n.Life)}}
		if made.ID, err = store.NewID(); err != nil {
			return err
		}
		if err := insertInvitation(ctx, tx, made.Invitation, hexHash(hash)); err != nil {
			return err
		}
		if made.Mailed, err = a.mailInvitation(ctx, tx, made.Invitation, host, code, now); err != nil {
			return err
		}
		return a.note(ctx, tx, by, "invitation.add", n.Email, nil, invitationNote(made.Invitation))
	})
	if err != nil {
		return Invited{}, fmt.Errorf("invite %s: %w", n.Email, a.storeError(err))
	}
	if made.Mailed {
		a.mail.Wake()
	}
	made.Link = a.linkURL(SiteRealm, host, "/.doorward/link/invitation?c="+code)
	return made, nil
}

// checkInvitation judges and completes an invitation; it returns the host of its link.
func (a *Auth) checkInvitation(n *NewInvitation) (host string, err error) {
	cfg := a.cfg.Load()
	setDefault(&n.Life, defaultInvitation)
	switch {
	case !validEmail(n.Email):
		return "", &InputError{"email", "must be one address with exactly one @"}
	case n.Name != "" && !validName(n.Name):
		return "", nameError()
	case n.DisplayName != "" && !usable(n.DisplayName):
		return "", displayNameError()
	case n.Language != "" && !slices.Contains(a.texts.Names(), n.Language):
		return "", &InputError{"language", fmt.Sprintf("must be one of %s", strings.Join(a.texts.Names(), ", "))}
	case n.Life < time.Hour || n.Life > maxInvitation:
		return "", &InputError{"life", fmt.Sprintf("must be between %v and %v", time.Hour, maxInvitation)}
	}
	if n.Roles, err = cfg.checkRoles(n.Roles); err != nil {
		return "", err
	}
	if host = canonicalName(n.Host); host == "" && len(cfg.SiteHosts) > 0 {
		host = canonicalName(cfg.SiteHosts[0])
	}
	if !slices.ContainsFunc(cfg.SiteHosts, func(known string) bool { return canonicalName(known) == host }) {
		return "", &InputError{"host", "must be one of the sites' names"}
	}
	return host, nil
}

func nameError() error {
	return &InputError{"name", fmt.Sprintf("must be 1 to %d letters, digits or . _ - + and begin with a letter or digit", maxInput)}
}

func displayNameError() error {
	return &InputError{"display name", fmt.Sprintf("must be at most %d visible characters", maxInput)}
}

func insertInvitation(ctx context.Context, tx *sql.Tx, i Invitation, hash string) error {
	var taken, open int
	if err := tx.QueryRowContext(ctx, sqlTakenEmail, fold(i.Email)).Scan(&taken); err != nil {
		return fmt.Errorf("look for the e-mail address: %w", err)
	}
	if taken > 0 {
		return ErrExists
	}
	at := store.Micros(i.Created)
	if _, err := tx.ExecContext(ctx, sqlReplaceInvitations, at, fold(i.Email)); err != nil {
		return fmt.Errorf("end earlier invitations: %w", err)
	}
	if err := tx.QueryRowContext(ctx, sqlCountInvitations, at).Scan(&open); err != nil {
		return fmt.Errorf("count invitations: %w", err)
	}
	if open >= maxInvitations {
		return &InputError{"invitation", fmt.Sprintf("cannot be made while %d are open; revoke those that nobody will accept", open)}
	}
	_, err := tx.ExecContext(ctx, sqlInsertInvitation, i.ID, hash, i.Email, fold(i.Email), i.Name, i.DisplayName, i.Language,
		join(i.Roles, " "), i.InvitedBy, at, store.Micros(i.Expires))
	if err != nil {
		return fmt.Errorf("store invitation: %w", err)
	}
	return nil
}

// mailInvitation puts the link into the outbox, if there is a mail server.
func (a *Auth) mailInvitation(ctx context.Context, tx *sql.Tx, i Invitation, host, code string, now time.Time) (bool, error) {
	if !a.mails() {
		return false, nil
	}
	to := Principal{Name: i.Email, DisplayName: i.DisplayName, Email: i.Email, Language: i.Language}
	return a.send(ctx, tx, letter{kind: "invitation", to: to, host: host, path: "/.doorward/link/invitation?c=" + code, until: i.Expires,
		pairs: []string{"until", i.Expires.UTC().Format("2006-01-02 15:04 UTC")}}, now)
}

// invitationNote is an invitation as the journal shows it: never its link.
func invitationNote(i Invitation) any {
	return struct {
		ID          string    `json:"id"`
		Email       string    `json:"email"`
		Name        string    `json:"name,omitempty"`
		DisplayName string    `json:"display_name,omitempty"`
		Roles       []Role    `json:"roles"`
		Expires     time.Time `json:"expires"`
	}{i.ID, i.Email, i.Name, i.DisplayName, i.Roles, i.Expires.UTC().Truncate(time.Microsecond)}
}

// Invitations lists invitations, the newest first: the open ones, and for 90 days those that are over; 2000 at most. The
// error is ErrUnavailable.
func (a *Auth) Invitations(ctx context.Context) ([]Invitation, error) {
	rows, err := a.db.QueryContext(ctx, sqlInvitations, maxListedInvitations)
	if err != nil {
		return nil, fmt.Errorf("list invitations: %w", a.storeError(err))
	}
	defer rows.Close()
	var list []Invitation
	for rows.Next() {
		i, err := scanInvitation(rows)
		if err != nil {
			return nil, fmt.Errorf("list invitations: %w", a.storeError(err))
		}
		list = append(list, i)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list invitations: %w", a.storeError(err))
	}
	return list, nil
}

func scanInvitation(row interface{ Scan(dest ...any) error }) (Invitation, error) {
	var i Invitation
	var roles string
	var created, expires, ended int64
	if err := row.Scan(&i.ID, &i.Email, &i.Name, &i.DisplayName, &i.Language, &roles, &i.InvitedBy, &created, &expires, &ended, &i.How); err != nil {
		return i, err
	}
	for _, name := range strings.Fields(roles) {
		i.Roles = append(i.Roles, Role(name))
	}
	i.Created, i.Expires, i.Ended = store.FromMicros(created), store.FromMicros(expires), store.FromMicros(ended)
	return i, nil
}

// RevokeInvitation makes the link of an open invitation useless. The errors are *DeniedError, ErrNotFound (there is none, or
// it is over) and ErrUnavailable.
func (a *Auth) RevokeInvitation(ctx context.Context, by Actor, id string, now time.Time) error {
	err := a.db.Write(ctx, func(tx *sql.Tx) error {
		i, err := scanInvitation(tx.QueryRowContext(ctx, sqlInvitationByID, id))
		if errors.Is(err, sql.ErrNoRows) || err == nil && i.State(now) != "open" {
			return ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("read invitation: %w", err)
		}
		if err := a.MayChange(by.As, Principal{Name: i.Email, Roles: i.Roles}, Change{Kind: DisableAccount}); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, sqlEndInvitation, store.Micros(now), "revoked", id); err != nil {
			return fmt.Errorf("end invitation: %w", err)
		}
		return a.note(ctx, tx, by, "invitation.revoke", i.Email, invitationNote(i), nil)
	})
	if err != nil {
		return fmt.Errorf("revoke invitation: %w", a.storeError(err))
	}
	return nil
}
