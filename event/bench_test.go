package event_test

import (
	"log/slog"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/event"
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

// BenchmarkWriter is what an access event costs from Append to the file, in processor time of all threads.
func BenchmarkWriter(b *testing.B) {
	l, err := event.Open(b.Context(), event.Config{Dir: filepath.Join(b.TempDir(), "events")}, storetest.SQLite(b), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatalf("Open: %v", err)
	}
	run(b, l)
	events := make([]event.Event, 1024)
	for i := range events {
		events[i] = request(time.Time{}, i)
	}
	flush(b, l)
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
