package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	headLen  = 64        // of a file's first bytes, by which it is known again
	markLen  = 64        // of the bytes before the place reached, by which a truncation is seen
	chunkLen = 256 << 10 // read at once
)

// place is where reading goes on in one file, as it is saved.
type place struct {
	Dev    uint64 `json:"dev"`
	Ino    uint64 `json:"ino"`
	Birth  int64  `json:"birth,omitempty"` // when the file came to be, since an inode's number is given again; 0: not told
	Offset int64  `json:"offset"`
	Head   []byte `json:"head,omitempty"`
	Mark   []byte `json:"mark,omitempty"`
	Skip   bool   `json:"skip,omitempty"`  // within a line that was given on cut
	Grown  int64  `json:"grown"`           // the file's modification time at the last read, in nanoseconds
	Carry  []byte `json:"carry,omitempty"` // the beginning, in the file before, of the line at Offset
}

// tail is a file that is read as it grows.
type tail struct {
	place  // Offset and Mark are behind the last line given on
	file   *os.File
	read   int64 // behind the last byte read: Offset and what split holds
	split  splitter
	active time.Time // when it last had something to read
	begun  bool      // what came while it was empty has been looked for
	copied bool      // a copy of a file that was truncated: it does not grow
}

var errNotRegular = errors.New("is not a regular file")

// openTail opens the file at path at its beginning.
func openTail(path string) (*tail, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO must not hold us up
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		f.Close()
		return nil, &os.PathError{Op: "read", Path: path, Err: errNotRegular}
	}
	t := &tail{file: f, active: time.Now(), place: place{Dev: st.Dev, Ino: st.Ino, Birth: birthOf(int(f.Fd()), "", unix.AT_EMPTY_PATH), Grown: st.Mtim.Nano()}}
	t.begun = t.learn()
	// A writer that does not append leaves a hole behind where somebody truncated its file.
	if data, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_DATA); err == nil {
		t.Offset, t.read = data, data
	}
	return t, nil
}

// birthOf is when a file came to be, in nanoseconds; 0: its file system does not tell.
func birthOf(dir int, path string, flags int) int64 {
	var st unix.Statx_t
	if unix.Statx(dir, path, flags, unix.STATX_BTIME, &st) != nil || st.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return st.Btime.Sec*int64(time.Second) + int64(st.Btime.Nsec)
}

// is says that this is a place in the file of that inode, and not in one that has its number by now.
func (p place) is(dev, ino uint64, birth int64) bool {
	return p.Dev == dev && p.Ino == ino && (p.Birth == birth || p.Birth == 0)
}

// holds says that the file holds what p was reached in.
func (t *tail) holds(p place) bool {
	head := make([]byte, len(p.Head))
	n, _ := t.file.ReadAt(head, 0)
	return n > 0 && bytes.Equal(head[:n], p.Head) && p.marks(t.file)
}

// learn reads the first bytes of a file that was empty; false: it still is.
func (t *tail) learn() bool {
	head := make([]byte, headLen)
	n, _ := t.file.ReadAt(head, 0)
	t.Head = head[:n]
	return n > 0
}

// seek goes on at p, if this is the file that p is a place in.
func (t *tail) seek(p place) bool {
	if !bytes.HasPrefix(t.Head, p.Head) || !p.marks(t.file) {
		return false
	}
	t.Offset, t.Mark, t.Skip, t.read, t.split = p.Offset, p.Mark, p.Skip, p.Offset, splitter{skip: p.Skip}
	t.carry(p.Carry)
	return true
}

// marks says whether r holds what was there before the place when it was reached.
func (p place) marks(r io.ReaderAt) bool {
	if len(p.Mark) == 0 {
		return true
	}
	was := make([]byte, len(p.Mark))
	n, _ := r.ReadAt(was, p.Offset-int64(len(p.Mark)))
	return n == len(was) && bytes.Equal(was, p.Mark)
}

// replaced says that the file does not hold what was read from it: it was truncated, and perhaps written again.
func (t *tail) replaced() (bool, error) {
	info, err := t.file.Stat()
	if err != nil {
		return false, err
	}
	t.Grown = info.ModTime().UnixNano()
	if info.Size() < t.read || !t.marks(t.file) {
		return true, nil
	}
	head := make([]byte, len(t.Head))
	n, _ := t.file.ReadAt(head, 0)
	return !bytes.Equal(head[:n], t.Head), nil
}

// next reads a chunk. replaced: nothing was given on, because the file is not what it was. n is 0 at the end.
func (t *tail) next(buf []byte, add func([]byte, bool)) (n int, replaced bool, err error) {
	n, err = t.file.ReadAt(buf, t.read)
	if err != nil && err != io.EOF {
		return 0, false, fmt.Errorf("read %s: %w", t.file.Name(), err)
	}
	// Looked at after reading: what was read before a truncation is read again from the copy, or is lost with the rest.
	if replaced, err = t.replaced(); err != nil || replaced {
		return 0, replaced, err
	}
	if n == 0 {
		return 0, false, nil
	}
	t.active = time.Now()
	if len(t.Head) < headLen {
		t.Head = append(t.Head[:len(t.Head):len(t.Head)], buf[max(0, int64(len(t.Head))-t.read):n]...)
		t.Head = t.Head[:min(len(t.Head), headLen)]
	}
	t.take(buf[:n], add)
	return n, false, nil
}

// take gives on the lines of a chunk, and moves the place behind them.
func (t *tail) take(chunk []byte, add func([]byte, bool)) {
	own := t.split.rest[min(len(t.Carry), len(t.split.rest)):] // a part carried over is not in this file
	var memory [3 * markLen]byte
	before := append(append(memory[:0], t.Mark...), lastOf(own)...)
	gave := false
	t.split.next(chunk, func(line []byte, cut bool) {
		gave = true
		add(line, cut)
	})
	t.read += int64(len(chunk))
	if !gave && !t.split.skip && !t.Skip {
		return // no line has ended yet
	}
	before = append(before, lastOf(chunk[:len(chunk)-len(t.split.rest)])...)
	t.Mark = bytes.Clone(lastOf(before))
	t.Offset, t.Skip, t.Carry = t.read-int64(len(t.split.rest)), t.split.skip, nil
}

// lastOf is the end of a text, as much as a mark holds.
func lastOf(text []byte) []byte { return text[max(0, len(text)-markLen):] }

// carry begins the next line with what the file before ended with: its writer went on here in the middle of a line. False: this
// file was begun already.
func (t *tail) carry(part []byte) bool {
	if t.read != t.Offset || len(t.Mark) > 0 || len(t.Carry) > 0 {
		return false
	}
	if len(part) > 0 {
		t.Carry, t.split.rest = bytes.Clone(part), bytes.Clone(part)
	}
	return true
}

// flush gives on what is there of a line whose end will not come.
func (t *tail) flush(add func([]byte, bool)) {
	own := t.split.rest[min(len(t.Carry), len(t.split.rest)):]
	mark := append(bytes.Clone(t.Mark), own...)
	t.Mark = mark[max(0, len(mark)-markLen):]
	t.split.flush(add)
	t.Offset, t.Skip, t.Carry = t.read, false, nil
}

func (t *tail) close() { t.file.Close() }
