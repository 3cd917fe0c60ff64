package firewall_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/test/real"
)

// confined runs a command in the host's network with an empty /run/systemd and /etc/systemd/system, so that neither systemd nor units
// of the machine are touched, and our own unit is there to be switched on.
func (h *hosts) confined(args ...string) *exec.Cmd {
	script := `mkdir -p /run/systemd; mount -t tmpfs tmpfs /run/systemd; mount --bind "$1" /etc/systemd/system; shift; exec "$@"`
	units := filepath.Join(h.dir, "units")
	all := append([]string{"--net=/run/netns/" + h.host, "unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", units}, args...)
	return exec.Command("nsenter", all...)
}

// base is hosts with a real sshd, a web server, a service that nobody needs, and a configuration of the base ruleset.
type base struct {
	*hosts
	program string
}

const baseConfig = `firewall: {tcp: [{port: 80}, {port: 8443, networks: [203.0.113.0/24, "2001:db8:5::/48"]}], ssh_per_minute: 4%s}
audit:
  admin_networks: [198.51.100.77, "2001:db8:1:0:66::77"]
  open_ports: [tcp/80]
  outbound: ["203.0.113.5:443"]
`

func newBase(t *testing.T) base {
	t.Helper()
	real.Require(t, "/usr/sbin/sshd", "ssh", "ssh-keygen", "unshare")
	b := base{newHosts(t), real.Program(t)}
	b.config("")
	units := filepath.Join(b.dir, "units")
	if err := os.MkdirAll(units, 0o755); err != nil {
		t.Fatal(err)
	}
	unit, err := os.ReadFile(filepath.Join(real.Repository(t), "packaging", "systemd", "doorward-firewall.service"))
	if err != nil {
		t.Fatal(err)
	}
	real.Write(t, units, "doorward-firewall.service", string(unit), 0o644)
	for _, key := range []string{"hostkey", "key"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(b.dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	sshd := real.Write(t, b.dir, "sshd_config", fmt.Sprintf("HostKey %[1]s/hostkey\nAuthorizedKeysFile %[1]s/key.pub\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n", b.dir), 0o644)
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	p := real.Start(t, "sshd", b.confined("/usr/sbin/sshd", "-D", "-e", "-f", sshd))
	b.listen(b.host, 80, 3306, 8443)
	real.Eventually(t, time.Minute, "sshd: "+p.Log(), func() bool {
		c, err := b.dial(b.outside, attackerV4, hostV4, 22, moment)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return b
}

func (b base) config(more string) {
	b.t.Helper()
	b.configFile = real.Write(b.t, b.dir, "doorward.yaml", fmt.Sprintf(baseConfig, more), 0o644)
}

// run runs doorward firewall on the host's console.
func (b base) run(verb string, args ...string) (string, error) {
	out, err := b.confined(b.command(verb, args...)...).CombinedOutput()
	return string(out), err
}

func (b base) command(verb string, args ...string) []string {
	all := []string{b.program, "firewall", verb}
	if verb != "plan" {
		all = append(all, "--state", filepath.Join(b.dir, "state"), "--file", b.file())
	}
	if verb == "plan" || verb == "apply" || verb == "show" {
		all = append(all, "--config", b.configFile)
	}
	return append(all, args...)
}

func (b base) file() string { return filepath.Join(b.dir, "firewall.nft") }

// ssh runs a command by SSH from an address.
func (b base) ssh(from string, args ...string) (string, error) {
	all := append([]string{"--net=/run/netns/" + b.outside, "ssh", "-i", filepath.Join(b.dir, "key"), "-b", from, "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30", "-o", "LogLevel=ERROR", "root@" + hostV4}, args...)
	out, err := exec.Command("nsenter", all...).CombinedOutput()
	return string(out), err
}

func (b base) has(out, want string) {
	b.t.Helper()
	if !strings.Contains(out, want) {
		b.t.Errorf("no %q in\n%s", want, out)
	}
}

// reach checks which ports of the host somebody reaches, by both versions of IP.
func (b base) reach(what string, v4, v6 string, want map[int]bool) {
	b.t.Helper()
	var wait sync.WaitGroup
	for port, want := range want {
		for from, to := range map[string]string{v4: hostV4, v6: hostV6} {
			wait.Go(func() {
				patience := moment
				if want {
					patience = long
				}
				c, err := b.dial(b.outside, from, to, port, patience)
				if err == nil {
					c.Close()
				}
				if (err == nil) != want {
					b.t.Errorf("%s: port %d from %s: %v, want open %v", what, port, from, err, want)
				}
			})
		}
	}
	wait.Wait()
}

// ping says whether an echo request from the outside is answered.
func (b base) ping(from, to string) (answered bool) {
	b.t.Helper()
	network, kind, answer := "ip4:icmp", byte(8), byte(0)
	if strings.Contains(to, ":") {
		network, kind, answer = "ip6:ipv6-icmp", 128, 129
	}
	within(b.t, b.outside, func() {
		c, err := net.ListenPacket(network, from)
		if err != nil {
			return
		}
		defer c.Close()
		message := []byte{kind, 0, 0, 0, 0x47, 0x11, 0, 1}
		if kind == 8 { // the kernel writes the checksum of ICMPv6 only
			sum := ^uint16(8<<8 + 0x4711 + 1)
			message[2], message[3] = byte(sum>>8), byte(sum)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.WriteTo(message, &net.IPAddr{IP: net.ParseIP(to)}); err != nil {
			return
		}
		for buf := make([]byte, 200); !answered; {
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			answered = n > 0 && buf[0] == answer
		}
	})
	return answered
}

// TestBaseRuleset: what is allowed stays open and the rest is closed, the same by IPv4 and IPv6; unconfirmed it is taken back, confirmed
// from a new sign-in it stays and is loaded at the start, and revert brings back what was there.
func TestBaseRuleset(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	before := b.in(b.host, "nft list ruleset")
	everything := map[int]bool{22: true, 80: true, 3306: true, 8443: true}
	b.reach("before", attackerV4, attackerV6, everything)

	// What would lock out whoever asks is refused, and nothing is changed.
	if out, err := b.ssh(attackerV4, b.command("apply", "--yes")...); err == nil || !strings.Contains(out, "you are signed in by SSH from "+attackerV4+" to port 22, which it refuses") {
		t.Fatalf("got %v: %s", err, out)
	}
	if got := b.in(b.host, "nft list ruleset"); got != before {
		t.Fatalf("a refused apply changed the rules to\n%s", got)
	}

	out, err := b.ssh(neighbourV4, b.command("apply", "--yes", "--confirm-within", "30s")...)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b.has(out, "in force until")
	b.reach("a stranger", attackerV4, attackerV6, map[int]bool{22: false, 80: true, 3306: false, 8443: false})
	b.reach("a network that one port is open to", strangerV4, strangerV6, map[int]bool{22: false, 80: true, 8443: true})
	b.reach("an administrator", neighbourV4, neighbourV6, map[int]bool{22: true, 3306: false})
	if !b.answers(b.host, "127.0.0.1", "127.0.0.1", 3306) || !b.answers(b.host, "::1", "::1", 3306) {
		t.Error("the host does not reach itself")
	}
	b.in(b.outside, "ip neigh flush dev eth0; ip -6 neigh flush dev eth0")
	if !b.ping(attackerV4, hostV4) || !b.ping(attackerV6, hostV6) {
		t.Error("echo requests or neighbour discovery do not come through")
	}
	if out, err := b.run("confirm"); err == nil || !strings.Contains(out, "no sign-in after the change is known") {
		t.Errorf("confirmed on the console: %v %s", err, out)
	}
	real.Eventually(t, time.Minute, "the ruleset to be taken back", func() bool { return b.in(b.host, "nft list ruleset") == before })
	b.reach("taken back", attackerV4, attackerV6, everything)
	out, _ = b.run("show")
	b.has(out, "base ruleset: none")
	if _, err := os.Stat(b.file()); err == nil {
		t.Error("an unconfirmed ruleset is loaded at the start")
	}

	// The connection that applies is no proof; the next one is.
	out, err = b.ssh(neighbourV4, strings.Join(b.command("apply", "--yes", "--confirm-within", "2m"), " ")+"; "+strings.Join(b.command("confirm"), " "))
	if err == nil || !strings.Contains(out, "this connection is older than the change") {
		t.Errorf("got %v: %s", err, out)
	}
	if out, err := b.run("apply", "--yes"); err == nil || !strings.Contains(out, "waits for its confirmation") {
		t.Errorf("a second apply: %v %s", err, out)
	}
	if out, err = b.ssh(neighbourV4, b.command("confirm")...); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b.has(out, "kept, by a connection that began")
	if strings.Contains(out, "warning") {
		t.Errorf("the unit was not switched on: %s", out)
	}
	if out, err := b.run("show"); err != nil {
		t.Errorf("show: %v\n%s", err, out)
	}

	// What is loaded at the start is the same.
	inForce := b.in(b.host, "nft -s -t list table inet doorward_base")
	b.in(b.host, "nft flush ruleset")
	b.in(b.host, "nft -f "+b.file())
	if got := b.in(b.host, "nft -s -t list table inet doorward_base"); got != inForce {
		t.Errorf("the file makes\n%s, want\n%s", got, inForce)
	}

	// Drift is seen, from both sides.
	b.in(b.host, "nft insert rule inet doorward_base input tcp dport 3306 accept")
	out, err = b.run("show")
	if err == nil {
		t.Error("show is content with a rule that somebody put in")
	}
	b.has(out, "-\t\ttcp dport 3306 accept")
	b.config(", udp: [{port: 5060}]")
	out, _ = b.run("show")
	b.has(out, "+\t\tudp dport 5060 accept")

	// A file that was changed since is kept, and lost only by force.
	real.Write(t, b.dir, "firewall.nft", "# mine\n", 0o644)
	if out, err := b.run("revert"); err == nil || !strings.Contains(out, "was changed since it was confirmed") {
		t.Errorf("revert over a change: %v %s", err, out)
	}
	if out, err := b.run("revert", "--force"); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if got := b.in(b.host, "nft list ruleset"); got != before {
		t.Errorf("after revert the rules are\n%s", got)
	}
	if _, err := os.Stat(b.file()); err == nil {
		t.Error("after revert a ruleset is loaded at the start")
	}
	if left, _ := filepath.Glob(filepath.Join(b.dir, "units", "*.wants", "*")); len(left) > 0 {
		t.Errorf("after revert the unit is on: %v", left)
	}
}

// TestBaseRulesetPassesTheAudit: the controls of the guides that are about the firewall pass, with bans in force too.
func TestBaseRulesetPassesTheAudit(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.listen(b.outside, 443)
	b.config(", outbound_tcp: [{port: 443}]")
	if out, err := b.run("apply", "--yes", "--confirm-within", "3m"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := b.ssh(neighbourV4, b.command("confirm")...); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// Bans in force do not make the rules any harder to understand.
	p := b.enforce()
	l := b.client()
	b.up(l)
	l.ban("203.0.113.66", time.Hour)
	l.ban("2001:db8:9::/64", 0)
	l.ban("192.0.2.0/24", 0)
	b.banned("192.0.2.0/24", "203.0.113.66/32", "2001:db8:9::/64")
	out, err := b.confined(b.program, "audit", "--config", b.configFile, "--profile", "all", "--no-keep", "--fail-on", "none", "--format", "json").Output()
	if err != nil {
		t.Fatalf("audit: %v\n%s", err, out)
	}
	var report struct {
		Results []audit.Finding
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	seen := map[string]audit.Finding{}
	for _, f := range report.Results {
		seen[f.ID] = f
	}
	for _, id := range []string{"I-23", "I-55", "I-59", "I-60", "I-63", "I-64", "I-98", "I-99", "M-30", "M-37"} {
		if f := seen[id]; f.Status != audit.Pass {
			t.Errorf("%s: %s, %s; %v", id, f.Status, f.Reason, f.Evidence)
		}
	}
	// I-57 and M-31 ask sshd itself; here is what the firewall adds to them.
	ports := fmt.Sprint(seen["I-98"].Evidence)
	if _, ssh, _ := strings.Cut(ports, "number=22 "); strings.Count(ssh[:strings.Index(ssh+"protocol=", "protocol=")], "only_admin=true limited=true") != 2 {
		t.Errorf("port 22 is not only for administrators, with a limit, by IPv4 and IPv6: %s", ports)
	}
	if c, err := b.dial(b.host, hostV4, strangerV4, 443, long); err != nil {
		t.Errorf("an outbound port that is named: %v", err)
	} else {
		c.Close()
	}
	if c, err := b.dial(b.host, hostV4, strangerV4, 80, long); err == nil || !strings.Contains(err.Error(), "refused") && !strings.Contains(err.Error(), "no route") && !strings.Contains(err.Error(), "prohibited") && !strings.Contains(err.Error(), "unreachable") {
		t.Errorf("an outbound port that is not named: %v, want a quick refusal", err)
		if c != nil {
			c.Close()
		}
	}

	// Reverting again and again walks back to where it began.
	p.Stop()
	b.in(b.host, "nft delete table inet doorward")
	b.config("")
	if out, err := b.run("apply", "--yes", "--confirm-within", "3m"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for range 2 {
		if out, err := b.run("revert"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if got := b.in(b.host, "nft list ruleset"); got != "" {
		t.Errorf("after two reverts the rules are\n%s", got)
	}
	if out, err := b.run("revert"); err == nil || !strings.Contains(out, "taken back already") {
		t.Errorf("a third revert: %v %s", err, out)
	}
}

// TestSSHPerMinute: new connections are limited for each address, and only new ones (M-36).
func TestSSHPerMinute(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	if out, err := b.run("apply", "--yes", "--confirm-within", "5m"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for from, to := range map[string]string{neighbourV4: hostV4, neighbourV6: hostV6} {
		made := 0
		for range 7 {
			if c, err := b.dial(b.outside, from, to, 22, 2*time.Second); err == nil {
				made++
				defer c.Close()
			}
		}
		if made < 4 || made > 5 {
			t.Errorf("%d of 7 connections at once from %s, want 4", made, from)
		}
	}
	if out, err := b.run("revert"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestNoAdminNetworks: a configuration that closes SSH to everybody is refused.
func TestNoAdminNetworks(t *testing.T) {
	t.Parallel()
	h := newHosts(t)
	for _, verb := range []string{"plan", "apply"} {
		args := []string{real.Program(t), "firewall", verb, "--config", h.configFile}
		if verb == "apply" {
			args = append(args, "--yes", "--state", h.dir+"/state", "--file", h.dir+"/file")
		}
		if err := os.MkdirAll(h.dir+"/units", 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := h.confined(args...).CombinedOutput(); err == nil || !strings.Contains(string(out), "nobody could sign in by SSH") {
			t.Errorf("%s: %v %s", verb, err, out)
		}
	}
}
