package gateway_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/doorward/doorward/gateway"
)

// TestTurns: on four processors a client gets two, all strangers together two; who is signed in waits for nobody but themselves.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := gateway.NewTurns(4)
		a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		got := make(chan func(), 100)
		ask := func(ctx context.Context, session string, from netip.Addr) {
			go func() {
				leave, err := turns.Take(ctx, session, from)
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("got %v, want that the client left", err)
					}
					return
				}
				got <- leave
			}()
			synctest.Wait()
		}
		ctx, leaveEarly := context.WithCancel(t.Context())
		for range 5 {
			ask(t.Context(), "", a)
		}
		ask(ctx, "", b)
		if len(got) != 2 {
			t.Errorf("strangers have %d turns, want 2", len(got))
		}
		for range 3 {
			ask(t.Context(), "ada", a)
		}
		ask(t.Context(), "ben", a)
		if len(got) != 5 {
			t.Errorf("with two people there are %d turns, want 2 of strangers, 2 of ada's and 1 of ben's", len(got))
		}
		leaveEarly()
		synctest.Wait()
		if n := turns.Clients(); n != 3 {
			t.Errorf("%d clients have or wait for a turn, want 3: one has left", n)
		}
		for range 8 {
			(<-got)()
			synctest.Wait()
		}
		(<-got)()
		if n := turns.Clients(); n != 0 || len(got) != 0 {
			t.Errorf("%d clients are remembered and %d turns are left, want none", n, len(got))
		}
	})
}
