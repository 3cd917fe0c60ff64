package auth

import (
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// FactorsConfig is what second factors need to know of the installation.
type FactorsConfig struct {
	// Name is what authenticator apps and the browser's passkey dialog call this installation. Default: Doorward.
	Name string `yaml:"name"`
	// RPID is the domain that passkeys are made for (the relying party id of WebAuthn); they work at it and at
	// every name below it. It is fixed by the first passkey: with another one every passkey would be worth
	// nothing, so that a change is refused while there are any. Default: the domain that all host names have in common, such as
	// example.org for helpdesk.example.org. Without one, and at addresses, there are no passkeys.
	RPID string `yaml:"rp_id"`

	// Hosts are the names under which people reach the sites and the console, without ports; passkeys work at
	// no others.
	Hosts []string `yaml:"-"`
}

func (c *FactorsConfig) setDefaults() {
	setDefault(&c.Name, "Doorward")
}

func (c FactorsConfig) validate(report func(path, format string, args ...any)) {
	if !usable(c.Name) || len(c.Name) > maxLabel || strings.ContainsAny(c.Name, ":") {
		report("factors.name", "%q must be 1 to %d visible characters without a colon", c.Name, maxLabel)
	}
	if c.RPID == "" {
		return
	}
	names := c.names()
	switch id := c.RPID; {
	case isAddress(id):
		report("factors.rp_id", "%s is an address; browsers make passkeys for names only", id)
	case canonicalName(id) != id || strings.ContainsAny(id, "/:@*[] ") || strings.HasPrefix(id, "."):
		report("factors.rp_id", "%q is not a domain in lower case without scheme, port or dot at the end", id)
	case !slices.ContainsFunc(names, func(host string) bool { return within(host, id) }):
		report("factors.rp_id", "no host of this configuration is %s or below it, so that no passkey could be used", id)
	case !slices.Contains(names, id) && isPublicSuffix(id):
		report("factors.rp_id", "%s is a suffix under which anybody can have a name; browsers refuse passkeys for it", id)
	}
}

// names is the canonical form of the hosts that are names, without duplicates.
func (c FactorsConfig) names() []string {
	var names []string
	for _, host := range c.Hosts {
		if name := canonicalName(host); name != "" && !isAddress(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// defaultRPID is the one domain that browsers accept as relying party for all hosts; empty if there is none. The names
// of the machine itself, where the console is by default, count only if there are no others.
func (c FactorsConfig) defaultRPID() string {
	names := c.names()
	if others := slices.DeleteFunc(slices.Clone(names), isLocalName); len(others) > 0 {
		names = others
	}
	if len(names) == 0 {
		return ""
	}
	id := names[0]
	if domain, err := publicsuffix.EffectiveTLDPlusOne(id); err == nil {
		id = domain
	}
	for _, host := range names {
		if !within(host, id) {
			return ""
		}
	}
	return id
}

func canonicalName(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

func isAddress(host string) bool {
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

func isLocalName(host string) bool { return within(host, "localhost") }

func isPublicSuffix(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}

// within tells whether host is the domain or below it.
func within(host, domain string) bool {
	return host == domain || strings.HasSuffix(host, "."+domain)
}
