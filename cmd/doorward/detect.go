package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/ingest"
)

func newDetect(s streams) *cobra.Command {
	return group("detect", "Show what is detected, and try it on events and lines", newDetectList(s), newDetectTest(s))
}

func newDetectList(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the detections in force",
		Long: `List shows every detection, of the running Doorward or else of the configuration file: how often within which time is too often, what follows, the file it stands
in, and what an override changed. Files that begin with doorward: come with Doorward. With --json each has its id and author too.`,
		Example: "  doorward detect list\n  doorward detect list --json",
		Args:    exactly(),
	}
	return listCommand(c, s, "NAME\tLEVEL\tTHRESHOLD\tRESPONSE\tFILE\tOVERRIDDEN",
		func(ctx context.Context, client *api.Client, _ []string) ([]api.Detection, error) {
			return client.Detections(ctx)
		},
		func(d api.Detection) []string {
			name := d.Name
			if name == "" {
				name = d.ID
			}
			overridden := strings.Join(d.Overrides, "; ")
			if d.OverrideFile != "" {
				overridden += " (" + d.OverrideFile + ")"
			}
			return []string{name, d.Level, thresholdText(d), responseText(d), d.File + ":" + strconv.Itoa(d.Line), overridden}
		})
}

func thresholdText(d api.Detection) string {
	switch {
	case d.Timespan == 0:
		return "one event"
	case d.Count == 0:
		return "in " + secondsText(d.Timespan)
	}
	return strconv.Itoa(d.Count) + " in " + secondsText(d.Timespan)
}

func responseText(d api.Detection) string {
	switch {
	case d.Off:
		return "off"
	case d.Action == "":
		return "told"
	case d.Permanent:
		return d.Action + " for good"
	}
	text := d.Action + " " + secondsText(d.Seconds)
	if d.EscalateFactor > 0 {
		text += " ×" + strconv.FormatFloat(d.EscalateFactor, 'g', -1, 64) + " up to " + secondsText(d.EscalateMax)
	}
	return text
}

// secondsText is a length of time as detections write it.
func secondsText(n int64) string {
	for _, unit := range []struct {
		seconds int64
		letter  string
	}{{86400, "d"}, {3600, "h"}, {60, "m"}} {
		if n > 0 && n%unit.seconds == 0 {
			return strconv.FormatInt(n/unit.seconds, 10) + unit.letter
		}
	}
	return strconv.FormatInt(n, 10) + "s"
}

// detectTestFlags are what doorward detect test is asked.
type detectTestFlags struct {
	config, rules, overrides string
	parsers                  []string
	now, timezone            string
}

func newDetectTest(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "test FILE...",
		Short: "Run the detections on events or lines of files",
		Long: `Test runs the detections on files, in their order, and writes what would follow as one JSON object a line. Nothing is banned
or written, and no running Doorward is needed. A file of events has one JSON object a line, as doorward event search --json
writes them; with --parser its lines are those of a log, plain or JSON. - is standard input.

The detections are those of the configuration file, where there is one; --rules and --overrides take other ones.`,
		Example: "  doorward detect test --parser sshd /var/log/auth.log\n  doorward detect test --overrides new.yaml events.json",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("", "doorward detect test needs a file")
			}
			return nil
		},
	}
	var f detectTestFlags
	flags := c.Flags()
	flags.StringVarP(&f.config, "config", "c", config.DefaultPath, "the configuration file")
	flags.StringVar(&f.rules, "rules", "", "a folder of further detections")
	flags.StringVar(&f.overrides, "overrides", "", "a file of overrides")
	flags.StringSliceVar(&f.parsers, "parser", nil, "the parsers that read the lines, such as sshd or apache-access")
	flags.StringVar(&f.now, "now", "", "the time that the lines are read, as in RFC 3339 (default now)")
	flags.StringVar(&f.timezone, "timezone", "", "the zone of dates that name none: Europe/Berlin (default this machine's)")
	c.MarkFlagFilename("config", "yaml", "yml")
	c.MarkFlagFilename("overrides", "yaml", "yml")
	c.MarkFlagDirname("rules")
	c.RunE = func(c *cobra.Command, args []string) error { return detectTest(c, s, f, args) }
	return c
}

// watchConfig is the watch section of the configuration file, or its defaults where there is no file and none was named.
func (f detectTestFlags) watchConfig(named bool) (detect.Config, error) {
	var cfg detect.Config
	if _, err := os.Stat(f.config); err == nil || named {
		all, err := loadConfig(f.config, config.LoadWatch)
		if err != nil {
			return cfg, err
		}
		cfg = all.Watch
	}
	for _, p := range []struct {
		given string
		to    *string
	}{{f.rules, &cfg.Rules}, {f.overrides, &cfg.Overrides}} {
		if p.given == "" {
			continue
		}
		path, err := filepath.Abs(p.given)
		if err != nil {
			return cfg, err
		}
		*p.to = path
	}
	cfg.SetDefaults()
	return cfg, nil
}

// zone is that of dates that state none.
func (f *detectTestFlags) zone() (*time.Location, error) {
	if f.timezone == "" {
		return time.Local, nil
	}
	zone, err := time.LoadLocation(f.timezone)
	if err != nil {
		return nil, usage("a name such as Europe/Berlin", "--timezone %q is no zone", f.timezone)
	}
	return zone, nil
}

// detectFound is a line of what doorward detect test writes.
type detectFound struct {
	File      string    `json:"file"`
	Line      int       `json:"line"`
	Time      time.Time `json:"time"`
	Detection string    `json:"detection"`
	Title     string    `json:"title"`
	Action    string    `json:"action"` // ban, throttle, challenge; alert: it would be told
	Target    string    `json:"target"`
	Seconds   int64     `json:"seconds"` // of what ends
	Permanent bool      `json:"permanent"`
	Reason    string    `json:"reason,omitempty"`
	Evidence  []string  `json:"evidence"`
}

// detectTester runs the detections on lines.
type detectTester struct {
	judge  *detect.RuleJudge
	parser *ingest.Parser // nil: the lines are events
	told   []event.Event
	out    *json.Encoder
	now    time.Time
	unread int // lines that are no event, and that no parser knows
}

func detectTest(c *cobra.Command, s streams, f detectTestFlags, files []string) error {
	cfg, err := f.watchConfig(c.Flags().Changed("config"))
	if err != nil {
		return err
	}
	set, err := detect.LoadRules(cfg)
	if err != nil {
		return usage("", "%w", err)
	}
	out := bufio.NewWriter(s.out)
	t := &detectTester{out: json.NewEncoder(out), now: time.Now()}
	t.out.SetEscapeHTML(false)
	if f.now != "" {
		if t.now, err = time.Parse(time.RFC3339, f.now); err != nil {
			return usage("such as 2026-11-25T10:00:00Z", "--now %q is no time", f.now)
		}
	}
	if t.judge, err = detect.NewRuleJudge(set, cfg, nil, func(e event.Event) { t.told = append(t.told, e) }); err != nil {
		return err
	}
	if len(f.parsers) > 0 {
		zone, err := f.zone()
		if err != nil {
			return err
		}
		parsers, err := detect.LoadParsers(cfg)
		if err == nil {
			t.parser, err = parsers.For(f.parsers, zone, false)
		}
		if err != nil {
			return usage("", "%w", err)
		}
	}
	for _, name := range files {
		if err := t.file(s, name); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if t.unread > 0 {
		why := "without an event; lines of a log need --parser"
		if t.parser != nil {
			why = "not known to " + strings.Join(f.parsers, ", ")
		}
		fmt.Fprintf(s.err, "note: %s %s\n", count(t.unread, "line"), why)
	}
	return nil
}

func (t *detectTester) file(s streams, name string) error {
	in := s.in
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return usage("", "%w", err)
		}
		defer file.Close()
		in = file
	}
	lines := bufio.NewReaderSize(in, 1<<16)
	for number := 1; ; number++ {
		raw, _, err := readLogLine(lines)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		t.told = t.told[:0]
		found, ok := t.line(name, strings.TrimRight(string(raw), "\r\n"))
		if !ok {
			t.unread++
		}
		if err := t.write(name, number, found); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
}

func (t *detectTester) line(name, text string) ([]decision.Proposal, bool) {
	if t.parser != nil {
		record := ingest.Record{Source: name, Text: text}
		if strings.HasPrefix(text, "{") {
			record = ingest.JSONRecord(name, text)
		}
		e, ok := t.parser.Parse(&record, t.now)
		if !ok {
			return nil, false
		}
		return t.judge.Parsed(name, &e, t.now), true
	}
	e, ok := readEvent(text)
	if !ok {
		return nil, false
	}
	return t.judge.Own(&e, t.now), true
}

// write writes what would be decided, and what would only be told.
func (t *detectTester) write(file string, line int, found []decision.Proposal) error {
	decided := map[string]bool{}
	for _, p := range found {
		decided[p.Origin] = true
		err := t.out.Encode(detectFound{File: file, Line: line, Time: p.At, Detection: strings.TrimPrefix(p.Origin, "detection:"), Action: string(p.Action), Target: p.Target.Short(),
			Seconds: int64(p.For / time.Second), Permanent: p.For == 0, Reason: p.Reason, Title: titleOf(t.told, p.Origin), Evidence: p.Evidence})
		if err != nil {
			return err
		}
	}
	for _, e := range t.told {
		name := eventField(e, "name")
		if decided["detection:"+name] {
			continue
		}
		found := detectFound{File: file, Line: line, Time: e.Time, Detection: name, Title: eventField(e, "title"), Action: "alert", Target: eventField(e, "about"), Evidence: []string{}}
		for _, f := range e.Fields {
			if f.Key == "evidence" {
				found.Evidence = append(found.Evidence, f.Value)
			}
		}
		if err := t.out.Encode(found); err != nil {
			return err
		}
	}
	return nil
}

func titleOf(told []event.Event, origin string) string {
	for _, e := range told {
		if "detection:"+eventField(e, "name") == origin {
			return eventField(e, "title")
		}
	}
	return ""
}

func eventField(e event.Event, key string) string {
	for _, f := range e.Fields {
		if f.Key == key {
			return f.Value
		}
	}
	return ""
}

// readEvent reads an event as it is written for programs.
func readEvent(text string) (event.Event, bool) {
	var in struct {
		ID      string        `json:"id"`
		Time    time.Time     `json:"time"`
		Class   event.Class   `json:"class"`
		Action  string        `json:"action"`
		Outcome event.Outcome `json:"outcome"`
		Source  netip.Addr    `json:"source"`
		User    string        `json:"user"`
		Site    string        `json:"site"`
		Fields  []event.Field `json:"fields"` // key and value: names are matched without regard to case
		Raw     string        `json:"raw"`
	}
	if err := json.Unmarshal([]byte(text), &in); err != nil || in.Time.IsZero() {
		return event.Event{}, false
	}
	e := event.Event{ID: in.ID, Time: in.Time, Class: in.Class, Action: in.Action, Outcome: in.Outcome, Source: in.Source, User: in.User, Site: in.Site, Fields: in.Fields, Raw: in.Raw}
	if e.ID == "" {
		e.ID = event.NewID(e.Time)
	}
	return e, true
}
