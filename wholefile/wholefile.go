// Package wholefile writes files that are there whole or not at all, whoever is killed and whenever the power fails:
// keys, manifests, reports. It knows nothing of what is in them, and waits for no other writer: where one must, its
// users hold a lock.
package wholefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Replace writes content to path, in the place of what is there. The file has exactly this mode, whatever the umask,
// and on the way to it is its owner's alone. Who reads path meanwhile reads the old content or the new, and of two
// writers at once the last one's is left. When Replace returns nil the file and its name are on the disk; after an
// error the old file is there, or the new one where only the folder could not be written out. What a killed process
// was writing stays beside path, under a name that begins with a dot.
//
// path's folder has to be there. A symbolic link in path's place is replaced, not followed.
func Replace(path string, mode fs.FileMode, content []byte) error {
	return ReplaceBy(path, mode, func(f *os.File) error {
		_, err := f.Write(content)
		return err
	})
}

// ReplaceBy is Replace for content that write writes, for instance bit by bit. Whatever else write does to the file,
// such as to give it to a group, is done when the name appears. An error of write leaves the old file.
func ReplaceBy(path string, mode fs.FileMode, write func(*os.File) error) error {
	return put(path, mode, write, os.Rename)
}

// Create is Replace where path must not be there: then, or when another writer is first, it changes nothing and its
// error is fs.ErrExist. The file system has to know hard links.
func Create(path string, mode fs.FileMode, content []byte) error {
	write := func(f *os.File) error {
		_, err := f.Write(content)
		return err
	}
	// A link, unlike a rename, does not replace what another process put there meanwhile.
	return put(path, mode, write, func(temporary, path string) error {
		return errors.Join(os.Link(temporary, path), os.Remove(temporary))
	})
}

// put writes a temporary file and gives it its name with place, after which no temporary file is left.
func put(path string, mode fs.FileMode, write func(*os.File) error, place func(temporary, path string) error) error {
	// Opened first: a folder that cannot be written out is to be an error before anything has changed.
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	f, err := os.CreateTemp(folder.Name(), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	err = write(f)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = place(f.Name(), path)
	}
	if err != nil {
		if gone := os.Remove(f.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return err
	}
	// Without this the name may be lost with the power, though the content is on the disk. Some file systems of other
	// machines know no such call, and say so with EINVAL.
	if err := folder.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}
