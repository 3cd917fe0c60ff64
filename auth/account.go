package auth

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
)

func putRoles(ctx context.Context, tx *sql.Tx, id string, roles []Role) error {
	if _, err := tx.ExecContext(ctx, sqlDeleteRoles, id); err != nil {
		return fmt.Errorf("remove roles: %w", err)
	}
	if _, err := tx.ExecContext(ctx, sqlTouchTokensOf, store.Micros(time.Now()), id); err != nil {
		return fmt.Errorf("have tokens read again: %w", err)
	}
	for _, r := range roles {
		if _, err := tx.ExecContext(ctx, sqlInsertRole, id, string(r)); err != nil {
			return fmt.Errorf("insert role: %w", err)
		}
	}
	return nil
}

func putPassword(ctx context.Context, tx *sql.Tx, id, phc string, now time.Time) error {
	var newest int64
	if err := tx.QueryRowContext(ctx, sqlNewestPassword, id).Scan(&newest); err != nil {
		return fmt.Errorf("read password history: %w", err)
	}
	if _, err := tx.ExecContext(ctx, sqlRetirePassword, id); err != nil {
		return fmt.Errorf("retire password: %w", err)
	}
	// The time is part of the key; a clock set back must not make a password collide with an older one.
	at := max(store.Micros(now), newest+1)
	if _, err := tx.ExecContext(ctx, sqlInsertPassword, id, at, phc); err != nil {
		return fmt.Errorf("insert password: %w", err)
	}
	return nil
}

// Principals returns all accounts, by name.
func (a *Auth) Principals(ctx context.Context) ([]Principal, error) {
	rows, err := a.db.QueryContext(ctx, sqlPrincipals)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", a.storeError(err))
	}
	defer rows.Close()
	var list []Principal
	for rows.Next() { // one row for each role
		var p Principal
		var role string
		dest, finish := principalColumns(&p)
		if err := rows.Scan(append(dest, &role)...); err != nil {
			return nil, fmt.Errorf("list accounts: %w", a.storeError(err))
		}
		finish()
		if n := len(list); n == 0 || list[n-1].ID != p.ID {
			list = append(list, p)
		}
		if role != "" {
			last := &list[len(list)-1]
			last.Roles = append(last.Roles, Role(role))
		}
	}
	for i := range list {
		sortRoles(list[i].Roles)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list accounts: %w", a.storeError(err))
	}
	return list, nil
}

// SetDisabled closes an account to sign-in and ends its sessions, or opens it again. The errors are
// ErrNotFound, ErrLastOwner and ErrUnavailable; a change to what is already so does nothing.
func (a *Auth) SetDisabled(ctx context.Context, by Actor, name string, disabled bool) error {
	action, kind := "account.enable", EnableAccount
	if disabled {
		action, kind = "account.disable", DisableAccount
	}
	err := a.change(ctx, by, action, name, Change{Kind: kind}, func(tx *sql.Tx, p *Principal, now time.Time) (bool, error) {
		if p.Disabled == disabled {
			return false, nil
		}
		p.Disabled = disabled
		at := store.Micros(now)
		if !disabled {
			at = 0
		}
		_, err := tx.ExecContext(ctx, sqlSetDisabled, at, store.Micros(now), p.ID)
		return true, err
	})
	if err != nil {
		return fmt.Errorf("set account %q disabled=%t: %w", name, disabled, err)
	}
	return nil
}

// SetRoles gives an account these roles and no others, and ends its sessions, which had the old ones. The
// errors are *InputError, ErrNotFound, ErrLastOwner and ErrUnavailable.
func (a *Auth) SetRoles(ctx context.Context, by Actor, name string, roles []Role) error {
	sorted, err := a.cfg.Load().checkRoles(roles)
	if err != nil {
		return fmt.Errorf("set roles of account %q: %w", name, err)
	}
	err = a.change(ctx, by, "account.roles", name, Change{Kind: SetRolesOf, Roles: sorted}, func(tx *sql.Tx, p *Principal, now time.Time) (bool, error) {
		p.Roles = sorted
		if _, err := tx.ExecContext(ctx, sqlSetChanged, store.Micros(now), p.ID); err != nil {
			return false, err
		}
		return true, putRoles(ctx, tx, p.ID, sorted)
	})
	if err != nil {
		return fmt.Errorf("set roles of account %q: %w", name, err)
	}
	return nil
}

// ResetPassword replaces the account's password and ends its sessions. Where the roles' rules say so, or mustChange does,
// the person has to choose another at the next sign-in. An account without a password has one from then on. The errors are *InputError, *PasswordError, ErrNotFound, ErrBusy and
// ErrUnavailable.
func (a *Auth) ResetPassword(ctx context.Context, by Actor, name, password string, mustChange bool) error {
	p, err := a.Principal(ctx, name)
	if err != nil {
		return fmt.Errorf("reset password of account %q: %w", name, err)
	}
	phc, err := a.hashNew(ctx, p, password, 0, netip.Prefix{})
	if err != nil {
		return fmt.Errorf("reset password of account %q: %w", name, err)
	}
	err = a.change(ctx, by, "account.password", name, Change{Kind: SetPasswordOf}, func(tx *sql.Tx, p *Principal, now time.Time) (bool, error) {
		p.MustChange = mustChange || a.cfg.Load().changesFirst(p.Roles)
		if err := setMustChange(ctx, tx, p.ID, p.MustChange, now); err != nil {
			return false, err
		}
		return true, putPassword(ctx, tx, p.ID, phc, now)
	})
	if err != nil {
		return fmt.Errorf("reset password of account %q: %w", name, err)
	}
	return nil
}

// RequireNewPassword has the person choose a new password at the next sign-in, and ends the account's sessions. The errors
// are *InputError for an account that has none, ErrNotFound and ErrUnavailable.
func (a *Auth) RequireNewPassword(ctx context.Context, by Actor, name string) error {
	err := a.change(ctx, by, "account.must-change", name, Change{Kind: AskNewPassword}, func(tx *sql.Tx, p *Principal, now time.Time) (bool, error) {
		who, err := readAccountByID(ctx, tx, p.ID)
		if err != nil {
			return false, err
		}
		if who == nil || who.phc == "" {
			return false, &InputError{"account", "has no password that could be changed"}
		}
		if p.MustChange {
			return false, nil
		}
		p.MustChange = true
		return true, setMustChange(ctx, tx, p.ID, true, now)
	})
	if err != nil {
		return fmt.Errorf("require a new password of account %q: %w", name, err)
	}
	return nil
}

// Principal returns an account by its name or e-mail address. The errors are ErrNotFound and ErrUnavailable.
func (a *Auth) Principal(ctx context.Context, name string) (Principal, error) {
	p, err := readPrincipal(ctx, a.db, name)
	if err != nil {
		return Principal{}, a.storeError(err)
	}
	return p, nil
}

// change runs f on the account in one transaction with the check that the actor may, the ending of its sessions, the check
// that an enabled owner remains, and the journal entry; f reports whether it changed anything.
func (a *Auth) change(ctx context.Context, by Actor, action, name string, what Change,
	f func(tx *sql.Tx, p *Principal, now time.Time) (bool, error)) error {
	var ended []string
	var p Principal
	err := a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		ended = nil
		now := time.Now()
		p, err = readPrincipal(ctx, tx, name)
		if err != nil {
			return err
		}
		if err := a.MayChange(by.As, p, what); err != nil {
			return err
		}
		before := snapshotOf(p)
		wasOwner := p.HasRole(Owner) && !p.Disabled
		changed, err := f(tx, &p, now)
		if err != nil || !changed {
			return err
		}
		if wasOwner && (p.Disabled || !p.HasRole(Owner)) {
			if err := anotherOwner(ctx, tx, p.ID); err != nil {
				return err
			}
		}
		if ended, err = endAll(ctx, tx, p.ID, action, store.Micros(now)); err != nil {
			return err
		}
		if err := a.settleTokens(ctx, tx, p, what.Kind, action, store.Micros(now)); err != nil {
			return err
		}
		return a.note(ctx, tx, by, action, p.Name, before, snapshotOf(p))
	})
	if err != nil {
		return a.storeError(err)
	}
	a.tokens.forget(p.ID)
	if len(ended) > 0 {
		a.sessions.end(ended...)
	}
	return nil
}

func anotherOwner(ctx context.Context, tx *sql.Tx, id string) error {
	var owners int
	if err := tx.QueryRowContext(ctx, sqlOtherOwners, id).Scan(&owners); err != nil {
		return fmt.Errorf("count owners: %w", err)
	}
	if owners == 0 {
		return ErrLastOwner
	}
	return nil
}

// readPrincipal is readAccountByLogin without the password.
func readPrincipal(ctx context.Context, from reader, login string) (Principal, error) {
	who, err := readAccountByLogin(ctx, from, login)
	if err != nil {
		return Principal{}, err
	}
	return who.Principal, nil
}

// readAccountByLogin finds an account by its name, or by its e-mail address, with its roles; ErrNotFound when there is none.
func readAccountByLogin(ctx context.Context, from reader, login string) (*account, error) {
	key, email, ok := loginKey(login)
	if !ok {
		return nil, ErrNotFound
	}
	query := sqlAccountByName
	if email {
		query = sqlAccountByEmail
	}
	who, err := readAccount(ctx, from, query, key)
	if err == nil && who == nil {
		err = ErrNotFound
	}
	return who, err
}

// readAccountByID reads an account with its roles; nil when there is none.
func readAccountByID(ctx context.Context, from reader, id string) (*account, error) {
	return readAccount(ctx, from, sqlAccountByID, id)
}

// snapshot is an account as the journal shows it: never the password, not even its hash.
type snapshot struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Email       string `json:"email,omitempty"`
	DisplayName string `json:"display_name,omitempty"`
	Roles       []Role `json:"roles"`
	Disabled    bool   `json:"disabled"`
	MustChange  bool   `json:"must_change,omitempty"`
}

func snapshotOf(p Principal) *snapshot {
	return &snapshot{p.ID, p.Name, p.Email, p.DisplayName, p.Roles, p.Disabled, p.MustChange}
}

// note writes the journal entry of a change, in the change's own transaction.
func (a *Auth) note(ctx context.Context, tx *sql.Tx, by Actor, action, target string, before, after any) error {
	entry := journal.Entry{Actor: by.Name, Origin: by.Origin, Action: action, Target: target}
	var err error
	if entry.Before, err = marshal(before); err != nil {
		return err
	}
	if entry.After, err = marshal(after); err != nil {
		return err
	}
	if err := a.journal.Append(ctx, tx, entry); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

func marshal(v any) (string, error) {
	if v == nil {
		return "", nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("write journal: %w", err)
	}
	return string(b), nil
}

// storeError turns a store error into what callers decide on; the package's own errors stay.
func (a *Auth) storeError(err error) error {
	var input *InputError
	var unfit *PasswordError
	var no *DeniedError
	for _, own := range []error{ErrNotFound, ErrExists, ErrLastOwner, ErrBusy, ErrUnavailable,
		ErrWrong, ErrLastFactor, ErrTooManyCodes, ErrTooManyPasskeys, ErrNoPasskeys} {
		if errors.Is(err, own) {
			return err
		}
	}
	if errors.As(err, &input) || errors.As(err, &unfit) || errors.As(err, &no) {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	// Drivers word a lost connection in many ways; whether the store is away shows when it is asked.
	if away := !a.checkStore(time.Now()); !away && !store.Unavailable(err) {
		return err
	}
	return unavailable(err)
}
