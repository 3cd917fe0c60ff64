package config_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/doorward/doorward/config"
)

// runAsNobody runs the calling test again as user and group 65534 with dir as its subject, and returns what
// it printed. Without root the files are taken away from the user itself, which comes to the same.
func runAsNobody(t *testing.T, dir string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		for _, name := range []string{"s", "data"} {
			if err := os.Chmod(filepath.Join(dir, name), 0); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Chmod(filepath.Join(dir, name), 0o700) })
		}
		return messagesOf(filepath.Join(dir, "doorward.yaml"), dir)
	}
	// The test binary lies in a folder that only root may enter, and so does the test's own.
	public, err := os.MkdirTemp("/tmp", "doorward-config-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(public) })
	moved := filepath.Join(public, "subject")
	binary := filepath.Join(public, "config.test")
	if out, err := exec.Command("cp", "-a", dir, moved).CombinedOutput(); err != nil {
		t.Fatalf("copy: %v: %s", err, out)
	}
	if out, err := exec.Command("cp", os.Args[0], binary).CombinedOutput(); err != nil {
		t.Fatalf("copy: %v: %s", err, out)
	}
	for _, name := range []string{public, moved, binary} {
		if err := os.Chmod(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(binary, "-test.run", "^"+t.Name()+"$", "-test.v")
	c.Dir = public
	c.Env = []string{"DOORWARD_TEST_AS_NOBODY=" + moved, "PATH=/usr/bin:/bin"}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("run as nobody: %v: %s", err, out)
	}
	return string(out)
}

func asNobody(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Fatal("still root")
	}
	fmt.Print(messagesOf(filepath.Join(dir, "doorward.yaml"), dir))
}

// messagesOf is what loading says, without the folder's name.
func messagesOf(file, dir string) string {
	_, err := config.Load(file)
	if err == nil {
		return "no error\n"
	}
	return withoutFolder(err.Error(), dir)
}
