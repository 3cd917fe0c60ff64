package pyre

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// group reads what follows an opening parenthesis. It returns nil for what leaves nothing to match: comments and global
// flags.
func (p *parser) group(depth int, first bool) *node {
	start := p.tell() - 1
	if !p.accept('?') {
		return p.body(depth, start, "", true)
	}
	t := p.get()
	switch {
	case p.err != nil:
		return nil
	case t.r == end:
		p.fail("unexpected end of pattern", p.tell())
	case t.is('P'):
		return p.named(depth, start)
	case t.is(':'):
		return p.body(depth, start, "", false)
	case t.is('#'):
		p.comment(start)
	case t.in("=!<"):
		return p.look(depth, start, t)
	case t.is('('):
		return p.conditional(depth, start)
	case t.is('>'):
		n := p.body(depth, start, "", false)
		n.op = nodeAtomic
		return n
	case flagOf(t) != 0 || t.in("L-"):
		return p.flagged(depth, start, t, first)
	default:
		p.fail("unknown extension ?"+t.String(), p.tell()-len([]rune(t.String()))-1)
	}
	return nil
}

// body reads a group's alternatives and its closing parenthesis.
func (p *parser) body(depth, start int, name string, capture bool) *node {
	group := 0
	if capture {
		group = len(p.names)
		for i, other := range p.names {
			if name != "" && other == name {
				p.fail(fmt.Sprintf("redefinition of group name %s as group %d; was group %d", quote(name), group, i),
					p.tell()-utf8.RuneCountInString(name)-1)
			}
		}
		p.names, p.closed, p.widths = append(p.names, name), append(p.closed, false), append(p.widths, [2]int64{})
	}
	outer := p.flags
	sub := p.alternatives(depth + 1)
	p.flags = outer
	p.close(start)
	if capture && p.err == nil {
		low, high := sub.width(p.widths)
		p.widths[group], p.closed[group] = [2]int64{low, high}, true
	}
	return &node{op: nodeGroup, subs: []*node{sub}, group: group}
}

func (p *parser) close(start int) {
	if !p.accept(')') {
		p.fail("missing ), unterminated subpattern", start)
	}
}

func (p *parser) comment(start int) {
	for {
		if p.next.r == end {
			p.fail("missing ), unterminated comment", start)
			return
		}
		if p.get().is(')') {
			return
		}
	}
}

// named reads (?P<name>…) and (?P=name).
func (p *parser) named(depth, start int) *node {
	if p.accept('<') {
		name := p.until('>', "group name")
		p.checkName(name)
		return p.body(depth, start, name, true)
	}
	if !p.accept('=') {
		t := p.get()
		if t.r == end {
			p.fail("unexpected end of pattern", p.tell())
			return nil
		}
		p.fail("unknown extension ?P"+t.String(), p.tell()-len([]rune(t.String()))-2)
		return nil
	}
	name := p.until(')', "group name")
	p.checkName(name)
	group := p.lookup(name)
	if p.err != nil {
		return nil
	}
	if !p.closed[group] {
		p.fail("cannot refer to an open group", p.tell()-utf8.RuneCountInString(name)-1)
		return nil
	}
	p.checkLooking(group)
	return &node{op: nodeRef, group: group, flags: p.flags}
}

func (p *parser) lookup(name string) int {
	for i, other := range p.names {
		if i > 0 && other == name && name != "" {
			return i
		}
	}
	p.fail("unknown group name "+quote(name), p.tell()-utf8.RuneCountInString(name)-1)
	return 0
}

func (p *parser) checkName(name string) {
	if p.err == nil && !isIdentifier(name) {
		p.fail("bad character in group name "+quote(name), p.tell()-utf8.RuneCountInString(name)-1)
	}
}

// isIdentifier is Python's str.isidentifier without its rules for compatibility forms, which no name of a filter needs.
func isIdentifier(name string) bool {
	for i, r := range name {
		letter := r == '_' || unicode.IsLetter(r) || unicode.Is(unicode.Nl, r)
		if !letter && (i == 0 || !unicode.In(r, unicode.Nd, unicode.Mn, unicode.Mc, unicode.Pc)) {
			return false
		}
	}
	return name != ""
}

// quote writes a name as Python's repr does.
func quote(name string) string {
	mark := "'"
	if strings.Contains(name, "'") && !strings.Contains(name, `"`) {
		mark = `"`
	}
	name = strings.ReplaceAll(name, `\`, `\\`)
	if mark == "'" {
		name = strings.ReplaceAll(name, "'", `\'`)
	}
	name = strings.NewReplacer("\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(name)
	return mark + name + mark
}

// look reads (?=…), (?!…), (?<=…) and (?<!…).
func (p *parser) look(depth, start int, t token) *node {
	n := &node{op: nodeLook}
	if t.is('<') {
		n.behind = true
		if t = p.get(); t.r == end {
			p.fail("unexpected end of pattern", p.tell())
			return nil
		}
		if !t.in("=!") {
			p.fail("unknown extension ?<"+t.String(), p.tell()-len([]rune(t.String()))-2)
			return nil
		}
	}
	n.negative = t.is('!')
	outermost := n.behind && p.looking == 0
	if outermost {
		p.looking = len(p.names)
	}
	outer := p.flags
	n.subs = []*node{p.alternatives(depth + 1)}
	p.flags = outer
	if outermost {
		p.looking = 0
	}
	p.close(start)
	return n
}

// conditional reads (?(group)yes|no).
func (p *parser) conditional(depth, start int) *node {
	name := p.until(')', "group name")
	if p.err != nil {
		return nil
	}
	width := utf8.RuneCountInString(name)
	var group int
	if isIdentifier(name) {
		group = p.lookup(name)
	} else {
		var ok bool
		if group, ok = number(name); !ok {
			p.fail("bad character in group name "+quote(name), p.tell()-width-1)
			return nil
		}
		if group == 0 {
			p.fail("bad group number", p.tell()-width-1)
			return nil
		}
		if group >= 1<<30 {
			p.fail("invalid group reference "+strings.TrimSpace(name), p.tell()-width-1)
			return nil
		}
		if _, seen := p.condition[group]; !seen {
			p.condition[group] = p.tell() - width - 1
		}
	}
	p.checkLooking(group)
	if depth >= maxDepth {
		p.fail(fmt.Sprintf("more than %d groups in each other", maxDepth), -1)
		return nil
	}
	outer := p.flags
	yes, no := p.sequence(depth+1, false), &node{}
	if p.accept('|') {
		no = p.sequence(depth+1, false)
		if p.next.is('|') {
			p.fail("conditional backref with more than two branches", p.tell())
		}
	}
	p.flags = outer
	p.close(start)
	return &node{op: nodeCond, group: group, subs: []*node{yes, no}}
}

// number reads a group's number as Python's int() does: spaces around it, a plus sign and single underscores are fine.
func number(text string) (int, bool) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "+")
	if strings.HasPrefix(text, "_") || strings.HasSuffix(text, "_") || strings.Contains(text, "__") {
		return 0, false
	}
	text = strings.ReplaceAll(text, "_", "")
	if text == "" || strings.Trim(text, decimal) != "" {
		if strings.Trim(text, "-0") == "" && strings.HasPrefix(text, "-0") {
			return 0, strings.Count(text, "-") == 1
		}
		return 0, false
	}
	v, err := strconv.Atoi(text)
	if err != nil || v > 1<<30 {
		return 1 << 30, true
	}
	return v, true
}

func flagOf(t token) flags {
	if t.escaped {
		return 0
	}
	switch t.r {
	case 'i':
		return flagIgnoreCase
	case 'm':
		return flagMultiLine
	case 's':
		return flagDotAll
	case 'x':
		return flagVerbose
	case 'a':
		return flagASCII
	case 'u':
		return flagUnicode
	case 't':
		return flagTemplate
	}
	return 0
}

// flagged reads (?flags), which holds for the whole expression, and (?flags-flags:…).
func (p *parser) flagged(depth, start int, t token, first bool) *node {
	add, t, ok := p.flagsOn(t)
	if !ok {
		return nil
	}
	if t.is(')') {
		if !first {
			p.fail("global flags not at the start of the expression", start)
		}
		p.flags |= add
		return nil
	}
	if add&flagTemplate != 0 {
		p.fail("bad inline flags: cannot turn on global flag", p.tell()-1)
	}
	var del flags
	if t.is('-') {
		if del, ok = p.flagsOff(); !ok {
			return nil
		}
	}
	if del&flagTemplate != 0 {
		p.fail("bad inline flags: cannot turn off global flag", p.tell()-1)
	}
	if add&del != 0 {
		p.fail("bad inline flags: flag turned on and off", p.tell()-1)
	}
	outer := p.flags
	if add&typeFlags != 0 {
		p.flags &^= typeFlags
	}
	p.flags = (p.flags | add) &^ del
	n := p.body(depth, start, "", false)
	p.flags = outer
	return n
}

// flagsOn reads the flags that are turned on and the sign that ends them.
func (p *parser) flagsOn(t token) (add flags, last token, ok bool) {
	if t.is('-') {
		return 0, t, true
	}
	for {
		if t.is('L') {
			p.fail("bad inline flags: cannot use 'L' flag with a str pattern", p.tell())
			return 0, t, false
		}
		f := flagOf(t)
		add |= f
		if f&typeFlags != 0 && add&typeFlags != f {
			p.fail("bad inline flags: flags 'a', 'u' and 'L' are incompatible", p.tell())
			return 0, t, false
		}
		t = p.get()
		switch {
		case p.err != nil:
			return 0, t, false
		case t.r == end:
			p.fail("missing -, : or )", p.tell())
			return 0, t, false
		case t.in(")-:"):
			return add, t, true
		case flagOf(t) == 0 && !t.is('L'):
			p.unknownFlag(t, "missing -, : or )")
			return 0, t, false
		}
	}
}

// flagsOff reads the flags after the minus sign, up to the colon.
func (p *parser) flagsOff() (del flags, ok bool) {
	t := p.get()
	missing := "missing flag"
	for {
		switch {
		case p.err != nil:
			return 0, false
		case t.r == end:
			p.fail(missing, p.tell())
			return 0, false
		case t.is(':') && missing != "missing flag":
			return del, true
		case flagOf(t) == 0 && !t.is('L'):
			p.unknownFlag(t, missing)
			return 0, false
		case flagOf(t)&typeFlags != 0 || t.is('L'):
			p.fail("bad inline flags: cannot turn off flags 'a', 'u' and 'L'", p.tell())
			return 0, false
		}
		del |= flagOf(t)
		missing = "missing :"
		t = p.get()
	}
}

func (p *parser) unknownFlag(t token, missing string) {
	if unicode.IsLetter(t.r) && !t.escaped {
		missing = "unknown flag"
	}
	p.fail(missing, p.tell()-len([]rune(t.String())))
}
