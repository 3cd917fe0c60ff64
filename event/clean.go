package event

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Caps on what one event may hold, in bytes. They are well above what honest software sends.
const (
	maxName   = 256 // action, user, site
	maxKey    = 64
	maxValue  = 2048
	maxFields = 64
	maxRaw    = 16 << 10
)

// cleaner makes events fit to be stored, and counts what it had to change.
type cleaner struct {
	cleaned   uint64 // texts with bytes that were replaced
	truncated uint64 // texts or field lists that were cut
	retimed   uint64 // events whose time was not believed
}

// clean changes e in place. oldest is the first moment of the oldest day that is kept.
func (c *cleaner) clean(e *Event, now, oldest time.Time) {
	if len(e.Fields) > maxFields {
		e.Fields = e.Fields[:maxFields]
		c.truncated++
	}
	if e.Time.Before(oldest) || e.Time.After(now.Add(24*time.Hour)) {
		c.retimed++
		stated := Field{Key: "stated_time", Value: statedTime(e.Time)}
		e.Fields = append(append(make([]Field, 0, len(e.Fields)+1), e.Fields...), stated)
		e.Time = now
	}
	e.Action = c.text(e.Action, maxName, false)
	e.User = c.text(e.User, maxName, false)
	e.Site = c.text(e.Site, maxName, false)
	e.Raw = c.text(e.Raw, maxRaw, true)
	for i := range e.Fields {
		key, value := c.text(e.Fields[i].Key, maxKey, false), c.text(e.Fields[i].Value, maxValue, false)
		if key != e.Fields[i].Key || value != e.Fields[i].Value {
			// The slice may be the caller's own.
			e.Fields = append([]Field(nil), e.Fields...)
			e.Fields[i] = Field{Key: key, Value: value}
		}
	}
}

// statedTime is t in a form that always fits in a field, whatever year it names.
func statedTime(t time.Time) string {
	if year := t.UTC().Year(); year < 0 || year > 9999 {
		return strconv.FormatInt(t.Unix(), 10)
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// text returns s without bytes that a terminal, a browser or a database would read as something else, each
// written out as an escape, and cut to limit bytes. Only a raw line may have more than one line.
func (c *cleaner) text(s string, limit int, lines bool) string {
	if len(s) > limit {
		cut := limit
		for cut > 0 && cut > limit-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
		c.truncated++
	}
	if plain(s) {
		return s
	}
	out := escape(s, lines)
	if out == s {
		return s
	}
	c.cleaned++
	if len(out) > limit {
		out = strings.ToValidUTF8(out[:limit], "")
	}
	return out
}

// plain tells whether s is printable ASCII only, which nearly every text is.
func plain(s string) bool {
	for i := range len(s) {
		if s[i]-' ' > '~'-' ' {
			return false
		}
	}
	return true
}

func escape(s string, lines bool) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1, r < 0x80 && hidden(r, lines):
			fmt.Fprintf(&out, `\x%02x`, s[i])
		case hidden(r, lines):
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.WriteString(s[i : i+size])
		}
		i += size
	}
	return out.String()
}

// hidden tells whether r is invisible or changes how the text around it is shown: control and format
// characters, among them NUL, escape sequences and the bidirectional overrides, and line separators.
func hidden(r rune, lines bool) bool {
	if r == '\t' || r == '\n' {
		return !lines
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}
