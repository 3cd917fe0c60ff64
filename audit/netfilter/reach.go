package netfilter

import (
	"fmt"
	"net/netip"
	"slices"
)

// Host is what has to be known of a host beside its rules.
type Host struct {
	Interfaces []Interface // those that are up
}

// Interface is a network interface.
type Interface struct {
	Name      string
	Loopback  bool
	Addresses []netip.Addr   // of the host, on it
	Routes    []netip.Prefix // what is reached through it; with length 0 the default route
}

// Packet is the question: a new connection by TCP or UDP, or an ICMP message.
type Packet struct {
	V6    bool
	Proto string // tcp, udp, icmp
	Port  uint16 // of the host, or of the other side for Outbound
	// Bound is the address that the service listens on; the zero value is all of the host's.
	Bound netip.Addr
	// Type and Code are ICMP's. Related says that it belongs to a connection that is there, as a router's message does.
	Type, Code uint8
	Related    bool
	// Hops is the hop limit where the protocol demands one: 255 for neighbour discovery.
	Hops uint8
	// Neighbour is a message to a multicast address of the host from a neighbour's link-local address.
	Neighbour bool
	// Tracked is false where connection tracking leaves the message alone, as it does neighbour discovery.
	Untracked bool
}

// Reach is the answer: which addresses of the other side get through.
type Reach struct {
	V6    bool
	open  spans // for certain
	maybe spans // not known
	all   spans // that are judged at all
	// Accepted and Refused are the first rules or policies that let through and that refused.
	Accepted, Refused []string
	// Limited says that a rate or number of connections is limited on the way.
	Limited bool
	// Why tells what was not understood.
	Why []string
}

// maxCases bounds how many cases of interface, address and source port one question is split into.
const maxCases = 2048

// special are networks that no packet comes from: this host's own and those that are no sender's.
func special(v6 bool) spans {
	texts := []string{"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"}
	if v6 {
		texts = []string{"::/127", "ff00::/8", "::ffff:0:0/96"}
	}
	return spansOf(texts...)
}

func spansOf(texts ...string) spans {
	var all []span
	for _, text := range texts {
		s, _ := prefixSpan(text)
		all = append(all, s)
	}
	return tidy(all)
}

// PrefixSet is the addresses of prefixes of one family.
func prefixSet(prefixes []netip.Prefix, v6 bool) spans {
	var all []span
	for _, p := range prefixes {
		if p.Addr().Is6() == v6 {
			all = append(all, spanOf(p))
		}
	}
	return tidy(all)
}

// behind is which addresses can be on the other side of an interface: what is routed there, but not better elsewhere.
// With a default route it is everything.
func (h Host) behind(i Interface, v6 bool) spans {
	return prefixSet(i.Routes, v6).subtract(special(v6))
}

// own is the host's addresses in a family on an interface, at most eight.
func (i Interface) own(v6 bool) []netip.Addr {
	var all []netip.Addr
	for _, a := range i.Addresses {
		if a.Is6() == v6 && len(all) < 8 {
			all = append(all, a)
		}
	}
	return all
}

// Inbound judges a packet from the outside to the host, and for TCP and UDP the answer to it.
func (r *Ruleset) Inbound(h Host, q Packet) Reach {
	out := Reach{V6: q.V6}
	work := maxWork
	cases := 0
	for _, i := range h.Interfaces {
		if i.Loopback {
			continue
		}
		own := i.own(q.V6)
		if q.Bound.IsValid() && !q.Bound.IsUnspecified() {
			own = []netip.Addr{q.Bound.WithZone("").Unmap()}
		}
		set := h.behind(i, q.V6)
		if q.Neighbour {
			set = spansOf("fe80::/10")
		}
		for _, a := range own {
			for _, sport := range r.sourcePorts(q) {
				if cases++; cases > maxCases {
					out.Why = append(out.Why, "the host has too many interfaces and addresses to judge all of them")
					out.maybe = out.maybe.union(set)
					continue
				}
				p := q.packet(a, sport, i.Name)
				out.add(r.journey(h, p, set, &work), set)
			}
		}
	}
	out.finish(r)
	return out
}

// Loopback judges a new connection that the host makes to itself.
func (r *Ruleset) Loopback(h Host, q Packet) Reach {
	out := Reach{V6: q.V6}
	work := maxWork
	a := netip.MustParseAddr("127.0.0.1")
	if q.V6 {
		a = netip.IPv6Loopback()
	}
	if q.Bound.IsValid() && !q.Bound.IsUnspecified() {
		a = q.Bound.WithZone("").Unmap()
	}
	for _, i := range h.Interfaces {
		if !i.Loopback {
			continue
		}
		n := numberOf(a)
		p := q.packet(a, 40000, i.Name)
		p.loopback = true
		out.add(r.looped(p, spans{{n, n}}, &work), spans{{n, n}})
	}
	out.finish(r)
	return out
}

// Outbound judges a new connection of the host to a port elsewhere: the answer is which addresses it can be made to.
func (r *Ruleset) Outbound(h Host, q Packet) Reach {
	out := Reach{V6: q.V6}
	work := maxWork
	for _, i := range h.Interfaces {
		if i.Loopback {
			continue
		}
		set := h.behind(i, q.V6)
		for _, a := range i.own(q.V6) {
			p := q.packet(a, 40000, "")
			p.inbound, p.oif = false, i.Name
			out.add(r.leaving(p, set, i.Name, &work), set)
		}
	}
	out.finish(r)
	return out
}

func (q Packet) packet(own netip.Addr, sport uint16, iif string) packet {
	p := packet{v6: q.V6, own: numberOf(own), inbound: true, iif: iif, state: ctNew, sport: sport, dport: q.Port, asked: q.Port,
		kind: q.Type, code: q.Code, hops: q.Hops, untracked: q.Untracked, multicast: q.Neighbour}
	switch q.Proto {
	case "tcp":
		p.proto, p.flags = protoTCP, tcpSYN
	case "udp":
		p.proto = protoUDP
	default:
		p.sport, p.dport, p.asked = 0, 0, 0
		if p.proto = protoICMP; q.V6 {
			p.proto = protoICMPv6
		}
	}
	if q.Related {
		p.state = ctRelated
	}
	return p
}

// sourcePorts are ports that a stranger may send from: any, and those that rules ask for, because he chooses.
func (r *Ruleset) sourcePorts(q Packet) []uint16 {
	all := []uint16{40000}
	if q.Proto != "tcp" && q.Proto != "udp" {
		return all
	}
	add := func(v number) {
		if len(all) < 24 && v.hi == 0 && v.lo < 1<<16 && !slices.Contains(all, uint16(v.lo)) {
			all = append(all, uint16(v.lo))
		}
	}
	for _, c := range r.chains {
		for _, one := range c.rules {
			for _, s := range one.steps {
				if s.do != match || len(s.test.fields) != 1 || s.test.values == nil {
					continue
				}
				if f := s.test.fields[0]; f != "tcp sport" && f != "udp sport" && f != "th sport" {
					continue
				}
				for _, n := range s.test.values.numbers {
					add(n.from)
					add(n.to)
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

func (out *Reach) add(res result, set spans) {
	sure := res.passed.subtract(res.refused)
	out.open = out.open.union(sure)
	out.maybe = out.maybe.union(res.passed.intersect(res.refused))
	out.all = out.all.union(set)
	for _, one := range res.runs {
		one.merge(nil)
		out.Limited = out.Limited || one.limited
		for _, text := range one.accepted {
			one.note(&out.Accepted, text)
		}
		for _, text := range one.refused {
			one.note(&out.Refused, text)
		}
		for _, text := range one.why {
			one.note(&out.Why, text)
		}
	}
}

// finish puts what is certain before what is not.
func (out *Reach) finish(r *Ruleset) {
	if len(r.unread) > 0 {
		out.maybe, out.open = out.maybe.union(out.all), nil
		out.Why = append(out.Why, r.unread...)
	}
	out.maybe = out.maybe.subtract(out.open)
	if len(out.maybe) > 0 && len(out.Why) == 0 {
		out.Why = append(out.Why, fmt.Sprintf("several rules decide differently: %v", out.Accepted))
	}
}
