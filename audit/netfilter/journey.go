package netfilter

// result is what came of one case.
type result struct {
	passed, refused spans
	runs            []*run
}

// through sends a packet through hooks one after the other.
func (r *Ruleset) through(in []branch, work *int, hooks ...string) ([]branch, *run) {
	one := &run{rules: r, work: work}
	for _, hook := range hooks {
		in = one.hook(hook, in)
	}
	if one.gaveUp {
		in = nil
	}
	return in, one
}

// journey is a packet that comes in, is delivered or forwarded, and is answered.
func (r *Ruleset) journey(h Host, p packet, set spans, work *int) result {
	var res result
	arrived, one := r.through([]branch{{set, p}}, work, "ingress", "prerouting")
	res.take(one, set)
	for _, b := range arrived {
		local := b.packet.own == p.own || h.has(b.packet)
		if b.packet.own != p.own || !local {
			b.packet.forwarded = !local
		}
		hooks := []string{"input"}
		oif := ""
		if !local {
			hooks = []string{"forward", "postrouting"}
			oif = h.towards(b.packet)
			b.packet.oif = oif
		}
		in, one := r.through([]branch{b}, work, hooks...)
		res.take(one, b.set)
		for _, d := range in {
			if !answered(d.packet) {
				res.passed = res.passed.union(d.set)
				continue
			}
			res.passed = res.passed.union(r.answer(d, p.iif, oif, &res, work))
		}
	}
	return res
}

// answered says whether an answer has to get back: to connections, and to echo requests.
func answered(p packet) bool {
	switch p.proto {
	case protoICMP:
		return p.kind == 8
	case protoICMPv6:
		return p.kind == 128
	}
	return true
}

// answer sends back the answer to a packet that was delivered, and returns for whom it gets there.
func (r *Ruleset) answer(d branch, iif, oif string, res *result, work *int) spans {
	a := d.packet
	a.inbound, a.reply = false, true
	a.sport, a.dport = a.dport, a.sport
	a.iif, a.oif = oif, iif
	a.state, a.untracked = ctEstablished, false
	a.mark, a.markUnknown = 0, false
	if d.packet.untracked {
		// What tracking has not seen begin: an answer by TCP is invalid, one by UDP looks new.
		if a.state = ctInvalid; a.proto == protoUDP {
			a.state = ctNew
		}
	}
	switch {
	case a.proto == protoTCP:
		a.flags = tcpSYN | tcpACK
	case a.proto == protoICMP:
		a.kind = 0
	case a.proto == protoICMPv6:
		a.kind = 129
	}
	hooks := []string{"output", "postrouting"}
	if a.forwarded {
		hooks = []string{"ingress", "prerouting", "forward", "postrouting"}
	}
	back, one := r.through([]branch{{d.set, a}}, work, hooks...)
	res.take(one, d.set)
	var all spans
	for _, b := range back {
		all = all.union(b.set)
	}
	return all
}

// looped is a packet that the host sends itself.
func (r *Ruleset) looped(p packet, set spans, work *int) result {
	var res result
	out := p
	out.iif, out.oif = "", p.iif
	sent, one := r.through([]branch{{set, out}}, work, "output", "postrouting")
	res.take(one, set)
	for _, b := range sent {
		b.packet.iif, b.packet.oif = p.iif, ""
		b.packet.mark, b.packet.markUnknown = 0, b.packet.markUnknown || b.packet.mark != 0
		// Connection tracking has decided on the way out, and nat chains are not asked twice.
		in, one := r.through([]branch{b}, work, "prerouting", "input")
		res.take(one, b.set)
		for _, d := range in {
			back := d
			back.packet.inbound, back.packet.reply, back.packet.state, back.packet.untracked = true, true, ctEstablished, false
			back.packet.sport, back.packet.dport = back.packet.dport, back.packet.sport
			back.packet.iif, back.packet.oif = "", p.iif
			if back.packet.proto == protoTCP {
				back.packet.flags = tcpSYN | tcpACK
			}
			sent, one := r.through([]branch{back}, work, "output", "postrouting")
			res.take(one, d.set)
			for _, s := range sent {
				s.packet.iif, s.packet.oif = p.iif, ""
				done, one := r.through([]branch{s}, work, "prerouting", "input")
				res.take(one, s.set)
				for _, b := range done {
					res.passed = res.passed.union(b.set)
				}
			}
		}
	}
	return res
}

// leaving is a packet that the host sends, and the answer to it.
func (r *Ruleset) leaving(p packet, set spans, device string, work *int) result {
	var res result
	sent, one := r.through([]branch{{set, p}}, work, "output", "postrouting")
	res.take(one, set)
	for _, b := range sent {
		a := b.packet
		a.inbound, a.reply, a.state, a.untracked = true, true, ctEstablished, false
		a.sport, a.dport, a.iif, a.oif = a.dport, a.sport, device, ""
		a.mark, a.markUnknown = 0, false
		if a.proto == protoTCP {
			a.flags = tcpSYN | tcpACK
		}
		back, one := r.through([]branch{{b.set, a}}, work, "ingress", "prerouting", "input")
		res.take(one, b.set)
		for _, d := range back {
			res.passed = res.passed.union(d.set)
		}
	}
	return res
}

func (res *result) take(one *run, set spans) {
	res.refused = res.refused.union(one.dropped)
	if one.gaveUp { // both can be
		res.passed, res.refused = res.passed.union(set), res.refused.union(set)
	}
	res.runs = append(res.runs, one)
}

// has says whether the packet's target is one of the host's addresses.
func (h Host) has(p packet) bool {
	for _, i := range h.Interfaces {
		for _, a := range i.Addresses {
			if a.Is6() == p.v6 && numberOf(a) == p.own {
				return true
			}
		}
	}
	return false
}

// towards is the interface that leads to the packet's target.
func (h Host) towards(p packet) string {
	name, best := "", -1
	for _, i := range h.Interfaces {
		for _, route := range i.Routes {
			if route.Addr().Is6() == p.v6 && route.Bits() > best && (spans{spanOf(route)}).has(p.own) {
				name, best = i.Name, route.Bits()
			}
		}
	}
	return name
}
