package gateway

import "strings"

// forwardedElement is one proxy's entry in a Forwarded header (RFC 7239 4).
type forwardedElement struct {
	node  string // for=, unquoted
	proto string // proto=, unquoted
}

// maxForwardedElements caps what is kept of a Forwarded header.
const maxForwardedElements = 2 * maxHops

// parseForwarded reads all lines of a Forwarded header. It is strict, because a client may have begun the
// list that the trusted proxy went on with: an open quote must not swallow the proxy's own entry. false means
// malformed anywhere.
func parseForwarded(lines []string) ([]forwardedElement, bool) {
	var elements []forwardedElement
	for _, line := range lines {
		rest := line
		for {
			element, remaining, ok := parseForwardedElement(rest)
			if !ok || len(elements) >= maxForwardedElements {
				return nil, false
			}
			elements = append(elements, element)
			if remaining == "" {
				break
			}
			rest = remaining[1:] // the comma
		}
	}
	return elements, true
}

// parseForwardedElement reads pairs up to a comma, with which remaining begins, or the end.
func parseForwardedElement(s string) (element forwardedElement, remaining string, ok bool) {
	var seenFor, seenProto bool
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == ',' {
			return element, s, true
		}
		if s[0] == ';' {
			s = s[1:]
			continue
		}
		name, value, rest, ok := parseForwardedPair(s)
		if !ok {
			return element, "", false
		}
		switch {
		case strings.EqualFold(name, "for"):
			if seenFor || value == "" {
				return element, "", false
			}
			element.node, seenFor = value, true
		case strings.EqualFold(name, "proto"):
			if seenProto || value == "" {
				return element, "", false
			}
			element.proto, seenProto = value, true
		}
		s = strings.TrimLeft(rest, " \t")
		if s != "" && s[0] != ';' && s[0] != ',' {
			return element, "", false
		}
	}
}

// parseForwardedPair reads token "=" ( token / quoted-string ).
func parseForwardedPair(s string) (name, value, rest string, ok bool) {
	n := tokenLength(s)
	if n == 0 || n == len(s) || s[n] != '=' {
		return "", "", "", false
	}
	name, s = s[:n], s[n+1:]
	if s == "" {
		return "", "", "", false
	}
	if s[0] == '"' {
		value, rest, ok = quotedString(s)
		return name, value, rest, ok
	}
	n = tokenLength(s)
	// Many proxies write an IPv6 address or a port without the quotes that the grammar wants.
	for n < len(s) && (isTokenByte(s[n]) || s[n] == ':' || s[n] == '[' || s[n] == ']') {
		n++
	}
	return name, s[:n], s[n:], n > 0
}

func tokenLength(s string) int {
	n := 0
	for n < len(s) && isTokenByte(s[n]) {
		n++
	}
	return n
}

// isTokenByte is tchar of RFC 9110 5.6.2.
func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c != 0 && strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// quotedString reads the quoted-string that s begins with (RFC 9110 5.6.4).
func quotedString(s string) (value, rest string, ok bool) {
	var out []byte
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			if out == nil {
				return s[1:i], s[i+1:], true
			}
			return string(out), s[i+1:], true
		case c == '\\':
			if out == nil {
				out = append(make([]byte, 0, len(s)), s[1:i]...)
			}
			if i++; i == len(s) || s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
				return "", "", false
			}
			out = append(out, s[i])
		case c < ' ' && c != '\t', c == 0x7f:
			return "", "", false
		case out != nil:
			out = append(out, c)
		}
	}
	return "", "", false
}
