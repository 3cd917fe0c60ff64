package auth

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// pingLimit is how long the store may take to prove that it can be read and written.
	pingLimit = 2 * time.Second
	// withoutStore is how long sessions of agents and users go on when the store is away (security.md).
	withoutStore = 15 * time.Minute
)

// health is what is known about the store: nil while it works, else since when it does not.
type health struct {
	since    atomic.Pointer[stamp]
	checking atomic.Bool
}

// suspect is called with the error of a failed read or write. It has the store checked at once, so that
// administrators' sessions close with the first failure rather than at the next round.
func (a *Auth) suspect(err error, now time.Time) {
	if err != nil && !errors.Is(err, context.Canceled) {
		a.checkStore(now)
	}
}

// checkStore finds out whether the store can be read and written, and acts on a change. A second check at the same
// time is not begun. It returns what it found.
func (a *Auth) checkStore(now time.Time) bool {
	if !a.health.checking.CompareAndSwap(false, true) {
		return a.health.since.Load() == nil
	}
	result := make(chan error, 1)
	go func() {
		// In its own goroutine because a hanging disk does not look at deadlines.
		ctx, cancel := context.WithTimeout(context.Background(), pingLimit)
		defer cancel()
		err := a.db.Ping(ctx)
		a.health.checking.Store(false) // before the result is known, or whoever waits for it could not check again
		result <- err
	}()
	timer := time.NewTimer(pingLimit + time.Second)
	defer timer.Stop()
	var err error
	select {
	case err = <-result:
	case <-timer.C:
		err = context.DeadlineExceeded
	}
	if err != nil {
		a.storeLost(err, now)
		return false
	}
	if a.health.since.Swap(nil) != nil {
		a.log.Info("store is back, sign-in is open again")
	}
	return true
}

// storeLost closes the sessions of owners, administrators and all others with privileges over Doorward itself: whether they were revoked cannot be known, and
// they could do the most harm.
func (a *Auth) storeLost(err error, now time.Time) {
	at := a.stamp(now)
	if a.health.since.CompareAndSwap(nil, &at) {
		a.log.Error("store is away, sign-in is closed", slog.Any("error", err))
	}
	a.sessions.forgetWhere(a.powerful)
	a.tokens.forgetWhere(func(h *heldToken) bool { return a.powerful(h.session) }, false)
}

// powerful tells whether the session's person has privileges over Doorward itself.
func (a *Auth) powerful(s *Session) bool { return len(a.cfg.Load().powers(s.Principal.Roles)) > 0 }

// closed tells whether the session opens nothing for now: the store is away, and its person has privileges over Doorward itself
// or the store has been away for too long.
func (a *Auth) closed(s *Session, at stamp) bool {
	since := a.health.since.Load()
	return since != nil && (a.powerful(s) || at.since(*since) >= withoutStore)
}

// unavailable makes the error that a caller sees of a store error. A request that its client gave up says
// nothing about the store, and nobody reads its answer.
func unavailable(cause error) error {
	if errors.Is(cause, context.Canceled) {
		return cause
	}
	return &unavailableError{cause}
}

// unavailableError is ErrUnavailable with its cause.
type unavailableError struct{ cause error }

func (e *unavailableError) Error() string   { return ErrUnavailable.Error() + ": " + e.cause.Error() }
func (e *unavailableError) Unwrap() []error { return []error{ErrUnavailable, e.cause} }
