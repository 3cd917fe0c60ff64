package hostname

import "strings"

const (
	maxName  = 253 // RFC 1035 2.3.4, without the root's dot
	maxLabel = 63
)

// cleanName returns a name from DNS or the hosts file as it may be shown: in small letters and without the dot at its
// end. ok is false for what is no host name (RFC 1123 2.1: letters, digits and inner dashes). A stranger writes it, so
// anything else would only serve to confuse a page, a log or a terminal. A last label of digits alone is refused
// because such a name reads as an address, and as one would even be confirmed.
func cleanName(raw string) (name string, ok bool) {
	name = strings.TrimSuffix(raw, ".")
	if name == "" || len(name) > maxName {
		return "", false
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if !validLabel(label) {
			return "", false
		}
		last = label
	}
	if strings.Trim(last, "0123456789") == "" {
		return "", false
	}
	return strings.ToLower(name), true // ASCII only, by now
}

func validLabel(label string) bool {
	if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		switch c := label[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-':
		default:
			return false
		}
	}
	return true
}
