package facts

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Config is what the administrator declares of the host: what an audit cannot read off it, or has to look at beside its
// own files. The zero value declares nothing; what then cannot be judged is unknown, or judged by the safe default that
// the field names.
type Config struct {
	// AdminNetworks are where administrators work: nobody else needs SSH, administration pages or monitoring.
	AdminNetworks []netip.Prefix `yaml:"admin_networks"`
	// OpenPorts are the ports that the outside needs, as tcp/443 or udp/5060. Default: tcp/80 and tcp/443.
	OpenPorts []string `yaml:"open_ports"`
	// Listeners are the ports that something may listen on, also on loopback, as tcp/5432, beside OpenPorts. Default: none are
	// declared, and whether each listener is wanted is unknown.
	Listeners []string `yaml:"listeners"`
	// Outbound are the hosts that this one has to reach, as login.i-doit.com:443. Default: none, and whether the firewall lets out
	// what is needed is unknown.
	Outbound []string `yaml:"outbound"`
}

// SetDefaults fills in what is not set.
func (c *Config) SetDefaults() {
	if c.OpenPorts == nil {
		c.OpenPorts = []string{"tcp/80", "tcp/443"}
	}
}

// Validate reports what cannot be used.
func (c Config) Validate(report func(path, format string, args ...any)) {
	ports := func(key string, names []string) {
		for _, p := range names {
			protocol, number, _ := strings.Cut(p, "/")
			if n, err := strconv.ParseUint(number, 10, 16); err != nil || n == 0 || protocol != "tcp" && protocol != "udp" {
				report(key, "%q is not like tcp/443 or udp/5060", p)
			}
		}
	}
	ports("open_ports", c.OpenPorts)
	ports("listeners", c.Listeners)
	for _, target := range c.Outbound {
		host, port, err := net.SplitHostPort(target)
		if n, err2 := strconv.ParseUint(port, 10, 16); err != nil || err2 != nil || n == 0 || host == "" {
			report("outbound", "%q is not like login.i-doit.com:443", target)
		}
	}
}
