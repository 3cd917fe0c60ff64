package auth

import "time"

// Config is the part of the configuration file about accounts, sign-in and sessions. The zero value of
// every field means its default, which SetDefaults fills in.
type Config struct {
	Sessions     SessionsConfig `yaml:"sessions"`
	SignIn       SignInConfig   `yaml:"sign_in"`
	PasswordHash HashConfig     `yaml:"password_hash"`
	Factors      FactorsConfig  `yaml:"factors"`

	// DataDir is the folder of the key that seals second factors; empty in tests, where a key lasts as long as the process.
	DataDir string `yaml:"-"`
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
	setDefault(&c.PasswordHash.MemoryKiB, 19456)
	setDefault(&c.PasswordHash.Time, 2)
	setDefault(&c.PasswordHash.Parallelism, 1)
	setDefault(&c.PasswordHash.AtOnce, 2)
	setDefault(&c.PasswordHash.Queue, 64)
	setDefault(&c.PasswordHash.QueueWait, 10*time.Second)
	c.Factors.setDefaults()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
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
	between(report, "password_hash.memory_kib", c.PasswordHash.MemoryKiB, minMemoryKiB, MaxMemoryKiB)
	between(report, "password_hash.time", c.PasswordHash.Time, 1, MaxTime)
	between(report, "password_hash.parallelism", c.PasswordHash.Parallelism, 1, MaxParallelism)
	if lanes := uint32(c.PasswordHash.Parallelism); c.PasswordHash.MemoryKiB < 8*lanes {
		report("password_hash.memory_kib", "%d is less than 8 for each of %d lanes", c.PasswordHash.MemoryKiB, lanes)
	}
	between(report, "password_hash.at_once", c.PasswordHash.AtOnce, 1, 64)
	between(report, "password_hash.queue", c.PasswordHash.Queue, 1, 4096)
	between(report, "password_hash.queue_wait", c.PasswordHash.QueueWait, 100*time.Millisecond, time.Minute)
	c.Factors.validate(report)
}

func between[T int | uint32 | uint8 | time.Duration](report func(path, format string, args ...any), path string, got, low, high T) {
	if got < low || got > high {
		report(path, "%v is not between %v and %v", got, low, high)
	}
}
