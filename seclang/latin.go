package seclang

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// validWithEscapes says whether an expression is valid UTF-8 once its escapes of the forms \xNN and \x{…} are bytes. The
// expression stands for bytes otherwise, and a rune of two bytes would not be what its author meant.
func validWithEscapes(text string) bool {
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		digits, length := hexEscape(text[i:])
		if length == 0 {
			b = append(b, text[i])
			if text[i] == '\\' && i+1 < len(text) { // an escaped backslash begins no escape
				i++
				b = append(b, text[i])
			}
			continue
		}
		n, err := strconv.ParseUint(digits, 16, 32)
		if err == nil && n <= 0xff {
			b = append(b, byte(n))
		}
		i += length - 1
	}
	return utf8.Valid(b)
}

// hexEscape reads \xNN or \x{…} at the beginning of a text.
func hexEscape(text string) (digits string, length int) {
	if !strings.HasPrefix(text, `\x`) {
		return "", 0
	}
	if strings.HasPrefix(text, `\x{`) {
		if end := strings.IndexByte(text, '}'); end > 0 {
			return text[3:end], end + 1
		}
		return "", 0
	}
	if len(text) < 4 {
		return "", 0
	}
	return text[2:4], 4
}
