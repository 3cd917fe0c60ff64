package firewall

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// MaxElements is how many bans the kernel is given at most. A list with more is refused as a whole.
const MaxElements = 500_000

// The shortest prefixes that can be banned: what is wider is a mistake, and would cut off a good part of the Internet.
const (
	minBits4 = 8
	minBits6 = 16
)

// Element is one banned address or network.
type Element struct {
	Prefix netip.Prefix
	Until  time.Time // zero: for good
}

// expired says whether the ban is over.
func (e Element) expired(now time.Time) bool { return !e.Until.IsZero() && !e.Until.After(now) }

// Refusal is an element that is not enforced.
type Refusal struct {
	Prefix netip.Prefix `json:"prefix"`
	Why    string       `json:"why"`
}

// normal is the form in which a prefix is compared: IPv4 is never written as IPv6, and no bits stand beyond the length.
func normal(p netip.Prefix) (netip.Prefix, error) {
	switch {
	case !p.IsValid():
		return p, fmt.Errorf("%q is no network", p)
	case p.Addr().Zone() != "":
		return p, fmt.Errorf("%s names an interface", p)
	case p.Addr().Is4In6() && p.Bits() >= 96:
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	p = p.Masked()
	if least := minBits(p.Addr()); p.Bits() < least {
		return p, fmt.Errorf("%s is wider than /%d", p, least)
	}
	return p, nil
}

func minBits(a netip.Addr) int {
	if a.Is4() {
		return minBits4
	}
	return minBits6
}

// comparePrefixes orders IPv4 before IPv6, then by address, then the wider one first.
func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// sorted lists a map of bans by prefix.
func sorted(all map[netip.Prefix]time.Time) []Element {
	list := make([]Element, 0, len(all))
	for p, until := range all {
		list = append(list, Element{p, until})
	}
	slices.SortFunc(list, func(a, b Element) int { return comparePrefixes(a.Prefix, b.Prefix) })
	return list
}
