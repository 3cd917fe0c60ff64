package firewall

import (
	"net/netip"
	"path/filepath"

	"github.com/doorward/doorward/firewall/ruleset"
)

// Config is the section firewall of the configuration file.
type Config struct {
	// Enforce has doorward serve hand its bans to doorward enforce, which drops their packets in the kernel. Otherwise only the
	// gateway refuses them. Default: false.
	Enforce bool `yaml:"enforce"`
	// Socket is where doorward enforce listens, unless systemd hands it its socket, and where doorward serve finds it.
	// Default: /run/doorward-enforce/enforce.sock.
	Socket string `yaml:"socket"`
	// Allow are networks that are never banned in the kernel, whoever asks for it, beside the addresses and networks of
	// decisions.allow and the trusted proxies. Loopback, the host's own addresses and its gateways never are. Default: none.
	Allow []netip.Prefix `yaml:"allow"`

	Rules ruleset.Config `yaml:",inline"`
}

// DefaultSocket is where doorward enforce listens when nothing else is configured.
const DefaultSocket = "/run/doorward-enforce/enforce.sock"

// SetDefaults fills in what is not set.
func (c *Config) SetDefaults() {
	if c.Socket == "" {
		c.Socket = DefaultSocket
	}
	c.Rules.SetDefaults()
}

// Validate reports what cannot be used.
func (c *Config) Validate(report func(path, format string, args ...any)) {
	const most = 107 // bytes, in sun_path of unix(7)
	if !filepath.IsAbs(c.Socket) || len(c.Socket) > most {
		report("socket", "%q is no absolute path of at most %d bytes", c.Socket, most)
	}
	c.Rules.Validate(report)
}
