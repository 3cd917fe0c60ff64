package event_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// helperEnv makes this test binary the process that is killed; its value is a folder.
const helperEnv = "DOORWARD_EVENT_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		if err := writeForever(dir, os.Getenv("DOORWARD_EVENT_URL")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// openIn opens the database and the event log in dir, or at the URL in urlFile.
func openIn(ctx context.Context, dir, urlFile string) (*store.DB, *event.Log, error) {
	db, err := store.Open(ctx, store.Config{Path: filepath.Join(dir, "doorward.db"), URLFile: urlFile})
	if err != nil {
		return nil, nil, err
	}
	l, err := event.Open(ctx, event.Config{Dir: filepath.Join(dir, "events")}, db, slog.New(slog.DiscardHandler))
	return db, l, err
}

// writeForever appends events in groups of ten and prints a line for each group that Flush has acknowledged.
func writeForever(dir, urlFile string) error {
	ctx := context.Background()
	_, l, err := openIn(ctx, dir, urlFile)
	if err != nil {
		return err
	}
	go func() {
		if err := l.Run(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	for group := 1; ; group++ {
		for i := range 10 {
			l.Append(request(time.Now(), i))
		}
		if err := l.Flush(ctx); err != nil {
			return err
		}
		if _, err := fmt.Println(group * 10); err != nil {
			return err
		}
	}
}

// TestKill kills a writing process many times, without warning, and wants every flushed event to be there.
func TestKill(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		dir, flushed := t.TempDir(), 0
		for round := range 6 {
			flushed += killWriter(t, dir, cfg.URLFile)
			db, l, err := openIn(t.Context(), dir, cfg.URLFile)
			if err != nil {
				t.Fatalf("round %d: open: %v", round, err)
			}
			got := len(query(t, l, event.Query{Limit: 10_000}))
			if got < min(flushed, 10_000) {
				t.Errorf("round %d: %d events, but %d were flushed", round, got, flushed)
			}
			// What was counted and listed beside the events is what there is, whenever the process ended.
			if counted, fed := total(counts(t, l, event.CountQuery{})), len(feedAll(t, l, time.Now())); counted != int64(fed) || fed < flushed {
				t.Errorf("round %d: %d events are counted and %d were fed, want the same and at least %d", round, counted, fed, flushed)
			}
			if list := top(t, l, event.Users, time.Time{}, time.Time{}); len(list.Items) != 1 || list.Items[0].Count != total(counts(t, l, event.CountQuery{})) {
				t.Errorf("round %d: the top list says %+v", round, list.Items)
			}
			if got < 10_000 && int64(got) != total(counts(t, l, event.CountQuery{})) {
				t.Errorf("round %d: %d events, but %d are counted", round, got, total(counts(t, l, event.CountQuery{})))
			}
			if err := l.Close(); err != nil {
				t.Errorf("round %d: Close: %v", round, err)
			}
			if err := db.Close(); err != nil {
				t.Errorf("round %d: Close: %v", round, err)
			}
		}
		if flushed < 60 {
			t.Errorf("only %d events were flushed: the test shows nothing", flushed)
		}
	})
}

// killWriter starts the writer, kills it at a random moment after its first acknowledgement, and returns
// how many events it acknowledged.
func killWriter(t *testing.T, dir, urlFile string) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+dir, "DOORWARD_EVENT_URL="+urlFile)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last, lines := 0, bufio.NewScanner(out)
	for lines.Scan() {
		number, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("the writer said %q", lines.Text())
		}
		if last == 0 {
			time.AfterFunc(time.Duration(rand.IntN(80))*time.Millisecond, func() { _ = cmd.Process.Kill() }) // SIGKILL
		}
		last = number
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the writer ended with %v, want it killed", err)
	}
	return last
}
