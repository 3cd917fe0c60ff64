package audit_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/rules"
	"github.com/doorward/doorward/test/real"
)

// findings judges this machine, which is the copy, by the controls that Doorward ships.
func findings(t *testing.T) map[string]audit.Finding {
	t.Helper()
	cat, err := audit.Load(audit.Source{Controls: rules.Controls(), Profiles: rules.Profiles()})
	if err != nil {
		t.Fatal(err)
	}
	h, err := facts.OpenHost(facts.HostOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	all, _ := cat.Profile("all")
	now := time.Now()
	found := map[string]audit.Finding{}
	for _, f := range cat.Judge(all, facts.Collect(t.Context(), h, facts.Target{Now: now}, nil), audit.Records{}) {
		found[f.ID] = f
	}
	return found
}

const banLog = "/var/log/doorward-bans.log"

// TestBansHoldOnARunningFail2ban starts fail2ban with good, bad and tricky jails and fails to sign in as often as the guides allow: the
// verdict is pass if and only if the address is then banned.
func TestBansHoldOnARunningFail2ban(t *testing.T) {
	real.Require(t, "fail2ban-server", "fail2ban-client", "nft")
	if !inCopy(t) {
		return
	}
	// Debian's jail sets backend and logpath itself, so that the defaults would not count.
	base := "[DEFAULT]\nbanaction = nftables-multiport\n[sshd]\nbackend = polling\nlogpath = " + banLog + "\n"
	for i, c := range []struct {
		name     string
		files    map[string]string
		reload   map[string]string // written while the server runs, which does not hear of it
		ssh, m21 audit.Status
	}{
		{name: "as asked", files: map[string]string{"jail.local": base + "maxretry = 3\n"}, ssh: audit.Pass, m21: audit.Pass},
		{name: "Debian's five", files: map[string]string{"jail.local": base}, ssh: audit.Fail, m21: audit.Pass},
		{name: "a later file allows more", files: map[string]string{"jail.local": base + "maxretry = 3\n", "jail.d/zz.local": "[sshd]\nmaxretry = 30\n"}, ssh: audit.Fail, m21: audit.Pass},
		{name: "a later file allows less", files: map[string]string{"jail.local": base + "maxretry = 30\n", "jail.d/zz.local": "[sshd]\nmaxretry = 2\nbantime = 1d 12h\n"}, ssh: audit.Pass, m21: audit.Pass},
		{name: "changed and not loaded", files: map[string]string{"jail.local": base + "maxretry = 30\n"}, reload: map[string]string{"jail.local": base + "maxretry = 3\n"}, ssh: audit.Fail, m21: audit.Pass},
		{name: "changed for worse and not loaded", files: map[string]string{"jail.local": base + "maxretry = 3\n"}, reload: map[string]string{"jail.local": base + "maxretry = 30\n"}, ssh: audit.Pass, m21: audit.Pass},
		{name: "banned by name, and nobody is kept out", files: map[string]string{"jail.local": base + "maxretry = 3\naction = dummy\n"}, ssh: audit.Fail, m21: audit.Pass},
		{name: "mail and nothing else", files: map[string]string{"jail.local": base + "maxretry = 3\naction = sendmail[name=x, dest=root]\n"}, ssh: audit.Fail, m21: audit.Pass},
		{name: "another jail only", files: map[string]string{"jail.local": base + "enabled = false\n[recidive]\nenabled = true\nmaxretry = 3\n"}, ssh: audit.Fail, m21: audit.Pass},
	} {
		t.Run(c.name, func(t *testing.T) {
			setJails(t, c.files)
			if err := os.WriteFile(banLog, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			stop := startFail2ban(t)
			setJails(t, c.reload)
			got := findings(t)
			for id, want := range map[string]audit.Status{"M-22": c.ssh, "I-66": c.ssh, "M-21": c.m21} {
				if f := got[id]; f.Status != want {
					t.Errorf("%s: got %s, want %s: %s %+v", id, f.Status, want, f.Reason, f.Evidence)
				}
			}
			address := fmt.Sprintf("203.0.113.%d", i+1)
			if banned := failToSignIn(t, address, c.ssh == audit.Pass); banned != (c.ssh == audit.Pass) {
				t.Errorf("after three failures: banned %v, and the verdict is %s", banned, c.ssh)
			}
			stop()
			if f := findings(t)["M-21"]; f.Status != audit.Fail {
				t.Errorf("M-21 with the server stopped: got %s, want fail: %+v", f.Status, f.Evidence)
			}
			if f := findings(t)["M-22"]; f.Status != audit.Fail {
				t.Errorf("M-22 with the server stopped: got %s, want fail: %+v", f.Status, f.Evidence)
			}
		})
	}
}

func setJails(t *testing.T, files map[string]string) {
	t.Helper()
	if files == nil {
		return
	}
	for _, name := range []string{"jail.local", "jail.d/zz.local"} {
		file := "/etc/fail2ban/" + name
		text, ok := files[name]
		err := os.Remove(file)
		if ok {
			err = os.WriteFile(file, []byte(text), 0o644)
		}
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

func startFail2ban(t *testing.T) (stop func()) {
	t.Helper()
	if err := os.MkdirAll("/run/fail2ban", 0o755); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove("/var/lib/fail2ban/fail2ban.sqlite3") // bans of the last run
	cmd := exec.CommandContext(t.Context(), "/usr/bin/fail2ban-server", "-xf", "start")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	real.Eventually(t, time.Minute, "fail2ban answers", func() bool {
		out, err := exec.CommandContext(t.Context(), "fail2ban-client", "status").Output()
		return err == nil && strings.Contains(string(out), "Jail list:") && !strings.Contains(string(out), "Number of jail:\t0")
	})
	return func() {
		if out, err := exec.CommandContext(t.Context(), "fail2ban-client", "stop").CombinedOutput(); err != nil {
			t.Fatalf("stop fail2ban: %v %s", err, out)
		}
		_ = cmd.Wait() // it says by its code how it was stopped
	}
}

// failToSignIn writes what sshd writes for three wrong passwords and says whether fail2ban then bans the address. expected is how long
// is worth waiting.
func failToSignIn(t *testing.T, address string, expected bool) bool {
	t.Helper()
	f, err := os.OpenFile(banLog, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		fmt.Fprintf(f, "%s host sshd[%d]: Failed password for root from %s port %d ssh2\n", time.Now().Format(time.Stamp), 100+n, address, 4000+n)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	banned := func() bool {
		out, err := exec.CommandContext(t.Context(), "nft", "list", "ruleset").Output()
		return err == nil && strings.Contains(string(out), address) // the kernel's word; fail2ban's own list has those that it only tells of
	}
	limit := 3 * time.Second
	if expected {
		limit = time.Minute
	}
	for begun := time.Now(); time.Since(begun) < limit; time.Sleep(200 * time.Millisecond) {
		if banned() {
			return true
		}
	}
	return false
}
