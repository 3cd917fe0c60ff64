package auth

import (
	"context"
	"net/netip"
	"time"
)

// Inner parts that the tests outside must reach: pure functions for the fuzz targets, and the two capped
// tables, whose caps are too high to reach through the door.

// Fold and LoginKey are how names are matched.
var (
	Fold     = fold
	LoginKey = loginKey
)

// ValidName judges a new account.
var ValidName = validName

// NameForEvent is what an event says of an unknown name.
func NameForEvent(login string) string { return nameForEvent(login, 15) }

// AskDirectories tries the name and the password in the directories alone.
func (a *Auth) AskDirectories(ctx context.Context, login, password string) error {
	_, err := a.askDirectories(ctx, login, password, a.cfg.Load())
	return err
}

// Hasher is the queue for password hashes.
type Hasher struct{ *hasher }

// NewHasher makes one.
func NewHasher(cfg HashConfig) Hasher { return Hasher{newHasher(cfg)} }

// Acquire waits for a turn.
func (h Hasher) Acquire(ctx context.Context, key netip.Prefix) (func(), error) {
	return h.acquire(ctx, key)
}

// Know marks an address as familiar.
func (h Hasher) Know(key netip.Prefix) { h.know(key) }

// Load is running, queued, hashed, refused.
func (h Hasher) Load() (int, int, uint64, uint64) { return h.load() }

// ShrinkCaps makes the caps of an Auth reachable.
func (a *Auth) ShrinkCaps(addresses, sessions int) {
	a.waits.max = addresses
	a.sessions.max = sessions
}

// Waits is the table of addresses with failures.
type Waits struct{ *waits }

// NewWaits makes one for so many addresses.
func NewWaits(size int) Waits { return Waits{newWaits(size)} }

// Failed counts a failure.
func (w Waits) Failed(key netip.Prefix, account string, now time.Time, cfg SignInConfig) {
	w.failed(key, account, now, cfg)
}

// Remaining is how long the address waits.
func (w Waits) Remaining(key netip.Prefix, now time.Time, wait time.Duration) time.Duration {
	return w.remaining(key, now, wait)
}

// Size is how many are tracked and were displaced.
func (w Waits) Size() (int, uint64) { return w.size() }

// ShrinkTokens makes the cap of API tokens in memory reachable.
func (a *Auth) ShrinkTokens(most int) { a.tokens.max = most }

// Settle is settle, for a person whom another system knows.
func (a *Auth) Settle(ctx context.Context, provider, subject, username, email string, roles []Role, now time.Time) (Principal, error) {
	who, err := a.settle(ctx, vouched{provider: provider, subject: subject, username: username, email: email, roles: roles, mapped: true,
		create: true, level: PasswordLevel}, Attempt{}, now)
	if err != nil {
		return Principal{}, err
	}
	return who.Principal, nil
}

// FailureMails is how many notices of failures there are in an hour.
const FailureMails = failureMails

// MaxEnded and EndedBatch are how many sessions that have ended are kept of an account, and how many more one sign-in forgets.
const (
	MaxEnded   = maxEnded
	EndedBatch = endedBatch
)
