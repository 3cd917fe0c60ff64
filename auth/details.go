package auth

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"time"

	"github.com/doorward/doorward/store"
)

// Details is an account as an administrator sees it.
type Details struct {
	Principal  Principal
	Privileges []Privilege // what the roles give, in the order of the matrix
	Unknown    []Role      // roles that the configuration has no more
	PasswordAt time.Time   // when the password was chosen; zero without one
	Factors    FactorSummary
	LastSignIn time.Time // zero: never
	Sessions   []SessionInfo
	Tokens     []TokenInfo
}

// Details returns what is known of an account, found by name or e-mail address. The errors are ErrNotFound and ErrUnavailable.
func (a *Auth) Details(ctx context.Context, name string, now time.Time) (Details, error) {
	d, err := a.readDetails(ctx, name, now)
	if err != nil {
		return Details{}, fmt.Errorf("read account %q: %w", name, a.storeError(err))
	}
	return d, nil
}

func (a *Auth) readDetails(ctx context.Context, name string, now time.Time) (d Details, err error) {
	who, err := readAccountByLogin(ctx, a.db, name)
	if err != nil {
		return d, err
	}
	d.Principal = who.Principal
	if who.phc != "" {
		d.PasswordAt = who.passwordAt
	}
	if d.Factors, err = readFactors(ctx, a.db, d.Principal.ID); err != nil {
		return d, err
	}
	var last int64
	if err := a.db.QueryRowContext(ctx, sqlLastSignIn, d.Principal.ID).Scan(&last); err != nil {
		return d, fmt.Errorf("read last sign-in: %w", err)
	}
	d.LastSignIn = store.FromMicros(last)
	d.Privileges, d.Unknown = a.PrivilegesOf(d.Principal.Roles), a.UnknownRoles(d.Principal.Roles)
	if d.Sessions, err = a.ListSessions(ctx, d.Principal.Name); err != nil {
		return d, err
	}
	d.Tokens, err = a.Tokens(ctx, d.Principal.Name)
	return d, err
}

// noteLastSignIn keeps when the person last signed in, which outlives the session's own record.
func noteLastSignIn(ctx context.Context, tx *sql.Tx, s *Session, at int64) error {
	if _, err := tx.ExecContext(ctx, sqlNoteLastSignIn, at, s.Principal.ID); err != nil {
		return fmt.Errorf("note sign-in: %w", err)
	}
	return nil
}

// placesWait is how long a list waits in all for the host names of addresses that it shows.
const placesWait = 500 * time.Millisecond

// addPlaces completes a list of sessions with what is known of their addresses. It waits a moment for names: once for the whole
// list, so that a slow name server costs no more than that.
func (a *Auth) addPlaces(ctx context.Context, list []SessionInfo) {
	ctx, cancel := context.WithTimeout(ctx, placesWait)
	defer cancel()
	names := make(map[netip.Addr]string)
	for i := range list {
		s := &list[i]
		name, known := names[s.Address]
		if !known {
			name = a.hostName(ctx, s.Address)
			names[s.Address] = name
		}
		s.HostName, s.Country = name, a.country(s.Address)
	}
}
