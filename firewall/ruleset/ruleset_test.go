package ruleset_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/firewall/ruleset"
)

func networks(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, t := range texts {
		all = append(all, netip.MustParsePrefix(t))
	}
	return all
}

func ports(text string) (p ruleset.Ports) {
	_ = p.UnmarshalText([]byte(text)) // a mistake shows as port 0
	return p
}

func rules() *ruleset.Config {
	c := &ruleset.Config{AdminNetworks: networks("192.0.2.0/24", "192.0.2.128/25", "2001:db8:a::/64"),
		TCP: []ruleset.Opening{{Port: ports("443")}, {Port: ports("8000-8010"), Networks: networks("10.1.0.0/16", "10.0.0.0/8", "10.2.0.0/16", "fd00::/8")}},
		UDP: []ruleset.Opening{{Port: ports("10000-20000")}}}
	c.SetDefaults()
	return c
}

// lines are the rules that a text has about a port.
func lines(text, about string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, about) {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}

// TestText: the rules of each port, the same for both versions of IP; test/firewall holds the whole against connections.
func TestText(t *testing.T) {
	text := rules().Text()
	for about, want := range map[string][]string{
		"tcp dport 443":         {"tcp dport 443 accept"},
		"tcp dport 8000-8010":   {"ip saddr { 10.0.0.0/8 } tcp dport 8000-8010 accept", "ip6 saddr { fd00::/8 } tcp dport 8000-8010 accept"},
		"udp dport 10000-20000": {"udp dport 10000-20000 accept"},
		"tcp dport 22":          {"ip saddr { 192.0.2.0/24 } tcp dport 22 jump ssh", "ip6 saddr { 2001:db8:a::/64 } tcp dport 22 jump ssh"},
		"hook":                  {"type filter hook input priority filter; policy drop;"},
	} {
		if diff := cmp.Diff(want, lines(text, about)); diff != "" {
			t.Errorf("rules about %s (-want +got):\n%s", about, diff)
		}
	}
	open := rules()
	open.AdminNetworks = networks("0.0.0.0/0", "::/0")
	open.Forward, open.OutboundTCP = "drop", []ruleset.Opening{{Port: ports("443"), Networks: networks("198.51.100.0/24")}}
	text = open.Text()
	for about, want := range map[string][]string{
		"tcp dport 22": {"meta nfproto ipv4 tcp dport 22 jump ssh", "meta nfproto ipv6 tcp dport 22 jump ssh"},
		"daddr":        {"ip daddr { 198.51.100.0/24 } tcp dport 443 accept"},
		"hook": {"type filter hook input priority filter; policy drop;", "type filter hook forward priority filter; policy drop;",
			"type filter hook output priority filter; policy drop;"},
	} {
		if diff := cmp.Diff(want, lines(text, about)); diff != "" {
			t.Errorf("rules about %s (-want +got):\n%s", about, diff)
		}
	}
}

// TestAdmits: who gets in again is known before the rules are in force.
func TestAdmits(t *testing.T) {
	c := rules()
	for _, one := range []struct {
		from string
		port uint16
		want bool
	}{
		{"192.0.2.7", 22, true}, {"::ffff:192.0.2.7", 22, true}, {"2001:db8:a::7", 22, true}, {"127.0.0.1", 22, true}, {"::1", 2222, true},
		{"198.51.100.7", 22, false}, {"2001:db8:b::7", 22, false}, {"192.0.2.7", 2222, false}, {"198.51.100.7", 443, true},
		{"10.2.3.4", 8005, true}, {"11.2.3.4", 8005, false}, {"10.2.3.4", 8011, false},
	} {
		if got := c.Admits(netip.MustParseAddr(one.from), one.port); got != one.want {
			t.Errorf("%s to port %d: got %v, want %v", one.from, one.port, got, one.want)
		}
	}
	if c.Usable() != nil {
		t.Errorf("rules with networks of administrators: %v", c.Usable())
	}
	if c.AdminNetworks = nil; c.Usable() == nil {
		t.Error("rules that close SSH to everybody are usable")
	}
}

// FuzzPorts: what is read is written back the same, and is a range.
func FuzzPorts(f *testing.F) {
	for _, seed := range []string{"443", "10000-20000", "0", "65536", "20-10", "-", "1-", " 1 - 2 ", "1-2-3", "1e3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var p, again ruleset.Ports
		if p.UnmarshalText([]byte(text)) != nil {
			return
		}
		if p.First == 0 || p.First > p.Last {
			t.Errorf("%q is read as %+v", text, p)
		}
		if err := again.UnmarshalText([]byte(p.String())); err != nil || again != p {
			t.Errorf("%q is read as %s, and that as %s, %v", text, p, again, err)
		}
	})
}
