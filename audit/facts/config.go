package facts

import (
	"fmt"
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
	// Administrators are the accounts of the host that may become root. Default: nobody is named, and who may is not judged.
	Administrators []string `yaml:"administrators"`
	// OpenPorts are the ports that the outside needs, as tcp/443 or udp/5060. Default: tcp/80 and tcp/443.
	OpenPorts []string `yaml:"open_ports"`
	// Apps are the application folders of the host. Default: none.
	Apps []App `yaml:"apps"`
	// ApacheModules are the modules of Apache that are needed, without _module, beside the built-in ones: ssl, headers. Default:
	// those that are a risk have to be used by the configuration.
	ApacheModules []string `yaml:"apache_modules"`
	// PHPModules are the modules of PHP that are needed, beside the built-in ones. Default: all but those of developers.
	PHPModules []string `yaml:"php_modules"`
	// MariaDB is how the audit signs in to MariaDB or MySQL.
	MariaDB Database `yaml:"mariadb"`
	// PostgreSQL is how the audit signs in to PostgreSQL.
	PostgreSQL Database `yaml:"postgresql"`
}

// SetDefaults fills in what is not set.
func (c *Config) SetDefaults() {
	if c.OpenPorts == nil {
		c.OpenPorts = []string{"tcp/80", "tcp/443"}
	}
}

// Validate reports what cannot be used.
func (c Config) Validate(report func(path, format string, args ...any)) {
	for _, p := range c.OpenPorts {
		protocol, number, _ := strings.Cut(p, "/")
		if n, err := strconv.ParseUint(number, 10, 16); err != nil || n == 0 || protocol != "tcp" && protocol != "udp" {
			report("open_ports", "%q is not like tcp/443 or udp/5060", p)
		}
	}
	for i, app := range c.Apps {
		app.validate(func(name, format string, args ...any) { report(fmt.Sprintf("apps[%d].%s", i, name), format, args...) })
	}
	for name, d := range map[string]Database{"mariadb": c.MariaDB, "postgresql": c.PostgreSQL} {
		d.validate(func(key, format string, args ...any) { report(name+"."+key, format, args...) })
	}
}
