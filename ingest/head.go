package ingest

import (
	"strings"
	"time"
)

// readTime reads a date; that of the line before need not be read again.
func (p *Parser) readTime(s string, now time.Time) (time.Time, bool) {
	if day := now.Unix() / 86400; s == p.stamp && day == p.day {
		return p.when, true
	}
	t, ok := readTime(s, p.local, now)
	if ok {
		p.stamp, p.when, p.day = strings.Clone(s), t, now.Unix()/86400
	}
	return t, ok
}

// readHead reads what syslog writes before a message: Nov 25 18:57:50 HOST PROGRAM[PID]: MESSAGE, the date as RFC 3339 too, or
// no date (journal).
func (p *Parser) readHead(l *line) bool {
	s := l.record.Text
	if l.record.Time.IsZero() {
		if strings.HasPrefix(s, "<") && len(s) > 5 { // the priority, where a relay kept it
			if i := strings.IndexByte(s[:5], '>'); i > 0 {
				s = s[i+1:]
			}
		}
		if len(s) < 20 {
			return false
		}
		end := 15
		if s[0] >= '0' && s[0] <= '9' {
			if end = strings.IndexByte(s, ' '); end < 19 {
				return false
			}
		}
		t, ok := p.readTime(s[:end], l.now)
		if !ok || s[end] != ' ' {
			return false
		}
		l.time, s = t, s[end+1:]
	}
	host, program, pid, message, ok := splitHead(s)
	l.host, l.program, l.pid, l.message = host, program, pid, strings.TrimLeft(message, " ") // sudo pads the user's name
	return ok
}

// splitHead reads HOST PROGRAM[PID]: MESSAGE.
func splitHead(s string) (host, program, pid, message string, ok bool) {
	host, s, ok = strings.Cut(s, " ")
	colon := strings.Index(s, ": ")
	if !ok || colon < 1 {
		return "", "", "", "", false
	}
	program, message = s[:colon], s[colon+2:]
	if at := strings.IndexByte(program, '['); at > 0 && program[len(program)-1] == ']' {
		pid, program = program[at+1:len(program)-1], program[:at]
	}
	return host, program, pid, message, strings.IndexByte(program, ' ') < 0
}
