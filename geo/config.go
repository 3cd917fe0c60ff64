package geo

import "time"

// Config is the `geo` section of the configuration file: where the countries of addresses come from.
type Config struct {
	// Database is the path of a database in the MaxMind DB format (.mmdb) with countries: GeoLite2 or GeoIP2 Country
	// or City, DB-IP Country or City, IPinfo Lite. The file is read again within a minute of being replaced.
	// Default: none, so that the country of every public address is unknown.
	Database string `yaml:"database"`
	// MaxAge is the age from which on the database is called old, by its own build date. An old database is still
	// used. Default: 2160h, 90 days.
	MaxAge time.Duration `yaml:"max_age"`
}

const (
	day           = 24 * time.Hour
	defaultMaxAge = 90 * day
	// maxFile bounds what is read into memory. Country databases have 5 to 60 MiB, city databases up to 150 MiB.
	maxFile = 256 << 20
)

// SetDefaults fills in what the file left out.
func (c *Config) SetDefaults() {
	if c.MaxAge == 0 {
		c.MaxAge = defaultMaxAge
	}
}

// Validate reports each value that cannot work, with its path in the section. It does not read the database; Open does.
func (c Config) Validate(report func(path, format string, args ...any)) {
	if c.MaxAge < day || c.MaxAge > 3660*day {
		report("max_age", "must be between 24h and 87840h (ten years), not %v", c.MaxAge)
	}
}
