package ingest

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"time"
)

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
	f.gap()
}

// openAll opens rotated files in order, before the one at index at, and returns that one's new index. again: one of them was
// renamed in the meantime.
func (f *follow) openAll(at int, all []rotated) (_ int, again bool) {
	for _, r := range all {
		if at < len(f.tails) && f.tails[at].is(r.dev, r.ino, r.birth) {
			break // it was itself rotated away; what is newer comes later
		}
		if at < len(f.tails) && r.holds(f.tails[at].place) {
			break // the same, and packed or copied since
		}
		if slices.ContainsFunc(f.saved, r.mayBe) {
			break
		}
		if f.has(r.dev, r.ino, r.birth) || f.known(r.holds) {
			continue
		}
		t, err := r.open(place{})
		if errors.Is(err, fs.ErrNotExist) {
			return at, true
		}
		if err != nil {
			continue // being packed, or nothing of ours
		}
		if f.known(t.holds) { // it was being packed when it was looked at
			t.close()
			continue
		}
		f.tails = slices.Insert(f.tails, at, t)
		at++
	}
	return at, false
}

// known says that a rotated file holds what was read already, or is being read: it is a copy, or was packed. Its inode says
// nothing, because that of a file that is gone is used again.
func (f *follow) known(holds func(place) bool) bool {
	return slices.ContainsFunc(f.tails, func(t *tail) bool { return holds(t.place) }) || slices.ContainsFunc(f.done, holds)
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
			if f.has(all[i].dev, all[i].ino, all[i].birth) {
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
				f.gap()
			}
			return again
		}
		// It may have been packed or renamed since it was opened: then the list has it by another name, or not at all.
		first := slices.IndexFunc(all, func(r rotated) bool {
			return found.is(r.dev, r.ino, r.birth) || r.holds(found.place)
		}) + 1
		if first == 0 {
			first, _ = slices.BinarySearchFunc(all, found.Grown, func(r rotated, t int64) int { return cmp.Compare(r.changed, t) })
		}
		at, again = f.openAll(at, all[first:])
		return again
	})
}
