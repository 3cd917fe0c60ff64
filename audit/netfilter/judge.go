package netfilter

import "fmt"

const (
	maxBranches = 32         // different packets that one has become, by marks and redirections
	maxWork     = 20_000_000 // spans that one question may walk
)

// branch is a packet and the addresses of the other side for which it has come this far.
type branch struct {
	set    spans
	packet packet
}

// run judges one packet.
type run struct {
	rules    *Ruleset
	work     *int // what is left, shared by the runs of a question
	dropped  spans
	limited  bool
	accepted []string // rules that let through
	refused  []string // rules or policies that do not
	why      []string // what was not understood
	gaveUp   bool     // nothing is known of any address
}

func (r *run) note(list *[]string, text string) {
	for _, old := range *list {
		if old == text {
			return
		}
	}
	if len(*list) < 5 {
		*list = append(*list, text)
	}
}

// hook sends packets through all base chains of a hook and returns those that may pass. An accept ends one base chain;
// a drop ends everything.
func (r *run) hook(name string, in []branch) []branch {
	if len(in) == 0 {
		return nil
	}
	for _, c := range r.rules.at(name, in[0].packet.v6) {
		var here, elsewhere []branch
		for _, b := range in {
			// What the host sends itself was seen by connection tracking on its way out.
			b.packet.before = name == "ingress" || (name == "prerouting" && !b.packet.loopback || name == "output") && c.prio <= -200
			// Only the first packet of a connection meets nat chains, and a device's chain only its own packets.
			nat := b.packet.state == ctNew && !(b.packet.loopback && name == "prerouting") // asked on the way out
			if c.kind == "nat" && !nat || !c.sees(b.packet) {
				elsewhere = append(elsewhere, b)
			} else {
				here = append(here, b)
			}
		}
		ends, passed := r.chain(c, here, 0)
		if c.drop {
			for _, b := range ends {
				r.drop(b.set, c.String()+": policy drop")
			}
			ends = nil
		}
		in = r.merge(append(append(elsewhere, passed...), ends...))
	}
	return in
}

func (c *chain) sees(p packet) bool {
	if len(c.device) == 0 {
		return true
	}
	for _, d := range c.device {
		if named(d, p.iif) {
			return true
		}
	}
	return false
}

func (r *run) drop(set spans, by string) {
	if len(set) > 0 {
		r.dropped = r.dropped.union(set)
		r.note(&r.refused, by)
	}
}

// chain sends packets through a chain: ends are those that nothing was decided of, passed those that are accepted.
func (r *run) chain(c *chain, in []branch, depth int) (ends, passed []branch) {
	if depth > maxDepth { // the kernel takes no such rules
		r.gaveUp = true
		r.note(&r.why, fmt.Sprintf("%s: jumps deeper than %d", c, maxDepth))
	}
	if r.gaveUp {
		return nil, nil
	}
	for _, one := range c.rules {
		if len(in) == 0 || r.gaveUp {
			break
		}
		var on []branch
		for _, b := range in {
			next, returned, ok := r.rule(c, one, b, depth)
			on, ends, passed = append(on, next...), append(ends, returned...), append(passed, ok...)
		}
		in = r.merge(on)
		if *r.work < 0 {
			r.gaveUp = true
			r.note(&r.why, "the rules are too many to judge")
			return nil, nil
		}
	}
	return r.merge(append(ends, in...)), r.merge(passed)
}

// lost says that everything can have happened to the packets.
func (r *run) lost(in []branch, why string) (ends, passed []branch) {
	for _, b := range in {
		r.dropped = r.dropped.union(b.set)
	}
	if len(in) > 0 {
		r.note(&r.why, why)
	}
	return nil, in
}

// rule sends one packet through one rule: on are those that go on to the next rule, returned those that leave the chain.
func (r *run) rule(c *chain, one *rule, b branch, depth int) (on, returned, passed []branch) {
	cur := []branch{b}
	for _, s := range one.steps {
		var still []branch
		for _, b := range cur {
			if len(b.set) == 0 {
				continue
			}
			*r.work -= 1 + len(b.set)
			switch s.do {
			case match:
				yes, maybe, no := r.compare(s.test, b)
				if len(maybe) > 0 {
					r.note(&r.why, one.String())
				}
				still = append(still, branch{yes, b.packet}, branch{maybe, b.packet})
				on = append(on, branch{no, b.packet}, branch{maybe, b.packet})
			case verdicts:
				rest := r.verdicts(c, one, s.test, b, depth, &on, &returned, &passed)
				still = append(still, rest)
			case perhaps:
				r.note(&r.why, one.String())
				still, on = append(still, b), append(on, b)
			default:
				still = append(still, r.act(c, one, s, b, depth, &on, &returned, &passed)...)
			}
		}
		cur = still
	}
	return append(on, cur...), returned, passed
}

// act does what a step that is no match does, and returns what goes on with the rule.
func (r *run) act(c *chain, one *rule, s step, b branch, depth int, on, returned, passed *[]branch) []branch {
	switch s.do {
	case accept:
		r.note(&r.accepted, one.String())
		*passed = append(*passed, b)
		return nil
	case drop:
		r.drop(b.set, one.String())
		return nil
	case back:
		*returned = append(*returned, b)
		return nil
	case jump, gotoChain:
		target := c.place
		target.name = s.target
		to := r.rules.chains[target]
		if to == nil {
			_, ok := r.lost([]branch{b}, one.String()+": there is no such chain")
			*passed = append(*passed, ok...)
			return []branch{b}
		}
		ends, ok := r.chain(to, []branch{b}, depth+1)
		*passed = append(*passed, ok...)
		if s.do == jump {
			*on = append(*on, ends...)
		} else {
			*returned = append(*returned, ends...)
		}
		return nil
	case limit:
		r.limited = true
	case over:
		r.limited = true
		*on = append(*on, b)
		return nil
	case setMark:
		b.packet.mark, b.packet.markUnknown = s.mark, !s.known
	case setCTMark:
		b.packet.ctMark, b.packet.ctUnknown = s.mark, !s.known
	case notrack:
		b.packet.untracked = true
	case dnat:
		return r.redirect(c, one, s, b, passed)
	default:
		_, ok := r.lost([]branch{b}, one.String())
		*passed = append(*passed, ok...)
	}
	return []branch{b}
}

// redirect gives the packet another target, which ends the nat chain.
func (r *run) redirect(c *chain, one *rule, s step, b branch, passed *[]branch) []branch {
	p := &b.packet
	if !s.known || !p.inbound && !p.loopback {
		_, ok := r.lost([]branch{b}, one.String())
		*passed = append(*passed, ok...)
		return nil
	}
	if s.to.moves {
		p.own = s.to.addr
	}
	if s.to.port != 0 {
		p.dport = s.to.port
	}
	p.redirected = true
	r.note(&r.accepted, one.String())
	*passed = append(*passed, b)
	return nil
}

// verdicts looks a packet up in a verdict map and returns what is not in it.
func (r *run) verdicts(c *chain, one *rule, t test, b branch, depth int, on, returned, passed *[]branch) branch {
	if t.values.why != "" {
		_, ok := r.lost([]branch{b}, one.String())
		*passed = append(*passed, ok...)
		return b
	}
	for i := range t.values.tuples {
		*r.work--
		yes, maybe := r.tuple(t, t.values.tuples[i], b)
		if len(maybe) > 0 {
			r.note(&r.why, one.String())
		}
		set := yes.union(maybe)
		if len(set) == 0 {
			continue
		}
		v := t.values.tuples[i].verdict
		hit := branch{set, b.packet}
		if v.do == match { // continue
			*on = append(*on, hit)
		} else {
			*on = append(*on, r.act(c, one, v, hit, depth, on, returned, passed)...)
		}
		if b.set = b.set.subtract(yes); len(b.set) == 0 {
			break
		}
	}
	return b
}

// merge joins packets that are the same but for the other side's address.
func (r *run) merge(in []branch) []branch {
	var out []branch
next:
	for _, b := range in {
		if len(b.set) == 0 {
			continue
		}
		for i := range out {
			if out[i].packet == b.packet {
				*r.work -= len(b.set) + len(out[i].set)
				out[i].set = out[i].set.union(b.set)
				continue next
			}
		}
		if len(out) == maxBranches {
			r.gaveUp = true
			r.note(&r.why, "marks and redirections make the packet too many different ones")
			continue
		}
		out = append(out, b)
	}
	return out
}
