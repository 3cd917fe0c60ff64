package hostname

import (
	"net/netip"
	"time"
)

// Config is the `host_names` section of the configuration file: how the names of clients' addresses are found.
type Config struct {
	// Off turns the look-up of names off; then no DNS query about clients leaves this machine.
	Off bool `yaml:"off"`
	// Resolver is the name server to ask, address:port. Default: those of the system, in /etc/resolv.conf. The
	// system's hosts file is looked at first in either case.
	Resolver string `yaml:"resolver"`
	// Timeout is how long one look-up may take, with its confirmation. It runs in the background. Default: 2s.
	Timeout time.Duration `yaml:"timeout"`
	// TTL is how long a confirmed name is kept. Default: 1h.
	TTL time.Duration `yaml:"ttl"`
	// NegativeTTL is how long it is kept that an address has no confirmed name, or that the look-up failed.
	// Default: 10m.
	NegativeTTL time.Duration `yaml:"negative_ttl"`
}

// SetDefaults fills in what the file left out.
func (c *Config) SetDefaults() {
	setDefault(&c.Timeout, 2*time.Second)
	setDefault(&c.TTL, time.Hour)
	setDefault(&c.NegativeTTL, 10*time.Minute)
}

func setDefault(field *time.Duration, value time.Duration) {
	if *field == 0 {
		*field = value
	}
}

// Validate reports each value that cannot work, with its path in the section.
func (c Config) Validate(report func(path, format string, args ...any)) {
	if c.Resolver != "" {
		if at, err := netip.ParseAddrPort(c.Resolver); err != nil || at.Port() == 0 {
			report("resolver", "%q is not an address with a port; write 192.0.2.53:53 or [2001:db8::53]:53", c.Resolver)
		}
	}
	between(report, "timeout", c.Timeout, 100*time.Millisecond, 10*time.Second)
	between(report, "ttl", c.TTL, time.Minute, 7*24*time.Hour)
	between(report, "negative_ttl", c.NegativeTTL, 10*time.Second, 24*time.Hour)
}

func between(report func(path, format string, args ...any), path string, got, low, high time.Duration) {
	if got < low || got > high {
		report(path, "%v is not between %v and %v", got, low, high)
	}
}
