package geo_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/geo"
	"github.com/doorward/doorward/geo/geotest"
)

func single(code string) geotest.Database {
	return geotest.Database{Countries: map[string]string{"81.2.69.0/24": code}}
}

func wantCountry(t *testing.T, table *geo.Table, want geo.Country) {
	t.Helper()
	if got := table.Country(netip.MustParseAddr("81.2.69.1")); got != want {
		t.Errorf("address is in %s, want %s", got, want)
	}
}

// TestReplacedFile follows one file through the hands of a careless updater.
func TestReplacedFile(t *testing.T) {
	file := write(t, single("GB"))
	var log bytes.Buffer
	table, err := geo.Open(geo.Config{Database: file, MaxAge: 24 * time.Hour}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	step := func(what string, reloads, failures uint64, failure string, want geo.Country) {
		t.Helper()
		table.Check()
		s := table.Stats()
		if s.Reloads != reloads || s.ReloadFailures != failures || s.Failure != strings.ReplaceAll(failure, "FILE", file) {
			t.Errorf("%s: %d reloads, %d failures, %q; want %d, %d, %q", what, s.Reloads, s.ReloadFailures, s.Failure, reloads, failures, failure)
		}
		wantCountry(t, table, want)
	}
	step("untouched", 0, 0, "", "GB")
	single("DE").Write(t, file)
	step("replaced", 1, 0, "", "DE")
	step("untouched again", 1, 0, "", "DE")
	truncate(t, file)
	step("emptied in place", 1, 1, "FILE is empty", "DE")
	step("still empty", 1, 1, "FILE is empty", "DE")
	if err := os.WriteFile(file, single("FR").Bytes(t), 0o644); err != nil {
		t.Fatal(err)
	}
	step("written in place", 2, 1, "", "FR")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	step("gone", 2, 2, "FILE cannot be read: no such file or directory", "FR")
	step("still gone", 2, 3, "FILE cannot be read: no such file or directory", "FR")
	single("SE").Write(t, file)
	step("back", 3, 3, "", "SE")
	if got := strings.Count(log.String(), "level=ERROR"); got != 2 {
		t.Errorf("%d errors logged, want one for the empty file and one for the missing one:\n%s", got, log.String())
	}
}

func truncate(t *testing.T, file string) {
	t.Helper()
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
}

// TestFileWrittenOverInPlace: a mapped file that gets shorter would end the process at the next look-up.
func TestFileWrittenOverInPlace(t *testing.T) {
	file := write(t, single("GB"))
	table := open(t, file)
	truncate(t, file)
	wantCountry(t, table, "GB")
}

func TestPrepare(t *testing.T) {
	file := write(t, single("GB"))
	table := open(t, file)
	other := filepath.Join(t.TempDir(), "other.mmdb")
	if _, err := table.Prepare(geo.Config{Database: other}); err == nil {
		t.Error("Prepare took a file that is not there")
	}
	wantCountry(t, table, "GB")
	single("DE").Write(t, other)
	swap, err := table.Prepare(geo.Config{Database: other, MaxAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	wantCountry(t, table, "GB")
	swap()
	wantCountry(t, table, "DE")
	if swap, err = table.Prepare(geo.Config{}); err != nil {
		t.Fatal(err)
	}
	swap()
	wantCountry(t, table, geo.Unknown)
	table.Check() // no file, nothing to do
}

// TestPrepareKeepsWhatIsRead: a reload for another setting's sake does not read the database again.
func TestPrepareKeepsWhatIsRead(t *testing.T) {
	file := write(t, single("GB"))
	table := open(t, file)
	before := table.Stats().Read
	swap, err := table.Prepare(geo.Config{Database: file, MaxAge: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	swap()
	if got := table.Stats().Read; !got.Equal(before) {
		t.Errorf("read at %v, want at %v as before", got, before)
	}
	if !table.Stale(time.Now().Add(time.Hour)) {
		t.Error("not stale, want the new max_age in force")
	}
	single("DE").Write(t, file)
	if swap, err = table.Prepare(geo.Config{Database: file}); err != nil {
		t.Fatal(err)
	}
	swap()
	wantCountry(t, table, "DE")
}

// TestRun: within a minute a replaced file is in force, and an old database is named once.
func TestRun(t *testing.T) {
	file := write(t, single("GB"))
	var log syncBuffer
	synctest.Test(t, func(t *testing.T) {
		table, err := geo.Open(geo.Config{Database: file, MaxAge: 24 * time.Hour}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- table.Run(ctx) }()
		old := single("DE")
		old.Built = time.Now().Add(-48 * time.Hour)
		old.Write(t, file)
		time.Sleep(time.Minute + time.Second)
		wantCountry(t, table, "DE")
		time.Sleep(time.Hour)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run gave %v, want that it was cancelled", err)
		}
	})
	if got := strings.Count(log.String(), "country database is old"); got != 1 {
		t.Errorf("log calls the database old %d times, want once:\n%s", got, log.String())
	}
}

// TestLookupsWhileReplaced is for the race detector.
func TestLookupsWhileReplaced(t *testing.T) {
	file := write(t, single("GB"))
	table := open(t, file)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if got := table.Country(netip.MustParseAddr("81.2.69.1")); got != "GB" && got != "DE" {
					t.Errorf("address is in %s, want GB or DE", got)
					return
				}
				table.Stats()
				table.Stale(time.Now())
			}
		})
	}
	for range 10 {
		single("DE").Write(t, file)
		table.Check()
		single("GB").Write(t, file)
		table.Check()
	}
	close(done)
	readers.Wait()
}

// syncBuffer is a buffer that a goroutine may write while another one reads.
type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}
