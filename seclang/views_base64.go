package seclang

import (
	"strings"
	"unicode/utf8"
)

// fromBase64 decodes a text that is base64 as a whole (RFC 4648, 4 and 5), and says in which alphabet; "" when it is none.
// It takes what lenient decoders take: no padding, a space where a + came through a form, and characters of no alphabet
// anywhere, which PHP and Python leave out. The prefix of a data: address is left out (RFC 2397).
func fromBase64(text string) (value, name string) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "data:") {
		head, rest, ok := strings.Cut(text, ";base64,")
		if !ok || len(head) > 128 {
			return "", ""
		}
		text = rest
	}
	// A text of eight letters without its padding may be a word.
	padded := len(text)
	text = strings.TrimRight(text, "=")
	if len(text) < minCoded-1 && (padded == len(text) || padded < minCoded) {
		return "", ""
	}
	name = viewBase64
	const look = 32 // bytes after which most texts have shown that they are none
	out := make([]byte, 0, 64)
	bits, held := uint32(0), 0
	for i := 0; i < len(text); i++ {
		c, ok := sextet(text[i])
		switch {
		case !ok:
			continue
		case text[i] == '-', text[i] == '_':
			name = viewBase64URL
		}
		if bits, held = bits<<6|uint32(c), held+6; held >= 8 {
			held -= 8
			out = append(out, byte(bits>>held))
			if len(out) == look && !readable(out[:look-utf8.UTFMax]) {
				return "", ""
			}
		}
	}
	if !readable(out) {
		return "", ""
	}
	return string(out), name
}

// sextet is the value of a letter of both alphabets.
func sextet(c byte) (byte, bool) {
	switch {
	case 'A' <= c && c <= 'Z':
		return c - 'A', true
	case 'a' <= c && c <= 'z':
		return c - 'a' + 26, true
	case '0' <= c && c <= '9':
		return c - '0' + 52, true
	case c == '+', c == '-', c == ' ':
		return 62, true
	case c == '/', c == '_':
		return 63, true
	}
	return 0, false
}

// utf8Length is how many bytes the letter at the front takes; 1 when it is malformed.
func utf8Length(b []byte) int {
	_, n := utf8.DecodeRune(b)
	return n
}
