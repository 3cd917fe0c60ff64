package store

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Micros is t as both dialects store it: microseconds since 1970-01-01 00:00 UTC. The zero time.Time is 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// FromMicros is the time, in UTC, that Micros made m from; 0 is the zero time.Time.
func FromMicros(m int64) time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMicro(m).UTC()
}

// NewID makes an id for a row: a UUID version 7 (RFC 9562 5.7) as text, so that ids sort by the time they
// were made. It fails only when the system has no randomness to give.
func NewID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	return id.String(), nil
}

// Text makes s fit for a text column of both dialects: a NUL and each run of bytes that is not UTF-8
// become U+FFFD. PostgreSQL refuses a whole statement for either where SQLite stores it, so that text from
// strangers could otherwise keep a row from being written at all.
func Text(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
