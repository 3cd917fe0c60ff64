package netfilter

import (
	"net/netip"
	"strconv"
	"strings"
)

// kind is what a field's values are, which decides what their names mean.
type kind string

const (
	addresses  kind = "address"
	interfaces kind = "interface"
	integers   kind = "integer"
	protocols  kind = "protocol"
	ethertypes kind = "ethertype"
	families   kind = "family"
	states     kind = "state"
	statuses   kind = "status"
	directions kind = "direction"
	tcpFlags   kind = "flags"
	icmpTypes  kind = "icmp type"
	icmpCodes  kind = "icmp code"
	icmp6Types kind = "icmpv6 type"
	icmp6Codes kind = "icmpv6 code"
	pktTypes   kind = "pkttype"
	fibTypes   kind = "fib type"
)

// kindOf is what a field's values are; empty when its names are not known here.
func kindOf(field string) kind {
	switch field {
	case "ip saddr", "ip daddr", "ip6 saddr", "ip6 daddr":
		return addresses
	case "meta iifname", "meta iif", "meta oifname", "meta oif":
		return interfaces
	case "ip protocol", "ip6 nexthdr", "meta l4proto", "ct protocol":
		return protocols
	case "meta protocol":
		return ethertypes
	case "meta nfproto", "ct l3proto":
		return families
	case "ct state":
		return states
	case "ct status":
		return statuses
	case "ct direction":
		return directions
	case "tcp flags":
		return tcpFlags
	case "icmp type", "icmp code", "icmpv6 type", "icmpv6 code":
		return kind(field)
	case "meta pkttype":
		return pktTypes
	case "fib daddr type", "fib saddr type":
		return fibTypes
	}
	return integers
}

// kindOfType is what the elements of a set are, by the name of its type.
func kindOfType(name string) kind {
	switch name {
	case "ipv4_addr", "ipv6_addr":
		return addresses
	case "ifname", "iface_index":
		return interfaces
	case "inet_service", "mark", "integer", "uid", "gid":
		return integers
	case "inet_proto":
		return protocols
	case "ether_type":
		return ethertypes
	case "nf_proto":
		return families
	case "ct_state":
		return states
	case "ct_status":
		return statuses
	case "tcp_flag":
		return tcpFlags
	case "icmp_type":
		return icmpTypes
	case "icmp_code":
		return icmpCodes
	case "icmpv6_type":
		return icmp6Types
	case "icmpv6_code":
		return icmp6Codes
	case "pkt_type":
		return pktTypes
	case "fib_addrtype":
		return fibTypes
	}
	return ""
}

// symbol is the number that a name stands for.
func symbol(k kind, name string) (number, bool) {
	if k == addresses {
		a, err := netip.ParseAddr(name)
		if err != nil {
			return number{}, false
		}
		return numberOf(a), true
	}
	if n, err := strconv.ParseUint(name, 0, 64); err == nil {
		return small(n), true
	}
	n, ok := names(k)[strings.ToLower(name)]
	return small(n), ok
}

// names are those that nft and iptables print, from IANA's registries and the kernel's headers.
func names(k kind) map[string]uint64 {
	switch k {
	case protocols:
		return map[string]uint64{"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "dccp": 33, "ipv6": 41, "gre": 47, "esp": 50, "ah": 51,
			"icmpv6": 58, "ipv6-icmp": 58, "ospf": 89, "pim": 103, "comp": 108, "vrrp": 112, "l2tp": 115, "sctp": 132, "udplite": 136,
			"ipv6-route": 43, "ipv6-frag": 44, "ipv6-nonxt": 59, "ipv6-opts": 60, "hopopt": 0, "mobility-header": 135}
	case ethertypes:
		return map[string]uint64{"ip": 0x0800, "arp": 0x0806, "vlan": 0x8100, "ip6": 0x86dd, "8021q": 0x8100, "8021ad": 0x88a8}
	case families:
		return map[string]uint64{"ipv4": 2, "ipv6": 10, "ip": 2, "ip6": 10}
	case states:
		return map[string]uint64{"invalid": ctInvalid, "established": ctEstablished, "related": ctRelated, "new": ctNew, "untracked": ctUntracked}
	case statuses:
		return map[string]uint64{"expected": 1, "seen-reply": 2, "assured": 4, "confirmed": 8, "snat": 16, "dnat": ctStatusDNAT, "dying": 512}
	case directions:
		return map[string]uint64{"original": 0, "reply": 1}
	case tcpFlags:
		return map[string]uint64{"fin": 1, "syn": tcpSYN, "rst": 4, "psh": 8, "ack": tcpACK, "urg": 32, "ecn": 64, "cwr": 128,
			"none": 0, "all": 63}
	case icmpTypes:
		return map[string]uint64{"echo-reply": 0, "pong": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5,
			"echo-request": 8, "ping": 8, "router-advertisement": 9, "router-solicitation": 10, "time-exceeded": 11, "ttl-exceeded": 11,
			"parameter-problem": 12, "timestamp-request": 13, "timestamp-reply": 14, "info-request": 15, "info-reply": 16,
			"address-mask-request": 17, "address-mask-reply": 18}
	case icmpCodes:
		return map[string]uint64{"net-unreachable": 0, "host-unreachable": 1, "prot-unreachable": 2, "port-unreachable": 3,
			"frag-needed": 4, "net-prohibited": 9, "host-prohibited": 10, "admin-prohibited": 13}
	case icmp6Types:
		return map[string]uint64{"destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "ttl-exceeded": 3,
			"parameter-problem": 4, "echo-request": 128, "ping": 128, "echo-reply": 129, "pong": 129, "mld-listener-query": 130,
			"mld-listener-report": 131, "mld-listener-done": 132, "mld-listener-reduction": 132, "nd-router-solicit": 133,
			"router-solicitation": 133, "nd-router-advert": 134, "router-advertisement": 134, "nd-neighbor-solicit": 135,
			"neighbour-solicitation": 135, "neighbor-solicitation": 135, "nd-neighbor-advert": 136, "neighbour-advertisement": 136,
			"neighbor-advertisement": 136, "nd-redirect": 137, "redirect": 137, "router-renumbering": 138, "ind-neighbor-solicit": 141,
			"ind-neighbor-advert": 142, "mld2-listener-report": 143}
	case icmp6Codes:
		return map[string]uint64{"no-route": 0, "admin-prohibited": 1, "addr-unreachable": 3, "port-unreachable": 4,
			"policy-fail": 5, "reject-route": 6}
	case pktTypes:
		return map[string]uint64{"host": 0, "unicast": 0, "broadcast": 1, "multicast": 2, "other": 3}
	case fibTypes:
		return map[string]uint64{"unspec": 0, "unicast": 1, "local": 2, "broadcast": 3, "anycast": 4, "multicast": 5, "blackhole": 6,
			"unreachable": 7, "prohibit": 8}
	}
	return nil
}
