// Package netfilter judges packets as the kernel would by the rules that are in force: nftables, iptables and
// ip6tables, over all base chains of a hook together.
//
// It knows how rule sets are written out by the programs that manage them, and which addresses get through. It reads no
// host, and knows neither facts nor controls. What it does not understand in a rule makes the answer of every packet that
// could meet the rule unknown; it never guesses that such a rule accepts or drops.
//
// A packet is judged for all addresses of the other side at once: the answer is the set of addresses, not one of them.
package netfilter
