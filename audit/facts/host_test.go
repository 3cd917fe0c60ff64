package facts_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/audit/facts"
)

func open(t *testing.T, root string) *facts.Host {
	t.Helper()
	h, err := facts.OpenHost(facts.HostOptions{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// TestLinksToTheKernel shows that nobody can point the audit at a file of the kernel's that never ends, or at a device.
func TestLinksToTheKernel(t *testing.T) {
	h, dir := open(t, ""), t.TempDir()
	for target, want := range map[string]string{"/proc/version": "kernel", "/sys/kernel/uevent_seqnum": "kernel", "/dev/null": "not a regular file"} {
		name := filepath.Join(dir, filepath.Base(target))
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
		if text, err := h.ReadFile(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a link to %s: got %q, %v, want an error that tells %q", target, text, err, want)
		}
	}
	if text, err := h.ReadFile("/proc/version"); err != nil || len(text) == 0 {
		t.Errorf("/proc/version by its own name: got %q, %v", text, err)
	}
}

// TestEntriesStayInTheRoot shows that an entry of a folder below the root is not described by the machine's own file.
func TestEntriesStayInTheRoot(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	entries, err := open(t, root).ReadDir("/etc")
	if err != nil || len(entries) != 1 {
		t.Fatalf("got %v, %v", entries, err)
	}
	info, err := entries[0].Info()
	if err != nil || info.Size() != 1 || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want the file of 1 byte below the root", info, err)
	}
}

// TestProgramsOfOthers shows that the audit lends nobody root's rights.
func TestProgramsOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	program := filepath.Join(t.TempDir(), "sshd") // below a folder that everybody may write in
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho run\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	h := open(t, "")
	if out, err := h.Run(t.Context(), program); !errors.Is(err, facts.ErrUntrusted) {
		t.Errorf("got %q, %v, want that it is not run", out.Stdout, err)
	}
	if out, err := h.Run(t.Context(), "/bin/sh", "-c", "echo run"); err != nil || string(out.Stdout) != "run\n" {
		t.Errorf("got %q, %v from the host's own shell", out.Stdout, err)
	}
}

func TestPanicIsMissing(t *testing.T) {
	lost := facts.CollectPanicking(t.Context())
	if len(lost) != 1 || lost[0].Fact != "" || !strings.Contains(lost[0].Reason, "index out of range") {
		t.Errorf("got %v, want that the fact is missing", lost)
	}
}
