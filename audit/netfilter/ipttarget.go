package netfilter

import (
	"net/netip"
	"slices"
	"strings"
)

// target reads what a rule of iptables does.
func (p *reader) target(c *chain, name string, how doing) []step {
	to := c.place
	to.name = name
	if p.rules.chains[to] != nil {
		return []step{{do: how, target: name}}
	}
	one := func(d doing) []step { return []step{{do: d}} }
	switch name {
	case "ACCEPT":
		return one(accept)
	case "DROP", "REJECT":
		return one(drop)
	case "RETURN":
		return one(back)
	case "LOG", "NFLOG", "ULOG", "TRACE", "AUDIT", "TCPMSS", "DSCP", "TOS", "TTL", "HL", "CLASSIFY", "CHECKSUM", "SET", "LED", "TEE",
		"CONNSECMARK", "SECMARK", "RATEEST":
		return nil
	case "NOTRACK":
		return one(notrack)
	case "CT":
		if slices.Contains(p.words, "--notrack") {
			return one(notrack)
		}
		return nil
	case "SNAT", "MASQUERADE":
		return one(accept)
	case "MARK":
		return []step{p.setMark(setMark)}
	case "CONNMARK":
		if slices.Contains(p.words, "--restore-mark") {
			return []step{{do: setMark}} // known only if the connection's is
		}
		if slices.Contains(p.words, "--save-mark") {
			return []step{{do: setCTMark}}
		}
		return []step{p.setMark(setCTMark)}
	case "REDIRECT", "DNAT":
		return []step{p.redirect(name == "REDIRECT")}
	}
	return one(opaque)
}

func (p *reader) setMark(d doing) step {
	for i, w := range p.words[:max(0, len(p.words)-1)] {
		if w != "--set-xmark" && w != "--set-mark" {
			continue
		}
		value, mask, cut := strings.Cut(p.words[i+1], "/")
		n, ok := symbol(integers, value)
		whole, _ := symbol(integers, mask)
		return step{do: d, mark: uint32(n.lo), known: ok && (!cut || whole.lo == 0xffffffff)}
	}
	return step{do: d}
}

func (p *reader) redirect(local bool) step {
	s := step{do: dnat, known: true, to: redirection{local: local}}
	for len(p.words) > 0 {
		switch p.next() {
		case "--to-ports":
			n, ok := symbol(integers, p.next())
			s.to.port, s.known = uint16(n.lo), s.known && ok
		case "--to-destination":
			s = p.destination(s, p.next())
		case "--random", "--persistent":
		default:
			s.known = false
		}
	}
	return s
}

func (p *reader) destination(s step, text string) step {
	if at, err := netip.ParseAddrPort(text); err == nil {
		s.to.addr, s.to.moves, s.to.port = numberOf(at.Addr()), true, at.Port()
		return s
	}
	if port, ok := strings.CutPrefix(text, ":"); ok {
		n, ok := symbol(integers, port)
		s.to.port, s.known = uint16(n.lo), ok
		return s
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	s.known = err == nil
	if err == nil {
		s.to.addr, s.to.moves = numberOf(a), true
	}
	return s
}
