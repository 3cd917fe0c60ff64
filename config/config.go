// Package config reads Doorward's one configuration file: it turns YAML into the packages' own Config
// values, fills in their defaults and reports everything that is wrong, each at its line, all at once.
//
// It knows every package's Config and the rules between them. It must not build or start anything: that is
// package app's work. A Config is immutable once Load has returned it.
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/auth/directory"
	"github.com/doorward/doorward/auth/oidc"
	"github.com/doorward/doorward/console"
	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/firewall"
	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/geo"
	"github.com/doorward/doorward/hostname"
	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/plainyaml"
	"github.com/doorward/doorward/store"
)

// DefaultPath is where commands look for the configuration file when none is named.
const DefaultPath = "/etc/doorward/doorward.yaml"

// Config is the whole configuration file. Relative paths in it are taken from the file's own folder.
type Config struct {
	// DataDir is the folder of the database, keys, certificates and events. Only Doorward's own user may be
	// able to read it. Default: /var/lib/doorward.
	DataDir string         `yaml:"data_dir"`
	Store   store.Config   `yaml:"store"`
	Log     LogConfig      `yaml:"log"`
	Gateway gateway.Config `yaml:",inline"`
	Auth    auth.Config    `yaml:",inline"`
	// OIDC are the OpenID Connect providers that people may sign in by.
	OIDC []oidc.Config `yaml:"oidc"`
	// LDAP are the directories whose people may sign in with their password there. They are asked in this order.
	LDAP      []directory.Config `yaml:"ldap"`
	Geo       geo.Config         `yaml:"geo"`
	HostNames hostname.Config    `yaml:"host_names"`
	// Decisions are who may never be banned, and how far bans reach.
	Decisions decision.Config `yaml:"decisions"`
	// Watch is what is detected, and from which logs.
	Watch   detect.Config  `yaml:"watch"`
	Events  event.Config   `yaml:"events"`
	Mail    mail.Config    `yaml:"mail"`
	Console console.Config `yaml:"console"`
	// Firewall is what the kernel lets in: bans, and the base ruleset of doorward firewall.
	Firewall firewall.Config `yaml:"firewall"`
	// Audit is what doorward audit asks of this machine.
	Audit audit.Config `yaml:"audit"`

	// File is where the configuration was read from; SHA256 is the hash of its bytes, in hexadecimal.
	File   string `yaml:"-"`
	SHA256 string `yaml:"-"`
	// Warnings are doubts that do not keep the configuration from being used.
	Warnings []Problem `yaml:"-"`
	// Notes are what guides and standards ask for and the file does otherwise.
	Notes []Note `yaml:"-"`
}

// LogConfig says what Doorward tells whoever runs it, on standard error.
type LogConfig struct {
	// Level is debug, info, warn or error. Default: info.
	Level string `yaml:"level"`
	// Format is text for people or json for a log collector. Default: text.
	Format string `yaml:"format"`
}

// Handler returns the log handler that the settings ask for, writing to w.
func (l LogConfig) Handler(w io.Writer) slog.Handler {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		level = slog.LevelInfo // an empty Level: a configuration that never went through Load
	}
	options := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// AdminSocket is the path of the socket by which commands talk to the running Doorward.
func (c *Config) AdminSocket() string { return filepath.Join(c.DataDir, "admin.sock") }

// Load reads, completes and judges the file at path, including the files that it names. Its error is
// *Errors when the file can be read but not used.
func Load(path string) (*Config, error) {
	text, err := readBounded(path, plainyaml.MaxBytes)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	cfg, problems, warnings := parse(path, text)
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o002 != 0 {
		problems.report("", "every user of this machine can write the file; run: chmod 644 %s", path)
	}
	checkFiles(cfg, problems, warnings)
	return finish(cfg, problems, warnings)
}

// LoadStore is Load for commands that work on accounts, sessions and the journal: problems that concern
// neither the data folder nor the store do not stop them, so that a half-edited site cannot keep an
// administrator from ending a session.
func LoadStore(path string) (*Config, error) {
	// Whether the data folder may be used shows when it is: the daemon may do it for a user who may not.
	return loadPart(path, "data_dir", "store", "sessions", "sign_in", "password_hash", "passwords", "factors", "notices", "roles", "review",
		"registration", "events", "decisions")
}

// LoadMail is Load for the command that tries the mail server: only problems of the mail section stop it.
func LoadMail(path string) (*Config, error) { return loadPart(path, "mail") }

// LoadAudit is Load for the audit: only problems of its section stop it, so that a host can be audited before, or while, its
// gateway is set up.
func LoadAudit(path string) (*Config, error) { return loadPart(path, "audit") }

// LoadFirewall is Load for the commands of the firewall: only problems of its section, and of those from which it takes ports and
// networks, stop them.
func LoadFirewall(path string) (*Config, error) {
	return loadPart(path, "firewall", "audit", "decisions", "trusted_proxies", "forward_auth")
}

// LoadWatch is Load for commands that try detections: only problems of the watch section stop them.
func LoadWatch(path string) (*Config, error) { return loadPart(path, "watch") }

// loadPart is Load for a command that uses some sections only, with the files that they name.
func loadPart(path string, sections ...string) (*Config, error) {
	text, err := readBounded(path, plainyaml.MaxBytes)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	cfg, problems, warnings := parse(path, text)
	used := func(setting string) bool {
		return slices.ContainsFunc(sections, func(section string) bool { return within(setting, section) })
	}
	if !problems.broken {
		for _, use := range cfg.fileUses() {
			if *use.file != "" && used(use.path) {
				checkFile(use, problems.report)
			}
		}
	}
	problems.problems = slices.DeleteFunc(problems.problems, func(p Problem) bool { return p.Path != "" && !used(p.Path) })
	return finish(cfg, problems, warnings)
}

// Parse is Load for a text that is already in memory; file names it in messages. It judges everything but
// the files that the configuration names.
func Parse(file string, text []byte) (*Config, error) {
	return finish(parse(file, text))
}

func finish(cfg *Config, problems, warnings *problemList) (*Config, error) {
	if len(problems.problems) > 0 {
		return nil, &Errors{Problems: problems.sorted()}
	}
	cfg.warnConsole(warnings.report)
	cfg.Warnings = warnings.sorted()
	cfg.Notes = cfg.findNotes(warnings)
	return cfg, nil
}

// parse returns the configuration as far as it could be read, and what is wrong with it.
func parse(file string, text []byte) (_ *Config, problems, warnings *problemList) {
	sum := sha256.Sum256(text)
	cfg := &Config{File: file, SHA256: hex.EncodeToString(sum[:])}
	problems = &problemList{file: file, places: make(map[string]place)}
	warnings = &problemList{file: file, places: problems.places}
	tree := parseYAML(text, problems)
	if len(problems.problems) > 0 {
		problems.broken = true
		return cfg, problems, warnings
	}
	reader{problems}.value(tree, reflect.ValueOf(cfg).Elem(), "")
	problems.settle()
	cfg.resolvePaths(filepath.Dir(file))
	cfg.setDefaults()
	cfg.validate(problems, warnings)
	return cfg, problems, warnings
}

// setDefaults fills in what the file left out, down through every package.
func (c *Config) setDefaults() {
	if c.DataDir == "" {
		c.DataDir = "/var/lib/doorward"
	}
	if c.Store.Path == "" {
		c.Store.Path = filepath.Join(c.DataDir, "doorward.db")
	}
	if c.Log.Level == "" {
		c.Log.Level = "info"
	}
	if c.Log.Format == "" {
		c.Log.Format = "text"
	}
	c.Events.Dir = filepath.Join(c.DataDir, "events")
	c.Gateway.DataDir = c.DataDir
	c.Gateway.SetDefaults()
	c.Auth.DataDir = c.DataDir
	for _, zone := range c.Gateway.Zones {
		c.Auth.Zones = append(c.Auth.Zones, auth.Zone{Name: zone.Name, Networks: zone.Networks})
	}
	c.Auth.SetDefaults()
	c.Geo.SetDefaults()
	c.HostNames.SetDefaults()
	c.Decisions.TrustedProxies = slices.Concat(c.Gateway.TrustedProxies, c.Gateway.ForwardAuth.Trusted)
	c.Decisions.SetDefaults()
	c.Watch.SetDefaults()
	for i := range c.OIDC {
		c.OIDC[i].SetDefaults()
	}
	for i := range c.LDAP {
		c.LDAP[i].SetDefaults()
	}
	c.Auth.OIDC, c.Auth.LDAP = c.OIDC, c.LDAP
	c.Events.SetDefaults()
	c.Console.SetDefaults()
	for _, site := range c.Gateway.Sites {
		c.Auth.Factors.Hosts = append(c.Auth.Factors.Hosts, site.Hosts...)
		c.Auth.SiteHosts = append(c.Auth.SiteHosts, site.Hosts...)
	}
	c.Auth.Factors.Hosts = append(c.Auth.Factors.Hosts, c.Console.Hosts...)
	c.Mail.SetDefaults()
	c.Firewall.SetDefaults()
	c.fillFirewall()
	c.Audit.SetDefaults()
}

// readBounded reads a regular file of at most limit bytes, and one byte more, by which the caller sees that
// it is longer. Anything else that has a path, a pipe or a device, could keep the reader waiting for ever.
func readBounded(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}
