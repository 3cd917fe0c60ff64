package ingest_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestRandomRotation rotates logs in any order of ways, while somebody looks, while nobody does and while the reader is killed: no
// line is lost, split or read twice. What cannot be read again (a second truncation without a copy in between) does not occur.
func TestRandomRotation(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 11))
			dir := t.TempDir()
			w := newWriter(t, filepath.Join(dir, "app.log"))
			reader := newReader(t, filepath.Join(dir, "*.log"))
			w.write(1)
			reader.start()
			reader.wait(1)
			running, truncations := true, 0
			for range 40 {
				w.write(r.IntN(400) * r.IntN(20))
				time.Sleep(12 * time.Millisecond) // files of one tick of the clock cannot be told apart by age
				switch r.IntN(7) {
				case 0:
					w.rename()
				case 1:
					w.rename()
					w.pack()
				case 2, 3:
					if !running && truncations > 0 {
						break // of the copies of one absence only the last can be known again
					}
					w.write(2) // an empty file has no copy to be known by
					w.copytruncate()
					if truncations++; r.IntN(2) == 0 {
						w.pack()
					}
				case 4:
					if running {
						reader.wait(w.n)
						reader.stop()
						truncations = 0
					} else {
						reader.start()
						reader.wait(w.n)
					}
					running = !running
				case 5:
					if err := os.WriteFile(filepath.Join(dir, "other.log.tmp"), []byte("no log\n"), 0o600); err != nil { // its inode is given again
						t.Fatal(err)
					}
					if err := os.Remove(filepath.Join(dir, "other.log.tmp")); err != nil {
						t.Fatal(err)
					}
				case 6:
					time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
				}
			}
			if !running {
				reader.start()
			}
			w.write(1)
			reader.wait(w.n)
			reader.exactly(w.n)
		})
	}
}

// TestTruncated: a file that is cut to nothing, to less or to what is as long as before, and one that another takes the place of, is
// read from its beginning again; what was in it before and was not read is a gap, and what was read does not come again.
func TestTruncated(t *testing.T) {
	const before = "line 0 of the log\nline 1 of the log\nline 2 of the log\n"
	for name, again := range map[string]func(path string) (text string, err error){
		"shorter": func(path string) (string, error) {
			return "line 3 of the log\n", os.WriteFile(path, []byte("line 3 of the log\n"), 0o600)
		},
		"as long": func(path string) (string, error) {
			text := "line 3 of the log\nline 4 of the log\nline 5 of the log\n"
			return text, os.WriteFile(path, []byte(text), 0o600)
		},
		"longer": func(path string) (string, error) {
			text := "line 3 of the log\nline 4 of the log\nline 5 of the log\nline 6 of the log\n"
			return text, os.WriteFile(path, []byte(text), 0o600)
		},
		"another with its inode's number": func(path string) (string, error) {
			if err := os.Remove(path); err != nil {
				return "", err
			}
			text := "line 3 of the log\nline 4 of the log\nline 5 of the log\n"
			return text, os.WriteFile(path, []byte(text), 0o600)
		},
	} {
		for _, away := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s-%t", name, away), func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "app.log")
				appendTo(t, path, before)
				r := newReader(t, path)
				r.start()
				r.wait(3)
				if away {
					r.stop()
				}
				text, err := again(path)
				if err != nil {
					t.Fatal(err)
				}
				if away {
					r.start()
				}
				n := 3 + len(text)/len("line 0 of the log\n")
				r.wait(n)
				r.exactly(n)
				if h := r.source.Health(); h.Gaps > 1 {
					t.Errorf("health is %+v", h)
				}
			})
		}
	}
}

// TestPatternGains: logs that a pattern names later, before, between and behind the others, are each read once and whole.
func TestPatternGains(t *testing.T) {
	dir := t.TempDir()
	r := newReader(t, filepath.Join(dir, "*.log"))
	r.start()
	total := 0
	for i := range 30 {
		w := newWriter(t, filepath.Join(dir, fmt.Sprintf("%02d.log", (i*7)%30)))
		w.write(100)
		if i%3 == 0 {
			r.wait(total + w.n) // what was rotated away before anybody knew of the log is not of it
			w.rename()
		}
		w.write(100)
		total += w.n
	}
	r.wait(total)
	counts := map[string]int{}
	for _, l := range r.lines {
		counts[l]++
	}
	for i := range 210 {
		want := 30
		if i >= 200 {
			want = 10
		}
		if got := counts[fmt.Sprintf("line %d of the log", i)]; got != want {
			t.Errorf("line %d was read %d times, want %d", i, got, want)
		}
	}
	if len(r.lines) != total {
		t.Errorf("read %d lines, want %d", len(r.lines), total)
	}
}
