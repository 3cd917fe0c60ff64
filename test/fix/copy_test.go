// Package fix_test runs doorward fix on a disposable copy of this machine, with real servers.
package fix_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

func TestMain(m *testing.M) {
	code := m.Run()
	real.RemoveProgram()
	os.Exit(code)
}

// layCopy lays an overlay over this machine in namespaces of its own: mounts, network and processes. What is written there
// goes with the test. The first process is a shell that takes the dead away, as an init does.
const layCopy = `set -e
cd "$1"
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root 2>/dev/null || {
	mkdir memory; mount -t tmpfs tmpfs memory; mkdir memory/upper memory/work
	mount -t overlay -o lowerdir=/,upperdir=memory/upper,workdir=memory/work overlay root; }
mount --rbind /dev root/dev
mount --rbind /sys root/sys
mount -t proc proc root/proc
mount -t tmpfs tmpfs root/tmp; chmod 1777 root/tmp
mount -t tmpfs tmpfs root/run
mkdir -p root/run/sshd root/run/lock root/run/php
mkdir -p root/usr/local/bin
cp "$2" root/usr/local/bin/doorward
ip link set lo up
rm -rf root/var/lib/doorward-fix root/etc/doorward
touch root/run/ready
exec chroot root sh -c 'while sleep 0.2; do :; done'`

// host is a copy of this machine.
type host struct {
	t     *testing.T
	entry []string
	dir   string
}

// newHost makes a copy that has these programs.
func newHost(t *testing.T, programs ...string) *host {
	t.Helper()
	real.Require(t, append(programs, "unshare", "nsenter", "ip", "chattr")...)
	if os.Geteuid() != 0 {
		real.Missing(t, "a copy of the machine is made by root only")
	}
	program := real.Program(t)
	dir := real.Folder(t)
	t.Cleanup(func() { _ = exec.Command("chattr", "-R", "-f", "-i", dir).Run() }) // a test that failed may leave a seal
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-c", layCopy, "sh", dir, program)
	real.Start(t, "the copy of the machine", cmd)
	var inside string
	real.Eventually(t, time.Minute, "the copy of the machine", func() bool {
		out, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		inside = strings.TrimSpace(string(out))
		if err != nil || inside == "" {
			return false
		}
		_, err = os.Stat("/proc/" + inside + "/root/run/ready")
		return err == nil
	})
	return &host{t, []string{"nsenter", "--target", inside, "--mount", "--net", "--pid", "chroot", dir + "/root", "env", "-i", "-C", "/root", "HOME=/root",
		"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}, dir}
}

// try runs a shell script in the copy.
func (h *host) try(script string) (string, error) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.entry[0], append(h.entry[1:], "sh", "-c", script)...)
	cmd.WaitDelay = 5 * time.Second // servers keep the output open
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(err.Error(), "WaitDelay") {
		err = nil
	}
	return string(out), err
}

// run is try that has to succeed.
func (h *host) run(script string) string {
	h.t.Helper()
	out, err := h.try(script)
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// fails is try that has to fail, and says want.
func (h *host) fails(script, want string) {
	h.t.Helper()
	out, err := h.try(script)
	if err == nil || !strings.Contains(out, want) {
		h.t.Fatalf("%s: got %v\n%s\nwant a failure that says %q", script, err, out, want)
	}
}

// has fails unless text has want.
func (h *host) has(text, want string) {
	h.t.Helper()
	if !strings.Contains(text, want) {
		h.t.Fatalf("got:\n%s\nwant %q in it", text, want)
	}
}

// write puts a file into the copy.
func (h *host) write(name, text string) {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), h.entry[0], append(h.entry[1:], "sh", "-c", `mkdir -p "$(dirname "$0")"; cat >"$0"`, name)...)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("write %s: %v %s", filepath.Base(name), err, out)
	}
}

// snapshot tells content, mode, owner, ACL and flags of everything below folders.
func (h *host) snapshot(folders string) string {
	h.t.Helper()
	return h.run(`for f in ` + folders + `; do find $f -printf '%p %y %m %U:%G %l\n'; find $f -type f -exec sha256sum {} +; lsattr -aR $f 2>/dev/null | grep -v ':$' | grep -- '-i-'; getfacl -pRn $f 2>/dev/null; done | sort`)
}

// watchEnds waits until nothing waits for a deadline any more.
func (h *host) watchEnds() {
	h.t.Helper()
	real.Eventually(h.t, time.Minute, "the watch to end", func() bool { _, err := h.try("pgrep -f 'fix [w]atch'"); return err != nil })
}
