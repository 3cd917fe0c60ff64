package body

import (
	"errors"
	"iter"
	"mime"
	"net/textproto"
	"slices"
	"strings"
)

const (
	contentDisposition = "Content-Disposition"
	transferEncoding   = "Content-Transfer-Encoding"
)

// partHeader is the header of one part, in its order.
type partHeader struct {
	lines []Pair // the name as the standard library writes it, and the value
}

// get returns the first value of a header.
func (h *partHeader) get(name string) string {
	for _, line := range h.lines {
		if line.Name == name {
			return line.Value
		}
	}
	return ""
}

// header reads the header at m.i, and leaves m.i at the content. It is nil where the body ends before it does.
func (m *splitter) header() *partHeader {
	h := &partHeader{}
	start := m.i
	for count := 0; m.i < len(m.text); count++ {
		line := m.text[m.i:]
		n := strings.IndexByte(line, '\n')
		if n < 0 {
			m.i = len(m.text)
			return nil
		}
		line = line[:n]
		m.i += n + 1
		if m.i-start > m.limits.HeaderBytes || count > 100 {
			m.Flags |= Malformed
			m.fail(ErrHeader)
			m.i = len(m.text)
			return nil
		}
		bare := strings.TrimSuffix(line, "\r")
		m.crlf = m.crlf || bare != line
		if bare == line {
			m.Flags |= LFLine
		}
		if bare == "" {
			m.repeated(h)
			return h
		}
		if strings.Contains(bare, m.delimiter) {
			m.Flags |= Contested
		}
		m.headerLine(h, bare)
	}
	return nil
}

// headerLine reads one line of a header.
func (m *splitter) headerLine(h *partHeader, line string) {
	if line[0] == ' ' || line[0] == '\t' {
		m.folded(h, strings.Trim(line, " \t"))
		return
	}
	name, value, ok := strings.Cut(line, ":")
	value = strings.Trim(value, " \t")
	if !ok || !headerName(name) || !headerValue(value) {
		m.Flags |= Malformed
		m.fail(errors.New("multipart: a part's header is malformed"))
		if !ok {
			if last := len(h.lines) - 1; last >= 0 { // it belongs to the line before it, for some
				h.lines[last].Value += line
			}
			return
		}
	}
	if trimmed := strings.TrimSpace(name); trimmed != name {
		m.Flags |= Contested
	} else {
		name = textproto.CanonicalMIMEHeaderKey(name)
	}
	h.lines = append(h.lines, Pair{name, value})
}

// folded adds a line that goes on from the one before it.
func (m *splitter) folded(h *partHeader, text string) {
	m.Flags |= HeaderFolding
	last := len(h.lines) - 1
	if text == "" || last < 0 {
		m.Flags |= InvalidHeaderFolding
	}
	if last < 0 || !headerValue(text) {
		m.Flags |= Malformed
		m.fail(errors.New("multipart: a part's header is malformed"))
	}
	if last >= 0 {
		h.lines[last].Value = strings.TrimLeft(h.lines[last].Value+" "+text, " \t")
	}
}

// headerName says whether the standard library takes s for a header's name: a token, and spaces.
func headerName(s string) bool {
	for _, c := range []byte(s) {
		if c <= 0x1f || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// headerValue says whether s has no control characters but tabs.
func headerValue(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// repeated flags what some parsers read from the first header, and some from the last.
func (m *splitter) repeated(h *partHeader) {
	quotedPrintable := strings.EqualFold(h.get(transferEncoding), "quoted-printable")
	seen := make(map[string]bool, len(h.lines))
	for _, line := range h.lines {
		name := strings.ToLower(strings.TrimSpace(line.Name))
		if seen[name] && !(quotedPrintable && line.Name == transferEncoding) {
			m.Flags |= DuplicatePartHeader
		}
		seen[name] = true
	}
	if strings.HasPrefix(strings.ToLower(h.get("Content-Type")), "multipart/") {
		m.Flags |= Contested // parts within a part
	}
	switch strings.ToLower(h.get(transferEncoding)) {
	case "", "7bit", "8bit", "binary":
	default:
		m.Flags |= Contested // decoded by some
	}
}

// disposition is what a part's Content-Disposition says.
type disposition struct {
	name       string   // the field, as the standard library reads it
	names      []string // as others could, at most four
	filename   string
	other      string // the file's name for those that read the header in another way
	charset    string // of filename*
	language   string
	extended   bool // there is a filename* in its proper form
	maybeField bool // some see a field, not a file
}

// onlyFile says whether the part is a file for everybody.
func (d *disposition) onlyFile() bool { return (d.filename != "" || d.other != "") && !d.maybeField }

// disposition reads the header of a part.
func (m *splitter) disposition(h *partHeader) (d disposition) {
	value := h.get(contentDisposition)
	kind, parameters, err := mime.ParseMediaType(value)
	if err == nil {
		d.filename = parameters["filename"]
		if kind == "form-data" {
			d.name = parameters["name"]
		}
	}
	standard := d.filename
	plain, star, continued := m.looseNames(value, &d)
	switch {
	case err != nil:
		if value != "" {
			m.Flags |= Malformed
		}
	case star != nil:
		m.extendedName(&d, plain, *star)
	case continued && plain != nil:
		if d.filename != *plain {
			d.other = d.filename
		}
		d.filename = *plain
	}
	if continued {
		m.Flags |= Malformed
	}
	// A part with an empty file name is a field: for the standard library an empty filename* makes one.
	d.maybeField = plain == nil || *plain == "" || standard == ""
	if d.name == "" && len(d.names) == 0 {
		m.Flags |= InvalidPart
	}
	return d
}

// looseNames reads the parameters as a tolerant parser does: the file's plain name, filename*, whether there is a
// filename*0, and the field's names that the standard library does not see.
func (m *splitter) looseNames(value string, d *disposition) (plain, star *string, continued bool) {
	seen := make(map[string]bool, 4)
	for p := range parametersOf(value) {
		key := strings.ToLower(p.key)
		if seen[key] {
			m.Flags |= DuplicatePartHeader
		}
		seen[key] = true
		m.Flags |= p.flags & (InvalidQuoting | MissingSemicolon)
		if p.flags.Has(spaced) && (strings.HasPrefix(key, "name") || strings.HasPrefix(key, "filename")) {
			m.Flags |= Contested // "filename " is no file's name for PHP
		}
		switch {
		case key == "name":
			for _, name := range []string{p.value, strings.Trim(p.value, "'")} {
				if name != d.name && len(d.names) < 4 && !slices.Contains(d.names, name) {
					d.names = append(d.names, name)
				}
			}
		case strings.HasPrefix(key, "name*"):
			m.Flags |= Contested
		case key == "filename" && plain == nil:
			plain = &p.value
		case key == "filename*" && star == nil:
			star = &p.value
			if p.flags.Has(quoted) {
				m.Flags |= InvalidQuoting
			}
		case strings.HasPrefix(key, "filename*"):
			continued = continued || decimal(strings.TrimSuffix(key[len("filename*"):], "*"))
		}
	}
	return plain, star, continued
}

func decimal(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// extendedName reads filename*=charset'language'escaped (RFC 5987). It goes before the plain name (RFC 7578, 4.2), which
// is kept as the other one.
func (m *splitter) extendedName(d *disposition, plain *string, star string) {
	parts := strings.SplitN(star, "'", 3)
	if len(parts) != 3 {
		m.Flags |= Malformed
		return
	}
	d.charset, d.language, d.extended = parts[0], parts[1], true
	var out strings.Builder
	for text := parts[2]; text != ""; {
		c, ok := text[0], false
		if c == '%' {
			if c, ok = escaped(text); !ok {
				m.Flags |= Malformed
			}
		}
		out.WriteByte(c)
		if ok {
			text = text[2:]
		}
		text = text[1:]
	}
	d.filename = out.String()
	if plain != nil && *plain != d.filename {
		d.other = *plain
	}
}

// Marks of a parameter that are nobody's flags; they share the type to be set together with those.
const (
	quoted Flags = 1 << (30 + iota)
	spaced
)

// parameter is one parameter of a header, read tolerantly.
type parameter struct {
	key, value string
	flags      Flags // InvalidQuoting, MissingSemicolon, quoted, spaced
}

// parametersOf yields the parameters of a header: what semicolons outside of quotes separate and an equals sign parts.
func parametersOf(header string) iter.Seq[parameter] {
	return func(yield func(parameter) bool) {
		start, inQuotes := 0, false
		for i := 0; i <= len(header); i++ {
			switch {
			case i == len(header) || header[i] == ';' && !inQuotes:
				if key, value, ok := strings.Cut(header[min(start, i):i], "="); ok {
					p := parameterOf(strings.TrimLeft(key, " \t"), value)
					if i == len(header) && inQuotes {
						p.flags |= InvalidQuoting
					}
					if !yield(p) {
						return
					}
				}
				start = i + 1
			case header[i] == '\\' && inQuotes:
				i++
			case header[i] == '"':
				inQuotes = !inQuotes
			}
		}
	}
}

// parameterOf reads a value with its quotes.
func parameterOf(key, value string) (p parameter) {
	p.key, p.value = strings.TrimSpace(key), strings.TrimSpace(value)
	if p.key != key || strings.TrimLeft(value, " \t") != value {
		p.flags |= spaced
	}
	switch {
	case p.value == "":
	case p.value[0] == '\'':
		p.flags |= InvalidQuoting
	case p.value[0] != '"':
		if strings.IndexByte(p.value, '"') >= 0 {
			p.flags |= InvalidQuoting
		}
	default:
		p.flags |= quoted
		p.unquote()
	}
	return p
}

// unquote removes the quotes and the backslashes of a value. One that goes on behind its quotes is left alone.
func (p *parameter) unquote() {
	var out strings.Builder
	for i := 1; i < len(p.value); i++ {
		switch c := p.value[i]; {
		case c == '"' && i+1 < len(p.value):
			p.flags |= MissingSemicolon
			return
		case c == '"':
			p.value = out.String()
			return
		case c == '\\' && i+1 < len(p.value)-1:
			i++
			out.WriteByte(p.value[i])
		default:
			out.WriteByte(c)
		}
	}
	p.flags |= InvalidQuoting
}
