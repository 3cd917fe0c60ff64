package sigma

import (
	"slices"
	"strings"
)

// Caps on a set of rules.
const (
	maxRules   = 20_000
	maxNesting = 8 // correlations of correlations
)

// step is a node ready to be evaluated.
type step struct {
	op   op
	kids []*step
	atom int
}

// question is an atom with the slots of its fields.
type question struct {
	atom        *atom
	slot, other int
}

// compiledRule is a rule with its filters.
type compiledRule struct {
	rule  *Rule
	match *node
	root  *step
	needs []literal
	told  bool // its matches are told, and not only counted by correlations
	feeds []feed
}

// feed says which correlation counts a match, and as which of its rules.
type feed struct{ correlation, position int }

// compiler turns a collection into an engine.
type compiler struct {
	*problems
	engine *Engine
	atoms  map[string]int
	steps  map[*node]*step
	needed map[*node][]literal
	byName map[string]int // id or name → rule, or correlation behind all rules
	rules  []*compiledRule
	chains []*correlator
}

// Compile makes an engine of what was read. Names that mean nothing, circles and responses that could never be carried out
// are an *Errors. A zero limit is its default.
func Compile(c Collection, l Limits) (*Engine, error) {
	k := &compiler{problems: &problems{}, engine: &Engine{limits: l.withDefaults()}, atoms: make(map[string]int),
		steps: make(map[*node]*step), needed: make(map[*node][]literal), byName: make(map[string]int)}
	if len(c.Rules)+len(c.Correlations) > maxRules {
		k.in("", 1, "there are more than %d rules", maxRules)
		return nil, k.err()
	}
	for _, r := range c.Rules {
		k.rules = append(k.rules, &compiledRule{rule: r, match: r.match, told: true})
		k.name(&r.Head, len(k.rules)-1)
	}
	ordered := k.order(c.Correlations)
	for _, f := range c.Filters {
		k.narrow(f)
	}
	k.connect(ordered)
	if err := k.err(); err != nil {
		return nil, err
	}
	k.build()
	return k.engine, nil
}

// name notes by what a rule is referred to.
func (k *compiler) name(h *Head, index int) {
	for _, name := range []string{strings.ToLower(h.ID), h.Name} {
		if name == "" {
			continue
		}
		if _, taken := k.byName[name]; taken {
			k.in(h.File, h.Line, "the id or name %s is that of another rule too", name)
		}
		k.byName[name] = index
	}
}

// find is the number of what is referred to.
func (k *compiler) find(reference string) (int, bool) {
	if i, ok := k.byName[reference]; ok {
		return i, true
	}
	i, ok := k.byName[strings.ToLower(reference)]
	return i, ok && strings.Count(reference, "-") == 4
}

// order puts correlations behind those that they are made of, and numbers them.
func (k *compiler) order(list []*Correlation) []*Correlation {
	byName := make(map[string]*Correlation)
	for _, c := range list {
		for _, name := range []string{c.ID, c.Name} {
			if name != "" {
				byName[name] = c
			}
		}
	}
	var ordered []*Correlation
	depth := make(map[*Correlation]int)
	var visit func(c *Correlation, above []*Correlation) int
	visit = func(c *Correlation, above []*Correlation) int {
		if slices.Contains(above, c) {
			k.in(c.File, c.Line, "the correlation %s is made of itself", c.Key())
			return 0
		}
		if d, done := depth[c]; done {
			return d
		}
		if len(above) >= maxNesting {
			k.in(c.File, c.Line, "correlations are nested more than %d deep", maxNesting)
			return 0
		}
		deepest := 0
		for _, reference := range c.Rules {
			if below, ok := byName[reference]; ok {
				deepest = max(deepest, 1+visit(below, append(slices.Clip(above), c)))
			}
		}
		if deepest >= maxNesting {
			k.in(c.File, c.Line, "correlations are nested more than %d deep", maxNesting)
		}
		depth[c] = deepest
		ordered = append(ordered, c)
		return deepest
	}
	for _, c := range list {
		visit(c, nil)
	}
	for i, c := range ordered {
		k.name(&c.Head, len(k.rules)+i)
	}
	return ordered
}

// narrow joins a filter's condition to the rules it is meant for.
func (k *compiler) narrow(f *Filter) {
	apply := func(r *compiledRule) {
		r.match = &node{op: opAnd, kids: []*node{r.match, f.match}}
		if r.match.size(maxNodes) > maxNodes {
			k.in(f.File, f.Line, "with this filter the rule %s asks more than %d questions", r.rule.Key(), maxNodes)
		}
	}
	if f.Any {
		for _, r := range k.rules {
			if f.Logsource.covers(r.rule.Logsource) {
				apply(r)
			}
		}
		return
	}
	for _, reference := range f.Rules {
		i, ok := k.find(reference)
		switch {
		case !ok:
			k.in(f.File, f.Line, "the filter is for %s, but there is no rule of that id or name", reference)
		case i >= len(k.rules):
			k.in(f.File, f.Line, "the filter is for %s, which is a correlation; filters are for rules", reference)
		case !f.Logsource.covers(k.rules[i].rule.Logsource):
			k.in(f.File, f.Line, "the filter is for %s, but that rule has another logsource", reference)
		default:
			apply(k.rules[i])
		}
	}
}

// connect ties correlations to what they are made of.
func (k *compiler) connect(ordered []*Correlation) {
	keys := make(map[string]bool)
	for _, c := range ordered {
		if keys[c.Key()] {
			k.in(c.File, c.Line, "another correlation is called %s too; give each an id", c.Key())
		}
		keys[c.Key()] = true
		k.chains = append(k.chains, newCorrelator(c, k.engine.limits))
	}
	for index, c := range ordered {
		for position, reference := range c.Rules {
			i, ok := k.find(reference)
			if !ok {
				k.in(c.File, c.Line, "there is no rule %s", reference)
				continue
			}
			f := feed{index, position}
			var head *Head
			if i < len(k.rules) {
				r := k.rules[i]
				r.feeds, r.told, head = append(r.feeds, f), r.told && c.Generate, &r.rule.Head
			} else {
				below := k.chains[i-len(k.rules)]
				below.feeds, below.told, head = append(below.feeds, f), below.told && c.Generate, &below.rule.Head
			}
			if head.Respond != nil && !c.Generate {
				k.in(head.File, head.Respond.Line, "respond would never be carried out: the correlation %s takes this rule's matches; "+
					"set generate: true there, or move respond to the correlation", c.Key())
			}
		}
	}
}

// slot is the number of a field.
func (k *compiler) slot(field string) int {
	i, known := k.engine.slots[field]
	if !known {
		i = len(k.engine.slots)
		k.engine.slots[field] = i
	}
	return i
}

// build fills the engine in.
func (k *compiler) build() {
	e := k.engine
	e.slots = make(map[string]int)
	for _, r := range k.rules {
		r.root = k.step(r.match)
		r.needs = k.needs(r.match)
	}
	for _, c := range k.chains {
		for _, reference := range c.rule.Rules {
			var slots []int
			for _, field := range append(slices.Clone(c.rule.GroupBy), c.rule.fields...) {
				if actual := c.rule.Aliases[field][reference]; actual != "" {
					field = actual
				}
				slots = append(slots, k.slot(field))
			}
			i, _ := k.find(reference)
			c.fieldSlots = append(c.fieldSlots, slots)
			c.below = append(c.below, i-len(k.rules))
		}
	}
	e.rules, e.chains = k.rules, k.chains
	e.answers = make([]uint32, len(e.questions))
	e.marked = make([]uint32, len(e.rules))
	e.pending = make([][]int, len(e.chains))
	e.sources = make(map[Logsource]*source)
	e.buildFilters()
	e.view = newView(e.slots)
}

// step makes the steps of a node; what two rules or two parts of a condition share is evaluated once.
func (k *compiler) step(n *node) *step {
	if s, done := k.steps[n]; done {
		return s
	}
	s := &step{op: n.op}
	if n.op == opAtom {
		s.atom = k.question(n.atom)
	}
	for _, kid := range n.kids {
		s.kids = append(s.kids, k.step(kid))
	}
	k.steps[n] = s
	return s
}

func (k *compiler) question(a *atom) int {
	same := a.same()
	if i, known := k.atoms[same]; known {
		return i
	}
	q := question{atom: a, slot: -1, other: -1}
	if a.field != "" {
		q.slot = k.slot(a.field)
	}
	if a.kind == isOtherField {
		q.other = k.slot(a.other)
	}
	i := len(k.engine.questions)
	k.engine.questions = append(k.engine.questions, q)
	k.atoms[same] = i
	return i
}
