package audit

import (
	"fmt"
	"net/mail"
	"path/filepath"
	"strings"

	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/audit/scan"
)

// maxRecipients bounds how many mails one reminder makes.
const maxRecipients = 20

// Config is the audit section of the configuration file.
type Config struct {
	// Profile is whose controls are asked: deskpro, faveo, idoit, mor, or all. Default: all.
	Profile string `yaml:"profile"`
	// Reports is the folder in which root keeps the reports of earlier runs. Default: /var/lib/doorward-audit.
	Reports string `yaml:"reports"`
	// Controls is a folder of controls of your own, see docs/controls-format.md. One with the id of a control of Doorward's
	// replaces it. Default: none.
	Controls string `yaml:"controls"`

	// Recipients are the addresses that get mail: before an attestation, waiver, system or scan ends whose owner is not the mail address of an
	// account, which gets it then; and when the nightly audit finds controls that fail and did not fail at the run before. It needs the mail
	// section. Default: none.
	Recipients []string `yaml:"recipients"`
	// Language is the language of those mails, for who has no account: en or de. Default: en.
	Language string `yaml:"language"`
	// Scans are what other scanners have to look at: doorward attest import brings their reports in.
	Scans ScanTargets `yaml:"scans"`

	Host facts.Config `yaml:",inline"`
}

// ScanTargets are what has to be scanned.
type ScanTargets struct {
	// Networks are the addresses, names and networks that a port scan (F-15) and a scanner of weaknesses (I-91) have to look at, as
	// 203.0.113.5 or 10.1.0.0/24. Default: none are declared, and whether a scan looked at what it should is unknown.
	Networks []string `yaml:"networks"`
	// Web are the addresses that a scanner of web applications has to look at (F-36). Default: those of urls.
	Web []string `yaml:"web"`
	// Code are the repositories that have to be analysed (F-38), by the address or name that is given at the import. Default: none are
	// declared, and whether the code of the application was analysed is unknown.
	Code []string `yaml:"code"`
}

// of is what a scan of the kind has to look at, and the setting that declares it.
func (t ScanTargets) of(kind scan.Kind) (targets []string, setting string) {
	switch kind {
	case scan.Web:
		return t.Web, "audit.scans.web or audit.urls"
	case scan.Code:
		return t.Code, "audit.scans.code"
	}
	return t.Networks, "audit.scans.networks"
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
	if c.Language == "" {
		c.Language = "en"
	}
	if c.Scans.Web == nil {
		c.Scans.Web = c.Host.URLs
	}
}

// Validate reports what cannot be used.
func (c Config) Validate(report func(path, format string, args ...any)) {
	if !filepath.IsAbs(c.Reports) {
		report("reports", "%q is not an absolute path", c.Reports)
	}
	if len(c.Recipients) > maxRecipients {
		report("recipients", "has more than %d addresses", maxRecipients)
	}
	for i, r := range c.Recipients {
		if a, err := mail.ParseAddress(r); err != nil || a.Address != r {
			report(fmt.Sprintf("recipients[%d]", i), "%q is no mail address such as security@example.org", r)
		}
	}
	if c.Language != "en" && c.Language != "de" {
		report("language", "%q is none of en, de", c.Language)
	}
	for _, list := range []struct {
		key    string
		values []string
	}{{"networks", c.Scans.Networks}, {"web", c.Scans.Web}, {"code", c.Scans.Code}} {
		for i, v := range list.values {
			switch {
			case strings.TrimSpace(v) == "" || len(v) > 300:
				report(fmt.Sprintf("scans.%s[%d]", list.key, i), "has to have 1 to 300 bytes")
			case list.key == "web" && scan.Origin(v) == "" && len(c.Host.URLs) == 0:
				report(fmt.Sprintf("scans.web[%d]", i), "%q is no address such as https://helpdesk.example.com", v)
			}
		}
	}
	c.Host.Validate(report)
}
