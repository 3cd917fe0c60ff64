package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// maxPath caps the path in bytes. Applications' own limits are near 2,000 (browsers, caches) to 8,000.
const maxPath = 4096

// pathAllow says which classes of ambiguous paths a site lets through (PathConfig). The zero value refuses all.
type pathAllow struct {
	encodedSlash, semicolon, doubleEncoding, backslash bool
}

// newPathAllow reads the site's and the application folder's PathConfig.
func newPathAllow(cfg PathConfig, app *App) (pathAllow, error) {
	var allow pathAllow
	classes := cfg.Allow
	if app != nil {
		classes = append(append([]string(nil), classes...), app.Paths.Allow...)
	}
	for _, class := range classes {
		switch class {
		case "encoded-slash":
			allow.encodedSlash = true
		case "semicolon":
			allow.semicolon = true
		case "double-encoding":
			allow.doubleEncoding = true
		case "backslash":
			allow.backslash = true
		default:
			return pathAllow{}, fmt.Errorf("paths.allow: unknown class %q", class)
		}
	}
	return allow, nil
}

// What a byte of a path means to the scan.
const (
	pathBad    = iota // never in a path: controls, space, non-ASCII, "#" and "?"
	pathPlain         // unreserved or a harmless delimiter: stands for itself everywhere
	pathUpper         // the same, but folding changes it
	pathSlash         // ends a segment
	pathDot           // ends or makes up a segment that file systems read differently
	pathOther         // needs the full scan: "%", ";", "\", ":", "~" and characters that must be escaped
	pathEscape        // printable but not allowed in a path (RFC 3986 3.3): sent escaped
)

func pathClass(c byte) int {
	switch {
	case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		return pathPlain
	case c >= 'A' && c <= 'Z':
		return pathUpper
	}
	switch c {
	case '/':
		return pathSlash
	case '.':
		return pathDot
	case '-', '_', '!', '$', '&', '\'', '(', ')', '*', '+', ',', '=', '@':
		return pathPlain
	case '%', ';', '\\', ':', '~':
		return pathOther
	case '"', '<', '>', '[', ']', '^', '`', '{', '|', '}':
		return pathEscape
	default:
		return pathBad
	}
}

// canonicalisePath reads a path that begins with a slash. On "//" it returns the collapsed path and an
// error; on any other error the path is empty.
func canonicalisePath(path string, allow pathAllow) (canonicalPath, error) {
	if len(path) > maxPath {
		return canonicalPath{}, refuse(http.StatusRequestHeaderFieldsTooLarge, "path-too-long", "")
	}
	if path == "" || path[0] != '/' {
		return canonicalPath{}, ambiguous("target-form")
	}
	if upper, ok := plainPath(path); ok {
		p := canonicalPath{decoded: path, folded: path, raw: path}
		if upper {
			p.folded = strings.ToLower(path)
		}
		return p, nil
	}
	return scanPath(path, allow)
}

// plainPath is the fast way: it accepts paths in which no byte can be read in two ways, and allocates nothing.
func plainPath(path string) (upper, ok bool) {
	previous := pathPlain
	for i := 0; i < len(path); i++ {
		class := pathClass(path[i])
		switch class {
		case pathPlain:
		case pathUpper:
			upper = true
		case pathSlash:
			if previous == pathSlash || previous == pathDot {
				return false, false
			}
		case pathDot:
		default:
			return false, false
		}
		previous = class
	}
	return upper, previous != pathDot
}

// scan is the full reading of a path that holds something unusual.
type scan struct {
	raw, decoded []byte
	traits
}

// traits are the unusual things that a path holds.
type traits struct {
	encodedSlash, semicolon, backslash, doubled, cut, emptySegment bool
}

func scanPath(path string, allow pathAllow) (canonicalPath, error) {
	s := scan{raw: make([]byte, 0, len(path)+8), decoded: make([]byte, 0, len(path))}
	if reason := s.read(path); reason != "" {
		return canonicalPath{}, ambiguous(reason)
	}
	s.find()
	switch {
	case s.encodedSlash && !allow.encodedSlash:
		return canonicalPath{}, ambiguous("path-encoded-slash")
	case s.semicolon && !allow.semicolon:
		return canonicalPath{}, ambiguous("path-semicolon")
	case s.backslash && !allow.backslash:
		return canonicalPath{}, ambiguous("path-backslash")
	case s.doubled && !allow.doubleEncoding:
		return canonicalPath{}, ambiguous("path-double-encoding")
	}
	raw, decoded := string(s.raw), strings.ReplaceAll(string(s.decoded), string(rune(slashMark)), "%2F")
	if reason := badReading(decoded); reason != "" {
		return canonicalPath{}, ambiguous(reason)
	}
	if s.emptySegment {
		// Only raw is filled in: this is where a GET is sent, not something to judge.
		return canonicalPath{raw: collapseSlashes(raw)}, ambiguous("path-empty-segment")
	}
	p := canonicalPath{decoded: decoded, folded: foldPath(decoded), raw: raw}
	if err := p.addReadings(s.traits, allow); err != nil {
		return canonicalPath{}, err
	}
	return p, nil
}

// slashMark stands for an escaped slash while a path is scanned; afterwards it is "%2F" again. NUL itself is
// refused before it could be mistaken for the mark.
const slashMark = 0

// read decodes path once and writes its canonical form: escapes of unreserved characters undone, others in
// upper case, characters that a path may not hold escaped (RFC 3986 6.2.2). An escaped slash becomes
// slashMark: it is a character of its segment here, and splits only in a reading of its own.
func (s *scan) read(path string) (reason string) {
	for i := 0; i < len(path); i++ {
		c := path[i]
		class := pathClass(c)
		switch {
		case class == pathBad:
			return "path-bytes"
		case class == pathEscape, c == '\\':
			s.decoded = append(s.decoded, c)
			s.raw = appendEscaped(s.raw, c)
			continue
		case c != '%':
			s.decoded = append(s.decoded, c)
			s.raw = append(s.raw, c)
			continue
		}
		b, ok := unescape(path[i:])
		if !ok {
			return "path-escape"
		}
		i += 2
		switch {
		case b < ' ' || b == 0x7f:
			return "path-control"
		case b == '/':
			s.encodedSlash = true
			s.decoded = append(s.decoded, slashMark)
			s.raw = append(s.raw, "%2F"...)
			continue
		case isUnreserved(b):
			s.raw = append(s.raw, b)
		default:
			s.raw = appendEscaped(s.raw, b)
		}
		s.decoded = append(s.decoded, b)
	}
	return ""
}

// find notes the traits of what was decoded.
func (s *scan) find() {
	for i, c := range s.decoded {
		switch c {
		case ';':
			s.semicolon = true
		case '\\':
			s.backslash = true
		case '?', '#':
			s.cut = true
		case '/':
			s.emptySegment = s.emptySegment || i > 0 && s.decoded[i-1] == '/'
		case '%':
			if startsEscape(s.decoded[i:]) {
				s.doubled = true
			}
		}
	}
}

// badReading names what no reading of a path may hold.
func badReading(path string) string {
	if !utf8.ValidString(path) {
		return "path-utf8" // also overlong forms
	}
	for i, c := range path {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == 0xfffd {
			return "path-control"
		}
		// NTFS: /data::$INDEX_ALLOCATION is /data.
		if c == ':' && strings.HasPrefix(path[i:], ":$") {
			return "path-stream"
		}
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment != "" && strings.Trim(segment, ". ") == "" {
			return "path-dot-segment" // "." and "..", and "... " where trailing dots do not count
		}
		if isShortName(segment) {
			return "path-short-name"
		}
	}
	return lookalikeSeparators(path)
}

// isShortName recognises the 8.3 names by which Windows knows longer ones: ADMINI~1 is administrator.
func isShortName(segment string) bool {
	tilde := strings.IndexByte(segment, '~')
	if tilde < 1 || tilde > 6 || tilde == len(segment)-1 {
		return false
	}
	base, extension, _ := strings.Cut(segment[tilde+1:], ".")
	if base == "" || len(base) > 6 || len(extension) > 3 {
		return false
	}
	return strings.Trim(base, "0123456789") == ""
}

func collapseSlashes(path string) string {
	out := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		if path[i] == '/' && len(out) > 0 && out[len(out)-1] == '/' {
			continue
		}
		out = append(out, path[i])
	}
	return string(out)
}

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

func appendEscaped(dst []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(dst, '%', digits[c>>4], digits[c&15])
}

// unescape reads the "%XX" that s begins with.
func unescape(s string) (byte, bool) {
	if len(s) < 3 {
		return 0, false
	}
	high, ok := hexDigit(s[1])
	low, lowOK := hexDigit(s[2])
	return high<<4 | low, ok && lowOK
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	default:
		return 0, false
	}
}
