package api_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/doorward/doorward/api"
)

func TestNobodyListens(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	if _, err := api.Dial(t.Context(), socket); !errors.Is(err, api.ErrNoDaemon) {
		t.Errorf("without a socket Dial gave %v, want ErrNoDaemon", err)
	}
	leaveSocket(t, socket)
	if _, err := api.Dial(t.Context(), socket); !errors.Is(err, api.ErrNoDaemon) {
		t.Errorf("with a dead socket Dial gave %v, want ErrNoDaemon", err)
	}
}

// leaveSocket makes a socket file that nobody listens on, as a killed daemon does.
func leaveSocket(t *testing.T, socket string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestDeadSocketIsReplacedAndALiveOneIsNot(t *testing.T) {
	r := newRig(t)
	socket := filepath.Join(t.TempDir(), "admin.sock")
	leaveSocket(t, socket)
	first, err := api.Listen(socket, r.handler)
	if err != nil {
		t.Fatalf("Listen on a dead socket gave %v", err)
	}
	info, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("the socket's mode is %o, want 600", got)
	}
	if _, err := api.Listen(socket, r.handler); !errors.Is(err, api.ErrInUse) {
		t.Errorf("Listen on a live socket gave %v, want ErrInUse", err)
	}
	if err := first.Close(); err != nil {
		t.Errorf("Close gave %v", err)
	}
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close the socket is still there: %v", err)
	}
}

func TestOtherFilesAreNotReplaced(t *testing.T) {
	r := newRig(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "admin.sock")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Listen(file, r.handler); err == nil || !strings.Contains(err.Error(), "is in the way and is not a socket") {
		t.Errorf("Listen over a file gave %v", err)
	}
	link := filepath.Join(dir, "link.sock")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Listen(link, r.handler); err == nil {
		t.Error("Listen over a link was accepted")
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file is now %q, %v", text, err)
	}
}

// TestOtherUsersAreRefused opens the socket's mode to all, as a mistake would, and connects as another user.
func TestOtherUsersAreRefused(t *testing.T) {
	if socket := os.Getenv("DOORWARD_TEST_SOCKET"); socket != "" {
		askAs(t, socket)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can act as another user")
	}
	r := newRig(t)
	socket := r.serve(t)
	public, err := os.MkdirTemp("/tmp", "doorward-api-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(public) })
	binary := filepath.Join(public, "api.test")
	if out, err := exec.Command("cp", os.Args[0], binary).CombinedOutput(); err != nil {
		t.Fatalf("copy: %v: %s", err, out)
	}
	link := filepath.Join(public, "admin.sock")
	if err := errors.Join(os.Chmod(public, 0o755), os.Link(socket, link), os.Chmod(socket, 0o666)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		uid  uint32
		want string
	}{{65534, "only root and the user that runs doorward may do this"}, {0, "allowed"}} {
		c := exec.Command(binary, "-test.run", "^"+t.Name()+"$")
		c.Dir = public
		c.Env = []string{"DOORWARD_TEST_SOCKET=" + link, "PATH=/usr/bin:/bin"}
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: test.uid, Gid: test.uid}}
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), test.want) {
			t.Errorf("as user %d: %v: %s; want %q", test.uid, err, out, test.want)
		}
	}
	if !strings.Contains(r.log.String(), "user 65534 may not command doorward") {
		t.Errorf("the log says nothing of user 65534:\n%s", r.log)
	}
}

func askAs(t *testing.T, socket string) {
	t.Helper()
	_, err := dial(t, socket).Principals(t.Context())
	if err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		return
	}
	os.Stdout.WriteString("allowed\n")
}
