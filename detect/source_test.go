package detect_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/ingest"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// watched is the watch over a store in dir and one source, the log of sshd in dir.
func watched(t *testing.T, dir string) (*detect.Watch, *decision.List, *event.Log) {
	t.Helper()
	db := storetest.Open(t, store.Config{Path: filepath.Join(dir, "doorward.db")})
	l, err := openList(t.Context(), db, dir)
	if err != nil {
		t.Fatal(err)
	}
	events, err := event.Open(t.Context(), event.Config{Dir: filepath.Join(dir, "events")}, db, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = events.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; events.Close() })
	cfg := detect.Config{Sources: []ingest.SourceConfig{{Name: "auth", Type: "file", Paths: []string{filepath.Join(dir, "auth.log")}, Parsers: []string{"sshd"}}}}
	cfg.SetDefaults()
	w, err := detect.New(cfg, detect.Deps{DB: db, Decisions: l, Events: events, Log: slog.New(slog.DiscardHandler), Node: "here", Local: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	return w, l, events
}

// TestSources: lines of a source lead to a decision; what was counted before a stop counts after it, and nothing counts twice.
func TestSources(t *testing.T) {
	dir := t.TempDir()
	log := newLog(t, filepath.Join(dir, "auth.log"))
	fail := func(address string) {
		if _, err := fmt.Fprintf(log.file, "%s shop sshd[811]: Failed password for root from %s port 40022 ssh2\n", time.Now().UTC().Format(time.RFC3339Nano), address); err != nil {
			t.Fatal(err)
		}
	}
	w, _, _ := watched(t, dir)
	stop := run(t, w)
	fail("203.0.113.7")
	fail("203.0.113.7")
	fail("203.0.113.8")
	fail("2001:db8::1")
	fail("2001:db8::2")
	eventually(t, "all are judged", func() bool { return w.Rules().Events == 5 })
	stop()
	w, l, events := watched(t, dir)
	run(t, w)
	fail("203.0.113.7")
	fail("203.0.113.8")
	fail("2001:db8::3")
	banned := func(text string) bool { _, ok := l.Lookup(netip.MustParseAddr(text), time.Now()); return ok }
	eventually(t, "203.0.113.7 is banned", func() bool { return banned("203.0.113.7") })
	eventually(t, "the /64 is banned", func() bool { return banned("2001:db8::4") })
	eventually(t, "all are judged", func() bool { return w.Rules().Events >= 3 })
	if banned("203.0.113.8") {
		t.Error("who failed twice is banned")
	}
	eventually(t, "the matches are told", func() bool {
		found, err := events.Query(t.Context(), event.Query{Class: event.Detection})
		n := 0
		for _, e := range found {
			if e.Action == "detect" {
				n++
			}
		}
		return err == nil && n == 2
	})
	if got := w.Sources(); len(got) != 1 || got[0].Name != "auth" || got[0].Counts.Parsed != 3 || got[0].Health.Problem != "" {
		t.Errorf("sources are %+v", got)
	}
}

// TestOwnEvents: the gateway's own events lead to a decision; a flood of them makes nobody wait, and what is missed is counted.
func TestOwnEvents(t *testing.T) {
	dir := t.TempDir()
	newLog(t, filepath.Join(dir, "auth.log"))
	w, l, events := watched(t, dir)
	for range 40_000 { // nobody reads yet
		e := request(time.Now(), "203.0.113.9", "/")
		events.Append(e)
	}
	if got := w.Rules().Missed; got == 0 {
		t.Error("nothing is missed of more events than there is room for")
	}
	run(t, w)
	eventually(t, "the queue is read", func() bool { return w.Rules().Events > 10_000 })
	eventually(t, "203.0.113.7 is banned", func() bool {
		events.Append(request(time.Now(), "203.0.113.7", "/.env"))
		_, ok := l.Lookup(netip.MustParseAddr("203.0.113.7"), time.Now())
		return ok
	})
}
