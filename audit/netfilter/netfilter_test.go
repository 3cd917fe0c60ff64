package netfilter_test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit/netfilter"
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, t := range texts {
		all = append(all, netip.MustParsePrefix(t))
	}
	return all
}

// host has one interface with a default route, and Docker's bridge.
func host() netfilter.Host {
	return netfilter.Host{Interfaces: []netfilter.Interface{
		{Name: "lo", Loopback: true, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}},
		{Name: "eth0", Addresses: []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8::1")},
			Routes: prefixes("198.51.100.0/24", "0.0.0.0/0", "::/0")},
		{Name: "docker0", Addresses: []netip.Addr{netip.MustParseAddr("172.17.0.1")}, Routes: prefixes("172.17.0.0/16")},
	}}
}

func iptables(t *testing.T, text string) *netfilter.Ruleset {
	t.Helper()
	r := &netfilter.Ruleset{}
	if err := r.AddIPTables("iptables-save", false, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestDocker is what makes administrators of ufw wonder: the published port is led around the input chain.
func TestDocker(t *testing.T) {
	r := iptables(t, `*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 9090 -j DNAT --to-destination 172.17.0.3:90
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
COMMIT
`)
	for port, want := range map[uint16]netfilter.Answer{8080: netfilter.Open, 9090: netfilter.Closed, 22: netfilter.Closed} {
		if got := r.Inbound(host(), netfilter.Packet{Proto: "tcp", Port: port}); got.Stranger(nil) != want {
			t.Errorf("port %d: got %s, want %s; %+v", port, got.Stranger(nil), want, got)
		}
	}
	if got := r.Redirections(); len(got) != 2 {
		t.Errorf("got %v, want the two published ports", got)
	}
}

// TestAnswers: what can be said without a kernel at hand; test/audit holds many more rules against connections.
func TestAnswers(t *testing.T) {
	table := func(rules string) string {
		return "*filter\n:INPUT DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:LOOP - [0:0]\n-A LOOP -j LOOP\n" + rules + "\nCOMMIT\n"
	}
	for name, c := range map[string]struct {
		rules string
		want  netfilter.Answer
	}{
		"a source port that a stranger chooses": {"-A INPUT -p tcp --sport 53 -j ACCEPT", netfilter.Open},
		"a country's list":                      {"-A INPUT -s 77.0.0.0/8 -j ACCEPT", netfilter.Some},
		"two thirds of the world":               {"-A INPUT -s 0.0.0.0/1 -j ACCEPT", netfilter.Open},
		"private networks only":                 {"-A INPUT -s 10.0.0.0/8 -j ACCEPT\n-A INPUT -s 192.168.0.0/16 -j ACCEPT", netfilter.Some},
		"the administrators, who are known":     {"-A INPUT -s 192.0.2.0/24 -j ACCEPT", netfilter.Closed},
		"loopback addresses from outside":       {"-A INPUT -s 127.0.0.0/8 -j ACCEPT", netfilter.Closed},
		"a set that was not read":               {"-A INPUT -m set --match-set friends src -j ACCEPT", netfilter.Unknown},
		"a target that is not known":            {"-A INPUT -p tcp --dport 22 -j TARPIT", netfilter.Unknown},
		"not known, for another port":           {"-A INPUT -p tcp --dport 23 -j TARPIT", netfilter.Closed},
		"a match that is not known":             {"-A INPUT -m string --string x --algo bm -j ACCEPT", netfilter.Unknown},
		"and behind an accept":                  {"-A INPUT -j ACCEPT\n-A INPUT -m string --string x --algo bm -j DROP", netfilter.Open},
		"jumps without an end":                  {"-A INPUT -j LOOP", netfilter.Unknown},
		"a knock":                               {"-A INPUT -p tcp --dport 22 -m recent --rcheck --seconds 30 --name k --mask 255.255.255.255 --rsource -j ACCEPT", netfilter.Closed},
		"a mark that a rule sets":               {"-A INPUT -s 8.0.0.0/7 -j MARK --set-xmark 0x1/0xffffffff\n-A INPUT -m mark --mark 0x1 -j ACCEPT", netfilter.Open},
		"a part of a mark":                      {"-A INPUT -j MARK --set-xmark 0x1/0x1\n-A INPUT -m mark --mark 0x1 -j ACCEPT", netfilter.Unknown},
		"a range":                               {"-A INPUT -m iprange --src-range 1.0.0.0-99.255.255.255 -j ACCEPT", netfilter.Open},
		"the reverse path":                      {"-A INPUT -m rpfilter --invert -j DROP\n-A INPUT -j ACCEPT", netfilter.Open},
		"tunnels only":                          {"-A INPUT -m policy --dir in --pol ipsec -j ACCEPT", netfilter.Closed},
	} {
		got := iptables(t, table(c.rules)).Inbound(host(), netfilter.Packet{Proto: "tcp", Port: 22})
		if a := got.Stranger(prefixes("192.0.2.0/24")); a != c.want {
			t.Errorf("%s: got %s, want %s; %+v", name, a, c.want, got)
		}
	}
	r := &netfilter.Ruleset{}
	r.AddIPSets([]byte("create friends hash:net family inet hashsize 1024 maxelem 65536\nadd friends 8.0.0.0/7\n"))
	if err := r.AddIPTables("iptables-save", false, []byte(table("-A INPUT -m set --match-set friends src -j ACCEPT"))); err != nil {
		t.Fatal(err)
	}
	if got := r.Inbound(host(), netfilter.Packet{Proto: "tcp", Port: 22}).Stranger(nil); got != netfilter.Open {
		t.Errorf("a set that was read: got %s, want open", got)
	}
	r.Unread("another table")
	if got := r.Inbound(host(), netfilter.Packet{Proto: "tcp", Port: 22}).Stranger(nil); got != netfilter.Unknown {
		t.Errorf("a table that was not read: got %s, want unknown", got)
	}
}

// TestLargeSets: a hundred thousand banned addresses, and fifty rules behind them, are judged at once.
func TestLargeSets(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"nftables": [{"table": {"family": "inet", "name": "f"}}, {"set": {"family": "inet", "name": "bad", "table": "f", "type": "ipv4_addr", "elem": [`)
	for i := range 100_000 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%d.%d.%d.%d"`, 11+i%7, i>>16, i>>8&255, i&255|1)
	}
	b.WriteString(`]}}, {"chain": {"family": "inet", "table": "f", "name": "in", "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}},
		{"rule": {"family": "inet", "table": "f", "chain": "in", "handle": 1, "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@bad"}}, {"drop": null}]}}`)
	for i := range 50 {
		fmt.Fprintf(&b, `, {"rule": {"family": "inet", "table": "f", "chain": "in", "handle": %d, "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "99.1.1.%d"}}, {"drop": null}]}}`, i+2, i)
	}
	b.WriteString(`]}`)
	r := &netfilter.Ruleset{}
	if err := r.AddNFT([]byte(b.String()), func(netfilter.Table) bool { return false }); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	got := r.Inbound(host(), netfilter.Packet{Proto: "tcp", Port: 22})
	if a := got.Stranger(nil); a != netfilter.Open {
		t.Errorf("got %s, want open: %v", a, got.Why)
	}
	t.Logf("judged in %v", time.Since(start))
}

func TestBounds(t *testing.T) {
	r := &netfilter.Ruleset{}
	text := "*filter\n:INPUT DROP [0:0]\n" + strings.Repeat("-A INPUT -j ACCEPT\n", 50_001)
	if err := r.AddIPTables("iptables-save", false, []byte(text)); err == nil || !strings.Contains(err.Error(), "more than 50000 rules") {
		t.Errorf("got %v, want that there are too many rules", err)
	}
}

// judgeAll asks everything of rules that somebody else has written. Nothing may panic or take forever.
func judgeAll(r *netfilter.Ruleset) {
	for _, v6 := range []bool{false, true} {
		p := netfilter.Packet{V6: v6, Proto: "tcp", Port: 22}
		r.Inbound(host(), p).Stranger(nil)
		r.Outbound(host(), p).Sources(64)
		r.Loopback(host(), p).Whole()
		r.Inbound(host(), netfilter.Packet{V6: v6, Proto: "icmp", Type: 8})
	}
	r.Redirections()
}

func FuzzNFT(f *testing.F) {
	text, err := os.ReadFile("testdata/nft.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"nftables":[{"rule":{"family":"ip","table":"f","chain":"x","expr":[{"jump":{"target":"x"}}]}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := &netfilter.Ruleset{}
		if err := r.AddNFT(text, func(netfilter.Table) bool { return false }); err == nil {
			judgeAll(r)
		}
	})
}

func FuzzIPTables(f *testing.F) {
	f.Add("*filter\n:INPUT DROP [0:0]\n:X - [0:0]\n-A INPUT ! -s 10.0.0.0/255.0.0.0 -p tcp -m multiport --dports 1:3,5 -m recent --rcheck -j X\n-A X -m conntrack ! --ctstate NEW -g X\nCOMMIT\n")
	f.Add("*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p udp --dport 1:65535 -j DNAT --to-destination 10.0.0.1:5\n-A PREROUTING -j REDIRECT --to-ports 9\nCOMMIT\n")
	f.Add("*mangle\n:INPUT ACCEPT [0:0]\n-A INPUT -m comment --comment \"a \\\"b\" -j MARK --set-xmark 0x1/0xff\nCOMMIT\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := &netfilter.Ruleset{}
		if err := r.AddIPTables("iptables-save", false, []byte(text)); err == nil {
			judgeAll(r)
		}
	})
}
