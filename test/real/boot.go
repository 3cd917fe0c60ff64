package real

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bootCopy starts the real systemd in a copy of the machine with a network of its own. What would reach the machine's own kernel is
// masked. $1 is the folder, $2 what is done in it before the first start, with what follows as $1 and so on.
const bootCopy = `set -e
cd "$1"
mkdir -p upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
mount --rbind /dev root/dev
mount -t sysfs sysfs root/sys
mount -t cgroup2 cgroup2 root/sys/fs/cgroup
mount -t proc proc root/proc
mount -t tmpfs tmpfs root/tmp
mount -t tmpfs tmpfs root/run
ip link set lo up
if [ ! -e upper/booted ]; then
	touch root/booted
	rm -rf root/etc/systemd/system/*.wants/*
	prepare=$2
	shift 2
	eval "$prepare"
	for unit in systemd-sysctl.service systemd-binfmt.service systemd-modules-load.service systemd-remount-fs.service systemd-udevd.service systemd-udev-trigger.service \
		systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-random-seed.service systemd-journald-audit.socket proc-sys-fs-binfmt_misc.automount sys-kernel-debug.mount \
		sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount dev-hugepages.mount dev-mqueue.mount getty.target systemd-tmpfiles-setup-dev.service systemd-logind.service; do
		ln -sf /dev/null root/etc/systemd/system/$unit
	done
fi
mount -o remount,ro,bind root/proc/sys 2>/dev/null || { mount --bind root/proc/sys root/proc/sys; mount -o remount,ro,bind root/proc/sys; }
exec chroot root env -i container=doorward-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=multi-user.target --log-target=null`

// Booted is a copy of the machine that systemd runs.
type Booted struct {
	PID  string // of its first process, as the test sees it
	root string
}

// Boot starts systemd in a copy of the machine in dir; stop ends all of it at once, as a power failure does. The copy's folders outlive
// it, so that it can be started again, as by a reboot. Before the first start the shell runs prepare in dir, with args as $1 and so
// on; the copy's files are in root. The test is left out where systemd does not start in namespaces.
func Boot(t *testing.T, dir, prepare string, args ...string) (b *Booted, stop func()) {
	t.Helper()
	cmd := exec.Command("unshare", append([]string{"--mount", "--net", "--pid", "--cgroup", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private",
		"sh", "-c", bootCopy, "sh", dir, prepare}, args...)...)
	p := Start(t, "systemd", cmd)
	b = &Booted{root: filepath.Join(dir, "root")}
	Eventually(t, time.Minute, "the first process of the copy", func() bool {
		out, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		b.PID = strings.TrimSpace(string(out))
		return err == nil && b.PID != ""
	})
	ready := false
	for end := time.Now().Add(4 * time.Minute); !ready && time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		enter := b.Enter("PATH=/usr/sbin:/usr/bin:/sbin:/bin")
		out, _ := exec.CommandContext(t.Context(), enter[0], append(enter[1:], "systemctl", "is-system-running")...).CombinedOutput()
		ready = strings.HasPrefix(string(out), "running") || strings.HasPrefix(string(out), "degraded")
	}
	if !ready {
		Missing(t, "systemd does not start in namespaces here")
	}
	return b, func() { p.Stop() }
}

// Enter is the command that runs what is put after it in the copy; env are arguments of env: the environment, and options.
func (b *Booted) Enter(env ...string) []string {
	return append([]string{"nsenter", "--target", b.PID, "--mount", "--net", "--pid", "--cgroup", "--uts", "--ipc", "chroot", b.root, "env", "-i"}, env...)
}
