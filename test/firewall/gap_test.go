package firewall_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/firewall"
	"github.com/doorward/doorward/test/real"
)

// TestNewLengths: the first ban of a prefix length makes a set and the rules that ask it. Who was banned before stays so at every moment:
// while twenty new lengths come among many bans, a banned address sends without pause, and nothing of it arrives.
func TestNewLengths(t *testing.T) {
	h := newHosts(t)
	h.enforce()
	var in *net.UDPConn
	var out [2]net.Conn
	var err error
	within(t, h.host, func() { in, err = net.ListenUDP("udp", &net.UDPAddr{Port: 5060}) })
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for i, from := range []string{attackerV4, neighbourV4} {
		within(t, h.outside, func() {
			out[i], err = net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, &net.UDPAddr{IP: net.ParseIP("198.51.100.1"), Port: 5060})
		})
		if err != nil {
			t.Fatal(err)
		}
		defer out[i].Close()
	}
	until := time.Now().Add(time.Hour)
	list := []firewall.Element{{Prefix: prefix(attackerV4), Until: until}}
	for i := range 20_000 {
		var four [4]byte
		binary.BigEndian.PutUint32(four[:], 0x15000000+uint32(i)*3)
		list = append(list, firewall.Element{Prefix: netip.PrefixFrom(netip.AddrFrom4(four), 32), Until: until})
	}
	l := h.client()
	l.client.Reset(list)
	h.up(l)
	real.Eventually(t, time.Minute, "all bans to be in the kernel", func() bool { return len(h.kernel().Elements) == len(list) })
	var sent, passed, others atomic.Int64
	go func() {
		buf := make([]byte, 64)
		for {
			_, from, err := in.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if from.Addr().Unmap().String() == attackerV4 {
				passed.Add(1)
			} else {
				others.Add(1)
			}
		}
	}()
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, c := range out {
				_, _ = c.Write([]byte("x")) // refused or not, it went out
			}
			sent.Add(1)
		}
	}()
	for bits := 10; bits < 30; bits++ {
		p := netip.PrefixFrom(netip.MustParseAddr("192.0.2.0"), bits).Masked()
		l.client.Change([]firewall.Element{{Prefix: p, Until: until}}, nil)
		time.Sleep(50 * time.Millisecond)
	}
	real.Eventually(t, time.Minute, "the networks to be banned", func() bool { return len(h.kernel().Elements) == len(list)+20 })
	real.Eventually(t, time.Minute, "the neighbour's datagrams to arrive", func() bool { return others.Load() > 1000 })
	close(stop)
	<-done
	if passed.Load() > 0 {
		t.Errorf("%d of %d datagrams of a banned address arrived", passed.Load(), sent.Load())
	}
	t.Logf("%d datagrams each; %d of the neighbour arrived", sent.Load(), others.Load())
}
