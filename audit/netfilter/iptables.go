package netfilter

import (
	"fmt"
	"strings"
)

// builtin tells where the kernel calls a built-in chain of iptables, with the priority of its table.
func builtin(table, name string) (hook string, prio int) {
	hook = map[string]string{"PREROUTING": "prerouting", "INPUT": "input", "FORWARD": "forward", "OUTPUT": "output",
		"POSTROUTING": "postrouting"}[name]
	switch table {
	case "raw":
		return hook, -300
	case "mangle":
		return hook, -150
	case "nat":
		if name == "PREROUTING" || name == "OUTPUT" {
			return hook, -100
		}
		return hook, 100
	case "security":
		return hook, 50
	}
	return hook, 0
}

// AddIPTables adds what iptables-save (or ip6tables-save, with v6) printed. source tells apart the two ways in which
// the kernel can keep such tables: they judge one after the other.
func (r *Ruleset) AddIPTables(source string, v6 bool, text []byte) error {
	family := "ip"
	if v6 {
		family = "ip6"
	}
	table, numbers := "", map[string]int{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", line[0] == '#', line == "COMMIT":
		case line[0] == '*':
			table = line[1:]
		case line[0] == ':':
			words := strings.Fields(line[1:])
			if len(words) < 2 {
				return fmt.Errorf("read %s: the line %q is no chain", source, shorten(line))
			}
			c := &chain{place: place{source, family, table, words[0]}, drop: words[1] == "DROP"}
			if words[1] != "-" {
				c.hook, c.prio = builtin(table, words[0])
			}
			if table == "nat" {
				c.kind = "nat"
			}
			if err := r.add(c); err != nil {
				return fmt.Errorf("read %s: %w", source, err)
			}
		default:
			words, err := split(line)
			if err != nil {
				return fmt.Errorf("read %s: %w: %q", source, err, shorten(line))
			}
			if len(words) > 0 && strings.HasPrefix(words[0], "[") {
				words = words[1:]
			}
			if len(words) < 2 || words[0] != "-A" {
				return fmt.Errorf("read %s: the line %q is no rule", source, shorten(line))
			}
			c := r.chains[place{source, family, table, words[1]}]
			if c == nil {
				return fmt.Errorf("read %s: there is no chain for %q", source, shorten(line))
			}
			numbers[table+" "+words[1]]++
			one := &rule{origin: fmt.Sprintf("%s %s rule %d", source, c, numbers[table+" "+words[1]]), text: shorten(line)}
			p := reader{rules: r, words: words[2:], v6: v6}
			one.steps = p.rule(c)
			if err := r.addRule(c, one); err != nil {
				return err
			}
		}
	}
	return nil
}

// split cuts a line into words as iptables-save quotes them.
func split(line string) ([]string, error) {
	var words []string
	var b strings.Builder
	quoted, in := false, false
	for i := 0; i < len(line); i++ {
		ch := line[i]
		switch {
		case ch == '\\' && quoted && i+1 < len(line):
			i++
			b.WriteByte(line[i])
		case ch == '"':
			quoted, in = !quoted, true
		case ch == ' ' && !quoted:
			if in {
				words = append(words, b.String())
			}
			b.Reset()
			in = false
		default:
			b.WriteByte(ch)
			in = true
		}
	}
	if quoted {
		return nil, fmt.Errorf("a quotation mark is not closed")
	}
	if in {
		words = append(words, b.String())
	}
	return words, nil
}

// reader reads one rule of iptables-save.
type reader struct {
	rules  *Ruleset
	words  []string
	v6     bool
	module string
	steps  []step
}

func (p *reader) next() string {
	if len(p.words) == 0 {
		return ""
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w
}

func (p *reader) rule(c *chain) []step {
	for len(p.words) > 0 {
		not := false
		if p.words[0] == "!" {
			not = true
			p.next()
		}
		option := p.next()
		switch option {
		case "-j", "--jump":
			p.steps = append(p.steps, p.target(c, p.next(), jump)...)
			return p.steps
		case "-g", "--goto":
			p.steps = append(p.steps, p.target(c, p.next(), gotoChain)...)
			return p.steps
		case "-m", "--match":
			p.module = p.next()
			p.begin()
		default:
			p.option(option, not)
		}
	}
	return p.steps
}

func (p *reader) match(field string, not bool, v values) {
	t := test{fields: []string{field}, values: &v}
	if not {
		t.how = unequal
	}
	p.steps = append(p.steps, step{do: match, test: t})
}

// unsure is a match of which nothing is known.
func (p *reader) unsure() { p.steps = append(p.steps, step{do: perhaps}) }

// never is a match that does not hold for our packets; always is nothing.
func (p *reader) never(not bool) {
	if !not {
		t := always()
		t.how = equal
		p.steps = append(p.steps, step{do: match, test: t})
	}
}

// begin reads modules that match by themselves.
func (p *reader) begin() {
	switch p.module {
	case "tcp", "udp", "icmp", "icmp6", "multiport", "conntrack", "state", "limit", "hashlimit", "recent", "connlimit", "addrtype",
		"comment", "set", "mark", "connmark", "pkttype", "iprange", "ttl", "hl", "rt", "helper":
	case "rpfilter":
		invert := false
		for len(p.words) > 0 && strings.HasPrefix(p.words[0], "--") {
			invert = invert || p.next() == "--invert"
		}
		p.never(!invert)
	case "policy":
		ipsec := false
		for len(p.words) > 0 && (strings.HasPrefix(p.words[0], "--") || p.words[0] == "!") {
			if o := p.next(); o == "--pol" {
				ipsec = p.next() == "ipsec"
			} else if o == "!" {
				p.unsure()
			} else if o != "--strict" && o != "--next" && o != "--tunnel" {
				p.next()
			}
		}
		p.never(!ipsec)
	default:
		p.unsure()
		p.skip()
	}
}

// skip leaves out the words of a module or target that is not known here.
func (p *reader) skip() {
	for len(p.words) > 0 {
		switch p.words[0] {
		case "-m", "--match", "-j", "--jump", "-g", "--goto":
			return
		case "!":
			if len(p.words) > 1 && len(p.words[1]) == 2 {
				return
			}
		case "-s", "-d", "-i", "-o", "-p", "-f":
			return
		}
		p.next()
	}
}

// option reads one option of a match.
func (p *reader) option(option string, not bool) {
	switch option {
	case "-p", "--protocol":
		p.protocol(p.next(), not)
	case "-s", "--source":
		p.address("saddr", p.next(), not)
	case "-d", "--destination":
		p.address("daddr", p.next(), not)
	case "-i", "--in-interface":
		p.match("meta iifname", not, values{names: []string{device(p.next())}})
	case "-o", "--out-interface":
		p.match("meta oifname", not, values{names: []string{device(p.next())}})
	case "-f", "--fragment":
		p.never(not)
	default:
		p.extension(option, not)
	}
}

// device writes an interface's name as nftables does.
func device(name string) string {
	if s, ok := strings.CutSuffix(name, "+"); ok {
		return s + "*"
	}
	if strings.HasSuffix(name, "*") {
		return strings.TrimSuffix(name, "*") + `\*`
	}
	return name
}

func (p *reader) protocol(name string, not bool) {
	if name == "all" || name == "0" {
		p.never(!not)
		return
	}
	n, ok := symbol(protocols, name)
	if !ok {
		p.unsure()
		return
	}
	p.match("meta l4proto", not, values{numbers: spans{{n, n}}})
}

func (p *reader) address(end, text string, not bool) {
	family := "ip "
	if p.v6 {
		family = "ip6 "
	}
	s, ok := network(text, p.v6)
	if !ok {
		p.unsure()
		return
	}
	p.match(family+end, not, values{numbers: spans{s}})
}
