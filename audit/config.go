package audit

import (
	"path/filepath"

	"github.com/doorward/doorward/audit/facts"
)

// Config is the audit section of the configuration file.
type Config struct {
	// Profile is whose controls are asked: deskpro, faveo, idoit, mor, or all. Default: all.
	Profile string `yaml:"profile"`
	// Reports is the folder in which root keeps the reports of earlier runs. Default: /var/lib/doorward-audit.
	Reports string `yaml:"reports"`
	// Controls is a folder of controls of your own, see docs/controls-format.md. One with the id of a control of Doorward's
	// replaces it. Default: none.
	Controls string `yaml:"controls"`

	Host facts.Config `yaml:",inline"`
}

// SetDefaults fills in what is not set.
func (c *Config) SetDefaults() {
	if c.Profile == "" {
		c.Profile = "all"
	}
	if c.Reports == "" {
		c.Reports = "/var/lib/doorward-audit"
	}
	c.Host.SetDefaults()
}

// Validate reports what cannot be used.
func (c Config) Validate(report func(path, format string, args ...any)) {
	if !filepath.IsAbs(c.Reports) {
		report("reports", "%q is not an absolute path", c.Reports)
	}
	c.Host.Validate(report)
}
