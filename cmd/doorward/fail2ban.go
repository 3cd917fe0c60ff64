package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/detect/fail2ban"
)

func newFail2ban(s streams) *cobra.Command {
	return group("fail2ban", "Read fail2ban's configuration, and try its filters on lines",
		newFail2banImport(s), newFail2banTest(s))
}

// maxLogLine is the longest line that is read whole.
const maxLogLine = 1 << 20

// testFlags are what doorward fail2ban test is asked.
type testFlags struct {
	config, filter, options, timezone, now string
}

func newFail2banTest(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "test",
		Short: "Run a filter of fail2ban on lines from standard input",
		Long: `Test reads lines from standard input and writes one JSON object a line: whether a failure counts, the host as it stands
in the line, the time and the named parts that the filter found. What the filter keeps from line to line is kept here
too. Nothing is resolved, banned or written, and no line is too old.

A date without a year is the latest one that is not after --now. With logtype=journal lines hold no date and take --now.`,
		Example: `  doorward fail2ban test --filter sshd < /var/log/auth.log
  doorward fail2ban test --filter sshd --options '{"mode":"aggressive"}' --timezone Europe/Berlin < auth.log`,
		Args: exactly(),
	}
	var f testFlags
	flags := c.Flags()
	flags.StringVar(&f.config, "config", "/etc/fail2ban", "the folder of fail2ban's configuration")
	flags.StringVar(&f.filter, "filter", "", "the name of a filter in filter.d")
	flags.StringVar(&f.options, "options", "{}", "options of the filter as a JSON object, such as mode, logtype, maxlines or datepattern")
	flags.StringVar(&f.timezone, "timezone", "", "the zone of dates that name none: Europe/Berlin, or UTC+0200 (default UTC)")
	flags.StringVar(&f.now, "now", "", "the time that the lines are read, as in RFC 3339 (default now)")
	c.MarkFlagDirname("config")
	c.RunE = func(c *cobra.Command, _ []string) error { return fail2banTest(s, f) }
	return c
}

// fixedZone is a zone as fail2ban's logtimezone has it.
var fixedZone = regexp.MustCompile(`^(?i:UTC|GMT)?[+-]\d{1,2}(?::?\d{2})?$`)

// filter makes the filter ready to run; the time is that of --now.
func (f *testFlags) filterAt() (*fail2ban.Filter, time.Time, error) {
	now := time.Now()
	if f.now != "" {
		at, err := time.Parse(time.RFC3339, f.now)
		if err != nil {
			return nil, now, usage("such as 2026-11-25T10:00:00Z", "--now %q is no time", f.now)
		}
		now = at
	}
	if f.filter == "" {
		return nil, now, usage("the names are those of the files in filter.d", "doorward fail2ban test needs --filter")
	}
	o := fail2ban.Options{Local: time.UTC}
	var err error
	if o.Set, err = filterSettings(f.options); err != nil {
		return nil, now, err
	}
	if fixedZone.MatchString(f.timezone) {
		o.LogTimezone = f.timezone
	} else if o.Local, err = time.LoadLocation(f.timezone); err != nil {
		return nil, now, usage("a name such as Europe/Berlin, or UTC+0200", "--timezone %q is no zone", f.timezone)
	}
	config, err := fail2ban.Open(f.config)
	if err != nil {
		return nil, now, usage("", "%w", err)
	}
	filter, err := config.Filter(f.filter, o)
	if err != nil {
		return nil, now, usage("", "%w", err)
	}
	return filter, now, nil
}

// filterSettings reads --options; numbers and truth values are written as fail2ban's files have them.
func filterSettings(text string) (map[string]string, error) {
	var raw map[string]any
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, usage(`such as '{"mode":"aggressive"}'`, "--options is no JSON object: %w", err)
	}
	set := map[string]string{}
	for k, v := range raw {
		switch v := v.(type) {
		case string:
			set[k] = v
		case bool, float64:
			set[k] = fmt.Sprint(v)
		default:
			return nil, usage("", "--options: %s is neither text nor a number", k)
		}
	}
	return set, nil
}

// testedLine is a line of what doorward fail2ban test writes.
type testedLine struct {
	Line     int               `json:"line"`
	Match    bool              `json:"match"`
	Host     string            `json:"host,omitempty"`
	IP       string            `json:"ip,omitempty"` // when host is an id that is none
	Time     string            `json:"time,omitempty"`
	Captures map[string]string `json:"captures,omitempty"`
	NoFail   bool              `json:"nofail,omitempty"`
	Ignored  bool              `json:"ignored,omitempty"`
	Error    string            `json:"error,omitempty"`
}

func fail2banTest(s streams, flags testFlags) error {
	filter, now, err := flags.filterAt()
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(s.in, 1<<16)
	out := bufio.NewWriter(s.out)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	cut := 0
	for number := 1; ; number++ {
		raw, over, err := readLogLine(in)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
		if over {
			cut++
		}
		result, err := filter.Line(fail2ban.Decode(raw), now)
		if err := encoder.Encode(tested(number, result, err, now.Location())); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if cut > 0 {
		fmt.Fprintf(s.err, "note: %s longer than %d bytes, cut there\n", count(cut, "line"), maxLogLine)
	}
	return nil
}

// tested is one line of the answer.
func tested(number int, r fail2ban.Result, err error, zone *time.Location) testedLine {
	line := testedLine{Line: number, Match: r.Match, NoFail: r.NoFail, Ignored: r.Ignored}
	if err != nil {
		line.Error = err.Error()
	}
	if !r.Match {
		return line
	}
	line.Host = r.ID
	if r.ID != r.Host {
		line.IP = r.Host
	}
	if !r.Time.IsZero() {
		line.Time = r.Time.In(zone).Round(time.Microsecond).Format(time.RFC3339Nano)
	}
	line.Captures = map[string]string{}
	for _, c := range r.Captures {
		line.Captures[c.Name] = c.Value
	}
	return line
}

// readLogLine reads a line with its end, cut at maxLogLine. over: it was longer.
func readLogLine(in *bufio.Reader) (line []byte, over bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if room := maxLogLine + 1 - len(line); len(part) > room {
			part, over = part[:room], true
		}
		line = append(line, part...)
		switch {
		case err == nil, errors.Is(err, io.EOF) && len(line) > 0:
			return line, over, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
}
