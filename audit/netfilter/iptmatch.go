package netfilter

import (
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// network reads an address with a prefix length or a mask.
func network(text string, v6 bool) (span, bool) {
	addr, mask, cut := strings.Cut(text, "/")
	a, err := netip.ParseAddr(addr)
	if err != nil || a.Is6() != v6 || a.Zone() != "" {
		return span{}, false
	}
	length := a.BitLen()
	if cut {
		if length, err = strconv.Atoi(mask); err != nil {
			m, err := netip.ParseAddr(mask)
			if err != nil || m.Is6() != v6 || v6 {
				return span{}, false
			}
			ones := bits.LeadingZeros32(^uint32(numberOf(m).lo))
			if numberOf(m) != numberOf(netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), ones).Masked().Addr()) {
				return span{}, false
			}
			length = ones
		}
	}
	prefix := netip.PrefixFrom(a, length)
	if !prefix.IsValid() {
		return span{}, false
	}
	return spanOf(prefix), true
}

// ranges reads 22,80,1000:2000; ports are numbers in iptables-save.
func ranges(text, dash string) (spans, bool) {
	var all []span
	for one := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(one, dash)
		if !isRange {
			high = low
		}
		if low == "" {
			low = "0"
		}
		if high == "" {
			high = "65535"
		}
		a, ok1 := symbol(integers, low)
		b, ok2 := symbol(integers, high)
		if !ok1 || !ok2 {
			return nil, false
		}
		all = append(all, span{a, b})
	}
	return tidy(all), true
}

func (p *reader) ports(field, text string, not bool) {
	s, ok := ranges(text, ":")
	if !ok {
		p.unsure()
		return
	}
	p.match(field, not, values{numbers: s})
}

// extension reads an option of a module.
func (p *reader) extension(option string, not bool) {
	switch option {
	case "--dport", "--destination-port", "--dports", "--destination-ports":
		p.ports("th dport", p.next(), not)
	case "--sport", "--source-port", "--sports", "--source-ports":
		p.ports("th sport", p.next(), not)
	case "--syn":
		p.flags("FIN,SYN,RST,ACK", "SYN", not)
	case "--tcp-flags":
		mask := p.next()
		p.flags(mask, p.next(), not)
	case "--icmp-type":
		p.icmp("icmp", p.next(), not)
	case "--icmpv6-type":
		p.icmp("icmpv6", p.next(), not)
	case "--ctstate", "--state":
		p.state(p.next(), not)
	case "--ctorigdstport":
		p.ports("ct original proto-dst", p.next(), not)
	case "--dst-type":
		p.addressType("fib daddr type", p.next(), not)
	case "--src-type":
		p.addressType("fib saddr type", p.next(), not)
	case "--pkt-type":
		p.symbols("meta pkttype", pktTypes, p.next(), not)
	case "--ttl-eq":
		p.ports("ip ttl", p.next(), not)
	case "--hl-eq":
		p.ports("ip6 hoplimit", p.next(), not)
	case "--rt-type", "--helper":
		p.next()
		p.never(not)
	case "--mark":
		p.mark(p.next(), not)
	case "--match-set":
		name := p.next()
		p.set(name, p.next(), not)
	case "--src-range":
		p.addressRange("saddr", p.next(), not)
	case "--dst-range":
		p.addressRange("daddr", p.next(), not)
	default:
		p.counting(option, not)
	}
}

// counting reads the options of modules that count, and of those that say nothing about the packet.
func (p *reader) counting(option string, not bool) {
	does := func(d doing) {
		if not {
			p.unsure()
			return
		}
		p.steps = append(p.steps, step{do: d})
	}
	switch option {
	case "--limit", "--hashlimit-upto", "--hashlimit", "--connlimit-upto":
		p.next()
		does(limit)
	case "--hashlimit-above", "--connlimit-above":
		p.next()
		does(over)
	case "--rcheck", "--update":
		if not {
			p.steps = append(p.steps, step{do: limit})
		} else {
			does(over) // a stranger's first packet is on no list
		}
	case "--set":
		does(limit)
	case "--limit-burst", "--hashlimit-burst", "--hashlimit-mode", "--hashlimit-name", "--hashlimit-srcmask", "--hashlimit-dstmask",
		"--hashlimit-htable-size", "--hashlimit-htable-max", "--hashlimit-htable-expire", "--hashlimit-htable-gcinterval",
		"--connlimit-mask", "--seconds", "--hitcount", "--name", "--mask", "--comment":
		p.next()
	case "--connlimit-saddr", "--connlimit-daddr", "--rsource", "--rdest", "--rttl", "--reap":
	default:
		p.unsure()
		p.skip()
	}
}

func (p *reader) flags(mask, set string, not bool) {
	sum := func(text string) (n uint64, ok bool) {
		for one := range strings.SplitSeq(text, ",") {
			v, ok := symbol(tcpFlags, one)
			if !ok {
				return 0, false
			}
			n |= v.lo
		}
		return n, true
	}
	m, ok1 := sum(mask)
	s, ok2 := sum(set)
	if !ok1 || !ok2 {
		p.unsure()
		return
	}
	t := test{fields: []string{"tcp flags"}, mask: small(m), masked: true, values: &values{numbers: spans{{small(s), small(s)}}}}
	if not {
		t.how = unequal
	}
	p.steps = append(p.steps, step{do: match, test: t})
}

func (p *reader) icmp(family, text string, not bool) {
	if text == "any" || text == "255" && family == "icmp" {
		p.never(!not)
		return
	}
	kind, code, cut := strings.Cut(text, "/")
	k, ok := symbol(icmpTypes, kind)
	if family == "icmpv6" {
		k, ok = symbol(icmp6Types, kind)
	}
	if !ok || cut && not {
		p.unsure()
		return
	}
	p.match(family+" type", not, values{numbers: spans{{k, k}}})
	if cut {
		p.ports(family+" code", code, false)
	}
}

func (p *reader) state(text string, not bool) {
	var sum uint64
	for one := range strings.SplitSeq(text, ",") {
		if n, ok := symbol(states, one); ok {
			sum |= n.lo
		} else if text == "DNAT" {
			t := test{fields: []string{"ct status"}, how: anyBit, values: &values{numbers: spans{{small(ctStatusDNAT), small(ctStatusDNAT)}}}}
			if not {
				t.how = noBit
			}
			p.steps = append(p.steps, step{do: match, test: t})
			return
		} else {
			p.unsure()
			return
		}
	}
	t := test{fields: []string{"ct state"}, how: anyBit, values: &values{numbers: spans{{small(sum), small(sum)}}}}
	if not {
		t.how = noBit
	}
	p.steps = append(p.steps, step{do: match, test: t})
}

func (p *reader) symbols(field string, k kind, text string, not bool) {
	var all []span
	for one := range strings.SplitSeq(text, ",") {
		n, ok := symbol(k, one)
		if !ok {
			p.unsure()
			return
		}
		all = append(all, span{n, n})
	}
	p.match(field, not, values{numbers: tidy(all)})
}

func (p *reader) addressType(field, text string, not bool) { p.symbols(field, fibTypes, text, not) }

func (p *reader) mark(text string, not bool) {
	value, mask, cut := strings.Cut(text, "/")
	n, ok := symbol(integers, value)
	field := "meta mark"
	if p.module == "connmark" {
		field = "ct mark"
	}
	t := test{fields: []string{field}, values: &values{numbers: spans{{n, n}}}}
	if cut {
		m, okMask := symbol(integers, mask)
		t.mask, t.masked, ok = m, true, ok && okMask
	}
	if !ok {
		p.unsure()
		return
	}
	if not {
		t.how = unequal
	}
	p.steps = append(p.steps, step{do: match, test: t})
}

func (p *reader) addressRange(end, text string, not bool) {
	from, to, _ := strings.Cut(text, "-")
	a, ok1 := network(from, p.v6)
	b, ok2 := network(to, p.v6)
	if !ok1 || !ok2 {
		p.unsure()
		return
	}
	field := "ip " + end
	if p.v6 {
		field = "ip6 " + end
	}
	p.match(field, not, values{numbers: spans{{a.from, b.to}}})
}

func (p *reader) set(name, direction string, not bool) {
	v := p.rules.sets[place{source: "ipset", name: name}]
	field := map[string]string{"src": "saddr", "dst": "daddr"}[direction]
	if v == nil || v.why != "" || field == "" {
		p.unsure()
		return
	}
	family := "ip "
	if p.v6 {
		family = "ip6 "
	}
	p.match(family+field, not, *v)
}

// AddIPSets adds what "ipset save" printed. Sets of single addresses and networks are understood; a rule that asks for
// another is not. It has to be called before AddIPTables.
func (r *Ruleset) AddIPSets(text []byte) {
	if r.sets == nil {
		r.sets = map[place]*values{}
	}
	raw := map[string][]span{}
	v6 := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		w := strings.Fields(line)
		if len(w) < 3 {
			continue
		}
		at := place{source: "ipset", name: w[1]}
		switch w[0] {
		case "create":
			v := &values{}
			if w[2] != "hash:ip" && w[2] != "hash:net" {
				v.why = "a set of " + w[2]
			}
			r.sets[at], v6[w[1]] = v, slices.Contains(w, "inet6")
		case "add":
			v := r.sets[at]
			if v == nil || v.why != "" {
				continue
			}
			s, ok := network(w[2], v6[w[1]])
			if !ok || slices.Contains(w[3:], "nomatch") || r.elements > maxElements {
				v.why = "an element that is not understood"
				continue
			}
			r.elements++
			raw[w[1]] = append(raw[w[1]], s)
		}
	}
	for name, all := range raw {
		r.sets[place{source: "ipset", name: name}].numbers = tidy(all)
	}
}
