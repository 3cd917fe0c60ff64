package auth

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/auth/directory"
	"github.com/doorward/doorward/auth/oidc"
	"github.com/doorward/doorward/auth/password"
)

// RoleConfig says what one role demands of its people and lets them do. An entry for owner, admin, agent or user
// changes that role; any other name makes a role of one's own (F-42, F-43). Whoever has several roles must meet the
// strictest of them.
type RoleConfig struct {
	// Name is owner, admin, agent, user, or a new role's name: small letters, digits and dashes.
	Name string `yaml:"name"`
	// Staff counts people of a role of one's own among the application's staff, whose sign-ins have limits of their own
	// (D-08). Owner, admin and agent always are.
	Staff bool `yaml:"staff"`
	// Privileges are what the role may do in Doorward itself; see docs/roles.md for the list. The defaults of owner and
	// admin cannot be taken away by an empty list.
	Privileges []Privilege `yaml:"privileges"`
	// Factor is none, any (a one-time code or better) or passkey. Default none: whoever has a second factor is
	// always asked for it (F-26, F-41, I-82, M-08).
	Factor string `yaml:"factor"`
	// Networks, if any, are the only ones from which people with this role may do anything (D-03, F-44, M-19).
	Networks []netip.Prefix `yaml:"networks"`
	// Zones are named networks that count like Networks.
	Zones []string `yaml:"zones"`
	// Sessions are the role's lifetimes. Default: those of all, under sessions.
	Sessions RoleSessionsConfig `yaml:"sessions"`
	// Passwords are the role's password rules, over those of all under passwords.
	Passwords password.Config `yaml:"passwords"`
	// TrustedAddresses holds sign-ins from new addresses.
	TrustedAddresses TrustConfig `yaml:"trusted_addresses"`
}

// RoleSessionsConfig is how long sign-ins of one role last.
type RoleSessionsConfig struct {
	// Idle is how long a session lasts without activity. Default: sessions.idle (D-17).
	Idle time.Duration `yaml:"idle"`
	// Absolute is how long it lasts in any case. Default: sessions.absolute.
	Absolute time.Duration `yaml:"absolute"`
	// Remember is how long a person who ticks "stay signed in" stays so, instead of both. Default: nobody can (D-18).
	Remember time.Duration `yaml:"remember"`
	// RequireActivity lets only what a person does keep the session alive, not an open page's polling (D-19).
	RequireActivity bool `yaml:"require_activity"`
}

// TrustConfig is the hold on sign-ins from addresses that are new for the person (D-13 to D-16).
type TrustConfig struct {
	// Required holds a sign-in from an address that is not trusted for the person yet, until the person opens the
	// link that is mailed to them.
	Required bool `yaml:"required"`
	// Period is how long an address stays trusted after it was last released. Default 720h (30 days; D-15).
	Period time.Duration `yaml:"period"`
	// Networks are always trusted.
	Networks []netip.Prefix `yaml:"networks"`
}

// Privilege is something that a role may do in Doorward itself. What it may reach at a site is up to the site's
// access rules.
type Privilege string

// The privileges.
const (
	UseSites       Privilege = "use-sites" // everybody with a role has it; an API token only if it lists it
	UseConsole     Privilege = "use-console"
	SeeAccounts    Privilege = "see-accounts"
	ManageAccounts Privilege = "manage-accounts" // add, change and close accounts, reset factors; never an owner's
	ManageRoles    Privilege = "manage-roles"    // give and take roles
	ManageSessions Privilege = "manage-sessions"
	SeeEvents      Privilege = "see-events"
	SeeJournal     Privilege = "see-journal"
	SeeMetrics     Privilege = "see-metrics"
	AddDecisions   Privilege = "add-decisions"
	RunFixes       Privilege = "run-fixes"
	SignReviews    Privilege = "sign-reviews"
	ReloadConfig   Privilege = "reload-config"
)

// Privileges lists them all, in the order of the matrix.
func Privileges() []Privilege {
	return []Privilege{UseSites, UseConsole, SeeAccounts, ManageAccounts, ManageRoles, ManageSessions, SeeEvents, SeeJournal,
		SeeMetrics, AddDecisions, RunFixes, SignReviews, ReloadConfig}
}

// adminPrivileges are an administrator's; an owner has all.
func adminPrivileges() []Privilege {
	return []Privilege{UseConsole, SeeAccounts, ManageAccounts, ManageSessions, SeeEvents, SeeJournal, SeeMetrics, AddDecisions, RunFixes, SignReviews}
}

// UnmarshalText reads a privilege; the error lists them.
func (p *Privilege) UnmarshalText(text []byte) error {
	all := Privileges()
	if !slices.Contains(all, Privilege(text)) {
		names := make([]string, len(all))
		for i, known := range all {
			names[i] = string(known)
		}
		return fmt.Errorf("privilege %q: not one of %s", text, strings.Join(names, ", "))
	}
	*p = Privilege(text)
	return nil
}

// builtIn are the roles that every installation has, the one that may most first.
func builtIn() []Role { return []Role{Owner, Admin, Agent, User} }

// RoleNames lists the roles that exist: the built-in ones and the file's own, in the order that lists show.
func (c Config) RoleNames() []Role {
	names := builtIn()
	var own []Role
	for _, r := range c.Roles {
		if role := Role(r.Name); !slices.Contains(names, role) && !slices.Contains(own, role) && validRole(r.Name) {
			own = append(own, role)
		}
	}
	slices.Sort(own)
	return append(names, own...)
}

// validRole tells whether a role may be called this: it travels in headers, cookies' claims and command lines.
func validRole(name string) bool {
	if name == "" || len(name) > 32 || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// rolePolicy is what one role demands and may do, complete.
type rolePolicy struct {
	staff           bool
	privileges      []Privilege
	factor          Level
	networks        []netip.Prefix
	idle            time.Duration
	absolute        time.Duration
	remember        time.Duration
	requireActivity bool
	trust           TrustConfig
	passwords       *password.Checker
}

// settings are a configuration with what follows from it. They are immutable.
type settings struct {
	Config
	roles       map[Role]*rolePolicy
	order       []Role
	providers   []*oidc.Provider
	directories []*directory.Directory
	passwords   *password.Checker // of accounts without a role
	shortest    int               // characters of the shortest password that some role may have
}

// newSettings completes a configuration that SetDefaults and Validate have seen.
func newSettings(cfg Config) (*settings, error) {
	s := &settings{Config: cfg, roles: make(map[Role]*rolePolicy), order: cfg.RoleNames()}
	var err error
	if s.passwords, err = password.New(cfg.Passwords); err != nil {
		return nil, err
	}
	configs := make([]RoleConfig, 0, len(s.order)+len(cfg.Roles))
	for _, name := range s.order {
		configs = append(configs, RoleConfig{Name: string(name)})
	}
	for _, r := range append(configs, cfg.Roles...) {
		p := s.policyOf(r)
		if p.passwords, err = s.passwords.For(r.Passwords.Over(cfg.Passwords)); err != nil {
			return nil, fmt.Errorf("role %s: %w", r.Name, err)
		}
		s.roles[Role(r.Name)] = p
	}
	s.shortest = s.shortestPassword()
	for _, c := range cfg.OIDC {
		p, err := oidc.New(c)
		if err != nil {
			return nil, err
		}
		s.providers = append(s.providers, p)
	}
	for _, c := range cfg.LDAP {
		d, err := directory.New(c)
		if err != nil {
			return nil, err
		}
		s.directories = append(s.directories, d)
	}
	return s, nil
}

func (s *settings) policyOf(r RoleConfig) *rolePolicy {
	p := &rolePolicy{
		staff: r.Staff, privileges: r.Privileges, factor: factorLevel(r.Factor),
		networks: append(slices.Clone(r.Networks), s.zoneNetworks(r.Zones)...),
		idle:     r.Sessions.Idle, absolute: r.Sessions.Absolute, remember: r.Sessions.Remember,
		requireActivity: r.Sessions.RequireActivity, trust: r.TrustedAddresses,
	}
	setDefault(&p.idle, s.Sessions.Idle)
	setDefault(&p.absolute, s.Sessions.Absolute)
	setDefault(&p.trust.Period, defaultTrust)
	switch Role(r.Name) {
	case Owner:
		p.staff, p.privileges = true, Privileges()
	case Admin:
		p.staff = true
		if len(p.privileges) == 0 {
			p.privileges = adminPrivileges()
		}
	case Agent:
		p.staff = true
	}
	if !slices.Contains(p.privileges, UseSites) {
		p.privileges = append([]Privilege{UseSites}, p.privileges...)
	}
	return p
}

func (s *settings) zoneNetworks(names []string) []netip.Prefix {
	var all []netip.Prefix
	for _, zone := range s.Zones {
		if slices.Contains(names, zone.Name) {
			all = append(all, zone.Networks...)
		}
	}
	return all
}

// defaultTrust is how long an address stays trusted (D-15).
const defaultTrust = 30 * 24 * time.Hour

func factorLevel(name string) Level {
	switch name {
	case "any":
		return FactorLevel
	case "passkey":
		return PasskeyLevel
	}
	return PasswordLevel
}

// lifetimes is how long a session of these roles lasts: the shortest of each.
func (s *settings) lifetimes(roles []Role) (idle, absolute time.Duration) {
	idle, absolute = s.Sessions.Idle, s.Sessions.Absolute
	found := false
	for _, name := range roles {
		p := s.roles[name]
		if p == nil {
			continue
		}
		if !found {
			idle, absolute, found = p.idle, p.absolute, true
			continue
		}
		idle, absolute = min(idle, p.idle), min(absolute, p.absolute)
	}
	return idle, absolute
}

// remember is how long a person with these roles may stay signed in by their own wish; 0: not at all. One role
// that forbids it is enough.
func (s *settings) remember(roles []Role) time.Duration {
	var shortest time.Duration
	for i, name := range roles {
		p := s.roles[name]
		if p == nil || p.remember == 0 {
			return 0
		}
		if i == 0 || p.remember < shortest {
			shortest = p.remember
		}
	}
	return shortest
}

// factor is the level that a sign-in with these roles must reach.
func (s *settings) factor(roles []Role) Level {
	level := PasswordLevel
	for _, name := range roles {
		if p := s.roles[name]; p != nil {
			level = max(level, p.factor)
		}
	}
	return level
}

// requiresActivity tells whether one of the roles wants a person behind the requests that keep a session alive.
func (s *settings) requiresActivity(roles []Role) bool {
	return slices.ContainsFunc(roles, func(name Role) bool { p := s.roles[name]; return p != nil && p.requireActivity })
}

// join lists roles or privileges with the separator between them.
func join[T ~string](list []T, separator string) string {
	names := make([]string, len(list))
	for i, name := range list {
		names[i] = string(name)
	}
	return strings.Join(names, separator)
}

// isStaff tells whether one of the roles belongs to the application's staff.
func (s *settings) isStaff(roles []Role) bool {
	return slices.ContainsFunc(roles, func(name Role) bool { p := s.roles[name]; return p != nil && p.staff })
}

// allowedFrom tells whether people with these roles may act from the address: each role's networks must hold it.
func (s *settings) allowedFrom(roles []Role, address netip.Addr) bool {
	for _, name := range roles {
		if p := s.roles[name]; p != nil && len(p.networks) > 0 && !holds(p.networks, address) {
			return false
		}
	}
	return true
}

func holds(networks []netip.Prefix, address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(address) })
}

// trust returns whether a sign-in of these roles from the address must be released first, and how long an
// address is trusted afterwards.
func (s *settings) trust(roles []Role, address netip.Addr) (required bool, period time.Duration) {
	for _, name := range roles {
		p := s.roles[name]
		if p == nil || !p.trust.Required {
			continue
		}
		if period == 0 || p.trust.Period < period {
			period = p.trust.Period
		}
		required = required || !holds(p.trust.Networks, address)
	}
	return required, period
}

// May tells whether the principal has the privilege through one of its roles.
func (a *Auth) May(p Principal, privilege Privilege) bool {
	s := a.cfg.Load()
	return !p.Disabled && slices.ContainsFunc(p.Roles, func(name Role) bool {
		policy := s.roles[name]
		return policy != nil && slices.Contains(policy.privileges, privilege)
	})
}

// Remembers tells whether some role lets its people stay signed in by their own wish (D-18).
func (a *Auth) Remembers() bool {
	for _, p := range a.cfg.Load().roles {
		if p.remember > 0 {
			return true
		}
	}
	return false
}

// RequiredLevel is the level that the principal's roles demand of a sign-in.
func (a *Auth) RequiredLevel(p Principal) Level { return a.cfg.Load().factor(p.Roles) }

// AllowedFrom tells whether the session's person may act from this address by the networks of their roles (F-44, M-19).
func (a *Auth) AllowedFrom(s *Session, address netip.Addr) bool {
	return a.cfg.Load().allowedFrom(s.Principal.Roles, address)
}

// RequiresActivity tells whether only what a person does may keep the session alive (D-19).
func (a *Auth) RequiresActivity(s *Session) bool {
	return a.cfg.Load().requiresActivity(s.Principal.Roles)
}
