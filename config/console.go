package config

import (
	"net/netip"
	"slices"
)

// warnConsole finds people who may use the console and cannot: each part of the file is right, and together they lock out those
// who are to look after it. It wants a configuration without problems.
func (c *Config) warnConsole(warn func(path, format string, args ...any)) {
	peers := c.Console.Peers()
	for _, role := range c.Auth.ConsoleRoles() {
		if role.Passkey && !slices.ContainsFunc(c.Console.Hosts, c.Auth.Factors.PasskeyHost) {
			if domain := c.Auth.Factors.PasskeyDomain(); domain == "" {
				warn(role.Path+".factor", "%s: needs a passkey for the console, and the hosts have no domain in common; set factors.rp_id", role.Name)
			} else {
				warn(role.Path+".factor", "%s: needs a passkey for the console, and passkeys are for %s, which is in no name of the console's; "+
					"set console.hosts: [localhost, console.%s]", role.Name, domain, domain)
			}
		}
		if len(peers) > 0 && len(role.Networks) > 0 && !anyWithin(peers, role.Networks) {
			warn(role.Path+".networks", "%s: may use the console, which can be reached from this machine alone, and not from %s; "+
				"add a zone that has it, or let other networks reach the console (console.listen, console.networks)", role.Name, peers[0])
		}
	}
}

// anyWithin tells whether one of the addresses is in one of the networks.
func anyWithin(addresses []netip.Addr, networks []netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return slices.ContainsFunc(addresses, n.Contains) })
}
