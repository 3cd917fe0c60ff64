package seclang

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/doorward/doorward/seclang/syntax"
)

// Exclusion leaves rules out of a transaction, or one value out of rules, as ctl:ruleRemove… does; the caller says for which
// transactions (Exclude).
type Exclusion struct {
	Rules  []syntax.IDRange // ids
	Tags   []string         // or a tag of the rule
	Target string           // ARGS:text, in the words of rules; empty: the rules do not run at all
}

// newExclusion finds the rules that an exclusion is about.
func (p *Program) newExclusion(e Exclusion) (*effect, error) {
	compiled := &effect{kind: syntax.ControlEngine, control: syntax.Control{Name: syntax.RuleRemoveByID}}
	if e.Target != "" {
		target, err := syntax.ParseTarget(e.Target)
		if err != nil {
			return nil, err
		}
		if target.Exclude || target.Count {
			return nil, fmt.Errorf("target %q: write the variable alone, without ! and &", e.Target)
		}
		compiled.control.Name = syntax.RuleRemoveTargetByID
		compiled.target.Target, compiled.target.low, compiled.target.slot = target, strings.ToLower(target.Key), -1
	}
	if len(e.Rules) == 0 && len(e.Tags) == 0 {
		return nil, errors.New("names no rule; give ids or tags")
	}
	for i := range p.rules {
		r := p.rules[i].source
		if slices.ContainsFunc(e.Rules, func(ids syntax.IDRange) bool { return ids.Has(r.ID) }) || slices.ContainsFunc(e.Tags, r.HasTag) {
			compiled.rules = append(compiled.rules, int32(i))
		}
	}
	if len(compiled.rules) == 0 {
		return nil, errors.New("is about no rule that is loaded")
	}
	return compiled, nil
}

// Exclude applies the exclusion with that number in SiteConfig.Exclusions. It is meant to be called before the first phase.
func (t *Transaction) Exclude(number int) { t.runControl(&t.site.exclusions[number]) }

// CheckExclusion tells what is wrong with an exclusion, without making a site of it.
func (p *Program) CheckExclusion(e Exclusion) error {
	_, err := p.newExclusion(e)
	return err
}
