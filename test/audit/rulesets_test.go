package audit_test

import (
	"github.com/doorward/doorward/audit"
)

// ruleset is rules by the program that puts them into force, and what is said of them beside what connections show.
type ruleset struct {
	name      string
	rules     map[string]string
	unknown   bool // the audit may not know
	want      map[string]audit.Status
	sources22 string // of port 22 by IPv4
}

func nft(text string) map[string]string { return map[string]string{"nft -f -": text} }

// input makes a table with one chain at the input hook, policy drop, with what every such chain begins with.
func input(rules string) string {
	return `table inet filter {
	chain input {
		type filter hook input priority 0; policy drop;
		iif lo accept
		ct state established,related accept
		ct state invalid drop
		meta l4proto icmp accept
		meta l4proto ipv6-icmp accept
` + rules + "\n\t}\n}\n"
}

func rulesets() []ruleset {
	return []ruleset{
		{name: "no rules", rules: nft("")},
		{name: "good", rules: nft(input("tcp dport { 80, 443 } accept\nip saddr 192.0.2.0/24 tcp dport 22 accept\nip6 saddr 2001:db8:a::/64 tcp dport 22 accept")),
			sources22: "192.0.2.0/24"},
		{name: "accepted in inet and dropped in ip6", rules: nft(input("tcp dport { 22, 80, 443 } accept") +
			"table ip6 more { chain input { type filter hook input priority 10; policy accept; tcp dport 80 drop; }; }")},
		{name: "dropped earlier and accepted later", rules: nft("table ip early { chain input { type filter hook input priority -10; tcp dport 443 drop; }; }\n" + input("tcp dport 443 accept"))},
		{name: "an accept behind a drop", rules: nft(input("tcp dport 22 drop\ntcp dport 22 accept\ntcp dport 80 accept"))},
		{name: "a drop behind an accept", rules: nft(input("tcp dport 22 accept\ntcp dport 22 drop"))},
		{name: "an accept that is no last word", rules: nft("table inet a { chain input { type filter hook input priority -5; policy accept; tcp dport 3306 accept; }; }\n" + input("tcp dport 80 accept"))},
		{name: "a set with intervals", rules: nft(`table inet filter {
	set allowed { type ipv4_addr; flags interval; elements = { 192.0.2.0-192.0.2.200, 10.0.0.0/8 }; }
	set ports { type inet_service; flags interval; elements = { 400-500, 5000-6000 }; }
	chain input { type filter hook input priority 0; policy drop;
		iifname "lo" accept
		ct state vmap { established : accept, related : accept, invalid : drop }
		ip saddr @allowed tcp dport 22 accept
		tcp dport @ports accept
	}
}`), sources22: "10.0.0.0/8 192.0.2.0/25 192.0.2.128/26 192.0.2.192/29 192.0.2.200/32"},
		{name: "a concatenation", rules: nft(`table inet filter {
	set allowed { type ipv4_addr . inet_service; flags interval; elements = { 192.0.2.0/24 . 22, 203.0.113.0/24 . 3300-3310, 0.0.0.0/0 . 80 }; }
	chain input { type filter hook input priority 0; policy drop;
		iif lo accept; ct state established accept
		ip saddr . tcp dport @allowed accept
	}
}`), sources22: "192.0.2.0/24"},
		{name: "jumps, gotos and returns", rules: nft(`table inet filter {
	chain web { ip saddr 203.0.113.0/24 tcp dport 443 return; tcp dport { 80, 443 } accept; }
	chain ssh { ip saddr 192.0.2.0/24 accept; }
	chain input { type filter hook input priority 0; policy drop;
		iif lo accept; ct state established,related accept
		jump web
		tcp dport 22 goto ssh
		tcp dport 22 accept
		ip saddr 203.0.113.0/24 tcp dport 3306 jump ssh
	}
}`)},
		{name: "a verdict map", rules: nft(`table inet filter {
	map ports { type inet_service : verdict; elements = { 22 : jump ssh, 80 : accept, 3306 : drop }; }
	chain ssh { ip saddr 192.0.2.0/24 accept; ip6 saddr != 2001:db8:a::/64 drop; accept; }
	chain input { type filter hook input priority 0; policy accept;
		iif lo accept; ct state established,related accept
		tcp dport vmap @ports
		tcp dport 443 ip saddr vmap { 203.0.113.0/24 : drop, 192.0.2.0/24 : continue }
	}
}`)},
		{name: "policy drop and related only", rules: nft(`table inet filter { chain input { type filter hook input priority 0; policy drop;
		ct state established,related accept
	}
}`)},
		{name: "the answers are dropped", rules: nft(`table inet filter {
	chain output { type filter hook output priority 0; policy drop; oif lo accept; tcp sport { 22, 80 } accept; ip daddr 203.0.113.0/24 tcp dport 443 accept; }
}`)},
		{name: "only established leaves", rules: nft(`table inet filter {
	chain output { type filter hook output priority 0; policy drop; oif lo accept; ct state established accept; tcp dport 443 accept; }
}`)},
		{name: "a list of banned addresses", rules: nft(`table inet filter {
	set banned { type ipv4_addr; flags interval; elements = { 192.0.2.0/24, 100.64.0.0/10 }; }
	chain input { type filter hook input priority 0; ip saddr @banned drop; ip6 saddr 2001:db8:a::/64 drop; }
}`)},
		{name: "half of the world twice", rules: nft(input("ip saddr 0.0.0.0/1 tcp dport 22 accept\nip saddr 128.0.0.0/1 tcp dport 22 accept"))},
		{name: "everything but", rules: nft(input("tcp dport != { 22, 3306 } accept\nip saddr != 203.0.113.0/24 tcp dport 3306 accept"))},
		{name: "limits", rules: nft(input(`tcp dport 22 limit rate 30/minute burst 30 packets accept
		tcp dport 80 limit rate over 600/minute burst 100 packets drop
		tcp dport 80 accept
		tcp dport 443 ct count over 50 reject
		tcp dport 443 accept`))},
		{name: "interfaces", rules: nft(`table inet filter { chain input { type filter hook input priority 0; policy drop;
		iifname "lo" accept; ct state established accept
		iifname "eth*" tcp dport 80 accept
		iifname "wg0" tcp dport 22 accept
		iifname != "eth0" tcp dport 443 accept
		iifname { "eth0", "eth1" } tcp dport 3306 accept
	}
}`)},
		{name: "marks", rules: nft(`table inet filter {
	chain early { type filter hook prerouting priority mangle; ip saddr 192.0.2.0/24 meta mark set 7; tcp dport 80 meta mark set 8; }
	chain input { type filter hook input priority 0; policy drop;
		iif lo accept; ct state established accept
		meta mark 7 tcp dport 22 accept
		meta mark and 0x8 == 8 accept
	}
}`)},
		{name: "flags and not new", rules: nft(input("tcp flags & (fin|syn|rst|ack) != syn drop\ntcp flags syn tcp dport 80 accept\nct state != new tcp dport 22 accept\nct state new tcp dport 443 accept"))},
		{name: "a redirection", rules: nft(`table inet nat {
	chain pre { type nat hook prerouting priority dstnat; tcp dport 9022 redirect to :22; ip saddr 192.0.2.0/24 tcp dport 80 redirect to :3306; }
}
` + input("tcp dport { 22, 80 } accept"))},
		{name: "a redirection to a closed port", rules: nft(`table ip nat { chain pre { type nat hook prerouting priority dstnat; tcp dport 443 redirect to :3306; }; }
` + input("tcp dport { 22, 80, 443 } accept"))},
		{name: "before connection tracking", rules: nft(`table inet raw { chain pre { type filter hook prerouting priority raw; ct state new drop; tcp dport 3306 drop; }; }`)},
		{name: "not tracked", rules: nft(`table inet raw { chain pre { type filter hook prerouting priority raw; tcp dport 80 notrack; }; }
table inet filter { chain input { type filter hook input priority 0; policy drop; iif lo accept; ct state new,established accept; }; }`)},
		{name: "a device's own chain", rules: nft(`table netdev dev { chain in { type filter hook ingress device "eth0" priority 0; policy accept; tcp dport 3306 drop; ip saddr 203.0.113.77 tcp dport 22 drop; }; }`)},
		{name: "routes are asked", rules: nft(`table inet filter { chain input { type filter hook prerouting priority 0; policy accept;
		fib daddr type != local drop; fib saddr . iif oif missing drop; fib daddr type local tcp dport 22 drop; }; }`)},
		{name: "a forgotten address in the forward chain", rules: nft(`table inet filter { chain forward { type filter hook forward priority 0; policy drop; }; }`)},
		{name: "the time of day is not judged", unknown: true, rules: nft(input(`tcp dport 80 accept
		tcp dport 22 meta hour "00:00"-"23:59" accept`))},
		{name: "chance is not judged", unknown: true, rules: nft(input("tcp dport 22 numgen random mod 2 0 accept\ntcp dport 443 accept"))},
		{name: "iptables, the older way", rules: map[string]string{"iptables-legacy-restore": legacy, "ip6tables-legacy-restore": legacy6}, sources22: "192.0.2.0/24"},
		{name: "iptables in nftables", rules: map[string]string{"iptables-nft-restore": legacy, "ip6tables-nft-restore": legacy6}, sources22: "192.0.2.0/24"},
		{name: "iptables for IPv4 only", rules: map[string]string{"iptables-nft-restore": legacy}},
		{name: "both ways at once", rules: map[string]string{
			"iptables-legacy-restore": "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp --dport 80 -j DROP\nCOMMIT\n",
			"nft -f -":                input("tcp dport { 22, 80 } accept")}},
		{name: "nft has added to a table of iptables", rules: map[string]string{"iptables-nft-restore && nft insert rule ip filter INPUT tcp dport 80 drop": legacy}},
		{name: "extensions that are not judged", unknown: true, rules: map[string]string{
			"iptables-nft-restore": "*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -m statistic --mode random --probability 0.5 -p tcp --dport 22 -j ACCEPT\nCOMMIT\n"}},
		{name: "ufw", rules: map[string]string{"iptables-nft-restore": ufw4}},
	}
}

const legacy = `*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:SSH - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "answers \"here\"" -j ACCEPT
-A INPUT -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A INPUT -p tcp -m multiport --dports 80,443,5000:6000 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 --tcp-flags FIN,SYN,RST,ACK SYN -m state --state NEW -g SSH
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A SSH -s 192.0.2.0/24 -m limit --limit 50/min -j ACCEPT
-A SSH ! -s 192.0.2.0/255.255.255.0 -j REJECT --reject-with icmp-port-unreachable
COMMIT
`

const legacy6 = `*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p ipv6-icmp -j ACCEPT
-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT
-A INPUT -s 2001:db8:a::/64 -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
`

// ufw4 is how ufw lays out its chains, shortened to what decides.
const ufw4 = `*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:ufw-before-input - [0:0]
:ufw-not-local - [0:0]
:ufw-user-input - [0:0]
:ufw-user-limit - [0:0]
:ufw-user-limit-accept - [0:0]
-A INPUT -j ufw-before-input
-A INPUT -j ufw-user-input
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-input -j ufw-not-local
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
-A ufw-not-local -m limit --limit 3/min --limit-burst 10 -j DROP
-A ufw-not-local -j DROP
-A ufw-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --set --name DEFAULT --mask 255.255.255.255 --rsource
-A ufw-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --update --seconds 30 --hitcount 60 --name DEFAULT --mask 255.255.255.255 --rsource -j ufw-user-limit
-A ufw-user-input -p tcp -m tcp --dport 22 -j ufw-user-limit-accept
-A ufw-user-input -p tcp -m multiport --dports 80,443 -j ACCEPT
-A ufw-user-limit -j REJECT --reject-with icmp-port-unreachable
-A ufw-user-limit-accept -j ACCEPT
COMMIT
`
