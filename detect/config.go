package detect

import (
	"path/filepath"
	"regexp"
)

// Config is the `watch` section of the configuration file.
type Config struct {
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
func (c *Config) SetDefaults() {}

var jailName = regexp.MustCompile(`^[\w.@-]{1,128}$`)

// Validate reports what is wrong with the completed section, by the path of the setting below it.
func (c Config) Validate(report func(path, format string, args ...any)) {
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
