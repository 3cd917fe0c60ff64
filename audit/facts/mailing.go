package facts

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"regexp"
	"strings"
	"time"
)

// Mailing is how the host's own mail leaves it.
type Mailing struct {
	Sendmail string  `cel:"sendmail"` // the program; empty when there is none
	Relay    Setting `cel:"relay"`    // the smart host; empty when mail is delivered directly
	// Answer is what the relay, or without one the host's own mail server, said when it was connected to: "220 …".
	Answer Setting `cel:"answer"`
	// LastSent is when a mail last was taken by another server, by the mail log.
	LastSent Setting   `cel:"last_sent"`
	SentAt   time.Time `cel:"sent_at"`
}

// relays are where mail programs keep their smart host.
var relays = []struct {
	file    string
	pattern *regexp.Regexp
	port    string
}{
	{"/etc/postfix/main.cf", regexp.MustCompile(`(?m)^relayhost\s*=[ \t]*(\S*)`), "25"},
	{"/etc/exim4/update-exim4.conf.conf", regexp.MustCompile(`(?m)^dc_smarthost='([^']*)'`), "25"},
	{"/etc/msmtprc", regexp.MustCompile(`(?m)^\s*host\s+(\S+)`), "25"},
	{"/etc/ssmtp/ssmtp.conf", regexp.MustCompile(`(?mi)^mailhub\s*=\s*(\S+)`), "25"},
	{"/etc/nullmailer/remotes", regexp.MustCompile(`(?m)^([\w.-]+)`), "25"},
	{"/etc/dma/dma.conf", regexp.MustCompile(`(?m)^SMARTHOST\s+(\S+)`), "25"},
}

var msmtpPort = regexp.MustCompile(`(?m)^\s*port\s+(\d+)`)

func (m *Monitoring) mail(ctx context.Context, h *Host, now time.Time) (gone []Missing) {
	m.Mail.Sendmail = h.Look("/usr/sbin/sendmail", "/usr/bin/sendmail", "/usr/lib/sendmail")
	target := "127.0.0.1:25"
	for _, r := range relays {
		text, err := h.ReadFile(r.file)
		if err != nil {
			continue
		}
		all := r.pattern.FindAllSubmatch(text, 100)
		if len(all) == 0 || m.Mail.Relay.Value != "" {
			continue
		}
		host := string(all[len(all)-1][1]) // the last word counts
		if host == "" {
			continue
		}
		m.Mail.Relay = Setting{host, r.file}
		port := r.port
		if p := msmtpPort.FindSubmatch(text); p != nil && r.file == "/etc/msmtprc" {
			port = string(p[1])
		}
		target = mailAddress(host, port)
	}
	if h.Live() {
		m.Mail.Answer = greet(ctx, target)
	} else {
		gone = append(gone, Missing{"mail.answer", ErrNotLive.Error()})
	}
	if err := m.lastSent(h, now); err != nil {
		gone = append(gone, Missing{"mail.last_sent", because(err)}, Missing{"mail.sent_at", because(err)})
	}
	return gone
}

// mailAddress reads [host]:port, host::port of exim, host:port and host.
func mailAddress(text, port string) string {
	host := text
	if inner, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "]"); ok && strings.HasPrefix(text, "[") {
		host = inner
		port = cmp.Or(strings.TrimPrefix(rest, ":"), port)
	} else if h, p, ok := strings.Cut(text, "::"); ok && !strings.Contains(p, ":") {
		host, port = h, p
	} else if h, p, err := net.SplitHostPort(text); err == nil {
		host, port = h, p
	}
	return net.JoinHostPort(host, port)
}

// greet connects and reads the mail server's first line. Nothing is sent but QUIT.
func greet(ctx context.Context, address string) Setting {
	s := Setting{Origin: "connection to " + address}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		s.Value = "no answer: " + cutError(err)
		return s
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		s.Value = "no answer: " + cutError(err)
		return s
	}
	line, err := bufio.NewReader(io.LimitReader(conn, 1000)).ReadString('\n')
	if err != nil {
		s.Value = "no greeting: " + cutError(err)
		return s
	}
	_, _ = io.WriteString(conn, "QUIT\r\n") // the answer is not waited for
	s.Value = strings.TrimSpace(line)
	return s
}

var (
	sentMail = regexp.MustCompile(`status=sent \(2|(?:=>|->) \S+.* (?:H=|T=remote_smtp)|stat=Sent|smtpstatus=2\d\d|Sent mail for`)
	localTo  = regexp.MustCompile(`relay=local|T=local_delivery|T=mail_spool|T=maildir`)
)

const mailLogTail = 4 << 20 // bytes of the end of a mail log that are looked at

func (m *Monitoring) lastSent(h *Host, now time.Time) error {
	found := false
	for _, name := range []string{"/var/log/mail.log", "/var/log/mail.log.1", "/var/log/exim4/mainlog", "/var/log/exim4/mainlog.1", "/var/log/maillog", "/var/log/msmtp.log", "/var/log/msmtp"} {
		f, err := h.stream(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		found = true
		text, err := lastPart(f, mailLogTail)
		if err != nil {
			return err
		}
		for line := range strings.Lines(text) {
			if !sentMail.MatchString(line) || localTo.MatchString(line) {
				continue
			}
			if at, ok := logTime(line, now); ok && at.After(m.Mail.SentAt) {
				m.Mail.SentAt, m.Mail.LastSent = at, Setting{strings.TrimSpace(line), name}
			}
		}
	}
	if !found {
		return errors.New("there is no mail log that could be read: /var/log/mail.log, /var/log/exim4/mainlog, /var/log/msmtp.log")
	}
	return nil
}

// lastPart reads at most the last n bytes of a file, and closes it.
func lastPart(f io.ReadSeekCloser, n int64) (string, error) {
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	if _, err := f.Seek(max(0, size-n), io.SeekStart); err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, n))
	return string(text), err
}

// logTime reads the time at the beginning of a line: RFC 3339, the local time of exim, or the syslog format without a year. Local times
// are read as UTC, which is off by some hours.
func logTime(line string, now time.Time) (time.Time, bool) {
	word, _, _ := strings.Cut(line, " ")
	if t, err := time.Parse(time.RFC3339, word); err == nil {
		return t.UTC(), true
	}
	if len(line) >= 19 {
		if t, err := time.Parse(time.DateTime, line[:19]); err == nil {
			return t, true
		}
	}
	if len(line) >= 15 {
		if t, err := time.Parse(time.Stamp, line[:15]); err == nil {
			t = t.AddDate(now.Year(), 0, 0)
			if t.After(now.Add(24 * time.Hour)) {
				t = t.AddDate(-1, 0, 0)
			}
			return t, true
		}
	}
	return time.Time{}, false
}
