package fail2ban

import (
	"net/netip"
	"strconv"
)

// address is the text of an address as fail2ban shows it, and the prefix that it means: masked when the expression found a length,
// an IPv4 address when it is one within IPv6. What is no address stays as it was found, without a prefix.
func address(text, length string, v6 bool) (string, netip.Prefix) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Is6() != v6 || a.Zone() != "" {
		return text, netip.Prefix{}
	}
	bits := a.BitLen()
	if length != "" {
		n, err := strconv.Atoi(length)
		if err == nil && n < bits {
			p, err := a.Prefix(n)
			if err != nil {
				return text, netip.Prefix{}
			}
			if n == 0 {
				return written(p.Addr()), netip.Prefix{} // everybody is never what a line means
			}
			return written(p.Addr()) + "/" + strconv.Itoa(n), p
		}
	} else if a.Is4In6() {
		a = a.Unmap()
		bits = 32
	}
	if a.Is4() && !v6 {
		return text, netip.PrefixFrom(a, bits) // there is one way to write it
	}
	return written(a), netip.PrefixFrom(a, bits)
}

// written is an address as the C library writes it: the old form ::192.0.2.1 keeps its dots.
func written(a netip.Addr) string {
	if !a.Is6() {
		return a.String()
	}
	b := a.As16()
	for _, v := range b[:12] {
		if v != 0 {
			if a.Is4In6() {
				return "::ffff:" + a.Unmap().String()
			}
			return a.String()
		}
	}
	if b[12] == 0 && b[13] == 0 {
		return a.String()
	}
	return "::" + netip.AddrFrom4([4]byte(b[12:])).String()
}
