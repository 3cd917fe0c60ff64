package detect

import (
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/doorward/doorward/ingest"
)

// Config is the `watch` section of the configuration file.
type Config struct {
	// Off ends all detections but the jails of fail2ban.
	Off bool `yaml:"off"`
	// Rules is a folder of further detections: Sigma rules in *.yaml, and lists that they use in lists/NAME.txt. Empty: none but
	// those that come with Doorward.
	Rules string `yaml:"rules"`
	// Overrides is a file that changes thresholds, timespans and responses of detections by their names, or switches some off.
	// docs/watch.md describes it.
	Overrides string `yaml:"overrides"`
	// Inside are one's own networks. Who comes from elsewhere comes from outside, for detections that ask. Default: the private
	// and loopback networks.
	Inside []netip.Prefix `yaml:"inside"`
	// InsideNames are domains of one's own hosts, such as example.org. An address whose confirmed host name is in one is inside too.
	InsideNames []string `yaml:"inside_names"`
	// Sources are the logs that are read, beside the gateway's own events.
	Sources []ingest.SourceConfig `yaml:"sources"`
	// Parsers is a folder of further parsers, which make events of lines; docs/parsers.md describes them.
	Parsers  string         `yaml:"parsers"`
	Fail2ban Fail2banConfig `yaml:"fail2ban"`
}

// Fail2banConfig says which of fail2ban's jails Doorward runs.
type Fail2banConfig struct {
	// Folder is a configuration of fail2ban as it is, such as /etc/fail2ban. Its jails run inside Doorward and lead to its own
	// decisions; nothing in the folder is executed. Empty: no jails. `doorward fail2ban import` says what of it is different.
	Folder string `yaml:"folder"`
	// Jails are the names of those that run. Empty: all that the folder enables.
	Jails []string `yaml:"jails"`
}

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	for i := range c.Sources {
		c.Sources[i].SetDefaults()
	}
	if len(c.Inside) == 0 {
		for _, own := range privateNetworks {
			c.Inside = append(c.Inside, netip.MustParsePrefix(own))
		}
	}
}

// privateNetworks are those that nobody's packets come from over the Internet: RFC 1918, RFC 4193, loopback and link-local.
var privateNetworks = []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10"}

var domainName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*$`)

var jailName = regexp.MustCompile(`^[\w.@-]{1,128}$`)

// Validate reports what is wrong with the completed section, by the path of the setting below it.
func (c Config) Validate(report func(path, format string, args ...any)) {
	for i, s := range c.Sources {
		at := "sources[" + strconv.Itoa(i) + "]"
		s.Validate(func(path, format string, args ...any) { report(strings.TrimSuffix(at+"."+path, "."), format, args...) })
		if slices.ContainsFunc(c.Sources[:i], func(other ingest.SourceConfig) bool { return other.Name == s.Name }) {
			report(at+".name", "%s is another source's name too", s.Name)
		}
	}
	for _, name := range c.InsideNames {
		if len(name) > 253 || !domainName.MatchString(name) {
			report("inside_names", "%q is no domain", name)
		}
	}
	if c.Fail2ban.Folder != "" && !filepath.IsAbs(c.Fail2ban.Folder) {
		report("fail2ban.folder", "must be an absolute path")
	}
	for _, name := range c.Fail2ban.Jails {
		if !jailName.MatchString(name) {
			report("fail2ban.jails", "%q is no name of a jail", name)
		}
	}
	if c.Fail2ban.Folder == "" && len(c.Fail2ban.Jails) > 0 {
		report("fail2ban.jails", "needs fail2ban.folder, where the jails are defined")
	}
}
