package waf

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/doorward/doorward/rules"
	"github.com/doorward/doorward/seclang"
)

// Change is one difference between the rule set doorward and the Core Rule Set.
type Change struct {
	Name string `yaml:"name"`
	// Why says what is wrong with the published rules, or what they lack.
	Why string `yaml:"why"`
	// ID, In and Find are a rule of our own: its id, the variables that it looks at (ARGS when there are none), and the expression
	// that it finds in their decoded values. It scores as a critical one does. Its kind is a tag: attack-rce.
	ID   int    `yaml:"id"`
	In   string `yaml:"in"`
	Find string `yaml:"find"`
	Kind string `yaml:"kind"`
	// Before is SecLang for what Find cannot say; it is read before the published rules, so that they add up its scores.
	Before string `yaml:"before"`
	// Rules are ids of published rules that find nothing in a value that matches Unless as a whole or in part, as it came, and does
	// not match But, at a name that matches At (any, if there is none): all three are Go's regular expressions.
	Rules  []int  `yaml:"rules"`
	Unless string `yaml:"unless"`
	But    string `yaml:"but"`
	At     string `yaml:"at"`
	// Each makes Unless and But about the sentences and lines of a value, too.
	Each bool `yaml:"each"`
	// Attack must be stopped with the change, and Harmless must pass. A change that narrows rules is there because the published
	// ones refuse Harmless, one that adds a rule because they let Attack pass.
	Attack   string `yaml:"attack"`
	Harmless string `yaml:"harmless"`
	// Place is where both stand in a request: form (the default), query, header NAME, or body TYPE.
	Place string `yaml:"place"`
}

// Changes reads what the rule set doorward changes, in the order in which it is read.
func Changes() ([]Change, error) {
	names, err := fs.Glob(rules.Waf(), "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list changes of rules: %w", err)
	}
	var all []Change
	for _, name := range names {
		text, err := fs.ReadFile(rules.Waf(), name)
		if err != nil {
			return nil, fmt.Errorf("read changes of rules: %w", err)
		}
		var some []Change
		if err := yaml.UnmarshalWithOptions(text, &some, yaml.Strict()); err != nil {
			return nil, fmt.Errorf("read changes of rules %s: %w", name, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// changed is what all changes together do to the rules.
type changed struct {
	before     string
	narrowings []seclang.Narrowing
}

// allChanges puts them together.
func allChanges() (c changed, err error) {
	all, err := Changes()
	if err != nil {
		return c, err
	}
	for _, one := range all {
		c.before += one.rule() + one.Before
		narrowings, err := one.narrowings()
		if err != nil {
			return c, fmt.Errorf("change %q: %w", one.Name, err)
		}
		c.narrowings = append(c.narrowings, narrowings...)
	}
	return c, nil
}

// rule writes the rule of our own in SecLang.
func (c Change) rule() string {
	if c.Find == "" {
		return ""
	}
	in := c.In
	if in == "" {
		in = "ARGS|ARGS_NAMES|REQUEST_COOKIES|XML:/*"
	}
	return fmt.Sprintf("SecRule %s \"@rx %s\" \"id:%d,phase:2,block,capture,t:none,t:urlDecodeUni,msg:'%s',"+
		"logdata:'%%{TX.0} at %%{MATCHED_VAR_NAME}',tag:'%s',tag:'paranoia-level/1',ver:'doorward',severity:'CRITICAL',"+
		"setvar:'tx.inbound_anomaly_score_pl1=+%%{tx.critical_anomaly_score}'\"\n",
		in, strings.ReplaceAll(c.Find, `"`, `\"`), c.ID, c.Name, c.Kind)
}

func (c Change) narrowings() ([]seclang.Narrowing, error) {
	if c.Unless == "" {
		return nil, nil
	}
	unless, err := regexp.Compile(c.Unless)
	if err != nil {
		return nil, fmt.Errorf("unless: %w", err)
	}
	var but, at *regexp.Regexp
	if c.But != "" {
		if but, err = regexp.Compile(c.But); err != nil {
			return nil, fmt.Errorf("but: %w", err)
		}
	}
	if c.At != "" {
		if at, err = regexp.Compile(c.At); err != nil {
			return nil, fmt.Errorf("at: %w", err)
		}
	}
	var all []seclang.Narrowing
	for _, id := range c.Rules {
		all = append(all, seclang.Narrowing{Rule: id, Unless: unless, But: but, At: at, Each: c.Each})
	}
	return all, nil
}
