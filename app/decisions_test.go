package app_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/store"
)

// statusFrom asks the gateway from another address of this machine.
func (r *running) statusFrom(address string) int {
	r.t.Helper()
	c := r.client(r.Gateway().Addresses("https")[0])
	defer c.CloseIdleConnections()
	transport, ok := c.Transport.(*http.Transport)
	if !ok {
		r.t.Fatal("the client has another transport")
	}
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
		return d.DialContext(ctx, "tcp", r.Gateway().Addresses("https")[0].String())
	}
	resp, err := c.Get("https://localhost/")
	if err != nil {
		r.t.Fatalf("get from %s: %v", address, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func (r *running) ban(target string) decision.Result {
	r.t.Helper()
	about, err := decision.ParseTarget(target)
	if err != nil {
		r.t.Fatal(err)
	}
	_, result, err := r.Decisions().Decide(context.Background(), decision.Proposal{Action: decision.Ban, Target: about, Origin: "detection:test", For: time.Hour, Key: target}, time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

// TestDecisions: bans hold at the gateway, end an account's sessions, and give way to a longer allow list.
func TestDecisions(t *testing.T) {
	r := start(t, store.Config{}, "decisions:\n  trial: true\n  allow: [127.0.0.1]\n  bouncer_api: {listen: \"127.0.0.1:0\"}\n")
	agent, user := r.mustSignIn("agent"), r.mustSignIn("user")
	if got := r.ban("127.0.0.1"); got != decision.Allowed {
		t.Errorf("a ban of the allow list gave %s", got)
	}
	r.ban("127.0.0.66")
	for address, want := range map[string]int{"127.0.0.66": 403, "127.0.0.67": 401, "127.0.0.1": 401} {
		if got := r.statusFrom(address); got != want {
			t.Errorf("from %s: got %d, want %d", address, got, want)
		}
	}
	r.ban("account:AGENT")
	if status, _ := r.get("/", agent); status != 401 {
		t.Errorf("the banned account's session: got %d, want 401", status)
	}
	if status, _ := r.signIn("agent", password); status != 401 {
		t.Errorf("the banned account signs in: got %d, want 401", status)
	}
	if status, _ := r.get("/", user); status != 200 {
		t.Errorf("another account: got %d, want 200", status)
	}
	r.eventually("the banned account has no sessions", func() bool {
		list, err := r.Auth().ListSessions(context.Background(), "agent")
		return err == nil && len(list) == 0
	})
	if _, err := r.Decisions().Delete(context.Background(), decision.Actor{Name: "test", Origin: "local"}, "account:agent", "", time.Now()); err != nil {
		t.Fatal(err)
	}
	if status, _ := r.get("/", agent); status != 401 {
		t.Errorf("the session came back with the end of the ban: %d", status)
	}
	r.mustSignIn("agent")

	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	operator := auth.Actor{Name: "cli:tester", Origin: "local"}
	r.write(strings.Replace(string(text), "allow: [127.0.0.1]", "allow: [127.0.0.1, 127.0.0.66]", 1))
	if err := r.ReloadFile(context.Background(), operator); err != nil {
		t.Fatalf("reload: %v", err)
	}
	if got := r.statusFrom("127.0.0.66"); got != 401 {
		t.Errorf("after it was allowed: got %d, want 401", got)
	}
	r.write(strings.Replace(string(text), `listen: "127.0.0.1:0"}`, `listen: "127.0.0.1:1"}`, 1))
	if err := r.ReloadFile(context.Background(), operator); err == nil {
		t.Error("the bouncers' listener changed without a restart")
	}
}
