package detect

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/detect/sigma"
	"github.com/doorward/doorward/rules"
)

// Caps on what is read of a folder of detections.
const (
	maxRuleFiles = 2000
	maxRuleBytes = 1 << 20
	maxListLines = 10_000
)

// shipped is where detections that come with Doorward are said to be.
const shipped = "doorward:"

// Detection is what is known of one detection: a rule that says what one event must be like, or a correlation of several.
type Detection struct {
	Name, ID, Title, Author, Level string
	File                           string // "doorward:NAME.yaml" for those that come with Doorward
	Line                           int
	Logsource                      string        // of a rule: category/product/service
	Count                          int           // how often within Timespan; 0: another condition, or a single event
	Timespan                       time.Duration // 0: a single event
	Action                         string        // ban, throttle, challenge, alert; "": it is told and nothing else
	For                            time.Duration // 0: for good
	EscalateFactor                 float64
	EscalateMax                    time.Duration
	Scope                          string
	Off                            bool
	Overrides                      []string // what was changed, such as "count 20 → 50"
	OverrideFile                   string   // file:line
}

// Ruleset is detections ready to run: those that come with Doorward and those of a folder, as overrides changed them.
type Ruleset struct {
	collection sigma.Collection
	detections []Detection
}

// LoadRules reads what cfg asks for. The error names each file and line that cannot be used.
func LoadRules(cfg Config) (*Ruleset, error) {
	trees := []tree{{rules.Detections(), shipped}}
	if cfg.Rules != "" {
		if info, err := os.Stat(cfg.Rules); err != nil {
			return nil, fmt.Errorf("detections: %w", err)
		} else if !info.IsDir() {
			return nil, fmt.Errorf("detections: %s is no folder", cfg.Rules)
		}
		trees = append(trees, tree{os.DirFS(cfg.Rules), cfg.Rules + string(filepath.Separator)})
	}
	lists := map[string][]string{}
	var errs []error
	for _, t := range trees {
		errs = append(errs, t.lists(lists))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("detections: %w", err)
	}
	s := &Ruleset{}
	for _, t := range trees {
		errs = append(errs, t.rules(&s.collection, lists))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("detections: %w", err)
	}
	var overrides []override
	if cfg.Overrides != "" {
		text, err := readRuleFile(os.DirFS(filepath.Dir(cfg.Overrides)), filepath.Base(cfg.Overrides))
		if err == nil {
			overrides, err = readOverrides(cfg.Overrides, text)
		}
		if err != nil {
			return nil, fmt.Errorf("overrides: %w", err)
		}
	}
	if err := s.apply(overrides); err != nil {
		return nil, fmt.Errorf("overrides: %w", err)
	}
	if _, err := s.engine(); err != nil {
		return nil, fmt.Errorf("detections: %w", err)
	}
	return s, nil
}

// engine makes an engine that has counted nothing yet.
func (s *Ruleset) engine() (*sigma.Engine, error) { return sigma.Compile(s.collection, sigma.Limits{}) }

// Detections are all of them, those that are off too, in the order in which they were read: what merely feeds a correlation is
// not among them.
func (s *Ruleset) Detections() []Detection { return slices.Clone(s.detections) }

// sipTools tries each name as a user agent.
func (s *Ruleset) sipTools(names []string, now time.Time) (banned []string) {
	for _, name := range names {
		engine, err := s.engine()
		if err != nil {
			return nil // it was compiled before: New would have refused it
		}
		for _, m := range engine.Process(&sigma.Event{Time: now, Ref: "trial", Source: sigma.Logsource{Product: "suricata"}, Fields: []sigma.Field{
			{Name: "event_type", Value: "sip"}, {Name: "src_ip", Value: "203.0.113.1"}, {Name: "src_net", Value: "203.0.113.1"}, {Name: "sip.user_agent", Value: name + "/1.0"}}}) {
			if r := m.Head().Respond; r != nil && r.Action == sigma.Ban && r.For == 0 {
				banned = append(banned, name)
				break
			}
		}
	}
	return banned
}

var listName = regexp.MustCompile(`^\w+$`)

// tree is a folder of detections.
type tree struct {
	files  fs.FS
	prefix string // of names in messages
}

// lists reads the lists, whose names are those of placeholders; a list that another tree has too becomes longer.
func (t tree) lists(into map[string][]string) error {
	names, err := fs.Glob(t.files, "lists/*.txt")
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := readRuleFile(t.files, name)
		if err != nil {
			return err
		}
		key := strings.TrimSuffix(path.Base(name), ".txt")
		if !listName.MatchString(key) {
			return fmt.Errorf("%s%s: the name of a list has letters, digits and _ only, so that %%NAME%% can stand for it", t.prefix, name)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				into[key] = append(into[key], line)
			}
		}
		if len(into[key]) > maxListLines {
			return fmt.Errorf("%s%s: more than %d lines", t.prefix, name, maxListLines)
		}
	}
	return nil
}

// rules reads the rules.
func (t tree) rules(into *sigma.Collection, lists map[string][]string) error {
	names, err := fs.Glob(t.files, "*.yaml")
	if err != nil {
		return err
	}
	if len(names) > maxRuleFiles {
		return fmt.Errorf("%s: more than %d files", t.prefix, maxRuleFiles)
	}
	var errs []error
	for _, name := range names {
		text, err := readRuleFile(t.files, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c, err := sigma.Parse(t.prefix+name, text, sigma.Options{Placeholders: lists})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		into.Add(c)
	}
	return errors.Join(errs...)
}

func readRuleFile(files fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(files, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxRuleBytes {
		return nil, fmt.Errorf("%s: is no file of at most %d bytes", name, maxRuleBytes)
	}
	return fs.ReadFile(files, name)
}

// referenced are the ids and names that correlations are made of.
func referenced(c sigma.Collection) map[string]bool {
	all := map[string]bool{}
	for _, one := range c.Correlations {
		for _, name := range one.Rules {
			all[strings.ToLower(name)] = true
		}
	}
	return all
}

func names(h *sigma.Head, in map[string]bool) bool {
	return h.ID != "" && in[strings.ToLower(h.ID)] || h.Name != "" && in[strings.ToLower(h.Name)]
}

// describe lists the detections of the collection.
func (s *Ruleset) describe() {
	generated := map[string]bool{}
	for _, c := range s.collection.Correlations {
		if c.Generate {
			maps.Copy(generated, referenced(sigma.Collection{Correlations: []*sigma.Correlation{c}}))
		}
	}
	feeding := referenced(s.collection)
	for _, r := range s.collection.Rules {
		if names(&r.Head, feeding) && !names(&r.Head, generated) {
			continue
		}
		d := about(&r.Head)
		d.Logsource = strings.Trim(strings.Join([]string{r.Logsource.Category, r.Logsource.Product, r.Logsource.Service}, "/"), "/")
		s.detections = append(s.detections, d)
	}
	for _, c := range s.collection.Correlations {
		d := about(&c.Head)
		d.Count, _ = c.Threshold()
		d.Timespan = c.Timespan
		s.detections = append(s.detections, d)
	}
}

func about(h *sigma.Head) Detection {
	d := Detection{Name: h.Name, ID: h.ID, Title: h.Title, Author: h.Author, Level: h.Level.String(), File: h.File, Line: h.Line}
	if r := h.Respond; r != nil {
		d.Action, d.For, d.Scope = string(r.Action), r.For, string(r.Scope)
		d.EscalateFactor, d.EscalateMax = r.EscalateFactor, r.EscalateMax
	}
	return d
}
