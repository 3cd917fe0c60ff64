package scan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// walker reads JSON piece by piece, so that no more of a file is in memory than is kept of it. Objects and lists have to be
// consumed by whoever opens them: each key's value by one call.
type walker struct {
	dec   *json.Decoder
	depth int
}

func newWalker(file []byte) *walker {
	w := &walker{dec: json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(file, []byte("\ufeff"))))}
	w.dec.UseNumber()
	return w
}

// token is the next token. The error of broken JSON says where it is.
func (w *walker) token() (json.Token, error) {
	t, err := w.dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("the file is broken at byte %d: %w", w.dec.InputOffset(), err)
	}
	return t, nil
}

// object calls each for every key of an object; each has to read the value. Null is an empty object.
func (w *walker) object(each func(key string) error) error {
	return w.inside('{', func() error {
		key, err := w.token()
		if err != nil {
			return err
		}
		name, _ := key.(string) // the decoder accepts nothing else there
		return each(name)
	})
}

// list calls each for every entry of a list; each has to read it. Null is an empty list.
func (w *walker) list(each func() error) error { return w.inside('[', each) }

func (w *walker) inside(open json.Delim, each func() error) error {
	t, err := w.token()
	if err != nil || t == nil {
		return err
	}
	if t != open {
		return fmt.Errorf("the file is not as its format demands at byte %d: %v instead of %v", w.dec.InputOffset(), kindOf(t), open)
	}
	if w.depth++; w.depth > maxDepth {
		return fmt.Errorf("the file is nested deeper than %d", maxDepth)
	}
	for w.dec.More() {
		if err := each(); err != nil {
			return err
		}
	}
	w.depth--
	_, err = w.token()
	return err
}

// skip reads over one value.
func (w *walker) skip() error {
	for depth := 0; ; {
		t, err := w.token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if depth++; w.depth+depth > maxDepth {
				return fmt.Errorf("the file is nested deeper than %d", maxDepth)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// text reads a text, a number as its text, or null as an empty one.
func (w *walker) text(into *string) error {
	t, err := w.token()
	if err != nil {
		return err
	}
	switch v := t.(type) {
	case nil:
		*into = ""
	case string:
		*into = v
	case json.Number:
		*into = v.String()
	case bool:
		*into = strconv.FormatBool(v)
	default:
		return fmt.Errorf("the file is not as its format demands at byte %d: %v instead of a text", w.dec.InputOffset(), kindOf(t))
	}
	return nil
}

// end says whether something stands behind the file's one value.
func (w *walker) end() error {
	if _, err := w.dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the file is broken at byte %d: something stands behind its end", w.dec.InputOffset())
	}
	return nil
}

func kindOf(t json.Token) string {
	switch v := t.(type) {
	case json.Delim:
		return v.String()
	case string:
		return "a text"
	}
	return "a number or truth value"
}
