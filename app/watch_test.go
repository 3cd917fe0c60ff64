package app_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// scan asks for n suspicious URLs.
func (r *running) scan(address string, n int) {
	r.t.Helper()
	for range n {
		r.pathFrom(address, "/.env")
	}
}

func (r *running) isBanned(address string) bool {
	_, ok := r.Decisions().Lookup(netip.MustParseAddr(address), time.Now())
	return ok
}

// TestWatch: a scan is banned, on both kinds of store; an override counts from the reload on, and a wrong one is refused.
func TestWatch(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		overrides := filepath.Join(t.TempDir(), "overrides.yaml")
		text := func(s string) {
			if err := os.WriteFile(overrides, []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		text("suspicious_urls: {count: 4}\n")
		r := start(t, cfg, fmt.Sprintf("decisions:\n  trial: true\n  allow: [127.0.0.1]\nwatch:\n  overrides: %s\n", overrides))
		r.scan("127.0.0.66", 4)
		r.eventually("127.0.0.66 is banned", func() bool { return r.isBanned("127.0.0.66") })
		if got := r.statusFrom("127.0.0.66"); got != 403 {
			t.Errorf("127.0.0.66 gets %d, want 403", got)
		}
		who := auth.Actor{Name: "cli:tester", Origin: "local"}
		text("suspicious_uris: {count: 2}\n")
		if err := r.ReloadFile(context.Background(), who); err == nil || !strings.Contains(err.Error(), overrides+":1: there is no detection suspicious_uris") {
			t.Errorf("a wrong override gives %v", err)
		}
		text("suspicious_urls: {count: 2}\n")
		if err := r.ReloadFile(context.Background(), who); err != nil {
			t.Fatal(err)
		}
		r.eventually("127.0.0.67 is banned", func() bool {
			r.scan("127.0.0.67", 1)
			return r.isBanned("127.0.0.67")
		})
		if r.isBanned("127.0.0.1") {
			t.Error("127.0.0.1 is banned")
		}
	})
}
