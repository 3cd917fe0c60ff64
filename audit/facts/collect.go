package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
)

const (
	collectorTime = 3 * time.Second  // of one collector
	allTime       = 20 * time.Second // of all of them
)

// Setting is one value of a configuration, as the program that it belongs to reads it.
type Setting struct {
	Value  string `cel:"value"`
	Origin string `cel:"origin"` // file:line or command that says so; "default" when nothing sets it
}

// Missing says that a fact could not be read, and why. Controls that ask for it are unknown, never passed.
type Missing struct {
	// Fact is the name of the fact, or of a field of it: "accounts", "accounts.hashes".
	Fact   string
	Reason string
}

// Facts is what was read off a host at one time.
type Facts struct {
	Time    time.Time
	Values  map[string]any // by name; each is a struct of this package, as Types tells
	Missing []Missing      // sorted by fact
}

// Config is what the administrator declares of the host: what an audit cannot read off it, or has to look at beside its
// own files. The zero value declares nothing; what then cannot be judged is unknown, or judged by the safe default that
// the field names.
type Config struct {
	// AdminNetworks are where administrators work: nobody else needs SSH, administration pages or monitoring.
	AdminNetworks []netip.Prefix `yaml:"admin_networks"`
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
}

// Backup is a folder into which backups are written.
type Backup struct {
	// Folder holds the backups, or is a repository of restic or borg.
	Folder string `yaml:"folder"`
	// Within is how old the last backup may be. Default: 26h.
	Within time.Duration `yaml:"within"`
	// Drill is a file that is written when a restore was tried and its result checked. Default: none, and then no restore counts as tried.
	Drill string `yaml:"drill"`
	// DrillWithin is how long ago the last drill may be. Default: 2208h, 92 days.
	DrillWithin time.Duration `yaml:"drill_within"`
}

// Log is a log file that has to go on.
type Log struct {
	// File is its name; a pattern stands for the newest file that fits.
	File string `yaml:"file"`
	// Kind is what stands in it: errors of an application, actions of its users, or calls of a telephone exchange. Default: errors.
	Kind string `yaml:"kind"`
	// Within is how old its last line may be. Default: 0, which lets it be silent: many error logs are.
	Within time.Duration `yaml:"within"`
}

// Target is what one audit looks at.
type Target struct {
	Config
	Now time.Time // of the audit
}

// collector reads one fact, which may have many fields.
type collector struct {
	name    string
	of      reflect.Type
	within  time.Duration
	collect func(ctx context.Context, h *Host, t Target) (any, []Missing)
}

// read makes a collector of a function that fills a T. The names in what it returns as missing are relative to the
// fact: "" is all of it, "hashes" a field.
func read[T any](name string, fill func(ctx context.Context, h *Host, t Target) (T, []Missing)) collector {
	return collector{name, reflect.TypeFor[T](), collectorTime, func(ctx context.Context, h *Host, t Target) (any, []Missing) {
		value, missing := fill(ctx, h, t)
		return value, missing
	}}
}

// slow gives a collector more time than the usual three seconds.
func (c collector) slow(within time.Duration) collector {
	c.within = within
	return c
}

// Types tells the type of every fact by its name. Controls are checked against it when they are read.
func Types() map[string]reflect.Type {
	types := map[string]reflect.Type{}
	for _, c := range collectors() {
		types[c.name] = c.of
	}
	return types
}

// missing is all of a fact.
func missing(reason string, args ...any) []Missing {
	return []Missing{{Reason: fmt.Sprintf(reason, args...)}}
}

// Collect reads all facts, side by side, each within 3 s unless it is known to be slow, all within 20 s. What is not
// done by then is missing, like what could not be read. progress, when not nil, is called with how many of how many
// are done, from one goroutine.
func Collect(ctx context.Context, h *Host, t Target, progress func(done, all int)) Facts {
	ctx, cancel := context.WithTimeout(ctx, allTime)
	defer cancel()
	type result struct {
		at      int
		value   any
		missing []Missing
	}
	all := collectors()
	results := make(chan result, len(all)) // buffered: one that is too late finds nobody waiting, and ends
	for i, c := range all {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, c.within)
			defer cancel()
			done := make(chan result, 1)
			go func() {
				value, missing := c.collect(ctx, h, t)
				done <- result{i, value, missing}
			}()
			select {
			case r := <-done:
				results <- r
			case <-ctx.Done():
				results <- result{at: i, missing: missing("not read in %v", c.within)}
			}
		}()
	}
	facts := Facts{Time: t.Now, Values: map[string]any{}}
	for n := range all {
		r := <-results
		name, whole := all[r.at].name, false
		for _, m := range r.missing {
			whole = whole || m.Fact == ""
			m.Fact = strings.TrimSuffix(name+"."+m.Fact, ".")
			facts.Missing = append(facts.Missing, m)
		}
		if !whole {
			facts.Values[name] = r.value
		}
		if progress != nil {
			progress(n+1, len(all))
		}
	}
	slices.SortFunc(facts.Missing, func(a, b Missing) int { return strings.Compare(a.Fact, b.Fact) })
	return facts
}

// because words an error as the reason that a fact is missing.
func because(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return err.Error() + ": run the audit as root"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return err.Error()
}
