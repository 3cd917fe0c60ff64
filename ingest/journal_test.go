package ingest_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/ingest"
)

// collector takes what a source gives.
type collector struct {
	mu       sync.Mutex
	records  []ingest.Record
	position []byte
	stop     func()
}

func collect(t *testing.T, s ingest.Source, positions map[string][]byte) *collector {
	t.Helper()
	c := &collector{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Run(ctx, positions, func(_ context.Context, b ingest.Batch) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.records = append(c.records, b.Records...)
			c.position = bytes.Clone(b.Position)
			return nil
		})
	}()
	c.stop = func() { cancel(); <-done }
	t.Cleanup(c.stop)
	return c
}

func (c *collector) all() []ingest.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]ingest.Record(nil), c.records...)
}

// wait waits until there are n records, and returns them.
func (c *collector) wait(t *testing.T, s ingest.Source, n int) []ingest.Record {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if got := c.all(); len(got) >= n {
			return got
		}
		if time.Now().After(end) {
			t.Fatalf("%d records, want %d; %+v", len(c.all()), n, s.Health())
		}
	}
}

// writeJournal makes a journal file with systemd-journal-remote, each message an entry a second.
func writeJournal(t *testing.T, path string, from time.Time, messages ...string) {
	t.Helper()
	const remote = "/lib/systemd/systemd-journal-remote"
	if _, err := os.Stat(remote); err != nil {
		if os.Getenv("DOORWARD_REQUIRE_REAL") == "1" {
			t.Fatalf("package systemd-journal-remote: %v", err)
		}
		t.Skip("package systemd-journal-remote is not installed")
	}
	var b bytes.Buffer
	for i, m := range messages {
		micros := from.Add(time.Duration(i) * time.Second).UnixMicro()
		fmt.Fprintf(&b, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=0123456789abcdef0123456789abcdef\n", micros, micros-1_700_000_000_000_000)
		b.WriteString("_HOSTNAME=shop\nSYSLOG_IDENTIFIER=sshd\n_PID=811\n_COMM=sshd\n_SYSTEMD_UNIT=ssh.service\nMESSAGE\n")
		_ = binary.Write(&b, binary.LittleEndian, uint64(len(m))) // a buffer takes everything
		b.WriteString(m + "\n\n")
	}
	cmd := exec.Command(remote, "--output="+path, "-")
	cmd.Stdin = &b
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", remote, err, out)
	}
}

// TestJournal: entries come once and in order, over a restart; a message is one record whatever bytes it holds; what parsers
// read is the message, and what jails read is a line.
func TestJournal(t *testing.T) {
	dir := t.TempDir()
	began := time.Now().Add(-10 * time.Minute).Truncate(time.Second)
	failed := "Failed password for root from 198.51.100.6 port 40022 ssh2"
	writeJournal(t, filepath.Join(dir, "a.journal"), began, failed, "two\nsshd[1]: Failed password for root from 203.0.113.9 port 1 ssh2", "NUL \x00 and \xff\xfe", strings.Repeat("z", 9000))
	open := func(matches ...string) *ingest.Journal {
		j, err := ingest.NewJournal("journal", ingest.JournalOptions{Directory: dir, Matches: matches}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	j := open("_SYSTEMD_UNIT=ssh.service", "+", "_COMM=other")
	c := collect(t, j, nil)
	got := c.wait(t, j, 4)
	c.stop()
	for i, want := range []string{"shop sshd[811]: " + failed, `shop sshd[811]: two\nsshd[1]: Failed password for root from 203.0.113.9 port 1 ssh2`,
		"shop sshd[811]: NUL \x00 and \xff\xfe", "shop sshd[811]: " + strings.Repeat("z", 9000)} {
		if got[i].Text != want || !got[i].Time.Equal(began.Add(time.Duration(i)*time.Second)) {
			t.Errorf("entry %d is %.90q at %s, want %.90q", i, got[i].Text, got[i].Time, want)
		}
	}
	p := parser(t, true)
	for i, want := range []string{"failed|sign-in|failure|198.51.100.6|root", "||unknown||", "||unknown||"} {
		if e, _ := p.Parse(&got[i], now); !strings.HasPrefix(show(e), want) {
			t.Errorf("entry %d says %s, want %s", i, show(e), want)
		}
	}
	writeJournal(t, filepath.Join(dir, "b.journal"), began.Add(time.Minute), "five", "six")
	j = open()
	c = collect(t, j, map[string][]byte{"journal": c.position})
	got = c.wait(t, j, 2)
	c.stop()
	if len(got) != 2 || got[0].Message != "five" || got[1].Message != "six" {
		t.Errorf("after the restart came %+v, want five and six", got)
	}
	j = open() // a cursor that the journal does not know: the time goes on, and it is said
	c = collect(t, j, map[string][]byte{"journal": fmt.Appendf(nil, `{"cursor":"nonsense","time":%d}`, began.Add(30*time.Second).UnixMicro())})
	got = c.wait(t, j, 2)
	if h := j.Health(); h.Gaps != 1 || got[0].Message != "five" {
		t.Errorf("health is %+v, first is %q", h, got[0].Message)
	}
	if _, err := ingest.NewJournal("x", ingest.JournalOptions{Matches: []string{"--directory=/etc"}}, nil); err == nil {
		t.Error("an option passes for a match")
	}
}

// TestJournalMissing: without a journal there is a problem, and no end.
func TestJournalMissing(t *testing.T) {
	j, err := ingest.NewJournal("journal", ingest.JournalOptions{Directory: filepath.Join(t.TempDir(), "none")}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	collect(t, j, nil)
	for end := time.Now().Add(time.Minute); j.Health().Problem == "" && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
	}
	if h := j.Health(); h.Problem == "" || h.Silent(time.Minute, h.Since) || !h.Silent(time.Minute, h.Since.Add(2*time.Minute)) {
		t.Errorf("health is %+v, want a problem, and silent after a minute", h)
	}
}
