package console

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Config is the console's part of the configuration file. The zero value of every field means its default,
// which SetDefaults fills in.
type Config struct {
	// Listen holds the addresses, host:port; port 0 lets the system choose. Others than loopback addresses need Networks.
	// Default: 127.0.0.1:8444.
	Listen []string `yaml:"listen"`
	// Networks are those that may reach the console from other machines; everything else is refused. People who come from there
	// need a second factor, whatever their role demands. Loopback is always let in.
	Networks []netip.Prefix `yaml:"networks"`
	// Hosts are the names, without port, under which the console may be asked for; any other Host is answered
	// 421, which is what stops DNS rebinding. Default: localhost, 127.0.0.1, ::1.
	Hosts []string `yaml:"hosts"`
	// MetricsTokenFile holds the token, in its first line, that lets a peer other than loopback read /metrics.
	// Default: no token, so loopback only.
	MetricsTokenFile string `yaml:"metrics_token_file"`
}

// SetDefaults fills in what the file left out.
func (c *Config) SetDefaults() {
	if len(c.Listen) == 0 {
		c.Listen = []string{"127.0.0.1:8444"}
	}
	if len(c.Hosts) == 0 {
		c.Hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
}

// Validate reports everything that is wrong, with the path of the setting inside the console's part.
func (c Config) Validate(report func(path, format string, args ...any)) {
	for i, address := range c.Listen {
		path := "listen[" + strconv.Itoa(i) + "]"
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			report(path, "%q is not host:port", address)
			continue
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || (n == 0 && port != "0") {
			report(path, "%q has no port between 0 and 65535", address)
		}
		if !isLoopback(host) && len(c.Networks) == 0 {
			report(path, "%q can be reached from other machines; name the ones that may under console.networks, "+
				"or listen on 127.0.0.1 or ::1 and reach it through SSH forwarding", address)
		}
		if slices.Contains(c.Listen[:i], address) {
			report(path, "%q is listed twice", address)
		}
	}
	for i, network := range c.Networks {
		if network.IsValid() && network.Bits() == 0 {
			report("networks["+strconv.Itoa(i)+"]", "%s is everybody; name the networks that administrators sit in", network)
		}
	}
	for i, host := range c.Hosts {
		path := "hosts[" + strconv.Itoa(i) + "]"
		if clean, ok := canonicalHost(host); !ok || clean != strings.Trim(strings.ToLower(host), "[]") {
			report(path, "%q is not a host name or an address without port", host)
		}
	}
	if c.MetricsTokenFile != "" {
		if _, err := readToken(c.MetricsTokenFile); err != nil {
			report("metrics_token_file", "%v", err)
		}
	}
}

// Peers are the addresses that the console's visitors come from when it can be reached from this machine alone, by a browser here
// or through SSH forwarding; none if others can reach it.
func (c Config) Peers() []netip.Addr {
	var peers []netip.Addr
	for _, address := range c.Listen {
		host, _, err := net.SplitHostPort(address)
		if err != nil || !isLoopback(host) {
			return nil
		}
		addr, err := netip.ParseAddr(host)
		if named := err != nil; named || addr.Unmap().Is4() {
			peers = append(peers, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
		}
		if named := err != nil; named || !addr.Unmap().Is4() {
			peers = append(peers, netip.IPv6Loopback())
		}
	}
	return peers
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// canonicalHost takes the port, brackets and trailing dot off a Host header and folds its case; false means
// that it is no host at all.
func canonicalHost(raw string) (string, bool) {
	host := strings.ToLower(raw)
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String(), addr.Zone() == ""
	}
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > 253 {
		return "", false
	}
	for _, c := range host {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.') {
			return "", false
		}
	}
	return host, true
}
