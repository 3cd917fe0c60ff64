package netfilter

// Protocol numbers of IANA.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

// Bits of ct state and of tcp flags, as the kernel has them.
const (
	ctInvalid     = 1
	ctEstablished = 2
	ctRelated     = 4
	ctNew         = 8
	ctUntracked   = 64

	tcpSYN = 0x02
	tcpACK = 0x10
)

const ctStatusDNAT = 32

// packet is what rules see of a packet, beside the address of the other side, for which all are judged at once.
type packet struct {
	v6           bool
	proto        uint8
	sport, dport uint16
	asked        uint16 // the port before it was redirected
	own          number // the host's address, or the one that a redirection leads to
	inbound      bool   // the other side is the source
	iif, oif     string
	state        uint8 // bits of ct state
	untracked    bool  // notrack was met
	before       bool  // connection tracking has not seen it yet
	flags        uint8 // of TCP
	kind, code   uint8 // of ICMP
	reply        bool
	multicast    bool // to a multicast address of the host
	loopback     bool
	mark, ctMark uint32
	markUnknown  bool
	ctUnknown    bool
	hops         uint8 // 0: any
	redirected   bool
	forwarded    bool
}

// seeing is what a packet has under a field's name.
type seeing int

const (
	unsure  seeing = iota // not known
	absent                // the packet has no such field, and the rule ends
	exact                 // a number
	aName                 // an interface
	theirs                // the address of the other side
	nowhere               // a name, and there is no interface
)

type seen struct {
	is   seeing
	n    number
	name string
}

func is(n uint64) seen { return seen{is: exact, n: small(n)} }

func truth(b bool) seen {
	if b {
		return is(1)
	}
	return is(0)
}

// see finds a field of the packet.
func (p packet) see(field string) seen {
	switch field {
	case "ip saddr", "ip daddr", "ip6 saddr", "ip6 daddr":
		return p.address(field)
	case "ip protocol", "ip version", "ip hdrlength", "ip ttl", "ip frag-off":
		if p.v6 {
			return seen{is: absent}
		}
	case "ip6 nexthdr", "ip6 version", "ip6 hoplimit":
		if !p.v6 {
			return seen{is: absent}
		}
	case "tcp sport", "tcp dport", "tcp flags":
		if p.proto != protoTCP {
			return seen{is: absent}
		}
	case "udp sport", "udp dport":
		if p.proto != protoUDP {
			return seen{is: absent}
		}
	case "icmp type", "icmp code":
		if p.proto != protoICMP {
			return seen{is: absent}
		}
	case "icmpv6 type", "icmpv6 code":
		if p.proto != protoICMPv6 {
			return seen{is: absent}
		}
	case "th sport", "th dport":
		if p.proto != protoTCP && p.proto != protoUDP {
			return seen{}
		}
	}
	if s, ok := p.header(field); ok {
		return s
	}
	return p.meta(field)
}

func (p packet) address(field string) seen {
	if (field[:3] == "ip6") != p.v6 {
		return seen{is: absent}
	}
	source := field[len(field)-5] == 's'
	if source == p.inbound {
		return seen{is: theirs}
	}
	return seen{is: exact, n: p.own}
}

func (p packet) header(field string) (seen, bool) {
	switch field {
	case "ip protocol", "ip6 nexthdr", "meta l4proto", "ct protocol":
		return is(uint64(p.proto)), true
	case "ip version":
		return is(4), true
	case "ip6 version":
		return is(6), true
	case "ip hdrlength":
		return is(5), true
	case "ip ttl", "ip6 hoplimit":
		if p.hops != 0 {
			return is(uint64(p.hops)), true
		}
		return seen{}, true
	case "ip frag offset": // without the flags, which differ
		return is(0), true
	case "tcp sport", "udp sport", "th sport":
		return is(uint64(p.sport)), true
	case "tcp dport", "udp dport", "th dport":
		return is(uint64(p.dport)), true
	case "ct original proto-dst":
		return is(uint64(p.asked)), !p.reply
	case "tcp flags":
		return is(uint64(p.flags)), true
	case "icmp type", "icmpv6 type":
		return is(uint64(p.kind)), true
	case "icmp code", "icmpv6 code":
		return is(uint64(p.code)), true
	case "exthdr exists":
		return is(0), true // our packets have none
	case "exthdr field":
		return seen{is: absent}, true
	}
	return seen{}, false
}

func (p packet) meta(field string) seen {
	device := func(name string) seen {
		if name == "" {
			return seen{is: nowhere}
		}
		return seen{is: aName, name: name}
	}
	switch field {
	case "meta iifname", "meta iif":
		return device(p.iif)
	case "meta oifname", "meta oif":
		return device(p.oif)
	case "meta nfproto", "ct l3proto":
		if p.v6 {
			return is(10)
		}
		return is(2)
	case "meta protocol":
		if p.v6 {
			return is(0x86dd)
		}
		return is(0x0800)
	case "meta mark":
		if p.markUnknown {
			return seen{}
		}
		return is(uint64(p.mark))
	case "ct mark":
		if p.ctUnknown || p.reply {
			return seen{}
		}
		return is(uint64(p.ctMark))
	case "meta pkttype":
		if p.multicast {
			return is(2)
		}
		return is(0)
	case "meta secpath":
		return is(0) // an arbitrary stranger has no IPsec tunnel to the host
	case "ct state":
		return is(uint64(p.ctState()))
	case "ct status":
		if p.state == ctNew && !p.before {
			return truth(p.redirected).scaled(ctStatusDNAT)
		}
		return seen{}
	case "ct direction":
		return truth(p.reply)
	case "ct helper":
		return seen{is: absent}
	case "fib daddr type":
		return p.fibType(!p.inbound)
	case "fib saddr type":
		return p.fibType(p.inbound)
	case "fib saddr exists":
		return is(1)
	}
	return seen{}
}

func (s seen) scaled(by uint64) seen {
	s.n.lo *= by
	return s
}

// ctState is the state before and after connection tracking has looked.
func (p packet) ctState() uint8 {
	switch {
	case p.untracked:
		return ctUntracked
	case p.before:
		return ctInvalid // what has no entry counts as invalid
	}
	return p.state
}

// fibType is what the routes say of an address: that of the other side, or the host's.
func (p packet) fibType(other bool) seen {
	switch {
	case p.multicast && !other:
		return is(5)
	case other && !p.loopback, !other && p.forwarded:
		return is(1) // unicast
	}
	return is(2) // local
}
