package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// watchServer is a doorward serve that reads logs, and a bouncer that asks it for decisions.
type watchServer struct {
	*process
	dir, config string
	bouncer     string // address of the bouncers' listener
	key         string
	client      *http.Client
}

// watchConfig has a site, because a gateway needs one; nobody visits it.
const watchConfig = `
data_dir: %[1]s/data
listen: {https: [], http: [], plain: ["%[2]s"]}
console: {listen: ["%[3]s"]}
sites: [{hosts: [localhost], upstreams: ["http://127.0.0.1:9"]}]
decisions: {bouncer_api: {listen: "%[4]s"}}
%[5]s
`

// startWatch starts doorward serve with further lines of configuration. within is what stands before the command: a namespace's.
func (b *bench) startWatch(ctx context.Context, dir, more string, within ...string) (*watchServer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	ports, err := freePorts("plain", "console", "bouncer")
	if err != nil {
		return nil, err
	}
	at := func(name string) string { return fmt.Sprintf("127.0.0.1:%d", ports[name]) }
	w := &watchServer{dir: dir, config: filepath.Join(dir, "doorward.yaml"), bouncer: at("bouncer")}
	if err := os.WriteFile(w.config, fmt.Appendf(nil, watchConfig, dir, at("plain"), at("console"), at("bouncer"), more), 0o644); err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, b.file("doorward"), "decision", "bouncer", "add", "bench", "--config", w.config).Output()
	if err != nil {
		return nil, fmt.Errorf("make a key for the bouncer: %w", err)
	}
	w.key = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(string(out)), "key:"))
	return w, w.start(ctx, b, within...)
}

// start starts the server, for the first time or again.
func (w *watchServer) start(ctx context.Context, b *bench, within ...string) error {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", w.bouncer)
	}
	if len(within) > 0 {
		dial = func(ctx context.Context, _, _ string) (c net.Conn, err error) {
			err = inNamespace(watchNamespace, func() (err error) {
				c, err = (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", w.bouncer)
				return err
			})
			return c, err
		}
	}
	w.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: dial}}
	var err error
	w.process, err = runProcess("Doorward", append(slices.Clone(within), b.file("doorward"), "serve", "--config", w.config)...)
	if err != nil {
		return err
	}
	nobody := netip.MustParseAddr("192.0.2.1")
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err = w.banned(ctx, nobody); err == nil {
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			w.stop()
			return fmt.Errorf("start Doorward: %w\n%s", err, w.log)
		}
	}
}

// banned says whether the list has a ban of the address, as a bouncer is told.
func (w *watchServer) banned(ctx context.Context, a netip.Addr) (bool, error) {
	text, err := w.ask(ctx, "/v1/decisions?ip="+a.String())
	return err == nil && len(text) > len("null") && text[0] == '[', err
}

// bans counts the decisions.
func (w *watchServer) bans(ctx context.Context) (int, error) {
	text, err := w.ask(ctx, "/v1/decisions")
	if err != nil {
		return 0, err
	}
	var all []json.RawMessage
	err = json.Unmarshal(text, &all)
	return len(all), err
}

func (w *watchServer) ask(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.bouncer+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Api-Key", w.key)
	resp, err := w.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = &statusError{resp.StatusCode}
	}
	return text, err
}
