package transform

import "strings"

// class is a set of kinds of bytes. Most values have none of the bytes that a function looks for, and the scan for them
// is all that the function does.
type class uint8

const (
	upper  class = 1 << iota // A to Z
	high                     // beyond ASCII
	space                    // white space of ASCII
	shell                    // what cmdLine changes, or may change together with its neighbour
	escape                   // % and +
	mark                     // what begins or ends a comment
)

// classes is read only.
var classes = classTable()

func classTable() (t [256]class) {
	for i := range t {
		c := byte(i)
		if 'A' <= c && c <= 'Z' {
			t[i] |= upper | shell
		}
		if c >= 0x80 {
			t[i] |= high
		}
		if asciiSpace(c) {
			t[i] |= space
		}
		if strings.IndexByte("\"'\\^ ,;\t\r\n", c) >= 0 {
			t[i] |= shell
		}
		if c == '%' || c == '+' {
			t[i] |= escape
		}
		if strings.IndexByte("/*<-#", c) >= 0 {
			t[i] |= mark
		}
	}
	return t
}

// next finds the first byte of any of the kinds from i on, or the end.
func next(s string, i int, any class) int {
	for i < len(s) && classes[s[i]]&any == 0 {
		i++
	}
	return i
}

// lowercase makes ASCII letters small, and those of Unicode; bytes that are no UTF-8 become U+FFFD when the text has any
// byte beyond ASCII, as in Coraza.
func lowercase(s string) string {
	first := next(s, 0, upper|high)
	if first == len(s) {
		return s
	}
	if next(s, first, high) < len(s) {
		return strings.ToLower(s)
	}
	var out strings.Builder
	out.Grow(len(s))
	out.WriteString(s[:first])
	for i := first; i < len(s); i++ {
		c := s[i]
		if classes[c]&upper != 0 {
			c += 'a' - 'A'
		}
		out.WriteByte(c)
	}
	return out.String()
}
