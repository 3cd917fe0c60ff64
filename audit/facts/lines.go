package facts

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ConfigLine is one line of a configuration that stands in several files, in the order in which its program reads them.
type ConfigLine struct {
	File  string
	Line  int    // from 1
	Key   string // as the program knows it
	Value string
}

// MariaDBLines are the lines of the server's groups in its option files, of which the last of a key counts. Keys are written
// with _. unread says which files could not be read.
func MariaDBLines(h *Host) (lines []ConfigLine, unread []string) {
	r := allOptions(h)
	return r.lines, r.lost
}

// PostgresLines are the lines of a cluster's configuration, whose first file is main, with those that ALTER SYSTEM wrote at
// the end. The last of a key counts.
func PostgresLines(h *Host, main string) (lines []ConfigLine, unread []string) {
	r := &pgReader{h: h, values: map[string]Setting{}}
	r.file(main, true, 0)
	data := r.values["data_directory"].Value
	if data == "" {
		data = path.Dir(main)
	}
	r.file(path.Join(data, "postgresql.auto.conf"), false, 0)
	return r.lines, r.lost
}

// PostgresRules are the lines of pg_hba.conf of every cluster, with what they include, in the order in which they are tried.
func PostgresRules(h *Host) (rules []HBARule, unread []string) {
	reader := &clusterReader{h: h}
	reader.all()
	shadow(reader.rules)
	return reader.rules, slices.Concat(reader.lostConfig, reader.lostRules)
}

// OpenPostgres connects to the server that an audit asks, as its administrator, and may write. The caller closes it.
func OpenPostgres(ctx context.Context, h *Host, d Database) (*pgx.Conn, error) {
	reader := &clusterReader{h: h}
	reader.all()
	config, err := postgresConfig(h, d, reader.clusters, "postgres")
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	config.RuntimeParams = map[string]string{"application_name": "doorward fix"}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return conn, nil
}

// ReadMariaDB is what the audit knows of the MariaDB server.
func ReadMariaDB(ctx context.Context, h *Host, t Target) (MariaDB, []Missing) {
	return collectMariaDB(ctx, h, t)
}

// ReadAsterisk is what the audit knows of Asterisk.
func ReadAsterisk(ctx context.Context, h *Host, t Target) (Asterisk, []Missing) {
	return collectAsterisk(ctx, h, t)
}

// ReadApplication is what the audit knows of the declared applications.
func ReadApplication(ctx context.Context, h *Host, t Target) (Application, []Missing) {
	return collectApplication(ctx, h, t)
}

// ReadAccounts is what the audit knows of the host's own accounts.
func ReadAccounts(ctx context.Context, h *Host, t Target) (Accounts, []Missing) {
	return collectAccounts(ctx, h, t)
}

// CronPaths are the files that jobs of root run and the folders on the way to them which others than root may change, sorted.
func CronPaths(ctx context.Context, h *Host) ([]string, error) {
	c, lost := collectCron(ctx, h, Target{})
	if len(lost) > 0 {
		return nil, fmt.Errorf("read the crontabs: %s", lost[0].Reason)
	}
	var all []string
	for _, job := range c.Jobs {
		if job.Writable == "" {
			continue
		}
		for _, name := range job.paths {
			for at := name; at != "/" && len(all) < maxCronJobs; at = path.Dir(at) {
				info, err := h.Stat(at)
				if err != nil || at != name && info.Mode()&fs.ModeSticky != 0 { // nobody renames another's file there
					continue
				}
				if why := foreign(h, at, 0); strings.HasSuffix(why, " "+at) {
					all = append(all, at)
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// AsteriskLine is one line of a section of an Asterisk configuration.
type AsteriskLine struct {
	Key, Value, Origin string
	Own                bool // it stands in the section itself, or in one that adds to it, and not in a template
}

// AsteriskSection is one section with the lines that its templates gave it first; the last line of a key counts. Origin is
// the file and line of its head.
type AsteriskSection struct {
	Name     string
	Template bool
	Lines    []AsteriskLine
	Origin   string
}

// Get is the line of a key that counts, "" without one.
func (s AsteriskSection) Get(key string) AsteriskLine {
	for _, l := range slices.Backward(s.Lines) {
		if l.Key == key {
			return l
		}
	}
	return AsteriskLine{}
}

// AsteriskSections reads a configuration file of Asterisk with all that it includes. unread says what could not be.
func AsteriskSections(h *Host, name string) (sections []AsteriskSection, unread []string) {
	r := newAsteriskReader(h)
	r.file(name, 0)
	for _, s := range r.sections {
		out := AsteriskSection{Name: s.name, Template: s.template, Origin: s.origin}
		for _, k := range s.keys {
			out.Lines = append(out.Lines, AsteriskLine{k.key, k.value, k.origin, !k.inherited})
		}
		sections = append(sections, out)
	}
	return sections, r.lost
}
