package facts

import (
	"fmt"
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
	// Administrators are the accounts of the host that may become root. Default: nobody is named, and who may is not judged.
	Administrators []string `yaml:"administrators"`
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
	// Listeners are the ports that something may listen on, also on loopback, as tcp/5432, beside OpenPorts. Default: none are
	// declared, and whether each listener is wanted is unknown.
	Listeners []string `yaml:"listeners"`
	// Outbound are the hosts that this one has to reach, as login.i-doit.com:443. Default: none, and whether the firewall lets out
	// what is needed is unknown.
	Outbound []string `yaml:"outbound"`
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

	// RuleDays is how old signatures may be that others renew every day, in days: of Suricata, the core rule set, ClamAV. A database of
	// countries may be three times as old. Default: 14.
	RuleDays int `yaml:"rule_days"`
	// ProgramRuleDays is how old rules may be that come with a program, in days: Doorward's own, and the filters of fail2ban. Detections of
	// one's own too. Default: 180.
	ProgramRuleDays int `yaml:"program_rule_days"`

	// URLs are the application as people reach it, https://helpdesk.example.com/. TLS, headers and pages are probed there.
	URLs []string `yaml:"urls"`
	// ConnectTo is an address to connect to instead of the names' own, such as 127.0.0.1, so that an audit on the host
	// probes the host itself. Default: what the name says.
	ConnectTo string `yaml:"connect_to"`
	// Resolver is the DNS server to ask, ADDRESS or ADDRESS:PORT. Default: the system's.
	Resolver string `yaml:"resolver"`
	// Interfaces are the other servers that the application talks to, as ldaps://ldap.example.com,
	// ldap+starttls://ldap.example.com, smtp+starttls://mail.example.com:587, imaps://…, postgres+starttls://… or https://….
	// The same schemes without s or +starttls say that the interface has no TLS.
	Interfaces []string `yaml:"interfaces"`
	// MailDomains are the domains from which the application sends mail.
	MailDomains []string `yaml:"mail_domains"`
	// DKIMSelectors are those with which that mail is signed: the S of S._domainkey.DOMAIN.
	DKIMSelectors []string `yaml:"dkim_selectors"`
	// Canaries are folders with data that the web server must neither show nor execute. The audit puts two small files into
	// each, asks for them and removes them. Default: none is written.
	Canaries []Canary `yaml:"canaries"`
}

// Canary is a folder of data and where the web server would show it.
type Canary struct {
	// Folder is the path on the host, /var/www/deskpro/data.
	Folder string `yaml:"folder"`
	// URL is the address of the folder, https://helpdesk.example.com/data/.
	URL string `yaml:"url"`
}

// SetDefaults fills in what is not set.
func (c *Config) SetDefaults() {
	if c.OpenPorts == nil {
		c.OpenPorts = []string{"tcp/80", "tcp/443"}
	}
	if c.RuleDays == 0 {
		c.RuleDays = defaultRuleDays
	}
	if c.ProgramRuleDays == 0 {
		c.ProgramRuleDays = defaultProgramRuleDays
	}
	c.setDeclaredDefaults()
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
	for i, app := range c.Apps {
		app.validate(func(name, format string, args ...any) { report(fmt.Sprintf("apps[%d].%s", i, name), format, args...) })
	}
	for name, d := range map[string]Database{"mariadb": c.MariaDB, "postgresql": c.PostgreSQL} {
		d.validate(func(key, format string, args ...any) { report(name+"."+key, format, args...) })
	}
	c.validateRuleDays(report)
	c.validateProbes(report)
	c.validateDeclared(report)
}
