package fix_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

// withoutSettings makes a machine with our program of a copy, with sshd as it comes. $1 is the program.
const withoutSettings = `
	cp "$1" root/usr/local/bin/doorward
	rm -rf root/var/lib/doorward-fix root/etc/doorward root/etc/ssh/sshd_config.d/*`

// boot starts a copy that systemd runs in dir, which it is made in at the first start; stop ends all of it at once.
func boot(t *testing.T, dir, program string) (h *host, stop func()) {
	t.Helper()
	b, stop := real.Boot(t, dir, withoutSettings, program)
	return &host{t, b.Enter("-C", "/root", "HOME=/root", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"), dir}, stop
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
	out := h.run("doorward fix apply M-36 --yes --confirm-within 25s")
	h.has(out, "systemctl reload ssh.service")
	unit := strings.TrimSpace(h.run("cd /etc/systemd/system; ls doorward-fix-*.service"))
	h.has(h.run("systemctl is-active "+unit), "active")
	h.run(`main=$(systemctl show --property=MainPID --value ` + unit + `); for p in $(pgrep -f 'fix [w]atch'); do [ $p = $main ] || kill -9 $p; done`)
	real.Eventually(t, time.Minute, "the unit to take it back", func() bool { return h.snapshot("/etc/ssh /etc/systemd/system") == before })
	h.has(h.run("doorward fix history"), "nobody confirmed it")

	// Again, and the power fails.
	h.run("doorward fix apply M-36 --yes --confirm-within 30s; cat /etc/ssh/sshd_config.d/00-doorward.conf")
	stop()
	h, _ = boot(t, dir, program)
	real.Eventually(t, 2*time.Minute, "the unit to take it back after the reboot", func() bool { return h.snapshot("/etc/ssh /etc/systemd/system") == before })
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
