package demo_test

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/api"
)

// bans: attacks come from 127.0.0.66, which can be banned; 127.0.0.1 and ::1, and they alone, never are.
func bans(t *testing.T, r *running) {
	c, err := api.Dial(t.Context(), filepath.Join(r.Data, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	for _, allowed := range []string{"127.0.0.1", "::1", "127.0.0.0/24"} {
		if _, err := c.AddDecision(t.Context(), api.NewDecision{Target: allowed}); err == nil || !strings.Contains(err.Error(), "always allowed") {
			t.Errorf("ban of %s: got %v, want a refusal", allowed, err)
		}
	}
	from := func(address string) int {
		b := r.browser(t)
		transport, ok := b.client.Transport.(*http.Transport)
		if !ok {
			t.Fatal("the browser has another transport")
		}
		transport.DialContext = func(ctx context.Context, network, to string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(to)
			if err != nil {
				return nil, err
			}
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
			return d.DialContext(ctx, network, "127.0.0.1:"+port)
		}
		answer, _ := b.send("/", nil)
		return answer.StatusCode
	}
	for _, attacker := range []string{"127.0.0.66", "127.0.0.67", "127.0.0.68", "127.0.0.69"} {
		d, err := c.AddDecision(t.Context(), api.NewDecision{Target: attacker, Reason: "tried out"})
		if err != nil {
			t.Fatal(err)
		}
		if got := from(attacker); got != http.StatusForbidden {
			t.Errorf("%s, banned: got %d, want 403", attacker, got)
		}
		if list, err := c.Decisions(t.Context(), api.DecisionFilter{Address: attacker}); err != nil || len(list) != 1 || list[0].Reason != "tried out" {
			t.Errorf("%s is listed as %+v, %v", attacker, list, err)
		}
		if _, err := c.DeleteDecision(t.Context(), d.ID, ""); err != nil {
			t.Fatal(err)
		}
		if got := from(attacker); got != http.StatusSeeOther {
			t.Errorf("%s, lifted: got %d, want 303", attacker, got)
		}
	}
}
