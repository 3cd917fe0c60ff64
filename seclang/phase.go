package seclang

import (
	"slices"
	"strconv"

	"github.com/doorward/doorward/seclang/syntax"
)

// runPhase runs the rules of one phase. Each phase runs once, none runs after an interruption but the logging, and none
// after a later one.
func (t *Transaction) runPhase(phase syntax.Phase) *Interruption {
	if t.mode == syntax.EngineOff || t.phase >= phase {
		return t.interruption
	}
	logging := phase == syntax.PhaseLogging
	if t.interruption != nil && !logging {
		return t.interruption
	}
	t.phase = phase
	if t.passes(phase) {
		return t.interruption
	}
	t.cache.age++
	list := t.site.phases[phase]
	before := t.interruption
	for i := 0; i < len(list); {
		r, next := &t.program.rules[list[i].rule], list[i].next
		i++
		if t.removed[r.index] {
			continue
		}
		if !t.evaluate(r) {
			continue
		}
		if r.jumps {
			i = int(next)
		}
		if t.interruption != before && !logging || t.mode == syntax.EngineOff || t.passes(phase) {
			break
		}
	}
	if t.allow && t.allowed == syntax.AllowPhase {
		t.allow = false
	}
	t.current, t.currentLink = nil, nil
	return t.interruption
}

// passes says whether an "allow" lets this phase pass.
func (t *Transaction) passes(phase syntax.Phase) bool {
	if !t.allow || phase == syntax.PhaseLogging {
		return false
	}
	return t.allowed != syntax.AllowRequest || phase <= syntax.PhaseRequestBody
}

// evaluate runs one rule with its chain. The effects of a link run at each value that matches, before the next link is
// asked, as in ModSecurity; the rest only when all links match.
func (t *Transaction) evaluate(r *rule) bool {
	t.matchedVars = t.matchedVars[:0]
	t.current = r
	m := matching{from: len(t.found)}
	for i := range r.links {
		l := &r.links[i]
		t.currentLink = l
		before := m.values
		t.match(r, l, i, &m)
		if m.values == before {
			t.found = t.found[:m.from]
			return false
		}
	}
	first := &r.links[0]
	t.currentLink = first
	if len(r.links) > 1 || first.always {
		// The message of a chain tells of what its last link found.
		if !first.message.empty() {
			m.message = t.expand(&first.message)
		}
		if !first.logData.empty() {
			m.logData = t.expand(&first.logData)
		}
	}
	if s := r.source.Severity; s >= 0 && s < t.severity {
		t.severity = s
	}
	t.disrupt(r.source, &first.location)
	t.matched(r, &m)
	return true
}

// matching is what was found so far by a rule and its chain.
type matching struct {
	message, logData string
	from             int // where what was found begins in the transaction's
	values           int
}

// match asks one link about all its values.
func (t *Transaction) match(r *rule, l *link, number int, m *matching) {
	if l.always {
		t.hit(r, l, number, m, item{}, "")
		return
	}
	for i := range l.targets {
		g := &l.targets[i]
		if !t.site.plain && g.group >= 0 {
			t.matchFast(r, l, g, number, m)
			continue
		}
		if !t.site.plain && t.matchSlot(r, l, g, number, m) {
			continue
		}
		items := t.plainItems(r, l, g)
		for k := range items {
			t.ask(r, l, number, m, items[k])
		}
		t.items = items[:0]
	}
}

// plainItems are the values of one target; of a count, the number.
func (t *Transaction) plainItems(r *rule, l *link, g *target) []item {
	items := t.collect(t.items[:0], g)
	if len(l.exclude) > 0 || len(t.removedTargets) > 0 {
		kept := items[:0]
		for _, one := range items {
			if !t.excluded(r, l, &one, len(t.removedTargets)) {
				kept = append(kept, one)
			}
		}
		items = kept
	}
	if g.Count {
		n := 0
		for k := range items {
			if items[k].view == "" {
				n++
			}
		}
		items = append(items[:0], item{variable: g.Variable, key: g.Key, low: g.low, value: strconv.Itoa(n)})
	}
	return items
}

// excluded says whether the rule leaves this value out, or one of the transaction's first n exclusions.
func (t *Transaction) excluded(r *rule, l *link, one *item, n int) bool {
	for i := range l.exclude {
		if l.exclude[i].covers(one) {
			return true
		}
	}
	for _, e := range t.removedTargets[:n] {
		if e.target.covers(one) && slices.Contains(e.rules, r.index) {
			return true
		}
	}
	return false
}

// covers says whether an exclusion is about this value.
func (g *target) covers(one *item) bool {
	switch {
	case g.Variable != one.variable:
		return false
	case g.Pattern != nil:
		return g.Pattern.MatchString(one.low)
	}
	return g.low == "" || g.low == one.low
}

// ask transforms one value as the link says and asks its operator.
func (t *Transaction) ask(r *rule, l *link, number int, m *matching, one item) {
	value := one.value
	if l.source.MultiMatch {
		t.askOnce(r, l, number, m, one, value)
		for i := range l.steps {
			t.looked += len(value)
			if next := l.steps[i](value); next != value {
				value = next
				t.askOnce(r, l, number, m, one, value)
			}
		}
		return
	}
	for i := range l.steps {
		t.looked += len(value)
		value = l.steps[i](value)
	}
	t.askOnce(r, l, number, m, one, value)
}

func (t *Transaction) askOnce(r *rule, l *link, number int, m *matching, one item, value string) {
	t.looked += len(value)
	if l.operator.plain(t, value, l.source.Capture) != l.source.Operator.Negated {
		t.hit(r, l, number, m, one, value)
	}
}

// hit is one value that matched: it becomes MATCHED_VAR, and the link's effects run.
func (t *Transaction) hit(r *rule, l *link, number int, m *matching, one item, value string) {
	if len(l.narrowed) > 0 && t.spares(l, &one) {
		return
	}
	f := Found{Variable: one.variable, Key: one.key, Value: value, Raw: one.value, View: one.view, Link: number}
	t.last, t.hasLast = f, true
	if len(t.matchedVars) < maxMatchedVars {
		t.matchedVars = append(t.matchedVars, f)
	}
	t.run(l)
	if m.values++; len(t.found)-m.from < maxFound {
		t.found = append(t.found, f)
	}
	if number > 0 || len(r.links) == 1 {
		if m.message == "" && !l.message.empty() {
			t.quoting = true
			m.message, m.logData = t.expand(&l.message), t.expand(&l.logData)
			t.quoting = false
		}
	}
}

// maxMatchedVars is how many values MATCHED_VARS holds.
const maxMatchedVars = 4096
