package fail2ban_test

import (
	"testing"

	"github.com/doorward/doorward/detect/fail2ban"
)

func TestJournalText(t *testing.T) {
	for want, entry := range map[string]map[string]string{
		"web sshd[12]: Invalid user x":       {"_HOSTNAME": "web", "SYSLOG_IDENTIFIER": "sshd", "_COMM": "sshd-session", "SYSLOG_PID": "12", "_PID": "13", "MESSAGE": "Invalid user x"},
		"web app[13]: one\\ntwo":             {"_HOSTNAME": "web", "_COMM": "app", "_PID": "13", "MESSAGE": "one\ntwo"},
		"web kernel: [  123.456789] martian": {"_HOSTNAME": "web", "SYSLOG_IDENTIFIER": "kernel", "_SOURCE_MONOTONIC_TIMESTAMP": "123456789", "MESSAGE": "martian"},
		"web: alone":                         {"_HOSTNAME": "web", "MESSAGE": "alone"},
		"bare":                               {"MESSAGE": "bare"},
	} {
		if got := fail2ban.JournalText(func(name string) string { return entry[name] }); got != want {
			t.Errorf("%v: %q, want %q", entry, got, want)
		}
	}
}
