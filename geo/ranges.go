package geo

import "net/netip"

// Range is a block of addresses that belong to no country.
type Range struct {
	Prefix netip.Prefix
	Use    string // what it is for
	Source string // the document that says so
}

// Ranges returns the addresses that are Private, IPv4 first: those of the IANA special-purpose address registries
// (RFC 6890) that nobody on the Internet has as a source, and multicast. Blocks of those registries that are routed
// all the same, such as 6to4 (2002::/16), are not in it: the database has the word there.
func Ranges() []Range {
	v4 := func(a, b, c byte, bits int, use, source string) Range {
		return Range{netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b, c}), bits), use, source}
	}
	v6 := func(a, b, c, d uint16, bits int, use, source string) Range {
		raw := [16]byte{byte(a >> 8), byte(a), byte(b >> 8), byte(b), byte(c >> 8), byte(c), byte(d >> 8), byte(d)}
		return Range{netip.PrefixFrom(netip.AddrFrom16(raw), bits), use, source}
	}
	return []Range{
		v4(0, 0, 0, 8, "this network", "RFC 791"),
		v4(10, 0, 0, 8, "private networks", "RFC 1918"),
		v4(100, 64, 0, 10, "behind a carrier's NAT", "RFC 6598"),
		v4(127, 0, 0, 8, "loopback", "RFC 1122"),
		v4(169, 254, 0, 16, "link-local", "RFC 3927"),
		v4(172, 16, 0, 12, "private networks", "RFC 1918"),
		v4(192, 0, 0, 24, "protocol assignments", "RFC 6890"),
		v4(192, 0, 2, 24, "documentation", "RFC 5737"),
		v4(192, 168, 0, 16, "private networks", "RFC 1918"),
		v4(198, 18, 0, 15, "benchmarks", "RFC 2544"),
		v4(198, 51, 100, 24, "documentation", "RFC 5737"),
		v4(203, 0, 113, 24, "documentation", "RFC 5737"),
		v4(224, 0, 0, 4, "multicast", "RFC 5771"),
		v4(240, 0, 0, 4, "reserved, broadcast", "RFC 1112"),
		v6(0, 0, 0, 0, 96, "unspecified, loopback, IPv4-compatible", "RFC 4291"),
		v6(0x64, 0xff9b, 1, 0, 48, "local translation to IPv4", "RFC 8215"),
		v6(0x100, 0, 0, 0, 64, "discard only", "RFC 6666"),
		v6(0x100, 0, 0, 1, 64, "dummy prefix", "RFC 9780"),
		v6(0x2001, 2, 0, 0, 48, "benchmarks", "RFC 5180"),
		v6(0x2001, 0x10, 0, 0, 28, "hash identifiers, first version", "RFC 4843"),
		v6(0x2001, 0x20, 0, 0, 28, "hash identifiers", "RFC 7343"),
		v6(0x2001, 0xdb8, 0, 0, 32, "documentation", "RFC 3849"),
		v6(0x3fff, 0, 0, 0, 20, "documentation", "RFC 9637"),
		v6(0x5f00, 0, 0, 0, 16, "segment routing", "RFC 9602"),
		v6(0xfc00, 0, 0, 0, 7, "private networks (ULA)", "RFC 4193"),
		v6(0xfe80, 0, 0, 0, 10, "link-local", "RFC 4291"),
		v6(0xfec0, 0, 0, 0, 10, "site-local, given up", "RFC 3879"),
		v6(0xff00, 0, 0, 0, 8, "multicast", "RFC 4291"),
	}
}

// special is Ranges in the form in which it is searched.
type special struct{ v4, v6 []netip.Prefix }

func newSpecial() special {
	var s special
	for _, r := range Ranges() {
		if r.Prefix.Addr().Is4() {
			s.v4 = append(s.v4, r.Prefix)
		} else {
			s.v6 = append(s.v6, r.Prefix)
		}
	}
	return s
}

// contains tells whether addr, in plain form, is in one of the ranges.
func (s special) contains(addr netip.Addr) bool {
	list := s.v6
	if addr.Is4() {
		list = s.v4
	}
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// plainAddr is the address that counts: an IPv4 address out of its IPv6 forms (mapped, RFC 4291; 64:ff9b::/96, in which
// a translator in front of an IPv6-only server hands on its IPv4 clients, RFC 6052), and no zone, because an address
// with a zone is in no prefix as netip sees it.
func plainAddr(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if !addr.Is6() {
		return addr
	}
	raw := addr.As16()
	if [12]byte(raw[:12]) == [12]byte{1: 0x64, 2: 0xff, 3: 0x9b} {
		return netip.AddrFrom4([4]byte(raw[12:]))
	}
	return addr
}
