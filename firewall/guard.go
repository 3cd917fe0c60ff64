package firewall

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// guard is who is never banned, whoever asks for it: the configuration's allow list, loopback, the host's own addresses, and
// its gateways, without which nobody reaches it.
type guard struct {
	prefixes []netip.Prefix // sorted, none within another
	why      map[netip.Prefix]string
}

// newGuard reads the host's interfaces and routes as they are now.
func newGuard(allow []netip.Prefix) (guard, error) {
	g := guard{why: map[netip.Prefix]string{}}
	add := func(p netip.Prefix, why string) {
		if p.IsValid() && g.why[p] == "" {
			g.why[p] = why
		}
	}
	add(netip.MustParsePrefix("127.0.0.0/8"), "loopback")
	add(netip.MustParsePrefix("::1/128"), "loopback")
	for _, p := range allow {
		add(p.Masked(), "on the allow list")
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return g, fmt.Errorf("list the host's own addresses: %w", err)
	}
	for _, a := range own {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			add(single(p.Addr()), "the host's own address")
		}
	}
	for _, a := range gateways() {
		add(single(a), "a gateway of this host")
	}
	for p := range g.why {
		g.prefixes = append(g.prefixes, p)
	}
	slices.SortFunc(g.prefixes, comparePrefixes)
	g.prefixes = outermost(g.prefixes)
	return g, nil
}

// outermost leaves out of a sorted list what lies within another network of it.
func outermost(list []netip.Prefix) []netip.Prefix {
	var kept []netip.Prefix
	for _, p := range list {
		if len(kept) == 0 || !kept[len(kept)-1].Contains(p.Addr()) {
			kept = append(kept, p)
		}
	}
	return kept
}

func single(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen())
}

// refuses says why a ban is not enforced; empty when it is. A network that only holds a protected address is enforced: the
// kernel's rules let that address through first.
func (g guard) refuses(p netip.Prefix) string {
	for _, own := range g.prefixes {
		if own.Bits() <= p.Bits() && own.Contains(p.Addr()) {
			return fmt.Sprintf("%s is %s", own, g.why[own])
		}
	}
	return ""
}

// holds says whether an address is protected.
func (g guard) holds(a netip.Addr) bool {
	return slices.ContainsFunc(g.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// equal says whether both protect the same.
func (g guard) equal(other guard) bool { return slices.Equal(g.prefixes, other.prefixes) }

// gateways reads the next hops of all routes from /proc/net. What cannot be read is left out: a host may have no IPv6.
func gateways() []netip.Addr {
	var all []netip.Addr
	read := func(name string, column int) {
		f, err := os.Open(name)
		if err != nil {
			return
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			fields := strings.Fields(lines.Text())
			if len(fields) <= column {
				continue
			}
			raw, err := hex.DecodeString(fields[column])
			if err != nil {
				continue
			}
			if len(raw) == 4 { // a word in the machine's own order; every machine that Doorward is built for is little-endian
				slices.Reverse(raw)
			}
			if a, ok := netip.AddrFromSlice(raw); ok && !a.IsUnspecified() {
				all = append(all, a)
			}
		}
	}
	read("/proc/net/route", 2)
	read("/proc/net/ipv6_route", 4)
	return all
}
