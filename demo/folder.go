package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lockName is the file that marks a folder as a demo's and keeps two demos from sharing it.
const lockName = "demo.lock"

// longestSocket is how many bytes a unix socket's path may have (sun_path in unix(7), without the final NUL).
const longestSocket = 107

// folder is where one demo keeps everything.
type folder struct {
	path      string
	lock      *os.File
	temporary bool // nobody named it: it goes when the demo ends
	made      bool // this start made it
}

// openFolder takes the named folder, or makes a temporary one. A folder of an earlier demo is used again; one
// with anything else in it is refused, because the demo writes files of its own choosing.
func openFolder(name string) (*folder, error) {
	if name == "" {
		path, err := os.MkdirTemp("", "doorward-demo-")
		if err != nil {
			return nil, fmt.Errorf("make a folder for the demo: %w", err)
		}
		f := &folder{path: path, temporary: true, made: true}
		if err := f.takeLock(); err != nil {
			return nil, errors.Join(err, os.RemoveAll(path))
		}
		return f, nil
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("find folder %q: %w", name, err)
	}
	if len(filepath.Join(path, socketName)) > longestSocket {
		return nil, &Refusal{Usage: true, What: fmt.Sprintf("--dir %s is too deep: a socket's path may have %d bytes", path, longestSocket),
			Hint: fmt.Sprintf("name a folder whose path has at most %d bytes", longestSocket-len("/"+socketName))}
	}
	f := &folder{path: path}
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, fmt.Errorf("make folder %q: %w", path, err)
		}
		f.made = true
	case errors.Is(err, syscall.ENOTDIR):
		return nil, &Refusal{Usage: true, What: fmt.Sprintf("--dir %s is not a folder", path), Hint: "name an empty folder, or one that does not exist yet"}
	case err != nil:
		return nil, fmt.Errorf("read folder %q: %w", path, err)
	case len(entries) > 0 && !holdsDemo(entries):
		return nil, &Refusal{Usage: true, What: fmt.Sprintf("--dir %s holds other files, and the demo would write among them", path),
			Hint: "name an empty folder, one that does not exist yet, or the folder of an earlier demo"}
	}
	if err := f.takeLock(); err != nil {
		return nil, err
	}
	return f, nil
}

func holdsDemo(entries []fs.DirEntry) bool {
	for _, entry := range entries {
		if entry.Name() == lockName && entry.Type().IsRegular() {
			return true
		}
	}
	return false
}

// takeLock holds the lock file until the process ends, however it ends.
func (f *folder) takeLock() error {
	name := f.file(lockName)
	lock, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(name) // only to say more; empty will do
		lock.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("lock %s: %w", name, err)
		}
		who := "another demo"
		if _, err := strconv.Atoi(strings.TrimSpace(string(holder))); err == nil {
			who += " (process " + strings.TrimSpace(string(holder)) + ")"
		}
		return &Refusal{What: fmt.Sprintf("%s is running on the folder %s", who, f.path), Hint: "stop it first, or name another folder with --dir"}
	}
	if err := errors.Join(lock.Truncate(0), writeAt(lock, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		lock.Close()
		return fmt.Errorf("write lock: %w", err)
	}
	f.lock = lock
	return nil
}

func writeAt(file *os.File, text string) error {
	_, err := file.WriteAt([]byte(text), 0)
	return err
}

func (f *folder) file(name string) string { return filepath.Join(f.path, name) }

// close gives the folder up. A temporary one is deleted, as is a named one that a failed start made.
func (f *folder) close(started bool) error {
	defer f.lock.Close()
	if f.temporary || (f.made && !started) {
		if err := os.RemoveAll(f.path); err != nil {
			return fmt.Errorf("delete the demo's folder: %w", err)
		}
	}
	return nil
}
