package transform

import "strings"

// urlDecode decodes %HH and +. What is no valid escape stays.
func urlDecode(s string) string {
	e := edit{s: s}
	for i := next(s, 0, escape); i < len(s); {
		if s[i] == '+' {
			e.put(i, i+1, ' ')
			i = next(s, i+1, escape)
			continue
		}
		if c, ok := hexAt(s, i+1, 2); ok {
			e.put(i, i+3, byte(c))
			i = next(s, i+3, escape)
			continue
		}
		i = next(s, i+1, escape)
	}
	return e.text()
}

// urlDecodeUni decodes as urlDecode does, and the %uHHHH of Microsoft's servers, which becomes one byte: the best fit of
// code page 20127, which the published rules expect, or else the character's low byte.
func urlDecodeUni(s string) string {
	e := edit{s: s}
	for i := next(s, 0, escape); i < len(s); {
		if s[i] == '+' {
			e.put(i, i+1, ' ')
			i = next(s, i+1, escape)
			continue
		}
		if i+1 < len(s) && s[i+1]|0x20 == 'u' {
			if c, ok := hexAt(s, i+2, 4); ok {
				e.put(i, i+6, narrow(c))
				i += 4
			}
			i = next(s, i+2, escape)
			continue
		}
		if c, ok := hexAt(s, i+1, 2); ok {
			e.put(i, i+3, byte(c))
			i = next(s, i+3, escape)
			continue
		}
		i = next(s, i+1, escape)
	}
	return e.text()
}

// narrow makes one byte of a character.
func narrow(c int) byte {
	if b, ok := bestFit(c); ok {
		return b
	}
	return fold(c)
}

// fold is the character's low byte; the full-width forms of ASCII (U+FF01 to U+FF5E) become ASCII.
func fold(c int) byte {
	low := byte(c)
	if c>>8 == 0xff && low > 0 && low < 0x5f {
		low += 0x20
	}
	return low
}

// urlEncode escapes everything but ASCII letters, digits and the asterisk; a space becomes +.
func urlEncode(s string) string {
	const digits = "0123456789abcdef"
	grown := 0
	plain := true
	for _, c := range []byte(s) {
		if !urlPlain(c) {
			plain = false
			grown += 2
		}
	}
	if plain {
		return s
	}
	var out strings.Builder
	out.Grow(len(s) + grown)
	for _, c := range []byte(s) {
		switch {
		case c == ' ':
			out.WriteByte('+')
		case urlPlain(c):
			out.WriteByte(c)
		default:
			out.WriteByte('%')
			out.WriteByte(digits[c>>4])
			out.WriteByte(digits[c&15])
		}
	}
	return out.String()
}

func urlPlain(c byte) bool {
	return c == '*' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}
