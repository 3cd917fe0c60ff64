package detect

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/ingest"
	"github.com/doorward/doorward/rules"
)

// lookEvery is how often sources are asked how they are.
const lookEvery = 10 * time.Second

// SourceStatus is how one of the sources is.
type SourceStatus struct {
	Name   string
	Type   string // file, journal, syslog or query
	Format string // of a file
	Silent bool   // it has said nothing for longer than it may
	// Read says that something was read from it, since the start or before.
	Read bool
	// Parsers are those that the configuration names, and those that knew a record since the start. Sure are the ones among them whose
	// events name addresses that no stranger could have written.
	Parsers, Sure []string
	Health        ingest.Health
	Counts        ingest.Counts
	Places        []SourcePlace
}

// SourcePlace is how far a source has read one of the things that it reads, the first hundred of them.
type SourcePlace struct {
	Of string // the path of a file, or journal, or query
	At string // as ingest.PlaceText has it
}

// logSource is a source of watch.sources with its parser.
type logSource struct {
	intake
	cfg     ingest.SourceConfig
	parser  *ingest.Parser
	parsers *ingest.Parsers
	seen    atomic.Pointer[[]string] // the parsers that knew a record
	began   time.Time
	problem string // that was told
	silent  bool   // that was told
}

// LoadParsers reads the parsers that come with Doorward and those of the folder cfg.Parsers.
func LoadParsers(cfg Config) (*ingest.Parsers, error) {
	trees := []fs.FS{rules.Parsers()}
	if cfg.Parsers != "" {
		trees = append(trees, os.DirFS(cfg.Parsers))
	}
	return ingest.LoadParsers(trees...)
}

// Check reads all that cfg names, as New would, and opens no log.
func Check(cfg Config) error {
	if !cfg.Off {
		if _, err := LoadRules(cfg); err != nil {
			return err
		}
	}
	if len(cfg.Sources) == 0 {
		return nil
	}
	parsers, err := LoadParsers(cfg)
	if err != nil {
		return err
	}
	for _, c := range cfg.Sources {
		if _, err := c.NewParser(parsers); err != nil {
			return err // it names the source
		}
	}
	return nil
}

// newSources makes the sources of cfg, whose events judge takes.
func newSources(cfg Config, judge *RuleJudge, log *slog.Logger) ([]*logSource, error) {
	if len(cfg.Sources) == 0 {
		return nil, nil
	}
	parsers, err := LoadParsers(cfg)
	if err != nil {
		return nil, err
	}
	var all []*logSource
	for _, c := range cfg.Sources {
		source, err := ingest.New(c, log)
		if err != nil {
			return nil, err
		}
		parser, err := c.NewParser(parsers)
		if err != nil {
			return nil, err
		}
		began := time.Now()
		judge.Watching(c.Name, began)
		s := &logSource{cfg: c, parser: parser, parsers: parsers, began: began}
		s.seen.Store(&c.Parsers)
		s.intake = intake{source, func(b ingest.Batch, now time.Time) []decision.Proposal {
			var found []decision.Proposal
			for i := range b.Records {
				if e, ok := parser.Parse(&b.Records[i], now); ok {
					s.saw(e.Parser)
					found = append(found, judge.Parsed(c.Name, &e, now)...)
				}
			}
			return found
		}, &atomic.Bool{}}
		all = append(all, s)
	}
	return all, nil
}

// saw notes that a parser knew a record; one goroutine at a time calls it.
func (s *logSource) saw(parser string) {
	if known := *s.seen.Load(); parser != "" && !slices.Contains(known, parser) {
		more := append(slices.Clone(known), parser)
		s.seen.Store(&more)
	}
}

// sure are the parsers of the source whose events name addresses that no stranger could have written.
func (s *logSource) sure() []string {
	bySyslog := s.cfg.Type == "syslog" || s.cfg.Type == "journal"
	return slices.DeleteFunc(slices.Clone(*s.seen.Load()), func(name string) bool { return s.parsers.Forgeable(name, bySyslog) })
}

// isSilent tells whether the source has said nothing for longer than it may.
func (s *logSource) isSilent(h ingest.Health, now time.Time) bool {
	last := s.began
	if h.Last.After(last) {
		last = h.Last
	}
	return s.cfg.SilentAfter > 0 && now.Sub(last) > s.cfg.SilentAfter
}

// look tells of sources that fell silent, that cannot be read, and that are well again (F-16).
func (w *Watch) look(ctx context.Context, all []*logSource) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			for _, s := range all {
				w.lookAt(s, now)
			}
		}
	}
}

func (w *Watch) lookAt(s *logSource, now time.Time) {
	h := s.Health()
	if silent := s.isSilent(h, now); silent != s.silent {
		s.silent = silent
		w.tellSource(s, "silent-source", silent, "nothing for more than "+lengthText(s.cfg.SilentAfter), now)
	}
	if h.Problem != s.problem {
		s.problem = h.Problem
		w.tellSource(s, "source-problem", h.Problem != "", h.Problem, now)
	}
}

func (w *Watch) tellSource(s *logSource, action string, bad bool, reason string, now time.Time) {
	e := event.Event{Time: now, Class: event.Incident, Action: action, Outcome: event.Success, Severity: event.Informational,
		Fields: []event.Field{{Key: "source", Value: s.cfg.Name}}}
	if bad {
		e.Outcome, e.Severity = event.Failure, event.High
		e.Fields = append(e.Fields, event.Field{Key: "reason", Value: reason})
		w.deps.Log.Warn(action, slog.String("source", s.cfg.Name), slog.String("reason", reason))
	}
	if w.deps.Events != nil {
		w.deps.Events.Append(e)
	}
}

// Sources says how the sources are.
func (w *Watch) Sources() []SourceStatus {
	var all []SourceStatus
	d := w.detections()
	for _, s := range d.sources {
		h := s.Health()
		all = append(all, SourceStatus{Name: s.cfg.Name, Type: s.cfg.Type, Format: s.cfg.Format, Silent: s.isSilent(h, time.Now()),
			Read: h.Records > 0 || s.before.Load(), Parsers: *s.seen.Load(), Sure: s.sure(), Health: h, Counts: s.parser.Counts(), Places: d.rules.placesOf(s.cfg.Name)})
	}
	return all
}
