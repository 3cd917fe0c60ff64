package decision

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
)

// Deps is what the list works with.
type Deps struct {
	DB      *store.DB
	Journal *journal.Journal
	Log     *slog.Logger
	// Events may be nil, for a command that only administers.
	Events *event.Log
	// Resolve finds the addresses of a name of the allow list. Nil: the system's resolver.
	Resolve func(ctx context.Context, name string) ([]netip.Addr, error)
}

// List is the decisions of one installation. It is safe for concurrent use. What it has answered for is committed; who looks up never
// waits for the store.
type List struct {
	db      *store.DB
	journal *journal.Journal
	events  *event.Log
	log     *slog.Logger
	resolve resolve
	key     []byte

	cfg      atomic.Pointer[Config]
	snapshot atomic.Pointer[snapshot]
	allowed  atomic.Pointer[allowTable]
	counted  counters
	untidy   atomic.Int64 // changes since the store was tidied

	allowMu    sync.Mutex
	allowFrom  allowSources
	allowDirty atomic.Bool // decisions may stand that the allow list forbids by now
	namesDue   chan struct{}

	mu       sync.Mutex // held for a change, the store's transaction included
	book     *book
	seen     int64 // the last revision that the book has
	watchers map[*watcher]struct{}
}

// ErrNotFound is that there is no such decision, or that it has ended.
var ErrNotFound = errors.New("no such decision")

// Open reads what stands at now from the store. cfg must be valid. It starts nothing; Run keeps it.
func Open(ctx context.Context, cfg Config, deps Deps, now time.Time) (*List, error) {
	cfg.SetDefaults()
	l := &List{db: deps.DB, journal: deps.Journal, events: deps.Events, log: deps.Log, resolve: deps.Resolve,
		namesDue: make(chan struct{}, 1), watchers: make(map[*watcher]struct{})}
	if l.resolve == nil {
		l.resolve = systemResolve
	}
	l.cfg.Store(&cfg)
	names, err := l.loadNames(ctx)
	if err != nil {
		return nil, fmt.Errorf("open decisions: %w", err)
	}
	own, err := ownAddresses()
	if err != nil {
		return nil, fmt.Errorf("open decisions: %w", err)
	}
	l.rebuildAllowed(func(s *allowSources) { *s = allowSources{cfg: cfg, names: names, own: own} })
	if err := l.restore(ctx, now); err != nil {
		return nil, fmt.Errorf("open decisions: %w", err)
	}
	return l, nil
}

// restore reads all that stands, and the secret, which the first start makes.
func (l *List) restore(ctx context.Context, now time.Time) error {
	var secret string
	if err := l.db.QueryRowContext(ctx, sqlHead).Scan(&l.seen, &secret); err != nil {
		return fmt.Errorf("read head: %w", err)
	}
	if secret == "" {
		err := l.db.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, sqlSetKey, strings.ToLower(rand.Text()+rand.Text()))
			return err
		})
		if err == nil {
			err = l.db.QueryRowContext(ctx, sqlHead).Scan(&l.seen, &secret)
		}
		if err != nil {
			return fmt.Errorf("make secret: %w", err)
		}
	}
	l.key = []byte(secret)
	var count int
	if err := l.db.QueryRowContext(ctx, sqlCountAll).Scan(&count); err != nil {
		return fmt.Errorf("count decisions: %w", err)
	}
	rows, err := l.db.QueryContext(ctx, sqlStanding, store.Micros(now))
	if err != nil {
		return fmt.Errorf("read decisions: %w", err)
	}
	defer rows.Close()
	l.book = newBook(count)
	fresh := &draft{next: emptySnapshot(), fresh: true}
	fresh.next.generation = 1
	texts := make(map[string]string) // many decisions have the same origin and reason
	read := newScanner()
	for rows.Next() {
		d, _, err := read.scan(rows, texts)
		if err != nil {
			return err
		}
		l.book.put(d)
		fresh.put(d.Target, d.Action, d)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read decisions: %w", err)
	}
	l.snapshot.Store(fresh.next)
	return nil
}

// scanner reads rows. What it reads into is made once.
type scanner struct {
	d                              Decision
	target, action                 string
	origin, reason                 string
	created, until, ended, repeats int64
	spoofable                      int64
	dest                           []any
}

func newScanner(more ...any) *scanner {
	s := &scanner{}
	s.dest = append([]any{&s.d.ID, &s.d.Number, &s.d.revision, &s.target, &s.action, &s.origin, &s.reason, &s.created, &s.until, &s.repeats, &s.spoofable, &s.ended}, more...)
	return s
}

// scan reads one row of columns, and what follows them into more. ended is zero while it stands.
func scan(row interface{ Scan(dest ...any) error }, texts map[string]string, more ...any) (d *Decision, ended time.Time, err error) {
	return newScanner(more...).scan(row, texts)
}

func (s *scanner) scan(row interface{ Scan(dest ...any) error }, texts map[string]string) (d *Decision, ended time.Time, err error) {
	if err := row.Scan(s.dest...); err != nil {
		return nil, time.Time{}, fmt.Errorf("read decision: %w", err)
	}
	d = &Decision{ID: s.d.ID, Number: s.d.Number, revision: s.d.revision, Action: actionOf(s.action), Repeats: int(s.repeats), Spoofable: s.spoofable != 0,
		Origin: shared(texts, s.origin), Reason: shared(texts, s.reason), Created: store.FromMicros(s.created), Until: store.FromMicros(s.until)}
	if d.Target, err = ParseTarget(s.target); err != nil {
		return nil, time.Time{}, fmt.Errorf("read decision %s: %w", d.ID, err)
	}
	return d, store.FromMicros(s.ended), nil
}

// actionOf is the action of that name; all decisions share the names.
func actionOf(name string) Action {
	for _, a := range Actions() {
		if string(a) == name {
			return a
		}
	}
	return Action(name)
}

// maxShared caps the texts that restored decisions share; beyond it each has its own.
const maxShared = 1 << 14

func shared(texts map[string]string, text string) string {
	if known, ok := texts[text]; ok {
		return known
	}
	if texts != nil && len(texts) < maxShared {
		texts[text] = text
	}
	return text
}

// Prepare returns what puts a new, valid configuration in force.
func (l *List) Prepare(cfg Config) (swap func()) {
	cfg.SetDefaults()
	return func() {
		l.cfg.Store(&cfg)
		l.rebuildAllowed(func(s *allowSources) { s.cfg = cfg })
		select {
		case l.namesDue <- struct{}{}:
		default:
		}
	}
}

// Key is what the installation signs answered challenges with, on all its nodes.
func (l *List) Key() []byte { return l.key }

// Config is the configuration in force.
func (l *List) Config() Config { return *l.cfg.Load() }

// Lookup returns the strongest decision about the address at now: one about itself or about a network that it is in. Evidence is not among
// it. Nobody on the allow list is ever found. It takes no lock and never asks the store.
func (l *List) Lookup(addr netip.Addr, now time.Time) (Decision, bool) {
	addr = addr.Unmap().WithZone("")
	d := l.snapshot.Load().lookup(addr, now)
	if d == nil || l.allowed.Load().contains(addr) {
		return Decision{}, false
	}
	return *d, true
}

// LookupAccount is Lookup for an account, by its name.
func (l *List) LookupAccount(name string, now time.Time) (Decision, bool) {
	s := l.snapshot.Load()
	if len(s.accounts) == 0 {
		return Decision{}, false
	}
	return found(s.accounts[foldAccount(name)].strongest(now))
}

// LookupCountry is Lookup for a country, by its ISO 3166-1 code. Whoever asks has to spare the addresses of the allow list.
func (l *List) LookupCountry(code string, now time.Time) (Decision, bool) {
	return found(l.snapshot.Load().countries[code].strongest(now))
}

// HasCountries tells whether there are any decisions about countries, so that an address's need not be looked up for nothing.
func (l *List) HasCountries() bool { return len(l.snapshot.Load().countries) > 0 }

// Generation changes with every change of the snapshot.
func (l *List) Generation() uint64 { return l.snapshot.Load().generation }

func found(d *Decision) (Decision, bool) {
	if d == nil {
		return Decision{}, false
	}
	return *d, true
}
