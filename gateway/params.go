package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
)

// maxFormBody caps a form on a path where parameters are refused: it is read whole before it is passed on.
const maxFormBody = 1 << 20

// refuseBodyParameters refuses (403) a request that carries a parameter by which the application itself would
// sign somebody in, in the query or in a form, on the paths that the application's folder names. It reads
// forms the careless way, so that no parser behind finds what was not seen here. A form that is too large to
// be read whole is refused with 413.
func refuseBodyParameters(r *http.Request, app *App, path canonicalPath) error {
	for _, strip := range app.StripParams {
		if !path.mayBeUnder(strip.Paths) {
			continue
		}
		if formHolds(path.query, strip.Names) {
			return refuse(http.StatusForbidden, "parameter", "")
		}
		if err := refuseFormParameters(r, strip.Names); err != nil {
			return err
		}
	}
	return nil
}

func refuseFormParameters(r *http.Request, names []string) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	// Without a type some applications assume a form.
	kind := strings.ToLower(r.Header.Get("Content-Type"))
	multipart := strings.Contains(kind, "multipart/")
	if kind != "" && !multipart && !strings.Contains(kind, "urlencoded") {
		return nil
	}
	if r.Header.Get("Content-Encoding") != "" {
		return refuse(http.StatusForbidden, "form-encoded", "")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxFormBody+1))
	if err != nil {
		return bodyError(err)
	}
	if len(body) > maxFormBody {
		no := refuse(http.StatusRequestEntityTooLarge, "body-too-large", "")
		no.close = true
		return no
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(body), r.Body}
	// Both readings, whatever the type says: it may be read otherwise behind.
	if formHolds(string(body), names) && !multipart || partsHold(body, names) {
		return refuse(http.StatusForbidden, "parameter", "")
	}
	return nil
}

// bodyError is the answer to a body that broke off or grew too large while it was read.
func bodyError(err error) error {
	var no *refusal
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &no):
		return no
	case errors.As(err, &large):
		no = refuse(http.StatusRequestEntityTooLarge, "body-too-large", "")
	default:
		no = ambiguous("body-broken")
	}
	no.close = true
	return no
}

// formHolds finds a parameter in a query or urlencoded form. Both separators count (CGI.pm takes ";" too).
func formHolds(form string, names []string) bool {
	for form != "" {
		pair := form
		if i := strings.IndexAny(form, "&;"); i >= 0 {
			pair, form = form[:i], form[i+1:]
		} else {
			form = ""
		}
		name, _, _ := strings.Cut(pair, "=")
		if isParameter(name, names) {
			return true
		}
	}
	return false
}

// isParameter compares a parameter's name as PHP, Perl and Java would after decoding: escapes, "+", blanks
// and line ends around it, a bracket or dot behind it, and case do not matter.
func isParameter(name string, names []string) bool {
	var decoded []byte
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%':
			if b, ok := unescape(name[i:]); ok {
				c = b
				i += 2
			}
		}
		decoded = append(decoded, c)
	}
	text := strings.TrimFunc(string(decoded), func(r rune) bool { return r <= ' ' || r == 0xfeff || r == 0xa0 })
	if i := strings.IndexAny(text, "[\x00"); i > 0 {
		text = text[:i]
	}
	for _, refused := range names {
		if strings.EqualFold(text, refused) {
			return true
		}
	}
	return false
}

// partsHold finds a parameter in a multipart form. It does not follow the boundaries, on which parsers
// disagree: every Content-Disposition anywhere in the body counts.
func partsHold(body []byte, names []string) bool {
	const field = "content-disposition"
	lower := bytes.ToLower(body)
	for {
		i := bytes.Index(lower, []byte(field))
		if i < 0 {
			return false
		}
		lower = lower[i+len(field):]
		if dispositionNames(string(headerBlock(lower)), names) {
			return true
		}
	}
}

// headerBlock is the rest of a part's headers: up to the empty line, folded lines included.
func headerBlock(b []byte) []byte {
	b = b[:min(len(b), 4096)]
	for _, end := range []string{"\r\n\r\n", "\n\n", "\r\r"} {
		if i := bytes.Index(b, []byte(end)); i >= 0 {
			b = b[:i]
		}
	}
	return b
}

// dispositionNames looks at every name= and name*= of a part's headers, whatever stands around it.
func dispositionNames(block string, names []string) bool {
	for {
		i := strings.Index(block, "name")
		if i < 0 {
			return false
		}
		file := strings.HasSuffix(block[:i], "file")
		block = block[i+len("name"):]
		if file {
			continue
		}
		rest := strings.TrimLeft(block, " \t\r\n*0")
		if !strings.HasPrefix(rest, "=") {
			continue
		}
		value := strings.TrimLeft(rest[1:], " \t\r\n")
		if value != "" && (value[0] == '"' || value[0] == '\'') {
			quote := value[0]
			value = strings.ReplaceAll(value[1:], `\`, "")
			if end := strings.IndexByte(value, quote); end >= 0 {
				value = value[:end]
			}
		} else {
			if end := strings.IndexAny(value, "; \t\r\n"); end >= 0 {
				value = value[:end]
			}
			if i := strings.LastIndexByte(value, '\''); i >= 0 {
				value = value[i+1:] // RFC 8187: charset'language'value
			}
		}
		if isParameter(value, names) {
			return true
		}
	}
}
