package facts

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"strings"
)

const maxStanzaLine = 1 << 20 // bytes of one line of a file of stanzas

// compareDeb orders two versions of Debian packages as dpkg does (deb-version(7)): epoch, upstream version, revision.
func compareDeb(a, b string) int {
	epochA, upstreamA, revisionA := splitDeb(a)
	epochB, upstreamB, revisionB := splitDeb(b)
	return cmp.Or(compareDigits(epochA, epochB), compareDebPart(upstreamA, upstreamB), compareDebPart(revisionA, revisionB))
}

// splitDeb takes a version apart. Without a revision it is that of "0", which compareDebPart takes for nothing.
func splitDeb(v string) (epoch, upstream, revision string) {
	v = strings.TrimSpace(v)
	epoch, upstream, ok := strings.Cut(v, ":")
	if !ok {
		epoch, upstream = "0", v
	}
	if i := strings.LastIndexByte(upstream, '-'); i >= 0 {
		return epoch, upstream[:i], upstream[i+1:]
	}
	return epoch, upstream, ""
}

// compareDebPart goes through both by turns of no digits and digits.
func compareDebPart(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !digit(a[0]) || b != "" && !digit(b[0]) {
			if c := cmp.Compare(debOrder(a), debOrder(b)); c != 0 {
				return c
			}
			a, b = a[min(1, len(a)):], b[min(1, len(b)):]
		}
		var numberA, numberB string
		numberA, a = cutDigits(a)
		numberB, b = cutDigits(b)
		if c := compareDigits(numberA, numberB); c != 0 {
			return c
		}
	}
	return 0
}

// debOrder is the rank of the first byte: a tilde before the end, the end and digits before letters, letters before the rest.
func debOrder(s string) int {
	switch {
	case s == "" || digit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z':
		return int(s[0])
	}
	return int(s[0]) + 256
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func cutDigits(s string) (digits, rest string) {
	i := 0
	for i < len(s) && digit(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

// compareDigits compares numbers of any length.
func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// stanzas calls each with the fields of every stanza of r, in the format of dpkg's status and apt's lists: only the first
// lines of the fields that are wanted, and the line on which the stanza begins. The map is used again. It ends when each
// says so.
func stanzas(r io.Reader, wanted []string, each func(fields map[string]string, line int) bool) error {
	keys := map[string]string{}
	for _, key := range wanted {
		keys[strings.ToLower(key)] = key
	}
	in := bufio.NewReaderSize(r, 64<<10)
	fields, begin, number := map[string]string{}, 0, 0
	for {
		line, err := in.ReadSlice('\n')
		number++
		if errors.Is(err, bufio.ErrBufferFull) {
			if line, err = longLine(in, line); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		text := bytes.TrimRight(line, " \t\r\n")
		switch {
		case len(text) == 0:
			if len(fields) > 0 && !each(fields, begin) {
				return nil
			}
			clear(fields)
		case text[0] == ' ' || text[0] == '\t' || text[0] == '#':
		default:
			if len(fields) == 0 {
				begin = number
			}
			if name, value, ok := bytes.Cut(text, []byte(":")); ok && len(name) < 40 {
				if key := keys[string(bytes.ToLower(name))]; key != "" {
					fields[key] = string(bytes.TrimSpace(value))
				}
			}
		}
		if err != nil { // the end; a last stanza needs no empty line
			if len(fields) > 0 {
				each(fields, begin)
			}
			return nil
		}
	}
}

// longLine reads on where a line is longer than the reader's buffer, and keeps only what it may be long.
func longLine(in *bufio.Reader, begun []byte) ([]byte, error) {
	line := bytes.Clone(begun)
	for {
		more, err := in.ReadSlice('\n')
		if len(line) < maxStanzaLine {
			line = append(line, more...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}
