package auth

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Role says what a person may do. A principal has one or more.
type Role string

// The roles that every installation has. What each may reach is up to a site's access rules.
const (
	Owner Role = "owner"
	Admin Role = "admin"
	Agent Role = "agent"
	User  Role = "user"
)

// ParseRole reads a role's name. It says nothing of whether the role exists in this installation: Config.RoleNames does.
func ParseRole(s string) (Role, error) {
	if !validRole(s) {
		return "", fmt.Errorf("role %q is not a role's name; the roles are owner, admin, agent, user and your own", s)
	}
	return Role(s), nil
}

// Realm is the door that a session opens. A session of one is none in the other, since the cookies of
// both reach the same host (cookies ignore ports).
type Realm string

// The realms.
const (
	SiteRealm    Realm = "site"
	ConsoleRealm Realm = "console"
)

// Level says how surely a session's person was recognised; a higher one includes the lower ones.
type Level int

// The levels.
const (
	PasswordLevel Level = 1 // one factor: a password, or another system's word without one of a second factor
	FactorLevel   Level = 2 // two factors: a password with a one-time code or a recovery code (ASVS 6.3.3)
	PasskeyLevel  Level = 3 // a passkey or security key: two factors that cannot be phished (ASVS 6.3.3, NIST AAL2)
)

// Principal is an account.
type Principal struct {
	ID          string // UUIDv7
	Name        string // unique without regard to case; has no @
	Email       string // unique without regard to case; may be empty
	DisplayName string
	Roles       []Role // sorted from Owner down; none: a fresh account that may only see its own pages (M-12)
	Disabled    bool   // may not sign in
	Created     time.Time
	Changed     time.Time

	Phone      string // E.164; may be empty
	Language   string // BCP 47 tag of the language that pages and mails are in; empty: the browser's
	Origin     string // who made the account: local, registered, oidc:NAME, ldap:NAME
	MustChange bool   // has to choose a new password at the next sign-in
}

// HasRole tells whether the principal has at least one of the roles.
func (p Principal) HasRole(roles ...Role) bool {
	for _, have := range p.Roles {
		for _, want := range roles {
			if have == want {
				return true
			}
		}
	}
	return false
}

// Actor is who changes an account, for the journal.
type Actor struct {
	Name   string // an account's name, or cli:USER
	Origin string // the address the change came from, or local
	// As is the account whose rights bound the change. Nil: root or Doorward's own user, or a person at the own account.
	As *Administrator
}

// InputError says which part of a new account, or of a change, cannot be accepted, and why.
type InputError struct {
	Field   string // name, email, display name, roles, password, password elsewhere
	Problem string // the rest of a sentence that begins with the field
}

// Error is the sentence.
func (e *InputError) Error() string { return e.Field + " " + e.Problem }

// sortRoles puts the roles in order, Owner first, then the built-in ones, then others by name.
func sortRoles(roles []Role) {
	order := builtIn()
	place := func(r Role) int {
		if i := slices.Index(order, r); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortFunc(roles, func(a, b Role) int { return cmp.Or(place(a)-place(b), strings.Compare(string(a), string(b))) })
}

// checkRoles returns the roles sorted and without duplicates; all must exist.
func (s *settings) checkRoles(roles []Role) ([]Role, error) {
	var names []string
	for _, r := range s.order {
		names = append(names, string(r))
	}
	known := strings.Join(names, ", ")
	if len(roles) == 0 {
		return nil, &InputError{"roles", "must name at least one of " + known}
	}
	for _, r := range roles {
		if s.roles[r] == nil {
			return nil, &InputError{"roles", fmt.Sprintf("must not contain %q: only %s exist", r, known)}
		}
	}
	sorted := slices.Clone(roles)
	sortRoles(sorted)
	return slices.Compact(sorted), nil
}
