package body

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// JSON flattens a JSON text (RFC 8259): json.a.b for the members of objects, json.a.0 for the elements of arrays, and
// json.a for the length of an array that has any. Numbers and truth values stand as they are written, null is empty. A
// text that is only a value has the name json.0. Members of one name are all returned.
//
// A text that is malformed gives its front and an error; so does one whose flattened form exceeds eight times its size, or its size by
// 128 KiB, because each name repeats all names above it. Behind Limits.Arguments it is only read for errors.
func JSON(text string, l Limits) Result {
	f := flattener{limits: l.filled(), name: []byte("json")}
	text = f.cut(text, l)
	f.text, f.budget = text, max(4096, min(8*len(text), len(text)+maxRepeated))
	if strings.HasPrefix(text, "\ufeff") {
		f.fail(errors.New("json: a byte order mark")) // RFC 8259, 8.1; some parsers skip it
		f.i = len("\ufeff")
	}
	f.document()
	for f.i < len(text) && !f.stopped && !f.full { // more values behind the first, as some parsers read them
		if f.Err == nil {
			f.fail(f.at("text behind the value"))
		}
		f.document()
	}
	if f.stopped && !errors.Is(f.Err, ErrDepth) && !errors.Is(f.Err, ErrFlattened) {
		f.rescue()
	}
	return f.Result
}

// maxRepeated is how many bytes the names of a long text may repeat.
const maxRepeated = 128 << 10

// flattener reads one text from its front to its end.
type flattener struct {
	Result
	text    string
	i       int
	name    []byte // of the value that is being read
	limits  Limits
	depth   int
	budget  int // bytes of names and values that may still be made
	values  int // entries that are values
	lengths int // entries that are lengths of arrays; they are counted apart, as in Coraza
	full    bool
	stopped bool // after a malformed place nothing is read
}

func (f *flattener) at(what string) error { return fmt.Errorf("json: %s at byte %d", what, f.i) }

// stop ends the reading.
func (f *flattener) stop(err error) {
	f.fail(err)
	f.stopped = true
}

func (f *flattener) space() {
	for f.i < len(f.text) && (f.text[f.i] == ' ' || f.text[f.i] == '\n' || f.text[f.i] == '\r' || f.text[f.i] == '\t') {
		f.i++
	}
}

// peek returns the next byte, or 0 at the end.
func (f *flattener) peek() byte {
	if f.i < len(f.text) {
		return f.text[f.i]
	}
	return 0
}

// document reads one value and the white space around it.
func (f *flattener) document() {
	f.space()
	if c := f.peek(); c == '{' || c == '[' {
		f.value()
	} else if f.item("", 0); !f.stopped && !f.full {
		f.length(1)
	}
	f.space()
}

// item reads one value whose name has one more part: the name of a member, or the number of an element, unless that is
// negative. It says whether the reading of its container is cut short.
func (f *flattener) item(member string, element int) (cut bool) {
	if f.values >= f.limits.Arguments {
		f.full, f.Truncated = true, true
	}
	above := len(f.name)
	if !f.full {
		f.name = append(append(f.name, '.'), member...)
		if element >= 0 {
			f.name = strconv.AppendInt(f.name, int64(element), 10)
		}
	}
	cut = f.value()
	f.name = f.name[:above]
	return cut || f.full
}

// value reads one value under the current name.
func (f *flattener) value() (cut bool) {
	switch c := f.peek(); {
	case c == '{' || c == '[':
		if f.depth++; f.depth > f.limits.Depth {
			f.stop(ErrDepth)
			return true
		}
		f.i++
		if c == '{' {
			cut = f.object()
		} else {
			cut = f.array()
		}
		f.depth--
		return cut
	case c == '"':
		if s, ok := f.str(); ok {
			f.add(s)
		}
	case c == '-' || '0' <= c && c <= '9':
		f.number()
	default:
		for _, word := range [...]string{"true", "false", "null"} {
			if strings.HasPrefix(f.text[f.i:], word) {
				f.i += len(word)
				if word == "null" {
					word = ""
				}
				f.add(word)
				return false
			}
		}
		f.stop(f.at("no value"))
	}
	return f.stopped
}

// object reads what stands behind an opening brace.
func (f *flattener) object() (cut bool) {
	f.space()
	if f.peek() == '}' {
		f.i++
		return false
	}
	for {
		if f.space(); f.peek() != '"' {
			f.stop(f.at("no name of a member"))
			return true
		}
		name, ok := f.str()
		if !ok {
			return true
		}
		if f.space(); f.peek() != ':' {
			f.stop(f.at("no colon"))
			return true
		}
		f.i++
		f.space()
		cut = f.item(name, -1) || cut
		if f.stopped || f.closes('}') {
			return cut
		}
	}
}

// array reads what stands behind an opening bracket, and adds its length.
func (f *flattener) array() (cut bool) {
	f.space()
	if f.peek() == ']' {
		f.i++
		return false
	}
	for n := 0; ; {
		f.space()
		cut = f.item("", n) || cut
		n++
		if f.stopped {
			return true
		}
		if f.closes(']') {
			if !cut && !f.stopped {
				cut = f.length(n)
			}
			return cut
		}
	}
}

// closes reads a comma or the end of a container, and says whether it was the end.
func (f *flattener) closes(end byte) bool {
	f.space()
	switch f.peek() {
	case end:
		f.i++
		return true
	case ',':
		f.i++
		return false
	}
	f.stop(f.at("no comma and no end"))
	return true
}

// add keeps a value under the current name.
func (f *flattener) add(value string) {
	if f.full {
		return
	}
	if f.budget -= len(f.name) + len(value); f.budget < 0 {
		f.stop(ErrFlattened)
		return
	}
	f.values++
	f.Arguments = append(f.Arguments, Pair{string(f.name), value})
}

// length keeps the length of an array. There may be as many of them as arguments, beside those.
func (f *flattener) length(n int) (cut bool) {
	if f.lengths >= f.limits.Arguments {
		f.Truncated = true
		return true
	}
	text := strconv.Itoa(n)
	if f.budget -= len(f.name) + len(text); f.budget < 0 {
		f.stop(ErrFlattened)
		return true
	}
	f.lengths++
	f.Arguments = append(f.Arguments, Pair{string(f.name), text})
	return false
}

// number reads a number and keeps it as it is written.
func (f *flattener) number() {
	start := f.i
	digits := func() bool {
		from := f.i
		for '0' <= f.peek() && f.peek() <= '9' {
			f.i++
		}
		return f.i > from
	}
	if f.peek() == '-' {
		f.i++
	}
	ok := true
	if f.peek() == '0' {
		f.i++
	} else {
		ok = digits()
	}
	if ok && f.peek() == '.' {
		f.i++
		ok = digits()
	}
	if ok && f.peek()|0x20 == 'e' {
		f.i++
		if f.peek() == '+' || f.peek() == '-' {
			f.i++
		}
		ok = digits()
	}
	if !ok {
		f.stop(f.at("no digit"))
		return
	}
	f.add(f.text[start:f.i])
}
