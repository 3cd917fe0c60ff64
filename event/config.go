package event

import (
	"errors"
	"fmt"
	"net/mail"
	"time"
)

// Config is the `events` section of the configuration file.
type Config struct {
	// RetentionDays is how many days of events are kept, today included; default 30.
	RetentionDays int `yaml:"retention_days"`
	// Queue is how many events may wait to be written before further ones are dropped and counted;
	// default 65,536. They may hold 1 KB each on average.
	Queue int `yaml:"queue"`
	// Digest is a mail a day about what happened.
	Digest DigestConfig `yaml:"digest"`
	// Dir is the folder of the day files. Only SQLite uses it.
	Dir string `yaml:"-"`
}

// DigestConfig says who gets the daily digest (I-87).
type DigestConfig struct {
	// Recipients are the addresses that get a mail each day: how many events there were, sign-ins, refusals, and what was most frequent. It
	// needs the mail section. Default: none, and no digest is sent.
	Recipients []string `yaml:"recipients"`
	// At is the time of day, by the clock of this machine, at which it is sent, as 07:00. It is about the 24 hours before. Default: 07:00.
	At string `yaml:"at"`
	// Language is the language of the mail: en or de. Default: en.
	Language string `yaml:"language"`
}

// maxRecipients bounds how many mails one digest makes.
const maxRecipients = 20

// Validate reports what cannot be used.
func (c DigestConfig) Validate(report func(path, format string, args ...any)) {
	if len(c.Recipients) > maxRecipients {
		report("digest.recipients", "has more than %d addresses", maxRecipients)
	}
	for i, r := range c.Recipients {
		if a, err := mail.ParseAddress(r); err != nil || a.Address != r {
			report(fmt.Sprintf("digest.recipients[%d]", i), "%q is no mail address such as security@example.org", r)
		}
	}
	if t, err := time.Parse("15:04", c.At); err != nil || t.Format("15:04") != c.At {
		report("digest.at", "%q is no time of day such as 07:00", c.At)
	}
	if c.Language != "en" && c.Language != "de" {
		report("digest.language", "%q is none of en, de", c.Language)
	}
}

// Due is the last moment not after now at which a digest is sent, in now's time zone.
func (c DigestConfig) Due(now time.Time) time.Time {
	at, err := time.Parse("15:04", c.At)
	if err != nil {
		return time.Time{}
	}
	due := time.Date(now.Year(), now.Month(), now.Day(), at.Hour(), at.Minute(), 0, 0, now.Location())
	if due.After(now) {
		due = time.Date(now.Year(), now.Month(), now.Day()-1, at.Hour(), at.Minute(), 0, 0, now.Location())
	}
	return due
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
	if c.Digest.At == "" {
		c.Digest.At = "07:00"
	}
	if c.Digest.Language == "" {
		c.Digest.Language = "en"
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
	c.Digest.Validate(report)
}

func (c Config) check(needDir bool) (err error) {
	c.Validate(func(path, format string, args ...any) { err = errors.Join(err, errorAt(path, format, args...)) })
	if needDir && c.Dir == "" {
		err = errors.Join(err, errors.New("no folder for the day files"))
	}
	return err
}
