package firewall_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/firewall"
	"github.com/doorward/doorward/test/real"
)

// unitsOf makes a machine with our program and units of a copy. $1 is the program, $2 the folder of the units.
const unitsOf = `
	cp "$1" root/usr/bin/doorward
	rm -rf root/var/lib/doorward* root/etc/doorward
	install -m 644 "$2"/*.service "$2"/*.socket root/etc/systemd/system/
	install -m 644 "$2"/doorward.sysusers root/usr/lib/sysusers.d/doorward.conf
	chroot root systemd-sysusers
	mkdir -p root/etc/doorward
	echo 'firewall: {enforce: true, admin_networks: [192.0.2.0/24]}' >root/etc/doorward/doorward.yaml`

// machine is a copy of the machine that systemd runs.
type machine struct {
	t *testing.T
	*real.Booted
}

// boot starts the copy in dir, which it is made in at the first start.
func boot(t *testing.T, dir string) (m *machine, stop func()) {
	t.Helper()
	b, stop := real.Boot(t, dir, unitsOf, real.Program(t), filepath.Join(real.Repository(t), "packaging", "systemd"))
	return &machine{t, b}, stop
}

func (m *machine) try(script string) (string, error) {
	enter := m.Enter("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-ec", script)
	out, err := exec.Command(enter[0], enter[1:]...).CombinedOutput()
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
	link, err := firewall.Dial(t.Context(), "/proc/"+m.PID+"/root"+firewall.DefaultSocket)
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
