package fail2ban

import (
	"strings"
	"unicode/utf8"
)

// Decode makes text of a line of a log as fail2ban does: as UTF-8, with U+FFFD for what is none. A sequence that is cut short is
// one U+FFFD, and so is each byte that starts none. Line ends at the end are cut off.
func Decode[T string | []byte](line T) string {
	text := string(line)
	if !utf8.ValidString(text) {
		text = replaceInvalid(text)
	}
	return strings.TrimRight(text, "\r\n")
}

func replaceInvalid(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && n == 1 {
			n = started(text[i:])
		}
		out.WriteRune(r)
		i += n
	}
	return out.String()
}

// started is how many bytes of s begin a sequence that could have become valid.
func started(s string) int {
	low, high, more := byte(0x80), byte(0xbf), 0
	switch c := s[0]; {
	case c >= 0xc2 && c <= 0xdf:
		more = 1
	case c == 0xe0:
		low, more = 0xa0, 2
	case c == 0xed:
		high, more = 0x9f, 2
	case c >= 0xe1 && c <= 0xef:
		more = 2
	case c == 0xf0:
		low, more = 0x90, 3
	case c == 0xf4:
		high, more = 0x8f, 3
	case c >= 0xf1 && c <= 0xf3:
		more = 3
	}
	n := 1
	for ; n <= more && n < len(s) && s[n] >= low && s[n] <= high; n++ {
		low, high = 0x80, 0xbf
	}
	return n
}
