package gateway

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// maxHops caps how many trusted proxies a request may have come through.
const maxHops = 32

// clientAddress works out who is asking. peer is the other end of the connection; only if it is a trusted
// proxy is what it says about the client believed: the lists are walked from the right, where the trusted
// proxies wrote, to the first address that is not one of them. What stands left of that is the client's own
// claim. A peer that is trusted and says nothing is the client itself (a health check). It returns a 400
// refusal when a trusted proxy's list is malformed up to the client, names the client only as "unknown" or
// by an obfuscated name (RFC 7239 6.3), or when X-Forwarded-For and Forwarded disagree: one of them then
// came from the client, and nothing tells which.
func clientAddress(peer netip.Addr, h http.Header, trusted []netip.Prefix) (netip.Addr, error) {
	if len(trusted) == 0 || !containsAddress(trusted, peer) {
		return peer, nil
	}
	simple, standard := h["X-Forwarded-For"], h["Forwarded"]
	client := peer
	var ok bool
	if len(simple) > 0 {
		if client, ok = walkForwardedFor(simple, peer, trusted); !ok {
			return netip.Addr{}, ambiguous("forwarded-for-malformed")
		}
	}
	if len(standard) > 0 {
		elements, ok := parseForwarded(standard)
		if !ok {
			return netip.Addr{}, ambiguous("forwarded-malformed")
		}
		other, ok := walkForwarded(elements, peer, trusted)
		if !ok {
			return netip.Addr{}, ambiguous("forwarded-unknown")
		}
		if len(simple) > 0 && other != client {
			return netip.Addr{}, ambiguous("forwarded-contradiction")
		}
		client = other
	}
	return client, nil
}

// walkForwardedFor reads X-Forwarded-For from the right. Empty list elements do not count (RFC 9110 5.6.1).
func walkForwardedFor(lines []string, peer netip.Addr, trusted []netip.Prefix) (netip.Addr, bool) {
	client, hops := peer, 0
	for i := len(lines) - 1; i >= 0; i-- {
		rest, more := lines[i], true
		for more {
			var element string
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, element = rest[:comma], rest[comma+1:]
			} else {
				rest, element, more = "", rest, false
			}
			element = strings.Trim(element, " \t")
			if element == "" {
				continue
			}
			address, ok := parseNode(element)
			if hops++; !ok || hops > maxHops {
				return netip.Addr{}, false
			}
			client = address
			if !containsAddress(trusted, address) {
				return client, true
			}
		}
	}
	return client, true
}

func walkForwarded(elements []forwardedElement, peer netip.Addr, trusted []netip.Prefix) (netip.Addr, bool) {
	client := peer
	for i := len(elements) - 1; i >= 0; i-- {
		node := elements[i].node
		if node == "" {
			continue // an element may speak of by, host or proto alone
		}
		address, ok := parseNode(node)
		if !ok || len(elements)-i > maxHops {
			return netip.Addr{}, false
		}
		client = address
		if !containsAddress(trusted, address) {
			return client, true
		}
	}
	return client, true
}

// parseNode reads an address with an optional port: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1],
// [2001:db8::1]:80. IPv4 in IPv6 is unmapped. Zones, "unknown" and obfuscated names are not addresses.
func parseNode(s string) (netip.Addr, bool) {
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 || !isNodePort(s[end+1:]) {
			return netip.Addr{}, false
		}
		address, err := netip.ParseAddr(s[1:end])
		return address.Unmap(), err == nil && address.Is6() && address.Zone() == ""
	}
	if colon := strings.IndexByte(s, ':'); colon >= 0 && strings.IndexByte(s[colon+1:], ':') < 0 {
		if !isNodePort(s[colon:]) {
			return netip.Addr{}, false
		}
		s = s[:colon]
	}
	address, err := netip.ParseAddr(s)
	return address.Unmap(), err == nil && address.Zone() == ""
}

// isNodePort accepts nothing, a port, or an obfuscated one (RFC 7239 6.1).
func isNodePort(s string) bool {
	if s == "" || len(s) > 2 && strings.HasPrefix(s, ":_") {
		return strings.Trim(strings.TrimPrefix(s, ":"), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == ""
	}
	if s[0] != ':' || len(s) > 6 {
		return false
	}
	_, err := strconv.ParseUint(s[1:], 10, 16)
	return err == nil
}

// forwardedSecure tells whether a trusted proxy took the request over TLS. Where it says so twice, both must
// agree, and every proxy in a list must: one plain leg is a plain request.
func forwardedSecure(peer netip.Addr, h http.Header, trusted []netip.Prefix) bool {
	if len(trusted) == 0 || !containsAddress(trusted, peer) {
		return false
	}
	said := false
	for _, line := range h["X-Forwarded-Proto"] {
		for value := range strings.SplitSeq(line, ",") {
			if !strings.EqualFold(strings.Trim(value, " \t"), "https") {
				return false
			}
			said = true
		}
	}
	elements, ok := parseForwarded(h["Forwarded"])
	if !ok {
		return false
	}
	for _, element := range elements {
		if element.proto == "" {
			continue
		}
		if !strings.EqualFold(element.proto, "https") {
			return false
		}
		said = true
	}
	return said
}

// setForwarded tells the application who asked, and how: our word alone, whatever came in (I-52). host is the
// Host header that is sent, with the client's port.
func setForwarded(out http.Header, x *exchange, host string) {
	client, proto, port := x.client.String(), "http", "80"
	if x.secure {
		proto, port = "https", "443"
	}
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 && !strings.HasSuffix(host, "]") {
		port = host[colon+1:]
	}
	node := client
	if x.client.Is6() {
		node = `"[` + client + `]"`
	}
	// One array for five values: this is done for every request.
	values := [5]string{client, proto, host, port, "for=" + node + `;host="` + host + `";proto=` + proto}
	out["X-Forwarded-For"] = values[0:1:1]
	out["X-Forwarded-Proto"] = values[1:2:2]
	out["X-Forwarded-Host"] = values[2:3:3]
	out["X-Forwarded-Port"] = values[3:4:4]
	out["Forwarded"] = values[4:5:5]
}
