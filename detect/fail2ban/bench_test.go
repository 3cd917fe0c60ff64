package fail2ban_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/detect/fail2ban"
)

// sshdLog is a log of sshd and its neighbours; failures of a hundred lines are failed sign-ins.
func sshdLog(lines, failures int) []string {
	r := rand.New(rand.NewPCG(1, uint64(failures)))
	at := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	all := make([]string, lines)
	for i := range all {
		at = at.Add(time.Duration(r.IntN(300)) * time.Millisecond)
		pid := 1000 + i/3
		address := fmt.Sprintf("198.51.%d.%d", 100+r.IntN(4), r.IntN(256))
		port := 1024 + r.IntN(60000)
		head := at.Format("Jan _2 15:04:05") + " web1 "
		var kinds []string
		if r.IntN(100) < failures {
			kinds = []string{
				fmt.Sprintf("sshd[%d]: Failed password for root from %s port %d ssh2", pid, address, port),
				fmt.Sprintf("sshd[%d]: Failed password for invalid user admin%d from %s port %d ssh2", pid, r.IntN(50), address, port),
				fmt.Sprintf("sshd[%d]: Invalid user oracle from %s port %d", pid, address, port),
				fmt.Sprintf("sshd[%d]: Failed password for root from %s port %d ssh2", pid, address, port),
			}
		} else {
			kinds = []string{
				fmt.Sprintf("sshd[%d]: Accepted publickey for alice from %s port %d ssh2: ED25519 SHA256:zzzz", pid, address, port),
				fmt.Sprintf("sshd[%d]: pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)", pid),
				fmt.Sprintf("sshd[%d]: pam_unix(sshd:session): session closed for user alice", pid),
				fmt.Sprintf("sshd[%d]: Disconnected from user alice %s port %d", pid, address, port),
				fmt.Sprintf("CRON[%d]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)", pid),
				fmt.Sprintf("CRON[%d]: (root) CMD (test -x /usr/sbin/anacron || run-parts --report /etc/cron.hourly)", pid),
				fmt.Sprintf("systemd[1]: Started session-%d.scope - Session %d of User alice.", pid, pid),
				fmt.Sprintf("systemd-logind[500]: New session %d of user alice.", pid),
				fmt.Sprintf("postfix/smtpd[%d]: connect from unknown[%s]", pid, address),
				fmt.Sprintf("kernel: [%d.%06d] IPv4: martian source %s from 127.0.0.1, on dev eth0", pid, port, address),
			}
		}
		all[i] = head + kinds[r.IntN(len(kinds))]
	}
	return all
}

// cpu is the time that this process has computed; the machine has other work too.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchmarkSshd(b *testing.B, failures int) {
	if _, err := os.Stat(installed + "/filter.d/sshd.conf"); err != nil {
		b.Skipf("left out: fail2ban's configuration is not installed: %v", err)
	}
	c, err := fail2ban.Open(installed)
	if err != nil {
		b.Fatal(err)
	}
	f, err := c.Filter("sshd", fail2ban.Options{NoDateIsNow: true})
	if err != nil {
		b.Fatal(err)
	}
	lines := sshdLog(100_000, failures)
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	matched, n := 0, 0
	b.ReportAllocs()
	started := cpu(b)
	for b.Loop() {
		r, err := f.Line(lines[n%len(lines)], now)
		if err != nil {
			b.Fatal(err)
		}
		if r.Match {
			matched++
		}
		n++
	}
	b.ReportMetric(float64(n)/(cpu(b)-started).Seconds(), "lines/cpu-s")
	b.ReportMetric(100*float64(matched)/float64(n), "%failures")
}

func BenchmarkSshdMixed(b *testing.B)    { benchmarkSshd(b, 30) }
func BenchmarkSshdFailures(b *testing.B) { benchmarkSshd(b, 100) }
