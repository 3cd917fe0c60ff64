package fix_test

import "testing"

// TestIPv6Off: the running kernel and the file for the next start, in a network of the test's own.
func TestIPv6Off(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	before := h.snapshot("/etc/sysctl.d")
	if got := h.run("cat /proc/sys/net/ipv6/conf/all/disable_ipv6"); got != "0\n" {
		t.Skipf("IPv6 is off on this machine: %q", got)
	}
	h.run("doorward fix apply I-97 --yes")
	h.has(h.run("cat /proc/sys/net/ipv6/conf/all/disable_ipv6 /etc/sysctl.d/99-zz-doorward.conf"), "1\n# Written by doorward fix")
	h.run("! ip -6 addr show dev lo | grep inet6")
	h.run("echo 0 >/proc/sys/net/ipv6/conf/default/disable_ipv6")
	h.run("doorward fix undo --all")
	if got := h.run("cat /proc/sys/net/ipv6/conf/all/disable_ipv6 /proc/sys/net/ipv6/conf/default/disable_ipv6"); got != "0\n0\n" {
		t.Errorf("disable_ipv6 is %q after undo", got)
	}
	h.has(h.run("ip -6 addr show dev lo"), "inet6 ::1")
	if now := h.snapshot("/etc/sysctl.d"); now != before {
		t.Errorf("/etc/sysctl.d is\n%s\nand was\n%s", now, before)
	}
}
