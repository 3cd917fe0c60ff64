package auth

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"time"

	"github.com/doorward/doorward/store"
)

// NewPrincipal is an account to be made.
type NewPrincipal struct {
	Name        string
	Email       string // may be empty
	DisplayName string // may be empty
	Roles       []Role // at least one
	Password    string // as the roles' rules want it
	// NoPassword makes an account for who comes by another system, and by passkeys once they have one: no Password, and none by
	// mail either. ResetPassword gives it one.
	NoPassword bool
	// MustChange asks for a new password at the first sign-in, whatever the roles' rules say.
	MustChange bool
}

// AddPrincipal makes an account. The errors are *InputError, *PasswordError, ErrExists, ErrBusy and ErrUnavailable.
func (a *Auth) AddPrincipal(ctx context.Context, by Actor, n NewPrincipal) (Principal, error) {
	p, err := a.checkNew(n)
	if err != nil {
		return Principal{}, fmt.Errorf("add account: %w", err)
	}
	phc := ""
	if !n.NoPassword {
		if phc, err = a.hashNew(ctx, p, n.Password, 0, netip.Prefix{}); err != nil {
			return Principal{}, fmt.Errorf("add account %q: %w", p.Name, err)
		}
	}
	if err := a.insertNew(ctx, by, &p, phc); err != nil {
		return Principal{}, fmt.Errorf("add account %q: %w", p.Name, a.storeError(err))
	}
	return p, nil
}

// insertNew stores a new account, with a password unless phc is empty, in a transaction of its own.
func (a *Auth) insertNew(ctx context.Context, by Actor, p *Principal, phc string) error {
	return a.db.Write(ctx, func(tx *sql.Tx) error { return a.insertAccount(ctx, tx, by, p, phc) })
}

func (a *Auth) insertAccount(ctx context.Context, tx *sql.Tx, by Actor, p *Principal, phc string) (err error) {
	if err := a.MayChange(by.As, *p, Change{Kind: AddAccount, Roles: p.Roles}); err != nil {
		return err
	}
	if p.ID, err = store.NewID(); err != nil {
		return err
	}
	p.Created = time.Now().UTC().Truncate(time.Microsecond)
	p.Changed = p.Created
	if err := insertPrincipal(ctx, tx, *p); err != nil {
		return err
	}
	if err := putRoles(ctx, tx, p.ID, p.Roles); err != nil {
		return err
	}
	if phc != "" {
		if err := putPassword(ctx, tx, p.ID, phc, p.Created); err != nil {
			return err
		}
	}
	return a.note(ctx, tx, by, "account.add", p.Name, nil, snapshotOf(*p))
}

func (a *Auth) checkNew(n NewPrincipal) (Principal, error) {
	p := Principal{Name: n.Name, Email: n.Email, DisplayName: n.DisplayName, Origin: originLocal}
	if !validName(n.Name) {
		return p, nameError()
	}
	if n.Email != "" && !validEmail(n.Email) {
		return p, &InputError{"email", "must be one address with exactly one @"}
	}
	if n.DisplayName != "" && !usable(n.DisplayName) {
		return p, displayNameError()
	}
	if n.NoPassword && (n.Password != "" || n.MustChange) {
		return p, &InputError{"password", "can neither be given nor have to be changed where there is none"}
	}
	cfg := a.cfg.Load()
	var err error
	if p.Roles, err = cfg.checkRoles(n.Roles); err != nil {
		return p, err
	}
	p.MustChange = !n.NoPassword && (n.MustChange || cfg.changesFirst(p.Roles))
	return p, nil
}

// originLocal is the origin of accounts that an administrator made.
const originLocal = "local"

func insertPrincipal(ctx context.Context, tx *sql.Tx, p Principal) error {
	name, other, err := taken(ctx, tx, p)
	if err != nil {
		return err
	}
	if name || other {
		return ErrExists
	}
	emailKey := sql.NullString{String: fold(p.Email), Valid: p.Email != ""}
	at := store.Micros(p.Created)
	if _, err := tx.ExecContext(ctx, sqlInsertPrincipal, p.ID, p.Name, fold(p.Name), p.Email, emailKey,
		p.DisplayName, at, at, p.Phone, sql.NullString{String: p.Phone, Valid: p.Phone != ""}, p.Language, p.Origin, truth(p.MustChange)); err != nil {
		return fmt.Errorf("insert account: %w", err)
	}
	return nil
}
