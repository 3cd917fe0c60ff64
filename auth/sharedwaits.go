package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/doorward/doorward/store"
)

// Where several gateways share a PostgreSQL database, the store has the truth about who waits: an address is read before it
// is judged, and a failure is counted in the row before its answer goes out. With SQLite there is one process, memory has the
// truth, and the store a copy that is a second old at most.

// remaining returns how long the address still has to wait; 0 if it need not.
func (a *Auth) remaining(ctx context.Context, key netip.Prefix, now time.Time) time.Duration {
	wait := a.cfg.Load().SignIn.Wait
	if left := a.waits.remaining(key, now, wait); left > 0 || !a.shared() {
		return left
	}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	f, err := readFailing(ctx, a.db, key)
	if err != nil {
		a.suspect(err, now)
		return 0 // the sign-in itself then says that the store is away
	}
	if f != nil {
		a.waits.put(f)
	}
	return a.waits.remaining(key, now, wait)
}

// shared tells whether other gateways may use the same store.
func (a *Auth) shared() bool { return a.db.Dialect() == store.PostgreSQL }

// failed counts a wrong sign-in for the account against the address.
func (a *Auth) failed(ctx context.Context, key netip.Prefix, account string, now time.Time) {
	cfg := a.cfg.Load().SignIn
	if !a.shared() {
		a.waits.failed(key, account, now, cfg)
		return
	}
	// Whoever leaves before the answer is counted all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	var f *failing
	err := a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		if f, err = readFailing(ctx, tx, key); err != nil {
			return err
		}
		if f == nil || now.Sub(f.updated) > forgetAfter {
			f = &failing{key: key}
		}
		f.count(account, now, cfg)
		return storeFailing(ctx, tx, key, f)
	})
	if err != nil {
		a.logStep("count failed sign-in in the store", err)
		a.waits.failed(key, account, now, cfg)
		return
	}
	a.waits.put(f)
}

// succeeded takes the account's own failures away from the address.
func (a *Auth) succeeded(ctx context.Context, key netip.Prefix, account string, now time.Time) {
	a.waits.succeeded(key, account)
	if !a.shared() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	if err := a.storeWaits(ctx, now); err != nil {
		a.logStep("store failed sign-ins", err)
	}
}

// readFailing reads what the store has of an address; nil when there is nothing.
func readFailing(ctx context.Context, q reader, key netip.Prefix) (*failing, error) {
	var accounts string
	var until, updated int64
	err := q.QueryRowContext(ctx, sqlFailure, key.String()).Scan(&accounts, &until, &updated)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read failed sign-ins: %w", err)
	}
	return &failing{key: key, accounts: strings.Fields(accounts), until: store.FromMicros(until), updated: store.FromMicros(updated)}, nil
}
