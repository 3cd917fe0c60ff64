package fix

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxBytes bounds a file that is changed as a whole: configuration.
const maxBytes = 16 << 20

// errChanged says that what is under a path is not what was planned.
var errChanged = errors.New("it is not what the plan saw")

// place is the tree of files of a host. All its names are absolute inside it; no link is followed, but in resolve.
type place struct {
	top *os.File
}

func openPlace(root string) (*place, error) {
	top, err := os.OpenFile(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open root: %w", err)
	}
	return &place{top}, nil
}

func (p *place) Close() error { return p.top.Close() }

// self is the path of an open file that stands for exactly that inode, whatever happens to its names.
func self(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }

func openat(dir *os.File, name string, flags int, mode uint32, resolve uint64) (*os.File, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Mode: uint64(mode), Resolve: resolve | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(int(dir.Fd()), name, &how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), name), nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN): // a rename raced with the walk
			continue
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
}

// resolve follows the links in name, inside the root, and returns where they end. What does not exist yet stands in the
// folder that its parent resolves to.
func (p *place) resolve(name string) (string, error) {
	name = path.Clean("/" + name)
	f, err := openat(p.top, name, unix.O_PATH, 0, unix.RESOLVE_IN_ROOT)
	if errors.Is(err, fs.ErrNotExist) && name != "/" {
		if dir, err := p.resolve(path.Dir(name)); err == nil {
			return path.Join(dir, path.Base(name)), nil
		}
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	return p.name(f)
}

// name is the name of an open file inside the root.
func (p *place) name(f *os.File) (string, error) {
	root, err := os.Readlink(self(p.top))
	if err != nil {
		return "", err
	}
	full, err := os.Readlink(self(f))
	if err != nil {
		return "", err
	}
	rest, inside := strings.CutPrefix(full, strings.TrimSuffix(root, "/"))
	if !inside || rest != "" && rest[0] != '/' {
		return "", fmt.Errorf("%s is not inside %s", full, root)
	}
	return path.Clean("/" + rest), nil
}

// folder opens the folder that holds name. A link on the way is an error.
func (p *place) folder(name string) (*os.File, string, error) {
	name = path.Clean("/" + name)
	dir, err := openat(p.top, path.Dir(name), unix.O_RDONLY|unix.O_DIRECTORY, 0, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
	if errors.Is(err, unix.ELOOP) {
		err = fmt.Errorf("%s: a link stands on the way that the plan did not follow", path.Dir(name))
	}
	return dir, path.Base(name), err
}

// read tells what stands under name.
func (p *place) read(name string) (state, error) {
	dir, base, err := p.folder(name)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	defer dir.Close()
	return readAt(dir, base)
}

func readAt(dir *os.File, base string) (state, error) {
	f, err := openat(dir, base, unix.O_PATH|unix.O_NOFOLLOW, 0, unix.RESOLVE_BENEATH)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	defer f.Close()
	s, err := look(f)
	if err != nil || s.Type != isFile {
		return s, err
	}
	r, err := os.Open(self(f))
	if err != nil {
		return s, err
	}
	defer r.Close()
	if s.Bytes, err = io.ReadAll(io.LimitReader(r, maxBytes+1)); err != nil {
		return s, err
	}
	if len(s.Bytes) > maxBytes {
		return s, fmt.Errorf("%s is longer than %d MiB", base, maxBytes>>20)
	}
	s.SHA256 = hashOf(s.Bytes)
	return s, nil
}

// look tells everything but the content of what f, which may be open as a path only, is.
func look(f *os.File) (state, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return state{}, fmt.Errorf("look at %s: %w", f.Name(), err)
	}
	s := state{links: uint64(st.Nlink), inode: st.Ino}
	var more unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &more); err == nil && more.Mask&unix.STATX_BTIME != 0 {
		s.born = more.Btime.Sec*1e9 + int64(more.Btime.Nsec)
	}
	s.Mode, s.UID, s.GID = st.Mode&0o7777, st.Uid, st.Gid
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		target := make([]byte, 4096)
		n, err := unix.Readlinkat(int(f.Fd()), "", target)
		if err != nil {
			return s, fmt.Errorf("read link %s: %w", f.Name(), err)
		}
		s.Type, s.Target = isLink, string(target[:n])
		return s, nil
	case unix.S_IFREG:
		s.Type = isFile
	case unix.S_IFDIR:
		s.Type = isFolder
	default:
		s.Type = isOther
		return s, nil
	}
	info, err := f.Stat()
	if err != nil {
		return s, err
	}
	s.Modified = info.ModTime()
	if s.Xattrs, err = readXattrs(self(f)); err != nil {
		return s, fmt.Errorf("read the attributes of %s: %w", f.Name(), err)
	}
	s.Flags, err = readFlags(f)
	return s, err
}

// put makes name be want, when it is now as it was planned. temp is a name in the same folder that nothing else uses.
func (p *place) put(name, temp string, planned, want state) error {
	dir, base, err := p.folder(name)
	if err != nil {
		return errRefused{err}
	}
	defer dir.Close()
	now, err := readAt(dir, base)
	if err != nil {
		return errRefused{err}
	}
	if !now.equal(planned) {
		return errRefused{fmt.Errorf("%s: %w: there is %s", name, errChanged, now.describe())}
	}
	if now.Type == isFile && now.links > 1 && want.Type == isFile {
		return errRefused{fmt.Errorf("%s has %d names, which would not be the same file any more", name, now.links)}
	}
	if err := putAt(dir, base, temp, now, want); err != nil {
		return fmt.Errorf("change %s: %w", name, err)
	}
	return dir.Sync()
}

func putAt(dir *os.File, base, temp string, now, want state) error {
	switch {
	case want.Type == isOther || now.Type == isOther:
		return errors.New("it is no file, folder or link")
	case now.Type == want.Type && want.Type != isLink && now.SHA256 == want.SHA256:
		return changeAt(dir, base, now, want)
	case want.Type == "":
		return removeAt(dir, base, temp, now)
	case want.Type == isFolder && now.Type == "":
		if err := unix.Mkdirat(int(dir.Fd()), base, 0o700); err != nil {
			return err
		}
		made, err := readAt(dir, base)
		if err != nil {
			return err
		}
		return changeAt(dir, base, made, want)
	case want.Type == isFolder || now.Type == isFolder:
		return errors.New("a folder does not take the place of a file")
	}
	if err := discard(dir, temp); err != nil { // of a run that was killed
		return err
	}
	if err := makeAs(dir, temp, want); err != nil {
		return err
	}
	if err := swap(dir, base, temp, now); err != nil {
		return errors.Join(err, discard(dir, temp))
	}
	if want.Type == isFile && want.Flags != 0 { // an immutable file cannot be renamed, so the flags come last
		made, err := readAt(dir, base)
		if err != nil {
			return err
		}
		return changeAt(dir, base, made, want)
	}
	return nil
}

// makeAs makes a file or a link under temp, all but its flags.
func makeAs(dir *os.File, temp string, want state) error {
	if want.Type == isLink {
		return unix.Symlinkat(want.Target, int(dir.Fd()), temp)
	}
	f, err := openat(dir, temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600, unix.RESOLVE_BENEATH)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(want.Bytes); err != nil {
		return err
	}
	made, err := look(f)
	if err != nil {
		return err
	}
	bare := want.attributes
	bare.Flags = made.Flags
	if err := setAttributes(f, made, bare); err != nil {
		return err
	}
	if err := setTime(f, want); err != nil {
		return err
	}
	return f.Sync()
}

// swap puts temp in the place of base. What comes out has to be what was planned, or it goes back: between reading a file
// and replacing it somebody else may have written it.
func swap(dir *os.File, base, temp string, planned state) error {
	fd := int(dir.Fd())
	if planned.Type == "" {
		return unix.Renameat2(fd, temp, fd, base, unix.RENAME_NOREPLACE)
	}
	if planned.Flags&(immutableFlag|appendFlag) != 0 {
		bare := planned
		bare.Flags &^= immutableFlag | appendFlag
		if err := changeAt(dir, base, planned, bare); err != nil {
			return err
		}
		planned = bare
	}
	if err := unix.Renameat2(fd, temp, fd, base, unix.RENAME_EXCHANGE); err != nil {
		return err
	}
	out, err := readAt(dir, temp)
	if err != nil || !out.equal(planned) {
		return errors.Join(errChanged, err, unix.Renameat2(fd, temp, fd, base, unix.RENAME_EXCHANGE))
	}
	return discard(dir, temp)
}

// removeAt removes what was planned to be there.
func removeAt(dir *os.File, base, temp string, planned state) error {
	fd := int(dir.Fd())
	if planned.Type == isFolder {
		return unix.Unlinkat(fd, base, unix.AT_REMOVEDIR)
	}
	if planned.Flags != 0 {
		bare := planned
		bare.Flags = 0
		if err := changeAt(dir, base, planned, bare); err != nil {
			return err
		}
		planned = bare
	}
	if err := discard(dir, temp); err != nil {
		return err
	}
	if err := unix.Renameat2(fd, base, fd, temp, unix.RENAME_NOREPLACE); err != nil {
		return err
	}
	out, err := readAt(dir, temp)
	if err != nil || !out.equal(planned) {
		return errors.Join(errChanged, err, unix.Renameat2(fd, temp, fd, base, unix.RENAME_NOREPLACE))
	}
	return discard(dir, temp)
}

// discard removes a temporary file or link of our own.
func discard(dir *os.File, temp string) error {
	err := unix.Unlinkat(int(dir.Fd()), temp, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// changeAt changes the attributes of what is already there.
func changeAt(dir *os.File, base string, now, want state) error {
	f, err := openat(dir, base, unix.O_PATH|unix.O_NOFOLLOW, 0, unix.RESOLVE_BENEATH)
	if err != nil {
		return err
	}
	defer f.Close()
	is, err := look(f)
	if err != nil {
		return err
	}
	if is.Type != now.Type || !is.is(now.inode, now.born) && now.inode != 0 {
		return errChanged
	}
	if is.Type == isFile && is.links > 1 && !is.attributes.equal(want.attributes) {
		return fmt.Errorf("it has %d names, and the others would change with it", is.links)
	}
	return setAttributes(f, is, want.attributes)
}
