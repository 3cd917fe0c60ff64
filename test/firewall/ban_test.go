package firewall_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/test/real"
)

// TestBan: addresses of both versions, the /64 and a network, at once, on connections that are there too, and only until their time.
func TestBan(t *testing.T) {
	t.Parallel()
	h := newHosts(t)
	h.listen(h.host, 80)
	h.enforce()
	l := h.client()
	h.up(l)
	h.want("before", map[string]bool{attackerV4: true, attackerV6: true, neighbourV4: true, neighbourV6: true, strangerV4: true, strangerV6: true})

	old4, err := h.dial(h.outside, attackerV4, hostV4, 80, long)
	if err != nil || echo(old4, long) != nil {
		t.Fatal(err)
	}
	defer old4.Close()
	l.ban(attackerV4, time.Hour)
	h.banned(attackerV4 + "/32")
	// The connection that was there is reset, not only left hanging.
	_ = old4.SetDeadline(time.Now().Add(long))
	if _, err := old4.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the connection of a banned address: got %v, want a reset", err)
	}
	h.want("one address", map[string]bool{attackerV4: false, neighbourV4: true, attackerV6: true})

	l.ban(attackerV6, 0)
	h.banned(attackerV4+"/32", attackerV6+"/128")
	h.want("one address of IPv6", map[string]bool{attackerV6: false, neighbourV6: true})

	l.ban("2001:db8:1:0::/64", 0) // the host is in it itself
	l.ban("203.0.113.0/24", 0)
	h.banned(attackerV4+"/32", "203.0.113.0/24", "2001:db8:1::/64", attackerV6+"/128")
	h.want("networks", map[string]bool{attackerV6: false, neighbourV6: false, strangerV6: true, strangerV4: false, neighbourV4: true, "198.51.100.2": true})

	l.lift("2001:db8:1::/64")
	l.lift(attackerV6)
	l.ban(attackerV4, 15*time.Second) // a shorter end takes the place of the longer
	h.banned(attackerV4+"/32", "203.0.113.0/24")
	h.want("lifted", map[string]bool{attackerV6: true, neighbourV6: true, attackerV4: false})
	real.Eventually(t, time.Minute, "the ban to end", func() bool { return h.reaches(h.outside, attackerV4, hostV4, 80) })
	h.want("over", map[string]bool{attackerV4: true, strangerV4: false})

	if n := h.kernel().Counts["from v4_24"]; n.Packets == 0 {
		t.Errorf("dropped packets were not counted: %+v", h.kernel().Counts)
	}
}

// TestNeverBanned: whoever asks for it, the allow list, loopback and the host's own addresses are let in, within banned networks too.
func TestNeverBanned(t *testing.T) {
	t.Parallel()
	h := newHosts(t)
	h.listen(h.host, 80)
	h.enforce()
	l := h.client()
	h.up(l)
	for _, p := range []string{"198.51.100.200", "127.0.0.1", "127.0.0.66", "::1", hostV4, hostV6, "198.51.100.2", "0.0.0.0/0", "::/0", "8.0.0.0/7"} {
		l.ban(p, 0)
	}
	l.ban("198.51.100.0/24", 0)
	h.banned("198.51.100.0/24")
	h.want("a network around protected addresses", map[string]bool{attackerV4: false, "198.51.100.200": true, "198.51.100.2": true})
	if !h.answers(h.host, hostV4, hostV4, 80) || !h.answers(h.host, "127.0.0.1", "127.0.0.1", 80) {
		t.Error("the host does not reach itself")
	}
	if status, _ := l.client.State(); status.Error != "" {
		t.Errorf("status: %+v", status)
	}
}

// TestForwarded: a container behind the host is covered too, whatever Docker's own chain accepts, and so are connections that it has.
func TestForwarded(t *testing.T) {
	t.Parallel()
	h := newHosts(t)
	h.listen(h.inside, 80)
	h.in(h.host, `nft -f - <<'END'
table ip nat { chain prerouting { type nat hook prerouting priority dstnat; iifname "eth0" tcp dport 8080 dnat to 172.30.0.2:80; }; }
table ip filter { chain FORWARD { type filter hook forward priority filter; policy drop; ct state established,related accept; ip daddr 172.30.0.2 tcp dport 80 accept; }; }
table ip6 filter { chain FORWARD { type filter hook forward priority filter; policy accept; }; }
END`)
	h.enforce()
	l := h.client()
	h.up(l)
	if !h.answers(h.outside, attackerV4, hostV4, 8080) || !h.answers(h.outside, attackerV6, containerV6, 80) {
		t.Fatal("the container cannot be reached at all")
	}
	old, err := h.dial(h.outside, attackerV4, hostV4, 8080, long)
	if err != nil || echo(old, long) != nil {
		t.Fatal(err)
	}
	defer old.Close()
	l.ban(attackerV4, 0)
	l.ban(attackerV6, 0)
	h.banned(attackerV4+"/32", attackerV6+"/128")
	if echo(old, moment) == nil {
		t.Error("a connection to a container goes on after the ban")
	}
	if h.reaches(h.outside, attackerV4, hostV4, 8080) || h.reaches(h.outside, attackerV6, containerV6, 80) {
		t.Error("a banned address reaches a container")
	}
	if !h.answers(h.outside, neighbourV4, hostV4, 8080) || !h.answers(h.outside, neighbourV6, containerV6, 80) {
		t.Error("somebody else does not reach the container any more")
	}
}

// TestOthersTablesStay: not a byte of another table changes, and iptables' neither.
func TestOthersTablesStay(t *testing.T) {
	t.Parallel()
	real.Require(t, "iptables-legacy")
	h := newHosts(t)
	h.in(h.host, `nft -f - <<'END'
table inet doorward_other { set v4_32 { type ipv4_addr; elements = { 192.0.2.1 }; }; chain input { type filter hook input priority filter; policy accept; ip saddr @v4_32 drop; }; }
table ip doorward { chain input { type filter hook input priority filter; policy accept; }; }
END
iptables-legacy -A INPUT -s 192.0.2.3 -j DROP`)
	others := `nft -s list table inet doorward_other; nft list table ip doorward; iptables-legacy -S`
	before := h.in(h.host, others)
	p := h.enforce()
	l := h.client()
	h.up(l)
	l.ban(attackerV4, 0)
	h.banned(attackerV4 + "/32")
	h.in(h.host, "nft delete table inet doorward")
	h.banned(attackerV4 + "/32")
	p.Stop()
	if after := h.in(h.host, others); after != before {
		t.Errorf("other tables were\n%s\nand are\n%s", before, after)
	}
	if tables := h.in(h.host, "nft list tables"); strings.Count(tables, "\n") != 3 {
		t.Errorf("tables are\n%s, want ours and the two others", tables)
	}
}
