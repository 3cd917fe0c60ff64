package fix_test

import (
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

// sshHost is a copy with a real sshd at port 22, root's key and a password login.
func sshHost(t *testing.T) *host {
	h := newHost(t, "/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen")
	h.run(`ssh-keygen -A; mkdir -p -m 700 .ssh; rm -f key key.pub; ssh-keygen -q -t ed25519 -N '' -f key; cp key.pub .ssh/authorized_keys
rm -f /etc/ssh/sshd_config.d/*.conf /var/log/auth.log*; /usr/sbin/sshd -E /root/sshd.log`)
	real.Eventually(t, time.Minute, "sshd", func() bool { _, err := h.try(ssh + "true"); return err == nil })
	return h
}

const ssh = "ssh -i key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o LogLevel=ERROR root@127.0.0.1 "

// TestSSHRevertsUnlessConfirmed: root locks itself out, and is let in again.
func TestSSHRevertsUnlessConfirmed(t *testing.T) {
	t.Parallel()
	h := sshHost(t)
	h.write("/etc/ssh/sshd_config.d/50-backup.conf", "Match Address 127.0.0.1\n  PermitRootLogin yes\n")
	before := h.snapshot("/etc/ssh")
	out := h.run("doorward fix apply I-03 --yes --confirm-within 20s")
	h.has(out, "I-03: pass")
	h.has(out, "in force until")
	h.fails(ssh+"true", "Permission denied")
	h.fails("doorward fix confirm", "no sign-in after the change is known")
	h.has(h.run("doorward fix history"), "unconfirmed until")
	real.Eventually(t, time.Minute, "the change to be taken back", func() bool { _, err := h.try(ssh + "true"); return err == nil })
	if now := h.snapshot("/etc/ssh"); now != before {
		t.Errorf("/etc/ssh is\n%s\nand was\n%s", now, before)
	}
	h.has(h.run("doorward fix history"), "nobody confirmed it until")
	h.watchEnds()
}

// TestSSHConfirm: a connection from before the change shows nothing, a new one does, and then nothing is taken back.
func TestSSHConfirm(t *testing.T) {
	t.Parallel()
	h := sshHost(t)
	before := h.snapshot("/etc/ssh")
	// The connection that applies stays open, and asks to confirm itself.
	out, err := h.try(ssh + `'doorward fix apply M-36 --yes --confirm-within 20s; doorward fix confirm'`)
	if err == nil {
		t.Fatalf("a connection from before the change confirmed it:\n%s", out)
	}
	h.has(out, "this connection is older than the change")
	h.has(h.run(ssh+"doorward fix confirm"), "kept, by a connection that began")
	h.fails("doorward fix confirm", "no change waits")
	time.Sleep(22 * time.Second)
	h.has(h.run("/usr/sbin/sshd -T"), "persourcemaxstartups 5")
	h.has(h.run("doorward fix history"), "kept")
	h.watchEnds()
	h.run("doorward fix undo --all")
	if now := h.snapshot("/etc/ssh"); now != before {
		t.Errorf("/etc/ssh is\n%s\nand was\n%s", now, before)
	}
}

// TestSSHRevertsAfterKill: apply is killed on the way, and the watch takes back what it did.
func TestSSHRevertsAfterKill(t *testing.T) {
	t.Parallel()
	h := sshHost(t)
	before := h.snapshot("/etc/ssh")
	h.run(`doorward fix apply I-03 --yes --confirm-within 8s >/dev/null 2>&1 & p=$!
for i in $(seq 6000); do [ -e /etc/ssh/sshd_config.d/00-doorward.conf ] && break; sleep 0.01; done; kill -9 $p; ls /etc/ssh/sshd_config.d`)
	h.has(h.run("doorward fix history"), "applying")
	real.Eventually(t, time.Minute, "the change to be taken back", func() bool { return h.snapshot("/etc/ssh") == before })
	h.run(ssh + "true")
}

// TestPasswordsOffNeedsAKeyLogin: sshd's own line about a sign-in by key is what counts.
func TestPasswordsOffNeedsAKeyLogin(t *testing.T) {
	t.Parallel()
	h := sshHost(t)
	h.has(h.run("doorward fix plan I-06"), "no sign-in by key was seen")
	accepted := h.run("grep -o 'Accepted publickey for root .*' sshd.log | head -1")
	h.write("/var/log/auth.log", "Nov 25 10:00:00 host sshd[77]: "+accepted)
	h.run("doorward fix apply I-06 --yes --confirm-within 60s")
	h.run(ssh + "doorward fix confirm")
	got := h.run("ssh -v -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o PubkeyAuthentication=no root@127.0.0.1 true 2>&1 || true")
	if !strings.Contains(got, "Authentications that can continue: publickey\n") && !strings.Contains(got, "Authentications that can continue: publickey\r\n") {
		t.Errorf("sshd offers more than keys:\n%s", got)
	}
}

// TestBrokenBefore: a configuration that cannot be used is not made better by a fix.
func TestBrokenBefore(t *testing.T) {
	t.Parallel()
	h := sshHost(t)
	h.write("/etc/ssh/sshd_config.d/90-wrong.conf", "NoSuchDirective yes\n")
	before := h.snapshot("/etc/ssh")
	h.fails("doorward fix apply I-03 --yes", "cannot use its configuration as it is")
	if now := h.snapshot("/etc/ssh"); now != before {
		t.Errorf("/etc/ssh is\n%s\nand was\n%s", now, before)
	}
}
