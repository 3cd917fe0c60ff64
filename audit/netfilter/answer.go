package netfilter

import "net/netip"

// Answer is how a question about many addresses is answered.
type Answer string

// The answers. Some is that a few addresses get through and most do not; Unknown is that rules were not understood.
const (
	Open    Answer = "open"
	Some    Answer = "some"
	Closed  Answer = "closed"
	Unknown Answer = "unknown"
)

// private are networks whose addresses say nothing about a stranger on the Internet (RFC 6890).
func private(v6 bool) spans {
	if v6 {
		return spansOf("fc00::/7", "fe80::/10", "2001:db8::/32", "64:ff9b:1::/48")
	}
	return spansOf("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")
}

// most is, as a power of two, how many public addresses make a port open: what is let in by more than 16 million IPv4
// addresses, or a /16 of IPv6, is open to strangers, whatever list says so.
func most(v6 bool) int {
	if v6 {
		return 112
	}
	return 24
}

// Stranger answers for an arbitrary address of the Internet. except are networks that are no strangers'.
func (a Reach) Stranger(except []netip.Prefix) Answer {
	known := prefixSet(except, a.V6)
	open := a.open.subtract(known)
	public := open.subtract(private(a.V6))
	switch {
	case public.larger(most(a.V6)):
		return Open
	case len(a.maybe.subtract(known)) > 0:
		return Unknown
	case len(open) > 0:
		return Some
	}
	return Closed
}

// From answers for all addresses of networks: open when all of them get through.
func (a Reach) From(networks []netip.Prefix) Answer {
	want := prefixSet(networks, a.V6)
	switch {
	case len(want.intersect(a.maybe)) > 0:
		return Unknown
	case len(want) > 0 && len(want.subtract(a.open)) == 0:
		return Open
	case len(want.intersect(a.open)) > 0:
		return Some
	}
	return Closed
}

// Whole answers for all addresses that were asked about.
func (a Reach) Whole() Answer {
	switch {
	case len(a.maybe) > 0:
		return Unknown
	case len(a.open) == 0:
		return Closed
	case len(a.all.subtract(a.open)) == 0:
		return Open
	}
	return Some
}

// Sources are the networks that get through, at most limit of them; more says that there are others.
func (a Reach) Sources(limit int) (networks []netip.Prefix, more bool) {
	return a.open.prefixes(a.V6, limit)
}

// Within says whether nobody outside networks gets through, as far as is known.
func (a Reach) Within(networks []netip.Prefix) bool {
	return len(a.open.subtract(prefixSet(networks, a.V6))) == 0
}
