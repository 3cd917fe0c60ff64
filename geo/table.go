package geo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// checkEvery is how often Run looks whether the file was replaced.
const checkEvery = time.Minute

// Table answers which country an address is in. It may be used by any number of goroutines at once; look-ups take no
// lock.
type Table struct {
	log     *slog.Logger
	special special
	loaded  atomic.Pointer[loaded]

	lookupErrors   atomic.Uint64
	reloads        atomic.Uint64
	reloadFailures atomic.Uint64

	changing sync.Mutex // one Prepare's swap or check at a time
	failed   failure    // guarded by changing
}

// loaded is a configuration with its database; db is nil where none is configured.
type loaded struct {
	cfg  Config
	db   *database
	info fs.FileInfo // of the file that db was read from
	at   time.Time
}

// failure is the last check that failed, so that the same file is neither read nor logged every minute.
type failure struct {
	info fs.FileInfo // nil: there was no file to look at
	text string
}

// Stats is what the Table has to say to those who watch it.
type Stats struct {
	Kind           string    // the database's type as it names itself: GeoLite2-Country
	Built          time.Time // zero: no database, or it has no date
	Read           time.Time // when the file was read
	Bytes          int64     // its size
	LookupErrors   uint64    // look-ups that met a damaged record; the answer was Unknown
	Reloads        uint64    // replaced files taken over while running
	ReloadFailures uint64    // replaced files that could not be used; the one before stayed
	Failure        string    // what is wrong with the file that stands there now; "" if nothing
}

// Open reads the database of cfg, whose defaults are set, into memory. Without one it returns a Table that calls every
// public address Unknown. Its error names the file and what is wrong with it.
//
// The file is read, not mapped into memory: a mapped file that somebody writes over in place ends the process (SIGBUS).
func Open(cfg Config, log *slog.Logger) (*Table, error) {
	t := &Table{log: log, special: newSpecial()}
	swap, err := t.Prepare(cfg)
	if err != nil {
		return nil, err
	}
	swap()
	return t, nil
}

// Prepare reads the database of another configuration; swap puts it in force. On an error the Table stays as it is.
func (t *Table) Prepare(cfg Config) (swap func(), err error) {
	next := &loaded{cfg: cfg, at: time.Now()}
	if now := t.loaded.Load(); cfg.Database != "" && now != nil && now.holds(cfg.Database) {
		next.db, next.info, next.at = now.db, now.info, now.at
	} else if cfg.Database != "" {
		if next.db, next.info, err = read(cfg.Database); err != nil {
			return nil, fmt.Errorf("read country database: %w", err)
		}
	}
	return func() {
		t.changing.Lock()
		defer t.changing.Unlock()
		t.loaded.Store(next)
		t.failed = failure{}
	}, nil
}

// holds tells whether l was read from the file that is at name now.
func (l *loaded) holds(name string) bool {
	info, err := os.Stat(name)
	return err == nil && l.db != nil && sameFile(info, l.info)
}

func (l *loaded) built() time.Time {
	if l.db == nil {
		return time.Time{}
	}
	return l.db.built
}

func (l *loaded) age(now time.Time) time.Duration {
	if l.db == nil {
		return 0
	}
	return max(0, now.Sub(l.db.built)) // Sub stops at the longest duration
}

func (l *loaded) stale(now time.Time) bool { return l.db != nil && l.age(now) > l.cfg.MaxAge }

// Run takes over the file when it is replaced, at most a minute later, until ctx ends.
func (t *Table) Run(ctx context.Context) error {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	var said *database // that the log called old already
	for {
		if now := t.loaded.Load(); now.stale(time.Now()) && now.db != said {
			said = now.db
			t.log.Warn("country database is old", slog.String("file", now.cfg.Database), slog.Time("built", now.db.built))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			t.check()
		}
	}
}

// check reads the file again if it is another one than before. What cannot be used leaves the old database in place.
func (t *Table) check() {
	t.changing.Lock()
	defer t.changing.Unlock()
	now := t.loaded.Load()
	if now.db == nil {
		return
	}
	info, err := os.Stat(now.cfg.Database)
	switch {
	case err != nil:
		err = unreadable(now.cfg.Database, err)
	case sameFile(info, now.info):
		t.failed = failure{}
		return
	case t.failed.info != nil && sameFile(info, t.failed.info):
		return
	}
	next := &loaded{cfg: now.cfg, at: time.Now()}
	if err == nil {
		next.db, next.info, err = read(now.cfg.Database)
	}
	if err != nil {
		t.fail(info, err)
		return
	}
	t.loaded.Store(next)
	t.failed = failure{}
	t.reloads.Add(1)
	t.log.Info("country database read again", slog.String("file", now.cfg.Database), slog.Time("built", next.db.built))
}

// fail counts a check that failed and logs it, once for each file; the caller holds changing.
func (t *Table) fail(info fs.FileInfo, err error) {
	t.reloadFailures.Add(1)
	if errors.Is(err, fs.ErrPermission) {
		info = nil // what lets us read it does not show in the file's identity
	}
	if text := err.Error(); info != nil || text != t.failed.text {
		t.log.Error("read country database, the one before stays in force", slog.Any("error", err))
	}
	t.failed = failure{info: info, text: err.Error()}
}

// sameFile tells whether nothing shows that a file was replaced or written to.
func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// read reads a database file; the error begins with the file's name.
func read(name string) (*database, fs.FileInfo, error) {
	text, info, err := readWhole(name)
	if err != nil {
		return nil, nil, err
	}
	db, err := newDatabase(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %w", name, err)
	}
	return db, info, nil
}

func readWhole(name string) ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, nil, unreadable(name, err)
	case !info.Mode().IsRegular(): // before it is opened: a pipe would keep us waiting
		return nil, nil, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, unreadable(name, err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, nil, unreadable(name, err)
	}
	if info.Size() > maxFile {
		return nil, nil, fmt.Errorf("%s has %d MiB, more than the %d that are read; give a country database, not a city one",
			name, info.Size()>>20, maxFile>>20)
	}
	text := make([]byte, info.Size())
	if _, err := io.ReadFull(f, text); err != nil {
		return nil, nil, fmt.Errorf("%s became shorter while it was read; move a finished file into its place", name)
	}
	if after, err := f.Stat(); err != nil || !sameFile(info, after) {
		return nil, nil, fmt.Errorf("%s was written to while it was read; move a finished file into its place", name)
	}
	return text, info, nil
}

// unreadable puts the name first and says it once.
func unreadable(name string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("%s cannot be read: %w", name, err)
}

// Country returns the country of addr. IPv4 in an IPv6 form counts as IPv4, and a zone does not count. Addresses of
// Ranges are Private without being looked up; the zero address is Unknown.
func (t *Table) Country(addr netip.Addr) Country {
	if !addr.IsValid() {
		return Unknown
	}
	addr = plainAddr(addr)
	if t.special.contains(addr) {
		return Private
	}
	db := t.loaded.Load().db
	if db == nil {
		return Unknown
	}
	country, err := db.country(addr)
	if err != nil {
		t.lookupErrors.Add(1)
	}
	return country
}

// Built returns when the database was made, by its own word; zero if there is none or it has no date.
func (t *Table) Built() time.Time { return t.loaded.Load().built() }

// Age returns how long ago the database was made: 0 if there is none, the longest duration if it has no date.
func (t *Table) Age(now time.Time) time.Duration { return t.loaded.Load().age(now) }

// Stale tells whether the database is older than Config.MaxAge, or has no date. Without a database nothing is stale.
func (t *Table) Stale(now time.Time) bool { return t.loaded.Load().stale(now) }

// Stats returns the state of the database and what was counted.
func (t *Table) Stats() Stats {
	t.changing.Lock()
	defer t.changing.Unlock()
	now := t.loaded.Load()
	s := Stats{LookupErrors: t.lookupErrors.Load(), Reloads: t.reloads.Load(),
		ReloadFailures: t.reloadFailures.Load(), Failure: t.failed.text}
	if now.db != nil {
		s.Kind, s.Built, s.Read, s.Bytes = now.db.kind, now.db.built, now.at, now.info.Size()
	}
	return s
}
