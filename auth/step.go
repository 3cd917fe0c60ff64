package auth

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/doorward/doorward/store"
)

// Step is what a sign-in still lacks. They come in this order, so that nobody learns of a later one, or changes
// anything, without the earlier.
type Step string

// The steps.
const (
	StepFactor   Step = "factor"   // prove the second factor
	StepHeld     Step = "held"     // be released by the link in the mail (D-13)
	StepPassword Step = "password" // choose a new password
	StepEnrol    Step = "enrol"    // set up the second factor that the role demands
	stepNone     Step = ""         // nothing: a session begins
)

// progress is what the next step is chosen from.
type progress struct {
	level      Level // what was proved
	required   Level // what the roles, or the page that was asked for, demand
	hasTOTP    bool
	hasPasskey bool
	held       bool // the address is not trusted, and must be
	mustChange bool // the password was proved and must be changed
}

// next chooses the step. Whoever has a second factor is always asked for it, whatever the role demands: they set it
// up so that a password alone opens nothing.
func (p progress) next() Step {
	switch {
	case (p.hasTOTP || p.hasPasskey) && p.level < FactorLevel:
		return StepFactor
	case p.hasPasskey && p.level < p.required:
		return StepFactor
	case p.held:
		return StepHeld
	case p.mustChange:
		return StepPassword
	case p.level < p.required:
		return StepEnrol
	}
	return stepNone
}

// judge reads what the next step depends on; where a step is taken, in its transaction.
func (a *Auth) judge(ctx context.Context, from reader, g *grant, at Attempt, now time.Time, cfg *settings) (progress, error) {
	roles := g.who.Roles
	p := progress{level: g.level, required: max(cfg.factor(roles), g.want)}
	var totp, passkeys int
	if err := from.QueryRowContext(ctx, sqlCountFactors, g.who.ID).Scan(&totp, &passkeys); err != nil {
		return p, fmt.Errorf("count factors: %w", err)
	}
	p.hasTOTP, p.hasPasskey = totp > 0, passkeys > 0
	if required, _ := cfg.trust(roles, at.Address); required && !g.released {
		trusted, err := isTrusted(ctx, from, g.who.ID, at.Address, now)
		if err != nil {
			return p, err
		}
		p.held = !trusted
	}
	p.mustChange = slices.Contains(g.methods, methodPassword) && (g.who.MustChange || cfg.passwordExpired(g.who, now))
	return p, nil
}

// isTrusted tells whether the person's sign-ins from the address need no release.
func isTrusted(ctx context.Context, from reader, principalID string, address netip.Addr, now time.Time) (bool, error) {
	var n int
	err := from.QueryRowContext(ctx, sqlIsTrusted, principalID, addressKey(address).String(), store.Micros(now)).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look up trusted address: %w", err)
	}
	return n > 0, nil
}
