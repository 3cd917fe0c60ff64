package ruleset

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// TableName is the table of the base ruleset, of the family inet. Bans have another one.
const TableName = "doorward_base"

// emptied makes sure that the table is there, and takes it away, so that what follows in the same transaction makes it anew.
const emptied = "table inet " + TableName + "\ndelete table inet " + TableName + "\n"

// Text is the rules in nft's language. It replaces the table as a whole, in one transaction.
func (c *Config) Text() string {
	var b strings.Builder
	b.WriteString("#!/usr/sbin/nft -f\n# Written by doorward firewall apply from the section firewall of Doorward's configuration; change it there.\n")
	b.WriteString(emptied)
	fmt.Fprintf(&b, "table inet %s {\n", TableName)
	for _, set := range []string{"ssh4 ipv4_addr", "ssh6 ipv6_addr"} {
		name, kind, _ := strings.Cut(set, " ")
		fmt.Fprintf(&b, "\tset %s {\n\t\ttype %s\n\t\tsize 65535\n\t\tflags dynamic,timeout\n\t\ttimeout 2m\n\t}\n\n", name, kind)
	}
	c.writeInput(&b)
	c.writeSSH(&b)
	if c.Forward == forwardDrop {
		b.WriteString("\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n\t\tct state established,related accept\n\t}\n")
	}
	if len(c.OutboundTCP)+len(c.OutboundUDP) > 0 {
		c.writeOutput(&b)
	}
	b.WriteString("}\n")
	return b.String()
}

// writeInput writes what is let in. ICMP is what RFC 4890 says must not be dropped, and the same of IPv4: errors, echo, and, within
// the link, neighbour discovery and multicast listeners.
func (c *Config) writeInput(b *strings.Builder) {
	b.WriteString(`	chain input {
		type filter hook input priority filter; policy drop;
		iif "lo" accept
		ct state established,related accept
		ct state invalid counter drop
		icmp type { destination-unreachable, echo-request, time-exceeded, parameter-problem } accept
		icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-request, echo-reply } accept
		ip6 hoplimit 255 icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, ind-neighbor-solicit, ind-neighbor-advert, 148, 149 } accept
		ip6 saddr { ::, fe80::/10 } icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept
		ip6 saddr fe80::/10 udp dport 546 accept
`)
	for _, way := range ways("ip saddr", "ip6 saddr", c.AdminNetworks) {
		fmt.Fprintf(b, "\t\t%stcp dport %d jump ssh\n", way, c.SSHPort)
	}
	openings(b, "tcp", "saddr", c.TCP)
	openings(b, "udp", "saddr", c.UDP)
	fmt.Fprintf(b, "\t\tlimit rate %d/minute burst %d packets log prefix \"doorward drop: \" level info\n\t\tcounter\n\t}\n", c.LogPerMinute, 2*c.LogPerMinute)
}

// writeSSH writes the limit of new connections. What it does not stop goes on to sshd.
func (c *Config) writeSSH(b *strings.Builder) {
	fmt.Fprintf(b, "\n\tchain ssh {\n")
	for _, way := range []string{"ssh4 { ip saddr", "ssh6 { ip6 saddr & ffff:ffff:ffff:ffff::"} {
		fmt.Fprintf(b, "\t\tct state new update @%s limit rate over %d/minute burst %d packets } counter drop\n", way, c.SSHPerMinute, c.SSHPerMinute)
	}
	b.WriteString("\t\taccept\n\t}\n")
}

// writeOutput writes what may go out: beside what is named, answers, ICMP, and what gives the host its address.
func (c *Config) writeOutput(b *strings.Builder) {
	b.WriteString(`
	chain output {
		type filter hook output priority filter; policy drop;
		oif "lo" accept
		ct state established,related accept
		meta l4proto { icmp, ipv6-icmp } accept
		udp dport { 67, 547 } accept
`)
	openings(b, "tcp", "daddr", c.OutboundTCP)
	openings(b, "udp", "daddr", c.OutboundUDP)
	b.WriteString("\t\tcounter reject with icmpx type admin-prohibited\n\t}\n")
}

// openings writes a rule for each port, and for each version of IP where networks are named.
func openings(b *strings.Builder, protocol, end string, list []Opening) {
	for _, o := range list {
		all := []string{""}
		if len(o.Networks) > 0 {
			all = ways("ip "+end, "ip6 "+end, o.Networks)
		}
		for _, way := range all {
			fmt.Fprintf(b, "\t\t%s%s dport %s accept\n", way, protocol, o.Port)
		}
	}
}

// ways are the matches of networks, one for each version of IP that has any.
func ways(field4, field6 string, networks []netip.Prefix) []string {
	var four, six []netip.Prefix
	for _, p := range networks {
		if p.Addr().Is4() {
			four = append(four, p.Masked())
		} else {
			six = append(six, p.Masked())
		}
	}
	var all []string
	if len(four) > 0 {
		all = append(all, match(field4, four, "0.0.0.0/0", "nfproto ipv4"))
	}
	if len(six) > 0 {
		all = append(all, match(field6, six, "::/0", "nfproto ipv6"))
	}
	return all
}

// match writes networks as a set without those that lie within others, which nft refuses.
func match(field string, networks []netip.Prefix, every, family string) string {
	slices.SortFunc(networks, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	if networks[0].String() == every {
		return "meta " + family + " "
	}
	var texts []string
	var outer netip.Prefix
	for _, p := range networks {
		if !outer.IsValid() || !outer.Contains(p.Addr()) {
			outer = p
			texts = append(texts, p.String())
		}
	}
	return fmt.Sprintf("%s { %s } ", field, strings.Join(texts, ", "))
}
