package detect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/detect/fail2ban"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/ingest"
	"github.com/doorward/doorward/store"
)

// keepPlaces is how long places in logs and counts are kept that nobody reads any more.
const keepPlaces = 30 * 24 * time.Hour

// announceLimit bounds what New writes down.
const announceLimit = 10 * time.Second

// Deps is what the watch works with.
type Deps struct {
	DB        *store.DB
	Decisions *decision.List
	Log       *slog.Logger
	// Events is where Doorward's own events come from, and where matches are told. Nil: neither.
	Events *event.Log
	// Node is this machine's name: on a shared store each has its own logs.
	Node string
	// Local is the zone of dates in logs that name none. Nil: the machine's.
	Local *time.Location
}

// Watch reads logs, runs detections on them and brings what they propose to the door.
type Watch struct {
	deps Deps
	own  *ownTap

	mu      sync.Mutex
	current *detections
	swap    chan *detections // of one: what Reload wants to run
}

// detections is what one configuration makes run.
type detections struct {
	pipelines []*pipeline
	jails     []JailStatus // in the order of the pipelines, then those that do not run
	rules     *pipeline    // among none of them; nil: the rules are off
	judge     *RuleJudge
	set       *Ruleset
	sources   []*logSource
	cfg       Config
}

// all are all pipelines.
func (d *detections) all() []*pipeline {
	if d.rules == nil {
		return d.pipelines
	}
	return append([]*pipeline{d.rules}, d.pipelines...)
}

// JailStatus is how one of fail2ban's jails is.
type JailStatus struct {
	Name     string
	Filter   string
	MaxRetry int
	FindTime time.Duration
	BanTime  time.Duration // 0: for good
	Reads    []string      // its files by their patterns, or the entries of the journal
	Problem  string        // why it does not run, or what of its logs cannot be read; "": nothing is wrong
	Counters JailCounters
	Source   ingest.Health
	Places   []SourcePlace
}

// New prepares what cfg asks for. The error says what cannot be read; a jail that cannot run is no error, Jails tells it.
// The store is told of this process, and so New comes before the gateway meets anybody.
func New(cfg Config, deps Deps) (*Watch, error) {
	if deps.Local == nil {
		deps.Local = time.Local
	}
	w := &Watch{deps: deps, swap: make(chan *detections, 1)}
	if deps.Events != nil {
		w.own = &ownTap{Tap: deps.Events.Tap(ownQueue)}
	}
	var err error
	if w.current, err = w.prepare(cfg); err != nil {
		return w, err
	}
	if rules := w.current.rules; rules != nil && rules.own != nil {
		ctx, cancel := context.WithTimeout(context.Background(), announceLimit)
		defer cancel()
		if err := rules.announce(ctx, time.Now()); err != nil {
			return w, fmt.Errorf("watch: %w", err)
		}
	}
	return w, nil
}

// Prepare reads what another configuration asks for, and returns what puts it in force. What was counted goes on.
func (w *Watch) Prepare(cfg Config) (swap func(), err error) {
	next, err := w.prepare(cfg)
	if err != nil {
		return nil, err
	}
	return func() {
		select {
		case <-w.swap: // one that nobody has taken up yet
		default:
		}
		w.swap <- next
	}, nil
}

func (w *Watch) prepare(cfg Config) (*detections, error) {
	d := &detections{cfg: cfg}
	if err := w.prepareRules(cfg, d); err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	if cfg.Fail2ban.Folder == "" {
		return d, nil
	}
	folder, err := fail2ban.Open(cfg.Fail2ban.Folder)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	named := cfg.Fail2ban.Jails
	all, err := folder.Import(len(named) > 0)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	for _, name := range named {
		if !slices.ContainsFunc(all.Jails, func(j fail2ban.Jail) bool { return j.Name == name }) {
			return nil, fmt.Errorf("watch: %s defines no jail %s", cfg.Fail2ban.Folder, name)
		}
	}
	var off []JailStatus
	for i := range all.Jails {
		j := &all.Jails[i]
		if len(named) > 0 && !slices.Contains(named, j.Name) {
			continue
		}
		p, err := w.jail(j)
		if err != nil {
			w.deps.Log.Warn("a jail does not run", slog.String("jail", j.Name), slog.Any("error", err))
			off = append(off, status(j, err.Error()))
			continue
		}
		d.pipelines = append(d.pipelines, p)
		d.jails = append(d.jails, status(j, ""))
	}
	d.jails = append(d.jails, off...)
	return d, nil
}

func status(j *fail2ban.Jail, problem string) JailStatus {
	return JailStatus{Name: j.Name, Reads: j.Reads(), Filter: j.FilterName, MaxRetry: j.MaxRetry, FindTime: j.FindTime, BanTime: max(0, j.BanTime), Problem: problem}
}

// prepareRules makes the pipeline of the rules.
func (w *Watch) prepareRules(cfg Config, d *detections) (err error) {
	if cfg.Off {
		return nil
	}
	if d.set, err = LoadRules(cfg); err != nil {
		return err
	}
	tell := func(e event.Event) {
		if w.deps.Events != nil {
			w.deps.Events.Append(e)
		}
	}
	if d.judge, err = NewRuleJudge(d.set, cfg, w.deps.Decisions.Lookup, tell); err != nil {
		return err
	}
	if d.sources, err = newSources(cfg, d.judge, w.deps.Log); err != nil {
		return err
	}
	var intakes []intake
	for _, s := range d.sources {
		intakes = append(intakes, s.intake)
	}
	d.rules = &pipeline{name: w.deps.Node + "/rules", sources: intakes, judge: d.judge,
		door: w.deps.Decisions, db: w.deps.DB, log: w.deps.Log}
	if w.own != nil {
		d.rules.own = &ownEvents{log: w.deps.Events, tap: w.own, take: d.judge.Own}
	}
	return nil
}

// jail makes the pipeline of a jail.
func (w *Watch) jail(j *fail2ban.Jail) (*pipeline, error) {
	if !j.Runs && len(j.Problems) > 0 {
		var why []string
		for _, p := range j.Problems {
			why = append(why, p.What+": "+p.Why)
		}
		return nil, errors.New(strings.Join(why, "; "))
	}
	judge, err := NewJail(j, w.deps.Local, time.Now())
	if err != nil {
		return nil, err
	}
	source, err := jailSource(j, w.deps.Log)
	if err != nil {
		return nil, err
	}
	return &pipeline{name: w.deps.Node + "/jail/" + j.Name, sources: []intake{{source, judge.Take, &atomic.Bool{}}}, judge: judge,
		door: w.deps.Decisions, db: w.deps.DB, log: w.deps.Log}, nil
}

// jailSource is what the jail reads: files, or the journal from as far back as its failures count, as fail2ban does.
func jailSource(j *fail2ban.Jail, log *slog.Logger) (ingest.Source, error) {
	if from := j.Journal; from != nil {
		return ingest.NewJournal("journal", ingest.JournalOptions{Directory: from.Directory, Files: from.Files, Matches: j.JournalTerms(),
			System: !from.Users && from.Directory == "" && len(from.Files) == 0, Back: j.FindTime}, log)
	}
	var patterns []string
	for _, p := range j.LogPaths {
		patterns = append(patterns, p.Pattern)
	}
	if len(patterns) == 0 {
		return nil, errors.New("it names no log to read; give it a logpath, or backend = systemd")
	}
	return ingest.NewFiles("log", patterns, ingest.Plain, log)
}

// tidy forgets places in logs that nobody reads any more, and counts that nobody makes, once a day.
func (w *Watch) tidy(ctx context.Context) {
	for {
		before := store.Micros(time.Now().Add(-keepPlaces))
		err := w.deps.DB.Write(ctx, func(tx *sql.Tx) error {
			for _, statement := range []string{sqlForgetPositions, sqlForgetStates} {
				if _, err := tx.ExecContext(ctx, statement, before); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			w.deps.Log.Warn("forget old places in logs", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(24 * time.Hour):
		}
	}
}

// Run reads and detects until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	var tidying sync.WaitGroup
	tidying.Go(func() { w.tidy(ctx) })
	defer tidying.Wait()
	for {
		running, stop := context.WithCancel(ctx)
		var all sync.WaitGroup
		for _, p := range w.detections().all() {
			all.Go(func() { w.keep(running, p) })
		}
		if sources := w.detections().sources; len(sources) > 0 {
			all.Go(func() { w.look(running, sources) })
		}
		var next *detections
		select {
		case <-ctx.Done():
		case next = <-w.swap:
		}
		stop()
		all.Wait()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.mu.Lock()
		w.current = next
		w.mu.Unlock()
	}
}

// keep runs a pipeline again when it fails: one log must not stop the others.
func (w *Watch) keep(ctx context.Context, p *pipeline) {
	for wait := time.Second; ctx.Err() == nil; wait = min(2*wait, time.Minute) {
		err := p.run(ctx)
		if ctx.Err() != nil {
			return
		}
		w.deps.Log.Error("a pipeline of the watch ended, and begins again", slog.String("pipeline", p.name), slog.Any("error", err))
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (w *Watch) detections() *detections {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current
}

// Detections are the detections in force; none when they are off.
func (w *Watch) Detections() []Detection {
	if d := w.detections(); d.set != nil {
		return d.set.Detections()
	}
	return nil
}

// Config is the configuration that is in force.
func (w *Watch) Config() Config { return w.detections().cfg }

// SIPTools are those of names that the detections in force ban for good when Suricata sees one message with that user agent (M-24). It is
// tried, not looked up: lists can be made longer, and filters leave names out.
func (w *Watch) SIPTools(names []string) []string {
	d := w.detections()
	if d.set == nil {
		return nil
	}
	return d.set.sipTools(names, time.Now())
}

// Rules says what the detections met since they were put in force.
func (w *Watch) Rules() RuleCounters {
	d := w.detections()
	if d.rules == nil {
		return RuleCounters{}
	}
	c := d.rules.counters().rules
	if w.own != nil {
		c.Missed = w.own.Dropped()
	}
	for _, s := range d.sources {
		c.Unknown += s.parser.Counts().Unknown
	}
	return c
}

// Jails says how the imported jails are.
func (w *Watch) Jails() []JailStatus {
	d := w.detections()
	all := slices.Clone(d.jails)
	for i, p := range d.pipelines {
		all[i].Counters = p.counters().jail
		for _, s := range p.sources {
			all[i].Source = s.Health()
			all[i].Problem = all[i].Source.Problem
			all[i].Places = p.placesOf(s.Name())
		}
	}
	return all
}
