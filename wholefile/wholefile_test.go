package wholefile_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/doorward/doorward/wholefile"
)

// helperEnv makes this test binary the process that is killed; its value is the folder that it writes in.
const helperEnv = "DOORWARD_WHOLEFILE_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		fmt.Fprintln(os.Stderr, writeForever(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// text is a content that tells whether it is whole: n times one letter.
func text(i int) []byte { return bytes.Repeat([]byte{'a' + byte(i%26)}, 1<<16) }

func whole(content []byte) bool {
	return len(content) == 1<<16 && bytes.Count(content, content[:1]) == len(content)
}

// writeForever replaces one file and makes others, and says so with a line for each pair.
func writeForever(dir string) error {
	for i := 0; ; i++ {
		made := filepath.Join(dir, fmt.Sprintf("made-%d", i))
		if err := wholefile.Create(made, 0o600, text(i)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := wholefile.Replace(filepath.Join(dir, "replaced"), 0o600, text(i)); err != nil {
			return err
		}
		fmt.Println(i)
	}
}

// names lists a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
}

// wantFile looks at content and mode.
func wantFile(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != content || info.Mode() != mode {
		t.Errorf("%s holds %q with mode %v, want %q with %v", path, got, info.Mode(), content, mode)
	}
}

func TestReplace(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, c := range []struct {
		content string
		mode    fs.FileMode
	}{{"one", 0o600}, {"", 0o644}, {"three", 0o640}} {
		if err := wholefile.Replace(path, c.mode, []byte(c.content)); err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, c.content, c.mode)
	}
	wantNames(t, dir, "file")
}

// TestReplaceLink: a link is not followed, because what it names may be somebody else's.
func TestReplaceLink(t *testing.T) {
	dir := t.TempDir()
	other, path := filepath.Join(dir, "other"), filepath.Join(dir, "path")
	if err := errors.Join(os.WriteFile(other, []byte("kept"), 0o600), os.Symlink(other, path)); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.Create(path, 0o600, []byte("new")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a link: %v, want fs.ErrExist", err)
	}
	if err := wholefile.Replace(path, 0o600, []byte("new")); err != nil {
		t.Fatal(err)
	}
	wantFile(t, other, "kept", 0o600)
	wantFile(t, path, "new", 0o600)
}

func TestReplaceByKeepsTheOldFileAfterAnError(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := wholefile.Replace(path, 0o640, []byte("old")); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	err := wholefile.ReplaceBy(path, 0o644, func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if info.Mode() != 0o600 {
			t.Errorf("the file has mode %v while it is written, want 0600", info.Mode())
		}
		_, err = f.WriteString("half")
		return errors.Join(err, stop)
	})
	if !errors.Is(err, stop) {
		t.Errorf("ReplaceBy: %v, want what write returned", err)
	}
	wantFile(t, path, "old", 0o640)
	wantNames(t, dir, "file")
}

// TestErrors: nothing is left behind by what could not be done.
func TestErrors(t *testing.T) {
	dir := t.TempDir()
	if err := wholefile.Replace(filepath.Join(dir, "none", "file"), 0o600, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a folder that is not there: %v, want fs.ErrNotExist", err)
	}
	full := filepath.Join(dir, "full")
	if err := os.Mkdir(full, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.Replace(full, 0o600, nil); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if err := wholefile.Create(full, 0o600, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a folder: %v, want fs.ErrExist", err)
	}
	wantNames(t, dir, "full")
}

// TestCreateAtOnce: of many that make one file, one does, and the others are told.
func TestCreateAtOnce(t *testing.T) {
	dir := t.TempDir()
	for round := range 20 {
		path := filepath.Join(dir, fmt.Sprintf("file-%02d", round))
		var made [8]error
		var all sync.WaitGroup
		for i := range made {
			all.Go(func() { made[i] = wholefile.Create(path, 0o640, text(i)) })
		}
		all.Wait()
		got, err := os.ReadFile(path)
		if err != nil || !whole(got) {
			t.Fatalf("%d bytes are there (%v), want one writer's", len(got), err)
		}
		for i, err := range made {
			if first := got[0] == text(i)[0]; first != (err == nil) || !first && !errors.Is(err, fs.ErrExist) {
				t.Errorf("writer %d, whose content is there: %t: %v", i, first, err)
			}
		}
	}
	if got := names(t, dir); len(got) != 20 {
		t.Errorf("the folder holds %q, want the 20 files", got)
	}
}

// TestReplaceAtOnce: readers see one writer's content, whole, at every moment.
func TestReplaceAtOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := wholefile.Replace(path, 0o600, text(0)); err != nil {
		t.Fatal(err)
	}
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			for i := range 20 {
				if err := wholefile.Replace(path, 0o600, text(w*20+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	readers.Go(func() {
		for {
			if got, err := os.ReadFile(path); err != nil || !whole(got) {
				t.Errorf("read %d bytes, %v", len(got), err)
				return
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	writers.Wait()
	close(done)
	readers.Wait()
	wantNames(t, dir, "file")
}

// TestKill kills a writing process many times, without warning, and wants every file whole, and each that it said
// it wrote.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	for round := range 15 {
		said := killWriter(t, dir, 1+round)
		for _, name := range names(t, dir) {
			if strings.HasPrefix(name, ".") {
				continue // what was being written
			}
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || !whole(got) {
				t.Fatalf("round %d: %s holds %d bytes (%v), want it whole", round, name, len(got), err)
			}
		}
		for i := range said + 1 {
			if _, err := os.Lstat(filepath.Join(dir, fmt.Sprintf("made-%d", i))); err != nil {
				t.Fatalf("round %d: %v, though it was said to be made", round, err)
			}
		}
	}
}

// killWriter kills a writer after some lines, and returns the last number that it said.
func killWriter(t *testing.T, dir string, lines int) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+dir)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := -1
	for in := bufio.NewScanner(out); in.Scan(); {
		if _, err := fmt.Sscan(in.Text(), &said); err != nil {
			t.Errorf("the writer said %q", in.Text())
		}
		if lines--; lines == 0 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || lines > 0 {
		t.Fatalf("the writer ended by itself: %v %s", err, complaint.String())
	}
	return said
}
