package netfilter_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/doorward/doorward/audit/netfilter"
)

// TestSpansByTrial holds long chains of rules about random networks against judging one address after the other.
func TestSpansByTrial(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		type line struct {
			network netip.Prefix
			not     bool
			accept  bool
		}
		var lines []line
		var b strings.Builder
		b.WriteString("*filter\n:INPUT DROP [0:0]\n")
		for range 1 + random.IntN(12) {
			a := netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(256))})
			l := line{netip.PrefixFrom(a, 24+random.IntN(9)).Masked(), random.IntN(5) == 0, random.IntN(2) == 0}
			lines = append(lines, l)
			verdict, not := "DROP", ""
			if l.accept {
				verdict = "ACCEPT"
			}
			if l.not {
				not = "! "
			}
			fmt.Fprintf(&b, "-A INPUT %s-s %s -j %s\n", not, l.network, verdict)
		}
		got := iptables(t, b.String()+"COMMIT\n").Inbound(host(), netfilter.Packet{Proto: "tcp", Port: 22})
		for n := range 256 {
			a := netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})
			want := netfilter.Closed
			for _, l := range lines {
				if l.network.Contains(a) != l.not {
					if l.accept {
						want = netfilter.Open
					}
					break
				}
			}
			if answer := got.From([]netip.Prefix{netip.PrefixFrom(a, 32)}); answer != want {
				t.Fatalf("%s: got %s, want %s by\n%s", a, answer, want, b.String())
			}
		}
	}
}
