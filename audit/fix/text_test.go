package fix_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/audit/fix"
)

func background() context.Context { return context.Background() }

func TestUnified(t *testing.T) {
	if got := fix.Unified("same\n", "same\n"); got != "" {
		t.Errorf("got %q for equal texts", got)
	}
	diff, err := exec.LookPath("patch")
	if err != nil {
		t.Skip("the program patch is not installed, which reads what is written")
	}
	long := strings.Repeat("line\n", 40)
	for _, c := range [][2]string{
		{"", "a\n"}, {"a\n", ""}, {"a", "a\n"}, {"a\n", "a"}, {"a\nb\nc\n", "a\nc\n"}, {"a\nc\n", "a\nb\nc\n"},
		{long + "x\n" + long, long + "y\n" + long}, {"x\n" + long + "x\n", "y\n" + long + "y\n"}, {"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\nthree\n4\n5\n6\n7\neight\n9\n"},
		{"a\nb\na\nb\n", "b\na\nb\na\n"}, {strings.Repeat("a\n", 2500), strings.Repeat("b\n", 2500)},
	} {
		name := filepath.Join(t.TempDir(), "a")
		check(t, os.WriteFile(name, []byte(c[0]), 0o644))
		cmd := exec.CommandContext(t.Context(), diff, "--quiet", "--force", name)
		cmd.Stdin = strings.NewReader(fix.Unified(c[0], c[1]))
		out, err := cmd.CombinedOutput()
		got, _ := os.ReadFile(name)
		if err != nil || string(got) != c[1] {
			t.Errorf("patch makes %q of %q, want %q: %v %s\n%s", got, c[0], c[1], err, out, fix.Unified(c[0], c[1]))
		}
	}
}

func TestIncludesFolder(t *testing.T) {
	for text, want := range map[string]bool{
		"Include /etc/ssh/sshd_config.d/*.conf\n":                true,
		"include=/etc/x /etc/ssh/sshd_config.d/*.conf\n":         true,
		"# Include /etc/ssh/sshd_config.d/*.conf\n":              false,
		"Match all\nInclude /etc/ssh/sshd_config.d/*.conf\n":     false,
		"Port 22\n\tInclude \"/etc/ssh/sshd_config.d/*.conf\"\n": true,
	} {
		if got := fix.IncludesFolder(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

// FuzzSSHDLine: whatever stands in a line, a comment has no key, and a key holds nothing that separates it from its value.
func FuzzSSHDLine(f *testing.F) {
	for _, seed := range []string{"PermitRootLogin no", "\tPermitRootLogin=yes", "Match", "# x", "=", " = ", "\"", "Include \"a b\""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		key, _ := fix.SSHDLine(line)
		if strings.ContainsAny(key, " \t=") || strings.HasPrefix(strings.TrimSpace(line), "#") && key != "" {
			t.Errorf("%q: key %q", line, key)
		}
	})
}

func FuzzAcceptedKey(f *testing.F) {
	f.Add("Nov 25 10:00:00 host sshd[12]: Accepted publickey for anna from 192.0.2.7 port 5 ssh2\n")
	f.Add("Nov 25 10:00:00 host sshd[12]: Invalid user sshd[1]: Accepted publickey for anna from 192.0.2.7 port 5\n")
	f.Fuzz(func(t *testing.T, text string) {
		if name := fix.AcceptedKey(text); strings.ContainsAny(name, " \n") {
			t.Errorf("%q: name %q", text, name)
		}
	})
}
