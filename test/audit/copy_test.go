package audit_test

import (
	"os"
	"strings"
	"testing"

	"github.com/doorward/doorward/test/populated"
	"github.com/doorward/doorward/test/real"
)

// insideCopy is set in the process that runs in the disposable copy of this machine.
const insideCopy = "DOORWARD_AUDIT_COPY"

// inCopy runs the test once more in a copy of this machine that is thrown away: an overlay over the root, with processes and a
// network of its own. It says whether this process is the one in there.
func inCopy(t *testing.T) bool { t.Helper(); return inCopyWith(t, false) }

// inCopyWith is inCopy; doorward puts the program there as /usr/bin/doorward.
func inCopyWith(t *testing.T, doorward bool) bool {
	t.Helper()
	if os.Getenv(insideCopy) == t.Name() {
		return true
	}
	real.Require(t, "unshare", "chroot")
	if os.Geteuid() != 0 {
		real.Missing(t, "a copy of the machine is made by root only")
	}
	program := ""
	if doorward {
		program = real.Program(t)
	}
	cmd, err := populated.InCopy(t.Context(), real.Folder(t), program, "-test.run", "^"+t.Name()+"$", "-test.v")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), insideCopy+"="+t.Name())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in the copy: %v\n%s", err, out)
	}
	t.Logf("in the copy:\n%s", out)
	return false
}
