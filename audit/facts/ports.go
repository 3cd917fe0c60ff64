package facts

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/doorward/doorward/audit/netfilter"
)

const (
	maxPorts   = 500 // that are judged
	maxSources = 64  // networks told of one port
)

// judging asks the rules about ports.
type judging struct {
	ctx     context.Context
	rules   *netfilter.Ruleset
	host    netfilter.Host // as it is
	assumed netfilter.Host // with addresses of both versions
	same    bool           // the two are
	target  Target
	origin  string
	why     []string // rules that were not understood and mattered
}

// say notes why an answer is not known.
func (g *judging) say(a netfilter.Answer, r netfilter.Reach) string {
	if a == netfilter.Unknown {
		for _, text := range r.Why {
			if !slices.Contains(g.why, text) && len(g.why) < 10 {
				g.why = append(g.why, text)
			}
		}
		if len(g.why) == 0 {
			g.why = append(g.why, "rules that decide differently")
		}
	}
	return string(a)
}

func (g *judging) stranger(p netfilter.Packet) string {
	r := g.rules.Inbound(g.assumed, p)
	return g.say(r.Stranger(g.target.AdminNetworks), r)
}

// unnamed is a port that nobody has a reason to name in a rule.
func (g *judging) unnamed() uint16 { return 48619 }

// ports judges everything that listens, is declared, or is led elsewhere.
func (g *judging) ports(listeners []Listener) []Port {
	byName := map[string]*Port{}
	port := func(protocol string, number int) *Port {
		name := protocol + "/" + strconv.Itoa(number)
		if byName[name] == nil && len(byName) < maxPorts {
			byName[name] = &Port{Protocol: protocol, Number: number, Needed: slices.Contains(g.target.openPorts(), name), Origin: g.origin}
		}
		return byName[name]
	}
	on := map[*Port][]Listener{}
	for _, l := range listeners {
		p := port(l.Protocol, l.Port)
		if p == nil {
			g.why = append(g.why, "more than 500 ports")
			break
		}
		p.Outer = p.Outer || l.Outer
		p.Service, p.Process = cmp.Or(p.Service, l.Service), cmp.Or(p.Process, l.Process)
		on[p] = append(on[p], l)
	}
	for _, name := range g.target.openPorts() {
		protocol, number, _ := strings.Cut(name, "/")
		if n, err := strconv.ParseUint(number, 10, 16); err == nil && (protocol == "tcp" || protocol == "udp") {
			port(protocol, int(n))
		}
	}
	led := map[string]bool{}
	for _, r := range g.rules.Redirections() {
		if p := port(r.Proto, int(r.Port)); p != nil {
			p.Redirected, p.Outer = true, true
			led[r.Proto+"/"+strconv.Itoa(int(r.Port))+strconv.FormatBool(r.V6)] = true
		}
	}
	var all []Port
	for name, p := range byName {
		if usual := portsOf(p.Service); len(usual) > 0 && !slices.Contains(usual, p.Number) {
			p.Moved = true
		}
		p.V4 = g.way(p, on[p], false, led[name+"false"])
		p.V6 = g.way(p, on[p], true, led[name+"true"])
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b Port) int { return cmp.Or(strings.Compare(a.Protocol, b.Protocol), a.Number-b.Number) })
	return all
}

// way judges a port by one version of IP.
func (g *judging) way(p *Port, on []Listener, v6, led bool) Way {
	if g.ctx.Err() != nil {
		return Way{}
	}
	q := netfilter.Packet{V6: v6, Proto: p.Protocol, Port: uint16(p.Number)}
	admin := g.target.AdminNetworks
	rules := g.rules.Inbound(g.assumed, q)
	w := Way{Rules: g.say(rules.Stranger(admin), rules), Outside: string(netfilter.Closed), Admin: g.say(rules.From(admin), rules),
		Limited: rules.Limited, OnlyAdmin: true}
	loop := g.rules.Loopback(g.host, q)
	w.Loopback = g.say(loop.Whole(), loop)
	networks, more := rules.Sources(maxSources)
	w.More = more
	for _, n := range networks {
		w.Sources = append(w.Sources, n.String())
	}
	w.Rule = strings.Join(slices.Concat(rules.Accepted, rules.Refused)[:min(1, len(rules.Accepted)+len(rules.Refused))], "")
	if w.Rules == string(netfilter.Closed) && len(rules.Refused) > 0 {
		w.Rule = rules.Refused[0]
	}
	if led {
		g.outside(&w, g.inbound(q, rules))
	}
	for _, l := range on {
		if !l.Outer || v6 && !l.IPv6 || !v6 && !l.IPv4 {
			continue
		}
		// A packet for one address meets rules about that one.
		if q.Bound, _ = netip.ParseAddr(l.Address); q.Bound.IsUnspecified() || q.Bound.Unmap().Is6() != v6 {
			q.Bound = netip.Addr{}
		}
		g.outside(&w, g.inbound(q, rules))
	}
	return w
}

// inbound asks about the host as it is. Where nothing had to be assumed, whole is the answer already.
func (g *judging) inbound(q netfilter.Packet, whole netfilter.Reach) netfilter.Reach {
	if g.same && !q.Bound.IsValid() {
		return whole
	}
	return g.rules.Inbound(g.host, q)
}

// outside adds one way in to what strangers reach.
func (g *judging) outside(w *Way, r netfilter.Reach) {
	admin := g.target.AdminNetworks
	order := []string{string(netfilter.Closed), string(netfilter.Some), string(netfilter.Unknown), string(netfilter.Open)}
	a := g.say(r.Stranger(admin), r)
	if slices.Index(order, a) > slices.Index(order, w.Outside) {
		w.Outside = a
	}
	w.OnlyAdmin = w.OnlyAdmin && r.Within(admin) && a != string(netfilter.Unknown)
}

// icmp asks about messages that a host needs.
func (g *judging) icmp() ICMP {
	whole := func(p netfilter.Packet) string {
		r := g.rules.Inbound(g.assumed, p)
		return g.say(r.Whole(), r)
	}
	return ICMP{
		Echo4:      g.stranger(netfilter.Packet{Proto: "icmp", Type: 8}),
		Frag4:      g.stranger(netfilter.Packet{Proto: "icmp", Type: 3, Code: 4, Related: true}),
		Echo6:      g.stranger(netfilter.Packet{Proto: "icmp", Type: 128, V6: true}),
		TooBig6:    g.stranger(netfilter.Packet{Proto: "icmp", Type: 2, Related: true, V6: true}),
		Neighbour6: whole(netfilter.Packet{Proto: "icmp", Type: 135, V6: true, Hops: 255, Neighbour: true, Untracked: true}),
		Origin:     g.origin,
	}
}

// outlets are the ports that programs of the guides connect to, beside those of audit.outbound.
func (g *judging) outlets() []netfilter.Packet {
	all := []netfilter.Packet{{Proto: "udp", Port: 53}, {Proto: "udp", Port: 123}}
	for _, n := range []uint16{25, 53, 80, 389, 443, 465, 587, 636, 3306, 5432, 6557, 9000, 25321} {
		all = append(all, netfilter.Packet{Proto: "tcp", Port: n})
	}
	for _, name := range g.target.Outbound {
		_, port, _ := strings.Cut(name[strings.LastIndex(name, "]")+1:], ":")
		n, err := strconv.ParseUint(port, 10, 16)
		p := netfilter.Packet{Proto: "tcp", Port: uint16(n)}
		if err == nil && len(all) < 100 && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

func (g *judging) egress() Egress {
	ask := func(p netfilter.Packet) (string, netfilter.Reach) {
		r := g.rules.Outbound(g.assumed, p)
		return g.say(r.Stranger(g.target.AdminNetworks), r), r
	}
	e := Egress{Origin: g.origin}
	e.Any4, _ = ask(netfilter.Packet{Proto: "tcp", Port: g.unnamed()})
	e.Any6, _ = ask(netfilter.Packet{Proto: "tcp", Port: g.unnamed(), V6: true})
	for _, p := range g.outlets() {
		o := Outlet{Protocol: p.Proto, Number: int(p.Port), Origin: g.origin}
		for _, v6 := range []bool{false, true} {
			p.V6 = v6
			answer, r := ask(p)
			if v6 {
				o.V6 = answer
			} else {
				o.V4 = answer
			}
			if answer != string(netfilter.Some) {
				continue
			}
			networks, _ := r.Sources(maxSources)
			for _, n := range networks {
				o.Destinations = append(o.Destinations, n.String())
			}
		}
		e.Ports = append(e.Ports, o)
	}
	return e
}
