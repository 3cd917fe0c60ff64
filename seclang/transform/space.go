package transform

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

const spaces = " \t\n\r\f\v"

func asciiSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func trim(s string) string      { return strings.Trim(s, spaces) }
func trimLeft(s string) string  { return strings.TrimLeft(s, spaces) }
func trimRight(s string) string { return strings.TrimRight(s, spaces) }

// removeWhitespace removes what Unicode calls white space. Bytes that are no UTF-8 become U+FFFD, as in Coraza, when
// the text has any byte beyond ASCII.
func removeWhitespace(s string) string {
	e := edit{s: s}
	for i := next(s, 0, space|high); i < len(s); i = next(s, i+1, space|high) {
		if s[i] >= utf8.RuneSelf {
			return strings.Map(func(r rune) rune {
				if unicode.IsSpace(r) {
					return -1
				}
				return r
			}, s)
		}
		e.drop(i, i+1)
	}
	return e.text()
}

// compressWhitespace makes one space of each run of white space: that of ASCII, U+0085, U+00A0, and the byte A0 where
// it is no part of a character.
func compressWhitespace(s string) string {
	e := edit{s: s}
	for i := next(s, 0, space|high); i < len(s); i = next(s, i, space|high) {
		end := i
		for end < len(s) {
			n := spaceAt(s, end)
			if n == 0 {
				break
			}
			end += n
		}
		if end == i {
			i += runeSize(s, i)
			continue
		}
		if end > i+1 || s[i] != ' ' {
			e.put(i, end, ' ')
		}
		i = end
	}
	return e.text()
}

// runeSize is the length of the character at s[i:].
func runeSize(s string, i int) int {
	if s[i] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(s[i:])
	return n
}

// spaceAt is the length of the white space character at s[i:], or 0.
func spaceAt(s string, i int) int {
	switch {
	case asciiSpace(s[i]) || s[i] == 0xa0:
		return 1
	case s[i] == 0xc2 && i+1 < len(s) && (s[i+1] == 0x85 || s[i+1] == 0xa0):
		return 2
	}
	return 0
}

func removeNulls(s string) string  { return strings.ReplaceAll(s, "\x00", "") }
func replaceNulls(s string) string { return strings.ReplaceAll(s, "\x00", " ") }

// cmdLine undoes what shells ignore: quotes, backslashes and carets go, commas and semicolons are spaces, each run of
// spaces is one, none stands before a slash or an opening bracket, and letters are small.
func cmdLine(s string) string {
	if cmdPlain(s) {
		return s
	}
	var out strings.Builder
	out.Grow(len(s))
	pending := false // a space
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\'' || c == '\\' || c == '^':
			continue
		case cmdSpace(c):
			pending = true
			continue
		case pending && c != '/' && c != '(':
			out.WriteByte(' ')
		}
		pending = false
		if classes[c]&upper != 0 {
			c += 'a' - 'A'
		}
		out.WriteByte(c)
	}
	if pending {
		out.WriteByte(' ')
	}
	return out.String()
}

func cmdSpace(c byte) bool {
	return c == ' ' || c == ',' || c == ';' || c == '\t' || c == '\r' || c == '\n'
}

// cmdPlain says whether cmdLine would change nothing.
func cmdPlain(s string) bool {
	for i := next(s, 0, shell); i < len(s); i = next(s, i+1, shell) {
		if s[i] != ' ' || i+1 < len(s) && (s[i+1] == ' ' || s[i+1] == '/' || s[i+1] == '(') {
			return false
		}
	}
	return true
}

// normalisePath removes double slashes, and segments . and .. where it can. As in Coraza, "/" becomes "//".
func normalisePath(s string) string {
	if strings.IndexByte(s, '/') < 0 {
		if s == "." {
			return ""
		}
		return s
	}
	clean := path.Clean(s)
	switch {
	case clean == ".":
		return ""
	case s[len(s)-1] != '/':
		return clean
	case len(clean)+1 == len(s) && s[:len(clean)] == clean:
		return s
	}
	return clean + "/"
}

// normalisePathWin makes slashes of backslashes and then does as normalisePath; then it removes what Windows ignores:
// an alternate data stream of the last segment, and dots and spaces at the end of each.
func normalisePathWin(s string) string {
	if s == "" {
		return s
	}
	return trimSegments(dropStream(normalisePath(strings.ReplaceAll(s, `\`, "/"))))
}

// dropStream removes the last segment's colon and what follows; a drive's colon stays.
func dropStream(s string) string {
	drive, slash := "", ""
	if len(s) >= 2 && s[1] == ':' && 'a' <= s[0]|0x20 && s[0]|0x20 <= 'z' {
		drive = s[:2]
	}
	rest := s[len(drive):]
	if strings.HasSuffix(rest, "/") {
		slash, rest = "/", rest[:len(rest)-1]
	}
	last := strings.LastIndexByte(rest, '/') + 1
	colon := strings.IndexByte(rest[last:], ':')
	if colon < 0 {
		return s
	}
	return drive + rest[:last+colon] + slash
}

// trimSegments removes dots and spaces from the end of each segment. Segments of dots only are the path's own syntax
// and stay; a segment of which nothing remains goes.
func trimSegments(s string) string {
	if next(s, 0, space) == len(s) && strings.IndexByte(s, '.') < 0 {
		return s
	}
	trimmed := false
	for segment := range strings.SplitSeq(s, "/") {
		trimmed = trimmed || trimSegment(segment) != segment
	}
	if !trimmed {
		return s
	}
	var out strings.Builder
	out.Grow(len(s))
	first := true
	for segment := range strings.SplitSeq(s, "/") {
		short := trimSegment(segment)
		if short == "" && segment != "" {
			continue
		}
		if !first {
			out.WriteByte('/')
		}
		first = false
		out.WriteString(short)
	}
	return out.String()
}

func trimSegment(s string) string {
	if strings.TrimLeft(s, ".") == "" {
		return s
	}
	return strings.TrimRight(s, ". ")
}
