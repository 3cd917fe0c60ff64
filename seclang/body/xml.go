package body

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// XML collects the values of all attributes and the texts of an XML body, without the white space around them; a text
// that comments or CDATA part is there in its pieces, as in Coraza, and whole, with the flag Ambiguous. It is as
// tolerant as Coraza is: HTML's entities and its elements without an end are known, and the end of the body closes
// what is open. Entities that the body declares are never expanded; the flag Entities says that it declares some. An
// error leaves no values, as in Coraza.
func XML(text string, l Limits) Result { return readXML(text, l, xml.HTMLAutoClose) }

// DataXML is XML where no element ends by itself because it has the name of one of HTML: XML-RPC has params with each param in
// them, and news feeds have links. Coraza takes such a body for broken.
func DataXML(text string, l Limits) Result { return readXML(text, l, nil) }

func readXML(text string, l Limits, alone []string) (r Result) {
	l = l.filled()
	text = r.cut(text, l)
	source := &tagReader{text: text}
	decoder := xml.NewDecoder(source)
	decoder.Strict = false
	decoder.AutoClose = alone
	decoder.Entity = xml.HTMLEntity
	depth := 0
	var run []string // texts that only comments and the like part
	for {
		source.begin(int(decoder.InputOffset()), l.Nodes)
		token, err := decoder.Token()
		if token == nil || err != nil {
			r.join(run)
			return ended(r, err, depth)
		}
		switch token.(type) {
		case xml.StartElement, xml.EndElement:
			r.join(run)
			run = run[:0]
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth++; depth > l.Depth {
				return r.failed(ErrDepth)
			}
			for _, a := range t.Attr {
				r.Attributes = append(r.Attributes, a.Value)
			}
		case xml.EndElement:
			depth = max(depth-1, 0)
		case xml.CharData:
			s := string(t)
			run = append(run, s)
			if s = strings.TrimSpace(s); s != "" {
				r.Texts = append(r.Texts, s)
			}
		case xml.Directive:
			if s := strings.ToUpper(string(t)); strings.Contains(s, "ENTITY") || strings.Contains(s, "SYSTEM") || strings.Contains(s, "PUBLIC") {
				r.Flags |= Entities
				r.Directives = append(r.Directives, string(t))
			}
		}
		if len(r.Attributes)+len(r.Texts)+len(r.Directives) > l.Nodes {
			return r.failed(ErrNodes)
		}
	}
}

// join adds the text that stands in pieces, between which there are comments or the borders of CDATA. Applications read
// it as one, and Coraza does not.
func (r *Result) join(run []string) {
	if len(run) < 2 {
		return
	}
	if whole := strings.TrimSpace(strings.Join(run, "")); whole != "" && whole != r.Texts[len(r.Texts)-1] {
		r.Texts = append(r.Texts, whole)
		r.Flags |= Ambiguous
	}
}

// tagReader gives a text to the decoder and bounds its tags: the decoder makes a hundred bytes of each attribute, and
// one may have two.
type tagReader struct {
	text string
	i    int
	end  int // where the reading stops with ErrNodes
}

// begin is called before each token with the place where it begins.
func (t *tagReader) begin(at, most int) {
	t.end = len(t.text)
	if at+1 < len(t.text) && t.text[at] == '<' && t.text[at+1] != '!' && t.text[at+1] != '?' {
		t.end = min(len(t.text), at+most)
	}
}

// ReadByte returns the next byte.
func (t *tagReader) ReadByte() (byte, error) {
	switch {
	case t.i >= len(t.text):
		return 0, io.EOF
	case t.i >= t.end:
		return 0, ErrNodes
	}
	t.i++
	return t.text[t.i-1], nil
}

// Read is there for the decoder's type only; it reads byte by byte.
func (t *tagReader) Read(p []byte) (int, error) {
	c, err := t.ReadByte()
	if err != nil || len(p) == 0 {
		return 0, err
	}
	p[0] = c
	return 1, nil
}

// ended is the result where the decoder has nothing more.
func ended(r Result, err error, depth int) Result {
	var syntax *xml.SyntaxError
	switch {
	case err == nil || errors.Is(err, io.EOF):
		if depth > 0 {
			r.Flags |= Incomplete
		}
	case errors.As(err, &syntax) && syntax.Msg == "unexpected EOF":
		r.Flags |= Incomplete
	default:
		return r.failed(fmt.Errorf("xml: %w", err))
	}
	return r
}

// failed is the result without its values.
func (r *Result) failed(err error) Result {
	return Result{Flags: r.Flags, Fields: r.Fields, Over: r.Over, Err: err}
}
