package firewall_test

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

// TestAllowListFollowsTheFile: a change of the configuration counts without a restart. Who is protected from then on is let in at once, who is so
// no more is banned again without anybody's asking, and a file that cannot be used, or that others can change, changes nothing.
func TestAllowListFollowsTheFile(t *testing.T) {
	t.Parallel()
	h := newHosts(t)
	h.listen(h.host, 80)
	h.configFile = real.Write(t, h.dir, "allow.yaml", "firewall: {allow: [198.51.100.200]}\n", 0o644)
	enforcer := h.enforce()
	l := h.client()
	h.up(l)
	l.ban("198.51.100.200", 0) // protected
	l.ban(attackerV4, 0)
	h.banned(attackerV4 + "/32")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		next := real.Write(t, h.dir, "next.yaml", text, mode)
		if err := os.Rename(next, h.configFile); err != nil {
			t.Fatal(err)
		}
	}
	reload := func() { enforcer.Signal(syscall.SIGHUP) }
	// The attacker's address is protected now, and the other one no more.
	write("firewall: {allow: ["+attackerV4+"]}\n", 0o644)
	reload()
	h.banned() // the bans of what is protected end at once
	h.want("protected since the reload", map[string]bool{attackerV4: true})
	real.Eventually(t, time.Minute, "what was refused to be enforced", func() bool {
		all := h.kernel().Elements
		return len(all) == 1 && all[0].Prefix.String() == "198.51.100.200/32"
	})
	h.want("protected no more", map[string]bool{attackerV4: true, "198.51.100.200": false})
	// What cannot be used leaves it as it is, with and without a signal.
	for _, bad := range []struct {
		text string
		mode os.FileMode
	}{{"firewall: {allow: [not-an-address]}\n", 0o644}, {"firewall: {allow: [198.51.100.200]}\n", 0o666}} {
		write(bad.text, bad.mode)
		reload()
		l.ban(attackerV4, time.Hour)
		l.ban("198.51.100.77", 0)
		h.banned("198.51.100.77/32", "198.51.100.200/32")
		l.lift("198.51.100.77")
		h.banned("198.51.100.200/32")
	}
	// Without a signal a change counts before the next ban.
	write("firewall: {allow: [198.51.100.0/24]}\n", 0o644)
	l.ban("203.0.113.1", 0)
	h.banned("203.0.113.1/32")
	write("firewall: {allow: [203.0.113.0/24]}\n", 0o644)
	l.ban("198.51.100.78", 0)
	real.Eventually(t, time.Minute, "all bans to be as the file has it", func() bool {
		var all []string
		for _, e := range h.kernel().Elements {
			all = append(all, e.Prefix.String())
		}
		return strings.Join(all, " ") == attackerV4+"/32 198.51.100.78/32 198.51.100.200/32"
	})
	if status, reason := l.client.State(); status.Error != "" || reason != "" || status.Guards < 3 || status.Rebuilt != 0 {
		t.Errorf("status: %+v, %q", status, reason)
	}
}
