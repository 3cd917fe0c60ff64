package password

import (
	"context"
	"slices"
	"sync"
	"unicode/utf8"
)

// Checker judges new passwords by one policy. It is safe for use by several goroutines.
type Checker struct {
	policy  Policy
	context []string  // names from the configuration
	breach  *breaches // nil: off
	shared  *shared
}

// shared is what all checkers of one New have in common.
type shared struct {
	words func() (*wordList, error)

	mu       sync.Mutex
	breaches map[BreachConfig]*breaches
}

// breach returns the one that asks by cfg, so that its bounds are those of all who ask.
func (s *shared) breach(cfg BreachConfig) (*breaches, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.breaches[cfg]; b != nil {
		return b, nil
	}
	b, err := newBreaches(cfg)
	if err == nil {
		s.breaches[cfg] = b
	}
	return b, err
}

// New makes the checker of a whole configuration: a role's after Config.Over. It reads the list of common passwords when
// the first password is checked, and starts nothing. The error lists every value that cannot be used.
func New(cfg Config) (*Checker, error) {
	return newChecker(cfg, &shared{words: sync.OnceValues(loadWords), breaches: make(map[BreachConfig]*breaches)})
}

// For makes a checker of another configuration that shares the list of common passwords with this one and, where both are
// configured alike, the connections of the breach check.
func (c *Checker) For(cfg Config) (*Checker, error) {
	return newChecker(cfg, c.shared)
}

func newChecker(cfg Config, common *shared) (*Checker, error) {
	cfg.SetDefaults()
	policy, err := Resolve(cfg)
	if err != nil {
		return nil, err
	}
	c := &Checker{policy: policy, context: cfg.ContextWords, shared: common}
	if policy.BreachCheck {
		if c.breach, err = common.breach(cfg.BreachCheck); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Policy is what the checker judges by.
func (c *Checker) Policy() Policy { return c.policy }

// Check lists every reason why a new password is refused, in the order of Codes; none means that it may be used.
// withFactor says that the account never signs in without a second factor. The same password in another Unicode spelling
// gets the same answer. It asks nobody: Breached does.
func (c *Checker) Check(password string, who Subject, withFactor bool) []Problem {
	text, problem, ok := prepare(password)
	if !ok {
		return []Problem{problem}
	}
	var problems []Problem
	if least := c.policy.MinLengthFor(withFactor); utf8.RuneCountInString(text) < least {
		problems = append(problems, Problem{Code: TooShort, Number: least})
	}
	has := classesOf(text)
	for _, class := range []struct {
		class Classes
		code  Code
	}{{Lower, NoLower}, {Upper, NoUpper}, {Digit, NoDigit}, {Symbol, NoSymbol}, {Letter, NoLetter}} {
		if c.policy.Classes.Has(class.class) && !has.Has(class.class) {
			problems = append(problems, Problem{Code: class.code})
		}
	}
	if text == "" {
		return problems
	}
	return append(problems, c.guessable(text, who)...)
}

// guessable tells whether the prepared password is one that is tried early. One reason is enough: they have the same cure.
func (c *Checker) guessable(text string, who Subject) []Problem {
	list, err := c.shared.words()
	if err != nil {
		// The list is part of the binary and a test reads it. Without it nothing would be refused as common.
		return []Problem{{Code: Common}}
	}
	known := namesOf(who, slices.Concat(list.context, c.context))
	if !c.policy.CommonPasswords {
		list = &wordList{walks: list.walks}
	}
	if code := guess(plain(text), list, known); code != "" {
		return []Problem{{Code: code}}
	}
	if c.policy.MinScore > 0 && score(text, known) < c.policy.MinScore {
		return []Problem{{Code: Guessable, Number: c.policy.MinScore}}
	}
	return nil
}

// Breached asks the configured service whether the password is known from a breach; without one it answers false.
// With an error nothing is known: the caller accepts the password and records an event (the check fails open, or an outage
// elsewhere would stop people from changing their passwords). The error holds nothing of the password.
func (c *Checker) Breached(ctx context.Context, password string) (found bool, err error) {
	if c.breach == nil {
		return false, nil
	}
	text, _, ok := prepare(password)
	if !ok {
		return false, nil // Check refuses it
	}
	return c.breach.found(ctx, text)
}
