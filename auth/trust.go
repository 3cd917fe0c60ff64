package auth

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"time"

	"github.com/doorward/doorward/store"
)

// KnownAddress is a network that a person has signed in from: an IPv4 address, or the /64 of an IPv6 one.
type KnownAddress struct {
	Prefix       netip.Prefix
	How          string // signed-in, mailed-link, administrator
	Created      time.Time
	Seen         time.Time
	TrustedUntil time.Time // zero: known, and not trusted
}

// KnownAddresses lists where an account was used from, the one used last first. The error is ErrUnavailable.
func (a *Auth) KnownAddresses(ctx context.Context, principalID string) ([]KnownAddress, error) {
	rows, err := a.db.QueryContext(ctx, sqlAddressesOf, principalID)
	if err != nil {
		return nil, fmt.Errorf("list known addresses: %w", a.storeError(err))
	}
	defer rows.Close()
	var list []KnownAddress
	for rows.Next() {
		var k KnownAddress
		var prefix string
		var created, seen, until int64
		if err := rows.Scan(&prefix, &k.How, &created, &seen, &until); err != nil {
			return nil, fmt.Errorf("list known addresses: %w", a.storeError(err))
		}
		k.Prefix, _ = netip.ParsePrefix(prefix) // written by us
		k.Created, k.Seen, k.TrustedUntil = store.FromMicros(created), store.FromMicros(seen), store.FromMicros(until)
		list = append(list, k)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list known addresses: %w", a.storeError(err))
	}
	return list, nil
}

// TrustAddress lets an account's sign-ins from the address pass without release for the roles' period: what an
// administrator does when mail is down (D-13). It returns until when. The errors are *InputError, ErrNotFound and ErrUnavailable.
func (a *Auth) TrustAddress(ctx context.Context, by Actor, name string, address netip.Addr, now time.Time) (until time.Time, err error) {
	if !address.IsValid() || address.IsUnspecified() || address.IsMulticast() {
		return until, &InputError{"address", "must be the IP address that the person signs in from"}
	}
	err = a.db.Write(ctx, func(tx *sql.Tx) error {
		p, err := readPrincipal(ctx, tx, name)
		if err != nil {
			return err
		}
		if err := a.MayChange(by.As, p, Change{Kind: TrustAddressOf}); err != nil {
			return err
		}
		_, period := a.cfg.Load().trust(p.Roles, address)
		if period == 0 {
			period = defaultTrust
		}
		until = now.Add(period)
		if _, err := putAddress(ctx, tx, p.ID, address, "administrator", store.Micros(now), store.Micros(until)); err != nil {
			return err
		}
		return a.note(ctx, tx, by, "account.trust-address", p.Name, nil, map[string]string{
			"network": addressKey(address).String(), "until": until.UTC().Format(time.RFC3339)})
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("trust address: %w", a.storeError(err))
	}
	return until, nil
}

// ForgetAddress takes the trust in a network back, and the knowledge of it. Sessions from there go on. The errors are
// ErrNotFound and ErrUnavailable.
func (a *Auth) ForgetAddress(ctx context.Context, by Actor, principalID string, prefix netip.Prefix) error {
	err := a.db.Write(ctx, func(tx *sql.Tx) error {
		who, err := readAccountByID(ctx, tx, principalID)
		if err != nil {
			return err
		}
		if who == nil {
			return ErrNotFound
		}
		if err := a.MayChange(by.As, who.Principal, Change{Kind: ForgetAddressOf}); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, sqlDeleteAddress, principalID, prefix.String())
		if err != nil {
			return fmt.Errorf("forget address: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return ErrNotFound
		}
		return a.note(ctx, tx, by, "account.forget-address", who.Name, map[string]string{"network": prefix.String()}, nil)
	})
	if err != nil {
		return fmt.Errorf("forget address: %w", a.storeError(err))
	}
	return nil
}

// accountByID reads an account outside of a transaction's work; ErrWrong when it is gone or closed.
func (a *Auth) accountByID(ctx context.Context, id string) (who *account, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	who, err = readAccountByID(ctx, a.db, id)
	if err == nil && (who == nil || who.Disabled) {
		err = ErrWrong
	}
	return who, err
}
