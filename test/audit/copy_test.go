package audit_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/test/real"
)

// insideCopy is set in the process that runs in the disposable copy of this machine.
const insideCopy = "DOORWARD_AUDIT_COPY"

// inCopy runs the test once more in a copy of this machine that is thrown away: an overlay over the root, with processes and a
// network of its own. It says whether this process is the one in there.
func inCopy(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideCopy) == t.Name() {
		return true
	}
	real.Require(t, "unshare", "chroot")
	if os.Geteuid() != 0 {
		real.Missing(t, "a copy of the machine is made by root only")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := real.Folder(t)
	if out, err := exec.CommandContext(t.Context(), "cp", self, filepath.Join(dir, "audit.test")).CombinedOutput(); err != nil {
		t.Fatalf("copy the test: %v %s", err, out)
	}
	const setup = `set -e
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root 2>/dev/null || {
	mkdir memory; mount -t tmpfs tmpfs memory; mkdir memory/upper memory/work
	mount -t overlay -o lowerdir=/,upperdir=memory/upper,workdir=memory/work overlay root; }
mount --rbind /dev root/dev
mount --rbind /sys root/sys
mount -t proc proc root/proc
mount -t tmpfs tmpfs root/tmp; chmod 1777 root/tmp
mount -t tmpfs tmpfs root/run
cp audit.test root/run/
exec chroot root env -C / ` + insideCopy + `="$1" /run/audit.test -test.run "^$1\$" -test.v`
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-c", setup, "sh", t.Name())
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR=/tmp")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in the copy: %v\n%s", err, out)
	}
	return false
}
