package auth

import (
	"fmt"
	"slices"
)

// Administrator is somebody who administers as an account of Doorward, by a session or by an API token. Root and Doorward's
// own user, who use the admin socket, are none: they may do everything.
type Administrator struct {
	Principal Principal
	// Privileges are what the session or the token may use, never more than the roles give.
	Privileges []Privilege
	Level      Level // of the session
	Token      bool  // a token acts, and no person is at hand who could prove anything
}

// ChangeKind is what an administrator wants to do to an account.
type ChangeKind string

// The kinds.
const (
	AddAccount      ChangeKind = "add an account"
	SetRolesOf      ChangeKind = "change the roles"
	SetPasswordOf   ChangeKind = "set the password"
	AskNewPassword  ChangeKind = "ask for a new password"
	DisableAccount  ChangeKind = "disable the account"
	EnableAccount   ChangeKind = "enable the account"
	ResetFactorsOf  ChangeKind = "reset the factors"
	TrustAddressOf  ChangeKind = "trust an address"
	ForgetAddressOf ChangeKind = "forget an address"
	EndSessionsOf   ChangeKind = "end sessions"
	AddTokenOf      ChangeKind = "add an API token"
	RevokeTokenOf   ChangeKind = "revoke an API token"
)

// Change is one change of an account.
type Change struct {
	Kind ChangeKind
	// Roles are those that the account gets, with AddAccount and SetRolesOf.
	Roles []Role
}

// DeniedError says why an administrator may not make a change. It is written for the administrator.
type DeniedError struct {
	Problem string
}

// Error is the sentence, without a full stop.
func (e *DeniedError) Error() string { return e.Problem }

func denied(format string, args ...any) error { return &DeniedError{fmt.Sprintf(format, args...)} }

// tokenMay says which changes are left to an API token.
type tokenMay int

const (
	tokenNever     tokenMay = iota // a person with a second factor has to do it
	tokenPowerless                 // only of accounts without privileges: it would open a door for whoever has the token
	tokenAlways
)

// changeRule is what one kind of change takes.
type changeRule struct {
	needs  Privilege // empty: none; a person needs none for the own account
	self   bool      // also of the administrator's own account
	others bool      // also of other accounts
	token  tokenMay
	factor bool // the administrator's own second factor was proved in the session
}

// changeRules is the table of the rules between accounts (D-01, F-24, F-42). What an administrator does to the own account goes
// by the account's own pages, which ask for the password or a factor first.
func changeRules(kind ChangeKind) (changeRule, bool) {
	rule, known := map[ChangeKind]changeRule{
		AddAccount:      {needs: ManageAccounts, others: true, token: tokenAlways},
		SetRolesOf:      {needs: ManageRoles, others: true, token: tokenNever, factor: true},
		SetPasswordOf:   {needs: ManageAccounts, others: true, token: tokenPowerless},
		AskNewPassword:  {needs: ManageAccounts, self: true, others: true, token: tokenAlways},
		DisableAccount:  {needs: ManageAccounts, others: true, token: tokenAlways},
		EnableAccount:   {needs: ManageAccounts, others: true, token: tokenPowerless},
		ResetFactorsOf:  {needs: ManageAccounts, others: true, token: tokenNever, factor: true},
		TrustAddressOf:  {needs: ManageAccounts, others: true, token: tokenPowerless},
		ForgetAddressOf: {needs: ManageAccounts, self: true, others: true, token: tokenAlways},
		EndSessionsOf:   {needs: ManageSessions, self: true, others: true, token: tokenAlways},
		AddTokenOf:      {self: true, token: tokenNever},
		RevokeTokenOf:   {needs: ManageSessions, self: true, others: true, token: tokenAlways},
	}[kind]
	return rule, known
}

// MayChange tells whether the administrator may make the change to the account, as both are now; by nil is root, who may. The
// error is *DeniedError. Every change of this package asks again in its own transaction, when its Actor has an
// Administrator.
func (a *Auth) MayChange(by *Administrator, target Principal, c Change) error {
	return a.cfg.Load().mayChange(by, target, c)
}

// mayChange is pure: the same accounts, change and settings give the same answer.
func (s *settings) mayChange(by *Administrator, target Principal, c Change) error {
	if by == nil {
		return nil
	}
	rule, known := changeRules(c.Kind)
	if !known {
		return denied("nobody may %s", c.Kind)
	}
	own := target.ID != "" && target.ID == by.Principal.ID
	switch {
	case by.Principal.Disabled:
		return denied("the account %s is disabled", by.Principal.Name)
	case rule.needs != "" && !slices.Contains(by.Privileges, rule.needs) && (!own || !rule.self || by.Token):
		return denied("to %s takes the privilege %s", c.Kind, rule.needs)
	case own && !rule.self:
		return denied("nobody may %s of their own account here", c.Kind)
	case !own && !rule.others:
		return denied("only the person may %s", c.Kind)
	case by.Token && rule.token == tokenNever:
		return denied("to %s takes a person with a second factor; an API token is not enough", c.Kind)
	case rule.factor && by.Level < FactorLevel:
		return denied("to %s takes your own second factor: sign in with it first", c.Kind)
	}
	if !own && c.Kind != AddAccount { // a new account is judged by what it is given
		if err := s.mayTouch(by, target, rule); err != nil {
			return err
		}
	}
	return s.mayGive(by, target, c)
}

// mayTouch keeps everybody from those who may do more than they: whoever could set an owner's password would be one.
func (s *settings) mayTouch(by *Administrator, target Principal, rule changeRule) error {
	if target.HasRole(Owner) && !by.Principal.HasRole(Owner) {
		return denied("only an owner may change an owner's account")
	}
	powers := s.powers(target.Roles)
	if by.Token && rule.token == tokenPowerless && len(powers) > 0 {
		return denied("%s has privileges here; this change of such an account takes a person, an API token is not enough", target.Name)
	}
	for _, p := range powers {
		if !slices.Contains(by.Privileges, p) {
			return denied("%s has the privilege %s, which you lack", target.Name, p)
		}
	}
	return nil
}

// mayGive judges the roles that an account gets.
func (s *settings) mayGive(by *Administrator, target Principal, c Change) error {
	for _, role := range c.Roles {
		if c.Kind == SetRolesOf && target.HasRole(role) {
			continue
		}
		policy := s.roles[role]
		if policy == nil {
			continue // refused by those who check the roles
		}
		powers := s.powers([]Role{role})
		if (policy.staff || len(powers) > 0) && !slices.Contains(by.Privileges, ManageRoles) {
			return denied("to give the role %s takes the privilege %s", role, ManageRoles)
		}
		if role == Owner && !by.Principal.HasRole(Owner) {
			return denied("only an owner may make owners")
		}
		if by.Token && len(powers) > 0 {
			return denied("to give the role %s takes a person with a second factor; an API token is not enough", role)
		}
		if len(powers) > 0 && by.Level < FactorLevel { // or a new account would do what a change of roles may not
			return denied("to give the role %s takes your own second factor: sign in with it first", role)
		}
		for _, p := range powers {
			if !slices.Contains(by.Privileges, p) {
				return denied("the role %s has the privilege %s, which you lack", role, p)
			}
		}
	}
	return nil
}

// privileges are what the roles may do together, in the order of the matrix. Roles that do not exist give nothing.
func (s *settings) privileges(roles []Role) []Privilege {
	var have []Privilege
	for _, p := range Privileges() {
		if slices.ContainsFunc(roles, func(name Role) bool {
			policy := s.roles[name]
			return policy != nil && slices.Contains(policy.privileges, p)
		}) {
			have = append(have, p)
		}
	}
	return have
}

// powers are the privileges over Doorward itself: all but the use of the sites, which everybody with a role has.
func (s *settings) powers(roles []Role) []Privilege {
	return slices.DeleteFunc(s.privileges(roles), func(p Privilege) bool { return p == UseSites })
}

// known leaves out the roles that the configuration has no more: they give no right anywhere.
func (s *settings) known(roles []Role) []Role {
	if !slices.ContainsFunc(roles, func(r Role) bool { return s.roles[r] == nil }) {
		return roles
	}
	return slices.DeleteFunc(slices.Clone(roles), func(r Role) bool { return s.roles[r] == nil })
}

// PrivilegesOf returns what the roles may do together, in the order of the matrix. Roles that do not exist give nothing.
func (a *Auth) PrivilegesOf(roles []Role) []Privilege { return a.cfg.Load().privileges(roles) }

// RoleNames lists the roles that exist now: the built-in ones and the file's own.
func (a *Auth) RoleNames() []Role { return slices.Clone(a.cfg.Load().order) }

// UnknownRoles returns those of the roles that the configuration has no more. They give no right.
func (a *Auth) UnknownRoles(roles []Role) []Role {
	return a.cfg.Load().unknown(roles)
}

func (s *settings) unknown(roles []Role) []Role {
	return slices.DeleteFunc(slices.Clone(roles), func(r Role) bool { return s.roles[r] != nil })
}

// Administrator is the session's person as one who administers.
func (a *Auth) Administrator(s *Session) *Administrator {
	by := &Administrator{Principal: s.Principal, Level: s.Level, Token: s.IsToken(), Privileges: a.PrivilegesOf(s.Principal.Roles)}
	if by.Token {
		by.Privileges = slices.DeleteFunc(by.Privileges, func(p Privilege) bool { return !slices.Contains(s.limited, p) })
	}
	return by
}
