package facts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// treeWalker goes through one folder after the other. It opens folders only, each below its parent and through no link;
// of all else it asks the kernel what it is (statx), so that no FIFO or device is ever opened.
type treeWalker struct {
	h             *Host
	ctx           context.Context // of the one collection that the walker lives for
	deadline      time.Time
	trees         *Trees
	users, groups map[uint32]string

	app       *Tree
	web, cron identity
	judged    bool           // web and cron are known
	dataDirs  map[string]int // by path, the index in trees.Data
	tools     []string
	ownable   []TreeEntry // what the web user could write after a chmod
	flagless  string      // the first path whose file system keeps no immutable flag
	entries   int64       // of all applications
}

// treePlace is a folder that the walk is in.
type treePlace struct {
	fd        int
	path      string
	depth     int
	data      int // index in trees.Data, -1 outside
	web, cron bool
	mount     uint64
	readOnly  bool
}

// treeNode is one file or folder as the kernel describes it.
type treeNode struct {
	inode
	path      string
	kind      uint16 // unix.S_IF…
	ino       uint64
	mount     uint64
	immutable bool
	flags     bool // the file system keeps the immutable flag
}

const statxMask = unix.STATX_BASIC_STATS | unix.STATX_MNT_ID

// statNode describes name in the folder fd, or fd itself when name is empty.
func statNode(fd int, name, full string) (treeNode, error) {
	var st unix.Statx_t
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	if err := unix.Statx(fd, name, flags, statxMask, &st); err != nil {
		return treeNode{}, err
	}
	e := treeNode{
		inode: inode{uid: st.Uid, gid: st.Gid, mode: st.Mode & 0o7777},
		path:  full, kind: st.Mode & unix.S_IFMT, ino: st.Ino, mount: st.Mnt_id,
		immutable: st.Attributes&unix.STATX_ATTR_IMMUTABLE != 0,
		flags:     st.Attributes_mask&unix.STATX_ATTR_IMMUTABLE != 0,
	}
	// Without a w for group or others nobody but the owner may write, whatever a list says, because the group's bits
	// are the list's mask. Without any bit for the group the kernel does not ask the list at all.
	if e.mode&0o070 != 0 && (e.kind == unix.S_IFDIR || e.kind == unix.S_IFREG && e.mode&0o022 != 0) {
		acl, err := readACL(fd, name)
		if err != nil {
			return e, err
		}
		e.acl = acl
	}
	return e, nil
}

// readACL reads the access control list of name in the folder fd; nil if there is none. The path goes through our own
// descriptor, so that nothing outside the folder can be meant.
func readACL(fd int, name string) ([]aclEntry, error) {
	var buffer [4096]byte
	raw := buffer[:]
	for {
		n, err := unix.Lgetxattr(fmt.Sprintf("/proc/self/fd/%d/%s", fd, name), "system.posix_acl_access", raw)
		switch {
		case err == nil:
			return parseACL(raw[:n])
		case errors.Is(err, unix.ENODATA), errors.Is(err, unix.EOPNOTSUPP):
			return nil, nil
		case errors.Is(err, unix.ERANGE) && len(raw) < maxACL:
			raw = make([]byte, maxACL)
		default:
			return nil, err
		}
	}
}

// enter opens a folder by its path on the host, and says whether the accounts get that far.
func (w *treeWalker) enter(name string) (treePlace, error) {
	f, err := w.h.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return treePlace{}, err
	}
	defer f.Close()
	real, err := w.real(f)
	if err != nil {
		return treePlace{}, err
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return treePlace{}, err
	}
	here := treePlace{fd: fd, path: real, data: -1, web: true, cron: true}
	for dir := path.Dir(real); ; dir = path.Dir(dir) {
		if dir == "/" && !w.h.Live() {
			return here, nil // the folder that stands for the host is somebody's here, and says nothing of /
		}
		if e, err := w.ask(dir); err == nil {
			here.web, here.cron = here.web && e.may(w.web, maySeek), here.cron && e.may(w.cron, maySeek)
		}
		if dir == "/" {
			return here, nil
		}
	}
}

// real is the path on the host of an open file, with all links resolved.
func (w *treeWalker) real(f *os.File) (string, error) {
	real, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err == nil && !w.h.Live() {
		real = "/" + strings.TrimPrefix(strings.TrimPrefix(real, w.h.root), "/")
	}
	return real, err
}

// ask describes what stands under a path of the host.
func (w *treeWalker) ask(name string) (treeNode, error) {
	f, err := w.h.open(name, unix.O_PATH)
	if err != nil {
		return treeNode{}, err
	}
	defer f.Close()
	return statNode(int(f.Fd()), "", name)
}

// above looks at the folders above root, by the declared path and by the one that its links lead to: whoever may write
// in one of them can put another folder in root's place.
func (w *treeWalker) above(declared, real string) {
	seen := map[string]bool{}
	for _, start := range []string{declared, real} {
		for dir := path.Dir(path.Clean(start)); dir != "/" && !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
			e, err := w.ask(dir)
			if err != nil || !w.judged || e.mode&unix.S_ISVTX != 0 && e.uid != w.web.uid {
				continue // in a sticky folder nobody can move what belongs to others
			}
			if _, data := w.dataDirs[dir]; e.may(w.web, mayWrite|maySeek) && !e.immutable && !data {
				w.trees.Count.WebWritable++
				w.trees.WebWritable = w.list(w.trees.WebWritable, e, "above root: all of it can be replaced", true)
			}
		}
	}
}

// folder looks at a folder and all that is in it.
func (w *treeWalker) folder(here treePlace) {
	e, err := statNode(here.fd, "", here.path)
	if err != nil {
		w.unread(err)
		return
	}
	if i, ok := w.dataDirs[here.path]; ok {
		here.data = i
	}
	if e.mount != here.mount {
		here.mount, here.readOnly = e.mount, w.readOnly(here.fd)
	}
	w.look(e, here)
	here.web, here.cron = here.web && e.may(w.web, maySeek), here.cron && e.may(w.cron, maySeek)
	if here.depth >= maxTreeDepth {
		w.unread(fmt.Errorf("%s: more than %d folders deep", here.path, maxTreeDepth))
		return
	}
	dup, err := unix.FcntlInt(uintptr(here.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		w.unread(err)
		return
	}
	dir := os.NewFile(uintptr(dup), here.path)
	defer dir.Close()
	for {
		all, err := dir.Readdirnames(1024)
		for _, name := range all {
			if !w.goOn() {
				return
			}
			w.named(here, name)
		}
		if errors.Is(err, io.EOF) || err == nil && len(all) == 0 {
			return
		}
		if err != nil {
			w.unread(err)
			return
		}
	}
}

// named looks at what is called name in the folder here.
func (w *treeWalker) named(here treePlace, name string) {
	full := path.Join(here.path, name)
	e, err := statNode(here.fd, name, full)
	if errors.Is(err, unix.ENOENT) {
		w.trees.Count.Changed++
		return
	}
	if err != nil {
		w.unread(fmt.Errorf("%s: %w", full, err))
		return
	}
	switch e.kind {
	case unix.S_IFREG:
		w.look(e, here)
	case unix.S_IFLNK:
		w.count()
		w.trees.Count.Links++
		w.link(here, name, e)
	case unix.S_IFDIR:
		how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
		fd, err := unix.Openat2(here.fd, name, &how)
		switch {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
			w.trees.Count.Changed++ // it was a folder a moment ago
		case err != nil:
			w.look(e, here)
			w.unread(fmt.Errorf("%s: %w", full, err))
		default:
			there := here
			there.fd, there.path, there.depth = fd, full, here.depth+1
			w.folder(there)
			unix.Close(fd)
		}
	default:
		w.count()
		w.trees.Count.Special++
	}
}

// link notes links that lead out of the application's folder. They are read, never followed.
func (w *treeWalker) link(here treePlace, name string, e treeNode) {
	var buffer [4096]byte
	n, err := unix.Readlinkat(here.fd, name, buffer[:])
	if err != nil {
		return
	}
	target := string(buffer[:n])
	to := target
	if !path.IsAbs(to) {
		to = path.Join(here.path, to)
	}
	if !strings.HasPrefix(path.Clean(to)+"/", w.app.Root+"/") && here.data < 0 {
		w.trees.LinksOut = w.list(w.trees.LinksOut, e, "leads to "+target, false)
	}
}

func (w *treeWalker) count() {
	w.app.Entries++
	w.trees.Count.Entries++
	w.entries++
}

// goOn says whether there is time and room for more.
func (w *treeWalker) goOn() bool {
	switch {
	case w.entries >= maxTreeEntries:
		w.unread(fmt.Errorf("more than %d files", maxTreeEntries))
	case w.entries%512 == 0 && (w.ctx.Err() != nil || time.Now().After(w.deadline)):
		w.unread(fmt.Errorf("only %d files were looked at in time", w.app.Entries))
	default:
		return true
	}
	return false
}

// unread notes the first reason why something was not looked at.
func (w *treeWalker) unread(err error) {
	if w.app.Unread == "" {
		w.app.Unread = because(err)
	}
}

// readOnly says whether the file system of a folder is mounted so that nobody can write. Of a host that is a folder here it
// says nothing.
func (w *treeWalker) readOnly(fd int) bool {
	var fs unix.Statfs_t
	return w.h.Live() && unix.Fstatfs(fd, &fs) == nil && fs.Flags&unix.ST_RDONLY != 0
}
