package seclang

import (
	"github.com/doorward/doorward/seclang/syntax"
)

// collected are the values of a source in this phase.
func (t *Transaction) collected(number int32) []cellItem {
	c := &t.cache
	s := &c.sources[number]
	if s.age == c.age {
		return s.items
	}
	s.age = c.age
	s.items = s.items[:0]
	g := &t.program.plan.sources[number].target
	if !g.Variable.Keyed() {
		text := t.singleValue(g.Variable)
		n := c.single[g.Variable]
		if n == 0 || c.cells[n].text != text {
			n = t.cellOf(text)
			c.single[g.Variable] = n
		}
		s.items = append(s.items, cellItem{item: item{variable: g.Variable, value: text}, cell: n})
		return s.items
	}
	view, _ := viewOf(g.Variable)
	for _, list := range view.lists {
		if list < 0 {
			continue
		}
		pairs := t.lists[list]
		for i := range pairs {
			if p := &pairs[i]; g.shows(p) && (!view.names || p.view == "" || p.view == viewSemicolon) {
				s.items = append(s.items, t.show(g.Variable, p, view.names))
			}
		}
	}
	return s.items
}

// shows says whether a target is about a pair.
func (g *target) shows(p *pair) bool {
	if g.Pattern != nil {
		return g.Pattern.MatchString(p.low)
	}
	return g.low == "" || g.low == p.low
}

func (t *Transaction) show(v syntax.Variable, p *pair, names bool) cellItem {
	text, n := p.value, &p.valueCell
	if names {
		text, n = p.key, &p.keyCell
	}
	if *n == 0 {
		*n = t.cellOf(text)
	}
	return cellItem{item: item{variable: v, key: p.key, low: p.low, value: text, view: p.view}, cell: *n}
}

// groupBits are the words of all values of a group.
func (t *Transaction) groupBits(number int32) int32 {
	c := &t.cache
	if c.groups[number].age == c.age {
		return c.groups[number].bits
	}
	g := t.program.plan.groups[number]
	s := t.program.plan.sources[g.source].side
	items := t.collected(g.source)
	bits := int32(0)
	switch len(items) {
	case 0:
	case 1:
		bits = t.bitsAt(items[0].cell, g.node, s)
	default:
		words := t.program.plan.words[s].Words()
		start := len(c.bits)
		for range words {
			c.bits = append(c.bits, 0)
		}
		for i := range items {
			one := t.bitsAt(items[i].cell, g.node, s) - 1
			for w := range words {
				c.bits[start+w] |= c.bits[int(one)+w]
			}
		}
		bits = int32(start + 1)
	}
	c.groups[number] = groupBits{age: c.age, bits: bits}
	return bits
}

// matchFast asks a link about one of its targets, the fast way.
func (t *Transaction) matchFast(r *rule, l *link, g *target, number int, m *matching) {
	negated := l.source.Operator.Negated
	if len(g.needs) > 0 && !negated && !l.source.MultiMatch && !t.has(t.groupBits(g.group), g.needs) {
		return
	}
	gr := t.program.plan.groups[g.group]
	s := t.program.plan.sources[gr.source].side
	exclusions := len(t.removedTargets)
	items := t.collected(gr.source)
	for i := range items {
		one := &items[i]
		if len(l.exclude)+exclusions > 0 && t.excluded(r, l, &one.item, exclusions) {
			continue
		}
		if !l.source.MultiMatch || t.unchanged(one.cell, gr.node) {
			t.askFast(r, l, g, number, m, one, gr.node, s)
			continue
		}
		for k, n := range l.path {
			if k == 0 || t.valueAt(one.cell, n) != t.valueAt(one.cell, l.path[k-1]) {
				t.askFast(r, l, g, number, m, one, n, s)
			}
		}
	}
}

func (t *Transaction) askFast(r *rule, l *link, g *target, number int, m *matching, one *cellItem, n int32, s side) {
	negated := l.source.Operator.Negated
	lacks := len(g.needs) > 0 && !t.has(t.bitsAt(one.cell, n, s), g.needs)
	if lacks && !negated {
		return
	}
	if l.spread && !spreads(one.value, l.operator.contains) {
		return
	}
	value := t.valueAt(one.cell, n)
	t.looked += len(value)
	if lacks || l.operator.quick(t, value, l.source.Capture) != negated {
		t.hit(r, l, number, m, one.item, value)
	}
}

// matchSlot asks a link about one TX variable by its name, which many rules of a rule set do: is the paranoia level high
// enough, is there a score? It says false when it is not about one.
func (t *Transaction) matchSlot(r *rule, l *link, g *target, number int, m *matching) bool {
	if g.slot < 0 || len(l.steps) > 0 || len(l.exclude) > 0 || len(t.removedTargets) > 0 {
		return false
	}
	if g.slot < int32(len(captureNames)) {
		t.settle()
	}
	v := t.tx.slots[g.slot] // a copy: the operator may write to the variable by capturing
	one := item{variable: syntax.TX, key: v.key, value: v.value}
	switch {
	case g.Count && v.set:
		one.key, one.value = g.Key, "1"
	case g.Count:
		one.key, one.value = g.Key, "0"
	case !v.set:
		return true
	}
	if l.operator.quick(t, one.value, l.source.Capture) != l.source.Operator.Negated {
		t.hit(r, l, number, m, one, one.value)
	}
	return true
}
