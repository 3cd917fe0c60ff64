package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/ingest"
)

// reader runs a source, and can be stopped and started again like a process.
type reader struct {
	t         *testing.T
	pattern   string
	format    ingest.Format
	records   []ingest.Record
	positions map[string][]byte
	mu        sync.Mutex
	lines     []string
	cut       int
	stop      func()
	source    *ingest.Files
	// killAfter ends the source after that many batches, the last of which does not count.
	killAfter int
}

var errKilled = errors.New("killed")

func (r *reader) start() {
	r.t.Helper()
	source, err := ingest.NewFiles("test", []string{r.pattern}, r.format, slog.New(slog.DiscardHandler))
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	left := r.killAfter
	from := map[string][]byte{}
	for k, v := range r.positions {
		from[k] = v
	}
	go func() {
		defer close(done)
		err := source.Run(ctx, from, func(_ context.Context, b ingest.Batch) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if left--; left == 0 {
				return errKilled
			}
			for _, rec := range b.Records {
				r.lines, r.records = append(r.lines, rec.Text), append(r.records, rec)
				if rec.Cut {
					r.cut++
				}
			}
			r.positions[b.Key] = bytes.Clone(b.Position)
			return nil
		})
		if !errors.Is(err, context.Canceled) && !errors.Is(err, errKilled) {
			r.t.Errorf("source ended: %v", err)
		}
	}()
	r.source = source
	r.stop = func() { cancel(); <-done }
}

func (r *reader) wait(n int) {
	r.t.Helper()
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		r.mu.Lock()
		got := len(r.lines)
		r.mu.Unlock()
		if got >= n {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("read %d lines, want %d; %+v", got, n, r.source.Health())
		}
	}
}

func newReader(t *testing.T, pattern string) *reader {
	r := &reader{t: t, pattern: pattern, positions: map[string][]byte{}}
	t.Cleanup(func() {
		if r.stop != nil {
			r.stop()
		}
	})
	return r
}

// exactly fails unless the lines are line 0, line 1 and so on, each once and in order.
func (r *reader) exactly(n int) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, got := range r.lines {
		if want := fmt.Sprintf("line %d of the log", i); got != want {
			r.t.Fatalf("line %d is %q, want %q", i, got, want)
		}
	}
	if len(r.lines) != n {
		r.t.Fatalf("read %d lines, want %d", len(r.lines), n)
	}
}

// writer writes numbered lines, a part of a line now and then, and rotates its log as logrotate does.
type writer struct {
	t    *testing.T
	path string
	file *os.File
	n    int
}

func newWriter(t *testing.T, path string) *writer {
	w := &writer{t: t, path: path}
	w.open()
	t.Cleanup(func() { w.file.Close() })
	return w
}

func (w *writer) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *writer) open() {
	var err error
	w.file, err = os.OpenFile(w.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	w.check(err)
}

func (w *writer) write(lines int) {
	var b bytes.Buffer
	for range lines {
		fmt.Fprintf(&b, "line %d of the log\n", w.n)
		w.n++
		if b.Len() > 32<<10 { // the write ends within a line
			part := b.Len() - 7
			_, err := w.file.Write(b.Bytes()[:part])
			w.check(err)
			rest := append([]byte(nil), b.Bytes()[part:]...)
			b.Reset()
			b.Write(rest)
		}
	}
	_, err := w.file.Write(b.Bytes())
	w.check(err)
}

func (w *writer) shift() {
	for i := 9; i > 0; i-- {
		err := os.Rename(fmt.Sprintf("%s.%d", w.path, i), fmt.Sprintf("%s.%d", w.path, i+1))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			w.t.Fatal(err)
		}
	}
}

func (w *writer) rename() {
	w.shift()
	w.check(os.Rename(w.path, w.path+".1"))
	w.write(10) // the program has not been told yet
	w.file.Close()
	w.open()
}

func (w *writer) copytruncate() {
	w.shift()
	in, err := os.Open(w.path)
	w.check(err)
	out, err := os.Create(w.path + ".1")
	w.check(err)
	_, err = io.Copy(out, in)
	w.check(err)
	in.Close()
	w.check(out.Close())
	w.check(os.Truncate(w.path, 0))
}

// pack packs the newest rotated file, as logrotate does without delaycompress.
func (w *writer) pack() {
	text, err := os.ReadFile(w.path + ".1")
	w.check(err)
	info, err := os.Stat(w.path + ".1")
	w.check(err)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err = z.Write(text)
	w.check(err)
	w.check(z.Close())
	w.check(os.WriteFile(w.path+".1.gz", b.Bytes(), 0o600))
	w.check(os.Chtimes(w.path+".1.gz", info.ModTime(), info.ModTime()))
	w.check(os.Remove(w.path + ".1"))
	w.check(os.Rename(w.path+".1.gz", fmt.Sprintf("%s-%d.gz", w.path, w.n)))
}

const lines, rotations = 400_000, 8

// TestRotation: no line is lost, split or read twice, whether somebody looks all the time or comes back later.
func TestRotation(t *testing.T) {
	rotate := map[string]func(*writer){
		"rename": (*writer).rename, "copytruncate": (*writer).copytruncate,
		"rename-packed":       func(w *writer) { w.rename(); w.pack() },
		"copytruncate-packed": func(w *writer) { w.copytruncate(); w.pack() },
	}
	for how, rotated := range rotate {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newWriter(t, filepath.Join(t.TempDir(), "app.log"))
			r := newReader(t, w.path)
			r.start()
			w.write(1)
			r.wait(1)
			for range rotations {
				w.write(lines / rotations / 2)
				rotated(w)
				w.write(lines / rotations / 2)
			}
			r.wait(w.n)
			r.exactly(w.n)
			if h := r.source.Health(); h.Gaps != 0 || h.Problem != "" {
				t.Errorf("health is %+v", h)
			}
		})
		t.Run(how+"-while-away", func(t *testing.T) {
			t.Parallel()
			w := newWriter(t, filepath.Join(t.TempDir(), "app.log"))
			r := newReader(t, w.path)
			for i := range rotations {
				r.start()
				w.write(1000)
				r.wait(w.n)
				r.stop()
				w.write(1000)
				rotated(w)
				w.write(1000)
				if i%2 == 1 && !strings.HasPrefix(how, "copytruncate") { // twice; of copies only the last can be known again
					rotated(w)
					w.write(10)
				}
			}
			r.start()
			r.wait(w.n)
			r.exactly(w.n)
		})
	}
}

// TestKilledReader: what was read and does not count is read again, and nothing else.
func TestKilledReader(t *testing.T) {
	w := newWriter(t, filepath.Join(t.TempDir(), "app.log"))
	r := newReader(t, w.path)
	r.killAfter = 3
	for range 20 {
		w.write(20_000)
		r.start()
		time.Sleep(20 * time.Millisecond)
		if w.n%3 == 0 {
			w.rename()
		}
		r.stop()
	}
	r.killAfter = 0
	r.start()
	r.wait(w.n)
	r.exactly(w.n)
}

func TestLongAndOddLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd.log")
	r := newReader(t, path)
	long := strings.Repeat("x", ingest.MaxLine+10)
	text := "first\r\n\nNUL \x00 and \xff\xfe\n" + long + "\nFailed password injected\n" + long[:ingest.MaxLine] + "\nend\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	want := []string{"first", "", "NUL \x00 and \xff\xfe", long[:ingest.MaxLine], "Failed password injected", long[:ingest.MaxLine], "end"}
	r.wait(len(want))
	for i, got := range r.lines {
		if got != want[i] {
			t.Errorf("line %d is %.40q (%d bytes), want %.40q (%d bytes)", i, got, len(got), want[i], len(want[i]))
		}
	}
	if h := r.source.Health(); h.Cut != 1 || r.cut != 1 {
		t.Errorf("%d lines and %d records are cut, want 1", h.Cut, r.cut)
	}
}

// TestPatterns: logs that come later are read from their beginning, a missing one is a problem and stops nothing, and what is
// no file is not opened.
func TestPatterns(t *testing.T) {
	dir := t.TempDir()
	source := newReader(t, filepath.Join(dir, "*.log"))
	source.start()
	if err := os.WriteFile(filepath.Join(dir, "other.txt"), []byte("not mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); source.source.Health().Problem == "" && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
	}
	if p := source.source.Health().Problem; !strings.Contains(p, "no file") {
		t.Errorf("problem is %q, want one about no file", p)
	}
	w := newWriter(t, filepath.Join(dir, "late.log"))
	w.write(100)
	source.wait(100)
	source.exactly(100)
	if err := os.Mkdir(filepath.Join(dir, "folder.log"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.write(100)
	source.wait(200)
	source.exactly(200)
}
