package waf

import (
	"fmt"
	"strings"

	"github.com/doorward/doorward/seclang"
	"github.com/doorward/doorward/seclang/syntax"
)

// CheckValue tells why a name such as ARGS:body, in the words of rules, does not mean exactly the values that are called so. A parameter
// can be called /.*/, which as a target means every parameter.
func CheckValue(name string) error {
	target, err := syntax.ParseTarget(name)
	switch _, key, _ := strings.Cut(name, ":"); {
	case err != nil:
		return err
	case target.Exclude || target.Count || target.Pattern != nil || target.Key != key:
		return fmt.Errorf("%q means other values in the words of rules", name)
	case key == "" && target.Variable.Keyed() && target.Variable != syntax.XML:
		return fmt.Errorf("%s without a name means all its values", target.Variable)
	case Made(name):
		return fmt.Errorf("%s is made by the rules themselves", target.Variable)
	}
	return nil
}

// Named tells whether a name such as ARGS:body is that of single values, and not of a whole line, body or document of each request.
func Named(name string) bool {
	target, err := syntax.ParseTarget(name)
	return err == nil && target.Key != "" && target.Variable != syntax.XML
}

// Made tells whether rules made the values of the variable with that name themselves (TX, MATCHED_VAR), so that they cannot be left out.
func Made(name string) bool {
	variable, _, _ := strings.Cut(name, ":")
	return variable == "" || variable == syntax.TX.String() || strings.HasPrefix(variable, "MATCHED_")
}

// With is the site with further exclusions. The rules are not compiled again. What is about no rule that is loaded is left aside, and told: an
// exclusion may be older than the rules.
func (s *Site) With(more []Exclusion) (*Site, []error) {
	if len(more) == 0 {
		return s, nil
	}
	p, err := s.rules.program()
	if err != nil {
		return s, []error{err}
	}
	next := &Site{engine: s.engine, rules: s.rules, config: s.config, options: s.options}
	next.config.Exclusions = append([]seclang.Exclusion(nil), s.config.Exclusions...)
	next.options.Exclusions = append([]Exclusion(nil), s.options.Exclusions...)
	var problems []error
	for _, x := range more {
		one := seclang.Exclusion{Rules: x.Rules, Tags: x.Tags, Target: x.Target}
		if err := p.CheckExclusion(one); err != nil {
			problems = append(problems, fmt.Errorf("exclusion %s %v %s: %w", x.Path, x.Rules, x.Target, err))
			continue
		}
		next.config.Exclusions = append(next.config.Exclusions, one)
		next.options.Exclusions = append(next.options.Exclusions, x)
	}
	if _, err := next.bind(); err != nil {
		return s, append(problems, err)
	}
	s.current.Store(nil) // it is asked no more, and must not hold a program that others have let go
	return next, problems
}

// Compiled tells how far the rules are compiled: not at all before the first request, then for the plain way, and at last for the fast one.
type Compiled string

// The states.
const (
	NotCompiled Compiled = "no"
	Plainly     Compiled = "plain" // requests are judged the slow way
	Fast        Compiled = "fast"
)

// Compiled tells how far the site's rules are compiled.
func (s *Site) Compiled() Compiled {
	switch {
	case s.rules.fast.Load():
		return Fast
	case s.rules.best.Load() != nil:
		return Plainly
	}
	return NotCompiled
}
