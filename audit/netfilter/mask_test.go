package netfilter_test

import (
	"fmt"
	"testing"

	"github.com/doorward/doorward/audit/netfilter"
)

// TestMaskedSources: sets of networks of one length are asked by masking the source, as Doorward's own table does.
func TestMaskedSources(t *testing.T) {
	const table = `{"nftables": [{"table": {"family": "inet", "name": "t"}},
{"set": {"family": "inet", "table": "t", "name": "s", "type": "%s", "elem": [%s]}},
{"chain": {"family": "inet", "table": "t", "name": "in", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
{"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 1, "expr": [
{"match": {"op": "%s", "left": {"&": [{"payload": {"protocol": "%s", "field": "saddr"}}, "%s"]}, "right": "@s"}}, {"accept": null}]}}]}`
	for name, c := range map[string]struct {
		kind, elements, op, protocol, mask string
		v6                                 bool
		want                               string
		all                                netfilter.Answer
	}{
		"IPv4 /16":             {"ipv4_addr", `"77.1.0.0", "77.3.0.0"`, "==", "ip", "255.255.0.0", false, "[77.1.0.0/16 77.3.0.0/16]", netfilter.Some},
		"IPv6 /64":             {"ipv6_addr", `"2a00:1:2:3::"`, "==", "ip6", "ffff:ffff:ffff:ffff::", true, "[2a00:1:2:3::/64]", netfilter.Some},
		"what no network has":  {"ipv4_addr", `"77.1.0.1"`, "==", "ip", "255.255.0.0", false, "[]", netfilter.Closed},
		"a range":              {"ipv4_addr", `{"range": ["77.1.0.1", "77.3.255.255"]}`, "==", "ip", "255.255.0.0", false, "[77.2.0.0/15]", netfilter.Some},
		"all but one":          {"ipv4_addr", `"77.1.0.0"`, "!=", "ip", "255.255.0.0", false, "", netfilter.Open},
		"an empty set":         {"ipv4_addr", ``, "==", "ip", "255.0.0.0", false, "[]", netfilter.Closed},
		"the mask of anything": {"ipv4_addr", `"0.0.0.0"`, "==", "ip", "0.0.0.0", false, "", netfilter.Open},
		"bits in the middle":   {"ipv4_addr", `"77.1.0.0"`, "==", "ip", "255.0.255.0", false, "", netfilter.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			r := &netfilter.Ruleset{}
			text := fmt.Sprintf(table, c.kind, c.elements, c.op, c.protocol, c.mask)
			if err := r.AddNFT([]byte(text), func(netfilter.Table) bool { return false }); err != nil {
				t.Fatal(err)
			}
			got := r.Inbound(host(), netfilter.Packet{Proto: "tcp", Port: 22, V6: c.v6})
			sources, _ := got.Sources(8)
			if c.want != "" && fmt.Sprint(sources) != c.want {
				t.Errorf("let through are %v, want %s", sources, c.want)
			}
			if answer := got.Stranger(nil); answer != c.all {
				t.Errorf("a stranger gets %s, want %s", answer, c.all)
			}
		})
	}
}
