package ruleset

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Config says what the host lets in, and out.
type Config struct {
	// TCP are the ports that are open by TCP, beside SSH. Default: those of audit.open_ports.
	TCP []Opening `yaml:"tcp"`
	// UDP are the ports that are open by UDP. Default: those of audit.open_ports.
	UDP []Opening `yaml:"udp"`
	// AdminNetworks are the only networks that SSH is open to. To open it to everybody, name 0.0.0.0/0 and ::/0.
	// Default: audit.admin_networks; without any, doorward firewall apply refuses to close SSH to everybody.
	AdminNetworks []netip.Prefix `yaml:"admin_networks"`
	// SSHPort is where sshd listens. Default: 22.
	SSHPort int `yaml:"ssh_port"`
	// SSHPerMinute is how many new connections to SSH one address (IPv6: one /64) may make in a minute; as many may come at
	// once. The guide of MOR asks for a limit (M-36) and names no number. Default: 6.
	SSHPerMinute int `yaml:"ssh_per_minute"`
	// Forward is what becomes of packets that the host passes on, as to Docker's containers: accept leaves them to other tables,
	// drop stops all but answers. Default: accept.
	Forward string `yaml:"forward"`
	// OutboundTCP and OutboundUDP are the ports of others that the host may connect to. Once one is named, everything else is
	// refused on its way out, DNS too (I-63, I-64). Default: everything may go out.
	OutboundTCP []Opening `yaml:"outbound_tcp"`
	// OutboundUDP are those for UDP, as 53 for DNS and 123 for NTP.
	OutboundUDP []Opening `yaml:"outbound_udp"`
	// LogPerMinute is how many dropped packets are written to the kernel's log in a minute. Default: 10.
	LogPerMinute int `yaml:"log_per_minute"`
}

// Opening is a port, or a range of ports, and who may use it.
type Opening struct {
	// Port is a port, or a range as 10000-20000. It has to be given.
	Port Ports `yaml:"port"`
	// Networks are the only ones that it is open to; for outbound ports, the only ones that may be reached. Default: all.
	Networks []netip.Prefix `yaml:"networks"`
}

// Ports is a range of ports; a single one is a range from itself to itself.
type Ports struct{ First, Last uint16 }

// UnmarshalText reads 443 or 10000-20000.
func (p *Ports) UnmarshalText(text []byte) error {
	low, high, isRange := strings.Cut(string(text), "-")
	if !isRange {
		high = low
	}
	first, err1 := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
	last, err2 := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
	if err1 != nil || err2 != nil || first == 0 || first > last {
		return fmt.Errorf("%q is neither a port from 1 to 65535 nor a range as 10000-20000", text)
	}
	p.First, p.Last = uint16(first), uint16(last)
	return nil
}

// String is what UnmarshalText reads, and nft too.
func (p Ports) String() string {
	if p.First == p.Last {
		return strconv.Itoa(int(p.First))
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// SetDefaults fills in what is not set.
func (c *Config) SetDefaults() {
	if c.SSHPort == 0 {
		c.SSHPort = 22
	}
	if c.SSHPerMinute == 0 {
		c.SSHPerMinute = 6
	}
	if c.Forward == "" {
		c.Forward = forwardAccept
	}
	if c.LogPerMinute == 0 {
		c.LogPerMinute = 10
	}
}

const (
	forwardAccept = "accept"
	forwardDrop   = "drop"
)

// Validate reports what cannot be used.
func (c *Config) Validate(report func(path, format string, args ...any)) {
	if c.SSHPort < 1 || c.SSHPort > 65535 {
		report("ssh_port", "%d is no port", c.SSHPort)
	}
	if c.SSHPerMinute < 1 || c.SSHPerMinute > 10_000 {
		report("ssh_per_minute", "%d is not between 1 and 10000", c.SSHPerMinute)
	}
	if c.LogPerMinute < 1 || c.LogPerMinute > 10_000 {
		report("log_per_minute", "%d is not between 1 and 10000", c.LogPerMinute)
	}
	if c.Forward != forwardAccept && c.Forward != forwardDrop {
		report("forward", "%q is neither accept nor drop", c.Forward)
	}
	lists := map[string][]Opening{"tcp": c.TCP, "udp": c.UDP, "outbound_tcp": c.OutboundTCP, "outbound_udp": c.OutboundUDP}
	for name, list := range lists {
		for i, o := range list {
			if o.Port.First == 0 {
				report(fmt.Sprintf("%s[%d].port", name, i), "has to be given")
			}
		}
	}
}

// Usable says why the rules cannot be put into force, though they can be read.
func (c *Config) Usable() error {
	if len(c.AdminNetworks) == 0 {
		return errors.New("firewall.admin_networks is empty, so that nobody could sign in by SSH; name your networks there, " +
			"or 0.0.0.0/0 and ::/0 to leave SSH open to everybody")
	}
	return nil
}

// Admits says whether a new TCP connection from an address to a port is let in.
func (c *Config) Admits(from netip.Addr, port uint16) bool {
	from = from.Unmap().WithZone("")
	if from.IsLoopback() {
		return true
	}
	in := func(networks []netip.Prefix) bool {
		return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(from) })
	}
	if int(port) == c.SSHPort {
		return in(c.AdminNetworks)
	}
	return slices.ContainsFunc(c.TCP, func(o Opening) bool {
		return o.Port.First <= port && port <= o.Port.Last && (len(o.Networks) == 0 || in(o.Networks))
	})
}
