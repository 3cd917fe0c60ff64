package netfilter

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
)

// number is an address, a port, or any other value that a rule compares.
type number struct{ hi, lo uint64 }

func (a number) compare(b number) int {
	return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo))
}

func (a number) next() number {
	lo, carry := bits.Add64(a.lo, 1, 0)
	return number{a.hi + carry, lo}
}

func (a number) before() number {
	lo, borrow := bits.Sub64(a.lo, 1, 0)
	return number{a.hi - borrow, lo}
}

func (a number) and(b number) number { return number{a.hi & b.hi, a.lo & b.lo} }

func small(n uint64) number { return number{lo: n} }

// numberOf is an address as a number. IPv4 and IPv6 are not mixed in one list of spans.
func numberOf(a netip.Addr) number {
	if a.Is4() {
		b := a.As4()
		return small(uint64(binary.BigEndian.Uint32(b[:])))
	}
	b := a.As16()
	return number{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func addrOf(n number, v6 bool) netip.Addr {
	if !v6 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(n.lo))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], n.hi)
	binary.BigEndian.PutUint64(b[8:], n.lo)
	return netip.AddrFrom16(b)
}

// span is all numbers from one to another, both included.
type span struct{ from, to number }

func spanOf(p netip.Prefix) span {
	p = p.Masked()
	from := numberOf(p.Addr())
	free := p.Addr().BitLen() - p.Bits()
	to := from
	if free >= 64 {
		to.lo, to.hi = ^uint64(0), to.hi|(1<<(free-64)-1)
	} else {
		to.lo |= 1<<free - 1
	}
	return span{from, to}
}

// spans is a set of numbers: sorted, and no two spans touch.
type spans []span

// tidy makes a set of spans in any order.
func tidy(all []span) spans {
	slices.SortFunc(all, func(a, b span) int { return a.from.compare(b.from) })
	out := make(spans, 0, len(all))
	for _, s := range all {
		if s.to.compare(s.from) < 0 {
			continue
		}
		if n := len(out); n > 0 && (s.from.compare(out[n-1].to) <= 0 || s.from == out[n-1].to.next()) {
			if s.to.compare(out[n-1].to) > 0 {
				out[n-1].to = s.to
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

func (s spans) union(o spans) spans {
	switch {
	case len(s) == 0:
		return o
	case len(o) == 0:
		return s
	}
	out := make(spans, 0, len(s)+len(o))
	for len(s)+len(o) > 0 {
		var next span
		if len(o) == 0 || len(s) > 0 && s[0].from.compare(o[0].from) <= 0 {
			next, s = s[0], s[1:]
		} else {
			next, o = o[0], o[1:]
		}
		if n := len(out); n > 0 && (next.from.compare(out[n-1].to) <= 0 || next.from == out[n-1].to.next()) {
			if next.to.compare(out[n-1].to) > 0 {
				out[n-1].to = next.to
			}
			continue
		}
		out = append(out, next)
	}
	return out
}

// from is where the spans begin that reach n or lie after it.
func (s spans) from(n number) int {
	i, _ := slices.BinarySearchFunc(s, n, func(a span, n number) int {
		if a.to.compare(n) < 0 {
			return -1
		}
		return 1
	})
	return i
}

func (s spans) intersect(o spans) spans {
	if len(s) < len(o) {
		s, o = o, s
	}
	var out spans
	for _, b := range o { // the shorter of the two: sets of a hundred thousand addresses meet rules about one
		for i := s.from(b.from); i < len(s) && s[i].from.compare(b.to) <= 0; i++ {
			cut := s[i]
			if b.from.compare(cut.from) > 0 {
				cut.from = b.from
			}
			if b.to.compare(cut.to) < 0 {
				cut.to = b.to
			}
			out = append(out, cut)
		}
	}
	return out
}

func (s spans) subtract(o spans) spans {
	if len(s.intersect(o)) == 0 {
		return s
	}
	out := make(spans, 0, len(s)+len(o))
	for k := 0; len(s) > 0; {
		// Spans before the next one to take away are copied together.
		if k += o[k:].from(s[0].from); k == len(o) {
			return append(out, s...)
		}
		n := s.from(o[k].from)
		out = append(out, s[:n]...)
		if s = s[n:]; len(s) == 0 {
			break
		}
		rest := s[0]
		s = s[1:]
		gone := false
		for i := k; i < len(o) && o[i].from.compare(rest.to) <= 0; i++ {
			if o[i].from.compare(rest.from) > 0 {
				out = append(out, span{rest.from, o[i].from.before()})
			}
			if gone = o[i].to.compare(rest.to) >= 0; gone {
				break
			}
			rest.from = o[i].to.next()
		}
		if !gone {
			out = append(out, rest)
		}
	}
	return out
}

func (s spans) has(n number) bool {
	i, found := slices.BinarySearchFunc(s, n, func(a span, n number) int { return a.from.compare(n) })
	return found || i > 0 && s[i-1].to.compare(n) >= 0
}

// larger says whether the set has more than 1<<power numbers.
func (s spans) larger(power int) bool {
	var sum number
	limit := small(1 << (power & 63))
	if power >= 64 {
		limit = number{hi: 1 << (power - 64)}
	}
	for _, a := range s {
		lo, borrow := bits.Sub64(a.to.lo, a.from.lo, 0)
		hi, _ := bits.Sub64(a.to.hi, a.from.hi, borrow)
		var carry uint64
		sum.lo, carry = bits.Add64(sum.lo, lo, 1)
		if sum.hi, carry = bits.Add64(sum.hi, hi, carry); carry != 0 {
			return true
		}
		if sum.compare(limit) > 0 {
			return true
		}
	}
	return false
}

// prefixes writes the set as networks, at most limit of them; more says that there are more.
func (s spans) prefixes(v6 bool, limit int) (all []netip.Prefix, more bool) {
	width := 32
	if v6 {
		width = 128
	}
	for _, a := range s {
		for from := a.from; ; {
			if len(all) == limit {
				return all, true
			}
			p := netip.PrefixFrom(addrOf(from, v6), width)
			for p.Bits() > 0 {
				wider := netip.PrefixFrom(p.Addr(), p.Bits()-1)
				w := spanOf(wider)
				if w.from != from || w.to.compare(a.to) > 0 {
					break
				}
				p = wider
			}
			all = append(all, p)
			last := spanOf(p).to
			if last.compare(a.to) >= 0 {
				break
			}
			from = last.next()
		}
	}
	return all, false
}

func prefixSpan(text string) (span, bool) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return span{}, false
	}
	return spanOf(p), true
}
