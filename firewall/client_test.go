package firewall_test

import (
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorward/doorward/firewall"
)

// TestEnforceIsAway: a client whose enforcer is not there says so once, takes any number of changes, and ends with its context.
func TestEnforceIsAway(t *testing.T) {
	told := make(chan string, 10)
	c := firewall.NewClient(firewall.ClientOptions{Socket: filepath.Join(t.TempDir(), "none"), Log: slog.New(slog.DiscardHandler),
		OnState: func(reason string) { told <- reason }})
	if _, reason := c.State(); reason == "" {
		t.Error("a client that does not run is up")
	}
	c.Reset(nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	select {
	case reason := <-told:
		if reason == "" {
			t.Error("told that it is up")
		}
	case <-time.After(time.Minute):
		t.Fatal("nobody was told")
	}
	for i := range 50_000 { // five times what is kept
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
		c.Change([]firewall.Element{{Prefix: p}}, []netip.Prefix{p})
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run gave %v", err)
	}
	if len(told) > 0 {
		t.Errorf("told again: %q", <-told)
	}
}
