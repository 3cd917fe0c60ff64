package event_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// room is the queue of the logs in these tests.
const room = 2000

// logbook collects log lines.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logbook) count(part string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.text.String(), part)
}

// outage takes the store away with down, wants events to wait up to the cap and then to be dropped and
// counted, and after up all that waited to be written, in order and once.
func outage(t *testing.T, db *store.DB, dir string, down, up func()) {
	t.Helper()
	var book logbook
	l, err := event.Open(t.Context(), event.Config{Dir: dir, Queue: room}, db, slog.New(slog.NewTextHandler(&book, nil)))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	run(t, l)
	l.Append(request(time.Now(), 0))
	flush(t, l)
	for round := 1; round <= 2; round++ {
		down()
		const tries = room + 700
		accepted := 0
		for i := range tries {
			if l.Append(request(time.Now(), i)) {
				accepted++
			}
			if i == 10 { // the writer must have met the outage
				for end := time.Now().Add(20 * time.Second); book.count("event store is away") < round && time.Now().Before(end); {
					time.Sleep(10 * time.Millisecond)
				}
			}
		}
		stats := l.Stats()
		if accepted != room || stats.Queued != room || stats.Dropped != uint64(round*(tries-room)) {
			t.Errorf("round %d, while the store is away: %d accepted, %+v; want %d waiting and %d dropped", round, accepted, stats, room, tries-room)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if err := l.Flush(ctx); err == nil {
			t.Error("Flush while the store is away: got no error")
		}
		cancel()
		up()
		flush(t, l)
		stats = l.Stats()
		if want := uint64(1 + round*room); stats.Written != want || stats.Queued != 0 || stats.Failed != 0 {
			t.Errorf("round %d, when the store is back: %+v; want %d written and none waiting", round, stats, want)
		}
		if got, want := len(query(t, l, event.Query{Limit: 10_000})), 1+round*room; got != want {
			t.Errorf("round %d: %d events in the store, want %d", round, got, want)
		}
		if away, back := book.count("event store is away"), book.count("event store is back"); away != round || back != round {
			t.Errorf("round %d: the log says %d times that the store is away and %d times that it is back, want %d each", round, away, back, round)
		}
	}
}

func TestFolderGoneAndBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "events")
	move := func(from, to string) func() {
		return func() {
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		}
	}
	outage(t, storetest.SQLite(t), dir, move(dir, dir+".away"), move(dir+".away", dir))
}

func TestDiskFullAndBack(t *testing.T) {
	disk := storetest.SmallDisk(t, 8<<20)
	if disk == nil {
		return
	}
	var free func()
	dir := filepath.Join(disk.Dir, "events")
	outage(t, storetest.SQLite(t), dir, func() { free = disk.Fill() }, func() { free() })
}

func TestDiskReadOnlyAndBack(t *testing.T) {
	disk := storetest.SmallDisk(t, 8<<20)
	if disk == nil {
		return
	}
	l, err := event.Open(t.Context(), event.Config{Dir: filepath.Join(disk.Dir, "events"), Queue: room}, storetest.SQLite(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	disk.ReadOnly(true)
	run(t, l)
	for i := range 100 {
		l.Append(request(time.Now(), i))
	}
	time.Sleep(600 * time.Millisecond)
	if got := l.Stats(); got.Queued != 100 || got.Failed != 0 {
		t.Errorf("on a read-only disk: %+v, want 100 waiting", got)
	}
	disk.ReadOnly(false)
	flush(t, l)
	if got := len(query(t, l, event.Query{Limit: 1000})); got != 100 {
		t.Errorf("on the writable disk: %d events, want 100", got)
	}
}

func TestPostgreSQLStoppedAndBack(t *testing.T) {
	url, stop, start := storetest.PostgreSQL(t)
	db := storetest.Open(t, store.Config{URLFile: storetest.URLFile(t, url)})
	outage(t, db, "", stop, start)
}

// TestDayFileDeleted: who deletes the live day's file loses what is in it, and nothing after that.
func TestDayFileDeleted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "events")
	l := start(t, storetest.SQLite(t), event.Config{Dir: dir})
	l.Append(request(time.Now(), 1))
	flush(t, l)
	files, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil || len(files) != 1 {
		t.Fatalf("day files: %q, %v", files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		l.Append(request(time.Now(), i))
	}
	flush(t, l)
	if got := len(query(t, l, event.Query{})); got != 5 {
		t.Errorf("events after the file was deleted: got %d, want 5", got)
	}
}

// TestDayFileDamaged: a live file that cannot be written any more keeps the events waiting, and is named.
func TestDayFileDamaged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "events")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "events-"+time.Now().UTC().Format(time.DateOnly)+".db")
	if err := os.WriteFile(path, []byte(strings.Repeat("garbage ", 2000)), 0o600); err != nil {
		t.Fatal(err)
	}
	var book logbook
	l, err := event.Open(t.Context(), event.Config{Dir: dir}, storetest.SQLite(t), slog.New(slog.NewTextHandler(&book, nil)))
	if err != nil {
		t.Fatal(err)
	}
	run(t, l)
	l.Append(request(time.Now(), 1))
	for end := time.Now().Add(time.Minute); book.count(path) == 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(600 * time.Millisecond) // for what must not come
	if got := l.Stats(); got.Queued != 1 || book.count(path) != 1 {
		t.Errorf("with a damaged file: %+v, want one event waiting and the file named once in the log, not %d times", got, book.count(path))
	}
	if err := os.Rename(path, path+".damaged"); err != nil {
		t.Fatal(err)
	}
	flush(t, l)
	if got := len(query(t, l, event.Query{})); got != 1 {
		t.Errorf("after the damaged file was moved away: %d events, want 1", got)
	}
}

// TestLossAtTheEndIsSaid: events that cannot be written when Run ends are lost, but not silently.
func TestLossAtTheEndIsSaid(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "events")
	var book logbook
	l, err := event.Open(t.Context(), event.Config{Dir: dir}, storetest.SQLite(t), slog.New(slog.NewTextHandler(&book, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	for i := range 7 {
		l.Append(request(time.Now(), i))
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := l.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	if book.count("events are lost") != 1 || book.count(fmt.Sprintf("events=%d", 7)) != 1 {
		t.Errorf("the log does not say that 7 events are lost:\n%s", book.text.String())
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
