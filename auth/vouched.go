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

// notInvited is ErrNotInvited with the reason, a constant word for events.
type notInvited struct{ reason, detail string }

// Why somebody whom another system knows is not allowed here, as events say it.
const (
	reasonNoAccount    = "no-account"      // there is none, and none is made
	reasonNoRole       = "no-role"         // no group gives one
	reasonNameUnusable = "name-unusable"   // the name there cannot be an account's
	reasonNameTaken    = "name-taken"      // the name or the address is another account's
	reasonNotTheirs    = "account-claimed" // the address or the name leads to an account that is somebody's already
)

func (e *notInvited) Error() string { return ErrNotInvited.Error() + ": " + e.reason + " " + e.detail }
func (e *notInvited) Unwrap() error { return ErrNotInvited }

// settle finds or makes the account of a person whom another system vouches for, and brings its roles up to what that system
// says; the sessions that had other roles end. The errors are *notInvited, ErrWrong for a disabled account, and the store's.
func (a *Auth) settle(ctx context.Context, v vouched, at Attempt, now time.Time) (who *account, err error) {
	var ended []string
	changed := false
	err = a.db.Write(ctx, func(tx *sql.Tx) error {
		id, err := a.ownerOf(ctx, tx, v, now)
		if err != nil {
			return err
		}
		by := Actor{Name: v.provider, Origin: "local"}
		if at.Address.IsValid() {
			by.Origin = at.Address.String()
		}
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
		changed, ended, err = a.syncRoles(ctx, tx, by, who, v, now)
		return err
	})
	if err != nil {
		return nil, err
	}
	if changed {
		a.tokens.forget(who.ID)
		a.sessions.end(ended...)
	}
	if len(who.Roles) == 0 {
		return nil, &notInvited{reasonNoRole, ""}
	}
	return who, nil
}

// ownerOf finds the account that an identity belongs to: by the identity, else by a verified e-mail address or, in a
// directory, by the name. Only an account that an administrator has made and nobody has a key to yet can be found so: one with a
// password, a second factor or an identity, or that had a password until its owner disowned it, is somebody's already. Whoever can choose an address or a name elsewhere, or is
// given one that was another's, must not become them.
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
		found, err := scanAccount(tx.QueryRowContext(ctx, look.query, look.key))
		if err != nil {
			return "", err
		}
		if found == nil {
			continue
		}
		var claims int
		if err := tx.QueryRowContext(ctx, sqlClaims, found.ID).Scan(&claims); err != nil {
			return "", fmt.Errorf("look up whose the account is: %w", err)
		}
		if found.phc != "" || found.Origin != originLocal || claims > 0 {
			return "", &notInvited{reasonNotTheirs, found.Name}
		}
		return found.ID, nil
	}
	return "", nil
}

// makeVouched makes the account of a person's first sign-in.
func (a *Auth) makeVouched(ctx context.Context, tx *sql.Tx, by Actor, v vouched) (string, error) {
	switch {
	case !v.create:
		return "", &notInvited{reasonNoAccount, v.username}
	case len(v.roles) == 0:
		return "", &notInvited{reasonNoRole, v.username}
	}
	p := Principal{Name: v.username, DisplayName: v.name, Roles: v.roles, Origin: v.provider}
	if !validName(p.Name) {
		return "", &notInvited{reasonNameUnusable, p.Name}
	}
	if validEmail(v.email) {
		p.Email = v.email
	}
	if !usable(p.DisplayName) {
		p.DisplayName = ""
	}
	err := a.insertAccount(ctx, tx, by, &p, "")
	if errors.Is(err, ErrExists) {
		return "", &notInvited{reasonNameTaken, p.Name}
	}
	return p.ID, err
}

// syncRoles gives the account the roles that the other system says, where it decides about them. Its sessions end, and its API
// tokens with privileges that it has no more. The last owner stays owner.
func (a *Auth) syncRoles(ctx context.Context, tx *sql.Tx, by Actor, who *account, v vouched, now time.Time) (changed bool, ended []string, err error) {
	if !v.mapped || slices.Equal(who.Roles, v.roles) {
		return false, nil, nil
	}
	if who.HasRole(Owner) && !slices.Contains(v.roles, Owner) {
		err := anotherOwner(ctx, tx, who.ID)
		if errors.Is(err, ErrLastOwner) {
			return false, nil, nil
		}
		if err != nil {
			return false, nil, err
		}
	}
	before := snapshotOf(who.Principal)
	if err := putRoles(ctx, tx, who.ID, v.roles); err != nil {
		return false, nil, err
	}
	if _, err := tx.ExecContext(ctx, sqlSetChanged, store.Micros(now), who.ID); err != nil {
		return false, nil, fmt.Errorf("note change of account: %w", err)
	}
	who.Roles = v.roles
	if ended, err = endAll(ctx, tx, who.ID, "account.roles", store.Micros(now)); err != nil {
		return false, nil, err
	}
	if err := a.settleTokens(ctx, tx, who.Principal, SetRolesOf, "account.roles", store.Micros(now)); err != nil {
		return false, nil, err
	}
	return true, ended, a.note(ctx, tx, by, "account.roles", who.Name, before, snapshotOf(who.Principal))
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
