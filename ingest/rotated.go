package ingest

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxRotated  = 64      // files beside one that are looked at
	maxListings = 20      // until two agree
	maxUnpacked = 1 << 30 // bytes of a packed one
)

// rotated is a file that may be an older one of a log.
type rotated struct {
	path     string
	dev, ino uint64
	birth    int64 // as a tail's
	changed  int64 // modification time in nanoseconds, which packing keeps
	size     int64
}

func (r rotated) packed() bool { return strings.HasSuffix(r.path, ".gz") }

// rotatedOf lists the files beside path that a rotation may have made of it, the oldest first: access.log.1,
// access.log-20261125.gz, access-20261125.log. A folder that is listed while names in it change may hide one: two listings
// must agree.
func rotatedOf(path string) []rotated {
	all := listRotated(path)
	for range maxListings {
		more := listRotated(path)
		if slices.EqualFunc(all, more, func(a, b rotated) bool { return a.path == b.path && a.ino == b.ino && a.birth == b.birth }) {
			break
		}
		all = more
	}
	return all[max(0, len(all)-maxRotated):]
}

func listRotated(path string) []rotated {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return nil
	}
	ext := filepath.Ext(base)
	stem := strings.TrimSuffix(base, ext)
	var all []rotated
	for _, e := range entries {
		name := e.Name()
		if name == base || !strings.HasPrefix(name, base+".") && !strings.HasPrefix(name, base+"-") &&
			!(ext != "" && strings.HasPrefix(name, stem+"-") && strings.HasSuffix(strings.TrimSuffix(name, ".gz"), ext)) {
			continue
		}
		var st unix.Stat_t
		full := filepath.Join(dir, name)
		if unix.Lstat(full, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
			all = append(all, rotated{full, st.Dev, st.Ino, birthOf(unix.AT_FDCWD, full, unix.AT_SYMLINK_NOFOLLOW), st.Mtim.Nano(), st.Size})
		}
	}
	slices.SortFunc(all, func(a, b rotated) int { return cmp.Or(cmp.Compare(a.changed, b.changed), byName(a.path, b.path)) })
	return all
}

// byName orders files that changed at the same moment: log.2 is older than log.1, log-20261125 is newer than log-20261124.
func byName(a, b string) int {
	a, b = strings.TrimSuffix(a, ".gz"), strings.TrimSuffix(b, ".gz")
	order := cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	if n, err := strconv.Atoi(strings.TrimPrefix(filepath.Ext(a), ".")); err == nil && n < 1000 {
		return -order
	}
	return order
}

var errOther = errors.New("does not hold what was read")

// errRenamed says that the name is another file's by now.
var errRenamed = fmt.Errorf("renamed: %w", fs.ErrNotExist)

// file opens the file that was listed, and no other that has its name by now.
func (r rotated) file() (*os.File, error) {
	f, err := os.Open(r.path)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Dev != r.dev || st.Ino != r.ino || birthOf(int(f.Fd()), "", unix.AT_EMPTY_PATH) != r.birth {
		f.Close()
		return nil, errRenamed
	}
	return f, nil
}

// open opens a rotated file behind p, if it holds what p was reached in.
func (r rotated) open(p place) (*tail, error) {
	if r.packed() {
		return r.unpack(p)
	}
	t, err := openTail(r.path)
	if err != nil {
		return nil, err
	}
	if !t.is(r.dev, r.ino, r.birth) {
		t.close()
		return nil, errRenamed
	}
	if r.size < p.Offset || !t.seek(p) {
		t.close()
		return nil, errOther
	}
	t.copied = p.Ino != 0 && !p.is(t.Dev, t.Ino, t.Birth)
	return t, nil
}

// holds says that a file holds what p was reached in.
func (r rotated) holds(p place) bool {
	if len(p.Head) == 0 {
		return false
	}
	f, err := r.file()
	if err != nil {
		return false
	}
	defer f.Close()
	if !r.packed() {
		head := make([]byte, len(p.Head))
		n, _ := f.ReadAt(head, 0)
		return n == len(head) && bytes.Equal(head, p.Head) && p.marks(f)
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return false
	}
	_, ok := skipTo(z, p)
	return ok
}

// mayBe says that a file holds what p was reached in, or is the one at whose beginning p stands.
func (r rotated) mayBe(p place) bool {
	return r.holds(p) || len(p.Head) == 0 && p.is(r.dev, r.ino, r.birth)
}

// unpack writes what is behind p to a file without a name, and opens that.
func (r rotated) unpack(p place) (*tail, error) {
	in, err := r.file()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	behind, ok := skipTo(z, p)
	if !ok {
		return nil, errOther
	}
	out, err := os.CreateTemp("", "doorward-unpacked-*")
	if err != nil {
		return nil, err
	}
	p.Dev, p.Ino, p.Birth, p.Grown = r.dev, r.ino, r.birth, r.changed
	if err = os.Remove(out.Name()); err == nil {
		err = p.fill(out, io.LimitReader(behind, maxUnpacked))
	}
	if err != nil {
		out.Close()
		return nil, err
	}
	t := &tail{file: out, place: p, read: p.Offset, active: time.Now(), copied: true, split: splitter{skip: p.Skip}}
	t.begun = t.learn()
	t.carry(p.Carry)
	return t, nil
}

// fill writes what comes behind p where it stood; before it only what p is known by.
func (p place) fill(out *os.File, behind io.Reader) error {
	if _, err := out.WriteAt(p.Head, 0); err != nil {
		return err
	}
	if _, err := out.WriteAt(p.Mark, p.Offset-int64(len(p.Mark))); err != nil {
		return err
	}
	if _, err := out.Seek(p.Offset, io.SeekStart); err != nil {
		return err
	}
	_, err := io.Copy(out, behind)
	return err
}

// skipTo returns what of r is behind p, if p was reached in what r holds.
func skipTo(r io.Reader, p place) (io.Reader, bool) {
	head := make([]byte, len(p.Head))
	if _, err := io.ReadFull(r, head); err != nil || !bytes.Equal(head, p.Head) {
		return nil, false
	}
	r = io.MultiReader(bytes.NewReader(head), r)
	if before := p.Offset - int64(len(p.Mark)); before > maxUnpacked || before < 0 {
		return nil, false
	} else if _, err := io.CopyN(io.Discard, r, before); err != nil {
		return nil, false
	}
	mark := make([]byte, len(p.Mark))
	_, err := io.ReadFull(r, mark)
	return r, err == nil && bytes.Equal(mark, p.Mark)
}
