package pyre

import (
	"strings"
	"unicode/utf8"
)

// Decode makes a line text as Python's decode("utf-8", "replace") does, with which fail2ban reads its logs: every
// byte sequence that begins as a character does and breaks off is one U+FFFD, any other wrong byte is one of its own.
func Decode(line []byte) string {
	if utf8.Valid(line) {
		return string(line)
	}
	var b strings.Builder
	for len(line) > 0 {
		r, n := utf8.DecodeRune(line)
		if r == utf8.RuneError && n == 1 {
			n = brokenLength(line)
		}
		b.WriteRune(r)
		line = line[n:]
	}
	return b.String()
}

// brokenLength returns how many bytes at the start of line are the start of a character.
func brokenLength(line []byte) int {
	low, high, most := byte(0x80), byte(0xbf), 0
	switch c := line[0]; {
	case c >= 0xc2 && c <= 0xdf:
		most = 2
	case c >= 0xe0 && c <= 0xef:
		most = 3
	case c >= 0xf0 && c <= 0xf4:
		most = 4
	}
	switch line[0] { // the second byte of these has less room
	case 0xe0:
		low = 0xa0
	case 0xed:
		high = 0x9f
	case 0xf0:
		low = 0x90
	case 0xf4:
		high = 0x8f
	}
	n := 1
	for n < most && n < len(line) && line[n] >= low && line[n] <= high {
		n, low, high = n+1, 0x80, 0xbf
	}
	return n
}
