package event_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// idle opens an event log that nothing is written from, because Run does not run.
func idle(t *testing.T, queue int) *event.Log {
	t.Helper()
	cfg := event.Config{Dir: filepath.Join(t.TempDir(), "events"), Queue: queue}
	l, err := event.Open(t.Context(), cfg, storetest.SQLite(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

func TestQueueIsFull(t *testing.T) {
	const room = 1000
	l := idle(t, room)
	e := request(time.Now(), 1)
	for i := range room + 500 {
		if got, want := l.Append(e), i < room; got != want {
			t.Fatalf("Append number %d of %d: got %t, want %t", i, room, got, want)
		}
	}
	got := l.Stats()
	if want := (event.Stats{Appended: room, Dropped: 500, Queued: room}); got != want {
		t.Errorf("Stats: got %+v, want %+v", got, want)
	}
}

// TestQueueHoldsBoundedMemory: events made long by a stranger fill the queue before their number does.
func TestQueueHoldsBoundedMemory(t *testing.T) {
	const room, long = 1000, 100 << 10
	l := idle(t, room)
	e := request(time.Now(), 1)
	e.Raw = strings.Repeat("x", long)
	accepted := 0
	for range room {
		if l.Append(e) {
			accepted++
		}
	}
	if accepted < 5 || accepted > room*1024/long {
		t.Errorf("events of 100 KB accepted by a queue of %d: got %d, want what fits in 1,000 KB", room, accepted)
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	l := idle(t, 1<<20)
	e := request(time.Time{}, 1)
	if got := testing.AllocsPerRun(20_000, func() { l.Append(e) }); got != 0 {
		t.Errorf("allocations of one Append: got %v, want 0", got)
	}
}

func TestAppendFromEverywhere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const workers, each = 8, 1500
		l := start(t, db, event.Config{Queue: workers * each})
		begin := time.Now()
		var all sync.WaitGroup
		for range workers {
			all.Go(func() {
				for i := range each {
					if !l.Append(request(time.Time{}, i)) {
						t.Error("Append: got false, want true")
						return
					}
				}
			})
		}
		all.Wait()
		flush(t, l)
		got := query(t, l, event.Query{Limit: 10_000})
		if len(got) != 10_000 {
			t.Errorf("Query with the highest limit: got %d events, want 10,000", len(got))
		}
		ids := map[string]bool{}
		for i, e := range got {
			if ids[e.ID] {
				t.Fatalf("two events have the id %s", e.ID)
			}
			ids[e.ID] = true
			if i > 0 && e.Time.After(got[i-1].Time) {
				t.Fatalf("event %d at %v stands after one at %v: want newest first", i, e.Time, got[i-1].Time)
			}
			if e.Time.Before(begin.Truncate(time.Microsecond)) || e.Time.After(time.Now()) {
				t.Fatalf("event %d has the time %v, which Append should have set to now", i, e.Time)
			}
		}
		want := event.Stats{Appended: workers * each, Written: workers * each}
		if stats := l.Stats(); stats != want {
			t.Errorf("Stats: got %+v, want %+v", stats, want)
		}
	})
}

// TestWrittenWithoutFlush: nobody has to ask for an event to be written.
func TestWrittenWithoutFlush(t *testing.T) {
	l := start(t, storetest.SQLite(t), event.Config{})
	l.Append(request(time.Now(), 1))
	for deadline := time.Now().Add(time.Minute); l.Stats().Written == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("an event was not written within a minute")
		}
	}
}

// TestEndWritesTheRest: what was appended before Run ended is written, and stays for the next start.
func TestEndWritesTheRest(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		cfg := event.Config{Dir: filepath.Join(t.TempDir(), "events")}
		for round := 1; round <= 2; round++ {
			l, err := event.Open(t.Context(), cfg, db, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			ctx, stop := context.WithCancel(t.Context())
			for i := range 5000 {
				l.Append(request(time.Now(), i))
			}
			stop()
			if err := l.Run(ctx); err != nil {
				t.Fatalf("Run: %v", err)
			}
			if got := query(t, l, event.Query{Limit: 10_000}); len(got) != 5000*round {
				t.Errorf("events after round %d: got %d, want %d", round, len(got), 5000*round)
			}
			if err := l.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if err := l.Run(t.Context()); err == nil {
				t.Error("Run of a closed log: got no error")
			}
		}
	})
}

func TestFlushGivesUp(t *testing.T) {
	l := idle(t, 1000)
	l.Append(request(time.Now(), 1))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := l.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Flush while nothing is written: got %v, want that the time is over", err)
	}
}

func TestConfig(t *testing.T) {
	var cfg event.Config
	cfg.SetDefaults()
	if cfg.RetentionDays != 30 || cfg.Queue != 65536 {
		t.Errorf("defaults: got %+v, want 30 days and 65536 events", cfg)
	}
	for path, bad := range map[string]event.Config{
		"retention_days": {RetentionDays: -1, Queue: 1000},
		"queue":          {RetentionDays: 1, Queue: 5},
	} {
		bad.Digest = cfg.Digest
		var got []string
		bad.Validate(func(path, _ string, _ ...any) { got = append(got, path) })
		if len(got) != 1 || got[0] != path {
			t.Errorf("Validate(%+v): got problems at %q, want one at %q", bad, got, path)
		}
		bad.Dir = t.TempDir()
		if _, err := event.Open(t.Context(), bad, storetest.SQLite(t), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Open(%+v): got %v, want an error about %s", bad, err, path)
		}
	}
	if _, err := event.Open(t.Context(), event.Config{}, storetest.SQLite(t), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("Open without a folder: got no error")
	}
}
