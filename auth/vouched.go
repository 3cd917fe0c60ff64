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

// vouched is a person whom another system has recognised.
type vouched struct {
	provider string // oidc:NAME or ldap:NAME; with subject it names the person for ever
	subject  string
	username string
	email    string // one that the other system answers for
	name     string
	roles    []Role
	mapped   bool // the other system decides about roles; else those of the account stay
	create   bool // an account is made at the first sign-in
	level    Level
	sid      string // the session there
}

// ErrNotInvited means that another system knows the person, and no account here is theirs, or they have no role.
var ErrNotInvited = errors.New("known elsewhere, and not allowed here")

// settle finds or makes the account of a person whom another system vouches for, and brings roles, name and address up to
// what that system says. ended are the sessions that had other roles.
func (a *Auth) settle(ctx context.Context, v vouched, at Attempt, now time.Time) (who *account, err error) {
	var ended []string
	err = a.db.Write(ctx, func(tx *sql.Tx) error {
		ended = nil
		id, err := a.ownerOf(ctx, tx, v, now)
		if err != nil {
			return err
		}
		by := Actor{Name: v.provider, Origin: at.Address.String()}
		if id == "" {
			if id, err = a.makeVouched(ctx, tx, by, v); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, sqlPutIdentity, v.provider, v.subject, id, store.Micros(now)); err != nil {
			return fmt.Errorf("store identity: %w", err)
		}
		if who, err = readAccountByID(ctx, tx, id); err != nil {
			return err
		}
		if who == nil || who.Disabled {
			return ErrWrong
		}
		ended, err = a.syncRoles(ctx, tx, by, who, v, now)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(ended) > 0 {
		a.sessions.end(ended...)
	}
	if len(who.Roles) == 0 {
		return nil, ErrNotInvited
	}
	return who, nil
}

// ownerOf finds the account that an identity belongs to: by the identity, else by a verified e-mail address or, in a
// directory, by the name. Only an account that never had a password can be found so: one that has, or had until its owner said that
// somebody else knows it, is somebody's already, and whoever can choose an address or a name elsewhere must not become them.
func (a *Auth) ownerOf(ctx context.Context, tx *sql.Tx, v vouched, now time.Time) (id string, err error) {
	err = tx.QueryRowContext(ctx, sqlIdentity, v.provider, v.subject).Scan(&id)
	if err == nil {
		return id, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("look up identity: %w", err)
	}
	for _, look := range []struct{ query, key string }{{sqlAccountByEmail, fold(v.email)}, {sqlAccountByName, fold(v.username)}} {
		if look.key == "" || look.query == sqlAccountByName && !strings.HasPrefix(v.provider, "ldap:") {
			continue
		}
		var found account
		dest, finish := accountColumns(&found)
		err := tx.QueryRowContext(ctx, look.query, look.key).Scan(dest...)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("look up account: %w", err)
		}
		finish()
		var newest int64
		if err := tx.QueryRowContext(ctx, sqlNewestPassword, found.ID).Scan(&newest); err != nil {
			return "", fmt.Errorf("read password history: %w", err)
		}
		if newest > 0 || found.Origin != originLocal && found.Origin != v.provider {
			return "", ErrNotInvited
		}
		return found.ID, nil
	}
	return "", nil
}

// makeVouched makes the account of a person's first sign-in.
func (a *Auth) makeVouched(ctx context.Context, tx *sql.Tx, by Actor, v vouched) (string, error) {
	if !v.create || len(v.roles) == 0 {
		return "", ErrNotInvited
	}
	p := Principal{Name: v.username, DisplayName: v.name, Roles: v.roles, Origin: v.provider}
	if !validName(p.Name) {
		return "", fmt.Errorf("%w: %q cannot be an account's name", ErrNotInvited, p.Name)
	}
	if validEmail(v.email) {
		p.Email = v.email
	}
	if !usable(p.DisplayName) {
		p.DisplayName = ""
	}
	err := a.insertAccount(ctx, tx, by, &p, "")
	if errors.Is(err, ErrExists) {
		return "", fmt.Errorf("%w: %w", ErrNotInvited, err)
	}
	return p.ID, err
}

// syncRoles gives the account the roles that the other system says, where it decides about them. The last owner stays owner.
func (a *Auth) syncRoles(ctx context.Context, tx *sql.Tx, by Actor, who *account, v vouched, now time.Time) (ended []string, err error) {
	if !v.mapped || slices.Equal(who.Roles, v.roles) {
		return nil, nil
	}
	if who.HasRole(Owner) && !slices.Contains(v.roles, Owner) {
		err := anotherOwner(ctx, tx, who.ID)
		if errors.Is(err, ErrLastOwner) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	before := snapshotOf(who.Principal)
	if err := putRoles(ctx, tx, who.ID, v.roles); err != nil {
		return nil, err
	}
	who.Roles = v.roles
	if ended, err = endAll(ctx, tx, who.ID, "roles", store.Micros(now)); err != nil {
		return nil, err
	}
	return ended, a.note(ctx, tx, by, "account.roles", who.Name, before, snapshotOf(who.Principal))
}

// knownRoles keeps the roles that exist, sorted.
func (s *settings) knownRoles(names []string) []Role {
	var roles []Role
	for _, name := range names {
		if s.roles[Role(name)] != nil {
			roles = append(roles, Role(name))
		}
	}
	sortRoles(roles)
	return slices.Compact(roles)
}

// vouchedGrant is the first step of a sign-in by another system.
func vouchedGrant(at Attempt, who *account, v vouched) *grant {
	return &grant{who: who, level: v.level, methods: []string{v.provider}, remember: at.Remember, previous: tokenKey(at.PreviousToken),
		device: tokenKey(at.Device), returnTo: at.ReturnTo, provider: v.provider, sid: v.sid}
}
