package body

import "strings"

// Meter counts the bytes of a multipart body that are no content of a file while the body comes, so that nobody has to wait for its end
// to learn that there are too many. It never counts more than Multipart does; it may count less where parsers would read the body
// in different ways.
type Meter struct {
	splitter
	step  step
	start int // of the content of a part
	from  int // where the search for its end goes on
	parts int
}

// step is what a meter reads next.
type step int

const (
	inPreamble step = iota
	inHeader
	inField
	inFile
	onBoundary // the rest of its line
	atEnd      // all that comes counts
	unread     // what comes is not read
)

// NewMeter returns a meter for a body that Multipart is to read within the same limits; contentType is the whole header of the request.
func NewMeter(contentType string, l Limits) *Meter {
	m := &Meter{splitter: splitter{limits: l.filled(), newline: "\r\n"}}
	boundary, err := m.boundary(contentType)
	if err != nil {
		m.step = atEnd
	}
	m.delimiter = "--" + boundary
	return m
}

// Fields tells how many bytes of a body are no content of a file. text is all of it that has come: each call's begins with the one's
// before it.
func (m *Meter) Fields(text string) int {
	m.text = text
	for m.advance() {
	}
	m.text = ""
	switch m.step {
	case inFile:
		return m.start - m.files
	case unread:
		return m.i - m.files
	}
	return len(text) - m.files
}

// advance takes one step; false means that it needs more text.
func (m *Meter) advance() bool {
	switch m.step {
	case inPreamble:
		return m.passPreamble()
	case inHeader:
		return m.passHeader()
	case inField, inFile:
		return m.passContent()
	case onBoundary:
		return m.passBoundary()
	}
	return false
}

// passBoundary reads the line of a boundary to its end.
func (m *Meter) passBoundary() bool {
	if strings.IndexByte(m.text[m.i:], '\n') < 0 {
		return false
	}
	kind, next := m.markAt(m.i)
	if m.i, m.step = next, inHeader; kind == final {
		m.step = atEnd // what stands behind the last one is judged
	}
	return true
}

// passPreamble looks for the first boundary in the lines that are whole.
func (m *Meter) passPreamble() bool {
	whole := m.text
	m.text = whole[:strings.LastIndexByte(whole, '\n')+1]
	found := m.preamble(m.i)
	if !found {
		m.i = len(m.text)
	}
	m.text = whole
	switch {
	case !found:
		return false
	case m.ended:
		m.step = atEnd
	default:
		m.step = inHeader
	}
	return true
}

// passHeader reads a part's header once it is there.
func (m *Meter) passHeader() bool {
	start := m.i
	if m.parts >= m.limits.Parts {
		if start < len(m.text) {
			m.step = unread
		}
		return false
	}
	m.Result = Result{}
	h := m.header()
	if h == nil {
		if m.i = start; m.Err == ErrHeader {
			m.step = atEnd
		}
		return false
	}
	m.step, m.start, m.from = inField, m.i, m.i
	if d := m.disposition(h); d.onlyFile() {
		m.step = inFile
	}
	m.parts++
	return true
}

// passContent looks for the end of a part's content.
func (m *Meter) passContent() bool {
	n := strings.Index(m.text[m.from:], m.delimiter)
	if n < 0 {
		m.from = max(m.from, len(m.text)-len(m.delimiter)+1)
		return false
	}
	at := m.from + n
	rest := m.text[at+len(m.delimiter):]
	if len(rest) < len("--") {
		m.from = at
		return false
	}
	before, ours := at, at == m.start
	if !ours && strings.HasSuffix(m.text[m.start:at], m.newline) {
		before, ours = at-len(m.newline), true
	}
	switch {
	case !ours || strings.IndexByte(" \t\r\n", rest[0]) < 0 && rest[:2] != "--":
		m.step, m.from = inField, at+1 // a file in which others find a boundary is judged as a field
		return true
	case m.step == inFile:
		m.files += before - m.start
	}
	m.i, m.step = at, onBoundary
	return true
}
