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

// Config is the part of the configuration file about accounts, sign-in and sessions. The zero value of
// every field means its default, which SetDefaults fills in.
type Config struct {
	Sessions     SessionsConfig `yaml:"sessions"`
	SignIn       SignInConfig   `yaml:"sign_in"`
	PasswordHash HashConfig     `yaml:"password_hash"`
	Notices      NoticesConfig  `yaml:"notices"`
	// Passwords are the rules for passwords of all roles; a role may have others (D-02 to D-07, F-40, I-75, M-02, M-03, M-06).
	Passwords password.Config `yaml:"passwords"`
	Factors   FactorsConfig   `yaml:"factors"`
	// Browsers are the oldest versions that people are not asked to renew, on the sign-in page and by a field of the sign-in's
	// event. Default: none (I-09).
	Browsers []BrowserConfig `yaml:"browsers"`
	// Roles change what the built-in roles demand and may do, and add roles of one's own (F-42, F-43).
	Roles  []RoleConfig `yaml:"roles"`
	Review ReviewConfig `yaml:"review"`
	// Registration lets people make accounts for themselves.
	Registration RegistrationConfig `yaml:"registration"`

	// OIDC and LDAP are other systems that may say who somebody is, with their defaults.
	OIDC []oidc.Config      `yaml:"-"`
	LDAP []directory.Config `yaml:"-"`
	// DataDir is the folder of the key that seals second factors; empty in tests, where a key lasts as long as the process.
	DataDir string `yaml:"-"`
	// Zones are the file's named networks, for the roles' zones.
	Zones []Zone `yaml:"-"`
	// SiteHosts are the names of the sites, the first site's first: where mailed links that no request asked for lead.
	SiteHosts []string `yaml:"-"`
}

// Zone is a set of networks with a name.
type Zone struct {
	Name     string
	Networks []netip.Prefix
}

// NoticesConfig says what people are told by mail about their own account (D-09).
type NoticesConfig struct {
	// SignIn is new (a mail when the browser or the network is new for the person; default), every or off.
	SignIn string `yaml:"sign_in"`
	// NoFailures keeps quiet about failed sign-ins. They are told bundled, at most once an hour.
	NoFailures bool `yaml:"no_failures"`
}

// SessionsConfig bounds how long a sign-in lasts (D-18). A shorter value applies to sessions that already
// exist too, a longer one only to new ones.
type SessionsConfig struct {
	// Idle is how long a session lasts without a request. Default 1h.
	Idle time.Duration `yaml:"idle"`
	// Absolute is how long a session lasts in any case. Default 12h.
	Absolute time.Duration `yaml:"absolute"`
}

// SignInConfig is the brake on guessing passwords.
type SignInConfig struct {
	// Failures is how many wrong sign-ins in a row make an address wait. Default 3 (M-40).
	Failures int `yaml:"failures"`
	// Wait is how long it waits then. Default 10s (M-40).
	Wait time.Duration `yaml:"wait"`
	// Staff limits failed sign-ins of owners, administrators, agents and own roles that count as staff (D-08).
	Staff RateConfig `yaml:"staff"`
	// Users limits failed sign-ins of everybody else, names that do not exist included (D-08).
	Users RateConfig `yaml:"users"`
}

// RateConfig limits failed sign-ins of one kind of people. Whoever is over a limit waits until enough failures are
// older than the window. A browser or network that the account was signed in with before has a count of its
// own, so that no stranger can keep a person out; nor does a limit stop a passkey or a reset by mail.
type RateConfig struct {
	// Window is how long a failure counts. Default 10m.
	Window time.Duration `yaml:"window"`
	// PerAddress is how many failures one address may have in a window. Default 30.
	PerAddress int `yaml:"per_address"`
	// PerAccount is how many failures strangers may cause for one account in a window, by its name and by its e-mail address
	// each. Default 10.
	PerAccount int `yaml:"per_account"`
	// Total is how many failures all strangers together may cause in a window. Default: no limit.
	Total int `yaml:"total"`
}

// HashConfig is the cost of a password hash (argon2id, RFC 9106) and how many are computed at a time. The
// defaults are the second choice of OWASP's password storage recommendation: 19 MiB, two passes, one lane.
type HashConfig struct {
	MemoryKiB   uint32 `yaml:"memory_kib"`  // default 19456
	Time        uint32 `yaml:"time"`        // passes; default 2
	Parallelism uint8  `yaml:"parallelism"` // lanes; default 1
	// AtOnce is how many hashes are computed at the same time. Default 2.
	AtOnce int `yaml:"at_once"`
	// Queue is how many sign-ins may wait for their turn. Default 64.
	Queue int `yaml:"queue"`
	// QueueWait is how long a sign-in waits for its turn at most. Default 10s.
	QueueWait time.Duration `yaml:"queue_wait"`
}

// SetDefaults replaces zero values by the defaults.
func (c *Config) SetDefaults() {
	setDefault(&c.Sessions.Idle, time.Hour)
	setDefault(&c.Sessions.Absolute, 12*time.Hour)
	setDefault(&c.SignIn.Failures, 3)
	setDefault(&c.SignIn.Wait, 10*time.Second)
	c.SignIn.Staff.setDefaults()
	c.Factors.setDefaults()
	c.Review.setDefaults()
	c.Passwords.SetDefaults()
	c.SignIn.Users.setDefaults()
	setDefault(&c.Notices.SignIn, "new")
	c.Registration.setDefaults()
	for i := range c.Roles {
		setDefault(&c.Roles[i].Factor, "none")
	}
	setDefault(&c.PasswordHash.MemoryKiB, 19456)
	setDefault(&c.PasswordHash.Time, 2)
	setDefault(&c.PasswordHash.Parallelism, 1)
	setDefault(&c.PasswordHash.AtOnce, 2)
	setDefault(&c.PasswordHash.Queue, 64)
	setDefault(&c.PasswordHash.QueueWait, 10*time.Second)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (r *RateConfig) setDefaults() {
	setDefault(&r.Window, 10*time.Minute)
	setDefault(&r.PerAddress, 30)
	setDefault(&r.PerAccount, 10)
}

// Validate reports every value that cannot be used; call SetDefaults before. The paths are relative to
// the section that holds these settings.
func (c Config) Validate(report func(path, format string, args ...any)) {
	between(report, "sessions.idle", c.Sessions.Idle, time.Minute, 24*time.Hour)
	between(report, "sessions.absolute", c.Sessions.Absolute, time.Minute, 7*24*time.Hour)
	if c.Sessions.Idle > c.Sessions.Absolute {
		report("sessions.idle", "%v is longer than sessions.absolute, %v", c.Sessions.Idle, c.Sessions.Absolute)
	}
	between(report, "sign_in.failures", c.SignIn.Failures, 1, 20)
	between(report, "sign_in.wait", c.SignIn.Wait, time.Second, time.Hour)
	c.SignIn.Staff.validate("sign_in.staff", report)
	c.SignIn.Users.validate("sign_in.users", report)
	oneOf(report, "notices.sign_in", c.Notices.SignIn, "new", "every", "off")
	c.Factors.validate(report)
	c.Review.validate(report)
	c.Passwords.Validate(below("passwords", report))
	c.validateBrowsers(report)
	c.validateRoles(report)
	c.Registration.validate(below("registration", report))
	between(report, "password_hash.memory_kib", c.PasswordHash.MemoryKiB, minMemoryKiB, MaxMemoryKiB)
	between(report, "password_hash.time", c.PasswordHash.Time, 1, MaxTime)
	between(report, "password_hash.parallelism", c.PasswordHash.Parallelism, 1, MaxParallelism)
	if lanes := uint32(c.PasswordHash.Parallelism); c.PasswordHash.MemoryKiB < 8*lanes {
		report("password_hash.memory_kib", "%d is less than 8 for each of %d lanes", c.PasswordHash.MemoryKiB, lanes)
	}
	between(report, "password_hash.at_once", c.PasswordHash.AtOnce, 1, 64)
	between(report, "password_hash.queue", c.PasswordHash.Queue, 1, 4096)
	between(report, "password_hash.queue_wait", c.PasswordHash.QueueWait, 100*time.Millisecond, time.Minute)
}

func (r RateConfig) validate(path string, report func(path, format string, args ...any)) {
	between(report, path+".window", r.Window, time.Minute, 24*time.Hour)
	between(report, path+".per_address", r.PerAddress, 3, 100_000)
	between(report, path+".per_account", r.PerAccount, 3, 100_000)
	between(report, path+".total", r.Total, 0, 10_000_000)
}

func (c Config) validateRoles(report func(path, format string, args ...any)) {
	seen := make(map[string]int)
	for i, r := range c.Roles {
		path := fmt.Sprintf("roles[%d]", i)
		if !validRole(r.Name) {
			report(path+".name", "%q is not a role's name: write small letters, digits and dashes, beginning with a letter, 32 at most", r.Name)
			continue
		}
		if first, twice := seen[r.Name]; twice {
			report(path+".name", "%s is already roles[%d]; put both into one", r.Name, first)
			continue
		}
		seen[r.Name] = i
		c.validateRole(r, path, report)
	}
}

// below reports what a section finds under the section's own path.
func below(path string, report func(path, format string, args ...any)) func(path, format string, args ...any) {
	return func(rest, format string, args ...any) { report(path+"."+rest, format, args...) }
}

func (c Config) validateRole(r RoleConfig, path string, report func(path, format string, args ...any)) {
	r.Passwords.Validate(below(path+".passwords", report))
	oneOf(report, path+".factor", r.Factor, "none", "any", "passkey")
	if r.Staff && slices.Contains(builtIn(), Role(r.Name)) {
		report(path+".staff", "owner, admin and agent are staff and user is not; remove the line, or make a role of your own")
	}
	if len(r.Privileges) > 0 && Role(r.Name) == Owner {
		report(path+".privileges", "an owner has every privilege; remove the line")
	}
	idle, absolute := r.Sessions.Idle, r.Sessions.Absolute
	setDefault(&idle, c.Sessions.Idle)
	setDefault(&absolute, c.Sessions.Absolute)
	between(report, path+".sessions.idle", idle, time.Minute, 24*time.Hour)
	between(report, path+".sessions.absolute", absolute, time.Minute, 7*24*time.Hour)
	if idle > absolute {
		report(path+".sessions.idle", "%v is longer than the absolute lifetime, %v", idle, absolute)
	}
	between(report, path+".sessions.remember", r.Sessions.Remember, 0, 365*24*time.Hour)
	between(report, path+".trusted_addresses.period", r.TrustedAddresses.Period, 0, 366*24*time.Hour)
	for i, name := range r.Zones {
		if !slices.ContainsFunc(c.Zones, func(z Zone) bool { return z.Name == name }) {
			report(fmt.Sprintf("%s.zones[%d]", path, i), "%q is not a zone; name it and its networks under zones", name)
		}
	}
}

func oneOf(report func(path, format string, args ...any), path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		report(path, "%q is not one of %s", value, strings.Join(allowed, ", "))
	}
}

func between[T int | uint32 | uint8 | time.Duration](report func(path, format string, args ...any), path string, got, low, high T) {
	if got < low || got > high {
		report(path, "%v is not between %v and %v", got, low, high)
	}
}
