package auth

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"
)

// ProveCode takes the code of an authenticator app, or a recovery code, for the pending sign-in of the browser's cookie.
// Wrong codes count like wrong passwords (M-40), and the fifth ends the pending sign-in. The errors are SignIn's, ErrNoPending, and
// ErrTooManyCodes when the account's codes are not looked at for now: a recovery code or a passkey still is. Where Pending says
// that neither kind of code helps, every code is wrong, and none is used up.
func (a *Auth) ProveCode(ctx context.Context, at Attempt, token, code string, now time.Time) (Outcome, error) {
	method, owner := methodTOTP, ""
	out, err := a.step(ctx, at, token, now, func(g *grant) {
		g.step = StepFactor
		owner = g.who.Name
		g.prove = func(ctx context.Context, tx *sql.Tx, next *grant) (bool, error) {
			if next.onlyKey {
				return false, nil // and the code is not used up
			}
			var right bool
			var err error
			right, method, err = a.checkCode(ctx, tx, g.who.ID, code, now)
			if right {
				next.reached(FactorLevel, method)
			}
			return right, err
		}
	})
	if owner != "" {
		a.recordFactorUse(at, owner, map[string]string{methodTOTP: "totp", methodRecovery: "recovery-code"}[method], err, now)
	}
	return out, err
}

// checkCode tells whether a code is right that may be the authenticator app's or a recovery code, in the caller's write
// transaction. The error ErrTooManyCodes means that it is no recovery code, and was not looked at as the app's.
func (a *Auth) checkCode(ctx context.Context, tx *sql.Tx, principalID, code string, now time.Time) (right bool, method string, err error) {
	right, err = a.checkTOTP(ctx, tx, principalID, code, now)
	if right || err != nil && !errors.Is(err, ErrTooManyCodes) {
		return right, methodTOTP, err
	}
	tooMany := err
	right, err = a.useRecoveryCode(ctx, tx, principalID, code, now)
	if err == nil && !right {
		err = tooMany
	}
	return right, methodRecovery, err
}

// ProvePasskey takes the passkey's answer for the pending sign-in of the browser's cookie; BeginPasskeySignIn made the
// ceremony. The errors are SignIn's and ErrNoPending.
func (a *Auth) ProvePasskey(ctx context.Context, at Attempt, token, ceremony string, response []byte, now time.Time) (Outcome, error) {
	return a.step(ctx, at, token, now, func(g *grant) {
		g.step = StepFactor
		_, _, err := a.finishPasskey(ctx, at.Host, ceremony, response, g.who.ID, now)
		a.recordFactorUse(at, g.who.Name, methodPasskey, err, now)
		g.prove = func(_ context.Context, _ *sql.Tx, next *grant) (bool, error) {
			if errors.Is(err, ErrWrong) {
				return false, nil
			}
			if err == nil {
				next.reached(PasskeyLevel, methodPasskey)
			}
			return err == nil, err
		}
	})
}

// ContinueSignIn looks at the pending sign-in again: a release, or an enrolment, may have come meanwhile. The errors are
// SignIn's and ErrNoPending.
func (a *Auth) ContinueSignIn(ctx context.Context, at Attempt, token string, now time.Time) (Outcome, error) {
	return a.step(ctx, at, token, now, func(*grant) {})
}

// SignInWithPasskey begins a sign-in with a passkey alone, which says itself whose it is; it must have verified the person.
// The errors are SignIn's.
func (a *Auth) SignInWithPasskey(ctx context.Context, at Attempt, ceremony string, response []byte, now time.Time) (Outcome, error) {
	who, out, err := a.signInWithPasskey(ctx, at, ceremony, response, now)
	a.recordSignIn(at, who, out, err, now)
	return out, err
}

func (a *Auth) signInWithPasskey(ctx context.Context, at Attempt, ceremony string, response []byte, now time.Time) (verdict, Outcome, error) {
	if v, err := a.mayTry(ctx, at, now); err != nil {
		return v, Outcome{}, err
	}
	id, _, err := a.finishPasskey(ctx, at.Host, ceremony, response, "", now)
	if err != nil {
		a.recordFactorUse(at, "", methodPasskey, err, now)
	}
	if errors.Is(err, ErrWrong) {
		a.failed(ctx, addressKey(at.Address), nobody, now)
		return verdict{reason: "wrong-passkey"}, Outcome{}, ErrWrong
	}
	if err != nil {
		return verdict{reason: "not-read"}, Outcome{}, a.stepError(err, now)
	}
	owner, err := a.accountByID(ctx, id)
	if err != nil {
		return verdict{reason: "not-read"}, Outcome{}, a.stepError(err, now)
	}
	a.recordFactorUse(at, owner.Name, methodPasskey, nil, now)
	if reason, err := a.askAfter(ctx, owner, now); err != nil {
		return verdict{account: owner, reason: reason}, Outcome{}, err
	}
	g := &grant{who: owner, level: PasskeyLevel, methods: []string{methodPasskey}, remember: at.Remember,
		previous: tokenKey(at.PreviousToken), device: tokenKey(at.Device), returnTo: at.ReturnTo}
	return a.finish(ctx, at, verdict{account: owner}, g, now)
}

// StepUp begins to prove more than the session has, because a page or a role demands it. The session goes on until that
// is done, and then ends for a new one (ASVS 7.2.4). Who lacks the factor may set it up after a fresh proof only, as on the
// account's pages (ASVS 7.5.1): a session that somebody has taken over must not get a factor of theirs. The errors are
// ErrNotConfirmed, ErrNetwork and ErrUnavailable.
func (a *Auth) StepUp(ctx context.Context, at Attempt, s *Session, token string, want Level, now time.Time) (Outcome, error) {
	g := &grant{level: s.Level, methods: strings.Fields(s.Methods), want: want, remember: s.Remember, released: true,
		previous: tokenKey(token), device: tokenKey(at.Device), returnTo: at.ReturnTo, unproved: !a.Confirmed(s, at.Proof, now)}
	var err error
	if g.who, err = a.accountByID(ctx, s.Principal.ID); err != nil {
		return Outcome{}, a.stepError(err, now)
	}
	// What another system has begun it can still end.
	err = a.db.QueryRowContext(ctx, sqlProviderOf, s.ID).Scan(&g.provider, &g.sid)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Outcome{}, a.stepError(err, now)
	}
	return a.advance(ctx, at, g, now)
}

// step takes a further step of the pending sign-in that the cookie names.
func (a *Auth) step(ctx context.Context, at Attempt, token string, now time.Time, prepare func(*grant)) (Outcome, error) {
	who, out, err := a.takeStep(ctx, at, token, now, prepare)
	if !errors.Is(err, ErrNoPending) && (err != nil || out.Session != nil) {
		a.recordSignIn(at, who, out, err, now)
	}
	return out, err
}

func (a *Auth) takeStep(ctx context.Context, at Attempt, token string, now time.Time, prepare func(*grant)) (verdict, Outcome, error) {
	if v, err := a.mayTry(ctx, at, now); err != nil {
		return v, Outcome{}, err
	}
	var g *grant
	err := a.withPending(ctx, at, token, now, func(r *pendingRow, who *account) error {
		g = r.grant(who)
		g.keyless = !a.PasskeysAt(ctx, at.Host, now)
		return nil
	})
	if err != nil {
		return verdict{}, Outcome{}, a.stepError(err, now)
	}
	prepare(g)
	who := verdict{account: g.who}
	v, out, err := a.finish(ctx, at, who, g, now)
	if errors.Is(err, ErrWrong) {
		v.reason = "wrong-code"
		a.failed(ctx, addressKey(at.Address), g.who.ID, now)
		a.noteFailure(ctx, g.who, at, now)
	}
	return v, out, err
}

// mayTry refuses while the address waits or the store is away.
func (a *Auth) mayTry(ctx context.Context, at Attempt, now time.Time) (verdict, error) {
	if left := a.remaining(ctx, addressKey(at.Address), now); left > 0 {
		return verdict{reason: "waiting"}, &WaitError{left}
	}
	if a.health.since.Load() != nil {
		return verdict{reason: "store-away"}, ErrUnavailable
	}
	return verdict{}, nil
}

// reached notes a proved factor.
func (g *grant) reached(level Level, method string) {
	g.level = max(g.level, level)
	if !slices.Contains(g.methods, method) {
		g.methods = append(slices.Clone(g.methods), method)
	}
}
