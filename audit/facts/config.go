package facts

import (
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
	// NeededPackages are installed on purpose though a server seldom needs their kind: gcc, cups. Default: none.
	NeededPackages []string `yaml:"needed_packages"`
	// VulnerabilityFile is a copy of https://security-tracker.debian.org/tracker/data/json on the host, by which installed
	// packages are looked up. Default: none, and then only the package archive tells what is out of date.
	VulnerabilityFile string `yaml:"vulnerability_file"`
	// DataFolders hold what has to be encrypted at rest. Default: those of databases, mail and web pages that are there.
	DataFolders []string `yaml:"data_folders"`
	// Backups are where backups arrive on this host. Default: none, and then none is known.
	Backups []Backup `yaml:"backups"`
	// Logs are log files that have to go on, beside the system's own: those of the applications. Default: none.
	Logs []Log `yaml:"logs"`
}

// SetDefaults fills in what is not set.
func (c *Config) SetDefaults() {
	if c.OpenPorts == nil {
		c.OpenPorts = []string{"tcp/80", "tcp/443"}
	}
	c.setDeclaredDefaults()
}

// Validate reports what cannot be used.
func (c Config) Validate(report func(path, format string, args ...any)) {
	for _, p := range c.OpenPorts {
		protocol, number, _ := strings.Cut(p, "/")
		if n, err := strconv.ParseUint(number, 10, 16); err != nil || n == 0 || protocol != "tcp" && protocol != "udp" {
			report("open_ports", "%q is not like tcp/443 or udp/5060", p)
		}
	}
	c.validateDeclared(report)
}
