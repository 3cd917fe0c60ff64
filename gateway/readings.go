package gateway

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// maxDecodings is how often a path may be percent-decoded until nothing changes, where double encoding is
// allowed at all.
const maxDecodings = 3

// maxReadings caps the readings of one path: each costs as much as a whole ordinary path, and no honest one
// mixes more than two or three classes.
const maxReadings = 12

// addReadings works out what else a back end may understand by p, and refuses p when one of the readings is
// one that no path may have, or leads to our own pages.
func (p *canonicalPath) addReadings(t traits, allow pathAllow) error {
	if !t.encodedSlash && !t.semicolon && !t.backslash && !t.doubled && !t.cut {
		return nil
	}
	texts := []string{p.decoded}
	if t.doubled {
		more, reason := decodings(p.decoded, allow)
		if reason != "" {
			return ambiguous(reason)
		}
		texts = append(texts, more...)
	}
	texts = vary(texts, func(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "%2F", "/"), "%2f", "/") })
	texts = vary(texts, func(s string) string { return strings.ReplaceAll(s, `\`, "/") })
	texts = vary(texts, cutPath)
	texts = vary(texts, stripParameters)
	if len(texts) > maxReadings {
		return ambiguous("path-readings")
	}
	own := hasOwnPrefix(p.folded)
	for _, text := range texts[1:] {
		text = collapseSlashes(text)
		if reason := badReading(text); reason != "" {
			return ambiguous(reason)
		}
		if text == p.decoded {
			continue
		}
		r := reading{decoded: text, folded: foldPath(text)}
		own = own || hasOwnPrefix(r.folded)
		p.others = append(p.others, r)
	}
	if own {
		return ambiguous("path-own-page")
	}
	return nil
}

// vary adds to texts what change makes of each, where that differs.
func vary(texts []string, change func(string) string) []string {
	for _, text := range texts {
		if changed := change(text); changed != text {
			texts = append(texts, changed)
		}
	}
	return texts
}

// decodings returns what comes out of decoding path again and again. Decoding may uncover only what the site
// allows in the open.
func decodings(path string, allow pathAllow) (more []string, reason string) {
	for range maxDecodings {
		next := decodeAgain(path)
		if next == path {
			return more, ""
		}
		switch {
		case strings.Count(next, "/") > strings.Count(path, "/") && !allow.encodedSlash:
			return nil, "path-encoded-slash"
		case strings.Contains(next, ";") && !allow.semicolon:
			return nil, "path-semicolon"
		case strings.Contains(next, `\`) && !allow.backslash:
			return nil, "path-backslash"
		}
		more = append(more, next)
		path = next
	}
	return nil, "path-double-encoding"
}

func decodeAgain(path string) string {
	out := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		if path[i] == '%' {
			if b, ok := unescape(path[i:]); ok {
				out = append(out, b)
				i += 2
				continue
			}
			if r, ok := unescapeUnicode(path[i:]); ok {
				out = append(out, string(r)...)
				i += 5
				continue
			}
		}
		out = append(out, path[i])
	}
	return string(out)
}

// unescapeUnicode reads "%uXXXX", which IIS and some script engines decode.
func unescapeUnicode(s string) (rune, bool) {
	if len(s) < 6 || s[1] != 'u' && s[1] != 'U' {
		return 0, false
	}
	var r rune
	for i := 2; i < 6; i++ {
		digit, ok := hexDigit(s[i])
		if !ok {
			return 0, false
		}
		r = r<<4 | rune(digit)
	}
	return r, true
}

// startsEscape says whether a second decoding would change the "%" that s begins with.
func startsEscape(s []byte) bool {
	text := string(s[:min(len(s), 6)])
	if _, ok := unescape(text); ok {
		return true
	}
	_, ok := unescapeUnicode(text)
	return ok
}

// cutPath is the reading of back ends that decode before they split off query and fragment.
func cutPath(path string) string {
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	return path
}

// stripParameters is the reading of servlet containers: a segment ends at its first ";".
func stripParameters(path string) string {
	var out strings.Builder
	for len(path) > 0 {
		next := strings.IndexByte(path[1:], '/') + 1
		if next == 0 {
			next = len(path)
		}
		segment, _, _ := strings.Cut(path[:next], ";")
		out.WriteString(segment)
		path = path[next:]
	}
	return out.String()
}

// foldPath is how a careless file system or router may compare: without case, without dots and spaces at the
// end of a segment (Windows), and with compatibility forms of letters taken for the letters themselves.
func foldPath(path string) string {
	ascii, plain := true, true
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c >= 0x80:
			ascii = false
		case c >= 'A' && c <= 'Z':
			plain = false
		case (c == '.' || c == ' ') && (i+1 == len(path) || path[i+1] == '/' || path[i+1] == '.' || path[i+1] == ' '):
			plain = false
		}
	}
	if ascii && plain {
		return path
	}
	if !ascii {
		path = strings.Map(dropIgnorable, norm.NFKC.String(path))
	}
	path = strings.ToLower(path)
	var out strings.Builder
	for i, segment := range strings.Split(path, "/") {
		if i > 0 {
			out.WriteByte('/')
		}
		out.WriteString(strings.TrimRight(segment, ". "))
	}
	return out.String()
}

// dropIgnorable removes what is not seen and what collations skip: soft hyphen, joiners, variation selectors.
func dropIgnorable(r rune) rune {
	switch {
	case r == 0xad, r == 0x34f, r == 0x61c, r == 0x180e, r == 0xfeff,
		r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2060 && r <= 0x2069, r >= 0xfe00 && r <= 0xfe0f:
		return -1
	default:
		return r
	}
}

// lookalikeSeparators refuses characters that turn into a separator or a dot segment when a back end maps
// them to its own character set: U+FF0F is a slash to some.
func lookalikeSeparators(path string) string {
	ascii := true
	for i := 0; i < len(path) && ascii; i++ {
		ascii = path[i] < 0x80
	}
	if ascii {
		return ""
	}
	folded := strings.Map(dropIgnorable, norm.NFKC.String(path))
	if strings.Count(folded, "/") != strings.Count(path, "/") || strings.Count(folded, `\`) != strings.Count(path, `\`) {
		return "path-lookalike"
	}
	for segment := range strings.SplitSeq(folded[1:], "/") {
		if segment != "" && strings.Trim(segment, ". ") == "" {
			return "path-lookalike"
		}
	}
	return ""
}

func hasOwnPrefix(folded string) bool {
	return strings.HasPrefix(folded, ownPrefix) || folded == strings.TrimSuffix(ownPrefix, "/")
}
