package transform

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// letterEscape returns what C makes of \a, \b, \f, \n, \r, \t and \v.
func letterEscape(c byte) (byte, bool) {
	switch c {
	case 'a':
		return '\a', true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'v':
		return '\v', true
	}
	return 0, false
}

// nextBackslash finds the next backslash from i on, or the end.
func nextBackslash(s string, i int) int {
	if n := strings.IndexByte(s[i:], '\\'); n >= 0 {
		return i + n
	}
	return len(s)
}

// jsDecode decodes JavaScript's escapes: \uHHHH and \u{H…} become the character's low byte, then \xHH, octal numbers up
// to \377, and letters. Any other character stands for itself. A backslash at the very end stays.
func jsDecode(s string) string {
	e := edit{s: s}
	for i := nextBackslash(s, 0); i+1 < len(s); {
		c, n := jsEscape(s[i+1:])
		e.put(i, i+1+n, c)
		i = nextBackslash(s, i+1+n)
	}
	return e.text()
}

// jsEscape reads what stands behind a backslash, which is not empty: the byte it means and its length.
func jsEscape(s string) (c byte, n int) {
	switch s[0] {
	case 'u':
		if code, ok := hexAt(s, 1, 4); ok {
			return fold(code), 5
		}
		if len(s) > 2 && s[1] == '{' {
			if code, n := hexRun(s, 2, 6); n > 0 && 2+n < len(s) && s[2+n] == '}' {
				return foldLong(code), n + 3
			}
		}
		return 'u', 1
	case 'x':
		if code, ok := hexAt(s, 1, 2); ok {
			return byte(code), 3
		}
		return 'x', 1
	}
	if code, n := octalRun(s, 0); n > 0 {
		if code > 0o377 {
			return byte(code >> 3), 2
		}
		return byte(code), n
	}
	if c, ok := letterEscape(s[0]); ok {
		return c, 1
	}
	return s[0], 1
}

// foldLong is fold for a character that may have more than four digits.
func foldLong(c int) byte {
	if c > 0xffff {
		return byte(c)
	}
	return fold(c)
}

// cssDecode decodes the escapes of CSS: a backslash and one to six hexadecimal digits are a character, and one space
// behind them belongs to them; a backslash before a line feed goes with it; any other character stands for itself.
// Unlike the manual's, which keeps one byte, it writes the character in UTF-8, as Coraza does.
func cssDecode(s string) string {
	e := edit{s: s}
	for i := nextBackslash(s, 0); i < len(s); {
		if i+1 == len(s) {
			e.drop(i, i+1)
			break
		}
		end := i + 2
		code, n := hexRun(s, i+1, 6)
		switch {
		case n > 0:
			end = i + 1 + n
			if end < len(s) && asciiSpace(s[end]) {
				end++
			}
			e.putRune(i, end, cssRune(code))
		case s[i+1] == '\n':
			e.drop(i, end)
		default:
			e.put(i, end, s[i+1])
		}
		i = nextBackslash(s, end)
	}
	return e.text()
}

// cssRune is the character of an escape; zero is not one (CSS Syntax, "consume an escaped code point").
func cssRune(code int) rune {
	switch {
	case code == 0:
		return utf8.RuneError
	case 0xff01 <= code && code <= 0xff5e:
		return rune(code - 0xfee0)
	}
	return rune(code)
}

// escapeSeqDecode decodes the escapes of ANSI C. Any other character stands for itself. A backslash at the very end
// stays.
func escapeSeqDecode(s string) string {
	e := edit{s: s}
	for i := nextBackslash(s, 0); i+1 < len(s); {
		c, n := s[i+1], 1
		if code, ok := hexAt(s, i+2, 2); ok && c|0x20 == 'x' {
			c, n = byte(code), 3
		} else if code, digits := octalRun(s, i+1); digits > 0 {
			c, n = byte(code), digits
		} else if letter, ok := letterEscape(c); ok {
			c = letter
		}
		e.put(i, i+1+n, c)
		i = nextBackslash(s, i+1+n)
	}
	return e.text()
}

// sqlHexDecode decodes SQL's 0xHH… wherever it stands, two digits a byte. Coraza has no such function; this one follows
// the manual.
func sqlHexDecode(s string) string {
	e := edit{s: s}
	for i := 0; i+3 < len(s); i++ {
		if s[i] != '0' || s[i+1]|0x20 != 'x' {
			continue
		}
		end := i + 2
		for {
			c, ok := hexAt(s, end, 2)
			if !ok {
				break
			}
			if end == i+2 {
				e.drop(i, end)
			}
			e.put(end, end+2, byte(c))
			end += 2
		}
		i = end - 1
	}
	return e.text()
}

// htmlEntityDecode decodes HTML's character references, also those that HTML allows without a semicolon. The standard
// library's own decoder leaves "&#1" at the end of a text alone and takes "&#x;" for a character; browsers do neither.
func htmlEntityDecode(s string) string {
	for i := 0; i < len(s); i++ {
		next := strings.IndexByte(s[i:], '&')
		if next < 0 {
			return s
		}
		i += next
		if !mayBeReference(s[i+1:]) {
			continue
		}
		if decoded := html.UnescapeString(s); decoded != s {
			return decoded
		}
		return s
	}
	return s
}

// mayBeReference says whether a character reference can stand behind an ampersand. It spares the copy for the most
// common of all ampersands, those of a query string.
func mayBeReference(s string) bool {
	if s != "" && s[0] == '#' {
		return true
	}
	for n := range len(s) {
		c := s[n]
		if c == ';' {
			return n > 0
		}
		if !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z') {
			return false
		}
		if bareReference(s[:n+1]) {
			return true
		}
	}
	return false
}

// bareReference says whether HTML knows the name without a semicolon (HTML Standard, named character references).
func bareReference(name string) bool {
	switch name {
	case "AElig", "AMP", "Aacute", "Acirc", "Agrave", "Aring", "Atilde", "Auml", "COPY", "Ccedil", "ETH", "Eacute", "Ecirc",
		"Egrave", "Euml", "GT", "Iacute", "Icirc", "Igrave", "Iuml", "LT", "Ntilde", "Oacute", "Ocirc", "Ograve", "Oslash",
		"Otilde", "Ouml", "QUOT", "REG", "THORN", "Uacute", "Ucirc", "Ugrave", "Uuml", "Yacute", "aacute", "acirc", "acute",
		"aelig", "agrave", "amp", "aring", "atilde", "auml", "brvbar", "ccedil", "cedil", "cent", "copy", "curren", "deg",
		"divide", "eacute", "ecirc", "egrave", "eth", "euml", "frac12", "frac14", "frac34", "gt", "iacute", "icirc", "iexcl",
		"igrave", "iquest", "iuml", "laquo", "lt", "macr", "micro", "middot", "nbsp", "not", "ntilde", "oacute", "ocirc",
		"ograve", "ordf", "ordm", "oslash", "otilde", "ouml", "para", "plusmn", "pound", "quot", "raquo", "reg", "sect", "shy",
		"sup1", "sup2", "sup3", "szlig", "thorn", "times", "uacute", "ucirc", "ugrave", "uml", "uuml", "yacute", "yen", "yuml":
		return true
	}
	return false
}
