package gateway

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// reporter takes one problem: the setting's path, relative to the configuration file's root, and what to do.
type reporter func(path, format string, args ...any)

// Validate reports every setting that New could not use or that would leave a door open. It expects
// SetDefaults to have run, and opens no file but an application folder of one's own.
func (c Config) Validate(report func(path, format string, args ...any)) {
	c.Listen.validate(report)
	c.TLS.ACME.validate(report)
	for i, p := range c.TrustedProxies {
		if p.IsValid() && tooWide(p) {
			report(fmt.Sprintf("trusted_proxies[%d]", i),
				"%s covers strangers, who could then claim any address; list the addresses of your proxies", p)
		}
	}
	for i, p := range c.ForwardAuth.Trusted {
		if p.IsValid() && tooWide(p) {
			report(fmt.Sprintf("forward_auth.trusted[%d]", i),
				"%s covers strangers, who could then ask what others may do; list the addresses of your proxies", p)
		}
	}
	c.Limits.validate(report)
	c.WAF.validate(report)
	if len(c.Sites) == 0 {
		report("sites", "no site is configured; add one with hosts, upstreams and app, or let `doorward init` write it")
	}
	zones := validateZones(c.Zones, report)
	seen, apps := make(map[string]string), make(map[string]string)
	for i, s := range c.Sites {
		path := fmt.Sprintf("sites[%d]", i)
		if _, judged := apps[s.App]; !judged {
			apps[s.App] = unusableApp(s.App) // once an application, not once a site
		}
		if message := apps[s.App]; message != "" {
			report(path+".app", "%s", message)
		}
		s.validate(path, zones, report)
		if s.ForwardAuth && len(c.ForwardAuth.Trusted) == 0 {
			report(path+".forward_auth", "no proxy may ask, so nobody would ever get in; set forward_auth.trusted to the address of yours")
		}
		s.validateHosts(path, seen, report)
	}
	c.validateAnyHost(report)
}

// tooWide tells whether a network of trusted proxies is larger than anybody's own.
func tooWide(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() < 8
	}
	return p.Bits() < 7 // fc00::/7, all of the private IPv6 addresses, is the largest sensible one
}

func (l ListenConfig) validate(report reporter) {
	if len(l.HTTPS) == 0 && len(l.Plain) == 0 {
		report("listen", "no address serves the sites; set listen.https, or listen.plain behind something on this host that ends TLS")
	}
	seen := make(map[string]string)
	for _, kind := range []struct {
		key       string
		addresses []string
	}{{"listen.https", l.HTTPS}, {"listen.http", l.HTTP}, {"listen.plain", l.Plain}} {
		for i, address := range kind.addresses {
			path := fmt.Sprintf("%s[%d]", kind.key, i)
			if other, twice := seen[address]; twice && !strings.HasSuffix(address, ":0") { // port 0 is a new one each time
				report(path, "%s is already %s; remove one", address, other)
				continue
			}
			seen[address] = path
			validateListen(path, address, kind.key == "listen.plain", report)
		}
	}
}

// validateListen judges one listen address. Without TLS it must not be reachable from another machine.
func validateListen(path, address string, plain bool, report reporter) {
	if name, ok := strings.CutPrefix(address, "fd:"); ok {
		if name == "" || strings.ContainsAny(name, ": \t") {
			report(path, "%q needs the name that the socket unit gives in FileDescriptorName=, such as fd:https", address)
		}
		return
	}
	if file, ok := strings.CutPrefix(address, "unix:"); ok {
		if !plain {
			report(path, "%q: a unix socket can only be a plain address", address)
		} else if !strings.HasPrefix(file, "/") {
			report(path, "%q needs an absolute path, such as unix:/run/doorward/plain.sock", address)
		}
		return
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		report(path, "%q is not an address to listen on; write host:port, such as :443, 192.0.2.1:443 or [::1]:8443, or fd:NAME for a socket of systemd", address)
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		report(path, "port %q is not a number from 0 to 65535", port)
		return
	}
	ip, err := netip.ParseAddr(host)
	local := host == "localhost" || err == nil && ip.IsLoopback()
	switch {
	case host != "" && host != "localhost" && err != nil:
		report(path, "%q is not an address of this machine; write an IP address, or only :%s for all of them", host, port)
	case plain && !local:
		report(path, "%s can be reached from other machines, and without TLS passwords would cross the network in the clear; listen on 127.0.0.1, [::1] or unix:/PATH", address)
	}
}

func (a ACMEConfig) validate(report reporter) {
	if a.Email != "" {
		if parsed, err := mail.ParseAddress(a.Email); err != nil || parsed.Address != a.Email {
			report("tls.acme.email", "%q is not an e-mail address", a.Email)
		}
	}
	u, err := url.Parse(a.Directory)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		report("tls.acme.directory", "%q is not the https:// address of an authority's directory", a.Directory)
	}
}

// Bounds of the limits: below, no browser gets through; above, the limit protects nothing.
const (
	minHeaderBytes = 4 << 10
	maxHeaderBytes = 1 << 20
	maxConnections = 1_000_000
)

func (l LimitsConfig) validate(report reporter) {
	if l.HeaderBytes < minHeaderBytes || l.HeaderBytes > maxHeaderBytes {
		report("limits.header_bytes", "%s is outside 4KiB to 1MiB", l.HeaderBytes)
	}
	for _, n := range []struct {
		key   string
		value int
	}{{"connections", l.Connections}, {"in_flight", l.InFlight}, {"burst", l.Burst}} {
		if n.value < 1 || n.value > maxConnections {
			report("limits."+n.key, "%d is outside 1 to %d", n.value, maxConnections)
		}
	}
	if l.RequestsPerSecond <= 0 || l.RequestsPerSecond > maxConnections {
		report("limits.requests_per_second", "%g is outside 0.001 to %d", l.RequestsPerSecond, maxConnections)
	}
	if l.RequestsPerSecond > float64(l.Burst) && l.Burst > 0 {
		report("limits.burst", "%d is less than requests_per_second (%g), so that rate could never be used; set it to at least %g",
			l.Burst, l.RequestsPerSecond, l.RequestsPerSecond)
	}
}

// oneOf reports a value outside its list.
func oneOf(report reporter, path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		report(path, "%q is not one of %s", value, strings.Join(allowed, ", "))
	}
}
