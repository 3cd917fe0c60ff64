package waf

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/seclang"
)

// maxMatchLog is how large the file grows, in bytes; matches beyond are counted. It is made for test tools, not for keeping.
const maxMatchLog = 1 << 30

// MatchLog writes each match as a line in the form of ModSecurity's error log, which the tools around the Core Rule Set read.
// A value that matched stands in it as it came.
type MatchLog struct {
	// Dropped counts matches that could not be written.
	Dropped atomic.Uint64

	mu   sync.Mutex
	file *os.File
	size int64
}

// OpenMatchLog opens the file for appending, and makes it for its owner only.
func OpenMatchLog(name string) (*MatchLog, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open match log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open match log: %w", err)
	}
	return &MatchLog{file: f, size: info.Size()}, nil
}

// Close closes the file.
func (l *MatchLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}

// Write adds the line of one match; q is the request it was found in.
func (l *MatchLog) Write(m seclang.Match, q Request, now time.Time) {
	line := matchLine(m, q, now)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+int64(len(line)) > maxMatchLog {
		l.Dropped.Add(1)
		return
	}
	n, err := l.file.WriteString(line)
	l.size += int64(n)
	if err != nil {
		l.Dropped.Add(1)
	}
}

func matchLine(m seclang.Match, q Request, now time.Time) string {
	var b strings.Builder
	at := "the request"
	if len(m.Found) > 0 {
		at = m.Found[len(m.Found)-1].Name()
	}
	r := m.Rule
	fmt.Fprintf(&b, "[%s] [security2:error] [client %s] ModSecurity: Warning. %s at %s.", now.Format("Mon Jan 02 15:04:05.000000 2006"), q.Client,
		escape(r.Operator.String()), escape(at))
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, " [%s \"%s\"]", name, escape(value))
		}
	}
	field("file", r.Place.File)
	field("line", fmt.Sprint(r.Place.Line))
	field("id", fmt.Sprint(r.ID))
	field("rev", r.Revision)
	field("msg", m.Message)
	field("data", m.LogData)
	field("severity", strings.ToUpper(severityName(r.Severity)))
	field("ver", r.Version)
	for _, tag := range r.Tags {
		field("tag", tag.String())
	}
	field("hostname", q.Host)
	field("uri", q.URI)
	field("unique_id", q.ID)
	b.WriteByte('\n')
	return b.String()
}

// maxField caps one field of a line, in bytes.
const maxField = 1024

// escape writes a text so that it cannot end its field or its line.
func escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() < maxField; i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, "\\x%02x", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
