package sigma

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Caps on a correlation.
const (
	maxCorrelated = 32      // rules of one correlation
	maxGroupBy    = 8       // fields
	maxThreshold  = 100_000 // events counted
	maxDistinct   = 1000    // values counted: every event looks at all of them
)

// bound is one comparison of a correlation's condition.
type bound struct {
	op     string // gt, gte, lt, lte, eq, neq
	number float64
}

// holds tells whether all bounds hold for n.
func holds(bounds []bound, n float64) bool {
	for _, b := range bounds {
		ok := false
		switch b.op {
		case "gt":
			ok = n > b.number
		case "gte":
			ok = n >= b.number
		case "lt":
			ok = n < b.number
		case "lte":
			ok = n <= b.number
		case "eq":
			ok = n == b.number
		case "neq":
			ok = n != b.number
		}
		if !ok {
			return false
		}
	}
	return true
}

func (p *parserOf) correlation(entries []entry, line int) *Correlation {
	c := &Correlation{Head: p.head(entries, line, true, "correlation"), percent: -1}
	var section *entry
	for i, e := range entries {
		if e.key == "correlation" {
			section = &entries[i]
		}
	}
	var condition *entry
	hasSpan := false
	parts := p.mapping(section.value, section.key)
	for i, e := range parts {
		switch e.key {
		case "type":
			c.Type = p.kind(e)
		case "rules":
			c.Rules = p.references(e)
		case "group-by":
			c.GroupBy = p.groupBy(e)
		case "aliases":
			c.Aliases = p.aliases(e)
		case "timespan":
			d, ok := parseSpan(p.text(e))
			c.Timespan, hasSpan = d, true
			if !ok {
				p.at(e.line, "timespan must be a number and one of s, m, h, d, w, such as 10m")
			}
		case "condition":
			condition = &parts[i]
		case "generate":
			c.Generate = p.truth(e)
		default:
			p.at(e.line, "correlation has no key %q; it has type, rules, group-by, aliases, timespan, condition and generate", e.key)
		}
	}
	if c.Type == "" {
		p.at(section.line, "the correlation has no type")
	}
	if !hasSpan {
		p.at(section.line, "the correlation has no timespan")
	}
	p.correlationCondition(c, condition, section.line)
	if len(c.Rules) == 0 {
		p.at(section.line, "the correlation has no rules")
	}
	p.checkAliases(c, section.line)
	p.checkResponse(c.Respond, c)
	return c
}

func (p *parserOf) kind(e entry) Type {
	t := Type(p.text(e))
	switch t {
	case EventCount, ValueCount, Temporal, TemporalOrdered, ValueSum, ValueAvg, ValuePercentile, ValueMedian:
	default:
		p.at(e.line, "type %q is none of event_count, value_count, temporal, temporal_ordered, value_sum, value_avg, value_percentile and value_median", t)
	}
	return t
}

func (p *parserOf) references(e entry) []string {
	list := p.texts(e, true)
	if len(list) > maxCorrelated {
		p.at(e.line, "the correlation has more than %d rules", maxCorrelated)
		return list[:maxCorrelated]
	}
	for i, r := range list {
		if r == "" || slices.Contains(list[:i], r) {
			p.at(e.line, "rules has an empty name, or one twice")
		}
	}
	return list
}

func (p *parserOf) groupBy(e entry) []string {
	list := p.texts(e, true)
	if len(list) > maxGroupBy {
		p.at(e.line, "group-by has more than %d fields", maxGroupBy)
		return list[:maxGroupBy]
	}
	for i, f := range list {
		if f == "" || slices.Contains(list[:i], f) {
			p.at(e.line, "group-by has an empty field, or one twice")
		}
	}
	return list
}

func (p *parserOf) aliases(e entry) map[string]map[string]string {
	out := make(map[string]map[string]string)
	for _, alias := range p.mapping(e.value, e.key) {
		fields := make(map[string]string)
		for _, rule := range p.mapping(alias.value, "the alias "+alias.key) {
			fields[rule.key] = p.text(rule)
		}
		out[alias.key] = fields
	}
	return out
}

// checkAliases refuses aliases that name no rule of the correlation, or leave one out: its events would never count.
func (p *parserOf) checkAliases(c *Correlation, line int) {
	for _, alias := range sortedKeys(c.Aliases) {
		fields := c.Aliases[alias]
		for _, rule := range sortedKeys(fields) {
			if !slices.Contains(c.Rules, rule) {
				p.at(line, "the alias %s names %s, which is none of the correlation's rules", alias, rule)
			}
		}
		for _, rule := range c.Rules {
			if fields[rule] == "" {
				p.at(line, "the alias %s names no field for the rule %s", alias, rule)
			}
		}
	}
}

// correlationCondition reads the condition: comparisons, or of temporal correlations a condition over the rules.
func (p *parserOf) correlationCondition(c *Correlation, e *entry, line int) {
	temporal := c.Type == Temporal || c.Type == TemporalOrdered
	if e == nil {
		if !temporal {
			p.at(line, "the correlation has no condition")
		}
		c.bounds = []bound{{"gte", float64(len(c.Rules))}}
		return
	}
	if text, isText := scalarText(e.value); isText && temporal {
		p.temporalExpression(c, text, e.line)
		return
	}
	if _, isMap := e.value.(*ast.MappingNode); !isMap {
		if _, isPair := e.value.(*ast.MappingValueNode); !isPair {
			p.at(e.line, "the condition of a correlation has %s, but needs keys such as gte: 10", describe(e.value))
			return
		}
	}
	for _, part := range p.mapping(e.value, e.key) {
		switch part.key {
		case "gt", "gte", "lt", "lte", "eq", "neq":
			n, err := strconv.ParseFloat(p.text(part), 64)
			if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
				p.at(part.line, "%s needs a number", part.key)
			}
			c.bounds = append(c.bounds, bound{part.key, n})
		case "field":
			c.fields = p.texts(part, true)
		case "percentile":
			n, err := strconv.ParseFloat(p.text(part), 64)
			if err != nil || !(n >= 0 && n <= 100) {
				p.at(part.line, "percentile needs a number from 0 to 100")
			}
			c.percent = n
		default:
			p.at(part.line, "the condition of a correlation has no key %q; it has gt, gte, lt, lte, eq, neq, field and percentile", part.key)
		}
	}
	p.checkCorrelationCondition(c, e.line)
}

func (p *parserOf) checkCorrelationCondition(c *Correlation, line int) {
	counted := strings.HasPrefix(string(c.Type), "value_")
	if len(c.bounds) == 0 {
		p.at(line, "the condition needs one of gt, gte, lt, lte, eq and neq")
	}
	if counted && (len(c.fields) == 0 || slices.Contains(c.fields, "")) {
		p.at(line, "the condition of %s needs a field", c.Type)
	}
	if !counted && len(c.fields) > 0 {
		p.at(line, "%s counts no field", c.Type)
	}
	if len(c.fields) > 1 && c.Type != ValueCount || len(c.fields) > maxGroupBy {
		p.at(line, "the condition has too many fields")
	}
	if c.percent >= 0 && c.Type != ValuePercentile {
		p.at(line, "percentile belongs to value_percentile")
	}
	most, possible := maxThreshold, false
	switch c.Type {
	case EventCount:
	case ValueCount:
		most = maxDistinct
	case Temporal, TemporalOrdered:
		most = len(c.Rules)
	default:
		return
	}
	for _, b := range c.bounds {
		if b.number < 0 || b.number > float64(most) || b.number != math.Trunc(b.number) {
			p.at(line, "%s needs a whole number from 0 to %d", b.op, most)
			return
		}
	}
	if c.Type == EventCount || c.Type == ValueCount {
		most++
	}
	for n := 1; n <= most && !possible; n++ {
		possible = holds(c.bounds, float64(n))
	}
	if !possible {
		p.at(line, "the condition can never hold")
	}
}

// temporalExpression reads a condition over the names of the rules.
func (p *parserOf) temporalExpression(c *Correlation, text string, line int) {
	if len(c.Rules) == 0 {
		p.at(line, "a condition over rules needs the list of rules")
		return
	}
	n, err := parseCondition(text, c.Rules)
	if err != nil {
		p.at(line, "condition: %v", err)
		return
	}
	named := make(map[string]bool)
	var number func(n *node)
	number = func(n *node) {
		if n.op == opName {
			n.index, named[n.name] = slices.Index(c.Rules, n.name), true
		}
		for _, kid := range n.kids {
			number(kid)
		}
	}
	number(n)
	for _, rule := range c.Rules {
		if !named[rule] {
			p.at(line, "condition: the rule %s is not named in it", rule)
		}
	}
	c.expr = n
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
