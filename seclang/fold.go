package seclang

import (
	"strings"

	"github.com/doorward/doorward/seclang/syntax"
)

// entry is a rule in its phase.
type entry struct {
	rule int32
	next int32 // where the phase goes on after a match of a rule that jumps
}

// phasesOf are the rules that a site runs in each phase: all of them for a plain site, and otherwise those whose first link does not
// say once and for all that they find nothing. At paranoia level 1 a rule that asks for level 2 never matches, unless some rule can
// change the level while requests are judged.
func (p *Program) phasesOf(s *Site) (phases [6][]entry) {
	var never []bool
	if !s.plain {
		never = p.never(s)
	}
	for phase, list := range p.phases {
		kept := make([]int32, len(list)+1) // how many stand before
		for i, r := range list {
			kept[i+1] = kept[i]
			if never == nil || !never[r] {
				kept[i+1]++
			}
		}
		for i, r := range list {
			if kept[i+1] > kept[i] {
				next := min(int(p.rules[r].next), len(list))
				phases[phase] = append(phases[phase], entry{rule: r, next: kept[next]})
			}
		}
	}
	return phases
}

// never finds the rules that match nothing with the site's variables. All of these are taken for constant at first; those that a rule
// can change which may match are none, and what was decided by them is decided anew.
func (p *Program) never(s *Site) []bool {
	constants := map[int32]string{}
	for _, v := range s.variables {
		constants[v.slot] = v.value
	}
	counted := p.uncertain(s)
	never := make([]bool, len(p.rules))
	for again := true; again; {
		again = false
		for i := range p.rules {
			never[i] = !counted[i] && p.rules[i].links[0].neverWith(constants)
		}
		for i := range p.rules {
			if never[i] {
				continue
			}
			for _, v := range s.variables {
				if _, constant := constants[v.slot]; constant && p.rules[i].writes(v.slot, strings.ToLower(v.key)) {
					delete(constants, v.slot)
					again = true
				}
			}
		}
	}
	return never
}

// uncertain are the rules of which something can take TX variables away: a count of them may be another one then.
func (p *Program) uncertain(s *Site) []bool {
	all := make([]bool, len(p.rules))
	note := func(effects []effect) {
		for i := range effects {
			if e := &effects[i]; e.kind == syntax.ControlEngine && e.target.Variable == syntax.TX {
				for _, r := range e.rules {
					all[r] = true
				}
			}
		}
	}
	note(s.exclusions)
	for i := range p.rules {
		for j := range p.rules[i].links {
			note(p.rules[i].links[j].effects)
		}
	}
	return all
}

// neverWith says whether a link finds nothing as long as variables have these values.
func (l *link) neverWith(constants map[int32]string) bool {
	if l.always || l.operator.compare == nil || len(l.steps) > 0 || len(l.exclude) > 0 {
		return false
	}
	argument := l.operator.argument.plain
	for i := range l.operator.argument.tokens {
		k := &l.operator.argument.tokens[i]
		value, constant := constants[k.slot]
		if k.Variable == syntax.NoVariable {
			value, constant = k.Text, true
		}
		if !constant {
			return false
		}
		argument += value
	}
	for i := range l.targets {
		g := &l.targets[i]
		value, constant := constants[g.slot]
		if g.slot < 0 || !constant {
			return false
		}
		if g.Count {
			value = "1"
		}
		if l.operator.compare(value, argument) != l.source.Operator.Negated {
			return false
		}
	}
	return true
}

// writes says whether a rule may write to a TX variable.
func (r *rule) writes(slot int32, name string) bool {
	for i := range r.links {
		l := &r.links[i]
		if l.source.Capture && int(slot) < len(captureNames) {
			return true
		}
		for k := range l.effects {
			e := &l.effects[k]
			if e.kind != syntax.SetVariable && e.kind != syntax.DeleteVariable {
				continue
			}
			if e.slot == slot || e.slot < 0 && strings.HasPrefix(name, e.key.prefix()) {
				return true
			}
		}
	}
	return false
}

// prefix is what a macro begins with whatever it is filled with, in lower case.
func (m *macro) prefix() string {
	if len(m.tokens) > 0 && m.tokens[0].Variable == syntax.NoVariable {
		return strings.ToLower(m.tokens[0].Text)
	}
	return ""
}
