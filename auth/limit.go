package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/doorward/doorward/store"
)

// Failed sign-ins are counted by address, by account and in all, those of staff and of everybody else apart (D-08). The counts
// are in the store, so that a restart forgives nothing and all gateways on one database see the same. They grow no faster
// than passwords are hashed, and a window's rows go when it is over.
//
// A count is of the current window plus the share of the one before that still lies within a window's length, so that no
// moment allows twice the limit.

// maxRateWindow is twice the longest window that can be configured.
const maxRateWindow = 48 * time.Hour

// limitKeys names what one attempt is counted by.
type limitKeys struct {
	class   string // staff or users
	address string
	account string // of strangers to the account
	total   string
	own     string // of a network or browser that the account was signed in with before: it has a count of its own
}

// keysOf names the counts of an attempt at the account, or at a name that is none. The name is hashed: a mistyped
// password must not stand in the table.
func (a *Auth) keysOf(ctx context.Context, at Attempt, login string, who *account, cfg *settings) (limitKeys, RateConfig, error) {
	k, rate := limitKeys{class: "users"}, cfg.SignIn.Users
	if who != nil && cfg.isStaff(who.Roles) {
		k.class, rate = "staff", cfg.SignIn.Staff
	}
	prefix := k.class + " "
	k.address = prefix + "address " + addressKey(at.Address).String()
	k.total = prefix + "total"
	name := a.secrets.mac("sign-in name", []byte(login))
	if who != nil {
		name = who.ID
		known, err := a.isFamiliar(ctx, at, who.ID)
		if err != nil {
			return k, rate, err
		}
		if known {
			k.own = prefix + "own " + name + " " + addressKey(at.Address).String()
		}
	}
	k.account = prefix + "account " + name
	return k, rate, nil
}

// isFamiliar tells whether the account was signed in from this network, or with this browser, before.
func (a *Auth) isFamiliar(ctx context.Context, at Attempt, principalID string) (bool, error) {
	var n int
	err := a.db.QueryRowContext(ctx, sqlFamiliarTo, principalID, addressKey(at.Address).String(), tokenKey(at.Device)).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look up known address: %w", err)
	}
	return n > 0, nil
}

// limited returns how long an attempt has to wait because of earlier failures; 0 if it need not.
func (a *Auth) limited(ctx context.Context, k limitKeys, rate RateConfig, now time.Time) (time.Duration, error) {
	checks := []struct {
		key   string
		limit int
	}{{k.address, rate.PerAddress}, {k.account, rate.PerAccount}, {k.total, rate.Total}}
	if k.own != "" {
		checks = checks[:0]
		checks = append(checks, struct {
			key   string
			limit int
		}{k.own, rate.PerAccount})
	}
	var longest time.Duration
	for _, c := range checks {
		if c.limit == 0 {
			continue
		}
		left, err := overLimit(ctx, a.db, c.key, c.limit, rate.Window, now)
		if err != nil {
			return 0, err
		}
		longest = max(longest, left)
	}
	return longest, nil
}

// overLimit returns how long until the count falls below the limit; 0 if it is below.
func overLimit(ctx context.Context, q querier, key string, limit int, window time.Duration, now time.Time) (time.Duration, error) {
	start := windowStart(now, window)
	current, err := readCount(ctx, q, key, start)
	if err != nil {
		return 0, err
	}
	before, err := readCount(ctx, q, key, start.Add(-window))
	if err != nil {
		return 0, err
	}
	into := now.Sub(start)
	if float64(current)+float64(before)*float64(window-into)/float64(window) < float64(limit) {
		return 0, nil
	}
	if current >= int64(limit) {
		// This window is full by itself: in the next one its share shrinks until it is below the limit.
		excess := 1 - float64(limit)/float64(current)
		return window - into + time.Duration(excess*float64(window)) + time.Second, nil
	}
	// The window before has to weigh less.
	fits := 1 - float64(int64(limit)-current)/float64(before)
	return max(time.Second, time.Duration(fits*float64(window))-into+time.Second), nil
}

func windowStart(now time.Time, window time.Duration) time.Time {
	return time.Unix(0, now.UnixNano()-now.UnixNano()%int64(window))
}

func readCount(ctx context.Context, q querier, key string, start time.Time) (n int64, err error) {
	err = q.QueryRowContext(ctx, sqlRate, key, store.Micros(start)).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read count of failures: %w", err)
	}
	return n, nil
}

// countFailure counts a failure where it belongs.
func (a *Auth) countFailure(ctx context.Context, k limitKeys, rate RateConfig, now time.Time) error {
	keys := []string{k.address, k.account, k.total}
	if k.own != "" {
		keys = []string{k.own}
	}
	start := store.Micros(windowStart(now, rate.Window))
	return a.db.Write(ctx, func(tx *sql.Tx) error {
		for _, key := range keys {
			if _, err := tx.ExecContext(ctx, sqlCountRate, key, start); err != nil {
				return fmt.Errorf("count failure: %w", err)
			}
		}
		return nil
	})
}
