package netfilter

import "slices"

// Redirected is a port that rules lead elsewhere, so that it can be open although nothing listens on it.
type Redirected struct {
	V6    bool
	Proto string
	Port  uint16
	Rule  string
}

// maxRedirected bounds how many ports are told; a rule that redirects a range tells its first ports.
const maxRedirected = 200

// Redirections lists the ports that dnat and redirect rules name.
func (r *Ruleset) Redirections() []Redirected {
	var all []Redirected
	for _, c := range r.chains {
		for _, one := range c.rules {
			if !slices.ContainsFunc(one.steps, func(s step) bool { return s.do == dnat }) {
				continue
			}
			proto, ports := "tcp", spans(nil)
			for _, s := range one.steps {
				if s.do != match || len(s.test.fields) != 1 || s.test.how != equal {
					continue
				}
				switch s.test.fields[0] {
				case "udp dport":
					proto, ports = "udp", s.test.values.numbers
				case "tcp dport", "th dport":
					ports = s.test.values.numbers
				case "meta l4proto":
					if s.test.values.numbers.has(small(protoUDP)) {
						proto = "udp"
					}
				}
			}
			for _, p := range ports {
				for n := p.from; n.compare(p.to) <= 0 && len(all) < maxRedirected; n = n.next() {
					if c.family != "ip6" {
						all = append(all, Redirected{false, proto, uint16(n.lo), one.String()})
					}
					if c.family != "ip" {
						all = append(all, Redirected{true, proto, uint16(n.lo), one.String()})
					}
				}
			}
		}
	}
	return all
}
