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
	recovered  bool // a recovery code of this sign-in stands in for a factor that is lost
	onlyKey    bool // nothing but a passkey helps, where one is lacking: no code is looked at
	held       bool // the address is not trusted, and must be
	mustChange bool // the password was proved and must be changed
}

// next chooses the step. Whoever has a second factor is always asked for it, whatever the role demands: they set it
// up so that a password alone opens nothing. Whoever has lost the passkey that is demanded and has given a recovery code makes
// a new one: the code is worth the proof of a factor once, and no session begins before there is the passkey (ASVS 6.4.4).
func (p progress) next() Step {
	switch {
	case (p.hasTOTP || p.hasPasskey) && p.level < FactorLevel:
		return StepFactor
	case p.hasPasskey && p.level < p.required && !p.recovered:
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
	// At a step-up a recovery code makes no passkey: whoever has taken a session over would need no password then. The account's
	// pages do, after a fresh proof (ASVS 7.5.1). Where passkeys are not possible none can be made, so that the code would be lost.
	stepUp := g.want > 0
	p.recovered = !stepUp && slices.Contains(g.methods, methodRecovery)
	p.onlyKey = p.hasPasskey && p.required > FactorLevel && (stepUp || g.keyless)
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
