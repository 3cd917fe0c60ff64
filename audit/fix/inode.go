package fix

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// setAttributes gives f, which may be open as a path only, what want says. now is what it has.
func setAttributes(f *os.File, now state, want attributes) error {
	if now.attributes.equal(want) {
		return nil
	}
	if now.Type == isLink {
		return unix.Fchownat(int(f.Fd()), "", int(want.UID), int(want.GID), unix.AT_EMPTY_PATH)
	}
	name := self(f)
	const locked = immutableFlag | appendFlag
	if now.Flags&locked != 0 { // nothing else can be changed before
		if err := writeFlags(f, now.Flags&^locked); err != nil {
			return err
		}
	}
	if now.UID != want.UID || now.GID != want.GID {
		if err := os.Chown(name, int(want.UID), int(want.GID)); err != nil {
			return err
		}
	}
	// A change of owner takes capabilities away, and an ACL changes the mode: hence this order.
	if err := writeXattrs(name, want.Xattrs); err != nil {
		return err
	}
	if err := unix.Chmod(name, want.Mode); err != nil {
		return &os.PathError{Op: "chmod", Path: f.Name(), Err: err}
	}
	if flags := now.Flags &^ locked; flags != want.Flags {
		return writeFlags(f, want.Flags)
	}
	return nil
}

func setTime(f *os.File, want state) error {
	if want.Modified.IsZero() {
		return nil
	}
	return os.Chtimes(self(f), want.Modified, want.Modified)
}

// readFlags returns the flags of f that we keep; a file system that has none has none set.
func readFlags(f *os.File) (uint32, error) {
	r, err := os.OpenFile(self(f), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	flags, err := unix.IoctlGetUint32(int(r.Fd()), unix.FS_IOC_GETFLAGS)
	if noFlags(err) {
		return 0, nil
	}
	return flags & keptFlags, err
}

func noFlags(err error) bool {
	return errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL)
}

func writeFlags(f *os.File, want uint32) error {
	r, err := os.OpenFile(self(f), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	all, err := unix.IoctlGetUint32(int(r.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(r.Fd()), unix.FS_IOC_SETFLAGS, int(all&^keptFlags|want))
	}
	if noFlags(err) {
		return fmt.Errorf("the file system of %s has no flags such as immutable", f.Name())
	}
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("set the flags of %s: %w: it needs CAP_LINUX_IMMUTABLE", f.Name(), err)
	}
	return err
}

// readXattrs reads all extended attributes that can be written back.
func readXattrs(name string) (map[string][]byte, error) {
	list := make([]byte, 64<<10)
	n, err := unix.Listxattr(name, list)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all map[string][]byte
	for key := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		if key == "" || strings.HasPrefix(key, "trusted.overlay.") {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Getxattr(name, key, value)
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if all == nil {
			all = map[string][]byte{}
		}
		all[key] = slices.Clone(value[:n])
	}
	return all, nil
}

func writeXattrs(name string, want map[string][]byte) error {
	have, err := readXattrs(name)
	if err != nil {
		return err
	}
	for key := range have {
		if _, ok := want[key]; !ok {
			if err := unix.Removexattr(name, key); err != nil {
				return fmt.Errorf("remove %s: %w", key, err)
			}
		}
	}
	for key, value := range want {
		if bytes.Equal(have[key], value) && have[key] != nil {
			continue
		}
		if err := unix.Setxattr(name, key, value, 0); err != nil {
			return fmt.Errorf("set %s: %w", key, err)
		}
	}
	return nil
}
