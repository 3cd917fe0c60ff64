package ingest

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/doorward/doorward/event"
)

// Limits of one JSON object that somebody else wrote.
const (
	maxDepth  = 16
	maxFields = 512
)

var (
	errNotObject = errors.New("is no JSON object")
	errTooDeep   = errors.New("is nested too deeply")
	errTooMany   = errors.New("has too many members")
	errTwice     = errors.New("has a member twice")
)

// flatten reads one JSON object into fields: {"alert":{"action":"x"},"ids":[7]} is alert.action=x and ids.0=7. Null is left
// out. An object that two readers could understand differently is refused: one with a member twice, or with a member whose name
// is what two others make together.
func flatten(text string) ([]event.Field, error) {
	f := flattener{rest: text, seen: make(map[string]bool, 16)}
	f.space()
	if !strings.HasPrefix(f.rest, "{") {
		return nil, errNotObject
	}
	if err := f.value("", 0); err != nil {
		return nil, err
	}
	if f.space(); f.rest != "" {
		return nil, errNotObject
	}
	return f.fields, nil
}

type flattener struct {
	rest   string
	fields []event.Field
	seen   map[string]bool
	names  int
}

func (f *flattener) space() { f.rest = strings.TrimLeft(f.rest, " \t\r\n") }

func (f *flattener) skip(c byte) bool {
	f.space()
	if f.rest == "" || f.rest[0] != c {
		return false
	}
	f.rest = f.rest[1:]
	return true
}

// value reads one value, whose path is name.
func (f *flattener) value(name string, depth int) error {
	f.space()
	if f.rest == "" {
		return errNotObject
	}
	if depth > maxDepth {
		return errTooDeep
	}
	switch f.rest[0] {
	case '{':
		return f.members(name, depth, '}')
	case '[':
		return f.members(name, depth, ']')
	case '"':
		s, err := f.text()
		if err != nil {
			return err
		}
		return f.add(name, s)
	}
	end := strings.IndexAny(f.rest, ",]} \t\r\n")
	if end < 0 {
		end = len(f.rest)
	}
	token := f.rest[:end]
	f.rest = f.rest[end:]
	if !json.Valid([]byte(token)) {
		return errNotObject
	}
	if token == "null" {
		return nil
	}
	return f.add(name, token)
}

func (f *flattener) members(name string, depth int, end byte) error {
	f.rest = f.rest[1:]
	if f.skip(end) {
		return nil
	}
	for i := 0; ; i++ {
		key := strconv.Itoa(i)
		if end == '}' {
			f.space()
			var err error
			if key, err = f.text(); err != nil {
				return err
			}
			if !f.skip(':') {
				return errNotObject
			}
		}
		if name != "" {
			key = name + "." + key
		}
		if f.names++; f.names > maxFields || len(key) > maxKey {
			return errTooMany
		}
		if f.seen[key] { // also one whose value is an object or null
			return errTwice
		}
		f.seen[key] = true
		if err := f.value(key, depth+1); err != nil {
			return err
		}
		switch {
		case f.skip(','):
		case f.skip(end):
			return nil
		default:
			return errNotObject
		}
	}
}

const maxKey = 1024 // bytes of a path

// text reads a string.
func (f *flattener) text() (string, error) {
	if !strings.HasPrefix(f.rest, `"`) {
		return "", errNotObject
	}
	plain := true
	for i := 1; i < len(f.rest); i++ {
		switch c := f.rest[i]; {
		case c == '\\':
			plain = false
			i++
		case c < ' ':
			return "", errNotObject
		case c == '"':
			token := f.rest[:i+1]
			f.rest = f.rest[i+1:]
			if plain {
				return token[1:i], nil
			}
			var s string
			if err := json.Unmarshal([]byte(token), &s); err != nil {
				return "", errNotObject
			}
			return s, nil
		}
	}
	return "", errNotObject
}

func (f *flattener) add(name, value string) error {
	f.fields = append(f.fields, event.Field{Key: name, Value: value})
	return nil
}
