package config

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/doorward/doorward/auth/directory"
	"github.com/doorward/doorward/auth/oidc"
)

// maxSocketPath is what fits into sun_path of unix(7) with its final NUL.
const maxSocketPath = 107

// validate judges each package's part, and then what only shows when the parts are seen together.
func (c *Config) validate(problems, warnings *problemList) {
	report := problems.report
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		report("log.level", "%q is not one of debug, info, warn, error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		report("log.format", "%q is not one of text, json", c.Log.Format)
	}
	if n := len(c.AdminSocket()); n > maxSocketPath {
		report("data_dir", "the path of the admin socket in it has %d bytes, of at most %d that the system allows; choose a shorter one",
			n, maxSocketPath)
	}
	c.Gateway.Validate(report)
	c.Auth.Validate(report)
	if c.Auth.Registration.Enabled && !c.Mail.Enabled() {
		report("registration.enabled", "takes a mail server, since e-mail addresses are confirmed by mail; give one under mail, or remove the line")
	}
	c.Geo.Validate(func(path, format string, args ...any) { report(join("geo", path), format, args...) })
	c.HostNames.Validate(func(path, format string, args ...any) { report(join("host_names", path), format, args...) })
	c.Decisions.Validate(func(path, format string, args ...any) { report(join("decisions", path), format, args...) })
	c.validateOtherWaysIn(report)
	c.Events.Validate(func(path, format string, args ...any) { report(join("events", path), format, args...) })
	c.Console.Validate(func(path, format string, args ...any) {
		if path != "metrics_token_file" || !strings.HasPrefix(c.Console.MetricsTokenFile, credentialPrefix) {
			report(join("console", path), format, args...)
		}
	})
	c.Mail.Validate(func(path, format string, args ...any) { report(join("mail", path), format, args...) })
	c.Firewall.Validate(func(path, format string, args ...any) { report(join("firewall", path), format, args...) })
	c.Audit.Validate(func(path, format string, args ...any) { report(join("audit", path), format, args...) })
	c.reportRoles(report)
	c.reportCountries(report)
	listeners := c.listeners()
	reportSharedPorts(listeners, report)
	c.reportLoops(listeners, problems, warnings.report)
}

// validateOtherWaysIn judges each provider and directory, and that no two of a kind have the same name: by it, accounts
// are told apart.
func (c *Config) validateOtherWaysIn(report func(string, string, ...any)) {
	for i, p := range c.OIDC {
		at := "oidc[" + strconv.Itoa(i) + "]"
		p.Validate(func(path, format string, args ...any) { report(join(at, path), format, args...) })
		if slices.ContainsFunc(c.OIDC[:i], func(other oidc.Config) bool { return p.Name != "" && other.Name == p.Name }) {
			report(at+".name", "%s is another provider's name too", p.Name)
		}
	}
	for i, d := range c.LDAP {
		at := "ldap[" + strconv.Itoa(i) + "]"
		d.Validate(func(path, format string, args ...any) { report(join(at, path), format, args...) })
		if slices.ContainsFunc(c.LDAP[:i], func(other directory.Config) bool { return d.Name != "" && other.Name == d.Name }) {
			report(at+".name", "%s is another directory's name too", d.Name)
		}
	}
}

// listener is one address of ours, from any part of the file.
type listener struct {
	path string // of the setting
	host string // "" for all addresses
	port string
	unix string // path of a socket, instead of host and port
}

func (c *Config) listeners() []listener {
	var out []listener
	add := func(key string, addresses []string) {
		for i, address := range addresses {
			l := listener{path: key + "[" + strconv.Itoa(i) + "]"}
			if file, ok := strings.CutPrefix(address, "unix:"); ok {
				l.unix = file
			} else if host, port, err := net.SplitHostPort(address); err == nil && !strings.HasPrefix(address, "fd:") {
				l.host, l.port = host, port
			} else {
				continue
			}
			out = append(out, l)
		}
	}
	add("listen.https", c.Gateway.Listen.HTTPS)
	add("listen.http", c.Gateway.Listen.HTTP)
	add("listen.plain", c.Gateway.Listen.Plain)
	add("console.listen", c.Console.Listen)
	if host, port, err := net.SplitHostPort(c.Decisions.BouncerAPI.Listen); err == nil {
		out = append(out, listener{path: "decisions.bouncer_api.listen", host: host, port: port})
	}
	return out
}

// reportSharedPorts finds two listeners that cannot both be opened, other than by the very same text, which
// the gateway reports itself.
func reportSharedPorts(listeners []listener, report func(string, string, ...any)) {
	for i, l := range listeners {
		for _, earlier := range listeners[:i] {
			if l.unix != "" || l.port == "0" || l.port != earlier.port {
				continue
			}
			same := l.host == earlier.host
			if same && strings.HasPrefix(l.path, "listen.") && strings.HasPrefix(earlier.path, "listen.") {
				continue
			}
			if same || everyAddress(l.host) || everyAddress(earlier.host) {
				report(l.path, "port %s is already taken by %s; choose another port", l.port, earlier.path)
				break
			}
		}
	}
}

// reportLoops finds upstreams that lead back to ourselves: every request would run in circles until the
// connections are used up.
func (c *Config) reportLoops(listeners []listener, problems *problemList, warn func(string, string, ...any)) {
	for i, s := range c.Gateway.Sites {
		for j, raw := range s.Upstreams {
			path := "sites[" + strconv.Itoa(i) + "].upstreams[" + strconv.Itoa(j) + "]"
			if problems.has(path) {
				continue
			}
			for _, l := range listeners {
				if leadsTo(raw, l) {
					problems.report(path, "%s is Doorward's own listener %s, so requests would run in circles; give the address of the application itself", raw, l.path)
					break
				}
				if host, named := c.ownName(raw, l); named {
					warn(path, "%s is a site of this file, and %s listens on that port; if the name leads to this machine, requests run in circles", host, l.path)
					break
				}
			}
		}
	}
}

// leadsTo tells whether a connection to the upstream arrives at l when it is made on this machine.
func leadsTo(upstream string, l listener) bool {
	if file, ok := strings.CutPrefix(upstream, "unix:"); ok {
		return l.unix != "" && file == l.unix
	}
	host, port, ok := upstreamAddress(upstream)
	if !ok || l.unix != "" || port != l.port || l.port == "0" {
		return false
	}
	switch {
	case host == l.host:
		return true
	case everyAddress(l.host):
		return loopback(host) || everyAddress(host) || ownAddress(host)
	case everyAddress(host): // 0.0.0.0 as a target is the machine itself
		return loopback(l.host) || ownAddress(l.host)
	case host == "localhost":
		return loopback(l.host)
	case l.host == "localhost":
		return host == "127.0.0.1" || host == "::1"
	}
	a, errA := netip.ParseAddr(host)
	b, errB := netip.ParseAddr(l.host)
	return errA == nil && errB == nil && a.Unmap() == b.Unmap()
}

// ownName tells whether the upstream is the name of one of our sites on l's port.
func (c *Config) ownName(upstream string, l listener) (host string, named bool) {
	host, port, ok := upstreamAddress(upstream)
	if !ok || l.unix != "" || port != l.port {
		return "", false
	}
	for _, s := range c.Gateway.Sites {
		for _, h := range s.Hosts {
			if strings.EqualFold(strings.TrimSuffix(h, "."), strings.TrimSuffix(host, ".")) {
				return host, true
			}
		}
	}
	return "", false
}

func upstreamAddress(raw string) (host, port string, ok bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return "", "", false
	}
	host, port = strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return host, port, port != ""
}

func everyAddress(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && addr.Unmap().IsLoopback()
}

// ownAddress tells whether host is an address of one of this machine's interfaces.
func ownAddress(host string) bool {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false // without the list only the addresses in the file can be compared
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == addr.Unmap() {
			return true
		}
	}
	return false
}
