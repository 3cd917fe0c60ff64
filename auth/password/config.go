package password

import (
	"net/netip"
	"net/url"
	"slices"
	"time"
)

// Config is the part of the configuration file about passwords, for all accounts or for those of one role. A value
// that is not set comes from the preset. A value can be replaced but not removed: to go without a rule of one preset, name
// another preset that lacks it and add the others.
type Config struct {
	// Preset is the set of rules to begin with: nist, asvs-l2, deskpro, faveo, idoit or mor. Default nist.
	Preset string `yaml:"preset"`
	// MinLength is how many characters a password has at least that is the only factor. At least 8 (ASVS 6.2.1).
	MinLength int `yaml:"min_length"`
	// MinLengthWithFactor is the same for an account whose sign-in needs a second factor.
	MinLengthWithFactor int `yaml:"min_length_with_factor"`
	// Classes are kinds of character that must occur: lower, upper, digit, symbol, letter (D-05, M-03). NIST and ASVS
	// forbid such rules.
	Classes []string `yaml:"classes"`
	// MaxAge is how long a password may be used (D-06, M-06); 8760h is a year. NIST and ASVS forbid periodic change.
	MaxAge time.Duration `yaml:"max_age"`
	// History is how many former passwords may not be used again (D-07). At most 24.
	History int `yaml:"history"`
	// ChangeAtFirstSignIn forces a change of a password that somebody else has set (M-07, I-79).
	ChangeAtFirstSignIn bool `yaml:"change_at_first_sign_in"`
	// MinScore is the lowest score by zxcvbn that a password may have, 1 to 4.
	MinScore int `yaml:"min_score"`
	// AllowCommon turns the list of common passwords off.
	AllowCommon bool `yaml:"allow_common"`
	// ContextWords are names that a password may not be built from, beside the person's and the sites' own: the company, its
	// products, its towns (ASVS 6.1.2, 6.2.11). At most 100.
	ContextWords []string `yaml:"context_words"`
	// BreachCheck asks a service whether a password is known from a breach. Off by default.
	BreachCheck BreachConfig `yaml:"breach_check"`
}

// BreachConfig is about the check by the Pwned Passwords range protocol. The service learns five of forty hexadecimal
// digits of the password's SHA-1, and nothing of the person.
type BreachConfig struct {
	// URL is what the five digits are appended to, with https, or http to this machine. Not set: no check.
	URL string `yaml:"url"`
	// Timeout is how long an answer may take; without one the password is accepted. Default 3s.
	Timeout time.Duration `yaml:"timeout"`
}

// The bounds of the settings.
const (
	// MaxLength is how many characters a password may have, after NFKC. Longer ones are refused; nothing is cut.
	MaxLength = 256
	// MinMinLength is the shortest minimum that can be set (ASVS 6.2.1, NIST SP 800-63B-4 3.1.1.2 beside a factor).
	MinMinLength = 8
	// MaxMinLength is the longest minimum that can be set: passwords of 64 characters must be possible (ASVS 6.2.9).
	MaxMinLength = 64
	// MaxHistory caps the history, because each former password costs a hash at a change.
	MaxHistory      = 24
	maxContextWords = 100
)

// SetDefaults replaces zero values by the defaults. It is for the settings of all accounts: those of a role must
// stay empty where they are, else they would hide what lies under them.
func (c *Config) SetDefaults() {
	if c.Preset == "" {
		c.Preset = DefaultPreset
	}
	if c.BreachCheck.Timeout == 0 {
		c.BreachCheck.Timeout = 3 * time.Second
	}
}

// Over lays the settings of a role over those of all accounts. What the role sets holds, the rest comes from base. A role
// that names a preset takes no rule from base, but that preset's; the breach check and base's context words stay.
func (c Config) Over(base Config) Config {
	if c.Preset != "" {
		base = Config{Preset: c.Preset, ContextWords: base.ContextWords, BreachCheck: base.BreachCheck}
	}
	replace(&base.MinLength, c.MinLength)
	replace(&base.MinLengthWithFactor, c.MinLengthWithFactor)
	replace(&base.MaxAge, c.MaxAge)
	replace(&base.History, c.History)
	replace(&base.ChangeAtFirstSignIn, c.ChangeAtFirstSignIn)
	replace(&base.MinScore, c.MinScore)
	replace(&base.AllowCommon, c.AllowCommon)
	replace(&base.BreachCheck.URL, c.BreachCheck.URL)
	replace(&base.BreachCheck.Timeout, c.BreachCheck.Timeout)
	if len(c.Classes) > 0 {
		base.Classes = c.Classes
	}
	base.Classes = slices.Clone(base.Classes)
	base.ContextWords = slices.Concat(base.ContextWords, c.ContextWords)
	return base
}

func replace[T comparable](field *T, value T) {
	var zero T
	if value != zero {
		*field = value
	}
}

// Validate reports every value that cannot be used; zero values are those that are not set. The paths are relative
// to the section that holds these settings.
func (c Config) Validate(report func(path, format string, args ...any)) {
	if c.Preset != "" {
		if _, err := LoadPreset(c.Preset); err != nil {
			report("preset", "%v", err)
		}
	}
	between(report, "min_length", c.MinLength, MinMinLength, MaxMinLength)
	between(report, "min_length_with_factor", c.MinLengthWithFactor, MinMinLength, MaxMinLength)
	if c.MinLength != 0 && c.MinLengthWithFactor > c.MinLength {
		report("min_length_with_factor", "%d is more than min_length, %d", c.MinLengthWithFactor, c.MinLength)
	}
	if _, err := ParseClasses(c.Classes); err != nil {
		report("classes", "%v", err)
	}
	between(report, "max_age", c.MaxAge, 24*time.Hour, 10*365*24*time.Hour)
	between(report, "history", c.History, 1, MaxHistory)
	between(report, "min_score", c.MinScore, 1, 4)
	if len(c.ContextWords) > maxContextWords {
		report("context_words", "%d are more than %d", len(c.ContextWords), maxContextWords)
	}
	if c.BreachCheck.URL != "" {
		if _, problem := breachURL(c.BreachCheck.URL); problem != "" {
			report("breach_check.url", "%q %s", c.BreachCheck.URL, problem)
		}
	}
	between(report, "breach_check.timeout", c.BreachCheck.Timeout, 100*time.Millisecond, 10*time.Second)
}

func between[T int | time.Duration](report func(path, format string, args ...any), path string, got, low, high T) {
	if got != 0 && (got < low || got > high) {
		report(path, "%v is not between %v and %v", got, low, high)
	}
}

// breachURL reads the URL of a breach check. Plain http would show to the network which five digits were asked for, and
// let it answer; to this machine it is for a mirror of one's own.
func breachURL(text string) (*url.URL, string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return nil, "is not a URL; write https://HOST/range/"
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, "may have no user, query or fragment; write https://HOST/range/"
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return u, ""
	}
	return nil, "needs https; http is possible to 127.0.0.1, [::1] and localhost only"
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
