package waf

import (
	"errors"
	"io"
	"strings"
)

// Exceeded is a limit of the site's that the request's body went beyond.
type Exceeded struct {
	Setting string // body_limit or fields_limit
	Limit   int    // bytes
	Refused bool   // otherwise its rest was not looked at
}

// The settings that a body may exceed.
const (
	bodyLimit   = "body_limit"
	fieldsLimit = "fields_limit"
)

// copies is how often a body is held at the same time: here, and as the values that rules see.
const copies = 2

// chunkSize is how many bytes are read at once.
const chunkSize = 32 << 10

// room is how much of a body may come.
type room struct {
	body   int                   // bytes of all of it
	fields int                   // of it, bytes that are no content of a file; 0: any number
	all    bool                  // all bytes count
	meter  func(text string) int // counts the fields of what has come; nil where there is no need to
}

// room is what the site has room for. expected is how many bytes the client says that will come.
func (i *Inspection) room(expected int64) room {
	r := room{body: i.site.options.BodyLimit}
	if r.fields, r.all = i.tx.FieldsLimit(); r.fields == 0 {
		return r
	}
	// What comes may be hidden by no more than what was read already: then it is counted once, when it is taken apart.
	if !r.all && (expected < 0 || expected > 2*int64(r.fields)) {
		r.meter = i.tx.FieldsMeter().Fields
	}
	return r
}

// exceeded says which limit a body goes beyond of which n bytes have come, or are to come; text is what has come.
func (r *room) exceeded(n int64, text func() string) error {
	switch {
	case n > int64(r.body):
		return ErrTooLarge
	case r.fields == 0 || n <= int64(r.fields):
		return nil
	case r.all, r.meter != nil && text != nil && r.meter(text()) > r.fields:
		return ErrFields
	}
	return nil
}

// read fills text up to the site's limits, and by less than a piece beyond them. expected is what the client said that the body
// has, or less than that.
func (i *Inspection) read(from io.Reader, expected int64, text *string) (err error) {
	space := i.room(expected)
	if err := space.exceeded(expected, nil); err != nil && i.site.options.Mode == Block {
		return err // nothing of it is needed
	}
	piece := i.site.engine.chunk()
	defer i.site.engine.chunks.Put(piece)
	var b strings.Builder
	defer func() { *text = b.String() }()
	for {
		n, err := from.Read(*piece)
		if room := b.Cap() - b.Len(); n > room {
			// Room is four times what has come, as far as the client says that it is needed: words cost nothing.
			grow := max(n, min(int(min(expected, int64(space.body)))-b.Len(), 4*(b.Len()+n)))
			more := int64((b.Cap() + grow) * copies) // a Builder doubles beside what is asked for
			if !i.take(more) {
				i.site.engine.counters.busy.Add(1)
				b.Write((*piece)[:n])
				return ErrBusy
			}
			b.Grow(grow)
		}
		b.Write((*piece)[:n])
		if err := space.exceeded(int64(b.Len()), b.String); err != nil {
			return err
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// note keeps that a body went beyond a limit. The error is nil where the site only detects: then what has come is looked at.
func (i *Inspection) note(err error) error {
	refused := i.site.options.Mode == Block
	keep := func(setting string, limit int) {
		if i.exceeded == nil {
			i.exceeded = &Exceeded{Setting: setting, Limit: limit, Refused: refused}
			i.site.engine.counters.exceeded(setting)
		}
	}
	switch {
	case errors.Is(err, ErrTooLarge):
		keep(bodyLimit, i.site.options.BodyLimit)
	case errors.Is(err, ErrFields):
		limit, _ := i.tx.FieldsLimit()
		keep(fieldsLimit, limit)
	case !errors.Is(err, ErrBusy):
		return err
	}
	if !refused {
		return nil
	}
	return err
}
