package sigma

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Caps on a detection.
const (
	maxIdentifiers = 200
	maxFileAtoms   = 200_000 // in all rules of a file
	maxNodes       = 50_000  // atoms in the condition of a rule
)

// detection reads the section "detection" of a rule, or "filter" of a filter: search identifiers and a condition over
// them. skip names keys that are read elsewhere.
func (p *parserOf) detection(entries []entry, line int, what string, skip ...string) *node {
	searches := make(map[string]*node)
	var names []string
	var condition *entry
	for i, e := range entries {
		switch {
		case slices.Contains(skip, e.key):
		case e.key == "condition":
			condition = &entries[i]
		case e.key == "timeframe":
			p.at(e.line, "timeframe belongs to the old way of counting; write a correlation instead")
		case len(names) == maxIdentifiers:
			p.at(e.line, "%s has more than %d search identifiers", what, maxIdentifiers)
			return nil
		default:
			if message := identifierProblem(e.key); message != "" {
				p.at(e.line, "%s", message)
			}
			names = append(names, e.key)
			searches[e.key] = p.search(e)
		}
	}
	if len(names) == 0 {
		p.at(line, "%s has no search identifier", what)
		return nil
	}
	if condition == nil {
		p.at(line, "%s has no condition", what)
		return nil
	}
	var all []*node
	for _, text := range p.texts(*condition, true) {
		n, err := parseCondition(text, names)
		if err != nil {
			p.at(condition.line, "condition: %v", err)
			continue
		}
		all = append(all, resolve(n, searches))
	}
	if len(all) == 0 {
		if len(p.list) == 0 {
			p.at(condition.line, "the condition is empty")
		}
		return nil
	}
	n := join(opOr, all)
	if n.size(maxNodes) > maxNodes {
		p.at(condition.line, "the condition asks more than %d questions; split the rule", maxNodes)
	}
	return n
}

// size is how many atoms a condition asks, each as often as it is named, counted up to most.
func (n *node) size(most int) int {
	if n == nil {
		return 0
	}
	if n.op == opAtom {
		return 1
	}
	total := 0
	for _, kid := range n.kids {
		if total += kid.size(most - total); total > most {
			break
		}
	}
	return total
}

// resolve puts the searches in place of their names.
func resolve(n *node, searches map[string]*node) *node {
	if n.op == opName {
		return searches[n.name] // nil: it was reported
	}
	kids := make([]*node, 0, len(n.kids))
	for _, kid := range n.kids {
		if r := resolve(kid, searches); r != nil {
			kids = append(kids, r)
		}
	}
	if n.op == opNot && len(kids) == 1 {
		return &node{op: opNot, kids: kids}
	}
	return join(n.op, kids)
}

// join links nodes by o; one alone needs no link.
func join(o op, kids []*node) *node {
	switch len(kids) {
	case 0:
		return nil
	case 1:
		return kids[0]
	}
	return &node{op: o, kids: kids}
}

// search reads one search identifier: a map, a list of maps or keywords, or one keyword.
func (p *parserOf) search(e entry) *node {
	switch v := e.value.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return p.searchMap(v, e.key)
	case *ast.SequenceNode:
		if len(v.Values) == 0 {
			p.at(e.line, "%s is an empty list", e.key)
			return nil
		}
		return p.searchList(v, e)
	}
	return p.item(entry{line: e.line, value: e.value}, e.key)
}

func (p *parserOf) searchMap(n ast.Node, name string) *node {
	entries := p.mapping(n, name)
	if len(entries) == 0 {
		p.at(lineOf(n), "%s is empty", name)
		return nil
	}
	kids := make([]*node, 0, len(entries))
	for _, e := range entries {
		if kid := p.item(e, name); kid != nil {
			kids = append(kids, kid)
		}
	}
	return join(opAnd, kids)
}

// searchList links what it holds by or. Plain values next to each other are keywords.
func (p *parserOf) searchList(seq *ast.SequenceNode, e entry) *node {
	if len(seq.Values) > maxValues {
		p.at(e.line, "%s has more than %d values", e.key, maxValues)
		return nil
	}
	kids := make([]*node, 0, len(seq.Values))
	for _, item := range seq.Values {
		var kid *node
		switch item.(type) {
		case *ast.MappingNode, *ast.MappingValueNode:
			kid = p.searchMap(item, e.key)
		case *ast.SequenceNode:
			p.at(lineOf(item), "%s has a list in a list", e.key)
		default:
			kid = p.item(entry{line: lineOf(item), value: item}, e.key)
		}
		if kid != nil {
			kids = append(kids, kid)
		}
	}
	return join(opOr, kids)
}

// item reads one line of a map, field|modifiers: values. An entry without a key is a keyword. nil is a problem that was
// reported.
func (p *parserOf) item(e entry, name string) *node {
	field, rest, modified := strings.Cut(e.key, "|")
	c := &chain{field: field}
	if field == "" && e.key != "" && !modified {
		p.at(e.line, "%s has an empty key", name)
		return nil
	}
	values := p.values(e, name)
	if len(values) == 0 {
		return nil
	}
	if modified {
		for _, m := range strings.Split(rest, "|") {
			if message := c.apply(m, values, p.options.Placeholders); message != "" {
				p.at(e.line, "%s: %s", e.key, message)
				return nil
			}
		}
	}
	if message := c.check(values); message != "" {
		p.at(e.line, "%s: %s", nameOf(e.key, name), message)
		return nil
	}
	return c.build(p, e, values)
}

func nameOf(key, name string) string {
	if key == "" {
		return name
	}
	return key
}

// values reads what stands behind a field.
func (p *parserOf) values(e entry, name string) []*value {
	seq, isList := e.value.(*ast.SequenceNode)
	nodes := []ast.Node{e.value}
	if isList {
		nodes = seq.Values
	}
	if len(nodes) == 0 {
		p.at(e.line, "%s has an empty list", nameOf(e.key, name))
		return nil
	}
	if len(nodes) > maxValues {
		p.at(e.line, "%s has more than %d values", nameOf(e.key, name), maxValues)
		return nil
	}
	values := make([]*value, 0, len(nodes))
	for _, n := range nodes {
		v := &value{line: lineOf(n)}
		switch s := n.(type) {
		case *ast.NullNode:
			v.kind = nullValue
			if isList {
				p.at(v.line, "null cannot be one of several values; write a search identifier of its own for it")
				return nil
			}
		case *ast.BoolNode:
			v.kind, v.truth, v.written = truthValue, s.Value, strconv.FormatBool(s.Value)
		case *ast.IntegerNode, *ast.FloatNode:
			v.kind = numberValue
			v.written, v.number = numberText(n)
		default:
			text, ok := scalarText(n)
			if !ok {
				p.at(v.line, "%s has %s as a value", nameOf(e.key, name), describe(n))
				return nil
			}
			if len(text) > maxValueBytes {
				p.at(v.line, "%s has a value of more than %d bytes", nameOf(e.key, name), maxValueBytes)
				return nil
			}
			v.written = text
		}
		v.forms = [][]piece{parsePattern(v.written)}
		if v.kind != textValue {
			v.forms = [][]piece{{{text: v.written}}}
		}
		values = append(values, v)
	}
	return values
}

// numberText is a number as events write it, and the number.
func numberText(n ast.Node) (string, float64) {
	written := n.GetToken().Value
	if f, err := strconv.ParseFloat(written, 64); err == nil && !strings.ContainsAny(written, "xX_") {
		return written, f
	}
	switch i := n.(type) {
	case *ast.IntegerNode: // another base, or digits in groups
		switch v := i.Value.(type) {
		case uint64:
			return strconv.FormatUint(v, 10), float64(v)
		case int64:
			return strconv.FormatInt(v, 10), float64(v)
		}
	case *ast.FloatNode:
		return strconv.FormatFloat(i.Value, 'f', -1, 64), i.Value
	}
	return written, math.NaN()
}

// check says what is wrong with the modifiers and values as a whole.
func (c *chain) check(values []*value) string {
	if c.all && len(values) < 2 {
		return "all needs more than one value"
	}
	if c.all && c.neq {
		return "all and neq cannot be joined; negate the search identifier in the condition instead"
	}
	if c.cased && c.kind != isText && c.kind != isOtherField {
		return "cased cannot be joined with " + c.op
	}
	if c.neq && c.kind == isThere {
		return "exists cannot be negated by neq; write the other of true and false"
	}
	for _, v := range values {
		if v.kind == nullValue && (c.field == "" || c.kind != isText || c.cased || c.around != "") {
			return "null needs a field, and no modifier but neq"
		}
		if v.kind == truthValue && c.around != "" {
			return c.around + " needs texts or numbers as values"
		}
	}
	return ""
}

// build makes the condition of a field and its values.
func (c *chain) build(p *parserOf, e entry, values []*value) *node {
	for _, v := range values {
		p.atoms += len(v.forms)
	}
	if p.atoms > maxFileAtoms {
		p.at(e.line, "the file asks more than %d questions up to here; split it", maxFileAtoms)
		return nil
	}
	kids := make([]*node, 0, len(values))
	for _, v := range values {
		kid, err := c.atoms(v)
		if err != nil {
			p.at(v.line, "%s: %v", e.key, err)
			return nil
		}
		kids = append(kids, kid)
	}
	link := opOr
	if c.all {
		link = opAnd
	}
	n := join(link, kids)
	if c.neq {
		n = &node{op: opNot, kids: []*node{n}}
	}
	return n
}

// atoms makes the condition of one value, one atom for each form it has.
func (c *chain) atoms(v *value) (*node, error) {
	a := &atom{kind: c.kind, field: c.field, cased: c.cased, source: v.written, op: c.op}
	one := &node{op: opAtom, atom: a}
	switch {
	case v.kind == nullValue:
		a.kind = isAbsent
		return one, nil
	case c.kind == isRegex:
		re, err := compileRegex(v.written, c.flags)
		a.regex, a.source = re, c.flags+"|"+v.written
		return one, err
	case c.kind == isNetwork:
		network, err := netip.ParsePrefix(v.written)
		a.network = network
		return one, err
	case c.kind == isCompared, c.kind == isTimePart:
		a.number = v.number
		return one, nil
	case c.kind == isThere:
		if !v.truth {
			a.kind = isAbsent
		}
		return one, nil
	case c.kind == isOtherField:
		a.other, a.op = plainText(v.forms[0]), c.around
		return one, nil
	}
	kids := make([]*node, 0, len(v.forms))
	for _, form := range v.forms {
		if c.field == "" {
			form = between(form, c.around != "startswith", c.around != "endswith") // a keyword is looked for anywhere
		}
		pat := compilePattern(form, c.cased)
		kids = append(kids, &node{op: opAtom, atom: &atom{kind: isText, field: c.field, cased: c.cased, pattern: pat, source: patternText(pat)}})
	}
	return join(opOr, kids), nil
}

func plainText(form []piece) string {
	var out strings.Builder
	for _, p := range form {
		out.WriteString(p.text)
	}
	return out.String()
}

// patternText tells patterns of one shape apart.
func patternText(p pattern) string {
	if p.shape != glob {
		return string(p.text)
	}
	var out strings.Builder
	for _, piece := range p.pieces {
		fmt.Fprintf(&out, "%c%q", '0'+piece.wild%10, piece.text)
	}
	return out.String()
}
