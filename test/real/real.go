// Package real holds what the tests with real components share: which programs must be there, how they are started
// and stopped, Doorward itself as a user runs it, and a browser. It knows nothing of what is tested.
package real

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/porttest"
)

// Require skips the test, with what to install, unless every program is there: a name in PATH or an absolute path.
// With DOORWARD_REQUIRE_REAL=1 it fails instead.
func Require(t testing.TB, programs ...string) {
	t.Helper()
	var missing []string
	for _, program := range programs {
		var err error
		if filepath.IsAbs(program) {
			_, err = os.Stat(program)
		} else {
			_, err = exec.LookPath(program)
		}
		if err != nil {
			missing = append(missing, program)
		}
	}
	if len(missing) > 0 {
		Missing(t, "not on this machine: %s; scripts/packages.txt lists the Debian packages", strings.Join(missing, ", "))
	}
}

// Missing skips the test with the reason, or fails with DOORWARD_REQUIRE_REAL=1.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("DOORWARD_REQUIRE_REAL") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Repository is the root of the main module's source.
func Repository(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("find this source file: no caller")
	}
	root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatalf("find the repository: %v", err)
	}
	return root
}

// programFolder is where this test process keeps the doorward program that it built.
func programFolder() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("doorward-real-%d", os.Getpid()))
}

// build makes the doorward program once for each test process.
var build = sync.OnceValues(func() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	// Servers that run as another user must be able to reach what lies beside it.
	if err := os.Mkdir(programFolder(), 0o755); err != nil {
		return "", err
	}
	program := filepath.Join(programFolder(), "doorward")
	cmd := exec.Command("go", "build", "-o", program, "./cmd/doorward")
	cmd.Dir = filepath.Dir(filepath.Dir(filepath.Dir(file)))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build doorward: %w\n%s", err, out)
	}
	return program, nil
})

// Program is the path of the doorward program, built from the source that the tests belong to. A package that uses it
// calls RemoveProgram at the end of its TestMain.
func Program(t testing.TB) string {
	t.Helper()
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// RemoveProgram deletes what Program built, if it built anything.
func RemoveProgram() {
	_ = os.RemoveAll(programFolder()) // left behind it costs disk space, not the tests' result
}

// Folder is a new folder below the system's temporary one that every user may pass through, deleted at the end of the
// test. t.TempDir's parents are closed to the users as whom servers run.
func Folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "doorward-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// remove deletes a folder in which processes that were killed may write for a moment yet.
func remove(t testing.TB, dir string) {
	t.Helper()
	err := os.RemoveAll(dir)
	for end := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(end); err = os.RemoveAll(dir) {
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		t.Errorf("delete the test's folder: %v", err)
	}
}

// FreePort is a TCP port of 127.0.0.1 that nothing uses now; it is given to nobody else in this process.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := porttest.Free()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Write puts text into dir/name with mode and returns the file's path.
func Write(t testing.TB, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // the umask took its part
		t.Fatal(err)
	}
	return path
}

// Eventually calls ok every 50 ms until it is true, for at most limit; what names the thing waited for.
func Eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s for %s", limit, what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
