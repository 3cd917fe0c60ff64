package syntax

import (
	"strings"
)

// chosen is which rules a SecRuleRemove… or SecRuleUpdate… is about: by id, tag or message. It acts on the rules that were
// read before it, as in ModSecurity.
func (p *parser) chosen(d directive, what string) []*Rule {
	var is func(r *Rule) bool
	name := strings.ToLower(d.name)
	switch {
	case strings.HasSuffix(name, "byid"):
		var ranges []IDRange
		for _, word := range strings.FieldsFunc(what, func(c rune) bool { return c == ' ' || c == ',' }) {
			r, err := idRange(word)
			if err != nil {
				p.errorf(d.at, "%s: %v", d.name, err)
				return nil
			}
			ranges = append(ranges, r)
		}
		is = func(r *Rule) bool {
			for _, rg := range ranges {
				if rg.Has(r.ID) {
					return true
				}
			}
			return false
		}
	case strings.HasSuffix(name, "bytag"):
		is = func(r *Rule) bool { return r.HasTag(what) }
	default:
		is = func(r *Rule) bool { return r.Message.String() == what }
	}
	var all []*Rule
	for _, r := range p.rules.Items {
		if r.Marker == "" && is(r) {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		p.note(d.at, "%s %s has no effect: no rule before this line is meant", d.name, quoteCut(what))
	}
	return all
}

func (p *parser) remove(d directive) {
	if len(d.args) == 0 {
		p.errorf(d.at, "%s names no rule", d.name)
		return
	}
	gone := map[*Rule]bool{}
	what := d.args
	if strings.EqualFold(d.name, "SecRuleRemoveById") {
		what = []string{strings.Join(d.args, " ")}
	}
	for _, w := range what {
		for _, r := range p.chosen(d, w) {
			gone[r] = true
		}
	}
	kept := p.rules.Items[:0]
	for _, r := range p.rules.Items {
		if !gone[r] {
			kept = append(kept, r)
		}
	}
	p.rules.Items = kept
}

func (p *parser) updateTargets(d directive) {
	if len(d.args) != 2 {
		p.errorf(d.at, "%s takes rules and variables; it has %d words (replacing a variable is not supported: exclude one and add one)",
			d.name, len(d.args))
		return
	}
	added, err := targets(d.args[1], "|,")
	if err != nil {
		p.errorf(d.at, "%s: %v", d.name, err)
		return
	}
	for _, r := range p.chosen(d, d.args[0]) {
		if r.Always {
			p.errorf(d.at, "%s: rule %d is a SecAction, which looks at nothing", d.name, r.ID)
			continue
		}
		if r.Targets = append(r.Targets[:len(r.Targets):len(r.Targets)], added...); len(r.Targets) > maxTargets {
			p.errorf(d.at, "%s: rule %d has more than %d variables now", d.name, r.ID, maxTargets)
		}
	}
}

func (p *parser) updateActions(d directive) {
	if len(d.args) != 2 {
		p.errorf(d.at, "%s takes a rule and a list of actions; it has %d words", d.name, len(d.args))
		return
	}
	all, err := splitActions(d.args[1])
	if err != nil {
		p.errorf(d.at, "%s: %v", d.name, err)
		return
	}
	for _, r := range p.chosen(d, d.args[0]) {
		for _, a := range all {
			switch a.name {
			case "id", "phase", "chain":
				p.errorf(d.at, "%s: action %s of a rule cannot be changed", d.name, a.name)
				continue
			case "tag", "setvar", "setenv", "ctl", "t": // these are added
			}
			if err := r.apply(a); err != nil {
				p.errorf(d.at, "%s: %v", d.name, err)
			}
		}
		p.inherit(r)
	}
}
