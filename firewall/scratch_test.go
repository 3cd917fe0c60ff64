package firewall

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestScratch(t *testing.T) {
	if os.Getenv("SCRATCH") == "" {
		t.Skip()
	}
	k, err := newRuleset(func(p uint32) {})
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGuard([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.0.3.0/24"), netip.MustParsePrefix("2001:db8::/32")})
	if err != nil {
		t.Fatal(err)
	}
	all := map[netip.Prefix]time.Time{}
	now := time.Now()
	for i := range 50000 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(i)+0x14000000)
		all[netip.PrefixFrom(netip.AddrFrom4(b), 32)] = now.Add(time.Hour)
	}
	for i := range 50000 {
		b := [16]byte{0x20, 0x01, 0xd, 0xb9}
		binary.BigEndian.PutUint32(b[4:], uint32(i))
		all[netip.PrefixFrom(netip.AddrFrom16(b), 64)] = time.Time{}
	}
	all[netip.MustParsePrefix("10.0.0.0/8")] = now.Add(time.Minute)
	all[netip.MustParsePrefix("10.1.0.0/16")] = now.Add(3 * time.Minute)
	s := time.Now()
	fmt.Println("build", k.build(g, all, nil, now), time.Since(s))
	s = time.Now()
	l, err := k.look(true)
	fmt.Println("look", len(l.Elements), err, time.Since(s))
	fmt.Println(l.shape, l.Counts)
	s = time.Now()
	fmt.Println("swap", k.swap(g, l.lengths, all, now), time.Since(s))
	s = time.Now()
	l, err = k.look(true)
	fmt.Println("look", len(l.Elements), err, time.Since(s))
	s = time.Now()
	fmt.Println("rebuild", k.build(g, all, nil, now), time.Since(s))
	p := netip.MustParsePrefix("9.9.9.9/32")
	e := Element{p, now.Add(time.Hour)}
	no := func(netip.Prefix) bool { return false }
	yes := func(netip.Prefix) bool { return true }
	s = time.Now()
	fmt.Println("add", k.change([]Element{e}, nil, no, now), time.Since(s))
	e.Until = now.Add(2 * time.Hour)
	fmt.Println("again", k.change([]Element{e}, nil, yes, now))
	e.Until = time.Time{}
	out, _ := exec.Command("nft", "get", "element", "inet", "doorward", "v4_32", "{ 9.9.9.9 }").CombinedOutput()
	fmt.Println(string(out))
	fmt.Println("perm", k.change([]Element{e}, nil, yes, now))
	out, _ = exec.Command("nft", "get", "element", "inet", "doorward", "v4_32", "{ 9.9.9.9 }").CombinedOutput()
	fmt.Println(string(out))
	fmt.Println("del", k.change(nil, []Element{e}, yes, now))
	fmt.Println("del again", k.change(nil, []Element{e}, yes, now))
	out, _ = exec.Command("nft", "get", "element", "inet", "doorward", "v4_32", "{ 9.9.9.9 }").CombinedOutput()
	fmt.Println(string(out))
	for _, s := range []string{"v4_32", "v6_64"} {
		k.conn.FlushSet(k.set(map[string]length{"v4_32": {false, 32}, "v6_64": {true, 64}}[s]))
	}
	k.flush("x")
	out, _ = exec.Command("nft", "list", "ruleset").CombinedOutput()
	fmt.Println(string(out))
}
