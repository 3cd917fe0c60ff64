package syntax

import (
	"fmt"
	"strings"
)

func (p *parser) secRule(d directive) {
	r := newRule(d)
	if len(d.args) < 2 || len(d.args) > 3 {
		p.errorf(d.at, "SecRule takes variables, an operator and actions; it has %d words", len(d.args))
		return
	}
	var err error
	if r.Targets, err = targets(d.args[0], "|"); err != nil {
		p.errorf(d.at, "%v", err)
	} else if onlyExclusions(r.Targets) {
		p.errorf(d.at, "the rule looks at nothing: all its variables are excluded")
	}
	if r.Operator, err = operator(d.args[1]); err != nil {
		p.errorf(d.at, "%v", err)
	}
	actions := ""
	if len(d.args) == 3 {
		actions = d.args[2]
	}
	p.add(r, actions)
}

func (p *parser) secAction(d directive) {
	r := newRule(d)
	r.Always = true
	if len(d.args) != 1 {
		p.errorf(d.at, "SecAction takes one list of actions; it has %d words", len(d.args))
		return
	}
	p.add(r, d.args[0])
}

func onlyExclusions(all []Target) bool {
	for _, t := range all {
		if !t.Exclude {
			return false
		}
	}
	return true
}

// operator reads `@rx …`, `!@streq …`; text without an @ is an expression.
func operator(text string) (Operator, error) {
	o := Operator{Name: "rx"}
	text = strings.TrimLeft(text, " \t")
	if strings.HasPrefix(text, "!@") {
		o.Negated = true
		text = text[1:]
	}
	value := text
	if strings.HasPrefix(text, "@") {
		name, rest, _ := strings.Cut(text[1:], " ")
		o.Name, value = strings.ToLower(name), strings.TrimLeft(rest, " ")
	} else if strings.HasPrefix(text, "!") {
		o.Negated, value = true, text[1:]
	}
	wants, known := operators[o.Name]
	switch {
	case !known && oneOf(o.Name, unsupportedOperators...):
		return o, fmt.Errorf("operator @%s is not supported here; write the rule without it", o.Name)
	case !known:
		return o, fmt.Errorf("there is no operator @%.40s", o.Name)
	case wants == needsArgument && value == "":
		return o, fmt.Errorf("operator @%s needs an argument", o.Name)
	case wants == noArgument && strings.TrimSpace(value) != "":
		return o, fmt.Errorf("operator @%s takes no argument; it has %s", o.Name, quoteCut(value))
	case wants == noArgument:
		return o, nil
	}
	var err error
	if o.Argument, err = argumentOf(o.Name, value); err != nil {
		return o, fmt.Errorf("operator @%s: %w", o.Name, err)
	}
	return o, nil
}

// argumentOf reads an argument, in which the comparisons fill in macros. Expressions, phrases and lists are plain text:
// "%{" may stand in an expression, and a list that changes with each request could not be prepared.
func argumentOf(name, value string) (Macro, error) {
	switch name {
	case "rx", "pm", "pmfromfile", "pmf", "ipmatch", "ipmatchfromfile", "ipmatchf", "validatebyterange":
		return Macro{{Text: value}}, nil
	}
	return macro(strings.TrimSpace(value))
}

// add gives the rule its actions and puts it where it belongs: behind the others, or into the chain that is open.
func (p *parser) add(r *Rule, actions string) {
	hasID := false
	var named []string
	if strings.TrimSpace(actions) != "" {
		all, err := splitActions(actions)
		if err != nil {
			p.errorf(r.Place, "%v", err)
		}
		for _, a := range all {
			if err := r.apply(a); err != nil {
				p.errorf(r.Place, "%v", err)
			}
			hasID = hasID || a.name == "id"
			named = append(named, a.name)
		}
	}
	if p.open != nil {
		p.link(r, named)
		return
	}
	if !hasID {
		p.errorf(r.Place, "the rule has no id; give it a number of its own: id:100001")
	}
	if before, taken := p.ids[r.ID]; taken && r.ID != 0 {
		p.errorf(r.Place, "id %d is taken by the rule at %s", r.ID, before)
	}
	p.ids[r.ID] = r.Place
	if len(p.rules.Items) == maxRules {
		p.errorf(r.Place, "more than %d rules", maxRules)
		return
	}
	p.inherit(r)
	p.rules.Items = append(p.rules.Items, r)
	if r.chained {
		p.open = r
	}
}

// link adds a rule to the open chain.
func (p *parser) link(r *Rule, named []string) {
	start := p.open
	for _, name := range named {
		if oneOf(name, "id", "phase", "skip", "skipafter", "status", "pass", "block", "deny", "drop", "redirect", "allow",
			"log", "nolog", "auditlog", "noauditlog") {
			p.errorf(r.Place, "action %s stands in a link of the chain that begins at %s; write it into that rule", name, start.Place)
		}
	}
	r.Phase = start.Phase
	if start.Chain = append(start.Chain, r); len(start.Chain) > maxTransformations {
		p.errorf(r.Place, "the chain that begins at %s has more than %d links", start.Place, maxTransformations)
		p.open = nil
		return
	}
	if !r.chained {
		p.open = nil
	}
}

// inherit fills in what SecDefaultAction says for the rule's phase; without one, rules are logged and pass.
func (p *parser) inherit(r *Rule) {
	d := p.defaults[r.Phase]
	if d == nil {
		d = &Rule{Disruption: Pass, Log: On, AuditLog: On}
	}
	if r.Disruption == Inherit {
		r.Disruption, r.Scope, r.Location, r.Blocks = d.Disruption, d.Scope, d.Location, true
	}
	if r.Status == 0 {
		r.Status = d.Status
	}
	if r.Log == Unset {
		r.Log = d.Log
	}
	if r.AuditLog == Unset {
		r.AuditLog = d.AuditLog
	}
}
