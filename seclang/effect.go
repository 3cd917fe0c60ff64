package seclang

import (
	"slices"
	"strings"

	"github.com/doorward/doorward/seclang/syntax"
)

// effect is what a match does to the transaction besides disrupting it.
type effect struct {
	kind    syntax.EffectKind
	key     macro
	slot    int32 // of the TX variable when its name is plain; -1
	value   macro
	control syntax.Control
	target  target  // of a ctl that removes one
	rules   []int32 // those that a ctl is about
}

func (c *compiler) effect(e syntax.Effect) effect {
	compiled := effect{kind: e.Kind, key: c.macro(e.Key), value: c.macro(e.Value), control: e.Control, slot: -1,
		target: target{Target: e.Control.Target, low: strings.ToLower(e.Control.Target.Key), slot: -1}}
	if plain, ok := e.Key.Plain(); ok && (e.Kind == syntax.SetVariable || e.Kind == syntax.DeleteVariable) {
		compiled.slot = c.slot(plain)
	}
	return compiled
}

// removals finds the rules that each ctl is about, now that all are known.
func (c *compiler) removals() {
	for i := range c.program.rules {
		for j := range c.program.rules[i].links {
			effects := c.program.rules[i].links[j].effects
			for k := range effects {
				if effects[k].kind == syntax.ControlEngine {
					effects[k].rules = c.about(effects[k].control)
				}
			}
		}
	}
}

func (c *compiler) about(control syntax.Control) []int32 {
	var is func(r *syntax.Rule) bool
	switch control.Name {
	case syntax.RuleRemoveByID, syntax.RuleRemoveTargetByID:
		is = func(r *syntax.Rule) bool { return control.IDs.Has(r.ID) }
	case syntax.RuleRemoveByTag, syntax.RuleRemoveTargetByTag:
		is = func(r *syntax.Rule) bool { return r.HasTag(control.Value) }
	case syntax.RuleRemoveByMsg, syntax.RuleRemoveTargetByMsg:
		is = func(r *syntax.Rule) bool { return r.Message.String() == control.Value }
	default:
		return nil
	}
	var all []int32
	for i := range c.program.rules {
		if is(c.program.rules[i].source) {
			all = append(all, int32(i))
		}
	}
	return all
}

// run does what the effects of a link say.
func (t *Transaction) run(l *link) {
	for i := range l.effects {
		e := &l.effects[i]
		switch e.kind {
		case syntax.SetVariable, syntax.DeleteVariable:
			t.runVariable(e)
		case syntax.SetEnvironment:
			t.setEnvironment(t.expand(&e.key), t.expand(&e.value))
		case syntax.ControlEngine:
			t.runControl(e)
		}
	}
}

func (t *Transaction) runVariable(e *effect) {
	slot, key := e.slot, e.key.plain
	if slot < 0 {
		key = t.expand(&e.key)
		slot = t.slotNamed(key, e.kind == syntax.SetVariable)
	}
	if slot < int32(len(captureNames)) {
		t.settle()
	}
	switch {
	case slot < 0:
	case e.kind == syntax.DeleteVariable:
		t.tx.remove(slot)
	default:
		t.assign(slot, key, t.expand(&e.value))
	}
}

func (t *Transaction) runControl(e *effect) {
	c := &e.control
	switch c.Name {
	case syntax.RuleEngine:
		t.mode = c.Engine
	case syntax.ForceRequestBodyVariable:
		t.forceBody = c.On
	case syntax.RequestBodyAccess:
		if t.phase <= syntax.PhaseRequestHeaders {
			t.requestBody.access = c.On
		}
	case syntax.RequestBodyLimit:
		if t.phase <= syntax.PhaseRequestHeaders {
			t.requestBody.limit = int(c.Number)
		}
	case syntax.RequestBodyProcessor:
		if t.phase <= syntax.PhaseRequestHeaders {
			t.single[syntax.ReqbodyProcessor] = c.Value
		}
	case syntax.ResponseBodyAccess:
		if t.phase <= syntax.PhaseResponseHeaders {
			t.responseBody.access = c.On
		}
	case syntax.ResponseBodyLimit:
		if t.phase <= syntax.PhaseResponseHeaders {
			t.responseBody.limit = int(c.Number)
		}
	case syntax.RuleRemoveByID, syntax.RuleRemoveByMsg, syntax.RuleRemoveByTag:
		for _, r := range e.rules {
			t.removed[r] = true
		}
		t.anyRemoved = true
	case syntax.RuleRemoveTargetByID, syntax.RuleRemoveTargetByMsg, syntax.RuleRemoveTargetByTag:
		if !slices.Contains(t.removedTargets, e) { // a rule that matches many values says it once a value
			t.removedTargets = append(t.removedTargets, e)
		}
	}
}
