package demo_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	for _, attacker := range []string{"127.0.0.66", "127.0.0.67", "127.0.0.68", "127.0.0.69"} {
		d, err := c.AddDecision(t.Context(), api.NewDecision{Target: attacker, Reason: "tried out"})
		if err != nil {
			t.Fatal(err)
		}
		if got := from(t, r, attacker, "/"); got != http.StatusForbidden {
			t.Errorf("%s, banned: got %d, want 403", attacker, got)
		}
		if list, err := c.Decisions(t.Context(), api.DecisionFilter{Address: attacker}); err != nil || len(list) != 1 || list[0].Reason != "tried out" {
			t.Errorf("%s is listed as %+v, %v", attacker, list, err)
		}
		if _, err := c.DeleteDecision(t.Context(), d.ID, ""); err != nil {
			t.Fatal(err)
		}
		if got := from(t, r, attacker, "/"); got != http.StatusSeeOther {
			t.Errorf("%s, lifted: got %d, want 303", attacker, got)
		}
	}
}

// from is the status that the gateway answers to a client at address.
func from(t *testing.T, r *running, address, path string) int {
	t.Helper()
	b := r.browser(t)
	b.come(address)
	answer, _ := b.send(path, nil)
	return answer.StatusCode
}

// come has the browser come from address.
func (b *browser) come(address string) {
	b.t.Helper()
	transport, ok := b.client.Transport.(*http.Transport)
	if !ok {
		b.t.Fatal("the browser has another transport")
	}
	transport.DialContext = func(ctx context.Context, network, to string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(to)
		if err != nil {
			return nil, err
		}
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
		return d.DialContext(ctx, network, "127.0.0.1:"+port)
	}
}

// attack: twenty suspicious URLs from 127.0.0.66 are banned with their evidence, and what lifts the ban lets it in again; the
// same from 127.0.0.1 changes nothing.
func attack(t *testing.T, r *running) {
	c, err := api.Dial(t.Context(), filepath.Join(r.Data, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	urls := []string{"/.env", "/.git/config", "/wp-login.php", "/phpmyadmin/", "/xmlrpc.php", "/backup.zip", "/shell.php", "/%2eenv", "/a/%2e%2e/%2e%2e/etc/passwd", "/.aws/credentials"}
	for _, address := range []string{"127.0.0.1", "127.0.0.66"} {
		for i := range 19 {
			from(t, r, address, urls[i%len(urls)]) // whatever the answer is
		}
		if got := from(t, r, address, "/"); got != http.StatusSeeOther {
			t.Fatalf("%s at / after nineteen suspicious URLs gets %d, want 303", address, got)
		}
	}
	from(t, r, "127.0.0.1", "/.env")
	if list, err := c.Decisions(t.Context(), api.DecisionFilter{Origin: "detection:"}); err != nil || len(list) != 0 {
		t.Fatalf("decisions after nineteen are %+v, %v", list, err)
	}
	from(t, r, "127.0.0.66", "/.env")
	var list []api.Decision
	for end := time.Now().Add(time.Minute); len(list) == 0 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if list, err = c.Decisions(t.Context(), api.DecisionFilter{Origin: "detection:"}); err != nil {
			t.Fatal(err)
		}
	}
	if len(list) != 1 || list[0].Target != "127.0.0.66" || list[0].Origin != "detection:suspicious_urls" || len(list[0].Evidence) == 0 ||
		!strings.Contains(strings.Join(list[0].Evidence, " "), "/.env") || list[0].Until.Sub(list[0].Created) > time.Hour {
		t.Fatalf("decisions are %+v", list)
	}
	if got := from(t, r, "127.0.0.66", "/"); got != http.StatusForbidden {
		t.Errorf("127.0.0.66 at / gets %d, want 403", got)
	}
	if got := from(t, r, "127.0.0.1", "/"); got != http.StatusSeeOther {
		t.Errorf("127.0.0.1 at / gets %d, want 303", got)
	}
	if _, err := c.DeleteDecision(t.Context(), list[0].ID, "tried out"); err != nil {
		t.Fatal(err)
	}
	if got := from(t, r, "127.0.0.66", "/"); got != http.StatusSeeOther {
		t.Errorf("127.0.0.66, lifted, gets %d, want 303", got)
	}
}

// pictures: who looks at a page whose pictures are suspicious URLs is never banned for it. Whoever calls a scan pictures has to show a browser.
func pictures(t *testing.T, r *running) {
	c, err := api.Dial(t.Context(), filepath.Join(r.Data, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	const reader = "127.0.0.68"
	b := r.browser(t)
	b.come(reader)
	for range 25 {
		b.send("/.env", nil, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image")
	}
	var list []api.Decision
	for end := time.Now().Add(time.Minute); len(list) == 0 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if list, err = c.Decisions(t.Context(), api.DecisionFilter{Address: reader}); err != nil {
			t.Fatal(err)
		}
	}
	if len(list) != 1 || list[0].Action != "challenge" {
		t.Fatalf("decisions are %+v, want a challenge alone", list)
	}
	answer, _ := b.send("/", nil)
	if at := answer.Header.Get("Location"); answer.StatusCode != http.StatusSeeOther || !strings.Contains(at, "/.doorward/challenge") {
		t.Errorf("the reader at / gets %d to %q, want 303 to the page with the button", answer.StatusCode, at)
	}
	if _, err := c.DeleteDecision(t.Context(), reader, ""); err != nil {
		t.Fatal(err)
	}
}

// guess: who tries twenty passwords without minding the wait is banned, and what lifts the ban lets them in again.
func guess(t *testing.T, r *running) {
	c, err := api.Dial(t.Context(), filepath.Join(r.Data, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	const attacker = "127.0.0.67"
	b := r.browser(t)
	b.come(attacker)
	for range 20 {
		b.send("/.doorward/sign-in", url.Values{"login": {"demo-user"}, "password": {"a wrong one"}}, "Origin", r.Gateway)
	}
	var list []api.Decision
	for end := time.Now().Add(time.Minute); len(list) == 0 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if list, err = c.Decisions(t.Context(), api.DecisionFilter{Address: attacker}); err != nil {
			t.Fatal(err)
		}
	}
	if len(list) != 1 || list[0].Origin != "detection:signin_guessing" || len(list[0].Evidence) == 0 || list[0].Until.IsZero() {
		t.Fatalf("decisions are %+v", list)
	}
	if got := from(t, r, attacker, "/"); got != http.StatusForbidden {
		t.Errorf("the attacker at / gets %d, want 403", got)
	}
	if _, err := c.DeleteDecision(t.Context(), attacker, ""); err != nil {
		t.Fatal(err)
	}
	if got := from(t, r, attacker, "/"); got != http.StatusSeeOther {
		t.Errorf("the attacker, lifted, gets %d, want 303", got)
	}
}
