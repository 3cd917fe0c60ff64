package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxTails = 16               // files of one log that are open at once
	grace    = 30 * time.Second // a writer may go on in a file that was renamed, until somebody tells it
	history  = 10 << 20         // bytes of a log that are read at the very first start
)

// follow reads one log over all its rotations.
type follow struct {
	path   string
	format Format
	reader reader
	tails  []*tail // the oldest first; those before the last were rotated away and may still grow
	done   []place // the ends of those that were read and closed, the last ones
	saved  []place // those of a saved position that are still to be found: what holds one, and what is newer, comes with it
	gaps   uint64
	err    error // why it cannot be read at the moment
	again  bool  // there is more to read at once
}

// resume opens the files that a saved position names. Without one, fresh says that this is the very first start.
func (f *follow) resume(text []byte, fresh bool) {
	var saved position
	damaged := len(text) > 0 && json.Unmarshal(text, &saved) != nil
	f.reader = f.format.reader(saved.Held)
	if damaged {
		f.gap() // of another version, or damaged: the beginning is better than nothing
	}
	f.done = saved.Done[max(0, len(saved.Done)-maxTails):]
	places := saved.Files[max(0, len(saved.Files)-maxTails):]
	for i, p := range places {
		f.saved = places[i+1:]
		if t := f.find(p); t != nil {
			f.tails = append(f.tails, t)
		} else {
			f.recover(len(f.tails), p)
		}
	}
	at := len(f.tails)
	t, err := f.open()
	if len(places) > 0 {
		f.between(at, places[len(places)-1].Grown)
	}
	if f.err = err; t != nil && len(places) == 0 && fresh && t.skipToRecent() {
		f.reader.missed()
	}
}

// gap says that something may be gone that nobody read.
func (f *follow) gap() {
	f.gaps++
	f.reader.missed()
}

// skipToRecent leaves out what is too old to matter at the first start; false: nothing is.
func (t *tail) skipToRecent() bool {
	info, err := t.file.Stat()
	if err != nil || info.Size() <= history {
		return false
	}
	t.Offset = info.Size() - history
	t.read, t.Skip, t.split.skip = t.Offset, true, true
	return true
}

// find opens the file that p is a place in: the one at the path, or one that it was renamed to.
func (f *follow) find(p place) *tail {
	names := []string{f.path}
	for _, r := range rotatedOf(f.path) {
		if p.is(r.dev, r.ino, r.birth) {
			names = append(names, r.path)
		}
	}
	for _, name := range names {
		t, err := openTail(name)
		if err != nil {
			continue
		}
		if p.is(t.Dev, t.Ino, t.Birth) && t.seek(p) {
			return t
		}
		t.close()
	}
	return nil
}

// open opens the file at the path, unless it is one of those that are open. nil, nil: there is nothing new.
func (f *follow) open() (*tail, error) {
	var st unix.Stat_t
	if err := unix.Stat(f.path, &st); err != nil {
		return nil, &fs.PathError{Op: "open", Path: f.path, Err: err}
	}
	if f.has(st.Dev, st.Ino, birthOf(unix.AT_FDCWD, f.path, 0)) {
		return nil, nil
	}
	t, err := openTail(f.path)
	if err != nil {
		return nil, err
	}
	if f.has(t.Dev, t.Ino, t.Birth) {
		t.close()
		return nil, nil
	}
	f.tails = append(f.tails, t)
	return t, nil
}

func (f *follow) has(dev, ino uint64, birth int64) bool {
	return slices.ContainsFunc(f.tails, func(t *tail) bool { return t.is(dev, ino, birth) })
}

// look finds what changed at the path: a new file there, or none.
func (f *follow) look() {
	n := len(f.tails)
	t, err := f.open()
	f.err = err
	if n == 0 || t == nil && err == nil {
		return
	}
	since := f.tails[n-1].Grown
	for i := 0; i < len(f.tails) && f.tails[i] != t; i++ {
		f.begin(i)
	}
	if n = slices.Index(f.tails, t); n < 0 {
		n = len(f.tails)
	}
	f.between(n, since)
	if errors.Is(err, fs.ErrNotExist) && len(f.tails) > 0 && time.Since(f.tails[len(f.tails)-1].active) < grace {
		f.err = nil // between a rename and the new file
	}
}

// step reads what there is, file by file, and gives on each chunk's lines.
func (f *follow) step(buf []byte, add func([]byte, bool), give func() error) error {
	f.again = true
	for range maxTails { // a file that is truncated all the time must not keep us here
		if !f.again {
			break
		}
		f.again = false
		f.look()
		for i := 0; i < len(f.tails) && !f.again; i++ {
			if err := f.drain(i, buf, add, give); err != nil {
				return err
			}
			if t := f.tails[i]; t.copied && !f.again && i+1 < len(f.tails) && f.tails[i+1].carry(t.split.rest) {
				f.forget(i)
				i--
			}
		}
	}
	f.drop(add)
	return give()
}

// drain reads one file to its end.
func (f *follow) drain(i int, buf []byte, add func([]byte, bool), give func() error) error {
	for {
		if !f.begin(i) {
			return nil
		}
		t := f.tails[i]
		n, replaced, err := t.next(buf, add)
		switch {
		case err != nil:
			f.err = err
			return nil
		case replaced:
			f.truncated(i)
			return nil
		case n == 0:
			return nil
		}
		if err := give(); err != nil {
			return err
		}
	}
}

// begin says that a file has a beginning to be read from. What is older and came while it was empty goes before it.
func (f *follow) begin(i int) bool {
	t := f.tails[i]
	switch {
	case t.begun:
		return true
	case len(t.Head) == 0 && !t.learn(), f.copying(i):
		return false
	}
	t.begun = true
	if f.missed(i) {
		f.again = true
		return false
	}
	return true
}

// copying says that what begins in a file is the copy that somebody makes of a later one before truncating that: it was found when
// it was still empty. What it holds is read there.
func (f *follow) copying(i int) bool {
	t := f.tails[i]
	for _, later := range f.tails[i+1:] {
		if n := min(len(t.Head), len(later.Head)); n == 0 || !bytes.Equal(t.Head[:n], later.Head[:n]) {
			continue
		}
		if len(t.Head) < len(later.Head) { // too little to be sure
			t.Head = nil
			return true
		}
		t.close()
		f.tails = slices.Delete(f.tails, i, i+1)
		f.again = true
		return true
	}
	return false
}

// missed opens the copies of what a file held and lost again before it was read at all; true: there are some.
func (f *follow) missed(i int) bool {
	n := len(f.tails)
	f.between(i, f.tails[i].Grown)
	return len(f.tails) > n
}

// truncated begins a file again, behind what the copy of it holds.
func (f *follow) truncated(i int) {
	old := f.tails[i]
	f.tails = slices.Delete(f.tails, i, i+1)
	again, err := openTail(old.file.Name())
	old.close()
	switch {
	case err != nil:
		f.err = err
	case !old.is(again.Dev, again.Ino, again.Birth) || f.has(again.Dev, again.Ino, again.Birth):
		again.close() // it was rotated away since, and what is at the path comes behind all others
	default:
		f.tails = slices.Insert(f.tails, i, again)
	}
	f.recover(i, old.place)
	f.again = true
}

// drop closes the files that were rotated away and do not grow any more.
func (f *follow) drop(add func([]byte, bool)) {
	for i := 0; i < len(f.tails)-1; i++ {
		if t := f.tails[i]; len(f.tails) > maxTails || time.Since(t.active) >= grace {
			t.flush(add)
			f.forget(i)
			i--
		}
	}
}

func (f *follow) forget(i int) {
	t := f.tails[i]
	t.close()
	if len(t.Mark) > 0 {
		f.done = append(f.done[max(0, len(f.done)-maxTails+1):], t.place)
	}
	f.tails = slices.Delete(f.tails, i, i+1)
}

// position is where a log goes on, as it is saved.
type position struct {
	Files []place `json:"files"`
	Done  []place `json:"done,omitempty"`
	Held  []byte  `json:"held,omitempty"` // what the reader of the format holds back
}

// position is where to go on in all files.
func (f *follow) position() []byte {
	p := position{Done: f.done, Held: f.reader.held()}
	for _, t := range f.tails {
		p.Files = append(p.Files, t.place)
	}
	text, _ := json.Marshal(p) // numbers and bytes
	return text
}

func (f *follow) close() {
	for _, t := range f.tails {
		t.close()
	}
	f.tails = nil
}
