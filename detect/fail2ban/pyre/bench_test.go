package pyre_test

import (
	"regexp"
	"syscall"
	"testing"

	"github.com/doorward/doorward/detect/fail2ban/pyre"
)

// The lines of sshd that an attack makes, and others that it is among, as fail2ban's expressions see them.
func sshdLines() (attack, other []string) {
	return []string{
			"Failed password for invalid user admin from 203.0.113.7 port 40022 ssh2",
			"Failed password for root from 2001:db8::17 port 51234 ssh2",
			"Invalid user oracle from 203.0.113.9 port 50412",
		}, []string{
			"Accepted publickey for deploy from 198.51.100.4 port 55112 ssh2: ED25519 SHA256:abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
			"pam_unix(sshd:session): session opened for user deploy(uid=1000) by (uid=0)",
			"Received disconnect from 198.51.100.4 port 55112:11: disconnected by user",
			"Server listening on 0.0.0.0 port 22.",
		}
}

func sshdExprs(b *testing.B) []*pyre.Regexp {
	b.Helper()
	var all []*pyre.Regexp
	for _, f := range installedFilters(b) {
		if f.Name != "sshd" {
			continue
		}
		for _, expr := range f.Exprs {
			re, err := pyre.Compile(expr, pyre.Options{MultiLine: true})
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, re)
		}
		break
	}
	return all
}

// cpu reports the processor's time as well, because the clock's says little on a machine with other work.
func cpu(b *testing.B) {
	b.Helper()
	now := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	start := now()
	b.Cleanup(func() { b.ReportMetric(float64(now()-start)/float64(b.N), "cpu-ns/op") })
}

func benchmarkLines(b *testing.B, lines []string) {
	all := sshdExprs(b)
	b.ReportAllocs()
	cpu(b)
	m := &pyre.Match{}
	hits := 0
	n := 0
	for b.Loop() {
		line := lines[n%len(lines)]
		n++
		for _, re := range all {
			if ok, err := re.SearchInto(m, line, 0); err != nil {
				b.Fatal(err)
			} else if ok {
				hits++
			}
		}
	}
	b.ReportMetric(float64(hits)/float64(n), "hits/line")
}

// BenchmarkSSHDAttack tries all expressions of the filter on each line, without any prefilter.
func BenchmarkSSHDAttack(b *testing.B) {
	attack, _ := sshdLines()
	benchmarkLines(b, attack)
}

func BenchmarkSSHDOther(b *testing.B) {
	_, other := sshdLines()
	benchmarkLines(b, other)
}

const plainFailed = `^Failed \S+ for (?P<inv>invalid user )?(?P<user>\S+) from (?P<ip4>(?:\d{1,3}\.){3}\d{1,3})(?: (?:port \d+|on \S+)){0,2}(?: ssh\d*)?`

// BenchmarkOneMatch and BenchmarkOneMatchRE2 are the same expression in both engines.
func BenchmarkOneMatch(b *testing.B) {
	re, err := pyre.Compile(plainFailed, pyre.Options{})
	if err != nil {
		b.Fatal(err)
	}
	attack, _ := sshdLines()
	m := &pyre.Match{}
	b.ReportAllocs()
	cpu(b)
	for b.Loop() {
		if ok, err := re.SearchInto(m, attack[0], 0); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkOneMatchRE2(b *testing.B) {
	re := regexp.MustCompile(plainFailed)
	attack, _ := sshdLines()
	b.ReportAllocs()
	cpu(b)
	for b.Loop() {
		if re.FindStringSubmatchIndex(attack[0]) == nil {
			b.Fatal("no match")
		}
	}
}
