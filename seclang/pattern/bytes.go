package pattern

import (
	"strings"
	"unicode/utf8"
)

// meansBytes says whether an expression is about bytes rather than characters: its literal characters with each \xHH
// and \x{HH} as the one byte it names are no UTF-8. Coraza decides so, even for \x{e9}, which could be a character.
func meansBytes(expr string) bool {
	decoded := make([]byte, 0, len(expr))
	for i := 0; i < len(expr); i++ {
		// The last three bytes hold no whole escape.
		if expr[i] != '\\' || i+3 >= len(expr) || expr[i+1] != 'x' {
			decoded = append(decoded, expr[i])
			continue
		}
		digits, last := expr[i+2:i+4], i+3
		if end := strings.IndexByte(expr[i:], '}'); expr[i+2] == '{' && end > 4 {
			// Of more digits than two the first two count, and the others are passed over.
			digits, last = expr[i+3:i+5], i+end
		}
		b, ok := hexByte(digits)
		if !ok {
			decoded = append(decoded, expr[i])
			continue
		}
		decoded = append(decoded, b)
		i = last
	}
	return !utf8.Valid(decoded)
}

// hexByte reads two hexadecimal digits.
func hexByte(digits string) (b byte, ok bool) {
	for i := range len(digits) {
		c := digits[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		b = b<<4 | c
	}
	return b, true
}

// widen makes a character of each byte, so that Go's regexp sees bytes.
func widen(s string) string {
	wide := make([]byte, 0, len(s)+len(s)/4)
	for i := range len(s) {
		wide = utf8.AppendRune(wide, rune(s[i]))
	}
	return string(wide)
}

// narrow takes back what widen did.
func narrow(wide string) string {
	s := make([]byte, 0, len(wide))
	for _, c := range wide {
		s = append(s, byte(c))
	}
	return string(s)
}
