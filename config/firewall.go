package config

import (
	"strings"

	"github.com/doorward/doorward/firewall/ruleset"
)

// fillFirewall takes what the firewall's section leaves out from what the audit was told: who administers, and which ports
// strangers need. So a host that follows the one passes the other.
func (c *Config) fillFirewall() {
	rules := &c.Firewall.Rules
	if rules.AdminNetworks == nil {
		rules.AdminNetworks = c.Audit.Host.AdminNetworks
	}
	declared := c.Audit.Host
	declared.SetDefaults()
	open := func(protocol string) []ruleset.Opening {
		var all []ruleset.Opening
		for _, text := range declared.OpenPorts {
			port, ok := strings.CutPrefix(text, protocol+"/")
			var o ruleset.Opening
			if ok && o.Port.UnmarshalText([]byte(port)) == nil { // what is no port is the audit's to report
				all = append(all, o)
			}
		}
		return all
	}
	if rules.TCP == nil {
		rules.TCP = open("tcp")
	}
	if rules.UDP == nil {
		rules.UDP = open("udp")
	}
}
