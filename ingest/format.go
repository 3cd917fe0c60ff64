package ingest

import "fmt"

// Format says what a line of a file is.
type Format string

// The formats.
const (
	Plain Format = "" // a line is a record
)

// format makes a record of a line; false: the line is none, or belongs to one that is not whole.
type format func(line []byte) (Record, bool)

func (f Format) reader() (format, error) {
	switch f {
	case Plain:
		return func(line []byte) (Record, bool) { return Record{Text: string(line)}, true }, nil
	}
	return nil, fmt.Errorf("format %q is not known", string(f))
}
