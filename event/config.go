package event

import "errors"

// Config is the `events` section of the configuration file.
type Config struct {
	// RetentionDays is how many days of events are kept, today included; default 30.
	RetentionDays int `yaml:"retention_days"`
	// Queue is how many events may wait to be written before further ones are dropped and counted;
	// default 65,536. They may hold 1 KB each on average.
	Queue int `yaml:"queue"`
	// Dir is the folder of the day files. Only SQLite uses it.
	Dir string `yaml:"-"`
}

// Limits of the configuration.
const (
	defaultDays, maxDays   = 30, 3660
	defaultQueue, maxQueue = 65_536, 1 << 22
	minQueue               = chunkSize
)

// SetDefaults fills in what was not set.
func (c *Config) SetDefaults() {
	if c.RetentionDays == 0 {
		c.RetentionDays = defaultDays
	}
	if c.Queue == 0 {
		c.Queue = defaultQueue
	}
}

// Validate reports each value that cannot work, with its path in the section.
func (c Config) Validate(report func(path, format string, args ...any)) {
	if c.RetentionDays < 1 || c.RetentionDays > maxDays {
		report("retention_days", "must be between 1 and %d days, not %d", maxDays, c.RetentionDays)
	}
	if c.Queue < minQueue || c.Queue > maxQueue {
		report("queue", "must be between %d and %d events, not %d", minQueue, maxQueue, c.Queue)
	}
}

func (c Config) check(needDir bool) (err error) {
	c.Validate(func(path, format string, args ...any) { err = errors.Join(err, errorAt(path, format, args...)) })
	if needDir && c.Dir == "" {
		err = errors.Join(err, errors.New("no folder for the day files"))
	}
	return err
}
