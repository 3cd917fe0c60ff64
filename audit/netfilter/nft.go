package netfilter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Tables names a table by family and name.
type Table struct{ Family, Name string }

// object is one entry of what nft -j prints.
type object struct {
	Chain *struct {
		Family, Table, Name, Type, Hook, Policy string
		Prio                                    int
		Dev                                     any
	}
	Rule *struct {
		Family, Table, Chain, Comment string
		Handle                        int
		Expr                          []map[string]json.RawMessage
	}
	Set, Map *nftSet
}

type nftSet struct {
	Family, Table, Name string
	Type                any
	Map                 any
	Elem                []any
	Stmt                any
}

// AddNFT adds what "nft -j list ruleset" printed. Tables for which skip says so are left out: those that iptables manages
// are read from iptables-save, because nft does not tell what their extensions match.
func (r *Ruleset) AddNFT(text []byte, skip func(Table) bool) error {
	var all struct{ Nftables []object }
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		return fmt.Errorf("read nft's rules: %w", err)
	}
	if err := r.nftSets(all.Nftables, skip); err != nil {
		return err
	}
	for _, o := range all.Nftables {
		if c := o.Chain; c != nil && !skip(Table{c.Family, c.Table}) {
			hook := c.Hook
			if c.Family == "arp" {
				hook = "" // no packets of ours
			}
			if hook == "egress" || c.Family == "bridge" && hook != "" {
				r.Unread(fmt.Sprintf("%s %s %s: chains of this kind are not judged", c.Family, c.Table, c.Name))
			}
			err := r.add(&chain{place: place{"nft", c.Family, c.Table, c.Name}, hook: hook, kind: c.Type, prio: c.Prio,
				drop: c.Policy == "drop", device: words(c.Dev)})
			if err != nil {
				return err
			}
		}
	}
	for _, o := range all.Nftables {
		ru := o.Rule
		if ru == nil || skip(Table{ru.Family, ru.Table}) {
			continue
		}
		c := r.chains[place{"nft", ru.Family, ru.Table, ru.Chain}]
		if c == nil {
			return fmt.Errorf("rule %d is in chain %s, which is not there", ru.Handle, ru.Chain)
		}
		one := &rule{origin: fmt.Sprintf("nft %s handle %d", c, ru.Handle)}
		var said []string
		for _, expr := range ru.Expr {
			for _, name := range sortedKeys(expr) {
				said = append(said, saying(name, expr[name]))
				one.steps = append(one.steps, r.statement(c, name, decode(expr[name]))...)
			}
		}
		one.text = shorten(strings.Join(said, " "))
		if err := r.addRule(c, one); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys(m map[string]json.RawMessage) []string {
	var all []string
	for name := range m {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func decode(raw json.RawMessage) any {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	_ = d.Decode(&v) // it was valid JSON when the whole was read
	return v
}

// saying writes a statement for people, without JSON's quotes.
func saying(name string, raw json.RawMessage) string {
	switch name {
	case "match":
		var m struct {
			Op          string
			Left, Right json.RawMessage
		}
		_ = json.Unmarshal(raw, &m)
		return plain(m.Left) + " " + m.Op + " " + plain(m.Right)
	case "counter":
		return "counter"
	}
	if string(raw) == "null" {
		return name
	}
	return name + " " + plain(raw)
}

func plain(raw json.RawMessage) string {
	if len(raw) > 400 {
		raw = raw[:400]
	}
	return strings.NewReplacer(`"`, "", `\`, "").Replace(string(raw))
}

func shorten(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

func words(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, one := range v {
			if s, ok := one.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	return nil
}

// nftSets reads sets and maps first, because rules name them.
func (r *Ruleset) nftSets(all []object, skip func(Table) bool) error {
	if r.sets == nil {
		r.sets = map[place]*values{}
	}
	for _, o := range all {
		s := o.Set
		if s == nil {
			s = o.Map
		}
		if s == nil || skip(Table{s.Family, s.Table}) {
			continue
		}
		if r.elements += len(s.Elem); r.elements > maxElements {
			return fmt.Errorf("sets with more than %d elements", maxElements)
		}
		var kinds []kind
		for _, name := range words(s.Type) {
			kinds = append(kinds, kindOfType(name))
		}
		v := &values{}
		switch {
		case len(kinds) == 0 || slices.Contains(kinds, ""):
			v.why = "a set of a type that is not known"
		case s.Stmt != nil:
			v.why = "a set whose elements have statements"
		default:
			v.fill(kinds, s.Elem, s.Map != nil)
		}
		r.sets[place{"nft", s.Family, s.Table, s.Name}] = v
	}
	return nil
}

// statement reads one statement of a rule.
func (r *Ruleset) statement(c *chain, name string, v any) []step {
	m, _ := v.(map[string]any)
	switch name {
	case "accept", "drop", "return", "jump", "goto", "continue", "reject":
		return []step{verdictOf(name, m)}
	case "counter", "log", "comment", "flow", "dup", "last", "ct helper", "ct timeout", "ct expectation", "secmark", "synproxy reset":
		return nil
	case "match":
		return []step{r.match(c, m)}
	case "vmap":
		return []step{r.vmap(c, m)}
	case "limit", "ct count":
		if m["inv"] == true {
			return []step{{do: over}}
		}
		if name == "limit" && m == nil {
			return []step{{do: perhaps}} // a named limit, which may be the other way round
		}
		return []step{{do: limit}}
	case "set":
		return r.inner(c, m["stmt"])
	case "meter":
		return r.inner(c, m["stmt"])
	case "mangle":
		return mangle(m)
	case "notrack":
		return []step{{do: notrack}}
	case "masquerade", "snat":
		return []step{{do: accept}}
	case "redirect":
		return []step{redirectOf(m, true)}
	case "dnat":
		return []step{redirectOf(m, false)}
	case "quota":
		return []step{{do: perhaps}}
	}
	return []step{{do: opaque}}
}

// inner reads the statements that stand within a set statement or meter.
func (r *Ruleset) inner(c *chain, v any) []step {
	list, ok := v.([]any)
	if m, isMap := v.(map[string]any); isMap {
		list, ok = []any{m}, true
	}
	if v != nil && !ok {
		return []step{{do: opaque}}
	}
	var all []step
	for _, one := range list {
		m, _ := one.(map[string]any)
		for name, inside := range m {
			all = append(all, r.statement(c, name, inside)...)
		}
	}
	return all
}

func verdictOf(name string, m map[string]any) step {
	target, _ := m["target"].(string)
	switch name {
	case "accept":
		return step{do: accept}
	case "drop", "reject":
		return step{do: drop}
	case "return":
		return step{do: back}
	case "jump":
		return step{do: jump, target: target}
	case "goto":
		return step{do: gotoChain, target: target}
	case "continue":
		return step{do: match, test: always()}
	}
	return step{do: opaque}
}

// always is a test that every packet passes.
func always() test {
	return test{fields: []string{"exthdr exists"}, how: unequal, values: &values{}}
}

func (r *Ruleset) vmap(c *chain, m map[string]any) step {
	fields, mask, masked, ok := fieldsOf(m["key"])
	if !ok {
		return step{do: opaque}
	}
	v := &values{}
	switch data := m["data"].(type) {
	case string:
		if v = r.sets[place{"nft", c.family, c.table, strings.TrimPrefix(data, "@")}]; v == nil {
			return step{do: opaque}
		}
	case map[string]any:
		list, isList := data["set"].([]any)
		if !isList {
			return step{do: opaque}
		}
		v.fill(kindsOf(fields), list, true)
	default:
		return step{do: opaque}
	}
	return step{do: verdicts, test: test{fields: fields, mask: mask, masked: masked, values: v}}
}

func mangle(m map[string]any) []step {
	key, _ := m["key"].(map[string]any)
	for name, v := range key {
		inside, _ := v.(map[string]any)
		what, _ := inside["key"].(string)
		n, known := integer(m["value"])
		switch name + " " + what {
		case "meta mark":
			return []step{{do: setMark, mark: uint32(n.lo), known: known}}
		case "ct mark":
			return []step{{do: setCTMark, mark: uint32(n.lo), known: known}}
		case "meta priority", "meta nftrace", "ct label", "ct zone", "ct event":
			return nil
		}
		if name == "tcp option" {
			return nil
		}
		if field, _ := inside["field"].(string); name == "payload" && slices.Contains([]string{"dscp", "ecn", "ttl", "hoplimit"}, field) {
			return nil
		}
	}
	return []step{{do: opaque}}
}

func redirectOf(m map[string]any, local bool) step {
	s := step{do: dnat, known: true, to: redirection{local: local}}
	if port := m["port"]; port != nil {
		n, ok := integer(port)
		s.to.port, s.known = uint16(n.lo), ok && n.lo < 1<<16
	}
	if addr := m["addr"]; addr != nil {
		text, _ := addr.(string)
		n, ok := symbol(addresses, text)
		s.to.addr, s.to.moves, s.known = n, true, s.known && ok
	}
	return s
}

func integer(v any) (number, bool) {
	switch v := v.(type) {
	case json.Number:
		return symbol(integers, v.String())
	case string:
		return symbol(integers, v)
	}
	return number{}, false
}
