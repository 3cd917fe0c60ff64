package body

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"
)

// Multipart takes a multipart body apart (RFC 7578, RFC 2046). contentType is the whole header of the request.
//
// It sees the parts that Coraza and Go's standard library see, and goes on where they stop, because other parsers do:
// behind a malformed header, and behind the last boundary. What only another parser would see is returned with the flag
// Ambiguous: the other names of a field, the content of a part that is a file for some and a field for others, and the
// content of a file in which some find another boundary. The flag Contested is for what cannot be returned.
//
// All counts as fields but the contents of files that are files for everybody: lines of boundaries, headers of parts, what stands
// before, between and behind them.
func Multipart(contentType, text string, l Limits) Result {
	m := splitter{text: text, limits: l.filled(), newline: "\r\n"}
	boundary, err := m.boundary(contentType)
	if err != nil {
		m.fail(err)
		return m.Result
	}
	m.delimiter = "--" + boundary
	if !m.preamble(0) {
		m.i = len(m.text)
		m.fail(errors.New("multipart: no boundary in the body"))
	}
	m.count()
	for m.i < len(m.text) && !m.Over {
		if len(m.Names) >= m.limits.Parts {
			m.Flags |= FileLimitExceeded
			m.fail(ErrParts)
			break
		}
		m.part()
		m.count()
	}
	if !m.ended {
		m.Flags |= Incomplete
	}
	if m.Flags.Has(LFLine) && m.crlf {
		m.Flags |= CRLFLFLines
	}
	return m.Result
}

// splitter goes through one body from its front to its end.
type splitter struct {
	Result
	text      string
	i         int // where the next part's header begins, or the end
	limits    Limits
	delimiter string // -- and the boundary
	newline   string // what ends the line of a boundary: CRLF, or LF where the first one has it
	crlf      bool   // a line ended with CRLF
	ended     bool   // the last boundary has been seen
	files     int    // bytes before i that are the contents of files and nothing else
}

// count says how much of what was read are fields.
func (m *splitter) count() {
	m.Fields = m.i - m.files
	if most := m.limits.Fields; most > 0 && m.Fields > most {
		m.Fields, m.Over = most, true
	}
}

// boundary finds the boundary in the request's header.
func (m *splitter) boundary(contentType string) (string, error) {
	media, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		m.Flags |= Malformed
		return "", fmt.Errorf("multipart: read Content-Type: %w", err)
	}
	if !strings.HasPrefix(media, "multipart/") {
		return "", fmt.Errorf("multipart: the media type is %s", media)
	}
	boundary := parameters["boundary"]
	if boundary == "" {
		m.Flags |= Malformed
		return "", errors.New("multipart: no boundary")
	}
	// Some look for the word and not for the parameter. Browsers have it in the boundary itself (WebKitFormBoundary), where
	// nobody finds it first.
	rest, value := strings.ToLower(contentType), strings.ToLower(boundary)
	for _, parameter := range []string{"boundary=" + value, `boundary="` + value + `"`} {
		if i := strings.Index(rest, parameter); i >= 0 {
			rest = rest[:i] + "boundary" + rest[i+len(parameter):]
			break
		}
	}
	if strings.Count(rest, "boundary") > 1 || strings.Contains(value, "boundary=") {
		m.Flags |= Contested
	}
	for p := range parametersOf(contentType) {
		if strings.HasPrefix(strings.ToLower(p.key), "boundary") {
			if p.flags.Has(quoted) {
				m.Flags |= BoundaryQuoted
			}
			if p.flags.Has(spaced) || strings.ContainsAny(p.value, " \t") {
				m.Flags |= BoundaryWhitespace
			}
			if strings.Contains(p.key, "*") {
				m.Flags |= Contested
			}
		}
	}
	return boundary, nil
}

// mark is what stands at a place that may be a boundary.
type mark int

const (
	noBoundary    mark = iota
	delimiter          // the line of a boundary
	final              // the line of the last boundary
	broken             // a boundary with more on its line; it ends the part, and the standard library stops here
	lookalikeLine      // a line that begins as a boundary does
)

// markAt says what the delimiter at text[at:], which stands at the front of a line, is, and where its line ends.
func (m *splitter) markAt(at int) (kind mark, end int) {
	rest := m.text[at+len(m.delimiter):]
	line := rest
	end = len(m.text)
	if n := strings.IndexByte(rest, '\n'); n >= 0 {
		line = rest[:n+1]
		end = at + len(m.delimiter) + n + 1
	}
	tail := strings.TrimLeft(line, " \t")
	switch {
	case tail == m.newline:
		if tail != line {
			m.Flags |= BoundaryWhitespace
		}
		return delimiter, end
	case strings.HasPrefix(line, "--"):
		tail = strings.TrimLeft(line[2:], " \t")
		if tail == "" || tail == m.newline {
			return final, end
		}
		return broken, end
	case line == "" || strings.IndexByte(" \t\r\n", line[0]) >= 0:
		return broken, end
	}
	return lookalikeLine, end
}

// preamble finds the first boundary from a line on; false: there is none. What stands before it belongs to nobody.
func (m *splitter) preamble(at int) bool {
	for at < len(m.text) {
		end := len(m.text)
		if n := strings.IndexByte(m.text[at:], '\n'); n >= 0 {
			end = at + n + 1
		}
		if end-at >= 4096 {
			m.fail(errors.New("multipart: a long line before the first boundary")) // as the standard library says
		}
		if strings.HasPrefix(m.text[at:], m.delimiter) {
			m.newlineOf(m.text[at:end])
			kind, _ := m.markAt(at)
			if kind == delimiter || kind == final {
				if at > 0 {
					m.Flags |= DataBefore
				}
				m.i = end
				if kind == final {
					m.finish(end)
				}
				return true
			}
			m.newline = "\r\n"
			m.Flags |= UnmatchedBoundary
		}
		at = end
	}
	return false
}

// newlineOf takes the end of the first boundary's line for all of them.
func (m *splitter) newlineOf(line string) {
	if tail := strings.TrimLeft(line[len(m.delimiter):], " \t"); tail == "\n" {
		m.newline = "\n"
	}
}

// part reads one part, whose header begins at m.i.
func (m *splitter) part() {
	hidden := m.ended
	h := m.header()
	if h == nil {
		return
	}
	start := m.i
	end, lookalike := m.content()
	m.keep(h, start, end, hidden || lookalike)
}

// content finds the end of the content that begins at m.i, and the next part. lookalike says whether another parser
// could find a boundary in it.
func (m *splitter) content() (end int, lookalike bool) {
	start := m.i
	for from := start; ; {
		n := strings.Index(m.text[from:], m.delimiter)
		if n < 0 {
			m.i = len(m.text)
			return m.cut(start), lookalike
		}
		at := from + n
		from = at + 1
		if at > start && m.text[at-1] != '\n' && m.text[at-1] != '\r' {
			m.Flags |= Contested // Perl's CGI.pm finds it wherever it stands
			lookalike = true
			continue
		}
		before, ours := at, at == start
		if !ours && strings.HasSuffix(m.text[start:at], m.newline) {
			before, ours = at-len(m.newline), true
		}
		kind, next := noBoundary, 0
		if ours { // only then is there a line end near, and the work stays linear
			kind, next = m.markAt(at)
		}
		if kind == noBoundary || kind == lookalikeLine {
			m.Flags |= UnmatchedBoundary | Contested
			lookalike = true
			continue
		}
		m.i = next
		if at == start {
			m.Flags |= Contested // PHP looks for a line end of its own before the boundary
		}
		switch kind {
		case final:
			m.finish(next)
		case broken:
			m.fail(errors.New("multipart: text on the line of a boundary"))
			m.Flags |= Malformed
		}
		return before, lookalike
	}
}

// cut is where the content that begins at start ends, when the body ends first; the front of a boundary is no content.
func (m *splitter) cut(start int) int {
	last := strings.LastIndexByte(m.text[start:], m.newline[0])
	if last >= 0 && strings.HasPrefix(m.newline+m.delimiter, m.text[start+last:]) {
		return start + last
	}
	return len(m.text)
}

// finish looks behind the last boundary. There should be nothing; PHP, for one, goes on to read parts.
func (m *splitter) finish(at int) {
	if m.ended = true; strings.TrimLeft(m.text[at:], " \t\r\n") == "" {
		m.i = len(m.text)
		return
	}
	m.Flags |= DataAfter
	for {
		n := strings.Index(m.text[at:], m.delimiter)
		if n < 0 {
			m.i = len(m.text)
			return
		}
		at += n
		if kind, next := m.markAt(at); kind != final {
			m.Flags |= Contested
			m.i = next
			return
		}
		at++
	}
}

// keep files a part's content under what its header says. The content of a file is kept as a field's too, where another
// parser could see one.
func (m *splitter) keep(h *partHeader, start, end int, field bool) {
	d := m.disposition(h)
	field = field || !d.onlyFile()
	if field {
		end = m.room(start, end)
	} else {
		m.files += end - start
	}
	content := m.text[start:end]
	raw, decoded := content, false
	if strings.EqualFold(h.get(transferEncoding), "quoted-printable") {
		decoded = true
		content = m.quotedPrintable(content)
	}
	for _, line := range h.lines {
		if decoded && line.Name == transferEncoding {
			continue
		}
		m.Headers = append(m.Headers, Pair{d.name, line.Name + ": " + line.Value})
	}
	m.Names = append(m.Names, Pair{d.name, d.name})
	for _, name := range []string{d.filename, d.other} {
		if name != "" {
			m.Filenames = append(m.Filenames, Pair{d.name, name})
		}
	}
	if d.extended {
		m.Charsets = append(m.Charsets, Pair{d.name, d.charset})
		m.Languages = append(m.Languages, Pair{d.name, d.language})
	}
	m.Combined += int64(len(content))
	file := File{Field: d.name, Name: d.filename, Other: d.other, Size: int64(len(content))}
	if file.Name == "" {
		file.Name, file.Other = d.other, ""
	}
	if file.Other == file.Name {
		file.Other = ""
	}
	if file.Name != "" {
		m.Files = append(m.Files, file)
	}
	if file.Name != "" && field {
		m.Flags |= Ambiguous
	}
	if field {
		m.field(d, content)
		if raw != content {
			m.Flags |= Ambiguous
			m.Arguments = append(m.Arguments, Pair{d.name, raw})
		}
	}
}

// room is where a field's value ends so that all fields together are no longer than they may be.
func (m *splitter) room(start, end int) int {
	if m.limits.Fields <= 0 {
		return end
	}
	return min(end, max(start, m.limits.Fields+m.files))
}

// field keeps a field's value, under each of its names.
func (m *splitter) field(d disposition, value string) {
	m.Arguments = append(m.Arguments, Pair{d.name, value})
	for _, name := range d.names {
		m.Flags |= Ambiguous
		m.Arguments = append(m.Arguments, Pair{name, value})
	}
}

// quotedPrintable decodes a part's content as the standard library does; other parsers leave it as it is.
func (m *splitter) quotedPrintable(content string) string {
	decoded, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(content)))
	if err != nil {
		m.Flags |= Malformed
		m.fail(fmt.Errorf("multipart: quoted-printable: %w", err))
		return content
	}
	return string(decoded)
}
