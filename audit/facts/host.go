package facts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of what is read off a host, whoever wrote it.
const (
	maxFile   = 16 << 20 // bytes of one file
	maxOutput = 16 << 20 // bytes that one program prints
	maxNames  = 100_000  // entries of one folder
)

// ErrNoExec says that a program would have to be run from a root that is not the machine's own, which only
// HostOptions.ExecInRoot allows.
var ErrNoExec = errors.New("programs of another root are run only with --exec-in-root")

// ErrNotLive says that the fact is one of a running system, and the root is a folder.
var ErrNotLive = errors.New("the root is a folder, not the running system")

// HostOptions say how a host is read.
type HostOptions struct {
	// Root is the folder that holds the host's files; empty and "/" are the machine itself.
	Root string
	// ExecInRoot allows programs of another root to be run, confined to it by chroot. It needs root's rights.
	ExecInRoot bool
}

// Host is the machine that is read: files under one root, which no link leads out of, and its programs. Its methods may
// be called at the same time.
type Host struct {
	root  string
	top   *os.File
	live  bool
	execs bool
}

// OpenHost opens the host under opts.Root. Close it after use.
func OpenHost(opts HostOptions) (*Host, error) {
	root := path.Clean("/" + opts.Root)
	if opts.Root != "" && !path.IsAbs(opts.Root) {
		return nil, fmt.Errorf("open root %q: it is not an absolute path", opts.Root)
	}
	top, err := os.OpenFile(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open root: %w", err)
	}
	return &Host{root: root, top: top, live: root == "/", execs: root == "/" || opts.ExecInRoot}, nil
}

// Close gives back what OpenHost opened.
func (h *Host) Close() error { return h.top.Close() }

// Live says whether the root is that of the running system, so that processes, sockets and the kernel's tables belong
// to it.
func (h *Host) Live() bool { return h.live }

// open opens name as a process that is confined to the root would: absolute links start at the root, and none leads
// out of it (openat2 with RESOLVE_IN_ROOT).
func (h *Host) open(name string, flags int) (*os.File, error) {
	if flags&unix.O_PATH == 0 { // with which openat2 takes no other flag
		flags |= unix.O_NONBLOCK
	}
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := h.openAt(path.Clean("/"+name), &how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), name), nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN): // a rename raced with the walk
			continue
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
}

// openAt holds the root's descriptor while it is used: a collector that took too long may still read when the host is closed, and must
// not do so below whatever has the same number by then.
func (h *Host) openAt(name string, how *unix.OpenHow) (fd int, err error) {
	top, err := h.top.SyscallConn()
	if err != nil {
		return -1, err
	}
	held := top.Control(func(top uintptr) { fd, err = unix.Openat2(int(top), name, how) })
	if held != nil {
		return -1, fs.ErrClosed
	}
	return fd, err
}

// ReadFile returns the text of a regular file, at most 16 MiB of it: a longer one is an error, and so is anything
// that is no regular file, such as a FIFO, which would never end.
func (h *Host) ReadFile(name string) ([]byte, error) {
	if err := h.readable(name); err != nil {
		return nil, err
	}
	f, err := h.open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // it was one a moment ago
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	if len(text) > maxFile {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("longer than %d MiB", maxFile>>20)}
	}
	return text, nil
}

// readable asks what name is before it is opened: to open a device alone can rewind a tape or arm a watchdog. A link that
// leads to the kernel's own files from elsewhere is refused too, because some of those never end (/proc/kmsg) and some tell
// what the link's owner may not read.
func (h *Host) readable(name string) error {
	f, err := h.open(name, unix.O_PATH)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &fs.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return &fs.PathError{Op: "statfs", Path: name, Err: err}
	}
	switch first, _, _ := strings.Cut(strings.TrimPrefix(path.Clean("/"+name), "/"), "/"); {
	case first == "proc" || first == "sys":
	case slices.Contains([]int64{unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.TRACEFS_MAGIC, unix.DEBUGFS_MAGIC}, int64(st.Type)):
		return &fs.PathError{Op: "read", Path: name, Err: errors.New("it leads to a file of the kernel's")}
	}
	return nil
}

// Exists says whether there is a file, a folder or something else under name. Links are followed inside the root.
func (h *Host) Exists(name string) bool {
	_, err := h.Stat(name)
	return err == nil
}

// Stat describes what name is, following links inside the root.
func (h *Host) Stat(name string) (fs.FileInfo, error) {
	f, err := h.open(name, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// ReadDir returns the entries of a folder sorted by name, at most 100,000.
func (h *Host) ReadDir(name string) ([]fs.DirEntry, error) {
	f, err := h.open(name, os.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(maxNames + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	if len(entries) > maxNames {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("more than %d entries", maxNames)}
	}
	for i, e := range entries {
		entries[i] = entry{e, h, path.Join(name, e.Name())}
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// entry is an entry of a folder that is described under the root. The one that os.File gives looks its name up from the
// machine's own root, where another file may have it.
type entry struct {
	fs.DirEntry
	h    *Host
	path string
}

// Info describes the entry itself, not where a link leads.
func (e entry) Info() (fs.FileInfo, error) {
	f, err := e.h.open(e.path, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// Glob returns the names that match pattern, sorted as the programs sort them that include files by pattern. Every
// segment may have the wildcards of path.Match. A folder that cannot be read is an error; one that is not there is not.
func (h *Host) Glob(pattern string) ([]string, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	found := []string{"/"}
	for segment := range strings.SplitSeq(strings.Trim(path.Clean("/"+pattern), "/"), "/") {
		var next []string
		for _, dir := range found {
			if !strings.ContainsAny(segment, `*?[\`) {
				if name := path.Join(dir, segment); h.Exists(name) {
					next = append(next, name)
				}
				continue
			}
			entries, err := h.ReadDir(dir)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
				continue
			}
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				if ok, _ := path.Match(segment, e.Name()); ok && (segment[0] == '.' || e.Name()[0] != '.') {
					next = append(next, path.Join(dir, e.Name()))
				}
			}
		}
		found = next
	}
	return found, nil
}

// Output is what a program printed.
type Output struct {
	Stdout, Stderr []byte
	Code           int // its exit code
}

// Run runs one of the host's programs and returns what it printed, at most 16 MiB each. name is an absolute path. An
// exit code is no error. With another root than the machine's, the program is confined to it, and run only where
// that is allowed (ErrNoExec).
func (h *Host) Run(ctx context.Context, name string, args ...string) (Output, error) {
	return h.RunWith(ctx, nil, name, args...)
}

// RunWith is Run with text on the program's standard input.
func (h *Host) RunWith(ctx context.Context, stdin []byte, name string, args ...string) (Output, error) {
	if !h.execs {
		return Output{}, fmt.Errorf("run %s: %w", name, ErrNoExec)
	}
	if !path.IsAbs(name) {
		return Output{}, fmt.Errorf("run %s: not an absolute path", name)
	}
	if err := h.trusted(name); err != nil {
		return Output{}, fmt.Errorf("run %s: %w", name, err)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdin = "/", bytes.NewReader(stdin)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/nonexistent"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if !h.live {
		cmd.SysProcAttr.Chroot = h.root
	}
	// A program that has children must not outlive the audit with them.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	stdout, stderr := &capped{}, &capped{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	out := Output{stdout.Bytes(), stderr.Bytes(), cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return out, fmt.Errorf("run %s: %w", name, ctx.Err())
	case stdout.over || stderr.over:
		return out, fmt.Errorf("run %s: it prints more than %d MiB", name, maxOutput>>20)
	case err != nil && !errors.As(err, &exit):
		return out, fmt.Errorf("run %s: %w", name, err)
	case exit != nil && exit.ExitCode() < 0:
		return out, fmt.Errorf("run %s: %w", name, err)
	}
	return out, nil
}

// ErrUntrusted says that a program is not run, because others than root could have put it there.
var ErrUntrusted = errors.New("it is not run: others than root can change it")

// trusted refuses, as root, a program that others than root may write or replace: an audit must not lend them its rights.
// What a link of the name leads to counts, with every folder above both.
func (h *Host) trusted(name string) error {
	if os.Geteuid() != 0 {
		return nil // it runs with no more rights than the one who asked has
	}
	real, err := h.realPath(name)
	if err != nil {
		return err
	}
	for _, start := range []string{path.Clean(name), real} {
		for at := start; ; at = path.Dir(at) {
			if at == "/" && !h.live {
				break // the folder that stands for the host is the caller's choice
			}
			info, err := h.Stat(at)
			if err != nil {
				return err
			}
			owner, ok := info.Sys().(*syscall.Stat_t)
			if !ok || owner.Uid != 0 || info.Mode()&0o002 != 0 || info.Mode()&0o020 != 0 && owner.Gid != 0 {
				return fmt.Errorf("%w (%s)", ErrUntrusted, at)
			}
			if at == "/" {
				break
			}
		}
	}
	return nil
}

// capped takes at most maxOutput bytes and forgets the rest.
type capped struct {
	bytes.Buffer
	over bool
}

func (c *capped) Write(p []byte) (int, error) {
	if room := maxOutput - c.Len(); len(p) > room {
		c.over = true
		_, _ = c.Buffer.Write(p[:room]) // a bytes.Buffer has no errors
		return len(p), nil
	}
	return c.Buffer.Write(p)
}

// Look returns the first of names that exists as a file under the root, or "".
func (h *Host) Look(names ...string) string {
	for _, name := range names {
		if info, err := h.Stat(name); err == nil && info.Mode().IsRegular() {
			return name
		}
	}
	return ""
}
