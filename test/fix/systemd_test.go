package fix_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

// bootCopy starts the real systemd in a copy whose folders outlive it, so that it can be started again, as by a reboot. What
// would reach the machine's own kernel is masked.
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
	cp "$2" root/usr/local/bin/doorward
	rm -rf root/var/lib/doorward-fix root/etc/doorward root/etc/systemd/system/*.wants/* root/etc/ssh/sshd_config.d/*
	for unit in systemd-sysctl.service systemd-binfmt.service systemd-modules-load.service systemd-remount-fs.service systemd-udevd.service systemd-udev-trigger.service \
		systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-random-seed.service systemd-journald-audit.socket proc-sys-fs-binfmt_misc.automount sys-kernel-debug.mount \
		sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount dev-hugepages.mount dev-mqueue.mount getty.target systemd-tmpfiles-setup-dev.service systemd-logind.service; do
		ln -sf /dev/null root/etc/systemd/system/$unit
	done
fi
mount -o remount,ro,bind root/proc/sys 2>/dev/null || { mount --bind root/proc/sys root/proc/sys; mount -o remount,ro,bind root/proc/sys; }
exec chroot root env -i container=doorward-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=multi-user.target --log-target=null`

// boot starts the copy in dir; stop ends all of it at once, as a power failure does.
func boot(t *testing.T, dir, program string) (h *host, stop func()) {
	t.Helper()
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--cgroup", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private", "sh", "-c", bootCopy, "sh", dir, program)
	p := real.Start(t, "systemd", cmd)
	var inside string
	real.Eventually(t, 30*time.Second, "the first process of the copy", func() bool {
		out, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		inside = strings.TrimSpace(string(out))
		return err == nil && inside != ""
	})
	h = &host{t, []string{"nsenter", "--target", inside, "--mount", "--net", "--pid", "--cgroup", "--uts", "--ipc", "chroot", dir + "/root", "env", "-i", "-C", "/root", "HOME=/root",
		"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}, dir}
	ready := false
	for end := time.Now().Add(40 * time.Second); !ready && time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		out, _ := h.try("systemctl is-system-running")
		ready = strings.HasPrefix(out, "running") || strings.HasPrefix(out, "degraded")
	}
	if !ready {
		real.Missing(t, "systemd does not start in namespaces here")
	}
	return h, func() { p.Stop() }
}

// systemdHost is a folder in which a copy can be booted.
func systemdHost(t *testing.T) (dir, program string) {
	real.Require(t, "/lib/systemd/systemd", "/usr/sbin/sshd", "unshare", "nsenter")
	if os.Geteuid() != 0 {
		real.Missing(t, "a copy of the machine is made by root only")
	}
	return real.Folder(t), real.Program(t)
}

// TestSystemd: the unit takes a change of SSH back when the other process that waits was killed, and after a reboot.
func TestSystemd(t *testing.T) {
	t.Parallel()
	dir, program := systemdHost(t)
	h, stop := boot(t, dir, program)
	h.run("ssh-keygen -A; systemctl start ssh; systemctl is-active ssh")
	before := h.snapshot("/etc/ssh /etc/systemd/system")
	out := h.run("doorward fix apply M-36 --yes --confirm-within 12s")
	h.has(out, "systemctl reload ssh.service")
	unit := strings.TrimSpace(h.run("cd /etc/systemd/system; ls doorward-fix-*.service"))
	h.has(h.run("systemctl is-active "+unit), "active")
	h.run(`main=$(systemctl show --property=MainPID --value ` + unit + `); for p in $(pgrep -f 'fix [w]atch'); do [ $p = $main ] || kill -9 $p; done`)
	real.Eventually(t, 40*time.Second, "the unit to take it back", func() bool { return h.snapshot("/etc/ssh /etc/systemd/system") == before })
	h.has(h.run("doorward fix history"), "nobody confirmed it")

	// Again, and the power fails.
	h.run("doorward fix apply M-36 --yes --confirm-within 20s; cat /etc/ssh/sshd_config.d/00-doorward.conf")
	stop()
	h, _ = boot(t, dir, program)
	real.Eventually(t, 60*time.Second, "the unit to take it back after the reboot", func() bool { return h.snapshot("/etc/ssh /etc/systemd/system") == before })
	h.has(h.run("doorward fix history"), "nobody confirmed it")
}

// TestUnitsOff: a unit is stopped and not started any more, and both come back.
func TestUnitsOff(t *testing.T) {
	t.Parallel()
	dir, program := systemdHost(t)
	h, _ := boot(t, dir, program)
	h.write("/etc/systemd/system/cups.service", "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\nAlias=printer.service\n")
	h.run("systemctl daemon-reload; systemctl enable -q --now cups.service; systemctl is-active cups")
	before := h.snapshot("/etc/systemd/system")
	h.run("doorward fix apply I-14 --yes")
	h.has(h.run("systemctl is-active cups || true"), "inactive")
	h.has(h.run("systemctl show --property=UnitFileState --value cups || true"), "disabled\n")
	h.run("doorward fix undo --all")
	h.has(h.run("systemctl is-active cups"), "active\n")
	if now := h.snapshot("/etc/systemd/system"); now != before {
		t.Errorf("the units are\n%s\nand were\n%s", now, before)
	}
}
