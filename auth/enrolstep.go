package auth

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"
)

// ProveTOTPEnrolment takes into use the authenticator app that BeginTOTP made for the person of the browser's pending sign-in,
// and goes on with the sign-in at the level that the app reaches. It does so only where the sign-in lacks just that, so that
// nobody replaces a factor that they were asked to prove. recovery is shown once; it is empty if the person has codes
// already. The errors are ProveCode's and ErrNotFound: nothing was begun, or too long ago.
func (a *Auth) ProveTOTPEnrolment(ctx context.Context, at Attempt, token, code string, now time.Time) (out Outcome, recovery []string, err error) {
	out, recovery, err = a.enrolStep(ctx, at, token, now, "totp", func(ctx context.Context, tx *sql.Tx, g *grant, by Actor) ([]string, error) {
		_, codes, err := a.confirmTOTP(ctx, tx, by, g.who.ID, code, now)
		if err == nil {
			g.reached(FactorLevel, methodTOTP)
		}
		return codes, err
	})
	return out, recovery, err
}

// ProvePasskeyEnrolment is ProveTOTPEnrolment for a passkey; BeginPasskeyEnrolment made the ceremony. The errors are ProveCode's and
// those of FinishPasskeyEnrolment.
func (a *Auth) ProvePasskeyEnrolment(ctx context.Context, at Attempt, token, ceremony, name string, response []byte,
	now time.Time) (out Outcome, recovery []string, err error) {
	p, err := a.PendingSignIn(ctx, at, token, now)
	if err != nil {
		return Outcome{}, nil, err
	}
	if p.Step != StepEnrol {
		return Outcome{}, nil, ErrNoPending
	}
	made, bad := a.checkEnrolment(p.Principal.ID, at.Host, ceremony, name, response, now)
	if input := (*InputError)(nil); errors.As(bad, &input) {
		return Outcome{}, nil, bad // no guess at anything
	}
	out, recovery, err = a.enrolStep(ctx, at, token, now, "passkey", func(ctx context.Context, tx *sql.Tx, g *grant, by Actor) ([]string, error) {
		if bad != nil {
			return nil, bad
		}
		if made.principalID != g.who.ID {
			return nil, ErrWrong
		}
		made.recovered = slices.Contains(g.methods, methodRecovery) && g.want == 0
		_, codes, err := a.storeEnrolment(ctx, tx, by, made, now)
		if err == nil {
			g.reached(PasskeyLevel, methodPasskey)
		}
		return codes, err
	})
	if err == nil {
		a.relying.fixed.Store(nil)
	}
	return out, recovery, err
}

// enrolStep takes a factor into use in the transaction that goes on with the sign-in. Its level rises by this
// request's own success alone: that the account has a factor by now could be somebody else's doing.
func (a *Auth) enrolStep(ctx context.Context, at Attempt, token string, now time.Time, kind string,
	store func(ctx context.Context, tx *sql.Tx, g *grant, by Actor) ([]string, error)) (out Outcome, recovery []string, err error) {
	var by Actor
	tried := false
	out, err = a.step(ctx, at, token, now, func(g *grant) {
		by = Actor{Name: g.who.Name, Origin: at.Address.Unmap().String()}
		g.prove = func(ctx context.Context, tx *sql.Tx, next *grant) (bool, error) {
			recovery, tried = nil, false
			lacks, err := a.judge(ctx, tx, next, at, now, a.cfg.Load())
			if err != nil {
				return false, err
			}
			if lacks.next() != StepEnrol {
				return false, ErrNoPending
			}
			tried = true
			recovery, err = store(ctx, tx, next, by)
			if errors.Is(err, ErrWrong) {
				return false, nil // counted like a wrong code
			}
			return err == nil, err
		}
	})
	if tried {
		a.recordFactor("factor-add", by, by.Name, kind, err)
	}
	if err != nil {
		return Outcome{}, nil, err
	}
	return out, recovery, nil
}
