package fail2ban_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// installed is where Debian's package keeps its configuration.
const installed = "/etc/fail2ban"

// oracle asks the installed fail2ban and reads its answer.
func oracle(t *testing.T, question map[string]any, answer any) {
	t.Helper()
	python := "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import fail2ban.server.filter").Run(); err != nil {
		t.Skipf("left out: fail2ban's package for Python is not installed: %v", err)
	}
	if _, err := os.Stat(installed + "/jail.conf"); err != nil {
		t.Skipf("left out: fail2ban's configuration is not installed: %v", err)
	}
	in, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "testdata/oracle.py")
	cmd.Stdin = bytes.NewReader(in)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1", "LANG=C.UTF-8"}
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("ask fail2ban: %v\n%s", err, problems.String())
	}
	if err := json.Unmarshal(out.Bytes(), answer); err != nil {
		t.Fatalf("fail2ban's answer: %v", err)
	}
}
