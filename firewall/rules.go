package firewall

import (
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

type chainRule struct {
	chain string
	exprs []expr.Any
}

// opening are the rules before those of the sets: protected addresses go on, and so does neighbour discovery (RFC 4861, within
// the link, hop limit 255), without which a banned network would take its neighbours' routes along.
func opening() []chainRule {
	leave := &expr.Verdict{Kind: expr.VerdictReturn}
	allowed := func(v6, to bool) []expr.Any {
		set := "allow4"
		l := length{false, 32}
		if v6 {
			set, l = "allow6", length{true, 128}
		}
		return slices.Concat(address(l, to), []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: set}, leave})
	}
	discovery := append(family(true),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_ICMPV6}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 7, Len: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{255}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: []byte{133}, ToData: []byte{137}},
		leave)
	return []chainRule{{"from4", allowed(false, false)}, {"to4", allowed(false, true)}, {"from6", allowed(true, false)},
		{"to6", allowed(true, true)}, {"from6", discovery}}
}

// family asks for packets of one version of IP. Every rule asks it, though its chain gets no others: without it nft, and whoever
// reads what nft prints, cannot tell which field of the packet is meant.
func family(v6 bool) []expr.Any {
	version := byte(unix.NFPROTO_IPV4)
	if v6 {
		version = unix.NFPROTO_IPV6
	}
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{version}}}
}

// address loads the source or destination of a packet into register 1, masked.
func address(l length, to bool) []expr.Any {
	offset := uint32(12)
	if l.v6 {
		offset = 8
	}
	if to {
		offset += uint32(l.size())
	}
	all := append(family(l.v6), &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(l.size())})
	if mask := l.mask(); mask != nil {
		all = append(all, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: uint32(l.size()), Mask: mask, Xor: make([]byte, l.size())})
	}
	return all
}

// jump sends the packets of one version of IP to a chain.
func jump(v6 bool, chain string) []expr.Any {
	return append(family(v6), &expr.Verdict{Kind: expr.VerdictJump, Chain: chain})
}

// intervals are the protected addresses of one version as the kernel's interval sets have them: where each range begins, and
// the first address after it.
func (g guard) intervals(v6 bool) []nftables.SetElement {
	var list []nftables.SetElement
	var open netip.Addr // where the range before ended, if another may go on from there
	for _, p := range g.prefixes {
		if p.Addr().Is6() != v6 {
			continue
		}
		if open == p.Addr() && len(list) > 0 {
			list = list[:len(list)-1]
		} else {
			list = append(list, nftables.SetElement{Key: p.Addr().AsSlice()})
		}
		if open = after(p); open.IsValid() {
			list = append(list, nftables.SetElement{Key: open.AsSlice(), IntervalEnd: true})
		}
	}
	return list
}

// after is the first address beyond a network; not valid when it reaches the last one.
func after(p netip.Prefix) netip.Addr {
	raw := p.Addr().AsSlice()
	for i := p.Bits(); i < len(raw)*8; i++ {
		raw[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(raw)
	return last.Next()
}
