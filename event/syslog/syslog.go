// Package syslog writes messages as RFC 5424 has them and sends them to a syslog server over UDP (RFC 5426), TCP with
// octet counting (RFC 6587 3.4.1) or TLS (RFC 5425).
//
// It knows the format and the wire. It must not know what an event is.
package syslog

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Param is one parameter of the structured data.
type Param struct{ Name, Value string }

// Message is one message. Texts may hold anything: what the format does not allow is replaced.
type Message struct {
	Facility  int // 0 to 23
	Severity  int // 0 (emergency) to 7 (debug)
	Time      time.Time
	Host, App string
	ID        string // MSGID: what kind of message it is
	DataID    string // SD-ID of Data, as event@32473
	Data      []Param
	Text      string
}

// Append writes m to b, without a frame: one line, whatever m holds.
func Append(b []byte, m Message) []byte {
	b = append(b, '<')
	b = strconv.AppendInt(b, int64(min(max(m.Facility, 0), 23)*8+min(max(m.Severity, 0), 7)), 10)
	b = append(b, ">1 "...)
	b = m.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	for _, part := range []struct {
		text  string
		limit int
	}{{m.Host, 255}, {m.App, 48}, {"", 128}, {m.ID, 32}} {
		b = append(b, ' ')
		b = appendName(b, part.text, part.limit)
	}
	b = append(b, ' ')
	if len(m.Data) == 0 || m.DataID == "" {
		b = append(b, '-')
	} else {
		b = append(b, '[')
		b = appendName(b, m.DataID, 32)
		for _, p := range m.Data {
			b = append(b, ' ')
			b = appendName(b, strings.Map(paramRune, p.Name), 32)
			b = append(b, `="`...)
			b = appendValue(b, p.Value)
			b = append(b, '"')
		}
		b = append(b, ']')
	}
	if m.Text != "" {
		b = append(b, ' ')
		b = appendText(b, m.Text)
	}
	return b
}

// paramRune replaces what a name of the structured data may not hold.
func paramRune(r rune) rune {
	if r == '=' || r == ']' || r == '"' {
		return '_'
	}
	return r
}

// appendName writes a word of printable ASCII, or a dash for none.
func appendName(b []byte, s string, limit int) []byte {
	if s == "" {
		return append(b, '-')
	}
	for i := range min(len(s), limit) {
		c := s[i]
		if c <= ' ' || c > '~' {
			c = '_'
		}
		b = append(b, c)
	}
	return b
}

// appendValue writes UTF-8 with the three escapes of RFC 5424 6.3.3.
func appendValue(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == '"' || r == '\\' || r == ']' {
			b = append(b, '\\')
		}
		b = appendRune(b, r)
		i += size
	}
	return b
}

func appendText(b []byte, s string) []byte {
	for _, r := range s {
		b = appendRune(b, r)
	}
	return b
}

// appendRune writes a space for what a receiver could take for the end of a message.
func appendRune(b []byte, r rune) []byte {
	if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 {
		return append(b, ' ')
	}
	return utf8.AppendRune(b, r)
}
