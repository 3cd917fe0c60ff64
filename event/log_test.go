package event_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// start opens an event log beside db and runs it until the test ends.
func start(t *testing.T, db *store.DB, cfg event.Config) *event.Log {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = filepath.Join(t.TempDir(), "events")
	}
	l, err := event.Open(t.Context(), cfg, db, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	run(t, l)
	return l
}

// run runs l until the test ends, and then closes it.
func run(t testing.TB, l *event.Log) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func flush(t testing.TB, l *event.Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := l.Flush(ctx); err != nil {
		t.Fatalf("Flush: %v", err)
	}
}

func query(t *testing.T, l *event.Log, q event.Query) []event.Event {
	t.Helper()
	events, err := l.Query(t.Context(), q)
	if err != nil {
		t.Fatalf("Query(%+v): %v", q, err)
	}
	return events
}

// request is an access event as the gateway records it.
func request(at time.Time, i int) event.Event {
	return event.Event{
		Time: at, Class: event.HTTP, Action: "GET", Outcome: event.Success, Severity: event.Informational,
		Source: netip.MustParseAddr("203.0.113.9"), User: "demo-agent", Site: "help.example.org",
		Fields: []event.Field{
			{Key: "request_id", Value: fmt.Sprintf("0192f0c1-aaaa-7bbb-8ccc-%012d", i)},
			{Key: "host", Value: "help.example.org"},
			{Key: "target", Value: fmt.Sprintf("/Ticket/Display.html?id=%d", i)},
			{Key: "status", Value: "200"},
			{Key: "bytes", Value: "10240"},
			{Key: "micros", Value: "1234"},
			{Key: "user_agent", Value: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0 Safari/537.36"},
			{Key: "shoe_size", Value: "42"},
		},
	}
}

func TestAppendFlushQuery(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := start(t, db, event.Config{})
		now := time.Now().UTC().Truncate(time.Microsecond)
		want := request(now, 1)
		want.Raw = "a line\nand another\t"
		bare := event.Event{Time: now.Add(-time.Second), Class: event.Incident, Outcome: event.Unknown, Source: netip.MustParseAddr("2001:db8::1")}
		for _, e := range []event.Event{want, bare} {
			if !l.Append(e) {
				t.Fatalf("Append(%+v): got false, want true", e)
			}
		}
		flush(t, l)
		got := query(t, l, event.Query{})
		if diff := cmp.Diff([]event.Event{want, bare}, got, cmpopts.IgnoreFields(event.Event{}, "ID"),
			cmp.Comparer(sameAddress)); diff != "" {
			t.Errorf("Query, -want +got:\n%s", diff)
		}
		for _, e := range got {
			if len(e.ID) != 36 || e.ID[14] != '7' {
				t.Errorf("ID %q is not a UUIDv7", e.ID)
			}
		}
	})
}

func sameAddress(a, b netip.Addr) bool { return a == b }
