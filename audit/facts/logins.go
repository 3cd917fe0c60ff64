package facts

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"
)

// Bounds of the records of logins, whose newest part is read.
const (
	maxWtmp     = 8 << 20 // bytes
	maxAuthLog  = 8 << 20
	maxAccepted = 1_000 // distinct
	wtmpEntry   = 384   // bytes, as glibc has it on Linux
	lastEntry   = 292
)

// Logins are the host's own records of who signed in.
type Logins struct {
	// Root are the last direct logins of accounts with user id 0, by terminal or SSH; su and sudo are none. Newest first.
	Root []Login `cel:"root"`
	// Accepted are the ways in that sshd has accepted, once for each user and method, the newest: of auth.log or the journal.
	// Missing when neither is there.
	Accepted []Accepted `cel:"accepted"`
	// Recorded is whether there is a file of logins at all (wtmp or its successor).
	Recorded bool `cel:"recorded"`
}

// Login is one record of wtmp or lastlog.
type Login struct {
	User    string    `cel:"user"`
	Line    string    `cel:"line"` // pts/0, tty1
	From    string    `cel:"from"` // host or address; empty at the machine itself
	Time    time.Time `cel:"time"`
	AgeDays int       `cel:"age_days"`
	Origin  string    `cel:"origin"`
}

// Accepted is one line "Accepted METHOD for USER from ADDRESS".
type Accepted struct {
	User   string `cel:"user"`
	Method string `cel:"method"` // publickey, password, keyboard-interactive/pam
	From   string `cel:"from"`
	When   string `cel:"when"` // as the log has it: the old form of syslog has no year
	Origin string `cel:"origin"`
}

func collectLogins(ctx context.Context, h *Host, t Target) (Logins, []Missing) {
	var l Logins
	users, err := readPasswd(h)
	if err != nil {
		return l, missing("%s", because(err))
	}
	root := map[string]bool{}
	for _, u := range users {
		root[u.Name] = u.UID == 0
	}
	var lost []Missing
	if err := l.wtmp(h, root, t.Now); err != nil {
		lost = append(lost, Missing{"root", because(err)})
	}
	if err := l.lastlog(h, users, t.Now); err != nil {
		lost = append(lost, Missing{"root", because(err)})
	}
	if !l.Recorded {
		for _, name := range []string{"/var/lib/wtmpdb/wtmp.db", "/var/lib/lastlog/lastlog2.db"} {
			l.Recorded = l.Recorded || h.Exists(name)
		}
		if len(lost) == 0 {
			lost = append(lost, Missing{"root", "there is neither /var/log/wtmp nor /var/log/lastlog"})
		}
	}
	slices.SortStableFunc(l.Root, func(a, b Login) int { return b.Time.Compare(a.Time) })
	l.Root = l.Root[:min(len(l.Root), maxAccepted)]
	if err := l.accepted(ctx, h); err != nil {
		lost = append(lost, Missing{"accepted", because(err)})
	}
	return l, lost
}

// tail reads the last part of a file, a multiple of unit bytes from its beginning.
func tail(h *Host, name string, limit, unit int64) ([]byte, error) {
	f, err := h.open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	from := max(0, info.Size()-limit)
	from += (unit - from%unit) % unit
	return io.ReadAll(io.NewSectionReader(f, from, limit))
}

// wtmp reads the logins of user id 0 out of the records.
func (l *Logins) wtmp(h *Host, root map[string]bool, now time.Time) error {
	for _, name := range []string{"/var/log/wtmp.1", "/var/log/wtmp"} {
		data, err := tail(h, name, maxWtmp, wtmpEntry)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		l.Recorded = true
		for ; len(data) >= wtmpEntry; data = data[wtmpEntry:] {
			const userProcess = 7
			e := data[:wtmpEntry]
			user := cString(e[44:76])
			if binary.LittleEndian.Uint16(e) != userProcess || !root[user] {
				continue
			}
			from := cString(e[76:332])
			if from == "" {
				from = utmpAddress(e[348:364])
			}
			l.add(user, cString(e[8:40]), from, int64(binary.LittleEndian.Uint32(e[340:])), now, name)
		}
	}
	return nil
}

func (l *Logins) add(user, line, from string, unix int64, now time.Time, origin string) {
	at := time.Unix(unix, 0).UTC()
	if at.After(now.Add(24 * time.Hour)) {
		return // a torn record
	}
	login := Login{user, line, from, at, max(0, int(now.Sub(at)/(24*time.Hour))), origin}
	same := func(o Login) bool { return o.User == user && o.Line == line && o.Time.Equal(at) }
	if !slices.ContainsFunc(l.Root[max(0, len(l.Root)-100):], same) && len(l.Root) < 50*maxAccepted {
		l.Root = append(l.Root, login)
	}
}

// lastlog reads the last login of every account with user id 0. The file has holes: only their records are read.
func (l *Logins) lastlog(h *Host, users []User, now time.Time) error {
	const name = "/var/log/lastlog"
	f, err := h.open(name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	l.Recorded = true
	i := slices.IndexFunc(users, func(u User) bool { return u.UID == 0 })
	e := make([]byte, lastEntry)
	if _, err := f.ReadAt(e, 0); err != nil || i < 0 {
		return nil // an empty file: nobody has signed in
	}
	if unix := int64(binary.LittleEndian.Uint32(e)); unix != 0 {
		l.add(users[i].Name, cString(e[4:36]), cString(e[36:]), unix, now, name)
	}
	return nil
}

func cString(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return strings.ToValidUTF8(string(b), "�")
}

func utmpAddress(b []byte) string {
	if bytes.Equal(b, make([]byte, 16)) {
		return ""
	}
	if bytes.Equal(b[4:], make([]byte, 12)) {
		b = b[:4]
	}
	a, _ := netip.AddrFromSlice(b) // 4 or 16 bytes
	return a.String()
}

// accepted reads sshd's own log.
func (l *Logins) accepted(ctx context.Context, h *Host) error {
	found, at := false, map[string]int{}
	take := func(text []byte, origin string) {
		found = true
		for line := range strings.Lines(string(text)) {
			a, ok := parseAccepted(line)
			if !ok {
				continue
			}
			a.Origin = origin
			key := a.User + "\x00" + a.Method
			if i, ok := at[key]; ok {
				l.Accepted[i] = a
			} else if len(l.Accepted) < maxAccepted {
				at[key] = len(l.Accepted)
				l.Accepted = append(l.Accepted, a)
			}
		}
	}
	for _, name := range []string{"/var/log/auth.log.1", "/var/log/auth.log", "/var/log/secure"} {
		text, err := tail(h, name, maxAuthLog, 1)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		take(text, name)
	}
	if found {
		return nil
	}
	if h.Live() && h.Look("/usr/bin/journalctl") != "" && (h.Exists("/var/log/journal") || h.Exists("/run/log/journal")) {
		out, err := h.Run(ctx, "/usr/bin/journalctl", "--quiet", "--no-pager", "-o", "short-iso", "-n", "20000", "--since=-90d", "SYSLOG_IDENTIFIER=sshd", "+", "SYSLOG_IDENTIFIER=sshd-session")
		if err != nil {
			return err
		}
		if out.Code == 0 && len(out.Stdout) > 0 {
			take(out.Stdout, "journalctl SYSLOG_IDENTIFIER=sshd")
			return nil
		}
	}
	return errors.New("there is no auth.log, and no journal with words of sshd")
}

// parseAccepted reads a line that sshd itself wrote: the text after "sshd[PID]: " has to begin with Accepted, because a
// stranger chooses the user name of lines that begin otherwise.
func parseAccepted(line string) (Accepted, bool) {
	head, rest, ok := strings.Cut(line, "]: Accepted ")
	program := head[strings.LastIndexByte(head, ' ')+1:]
	if !ok || !strings.HasPrefix(program, "sshd[") && !strings.HasPrefix(program, "sshd-session[") {
		return Accepted{}, false
	}
	words := strings.Fields(rest) // METHOD for USER from ADDRESS port N ssh2…
	if len(words) < 5 || words[1] != "for" || words[3] != "from" {
		return Accepted{}, false
	}
	when := strings.Fields(head)
	switch {
	case len(when) > 3 && len(when[0]) == 3:
		when = when[:3]
	default:
		when = when[:1]
	}
	return Accepted{User: words[2], Method: words[0], From: words[4], When: strings.Join(when, " ")}, true
}
