package password

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Policy is what is demanded of passwords: a preset with what the configuration changes of it. It is a plain value.
type Policy struct {
	Preset string // the preset it began with

	MinLength           int           // characters, of a password that is the only factor
	MinLengthWithFactor int           // characters, of a password beside a second factor; never more than MinLength
	Classes             Classes       // all of them must occur
	MaxAge              time.Duration // 0: a password does not expire
	History             int           // none of so many former passwords again; the caller compares their hashes
	ChangeAtFirstSignIn bool          // a password that somebody else has set is changed at once; the caller sees to it
	MinScore            int           // 0 to 4, of zxcvbn; 0: not asked for
	CommonPasswords     bool          // the list of common passwords is looked into
	BreachCheck         bool          // Checker.Breached asks a service
}

// Resolve makes the policy of a configuration that is whole: a role's after Config.Over. An error lists every value
// that cannot be used.
func Resolve(cfg Config) (Policy, error) {
	cfg.SetDefaults()
	var problems []error
	cfg.Validate(func(path, format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
	})
	if len(problems) > 0 {
		return Policy{}, fmt.Errorf("password settings: %w", errors.Join(problems...))
	}
	preset, err := LoadPreset(cfg.Preset)
	if err != nil {
		return Policy{}, err
	}
	classes, err := ParseClasses(cfg.Classes)
	if err != nil {
		return Policy{}, err
	}
	p := Policy{
		Preset:              cfg.Preset,
		MinLength:           cmp.Or(cfg.MinLength, preset.MinLength.value(), MinMinLength),
		MinLengthWithFactor: cmp.Or(cfg.MinLengthWithFactor, preset.MinLengthWithFactor.value(), MinMinLength),
		Classes:             cmp.Or(classes, preset.Classes.value()),
		MaxAge:              cmp.Or(cfg.MaxAge, preset.MaxAge.value()),
		History:             cmp.Or(cfg.History, preset.History.value()),
		ChangeAtFirstSignIn: cfg.ChangeAtFirstSignIn || preset.ChangeAtFirstSignIn.value(),
		MinScore:            cmp.Or(cfg.MinScore, preset.MinScore.value()),
		CommonPasswords:     !cfg.AllowCommon,
		BreachCheck:         cfg.BreachCheck.URL != "",
	}
	// One of the two lengths may be set and the other be the preset's. A second factor never asks for more.
	if cfg.MinLength != 0 {
		p.MinLengthWithFactor = min(p.MinLengthWithFactor, p.MinLength)
	}
	p.MinLength = max(p.MinLength, p.MinLengthWithFactor)
	return p, nil
}

// MinLengthFor is how many characters a password needs, beside a second factor or alone.
func (p Policy) MinLengthFor(withFactor bool) int {
	if withFactor {
		return p.MinLengthWithFactor
	}
	return p.MinLength
}

// Expired tells whether a password that was set at changed must be changed now (D-06, M-06). A password whose age is
// not known, the zero time, is expired wherever passwords expire at all.
func (p Policy) Expired(changed, now time.Time) bool {
	return p.MaxAge > 0 && (changed.IsZero() || now.Sub(changed) >= p.MaxAge)
}
