package auth

import (
	"net/netip"
	"slices"
	"time"

	"github.com/doorward/doorward/auth/password"
)

// EffectiveRole is what one role demands and may do, with every default filled in and zones resolved.
type EffectiveRole struct {
	Name            Role
	Staff           bool
	Privileges      []Privilege
	Factor          string         // none, any or passkey
	Networks        []netip.Prefix // empty: from everywhere
	Idle            time.Duration
	Absolute        time.Duration
	Remember        time.Duration // 0: nobody stays signed in
	RequireActivity bool
	Trust           TrustConfig
	Passwords       password.Policy
}

// EffectiveRoles tells of every role what holds for it, in the order of RoleNames. The configuration has to be one that
// SetDefaults and Validate have seen.
func (c Config) EffectiveRoles() ([]EffectiveRole, error) {
	s, err := newSettings(c)
	if err != nil {
		return nil, err
	}
	var all []EffectiveRole
	for _, name := range s.order {
		p, factor := s.roles[name], "none"
		switch p.factor {
		case FactorLevel:
			factor = "any"
		case PasskeyLevel:
			factor = "passkey"
		}
		all = append(all, EffectiveRole{Name: name, Staff: p.staff, Privileges: slices.Clone(p.privileges), Factor: factor, Networks: slices.Clone(p.networks),
			Idle: p.idle, Absolute: p.absolute, Remember: p.remember, RequireActivity: p.requireActivity, Trust: p.trust, Passwords: p.passwords.Policy()})
	}
	return all, nil
}
