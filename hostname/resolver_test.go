package hostname_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/doorward/doorward/hostname"
)

func newResolver(t *testing.T, cfg hostname.Config) *hostname.Resolver {
	t.Helper()
	if cfg.Timeout == 0 { // two seconds are little for a busy machine
		cfg.Timeout = 10 * time.Second
	}
	cfg.SetDefaults()
	r, err := hostname.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// run lets r work until the test ends.
func run(t *testing.T, r *hostname.Resolver) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// settled asks for addr until the answer is there.
func settled(t *testing.T, r *hostname.Resolver, addr string) (string, hostname.State) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if name, state := r.Name(netip.MustParseAddr(addr)); state != hostname.Pending {
			return name, state
		}
	}
	t.Fatalf("%s is still pending", addr)
	return "", 0
}

func wantName(t *testing.T, r *hostname.Resolver, addr, want string, state hostname.State) {
	t.Helper()
	if name, got := settled(t, r, addr); name != want || got != state {
		t.Errorf("%s is %q, %v; want %q, %v", addr, name, got, want, state)
	}
}

func TestNames(t *testing.T) {
	s := newServer(t)
	s.pointer("192.0.2.1", "Client.Example.ORG.")
	s.host("client.example.org.", "192.0.2.1")
	s.pointer("2001:db8::1", "client6.example.org.")
	s.host("client6.example.org.", "2001:db8::1")
	s.pointer("192.0.2.2", "bank.example.") // the bank is elsewhere
	s.host("bank.example.", "198.51.100.1")
	s.pointer("192.0.2.3", "nowhere.example.org.")
	s.pointer("192.0.2.5", "z.example.org.", "bank.example.", "b.example.org.", "a.example.org.")
	s.host("z.example.org.", "192.0.2.5")
	s.host("b.example.org.", "192.0.2.5")
	s.pointer("192.0.2.6", "two.example.org.") // one of several addresses
	s.host("two.example.org.", "198.51.100.1")
	s.host("two.example.org.", "192.0.2.6")
	s.fail(s.arpa("192.0.2.7"), dns.RcodeServerFailure)
	s.fail(s.arpa("192.0.2.8"), dns.RcodeRefused)
	s.pointer("192.0.2.9", "broken.example.org.")
	s.fail("broken.example.org.", dns.RcodeServerFailure)
	s.pointer("192.0.2.10", "www.example.org.")
	s.host("web.example.org.", "192.0.2.10")
	s.alias("www.example.org.", "web.example.org.", dns.TypeA)
	s.pointer("192.0.2.11", "delegated.example.org.") // below, the question for 12 is answered by an alias to it (RFC 2317)
	s.alias(s.arpa("192.0.2.12"), s.arpa("192.0.2.11"), dns.TypePTR)
	s.host("delegated.example.org.", "192.0.2.12")
	s.pointer("2001:db8::4", "old.example.org.") // an IPv6 address is not confirmed by IPv4
	s.host("old.example.org.", "192.0.2.1")
	r := newResolver(t, hostname.Config{Resolver: s.address})
	run(t, r)
	for _, c := range []struct {
		addr, name string
		state      hostname.State
	}{
		{"192.0.2.1", "client.example.org", hostname.Confirmed},
		{"::ffff:192.0.2.1", "client.example.org", hostname.Confirmed},
		{"2001:db8::1", "client6.example.org", hostname.Confirmed},
		{"2001:db8::1%eth0", "client6.example.org", hostname.Confirmed},
		{"192.0.2.2", "", hostname.Unconfirmed},
		{"192.0.2.3", "", hostname.Unconfirmed},
		{"192.0.2.4", "", hostname.Missing},
		{"192.0.2.5", "b.example.org", hostname.Confirmed},
		{"192.0.2.6", "two.example.org", hostname.Confirmed},
		{"192.0.2.7", "", hostname.Failed},
		{"192.0.2.8", "", hostname.Failed},
		{"192.0.2.9", "", hostname.Failed},
		{"192.0.2.10", "www.example.org", hostname.Confirmed},
		{"192.0.2.12", "delegated.example.org", hostname.Confirmed},
		{"2001:db8::4", "", hostname.Unconfirmed},
	} {
		wantName(t, r, c.addr, c.name, c.state)
	}
	got := r.Stats()
	want := hostname.Stats{Cached: 13, Confirmed: 6, Unconfirmed: 3, Missing: 1, Failed: 3}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
	for _, addr := range []netip.Addr{{}, netip.MustParseAddr("127.0.0.66"), netip.MustParseAddr("::1"), netip.MustParseAddr("::ffff:127.0.0.1"),
		netip.MustParseAddr("::"), netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("169.254.1.1"), netip.MustParseAddr("224.0.0.1")} {
		if name, state := r.Name(addr); name != "" || state != hostname.Missing {
			t.Errorf("%v is %q, %v; want missing, without a question", addr, name, state)
		}
	}
}

// TestHostileNames: what is no host name is neither shown nor asked for.
func TestHostileNames(t *testing.T) {
	s := newServer(t)
	for i, name := range []string{"<b>x</b>.example.", `a\027[2J.example.`, "under_score.example.", "192.0.2.11.", "-dash.example.", `white\032space.example.`, "."} {
		addr := fmt.Sprintf("192.0.2.%d", 10+i)
		s.pointer(addr, name)
		s.host(name, addr)
	}
	r := newResolver(t, hostname.Config{Resolver: s.address})
	run(t, r)
	for i := range 7 {
		addr := fmt.Sprintf("192.0.2.%d", 10+i)
		if name, state := settled(t, r, addr); name != "" || state != hostname.Unconfirmed && state != hostname.Failed {
			t.Errorf("%s is %q, %v; want no name", addr, name, state)
		}
	}
	s.look(func() {
		for question := range s.asked {
			if !strings.HasSuffix(question, "in-addr.arpa. PTR") {
				t.Errorf("asked for %s", question)
			}
		}
	})
}

// TestManyNames: of an address's names only a few are tried; the answer is long enough to come over TCP.
func TestManyNames(t *testing.T) {
	s := newServer(t)
	for i := range 200 {
		s.pointer("192.0.2.1", fmt.Sprintf("n%03d.example.org.", i))
	}
	s.host("n199.example.org.", "192.0.2.1")
	r := newResolver(t, hostname.Config{Resolver: s.address})
	run(t, r)
	wantName(t, r, "192.0.2.1", "", hostname.Unconfirmed)
	s.look(func() {
		if s.tcp == 0 {
			t.Error("nothing was asked over TCP")
		}
		confirming := 0
		for question := range s.asked {
			if strings.HasSuffix(question, " A") {
				confirming++
			}
		}
		if confirming != hostname.MaxNames {
			t.Errorf("%d names were tried, want %d", confirming, hostname.MaxNames)
		}
	})
}

func TestSlowServer(t *testing.T) {
	s := newServer(t)
	s.ignore(s.arpa("192.0.2.1"))
	s.pointer("192.0.2.2", "slow.example.org.")
	s.ignore("slow.example.org.")
	r := newResolver(t, hostname.Config{Resolver: s.address, Timeout: 100 * time.Millisecond})
	run(t, r)
	wantName(t, r, "192.0.2.1", "", hostname.Failed)
	wantName(t, r, "192.0.2.2", "", hostname.Failed)
}

// TestNameNeverBlocks: with nobody at work and no server to answer, every question is answered. The queue is bounded,
// and what does not fit is counted and asked again later.
func TestNameNeverBlocks(t *testing.T) {
	s := newServer(t)
	r := newResolver(t, hostname.Config{Resolver: s.address})
	first := netip.MustParseAddr("198.18.0.0")
	addr := first
	for range hostname.MaxQueue + 100 {
		if name, state := r.Name(addr); name != "" || state != hostname.Pending {
			t.Fatalf("%v is %q, %v; want pending", addr, name, state)
		}
		addr = addr.Next()
	}
	for range 10 {
		r.Name(first) // it is queued already
	}
	got := r.Stats()
	if want := (hostname.Stats{Cached: hostname.MaxQueue, Queued: hostname.MaxQueue, Dropped: 100}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

// TestWaitPassesTheQueue: whoever waits does not wait for what strangers have queued, or for their slow servers.
func TestWaitPassesTheQueue(t *testing.T) {
	s := newServer(t)
	s.pointer("192.0.2.1", "client.example.org.")
	s.host("client.example.org.", "192.0.2.1")
	addr := netip.MustParseAddr("198.18.0.0")
	r := newResolver(t, hostname.Config{Resolver: s.address, Timeout: 10 * time.Second})
	for range 256 {
		s.ignore(s.arpa(addr.String()))
		r.Name(addr)
		addr = addr.Next()
	}
	r.Name(netip.MustParseAddr("192.0.2.1")) // queued behind them all
	run(t, r)
	name, state := "", hostname.Pending
	for range 60 { // seconds, on a busy machine; the queue would take many minutes
		if name, state = r.Wait(t.Context(), netip.MustParseAddr("192.0.2.1")); state != hostname.Pending {
			break
		}
	}
	if name != "client.example.org" || state != hostname.Confirmed {
		t.Errorf("Wait gave %q, %v; want client.example.org, confirmed", name, state)
	}
}

// TestWaitEnds, with nobody at work: with its context, or after a second.
func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResolver(t, hostname.Config{})
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for _, c := range []struct {
			ctx  context.Context
			want time.Duration
		}{{ended, 0}, {t.Context(), time.Second}} {
			start := time.Now()
			name, state := r.Wait(c.ctx, netip.MustParseAddr("192.0.2.1"))
			if took := time.Since(start); name != "" || state != hostname.Pending || took != c.want {
				t.Errorf("Wait gave %q, %v after %v; want pending after %v", name, state, took, c.want)
			}
		}
		for i := range 100 {
			r.Wait(ended, netip.AddrFrom4([4]byte{198, 18, 0, byte(i)}))
		}
		if got := r.Stats(); got.Queued != hostname.MaxUrgent || got.Dropped == 0 {
			t.Errorf("stats %+v, want %d queued and the rest dropped", got, hostname.MaxUrgent)
		}
	})
}

// TestAnswersExpire, the confirmed later than the others.
func TestAnswersExpire(t *testing.T) {
	s := newServer(t)
	s.pointer("192.0.2.1", "client.example.org.")
	s.host("client.example.org.", "192.0.2.1")
	r := newResolver(t, hostname.Config{Resolver: s.address, TTL: time.Hour, NegativeTTL: 10 * time.Minute})
	var clock atomic.Int64 // nanoseconds since the start
	start := time.Now()
	r.SetClock(func() time.Time { return start.Add(time.Duration(clock.Load())) })
	run(t, r)
	asked := func(addr string, want int) {
		t.Helper()
		if got := s.questions(s.arpa(addr)); got != want {
			t.Errorf("%s was asked for %d times, want %d", addr, got, want)
		}
	}
	wantName(t, r, "192.0.2.1", "client.example.org", hostname.Confirmed)
	wantName(t, r, "192.0.2.2", "", hostname.Missing)
	s.pointer("192.0.2.2", "late.example.org.")
	s.host("late.example.org.", "192.0.2.2")
	s.drop("client.example.org. A")
	clock.Store(int64(9 * time.Minute))
	wantName(t, r, "192.0.2.2", "", hostname.Missing)
	asked("192.0.2.2", 1)
	clock.Store(int64(11 * time.Minute))
	wantName(t, r, "192.0.2.2", "late.example.org", hostname.Confirmed)
	asked("192.0.2.2", 2)
	clock.Store(int64(59 * time.Minute))
	wantName(t, r, "192.0.2.1", "client.example.org", hostname.Confirmed)
	asked("192.0.2.1", 1)
	clock.Store(int64(62 * time.Minute))
	wantName(t, r, "192.0.2.1", "", hostname.Unconfirmed)
	asked("192.0.2.1", 2)
}

// TestCacheIsCapped: what was not asked for longest is forgotten, counted.
func TestCacheIsCapped(t *testing.T) {
	s := newServer(t)
	r := newResolver(t, hostname.Config{Resolver: s.address})
	r.ShrinkCache(3)
	run(t, r)
	for _, addr := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1", "192.0.2.4"} {
		wantName(t, r, addr, "", hostname.Missing)
	}
	if got := r.Stats(); got.Cached != 3 || got.Evicted != 1 || got.Missing != 4 {
		t.Errorf("stats %+v, want 3 cached, 1 evicted, 4 looked up", got)
	}
	wantName(t, r, "192.0.2.1", "", hostname.Missing)
	if got := r.Stats(); got.Missing != 4 {
		t.Errorf("the one that was asked for twice was forgotten: %+v", got)
	}
	wantName(t, r, "192.0.2.2", "", hostname.Missing)
	if got := r.Stats(); got.Missing != 5 || got.Cached != 3 {
		t.Errorf("stats %+v, want the oldest looked up again", got)
	}
}

func TestReload(t *testing.T) {
	s, other := newServer(t), newServer(t)
	for name, server := range map[string]*server{"one.example.org.": s, "two.example.org.": other} {
		server.pointer("192.0.2.1", name)
		server.host(name, "192.0.2.1")
	}
	cfg := hostname.Config{Resolver: s.address, Timeout: 10 * time.Second}
	cfg.SetDefaults()
	r := newResolver(t, cfg)
	run(t, r)
	wantName(t, r, "192.0.2.1", "one.example.org", hostname.Confirmed)
	r.Reload(cfg)
	if got := r.Stats().Cached; got != 1 {
		t.Errorf("%d cached, want 1: nothing has changed", got)
	}
	cfg.Resolver = other.address
	r.Reload(cfg)
	wantName(t, r, "192.0.2.1", "two.example.org", hostname.Confirmed)
	cfg.Off = true
	r.Reload(cfg)
	wantName(t, r, "192.0.2.1", "", hostname.Off)
	if name, state := r.Wait(t.Context(), netip.MustParseAddr("192.0.2.1")); name != "" || state != hostname.Off {
		t.Errorf("Wait gave %q, %v; want off", name, state)
	}
}

func TestOffAsksNothing(t *testing.T) {
	s := newServer(t)
	r := newResolver(t, hostname.Config{Resolver: s.address, Off: true})
	run(t, r)
	wantName(t, r, "192.0.2.1", "", hostname.Off)
	if got := r.Stats(); got != (hostname.Stats{}) || s.questions(s.arpa("192.0.2.1")) != 0 {
		t.Errorf("stats %+v, want nothing done", got)
	}
}

// TestPace: look-ups are spread, and a quiet time earns no burst.
func TestPace(t *testing.T) {
	p := hostname.NewPace(40 * time.Millisecond)
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for i, c := range []struct{ after, want time.Duration }{
		{0, 0}, {0, 40 * time.Millisecond}, {0, 80 * time.Millisecond}, {100 * time.Millisecond, 20 * time.Millisecond},
		{time.Hour, 0}, {time.Hour, 40 * time.Millisecond},
	} {
		if got := p.Reserve(now.Add(c.after)); got != c.want {
			t.Errorf("turn %d waits %v, want %v", i, got, c.want)
		}
	}
}

func TestConfigIsJudged(t *testing.T) {
	for _, c := range []struct {
		cfg  hostname.Config
		want string
	}{
		{hostname.Config{Resolver: "dns.example.org:53"}, `host_names.resolver: "dns.example.org:53" is not an address with a port; write 192.0.2.53:53 or [2001:db8::53]:53`},
		{hostname.Config{Resolver: "192.0.2.53"}, `host_names.resolver: "192.0.2.53" is not an address with a port; write 192.0.2.53:53 or [2001:db8::53]:53`},
		{hostname.Config{Resolver: "192.0.2.53:0"}, `host_names.resolver: "192.0.2.53:0" is not an address with a port; write 192.0.2.53:53 or [2001:db8::53]:53`},
		{hostname.Config{Timeout: time.Minute}, `host_names.timeout: 1m0s is not between 100ms and 10s`},
		{hostname.Config{TTL: time.Second, NegativeTTL: time.Second}, "host_names.ttl: 1s is not between 1m0s and 168h0m0s\nhost_names.negative_ttl: 1s is not between 10s and 24h0m0s"},
		{hostname.Config{Resolver: "[::1]:53"}, ""},
	} {
		c.cfg.SetDefaults()
		_, err := hostname.New(c.cfg, slog.New(slog.DiscardHandler))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("New(%+v): %s\nwant: %s", c.cfg, got, c.want)
		}
	}
}
