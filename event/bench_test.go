package event_test

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// cpu is the processor time that this process has used, in user and system mode.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		tb.Fatalf("getrusage: %v", err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkAppend is what the gateway pays for an event, without the making of it.
func BenchmarkAppend(b *testing.B) {
	l, err := event.Open(b.Context(), event.Config{Dir: filepath.Join(b.TempDir(), "events"), Queue: 1 << 22}, storetest.SQLite(b), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatalf("Open: %v", err)
	}
	e := request(time.Now(), 1)
	b.ReportAllocs()
	for b.Loop() {
		l.Append(e)
	}
	if s := l.Stats(); s.Dropped > s.Appended {
		b.Fatalf("the benchmark measured drops: %+v", s)
	}
}

// BenchmarkWriter is what an access event costs from Append to the store, in processor time of all threads
// of this process.
func BenchmarkWriter(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchmarkWriter(b, storetest.SQLite(b)) })
	b.Run("postgres", func(b *testing.B) {
		benchmarkWriter(b, storetest.Open(b, storetest.NewDatabase(b, storetest.Shared(b))))
	})
}

func benchmarkWriter(b *testing.B, db *store.DB) { benchmarkEvents(b, db, nil) }

func benchmarkEvents(b *testing.B, db *store.DB, change func(*event.Event, int)) {
	l, err := event.Open(b.Context(), event.Config{Dir: filepath.Join(b.TempDir(), "events")}, db, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatalf("Open: %v", err)
	}
	run(b, l)
	events := make([]event.Event, 16384)
	for i := range events {
		events[i] = request(time.Time{}, i)
		if change != nil {
			change(&events[i], i)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	begin := cpu(b)
	for i := range b.N {
		for !l.Append(events[i%len(events)]) {
			time.Sleep(time.Millisecond)
		}
	}
	flush(b, l)
	b.ReportMetric(float64((cpu(b)-begin).Nanoseconds())/float64(b.N), "cpu-ns/event")
}

// BenchmarkWriterOfStrangers is the same where each event has another source, user, action and path, all of them refused: the worst that
// a stranger can do to the top lists.
func BenchmarkWriterOfStrangers(b *testing.B) {
	change := func(e *event.Event, i int) {
		e.Source = netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})
		e.User, e.Action, e.Outcome = fmt.Sprint("user", i), fmt.Sprint("act", i), event.Refused
		e.Fields[2].Value = fmt.Sprint("/path/", i)
	}
	b.Run("sqlite", func(b *testing.B) { benchmarkEvents(b, storetest.SQLite(b), change) })
	b.Run("postgres", func(b *testing.B) {
		benchmarkEvents(b, storetest.Open(b, storetest.NewDatabase(b, storetest.Shared(b))), change)
	})
}

// BenchmarkQuery reads the hundred newest of a day of events, as the console's first page does.
func BenchmarkQuery(b *testing.B) {
	l, err := event.Open(b.Context(), event.Config{Dir: filepath.Join(b.TempDir(), "events")}, storetest.SQLite(b), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatalf("Open: %v", err)
	}
	run(b, l)
	for i := range 50_000 {
		l.Append(request(time.Time{}, i))
	}
	flush(b, l)
	for name, q := range map[string]event.Query{"newest": {}, "absent-user": {User: "nobody"}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := l.Query(b.Context(), q); err != nil {
					b.Fatalf("Query: %v", err)
				}
			}
		})
	}
}
