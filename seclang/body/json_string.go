package body

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// str reads a string, whose opening quote is next.
func (f *flattener) str() (string, bool) {
	f.i++
	start := f.i
	for f.i < len(f.text) {
		switch c := f.text[f.i]; {
		case c == '"':
			f.i++
			return f.text[start : f.i-1], true
		case c == '\\':
			return f.escapedString(start)
		case c < ' ':
			f.stop(f.at("a control character in a string"))
			f.i = start - 1
			return "", false
		}
		f.i++
	}
	f.stop(f.at("an open string"))
	f.i = start - 1
	return "", false
}

// escapedString goes on from the first backslash of the string that begins at start.
func (f *flattener) escapedString(start int) (string, bool) {
	out := []byte(f.text[start:f.i])
	for f.i < len(f.text) {
		switch c := f.text[f.i]; {
		case c == '"':
			f.i++
			return string(out), true
		case c < ' ':
			f.stop(f.at("a control character in a string"))
			f.i = start - 1
			return "", false
		case c != '\\':
			out = append(out, c)
			f.i++
		default:
			r, ok := f.escape()
			if !ok {
				f.stop(f.at("no escape"))
				f.i = start - 1
				return "", false
			}
			out = utf8.AppendRune(out, r)
		}
	}
	f.stop(f.at("an open string"))
	f.i = start - 1
	return "", false
}

// escape reads one escape. Half a pair of surrogates is U+FFFD, and what follows it is read for itself: Coraza takes
// the next escape away with it, whatever it is.
func (f *flattener) escape() (rune, bool) {
	if f.i+1 >= len(f.text) {
		return 0, false
	}
	f.i += 2
	switch c := f.text[f.i-1]; c {
	case '"', '\\', '/':
		return rune(c), true
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
	case 'u':
		r, ok := f.hex4(f.i)
		if !ok {
			return 0, false
		}
		f.i += 4
		if utf16.IsSurrogate(r) {
			pair := utf8.RuneError
			if strings.HasPrefix(f.text[f.i:], `\u`) {
				if low, ok := f.hex4(f.i + 2); ok {
					pair = utf16.DecodeRune(r, low)
				}
			}
			if pair == utf8.RuneError {
				return pair, true
			}
			f.i += 6
			return pair, true
		}
		return r, true
	}
	return 0, false
}

func (f *flattener) hex4(i int) (rune, bool) {
	if i+4 > len(f.text) {
		return 0, false
	}
	var r rune
	for _, c := range []byte(f.text[i : i+4]) {
		digit, ok := unhex(c)
		if !ok {
			return 0, false
		}
		r = r<<4 | rune(digit)
	}
	return r, true
}

// rescue returns what stands behind a malformed place under the name json, in pieces that quotes part, so that what a
// tolerant parser would make of it is seen. Which pieces are strings nobody can say, because a quote too many turns
// the inside of all that follow outside.
func (f *flattener) rescue() {
	f.name = f.name[:len("json")]
	f.stopped = false
	for f.i < len(f.text) && !f.stopped {
		end := f.i
		for end < len(f.text) && f.text[end] != '"' {
			if f.text[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(f.text))
		piece := f.text[f.i:end]
		f.i = end + 1
		if strings.Trim(piece, " \t\r\n,:[]{}") == "" {
			continue
		}
		if f.values >= f.limits.Arguments {
			f.Truncated = true
			return
		}
		f.full = false
		f.add((&flattener{text: piece}).lenient())
	}
}

// lenient decodes what stands between quotes, and leaves alone what is no escape.
func (f *flattener) lenient() string {
	if strings.IndexByte(f.text, '\\') < 0 {
		return f.text
	}
	var out []byte
	for f.i < len(f.text) {
		at := f.i
		if f.text[at] == '\\' {
			if r, ok := f.escape(); ok {
				out = utf8.AppendRune(out, r)
				continue
			}
		}
		out = append(out, f.text[at])
		f.i = at + 1
	}
	return string(out)
}
