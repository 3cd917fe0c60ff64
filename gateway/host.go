package gateway

import (
	"net/netip"
	"strings"
)

// canonicalHost reduces a Host header, :authority, TLS server name or configured host to the one form that
// rules compare: lower case, no port, no trailing dot, IPv6 without brackets in its shortest form. It
// returns false for anything that is not a DNS name or an address: names are letters, digits, dashes,
// underscores and dots; international names come in their ASCII form (RFC 5890).
func canonicalHost(host string) (string, bool) {
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 || !isPortSuffix(host[end+1:]) {
			return "", false
		}
		return canonicalAddress(host[1:end])
	}
	if colon := strings.IndexByte(host, ':'); colon >= 0 {
		if strings.IndexByte(host[colon+1:], ':') >= 0 {
			return canonicalAddress(host) // IPv6 as a TLS server name or a configuration writes it
		}
		if !isPortSuffix(host[colon:]) {
			return "", false
		}
		host = host[:colon]
	}
	host = strings.TrimSuffix(host, ".")
	if len(host) == 0 || len(host) > 253 {
		return "", false
	}
	label, upper := 0, false
	for i := 0; i < len(host); i++ {
		switch c := host[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_':
		case c >= 'A' && c <= 'Z':
			upper = true
		case c == '-':
			if i == label {
				return "", false
			}
		case c == '.':
			if i == label || i-label > 63 || host[i-1] == '-' {
				return "", false
			}
			label = i + 1
		default:
			return "", false
		}
	}
	if last := host[len(host)-1]; len(host)-label > 63 || last == '-' || last == '.' {
		return "", false
	}
	if upper {
		host = strings.ToLower(host)
	}
	return host, true
}

// isPortSuffix accepts what may follow a host: nothing, or a colon and a port.
func isPortSuffix(s string) bool {
	if s == "" {
		return true
	}
	if s[0] != ':' || len(s) < 2 || len(s) > 6 {
		return false
	}
	port := 0
	for _, c := range []byte(s[1:]) {
		if c < '0' || c > '9' {
			return false
		}
		port = port*10 + int(c-'0')
	}
	return port > 0 && port <= 65535
}

func canonicalAddress(s string) (string, bool) {
	addr, err := netip.ParseAddr(s)
	// A zone names an interface of the client's own machine; it means nothing here.
	if err != nil || addr.Zone() != "" || !addr.Is6() {
		return "", false
	}
	return addr.String(), true
}
