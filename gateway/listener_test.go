package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/doorward/doorward/gateway"
)

func TestListenAddressesThatCannotBe(t *testing.T) {
	t.Parallel()
	r := start(t, gateway.Config{}, publicSite(t, unusedAddress(t)))
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for name, c := range map[string]struct {
		listen gateway.ListenConfig
		want   string
	}{
		"taken":               {gateway.ListenConfig{HTTPS: []string{"127.0.0.1:0", r.address("https")}}, "listen.https[1]: " + r.address("https") + " is taken"},
		"no port":             {gateway.ListenConfig{HTTP: []string{"localhost"}}, "listen.http[0]"},
		"plain for everybody": {gateway.ListenConfig{Plain: []string{":0"}}, "listen.plain[0]: \":0\": without TLS"},
		"plain for a network": {gateway.ListenConfig{Plain: []string{"192.0.2.1:0"}}, "without TLS"},
		"not passed":          {gateway.ListenConfig{HTTPS: []string{"fd:web"}}, "FileDescriptorName=web"},
		"TLS on a socket":     {gateway.ListenConfig{HTTPS: []string{"unix:" + file}}, "only listen.plain"},
		"a file in the way":   {gateway.ListenConfig{Plain: []string{"unix:" + file}}, "is not a socket"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := r.cfg
			cfg.Listen, cfg.DataDir = c.listen, t.TempDir()
			g, err := gateway.New(cfg, r.deps)
			if err == nil {
				g.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want it to say %q", err, c.want)
			}
			if name == "taken" && !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("%v is not EADDRINUSE", err)
			}
		})
	}
}

// TestFailedNewLeavesNothingOpen: a second attempt on the same ports must succeed.
func TestFailedNewLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	r := start(t, gateway.Config{}, publicSite(t, unusedAddress(t)))
	address := freeAddress(t)
	cfg := r.cfg
	cfg.DataDir = t.TempDir()
	cfg.Listen = gateway.ListenConfig{HTTPS: []string{address, "fd:missing"}}
	if _, err := gateway.New(cfg, r.deps); err == nil {
		t.Fatal("no error for a socket that was not passed")
	}
	cfg.Listen = gateway.ListenConfig{HTTPS: []string{address}}
	g, err := gateway.New(cfg, r.deps)
	if err != nil {
		t.Fatalf("the failed attempt kept the port: %v", err)
	}
	must(t, g.Close())
}

func TestListenUnixSocket(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("X-Forwarded-For")) })
	path := filepath.Join(t.TempDir(), "plain.sock")
	// What a killed process leaves behind.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	stale.SetUnlinkOnClose(false)
	stale.Close()
	listen := gateway.ListenConfig{HTTPS: []string{"127.0.0.1:0"}, Plain: []string{"unix:" + path}}
	r := start(t, gateway.Config{Listen: listen}, publicSite(t, up.URL))
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	defer client.CloseIdleConnections()
	res, err := client.Get("http://localhost/")
	must(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	if res.StatusCode != http.StatusOK || string(body) != "127.0.0.1" {
		t.Errorf("got %d %q, want 200 and this host as the client", res.StatusCode, body)
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o660 {
		t.Errorf("the socket's mode is %v, want 0660", info.Mode().Perm())
	}
	cfg := r.cfg
	cfg.DataDir, cfg.Listen = t.TempDir(), gateway.ListenConfig{Plain: []string{"unix:" + path}}
	if g, err := gateway.New(cfg, r.deps); !errors.Is(err, syscall.EADDRINUSE) {
		if err == nil {
			g.Close()
		}
		t.Errorf("a socket in use: got %v, want EADDRINUSE", err)
	}
	must(t, r.stop())
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the stop: %v, want the socket gone", err)
	}
}

// TestListenTakesPassedSockets: systemd's socket units hold the ports that the configuration names by address.
func TestListenTakesPassedSockets(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "here") })
	socket := func(address string) net.Listener {
		l, err := net.Listen("tcp", address)
		must(t, err)
		t.Cleanup(func() { l.Close() })
		return l
	}
	every, one, unused := socket(":0"), socket("127.0.0.1:0"), socket("127.0.0.1:0")
	_, port, err := net.SplitHostPort(every.Addr().String())
	must(t, err)
	passed := map[string][]net.Listener{"https": {every}, "http": {one, unused}}
	listen := gateway.ListenConfig{HTTPS: []string{":" + port}, HTTP: []string{one.Addr().String()}}
	r := startWith(t, gateway.Deps{Sockets: passed}, gateway.Config{Listen: listen}, publicSite(t, up.URL))
	res, err := r.client().Get("https://localhost:" + port + "/")
	must(t, err)
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("got %d through the passed socket, want 200", res.StatusCode)
	}
	if got := r.log.String(); strings.Count(got, "systemd passed a socket that listen does not name") != 1 || !strings.Contains(got, unused.Addr().String()) {
		t.Errorf("the log does not warn of %s alone:\n%s", unused.Addr(), got)
	}

	// The port is systemd's, at another address than the one that is wanted.
	cfg := r.cfg
	cfg.DataDir, cfg.Listen = t.TempDir(), gateway.ListenConfig{HTTPS: []string{"127.0.0.1:" + port}}
	deps := r.deps
	deps.Sockets = map[string][]net.Listener{"web": {every}}
	g, err := gateway.New(cfg, deps)
	if err == nil {
		g.Close()
	}
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "fd:web") {
		t.Errorf("another address of systemd's port: %v, want EADDRINUSE and fd:web", err)
	}
}
