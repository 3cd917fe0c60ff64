package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/doorward/doorward/store"
)

// Failed sign-ins are counted by address, by account and in all, those of staff and of everybody else apart (D-08). The counts
// are in the store, so that a restart forgives nothing and all gateways on one database see the same. They grow no faster
// than passwords are hashed, and a window's rows go when the one that follows is over.
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

	// other is the address's count of the other class, and otherRate that class's limit.
	other     string
	otherRate RateConfig
}

// keysOf names the counts of an attempt at the account, or at a name that is none. Strangers are counted by what they typed, and
// their address for both classes: if a failure at one name counted for another, or for staff alone, the limit would tell which
// names are one account's, and who is staff. What was typed is hashed: a mistyped password must not stand in the table.
func (a *Auth) keysOf(ctx context.Context, at Attempt, login string, who *account, cfg *settings) (limitKeys, RateConfig, error) {
	k, rate, other := limitKeys{class: "users", otherRate: cfg.SignIn.Staff}, cfg.SignIn.Users, "staff"
	id := nobody // the same is asked of the store for a name that is nobody's
	if who != nil {
		id = who.ID
		if cfg.isStaff(who.Roles) {
			k.class, rate, other, k.otherRate = "staff", cfg.SignIn.Staff, "users", cfg.SignIn.Users
		}
	}
	address := " address " + addressKey(at.Address).String()
	k.address, k.other = k.class+address, other+address
	k.total = k.class + " total"
	k.account = k.class + " account " + a.secrets.mac("sign-in name", []byte(login))
	known, err := a.familiar(ctx, at, id)
	if known != "" {
		k.own = k.class + " own " + id + " " + known
	}
	return k, rate, err
}

// familiar names by what an attempt is known to the account: by the browser it was signed in with before, or else by the
// network; empty when by neither. A browser's cookie that was taken is good for one count, from wherever it is used.
func (a *Auth) familiar(ctx context.Context, at Attempt, principalID string) (string, error) {
	network, device := addressKey(at.Address).String(), tokenKey(at.Device)
	var networks, devices int
	err := a.db.QueryRowContext(ctx, sqlFamiliarBy, principalID, network, device).Scan(&networks, &devices)
	switch {
	case err != nil:
		return "", fmt.Errorf("look up known address: %w", err)
	case devices > 0:
		return "browser " + device, nil
	case networks > 0:
		return "address " + network, nil
	}
	return "", nil
}

// limited returns how long an attempt has to wait because of earlier failures; 0 if it need not.
func (a *Auth) limited(ctx context.Context, k limitKeys, rate RateConfig, now time.Time) (time.Duration, error) {
	checks := []quota{{k.address, rate.PerAddress, rate.Window}, {k.account, rate.PerAccount, rate.Window}, {k.total, rate.Total, rate.Window}}
	if k.own != "" {
		checks = []quota{{k.own, rate.PerAccount, rate.Window}}
	}
	var longest time.Duration
	for _, c := range checks {
		if c.limit == 0 {
			continue
		}
		left, err := overLimit(ctx, a.db, c.key, c.limit, c.window, now)
		if err != nil {
			return 0, err
		}
		longest = max(longest, left)
	}
	return longest, nil
}

// overLimit returns how long until the count falls below the limit; 0 if it is below.
func overLimit(ctx context.Context, q reader, key string, limit int, window time.Duration, now time.Time) (time.Duration, error) {
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

func readCount(ctx context.Context, q reader, key string, start time.Time) (n int64, err error) {
	err = q.QueryRowContext(ctx, sqlRate, key, store.Micros(start)).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read count of failures: %w", err)
	}
	return n, nil
}

// countFailure counts a failure where it belongs, and notes it for the account's next notice. Both are one transaction, and as
// much work for a name that is nobody's: what a disk takes to store it would tell who exists.
func (a *Auth) countFailure(ctx context.Context, k limitKeys, rate RateConfig, who *account, at Attempt, now time.Time) error {
	start := store.Micros(windowStart(now, rate.Window))
	counts := map[string]int64{k.address: start, k.account: start, k.total: start, k.other: store.Micros(windowStart(now, k.otherRate.Window))}
	if k.own != "" {
		counts = map[string]int64{k.own: start}
	}
	keys := slices.Sorted(maps.Keys(counts)) // in one order, or two transactions could wait for each other
	return a.db.Write(ctx, func(tx *sql.Tx) error {
		for _, key := range keys {
			if _, err := tx.ExecContext(ctx, sqlCountRate, key, counts[key]); err != nil {
				return fmt.Errorf("count failure: %w", err)
			}
		}
		return a.putFailure(ctx, tx, who, at, now)
	})
}
