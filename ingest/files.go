package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	maxFiles = 1000        // logs of one source
	rescan   = time.Second // how often the patterns are looked through, and files that nobody reported are read
)

// Files is a source that reads log files as they grow: over rotations by rename and by copytruncate, packed or not, and over
// restarts.
type Files struct {
	status
	name     string
	patterns []string
	log      *slog.Logger
	format   Format

	logs  map[string]*follow
	buf   []byte
	fresh bool // the logs that are there now are new to us, and not new
}

// NewFiles prepares a source that reads the files that the patterns (path.Match) name. format says what a line of them is.
func NewFiles(name string, patterns []string, f Format, log *slog.Logger) (*Files, error) {
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("source %s: %w", name, err)
	}
	for _, p := range patterns {
		if _, err := filepath.Match(p, ""); err != nil || !filepath.IsAbs(p) {
			return nil, fmt.Errorf("source %s: %q is no pattern of absolute paths", name, p)
		}
	}
	return &Files{name: name, patterns: patterns, log: log, format: f, logs: map[string]*follow{}, buf: make([]byte, chunkLen)}, nil
}

// Name is the source's name.
func (s *Files) Name() string { return s.name }

// Run reads until ctx ends or use fails; see Source. The key of a batch is the path of the log.
func (s *Files) Run(ctx context.Context, positions map[string][]byte, use Use) error {
	defer s.close()
	watcher, err := fsnotify.NewWatcher()
	if err != nil { // too many of the kernel's watches are in use: the rescan finds everything, a little later
		s.log.Warn("watch log files", slog.String("source", s.name), slog.Any("error", err))
	} else {
		defer watcher.Close()
	}
	s.fresh = len(positions) == 0
	s.count(func(h *Health) { h.Since = time.Now() })
	for path, position := range positions {
		s.add(path, position)
	}
	tick := time.NewTicker(rescan)
	defer tick.Stop()
	for {
		s.scan(watcher)
		s.fresh = false
		if err := s.readAll(ctx, use); err != nil {
			return err
		}
		if err := s.wait(ctx, watcher, tick.C, use); err != nil {
			return err
		}
	}
}

// wait reads the logs that the kernel reports, until it is time to look at all again.
func (s *Files) wait(ctx context.Context, watcher *fsnotify.Watcher, tick <-chan time.Time, use Use) error {
	var events chan fsnotify.Event
	var lost chan error // reports that did not fit; until one is taken, no more come
	if watcher != nil {
		events, lost = watcher.Events, watcher.Errors
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick:
			return nil
		case <-lost:
			return nil // whatever it was about, all logs are looked at
		case e := <-events:
			if err := s.readNamed(ctx, waiting(e, events), use); err != nil {
				return err
			}
		}
	}
}

// waiting are the names in an event and in those that wait behind it.
func waiting(first fsnotify.Event, events <-chan fsnotify.Event) map[string]bool {
	names := map[string]bool{first.Name: true}
	for {
		select {
		case e := <-events:
			names[e.Name] = true
		default:
			return names
		}
	}
}

// readNamed reads those of the named files that are logs of this source.
func (s *Files) readNamed(ctx context.Context, names map[string]bool, use Use) error {
	for name := range names {
		f := s.logs[name]
		if f == nil && s.matches(name) {
			f = s.add(name, nil)
		}
		if f == nil {
			continue
		}
		if err := s.readOne(ctx, name, f, use); err != nil {
			return err
		}
	}
	return nil
}

func (s *Files) matches(name string) bool {
	return slices.ContainsFunc(s.patterns, func(p string) bool { ok, _ := filepath.Match(p, name); return ok })
}

// add begins to follow a log.
func (s *Files) add(path string, position []byte) *follow {
	if len(s.logs) >= maxFiles {
		return nil
	}
	f := &follow{path: path, format: s.format}
	f.resume(position, s.fresh)
	s.logs[path] = f
	return f
}

// scan finds the logs that came since the last time, and has the kernel report on their folders.
func (s *Files) scan(watcher *fsnotify.Watcher) {
	problem := ""
	folders := map[string]bool{}
	for _, pattern := range s.patterns {
		names, err := filepath.Glob(pattern)
		if err != nil {
			continue // checked in NewFiles
		}
		if len(names) == 0 {
			problem = "no file " + pattern
		}
		for _, name := range names {
			folders[filepath.Dir(name)] = true
			if s.logs[name] == nil && s.add(name, nil) == nil {
				problem = fmt.Sprintf("more than %d files; %s and others are not read", maxFiles, name)
			}
		}
		if dir := filepath.Dir(pattern); !strings.ContainsAny(dir, `*?[\`) {
			folders[dir] = true
		}
	}
	if watcher != nil {
		for dir := range folders {
			_ = watcher.Add(dir) // again and again is no harm; without it the rescan finds it
		}
	}
	s.count(func(h *Health) { h.Problem = problem })
}

func (s *Files) readAll(ctx context.Context, use Use) error {
	for _, path := range slices.Sorted(maps.Keys(s.logs)) {
		if err := s.readOne(ctx, path, s.logs[path], use); err != nil {
			return err
		}
	}
	return nil
}

// readOne gives on what one log has grown by.
func (s *Files) readOne(ctx context.Context, path string, f *follow, use Use) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	batch := Batch{Key: path}
	now := time.Now()
	add := func(r Record) {
		r.Source = s.name
		batch.Records = append(batch.Records, r)
	}
	line := func(line []byte, isCut bool) {
		if !isCut && s.format != Asterisk {
			line = trimCR(line)
		}
		f.reader.line(line, isCut, now, add)
	}
	gaps := f.gaps
	give := func() error {
		if len(batch.Records) == 0 {
			return nil
		}
		batch.Position = f.position()
		err := use(ctx, batch)
		s.counted(batch.Records)
		batch.Records = batch.Records[:0]
		return err
	}
	f.reader.due(now, add)
	err := f.step(s.buf, line, give)
	s.count(func(h *Health) {
		h.Gaps += f.gaps - gaps
		if f.err != nil {
			h.Problem = f.err.Error()
		}
	})
	if f.gaps != gaps {
		s.log.Warn("lines of a log may be lost", slog.String("source", s.name), slog.String("file", path))
	}
	return err
}

func (s *Files) close() {
	for _, f := range s.logs {
		f.close()
	}
}
