package firewall_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/firewall"
	"github.com/doorward/doorward/test/real"
)

// bootCopy starts the real systemd in a copy of the machine with a network of its own. Its folders outlive it, so that it can be
// started again, as by a reboot. What would reach the machine's own kernel is masked.
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
	cp "$2" root/usr/bin/doorward
	rm -rf root/var/lib/doorward* root/etc/doorward root/etc/systemd/system/*.wants/*
	install -m 644 "$3"/*.service "$3"/*.socket root/etc/systemd/system/
	install -m 644 "$3"/doorward.sysusers root/usr/lib/sysusers.d/doorward.conf
	chroot root systemd-sysusers
	mkdir -p root/etc/doorward
	echo 'firewall: {enforce: true, admin_networks: [192.0.2.0/24]}' >root/etc/doorward/doorward.yaml
	for unit in systemd-sysctl.service systemd-binfmt.service systemd-modules-load.service systemd-remount-fs.service systemd-udevd.service systemd-udev-trigger.service \
		systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-random-seed.service systemd-journald-audit.socket proc-sys-fs-binfmt_misc.automount sys-kernel-debug.mount \
		sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount dev-hugepages.mount dev-mqueue.mount getty.target systemd-tmpfiles-setup-dev.service systemd-logind.service; do
		ln -sf /dev/null root/etc/systemd/system/$unit
	done
fi
mount -o remount,ro,bind root/proc/sys 2>/dev/null || { mount --bind root/proc/sys root/proc/sys; mount -o remount,ro,bind root/proc/sys; }
exec chroot root env -i container=doorward-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=multi-user.target --log-target=null`

// machine is a copy of the machine that systemd runs.
type machine struct {
	t    *testing.T
	pid  string // of its first process, as the test sees it
	root string
}

// boot starts the copy in dir; stop ends all of it at once, as a power failure does.
func boot(t *testing.T, dir string) (m *machine, stop func()) {
	t.Helper()
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--cgroup", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private", "sh", "-c", bootCopy, "sh",
		dir, real.Program(t), filepath.Join(real.Repository(t), "packaging", "systemd"))
	p := real.Start(t, "systemd", cmd)
	m = &machine{t: t, root: dir + "/root"}
	real.Eventually(t, 30*time.Second, "the first process of the copy", func() bool {
		out, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		m.pid = strings.TrimSpace(string(out))
		return err == nil && m.pid != ""
	})
	ready := false
	for end := time.Now().Add(60 * time.Second); !ready && time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		out, _ := m.try("systemctl is-system-running")
		ready = strings.HasPrefix(out, "running") || strings.HasPrefix(out, "degraded")
	}
	if !ready {
		real.Missing(t, "systemd does not start in namespaces here")
	}
	return m, func() { p.Stop() }
}

func (m *machine) try(script string) (string, error) {
	out, err := exec.Command("nsenter", "--target", m.pid, "--mount", "--net", "--pid", "--cgroup", "--uts", "--ipc", "chroot", m.root, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		"sh", "-ec", script).CombinedOutput()
	return string(out), err
}

func (m *machine) run(script string) string {
	m.t.Helper()
	out, err := m.try(script)
	if err != nil {
		status, _ := m.try("systemctl status --no-pager 'doorward-*'; journalctl -b --no-pager -n 30 -u 'doorward-*'")
		m.t.Fatalf("%s: %v\n%s\n%s", script, err, out, status)
	}
	return out
}

// TestUnits: systemd starts enforce when somebody asks on its socket, with no more rights than it needs; the base ruleset that was
// confirmed is loaded at the start, and one that was not is gone after a reboot.
func TestUnits(t *testing.T) {
	t.Parallel()
	real.Require(t, "/lib/systemd/systemd", "unshare", "nsenter", "nft")
	if os.Geteuid() != 0 {
		real.Missing(t, "a copy of the machine is made by root only")
	}
	dir := real.Folder(t)
	m, stop := boot(t, dir)
	m.run("systemctl enable --now doorward-enforce.socket")
	link, err := firewall.Dial(t.Context(), "/proc/"+m.pid+"/root"+firewall.DefaultSocket)
	if err != nil {
		t.Fatal(err)
	}
	if refused, err := link.Sync([]firewall.Element{{Prefix: prefix("203.0.113.7")}}); err != nil || len(refused) > 0 {
		t.Fatalf("sync: %v, %v; %s", err, refused, m.run("systemctl status --no-pager doorward-enforce.service || true; journalctl -b --no-pager -u doorward-enforce.service"))
	}
	link.Close()
	if out := m.run("nft list set inet doorward v4_32"); !strings.Contains(out, "203.0.113.7") {
		t.Errorf("the kernel has\n%s", out)
	}
	status := m.run(`cat /proc/$(systemctl show --property=MainPID --value doorward-enforce.service)/status; id -u doorward-enforce; stat -c '%a %U %G' /run/doorward-enforce/enforce.sock`)
	for _, want := range []string{"CapPrm:\t0000000000001000", "CapBnd:\t0000000000001000", "NoNewPrivs:\t1", "Seccomp:\t2", "660 root doorward"} {
		if !strings.Contains(status, want) {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
	m.run("doorward firewall show")

	// A ruleset that nobody confirms, and the power fails.
	m.run("doorward firewall apply --yes --confirm-within 10m; nft list table inet doorward_base >/dev/null; systemctl list-units --no-legend 'doorward-firewall-watch*' | grep -q running")
	stop()
	m, stop = boot(t, dir)
	if out := m.run("nft list tables"); strings.Contains(out, "doorward_base") {
		t.Errorf("an unconfirmed ruleset came back after a reboot:\n%s", out)
	}
	// One that is confirmed is there again. There is no sshd here; what confirm does is done by hand.
	m.run("doorward firewall revert") // the kernel is the same, so that the ruleset seems to wait still
	m.run("doorward firewall apply --yes; doorward firewall plan >/etc/doorward/firewall.nft; chmod 644 /etc/doorward/firewall.nft; systemctl enable doorward-firewall.service")
	stop()
	m, _ = boot(t, dir)
	m.run("systemctl is-active doorward-firewall.service; nft list table inet doorward_base")
	// Its bans are told again by serve after a reboot; until then there are none.
	if out := m.run("doorward firewall show --json || true"); !strings.Contains(out, `"elements": []`) {
		t.Errorf("after a reboot:\n%s", out)
	}
}
