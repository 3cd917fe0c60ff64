package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"time"
)

// watchBanned is how many addresses a generated log has that are to be banned.
const watchBanned = 5000

// watchLog is one generated log. The addresses that fail come one group after the other, as many times each, and are then heard of no
// more, as if a firewall dropped them. The last one is `last`: when it is banned, all of the log was read.
type watchLog struct {
	name, title string
	file        string
	lines, bad  int // lines, and those that count
	banned      int // addresses that are to be banned
	each        int // failures of one address: the threshold of its ban
	last        netip.Addr
}

const (
	watchGroup  = 200              // addresses that fail at the same time
	watchBegins = 50 * time.Minute // the first line's age; the last is a minute old
)

// part is a log like this one, but with only a part of its lines and addresses.
func (l *watchLog) part(of int) *watchLog {
	p := *l
	p.file += ".part"
	p.lines, p.banned = l.lines/of, l.banned/of/watchGroup*watchGroup // whole groups
	p.bad = p.each * p.banned
	return &p
}

// failing is the address of the failure with the number n.
func (l *watchLog) failing(n int) netip.Addr {
	group, within := n/(watchGroup*l.each), n%watchGroup
	return benchAddress(group*watchGroup + within)
}

// benchAddress is one of RFC 2544's addresses, which nobody's packets come from.
func benchAddress(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 18 + byte(n>>16&1), byte(n >> 8), byte(n)})
}

// kinds are a log's lines: of failures, and of all else. The head has the date.
type kinds struct {
	head      func(at time.Time) string
	bad, good func(r *rand.Rand, n int, address netip.Addr) string
}

// sshdKinds are what sshd and its neighbours write by syslog.
var sshdKinds = kinds{
	head: func(at time.Time) string { return at.Format("Jan _2 15:04:05") + " web1 " },
	bad: func(r *rand.Rand, n int, a netip.Addr) string {
		pid, port := 1000+n%4_000_000, 1024+r.IntN(60000)
		switch r.IntN(3) {
		case 0:
			return fmt.Sprintf("sshd[%d]: Failed password for invalid user admin%d from %s port %d ssh2", pid, r.IntN(50), a, port)
		default:
			return fmt.Sprintf("sshd[%d]: Failed password for root from %s port %d ssh2", pid, a, port)
		}
	},
	good: func(r *rand.Rand, n int, a netip.Addr) string {
		pid, port := 1000+n%4_000_000, 1024+r.IntN(60000)
		switch r.IntN(10) {
		case 0:
			return fmt.Sprintf("sshd[%d]: Accepted publickey for alice from %s port %d ssh2: ED25519 SHA256:zzzz", pid, a, port)
		case 1:
			return fmt.Sprintf("sshd[%d]: pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)", pid)
		case 2:
			return fmt.Sprintf("sshd[%d]: pam_unix(sshd:session): session closed for user alice", pid)
		case 3:
			return fmt.Sprintf("sshd[%d]: Disconnected from user alice %s port %d", pid, a, port)
		case 4:
			return fmt.Sprintf("CRON[%d]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)", pid)
		case 5:
			return fmt.Sprintf("CRON[%d]: (root) CMD (test -x /usr/sbin/anacron || run-parts --report /etc/cron.hourly)", pid)
		case 6:
			return fmt.Sprintf("systemd[1]: Started session-%d.scope - Session %d of User alice.", pid, pid)
		case 7:
			return fmt.Sprintf("systemd-logind[500]: New session %d of user alice.", pid)
		case 8:
			return fmt.Sprintf("postfix/smtpd[%d]: connect from unknown[%s]", pid, a)
		default:
			return fmt.Sprintf("kernel: [%d.%06d] IPv4: martian source %s from 127.0.0.1, on dev eth0", pid, port, a)
		}
	},
}

const browser = `"https://www.example.com/start" "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"`

// accessKinds are what nginx writes. The date stands behind the address.
var accessKinds = kinds{
	bad: func(r *rand.Rand, n int, a netip.Addr) string {
		what := []string{"/phpmyadmin/index.php", "/phpMyAdmin/setup.php", "/wp-login.php"}[r.IntN(3)]
		return fmt.Sprintf(`%s - - [] "GET %s HTTP/1.1" 404 153 %s`, a, what, browser)
	},
	good: func(r *rand.Rand, n int, a netip.Addr) string {
		what := []string{"/", "/tickets/", "/api/v1/items?page=", "/static/app.css?v=", "/images/logo.png?v="}[r.IntN(5)]
		return fmt.Sprintf(`%s - - [] "GET %s%d HTTP/1.1" %d %d %s`, a, what, r.IntN(10_000), []int{200, 200, 200, 304, 404}[r.IntN(5)], 100+r.IntN(50_000), browser)
	},
}

func (l *watchLog) kinds() kinds {
	if l.name != "access" {
		return sshdKinds
	}
	k := accessKinds
	k.head = nil
	return k
}

// write makes the log. The same lines come each time but for their dates.
func (l *watchLog) write(now time.Time) error {
	f, err := os.Create(l.file)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 1<<20)
	r, k := rand.New(rand.NewPCG(1, uint64(l.bad))), l.kinds()
	began, step := now.Add(-watchBegins), (watchBegins-time.Minute)/time.Duration(l.lines)
	head, second := "", int64(0)
	failed := 0
	for n := range l.lines {
		at := began.Add(time.Duration(n) * step)
		var text string
		// As many failures as there are to be, spread evenly; the last line is one.
		if (n+1)*l.bad/l.lines > failed {
			text = k.bad(r, n, l.failing(failed))
			failed++
		} else {
			text = k.good(r, n, netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(256))}))
		}
		if at.Unix() != second { // formatting a date takes longer than all else
			second = at.Unix()
			if head = at.Format("02/Jan/2006:15:04:05 -0700"); k.head != nil {
				head = k.head(at)
			}
		}
		if k.head != nil {
			out.WriteString(head)
			out.WriteString(text)
		} else {
			writeDated(out, text, head)
		}
		out.WriteByte('\n')
	}
	l.last = l.failing(failed - 1)
	if err := out.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// writeDated puts the date between the brackets that are empty.
func writeDated(out *bufio.Writer, text, date string) {
	for i := range len(text) {
		if text[i] == '[' {
			out.WriteString(text[:i+1])
			out.WriteString(date)
			out.WriteString(text[i+1:])
			return
		}
	}
}

// appendTo adds the log to the file that a watch reads, at once.
func (l *watchLog) appendTo(file string) error {
	data, err := os.ReadFile(l.file)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// head copies the first lines of a file.
func head(from, to string, lines int) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	w, s := bufio.NewWriter(out), bufio.NewScanner(in)
	for n := 0; n < lines && s.Scan(); n++ {
		w.Write(s.Bytes())
		w.WriteByte('\n')
	}
	return errors.Join(s.Err(), w.Flush(), out.Close())
}
