package ingest

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// SourceConfig is one entry of `watch.sources` of the configuration file: something that writes records, and who knows how to
// read them.
type SourceConfig struct {
	// Name names the source in events, alarms and on the command line: lower-case letters, digits and hyphens.
	Name string `yaml:"name"`
	// Type is file, journal, syslog or query.
	Type string `yaml:"type"`
	// Parsers are the names of the parsers that read the records, tried in this order. Without any, all that go by the
	// program's name in the syslog head or in the journal.
	Parsers []string `yaml:"parsers"`
	// KeepUnknown makes an event of a record that no parser knows, too.
	KeepUnknown bool `yaml:"keep_unknown"`
	// SilentAfter is how long the source may say nothing before that is an alarm; 0, the default, is for ever.
	SilentAfter time.Duration `yaml:"silent_after"`
	// Timezone is the zone of dates that state none, as Europe/Rome; default is the host's.
	Timezone string `yaml:"timezone"`

	// Paths are the files to read, absolute, with * and ? where there are several (type file). Rotated ones need not be named.
	Paths []string `yaml:"paths"`
	// Format is what a line of a file is: nothing for plain lines, or json, eve, docker, auditd, asterisk, asterisk-json (type file).
	// Without one, the format is asterisk where the parser asterisk is named.
	Format string `yaml:"format"`

	// Matches choose entries of the journal as journalctl does: FIELD=VALUE, with + between alternatives (type journal).
	Matches []string `yaml:"matches"`
	// Directory is a folder of journal files to read in place of the host's own (type journal).
	Directory string `yaml:"directory"`

	// Listen are the addresses to take syslog at: udp://127.0.0.1:514, tcp://[::1]:601, tls://10.0.0.1:6514 (type syslog).
	Listen []string `yaml:"listen"`
	// Allowed are the networks from which messages are taken; default is this host alone (type syslog).
	Allowed []netip.Prefix `yaml:"allowed"`
	// Rate is how many messages a second one sender may send on; default 1,000. More are dropped and counted (type syslog).
	Rate int `yaml:"rate"`
	// Connections is how many connections may be open at once; default 100 (type syslog).
	Connections int `yaml:"connections"`
	// Certificate is the PEM file of a tls:// listener's certificate and its chain (type syslog).
	Certificate string `yaml:"certificate"`
	// Key is the PEM file of the certificate's key (type syslog).
	Key string `yaml:"key"`
	// ClientCAFile is a PEM file of authorities; with it a sender needs a certificate of one of them (type syslog, tls://).
	ClientCAFile string `yaml:"client_ca_file"`

	// Driver is mariadb or postgresql (type query).
	Driver string `yaml:"driver"`
	// DSNFile is a file that holds how to reach the database: user:password@tcp(host:3306)/name for MariaDB,
	// postgres://user:password@host/name for PostgreSQL. The user should be able to read the table and nothing else (type query).
	DSNFile string `yaml:"dsn_file"`
	// Query is one SELECT that gives the rows behind a place, oldest first. ? ($1 for PostgreSQL) is the last value of the
	// column below: SELECT id, at, user, action FROM actions WHERE id > ? ORDER BY id LIMIT 1000 (type query).
	Query string `yaml:"query"`
	// Column is the column that grows with each row; default id (type query).
	Column string `yaml:"column"`
	// TimeColumn is the column that says when; without it the time of reading counts (type query).
	TimeColumn string `yaml:"time_column"`
	// Start is the value of the column at the very first start; default 0 (type query).
	Start string `yaml:"start"`
	// Interval is the pause between two queries; default 5s (type query).
	Interval time.Duration `yaml:"interval"`
	// Timeout is how long a query may take; default 10s (type query).
	Timeout time.Duration `yaml:"timeout"`
}

// Limits of the configuration.
const (
	defaultRate, maxRate               = 1000, 1_000_000
	defaultConnections, maxConnections = 100, 10_000
	defaultInterval, defaultTimeout    = 5 * time.Second, 10 * time.Second
	minInterval, maxTimeout            = 100 * time.Millisecond, 10 * time.Minute
)

// SetDefaults fills in what was not set.
func (c *SourceConfig) SetDefaults() {
	switch c.Type {
	case "file":
		if c.Format == "" && slices.Contains(c.Parsers, "asterisk") { // a trace in it could hold any line
			c.Format = string(Asterisk)
		}
	case "syslog":
		if len(c.Allowed) == 0 {
			c.Allowed = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
		}
		c.Rate, c.Connections = orInt(c.Rate, defaultRate), orInt(c.Connections, defaultConnections)
	case "query":
		if c.Column == "" {
			c.Column = "id"
		}
		if c.Start == "" {
			c.Start = "0"
		}
		if c.Interval == 0 {
			c.Interval = defaultInterval
		}
		if c.Timeout == 0 {
			c.Timeout = defaultTimeout
		}
	}
}

func orInt(v, other int) int {
	if v == 0 {
		return other
	}
	return v
}

var sourceName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// Validate reports each value that cannot work, with its path in the entry. Whether the parsers exist is known where they are
// loaded.
func (c SourceConfig) Validate(report func(path, format string, args ...any)) {
	if !sourceName.MatchString(c.Name) {
		report("name", "must be lower-case letters, digits and hyphens, not %q", c.Name)
	}
	if c.SilentAfter < 0 {
		report("silent_after", "must not be negative")
	}
	if _, err := c.zone(); err != nil {
		report("timezone", "is no zone: %v", err)
	}
	switch c.Type {
	case "file":
		c.validateFile(report)
	case "journal":
		if _, err := NewJournal(c.Name, c.journal(), nil); err != nil {
			report("matches", "cannot be used: %v", err)
		}
		if c.Directory != "" && !filepath.IsAbs(c.Directory) {
			report("directory", "must be absolute, not %q", c.Directory)
		}
	case "syslog":
		c.validateSyslog(report)
	case "query":
		c.validateQuery(report)
	default:
		report("type", "must be file, journal, syslog or query, not %q", c.Type)
	}
}

func (c SourceConfig) validateFile(report func(path, format string, args ...any)) {
	if len(c.Paths) == 0 {
		report("paths", "names no file")
	}
	for i, p := range c.Paths {
		if _, err := filepath.Match(p, ""); err != nil || !filepath.IsAbs(p) {
			report(fmt.Sprintf("paths[%d]", i), "must be an absolute path, not %q", p)
		}
	}
	if err := Format(c.Format).check(); err != nil {
		report("format", "%v", err)
	}
}

func (c SourceConfig) validateSyslog(report func(path, format string, args ...any)) {
	if len(c.Listen) == 0 {
		report("listen", "names no address")
	}
	for i, l := range c.Listen {
		network, address, ok := strings.Cut(l, "://")
		if _, err := net.ResolveTCPAddr("tcp", address); !ok || err != nil || !slices.Contains([]string{"udp", "tcp", "tls"}, network) {
			report(fmt.Sprintf("listen[%d]", i), "must be like udp://127.0.0.1:514, tcp://… or tls://…, not %q", l)
		}
		if network == "tls" && (c.Certificate == "" || c.Key == "") {
			report("certificate", "is needed for %s, with key", l)
		}
	}
	if c.Rate < 1 || c.Rate > maxRate {
		report("rate", "must be between 1 and %d messages a second, not %d", maxRate, c.Rate)
	}
	if c.Connections < 1 || c.Connections > maxConnections {
		report("connections", "must be between 1 and %d, not %d", maxConnections, c.Connections)
	}
}

func (c SourceConfig) validateQuery(report func(path, format string, args ...any)) {
	if c.Driver != "mariadb" && c.Driver != "postgresql" {
		report("driver", "must be mariadb or postgresql, not %q", c.Driver)
	}
	if c.DSNFile == "" {
		report("dsn_file", "names no file")
	}
	if err := checkQuery(c.Driver, c.Query); err != nil {
		report("query", "%v", err)
	}
	if c.Interval < minInterval {
		report("interval", "must be at least %s, not %s", minInterval, c.Interval)
	}
	if c.Timeout < time.Second || c.Timeout > maxTimeout {
		report("timeout", "must be between 1s and %s, not %s", maxTimeout, c.Timeout)
	}
}

// zone is the zone of dates that state none.
func (c SourceConfig) zone() (*time.Location, error) {
	if c.Timezone == "" {
		return time.Local, nil
	}
	return time.LoadLocation(c.Timezone)
}

// New prepares a source. It reads the files that the entry names (a certificate, a password) and starts nothing.
func New(c SourceConfig, log *slog.Logger) (Source, error) {
	var bad error
	c.Validate(func(path, format string, args ...any) {
		if bad == nil {
			bad = fmt.Errorf("source %s: %s "+format, append([]any{c.Name, path}, args...)...)
		}
	})
	if bad != nil {
		return nil, bad
	}
	switch c.Type {
	case "journal":
		return NewJournal(c.Name, c.journal(), log)
	case "syslog":
		return NewSyslog(c, log)
	case "query":
		return NewQuery(c, log)
	}
	return NewFiles(c.Name, c.Paths, Format(c.Format), log)
}

// journal says what a source of type journal reads.
func (c SourceConfig) journal() JournalOptions {
	o := JournalOptions{Directory: c.Directory}
	for _, m := range c.Matches {
		o.Matches = append(o.Matches, strings.Fields(m)...)
	}
	return o
}

// NewParser makes the parser for the records of a source.
func (c SourceConfig) NewParser(all *Parsers) (*Parser, error) {
	local, err := c.zone()
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", c.Name, err)
	}
	p, err := all.For(c.Parsers, local, c.KeepUnknown)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", c.Name, err)
	}
	return p, nil
}
