package storetest

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/doorward/doorward/unshared"
)

// diskEnv tells the child process of SmallDisk which folder to put its disk on.
const diskEnv = "DOORWARD_STORETEST_DISK"

// Disk is a small file system that only one test sees.
type Disk struct {
	// Dir is where it is mounted.
	Dir string
	t   testing.TB
}

// SmallDisk gives the calling test, which must not be a subtest, a file system of its own of size bytes.
// For that it runs the test again in a child process with a mount namespace: there the disk is returned,
// and here nil, after the child has ended and its failure has become that of t. Without the right to make
// namespaces t is skipped, or fails when DOORWARD_REQUIRE_REAL=1.
//
//	disk := storetest.SmallDisk(t, 4<<20)
//	if disk == nil {
//		return
//	}
func SmallDisk(t *testing.T, size int) *Disk {
	t.Helper()
	if dir := os.Getenv(diskEnv); dir != "" {
		mount(t, "none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
		mount(t, "tmpfs", dir, "tmpfs", 0, "mode=0700,size="+strconv.Itoa(size))
		return &Disk{Dir: dir, t: t}
	}
	if err := unshared.Again(t, syscall.CLONE_NEWNS, diskEnv+"="+t.TempDir()); err != nil {
		if os.Getenv("DOORWARD_REQUIRE_REAL") == "1" {
			t.Fatal(err)
		}
		t.Skipf("no full disk was tried: %v", err)
	}
	return nil
}

// Fill leaves no room on the disk, and returns a function that frees it again.
func (d *Disk) Fill() (free func()) {
	d.t.Helper()
	path := filepath.Join(d.Dir, "filler")
	file, err := os.Create(path)
	if err != nil {
		d.t.Fatalf("fill disk: %v", err)
	}
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatalf("fill disk: got %v, want that it is full", err)
	}
	if err := file.Close(); err != nil {
		d.t.Fatalf("fill disk: %v", err)
	}
	return func() {
		d.t.Helper()
		if err := os.Remove(path); err != nil {
			d.t.Fatalf("free disk: %v", err)
		}
	}
}

// ReadOnly makes the disk read-only or writable. The system refuses to make it read-only while a file on it
// is open for writing.
func (d *Disk) ReadOnly(on bool) {
	d.t.Helper()
	flags := uintptr(syscall.MS_REMOUNT)
	if on {
		flags |= syscall.MS_RDONLY
	}
	mount(d.t, "tmpfs", d.Dir, "tmpfs", flags, "")
}

func mount(t testing.TB, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		t.Fatalf("mount %s: %v", target, err)
	}
}
