package netfilter

import (
	"encoding/json"
	"strings"
)

// match reads a comparison.
func (r *Ruleset) match(c *chain, m map[string]any) step {
	fields, mask, masked, ok := fieldsOf(m["left"])
	if !ok {
		return step{do: perhaps}
	}
	t := test{fields: fields, mask: mask, masked: masked}
	op, _ := m["op"].(string)
	right := m["right"]
	if set, isSet := right.(string); isSet && strings.HasPrefix(set, "@") {
		t.values = r.sets[place{"nft", c.family, c.table, set[1:]}]
		if t.values == nil {
			return step{do: perhaps}
		}
	} else {
		t.values = &values{}
		if list, isSet := within(right, "set"); isSet {
			t.values.fill(kindsOf(fields), list, false)
		} else if op == "<" || op == ">" || op == "<=" || op == ">=" {
			t.values.order(op, right)
			op = "=="
		} else {
			t.values.fill(kindsOf(fields), []any{right}, false)
		}
	}
	switch op {
	case "==":
		t.how = equal
	case "!=":
		t.how = unequal
	case "in":
		t.how = anyBit
		if _, isSet := within(right, "set"); isSet {
			t.how = equal
		}
	default:
		return step{do: perhaps}
	}
	return step{do: match, test: t}
}

func (v *values) order(op string, right any) {
	n, ok := integer(right)
	low, high := number{}, number{^uint64(0), ^uint64(0)}
	switch {
	case !ok:
		v.why = "a comparison with no number"
	case op == "<" && n == low:
	case op == "<":
		v.numbers = spans{{low, n.before()}}
	case op == "<=":
		v.numbers = spans{{low, n}}
	case op == ">":
		v.numbers = spans{{n.next(), high}}
	default:
		v.numbers = spans{{n, high}}
	}
}

func within(v any, name string) ([]any, bool) {
	m, _ := v.(map[string]any)
	list, ok := m[name].([]any)
	return list, ok
}

func kindsOf(fields []string) []kind {
	var all []kind
	for _, f := range fields {
		all = append(all, kindOf(f))
	}
	return all
}

// fieldsOf reads what a comparison looks at.
func fieldsOf(v any) (fields []string, mask number, masked, ok bool) {
	if list, isConcat := within(v, "concat"); isConcat {
		for _, one := range list {
			f, _, m, ok := fieldsOf(one)
			if !ok || m || len(f) != 1 {
				return nil, mask, false, false
			}
			fields = append(fields, f...)
		}
		return fields, mask, false, len(fields) > 1
	}
	if list, isMask := within(v, "&"); isMask && len(list) == 2 {
		fields, _, masked, ok = fieldsOf(list[0])
		if !ok || masked || len(fields) != 1 {
			return nil, mask, false, false
		}
		var bits values
		bits.fill(kindsOf(fields), list[1:], false)
		if bits.why != "" || len(bits.numbers) != 1 || bits.numbers[0].from != bits.numbers[0].to || len(bits.names) > 0 {
			return nil, mask, false, false
		}
		mask = bits.numbers[0].from
		if fields[0] == "ip frag-off" {
			if mask.lo > 0x1fff {
				return nil, mask, false, false
			}
			return []string{"ip frag offset"}, number{}, false, true
		}
		return fields, mask, true, true
	}
	m, _ := v.(map[string]any)
	if len(m) != 1 {
		return nil, mask, false, false
	}
	for name, inside := range m {
		field := fieldOf(name, inside)
		return []string{field}, mask, false, field != ""
	}
	return nil, mask, false, false
}

func fieldOf(name string, v any) string {
	m, _ := v.(map[string]any)
	text := func(key string) string {
		s, _ := m[key].(string)
		return s
	}
	switch name {
	case "payload":
		if text("protocol") == "" || text("field") == "" {
			return ""
		}
		return text("protocol") + " " + text("field")
	case "meta":
		return "meta " + text("key")
	case "ct":
		if text("dir") != "" {
			return "ct " + text("dir") + " " + text("key")
		}
		return "ct " + text("key")
	case "fib":
		return fibField(text("result"), words(m["flags"]))
	case "exthdr":
		if text("field") == "" {
			return "exthdr exists"
		}
		return "exthdr field"
	}
	return ""
}

// fibField is a question to the routes that can be answered: what an address is to the host, and whether there is a way
// back to the source, which there is for all sources that are judged.
func fibField(result string, flags []string) string {
	switch {
	case result == "type" && len(flags) == 1 && (flags[0] == "daddr" || flags[0] == "saddr"):
		return "fib " + flags[0] + " type"
	case result == "oif" && len(flags) > 0 && flags[0] == "saddr":
		return "fib saddr exists"
	}
	return ""
}

// fill reads elements: numbers, names, ranges, prefixes, concatenations, and for maps pairs with a verdict.
func (v *values) fill(kinds []kind, list []any, isMap bool) {
	if isMap || len(kinds) > 1 {
		for _, one := range list {
			v.tuple(kinds, one, isMap)
		}
		return
	}
	var numbers []span
	for _, one := range list {
		p, ok := partOf(kinds[0], one)
		if !ok {
			v.why = "values that are not known here"
		}
		numbers, v.names = append(numbers, p.numbers...), append(v.names, p.names...)
	}
	v.numbers = tidy(numbers)
}

func (v *values) tuple(kinds []kind, one any, isMap bool) {
	var e element
	if isMap {
		pair, _ := one.([]any)
		if len(pair) != 2 {
			v.why = "a map without verdicts"
			return
		}
		verdict, _ := pair[1].(map[string]any)
		if len(verdict) != 1 {
			v.why = "a map without verdicts"
			return
		}
		for name, inside := range verdict {
			m, _ := inside.(map[string]any)
			if e.verdict = verdictOf(name, m); name == "continue" {
				e.verdict = step{}
			}
		}
		one = pair[0]
	}
	one, ok := bare(one)
	keys := []any{one}
	if list, isConcat := within(one, "concat"); isConcat {
		keys = list
	}
	if !ok || len(keys) != len(kinds) {
		v.why = "elements that are not known here"
		return
	}
	for i, key := range keys {
		p, ok := partOf(kinds[i], key)
		if !ok {
			v.why = "elements that are not known here"
		}
		e.parts = append(e.parts, p)
	}
	v.tuples = append(v.tuples, e)
}

// bare takes an element out of what nft writes around it. Only what has no effect on the match may be there.
func bare(v any) (any, bool) {
	m, _ := v.(map[string]any)
	elem, isElem := m["elem"].(map[string]any)
	if !isElem {
		return v, true
	}
	for key := range elem {
		switch key {
		case "val", "timeout", "expires", "comment", "counter":
		default:
			return nil, false
		}
	}
	return elem["val"], true
}

func partOf(k kind, v any) (part, bool) {
	v, ok := bare(v)
	if !ok || k == "" {
		return part{}, false
	}
	switch x := v.(type) {
	case bool:
		n := number{}
		if x {
			n.lo = 1
		}
		return part{numbers: spans{{n, n}}}, true
	case json.Number:
		n, ok := symbol(k, x.String())
		return part{numbers: spans{{n, n}}}, ok && k != interfaces
	case string:
		if k == interfaces {
			return part{names: []string{x}}, true
		}
		n, ok := symbol(k, x)
		return part{numbers: spans{{n, n}}}, ok
	case []any:
		return bitsOf(k, x)
	case map[string]any:
		return compound(k, x)
	}
	return part{}, false
}

// bitsOf is the sum of flags.
func bitsOf(k kind, list []any) (part, bool) {
	var sum number
	for _, one := range list {
		p, ok := partOf(k, one)
		if !ok || len(p.numbers) != 1 {
			return part{}, false
		}
		sum.lo |= p.numbers[0].from.lo
	}
	return part{numbers: spans{{sum, sum}}}, len(list) > 0
}

func compound(k kind, m map[string]any) (part, bool) {
	if list, ok := m["range"].([]any); ok && len(list) == 2 {
		from, ok1 := partOf(k, list[0])
		to, ok2 := partOf(k, list[1])
		if !ok1 || !ok2 || len(from.numbers) != 1 || len(to.numbers) != 1 {
			return part{}, false
		}
		return part{numbers: tidy([]span{{from.numbers[0].from, to.numbers[0].to}})}, true
	}
	if list, ok := m["|"].([]any); ok {
		return bitsOf(k, list)
	}
	if p, ok := m["prefix"].(map[string]any); ok && k == addresses {
		text, _ := p["addr"].(string)
		length, _ := p["len"].(json.Number)
		s, ok := prefixSpan(text + "/" + length.String())
		return part{numbers: spans{s}}, ok
	}
	return part{}, false
}
