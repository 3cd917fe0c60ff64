package facts

import (
	"path"
	"time"
)

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

// setDeclaredDefaults fills in what is not set of backups and logs.
func (c *Config) setDeclaredDefaults() {
	for i := range c.Backups {
		b := &c.Backups[i]
		if b.Within == 0 {
			b.Within = 26 * time.Hour
		}
		if b.DrillWithin == 0 {
			b.DrillWithin = 92 * 24 * time.Hour
		}
	}
	for i := range c.Logs {
		if c.Logs[i].Kind == "" {
			c.Logs[i].Kind = "errors"
		}
	}
}

// validateDeclared reports what cannot be used of the files and folders that are declared.
func (c Config) validateDeclared(report func(path, format string, args ...any)) {
	absolute := func(key, name string) {
		if !path.IsAbs(name) {
			report(key, "%q is not an absolute path", name)
		}
	}
	if c.VulnerabilityFile != "" {
		absolute("vulnerability_file", c.VulnerabilityFile)
	}
	for _, folder := range c.DataFolders {
		absolute("data_folders", folder)
	}
	for _, b := range c.Backups {
		absolute("backups.folder", b.Folder)
		if b.Drill != "" {
			absolute("backups.drill", b.Drill)
		}
		if b.Within < 0 || b.DrillWithin < 0 {
			report("backups.within", "a time is not negative")
		}
	}
	for _, l := range c.Logs {
		absolute("logs.file", l.File)
		if _, err := path.Match(l.File, ""); err != nil {
			report("logs.file", "%q is no pattern", l.File)
		}
		if l.Kind != "" && l.Kind != "errors" && l.Kind != "actions" && l.Kind != "calls" {
			report("logs.kind", "%q is none of errors, actions, calls", l.Kind)
		}
		if l.Within < 0 {
			report("logs.within", "a time is not negative")
		}
	}
}
