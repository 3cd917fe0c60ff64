package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// fileUse is one setting that names a file.
type fileUse struct {
	path   string  // of the setting
	file   *string // its value
	secret bool    // nobody but the owner (and group) may read it
}

// fileUses lists every setting that names a file to read.
func (c *Config) fileUses() []fileUse {
	uses := []fileUse{
		{"store.url_file", &c.Store.URLFile, true},
		{"tls.acme.ca_file", &c.Gateway.TLS.ACME.CAFile, false},
		{"console.metrics_token_file", &c.Console.MetricsTokenFile, true},
		{geoDatabase, &c.Geo.Database, false},
		{"mail.ca_file", &c.Mail.CAFile, false},
		{"decisions.bouncer_api.certificate", &c.Decisions.BouncerAPI.Certificate, false},
		{"decisions.bouncer_api.key", &c.Decisions.BouncerAPI.Key, true},
		{"watch.overrides", &c.Watch.Overrides, false},
		{"registration.sms.token_file", &c.Auth.Registration.SMS.TokenFile, true},
		{"mail.password_file", &c.Mail.PasswordFile, true},
	}
	for i := range c.Gateway.Sites {
		s, path := &c.Gateway.Sites[i], fmt.Sprintf("sites[%d]", i)
		uses = append(uses,
			fileUse{path + ".tls.certificate", &s.TLS.Certificate, false},
			fileUse{path + ".tls.key", &s.TLS.Key, true},
			fileUse{path + ".client_certificates.ca_file", &s.ClientCertificates.CAFile, false},
			fileUse{path + ".client_certificates.crl_file", &s.ClientCertificates.CRLFile, false},
			fileUse{path + ".upstream.ca_file", &s.Upstream.CAFile, false},
			fileUse{path + ".identity.secret_file", &s.Identity.SecretFile, true},
		)
	}
	for i := range c.Gateway.Sites {
		w, path := &c.Gateway.Sites[i].WAF, fmt.Sprintf("sites[%d].waf", i)
		for j := range w.Before {
			uses = append(uses, fileUse{fmt.Sprintf("%s.before[%d]", path, j), &w.Before[j], false})
		}
		for j := range w.After {
			uses = append(uses, fileUse{fmt.Sprintf("%s.after[%d]", path, j), &w.After[j], false})
		}
	}
	for i := range c.Watch.Sources {
		s, path := &c.Watch.Sources[i], fmt.Sprintf("watch.sources[%d]", i)
		uses = append(uses, fileUse{path + ".certificate", &s.Certificate, false}, fileUse{path + ".key", &s.Key, true},
			fileUse{path + ".client_ca_file", &s.ClientCAFile, false}, fileUse{path + ".dsn_file", &s.DSNFile, true})
	}
	for i := range c.OIDC {
		p, path := &c.OIDC[i], fmt.Sprintf("oidc[%d]", i)
		uses = append(uses, fileUse{path + ".client_secret_file", &p.ClientSecretFile, true}, fileUse{path + ".ca_file", &p.CAFile, false})
	}
	for i := range c.LDAP {
		d, path := &c.LDAP[i], fmt.Sprintf("ldap[%d]", i)
		uses = append(uses, fileUse{path + ".bind_password_file", &d.BindPasswordFile, true}, fileUse{path + ".ca_file", &d.CAFile, false})
	}
	return uses
}

// credentialPrefix marks a file that systemd hands to the service: LoadCredential=NAME:/path in the unit,
// credential:NAME here.
const credentialPrefix = "credential:"

// resolvePaths makes relative paths relative to the configuration file's folder, whatever the working
// directory of the process, and puts the credentials folder in place of credential:NAME.
func (c *Config) resolvePaths(folder string) {
	resolve := func(value *string) {
		if *value != "" && !filepath.IsAbs(*value) {
			*value = filepath.Join(folder, *value)
		}
	}
	resolve(&c.DataDir)
	resolve(&c.Store.Path)
	resolve(&c.Watch.Fail2ban.Folder)
	resolve(&c.Watch.Rules)
	resolve(&c.Watch.Parsers)
	resolve(&c.Gateway.WAF.MatchLog)
	for _, use := range c.fileUses() {
		if name, ok := strings.CutPrefix(*use.file, credentialPrefix); ok {
			if given := os.Getenv("CREDENTIALS_DIRECTORY"); given != "" {
				*use.file = filepath.Join(given, filepath.Base(name))
			}
			continue
		}
		resolve(use.file)
	}
	for i := range c.Gateway.Sites {
		// A name without a slash is one of Doorward's own application folders.
		if app := &c.Gateway.Sites[i].App; strings.Contains(*app, "/") {
			resolve(app)
			if !strings.Contains(*app, "/") {
				*app = "./" + *app // what filepath.Join took away is what tells a folder from a name
			}
		}
	}
}
