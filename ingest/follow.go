package ingest

import (
	"bytes"
	"cmp"
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
	gaps   uint64
	err    error // why it cannot be read at the moment
	again  bool  // there is more to read at once
}

// resume opens the files that a saved position names. Without one, fresh says that this is the very first start.
func (f *follow) resume(text []byte, fresh bool) {
	var saved position
	if len(text) > 0 && json.Unmarshal(text, &saved) != nil {
		f.gaps++ // of another version, or damaged: the beginning is better than nothing
	}
	f.reader = f.format.reader(saved.Held)
	f.done = saved.Done[max(0, len(saved.Done)-maxTails):]
	places := saved.Files[max(0, len(saved.Files)-maxTails):]
	for _, p := range places {
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
	if f.err = err; t != nil && len(places) == 0 && fresh {
		t.skipToRecent()
	}
}

// skipToRecent leaves out what is too old to matter at the first start.
func (t *tail) skipToRecent() {
	if info, err := t.file.Stat(); err == nil && info.Size() > history {
		t.Offset = info.Size() - history
		t.read, t.Skip, t.split.skip = t.Offset, true, true
	}
}

// find opens the file that p is a place in: the one at the path, or one that it was renamed to.
func (f *follow) find(p place) *tail {
	names := []string{f.path}
	for _, r := range rotatedOf(f.path) {
		if r.dev == p.Dev && r.ino == p.Ino {
			names = append(names, r.path)
		}
	}
	for _, name := range names {
		t, err := openTail(name)
		if err != nil {
			continue
		}
		if t.Dev == p.Dev && t.Ino == p.Ino && t.seek(p) {
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
	if f.has(st.Dev, st.Ino) {
		return nil, nil
	}
	t, err := openTail(f.path)
	if err != nil {
		return nil, err
	}
	if f.has(t.Dev, t.Ino) {
		t.close()
		return nil, nil
	}
	f.tails = append(f.tails, t)
	return t, nil
}

func (f *follow) has(dev, ino uint64) bool {
	for _, t := range f.tails {
		if t.Dev == dev && t.Ino == ino {
			return true
		}
	}
	return false
}

// between opens the files that came and were rotated away while nobody looked: those that did not change last before the
// moment since. The clock of files is coarse: two may have the same moment. They go before the file that is open at index at.
func (f *follow) between(at int, since int64) {
	f.listed(func(all []rotated) (again bool) {
		first, _ := slices.BinarySearchFunc(all, since, func(r rotated, t int64) int { return cmp.Compare(r.changed, t) })
		at, again = f.openAll(at, all[first:])
		return again
	})
}

// listed passes the rotated files to use, once more when one of them was renamed or packed in the meantime.
func (f *follow) listed(use func([]rotated) (again bool)) {
	for range maxListings {
		for _, t := range f.tails { // before the list is made: a copy of what a file holds later is then known as one
			if len(t.Head) == 0 {
				t.learn()
			}
		}
		if !use(rotatedOf(f.path)) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	f.gaps++
}

// openAll opens rotated files in order, before the one at index at, and returns that one's new index. again: one of them was
// renamed in the meantime.
func (f *follow) openAll(at int, all []rotated) (_ int, again bool) {
	for _, r := range all {
		if at < len(f.tails) && f.tails[at].Dev == r.dev && f.tails[at].Ino == r.ino {
			break // it was itself rotated away; what is newer comes later
		}
		if at < len(f.tails) && r.holds(f.tails[at].place) {
			break // the same, and packed or copied since
		}
		if f.has(r.dev, r.ino) || f.known(r) {
			continue
		}
		t, err := r.open(place{})
		if errors.Is(err, fs.ErrNotExist) {
			return at, true
		}
		if err != nil {
			continue // being packed, or nothing of ours
		}
		f.tails = slices.Insert(f.tails, at, t)
		at++
	}
	return at, false
}

// known says that a rotated file holds what was read already, or is being read: it is a copy, or was packed. Its inode says
// nothing, because that of a file that is gone is used again.
func (f *follow) known(r rotated) bool {
	for _, t := range f.tails {
		if r.holds(t.place) {
			return true
		}
	}
	return slices.ContainsFunc(f.done, r.holds)
}

// recover opens, behind p, the copy that was made of a file before it was truncated or packed, and those that were made later.
// They go before the file at index at.
func (f *follow) recover(at int, p place) {
	if len(p.Head) == 0 {
		f.between(at, p.Grown) // nothing was read of it
		return
	}
	for i := 0; i < at && i < len(f.tails); i++ { // a copy of it that was found when it was still empty is found again below
		if t := f.tails[i]; len(t.Head) == 0 && t.learn() && bytes.HasPrefix(t.Head, p.Head) {
			t.close()
			f.tails = slices.Delete(f.tails, i, i+1)
			at--
			i--
		}
	}
	var found *tail
	f.listed(func(all []rotated) (again bool) {
		for i := len(all) - 1; i >= 0 && found == nil; i-- {
			if f.has(all[i].dev, all[i].ino) {
				continue
			}
			t, err := all[i].open(p)
			again = again || errors.Is(err, fs.ErrNotExist)
			if err == nil {
				found = t
				f.tails = slices.Insert(f.tails, at, t)
				at++
			}
		}
		if found == nil {
			if !again {
				f.gaps++
			}
			return again
		}
		// It may have been packed or renamed since it was opened: then the list has it by another name, or not at all.
		first := slices.IndexFunc(all, func(r rotated) bool {
			return r.dev == found.Dev && r.ino == found.Ino || r.holds(found.place)
		}) + 1
		if first == 0 {
			first, _ = slices.BinarySearchFunc(all, found.Grown, func(r rotated, t int64) int { return cmp.Compare(r.changed, t) })
		}
		at, again = f.openAll(at, all[first:])
		return again
	})
}

// look finds what changed at the path: a new file there, or none.
func (f *follow) look() {
	n := len(f.tails)
	t, err := f.open()
	f.err = err
	if n == 0 || t == nil && err == nil {
		return
	}
	f.between(n, f.tails[n-1].Grown)
	if errors.Is(err, fs.ErrNotExist) && time.Since(f.tails[n-1].active) < grace {
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
		t := f.tails[i]
		if len(t.Head) == 0 {
			if !t.learn() {
				return nil
			}
			if f.copying(i) {
				return nil
			}
			if f.missed(i) {
				f.again = true
				return nil
			}
		}
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
	case f.has(again.Dev, again.Ino):
		again.close()
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
