package seclang

import (
	"strings"

	"github.com/doorward/doorward/seclang/pattern"
	"github.com/doorward/doorward/seclang/syntax"
	"github.com/doorward/doorward/seclang/transform"
)

// The fast way. What rules look at falls into sources: a variable, or a part of a collection. What they make of it is a
// tree of transformations: rules that begin with the same ones share a way through it, so that each step runs once a
// value. A source at a node of the tree is a group. Each text that a group shows is searched once for the words that the
// rules' expressions need; a rule whose words are not there has nothing to find.

// node is one transformation after those above it. Node 0 is the value as it is.
type node struct {
	parent  int32
	step    step
	own     transform.Kinds // what a text must have for the step to change it
	changes transform.Kinds // the same for any step from the value on
	folds   bool            // t:lowercase: of ASCII text it changes no words, since those are searched for without regard to case
}

// source is a variable, or a part of a collection, that some link looks at.
type source struct {
	target
	side side
}

// side is what a text is part of: requests and answers have different words that are rare.
type side int

const (
	requestSide side = iota
	responseSide
	sides
)

func sideOf(v syntax.Variable) side {
	if strings.HasPrefix(v.String(), "RESPONSE_") {
		return responseSide
	}
	return requestSide
}

// group is a source at a node.
type group struct{ source, node int32 }

// plan is what the fast way knows of a program.
type plan struct {
	nodes   []node
	sources []source
	groups  []group
	words   [sides]*pattern.Finder // nil when no rule of that side needs words
}

// planner makes the plan.
type planner struct {
	plan    *plan
	nodes   map[nodeKey]int32
	sources map[string]int32
	groups  map[group]int32
	sets    [sides][][]string
	needs   [sides]map[string][]int32 // of an operator
}

type nodeKey struct {
	parent int32
	name   string
}

// stable says whether a variable keeps its values while a phase runs. The others are looked at the plain way.
func stable(v syntax.Variable) bool {
	switch v {
	case syntax.TX, syntax.MatchedVar, syntax.MatchedVarName, syntax.MatchedVars, syntax.MatchedVarsNames, syntax.RuleFields,
		syntax.Env, syntax.Duration, syntax.HighestSeverity, syntax.ReqbodyProcessor:
		return false
	}
	return true
}

// plan prepares the fast way for all rules.
func (c *compiler) plan() error {
	p := &planner{plan: &plan{nodes: []node{{parent: -1}}}, nodes: map[nodeKey]int32{}, sources: map[string]int32{},
		groups: map[group]int32{}}
	for s := range p.needs {
		p.needs[s] = map[string][]int32{}
	}
	for i := range c.program.rules {
		for j := range c.program.rules[i].links {
			p.link(&c.program.rules[i].links[j])
			c.namesKnown(&c.program.rules[i].links[j])
		}
	}
	for s, sets := range p.sets {
		if len(sets) == 0 {
			continue
		}
		f, err := pattern.NewFinder(sets, textsOf(side(s)))
		if err != nil {
			return err
		}
		p.plan.words[s] = f
	}
	c.program.plan = p.plan
	return nil
}

func (p *planner) link(l *link) {
	if l.always {
		return
	}
	at := int32(0)
	l.path = []int32{0}
	for i, s := range l.steps {
		at = p.node(at, l.source.Transformations[i], s)
		l.path = append(l.path, at)
	}
	l.spread = spreadable(l)
	for i := range l.targets {
		g := &l.targets[i]
		g.group = -1
		if g.Count || !stable(g.Variable) {
			continue
		}
		g.group = p.group(group{source: p.source(g), node: at})
		if !l.spread {
			g.needs = p.needsOf(l, sideOf(g.Variable))
		}
	}
}

// spreadable says whether a link looks for one text in values without their white space. Such a value is nearly as long as the
// one that came, and would be made and searched for this text alone: spreads asks the value as it came.
func spreadable(l *link) bool {
	what, removes := l.operator.contains, false
	for _, name := range l.source.Transformations {
		if name != "removewhitespace" && name != "lowercase" {
			return false
		}
		removes = removes || name == "removewhitespace"
	}
	return removes && what != "" && !l.source.Operator.Negated && !l.source.MultiMatch && ascii(what) && what == strings.ToLower(what) &&
		!strings.ContainsAny(what, " \t\n\v\f\r") && (what[0] < 'a' || 'z' < what[0])
}

// namesKnown asks the patterns of TX variables about all names that are known.
func (c *compiler) namesKnown(l *link) {
	for i := range l.targets {
		g := &l.targets[i]
		if g.Variable != syntax.TX || g.Pattern == nil {
			continue
		}
		g.must = mustContain(g.Pattern.String())
		g.known = make([]bool, len(c.program.names))
		for name, slot := range c.program.names {
			g.known[slot] = g.Pattern.MatchString(name)
		}
	}
}

// mustContain is a text that stands in each ASCII text in lower case that an expression matches; "" when none is known.
func mustContain(expr string) string {
	r, err := pattern.Compile(expr)
	if err != nil {
		return ""
	}
	best := ""
	for _, set := range r.Needs() {
		if len(set) == 1 && len(set[0]) > len(best) && ascii(set[0]) {
			best = set[0]
		}
	}
	return best
}

func (p *planner) node(parent int32, name string, s step) int32 {
	key := nodeKey{parent, name}
	n, ok := p.nodes[key]
	if !ok {
		n = int32(len(p.plan.nodes))
		p.nodes[key] = n
		own := transform.Changes(name)
		p.plan.nodes = append(p.plan.nodes, node{parent: parent, step: s, folds: name == "lowercase",
			own: own, changes: p.plan.nodes[parent].changes | own})
	}
	return n
}

func (p *planner) source(g *target) int32 {
	key := strings.ToLower(g.Target.String())
	n, ok := p.sources[key]
	if !ok {
		n = int32(len(p.plan.sources))
		p.sources[key] = n
		p.plan.sources = append(p.plan.sources, source{target: *g, side: sideOf(g.Variable)})
	}
	return n
}

func (p *planner) group(g group) int32 {
	n, ok := p.groups[g]
	if !ok {
		n = int32(len(p.plan.groups))
		p.groups[g] = n
		p.plan.groups = append(p.plan.groups, g)
	}
	return n
}

// needsOf are the numbers of the sets of words of which a text must have one each for the operator to find something (a
// negated one matches where it finds nothing). None means that nothing is known and the operator is asked each time.
func (p *planner) needsOf(l *link, s side) []int32 {
	o := l.source.Operator
	o.Negated = false
	key := o.String()
	if n, ok := p.needs[s][key]; ok && o.Name != "pmfromfile" && o.Name != "pmf" {
		return n
	}
	var numbers []int32
	for _, set := range l.operator.words(s) {
		numbers = append(numbers, int32(len(p.sets[s])))
		p.sets[s] = append(p.sets[s], set)
	}
	p.needs[s][key] = numbers
	return numbers
}

// words are sets of which a text must contain a member each, in lower case; none when nothing is known.
func (o *operator) words(s side) [][]string {
	switch {
	case o.expression != nil:
		return o.expression.fast.NeedsIn(textsOf(s))
	case o.phrases != nil:
		return o.phrases.fast.Needs()
	case o.contains != "":
		return pattern.LiteralNeeds([]string{o.contains}, textsOf(s))
	}
	return nil
}

// textsOf is the kind of texts of a side.
func textsOf(s side) pattern.Texts {
	if s == responseSide {
		return pattern.Responses
	}
	return pattern.Requests
}
