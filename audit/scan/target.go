package scan

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Covers says whether the scan looked at a target as it is declared: an address, name or network, an address of the web, or a
// repository, as the scan's kind has it. A network is covered by a scan of it or of a larger one.
func (r Report) Covers(declared string) bool {
	same := sameHost
	switch r.Kind {
	case Web:
		same = func(a, b string) bool { return Origin(a) != "" && Origin(a) == Origin(b) }
	case Code:
		same = func(a, b string) bool { return repository(a) == repository(b) }
	}
	return slices.ContainsFunc(r.Targets, func(t string) bool { return same(declared, t) })
}

// Origin is scheme, host and port of an address of the web, as https://helpdesk.example.com; empty when it is none.
func Origin(address string) string {
	u, err := url.Parse(strings.ToLower(strings.TrimSpace(address)))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return ""
	}
	host := u.Hostname()
	if port := u.Port(); port != "" && port != map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		return u.Scheme + "://" + net.JoinHostPort(host, port)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return u.Scheme + "://" + host
}

// repository is a repository's address without what changes nothing.
func repository(address string) string {
	address = strings.ToLower(strings.TrimSpace(address))
	return strings.TrimSuffix(strings.TrimSuffix(address, "/"), ".git")
}

// sameHost says whether a declared host or network is the scanned one, or within it.
func sameHost(declared, scanned string) bool {
	want, wantOK := network(declared)
	got, gotOK := network(scanned)
	if wantOK && gotOK {
		return got.Bits() <= want.Bits() && got.Contains(want.Addr())
	}
	return !wantOK && !gotOK && strings.EqualFold(strings.TrimSuffix(declared, "."), strings.TrimSuffix(scanned, "."))
}

func network(text string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), true
	}
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	return netip.Prefix{}, false
}
