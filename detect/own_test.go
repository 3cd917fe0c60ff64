package detect_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// gatewayWatch is the watch over a store and the event log in dir, where three suspicious requests are too many.
func gatewayWatch(ctx context.Context, dir, urlFile string) (*detect.Watch, *decision.List, *event.Log, error) {
	db, err := store.Open(ctx, store.Config{Path: filepath.Join(dir, "doorward.db"), URLFile: urlFile})
	if err != nil {
		return nil, nil, nil, err
	}
	l, err := openList(ctx, db, dir)
	if err != nil {
		return nil, nil, nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	events, err := event.Open(ctx, event.Config{Dir: filepath.Join(dir, "events")}, db, log)
	if err != nil {
		return nil, nil, nil, err
	}
	overrides := filepath.Join(dir, "overrides.yaml")
	if err := os.WriteFile(overrides, []byte("suspicious_urls: {count: 3}\n"), 0o600); err != nil {
		return nil, nil, nil, err
	}
	cfg := detect.Config{Overrides: overrides}
	cfg.SetDefaults()
	w, err := detect.New(cfg, detect.Deps{DB: db, Decisions: l, Events: events, Log: log, Node: "here", Local: time.UTC})
	return w, l, events, err
}

// gatewayProcess is a process whose gateway meets the clients that are named in order ("from-to"); it says when their requests are stored,
// and waits to be killed.
func gatewayProcess(dir, urlFile, order string) error {
	ctx := context.Background()
	first, last, _ := strings.Cut(order, "-")
	from, err := strconv.Atoi(first)
	if err != nil {
		return err
	}
	to, err := strconv.Atoi(last)
	if err != nil {
		return err
	}
	w, _, events, err := gatewayWatch(ctx, dir, urlFile)
	if err != nil {
		return err
	}
	go func() { fmt.Fprintln(os.Stderr, events.Run(ctx)) }()
	go func() { fmt.Fprintln(os.Stderr, w.Run(ctx)) }()
	for n := from; n < to; n++ {
		events.Append(request(time.Now(), clientOf(n), "/.env"))
		if n%50 == 0 {
			time.Sleep(time.Millisecond) // so that some are stored and counted before others come
		}
	}
	if err := events.Flush(ctx); err != nil {
		return err
	}
	fmt.Println("stored")
	select {}
}

// meetAndKill starts a process whose gateway meets clients, and kills it at a time after their requests are stored.
func meetAndKill(t *testing.T, dir, urlFile string, from, to int, after time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+dir, "DOORWARD_DETECT_URL="+urlFile, ownEnv+"="+fmt.Sprint(from, "-", to))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stored := false
	for lines := bufio.NewScanner(out); !stored && lines.Scan(); {
		stored = lines.Text() == "stored"
	}
	time.Sleep(after)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _ = cmd.Wait(); !stored {
		t.Fatal("the process ended before its events were stored")
	}
}

func clientOf(n int) string { return fmt.Sprintf("100.64.%d.%d", n/250, 1+n%250) }

func runEvents(t *testing.T, events *event.Log) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = events.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; events.Close() })
}

// otherGateway is another gateway on the same store that met three suspicious requests, which are for its own watch to count.
func otherGateway(t *testing.T, dir, urlFile, client string) {
	t.Helper()
	db := storetest.Open(t, store.Config{Path: filepath.Join(dir, "doorward.db"), URLFile: urlFile})
	events, err := event.Open(t.Context(), event.Config{Dir: filepath.Join(dir, "events")}, db, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	runEvents(t, events)
	events.Tap(10)
	for range 3 {
		events.Append(request(time.Now(), client, "/.env"))
	}
	if err := events.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestOwnEventsKilled kills the process again and again, mostly before what its gateway met is saved as counted. Who sent two suspicious
// requests must not be banned, because no event counts twice; who sent three must be, because none that was stored is lost; and nobody may
// seem to have come back.
func TestOwnEventsKilled(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		dir := t.TempDir()
		const clients, step = 600, 150
		kills := 0
		for round := range 3 { // the first half of each step's clients is met in every round, the others not in the last
			for first := 0; first < clients; first += step {
				to := first + step
				if round == 2 {
					to = first + step/2
				}
				// At once; while the next save may be under way; and after it.
				meetAndKill(t, dir, cfg.URLFile, first, to, []time.Duration{0, 0, 50 * time.Millisecond, 0, 1200 * time.Millisecond}[kills%5])
				kills++
			}
		}
		otherGateway(t, dir, cfg.URLFile, "203.0.113.2")
		w, l, events, err := gatewayWatch(t.Context(), dir, cfg.URLFile)
		if err != nil {
			t.Fatal(err)
		}
		runEvents(t, events)
		run(t, w)
		for range 3 { // what comes now is counted after what was left
			events.Append(request(time.Now(), "203.0.113.1", "/.env"))
		}
		eventually(t, "all is counted", func() bool { _, ok := l.Lookup(netip.MustParseAddr("203.0.113.1"), time.Now()); return ok })
		found, err := l.Find(t.Context(), decision.Filter{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		// That of the other gateway is not among them.
		if want := clients/2 + 1; len(found) != want {
			t.Errorf("%d clients are banned, want %d", len(found), want)
		}
		for _, d := range found {
			if d.Repeats != 0 || d.Origin != "detection:suspicious_urls" {
				t.Errorf("%+v: want a first ban by suspicious_urls", d)
			}
		}
		for n := range clients {
			if _, ok := l.Lookup(netip.MustParseAddr(clientOf(n)), time.Now()); ok != (n%step < step/2) {
				t.Fatalf("client %d is banned: %v", n, ok)
			}
		}
	})
}

// TestOwnEventsOverReloads: another configuration goes on where the one before was, and counts nothing again.
func TestOwnEventsOverReloads(t *testing.T) {
	dir := t.TempDir()
	w, l, events, err := gatewayWatch(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	runEvents(t, events)
	run(t, w)
	cfg := detect.Config{Overrides: filepath.Join(dir, "overrides.yaml")}
	cfg.SetDefaults()
	banned := func(client string) bool { _, ok := l.Lookup(netip.MustParseAddr(client), time.Now()); return ok }
	for i := range 3 {
		events.Append(request(time.Now(), "203.0.113.7", "/.env"))
		if i < 2 {
			events.Append(request(time.Now(), "203.0.113.8", "/.env"))
			eventually(t, "both are judged", func() bool { return w.Rules().Events >= 2 })
			swap, err := w.Prepare(cfg)
			if err != nil {
				t.Fatal(err)
			}
			swap()
			eventually(t, "the other one runs", func() bool { return w.Rules().Events == 0 })
		}
	}
	eventually(t, "203.0.113.7 is banned", func() bool { return banned("203.0.113.7") })
	if banned("203.0.113.8") {
		t.Error("who sent two suspicious requests is banned")
	}
	if n := w.Rules().Events; n != 1 {
		t.Errorf("after the reloads %d events are judged, want 1", n)
	}
}
