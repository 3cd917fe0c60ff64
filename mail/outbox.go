package mail

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/store"
)

// Caps on what waits: the messages are caused by strangers.
const (
	maxWaiting    = 10_000
	maxWaitingFor = 20 // for one recipient
	// keepRecord is how long it is kept what became of a message, and maxRecord of how many.
	keepRecord = 30 * 24 * time.Hour
	maxRecord  = 50_000
)

// Deps is what an Outbox works with.
type Deps struct {
	DB  *store.DB
	Log *slog.Logger
	// OnResult is told of every try and every message given up, after it is in the store. It is called by several
	// goroutines at a time. Nil: nobody is.
	OnResult func(Result)
}

// Outcome is what became of a try.
type Outcome string

// The outcomes. Retry alone is not the last.
const (
	Sent    Outcome = "sent"    // the server took it
	Retry   Outcome = "retry"   // it did not, and will be asked again
	Failed  Outcome = "failed"  // it said that it never will
	Expired Outcome = "expired" // it was not taken while the message was of use
)

// Result is what became of one try to send a message.
type Result struct {
	ID, Kind, To string
	Outcome      Outcome
	// Detail is the error of the last try in one line, which can hold the server's own words; empty for Sent.
	Detail string
	Tries  int // so far
	Time   time.Time
}

// Stats is what an Outbox has counted since it was made, and how many messages wait in the store.
type Stats struct {
	Sent, Failed, Expired uint64 // messages, by how they ended in this process
	Retried               uint64 // tries that will be repeated
	Dropped               uint64 // messages that Add refused with ErrFull
	Waiting               int    // as Run last saw it, at most a second ago
}

// Outbox is the mail that waits in the store and those who carry it to the server. It is safe for concurrent use.
// Several processes may have one each on the same database.
type Outbox struct {
	db       *store.DB
	log      *slog.Logger
	onResult func(Result)
	cfg      atomic.Pointer[Config]
	wake     chan struct{}
	gate     gate

	sent, failed, expired, retried, dropped atomic.Uint64
	waiting                                 atomic.Int64
}

// New makes an Outbox; it sends nothing before Run. cfg must be valid.
func New(cfg Config, deps Deps) *Outbox {
	o := &Outbox{db: deps.DB, log: deps.Log, onResult: deps.OnResult, wake: make(chan struct{}, 1)}
	if o.onResult == nil {
		o.onResult = func(Result) {}
	}
	o.Reload(cfg)
	return o
}

// Reload takes another server, account or sender for every message that is sent from now on. cfg must be valid.
func (o *Outbox) Reload(cfg Config) {
	cfg.SetDefaults()
	o.cfg.Store(&cfg)
	o.gate.fine()
	o.Wake()
}

// Enabled tells whether a mail server is configured: whether Add takes messages.
func (o *Outbox) Enabled() bool { return o.cfg.Load().Enabled() }

// Add puts a message into the caller's transaction: it is sent if that is committed, and never if not. Call Wake
// after the commit. The error is ErrOff, ErrFull (wrapped: 20 messages wait for this recipient, or 10,000 in all),
// or says what cannot be sent: a caller that ignores it keeps its transaction, and nobody is told.
//
// A message is delivered at least once: when a connection breaks, or a process ends, between the server's taking the
// message and its answer being stored, the message is sent again, with the same Message-ID.
func (o *Outbox) Add(ctx context.Context, tx *sql.Tx, m Message, now time.Time) error {
	if !o.Enabled() {
		return ErrOff
	}
	m, err := m.check(now)
	if err != nil {
		return fmt.Errorf("add mail: %w: %w", ErrMessage, err)
	}
	key := strings.ToLower(m.To)
	if err := o.room(ctx, tx, key); err != nil {
		return fmt.Errorf("add mail: %w", err)
	}
	id, err := store.NewID()
	if err != nil {
		return fmt.Errorf("name mail: %w", err)
	}
	_, err = tx.ExecContext(ctx, sqlAdd, id, m.Kind, m.To, key, store.Micros(now), store.Micros(m.Expires), m.Language, m.Subject, m.Text, m.HTML)
	if err != nil {
		return fmt.Errorf("add mail: %w", err)
	}
	return nil
}

// room gives ErrFull when no more may wait.
func (o *Outbox) room(ctx context.Context, tx *sql.Tx, key string) error {
	var waiting, next, expires, same int
	if err := tx.QueryRowContext(ctx, sqlWaiting).Scan(&waiting, &next, &expires); err != nil {
		return fmt.Errorf("count waiting mail: %w", err)
	}
	if err := tx.QueryRowContext(ctx, sqlWaitingFor, key).Scan(&same); err != nil {
		return fmt.Errorf("count waiting mail: %w", err)
	}
	switch {
	case waiting >= maxWaiting:
		o.dropped.Add(1)
		return fmt.Errorf("%d in all: %w", waiting, ErrFull)
	case same >= maxWaitingFor:
		o.dropped.Add(1)
		return fmt.Errorf("%d for one recipient: %w", same, ErrFull)
	}
	return nil
}

// Wake has Run look at once for what is due, rather than within a second.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default: // it is awake
	}
}

// Stats returns the numbers.
func (o *Outbox) Stats() Stats {
	return Stats{Sent: o.sent.Load(), Failed: o.failed.Load(), Expired: o.expired.Load(), Retried: o.retried.Load(),
		Dropped: o.dropped.Load(), Waiting: int(o.waiting.Load())}
}

// Entry is a message that waits, or that was given up, as it is shown to whoever runs Doorward: without its content.
type Entry struct {
	ID, Kind, To           string
	State                  string // waiting, failed or expired
	Created, Expires, Next time.Time
	Done                   time.Time // when it was given up; zero while it waits
	Tries                  int
	Detail                 string // the error of the last try
}

// Queue lists what waits and what was given up in the last 30 days, newest first, at most limit.
func (o *Outbox) Queue(ctx context.Context, limit int) ([]Entry, error) {
	rows, err := o.db.QueryContext(ctx, sqlQueue, limit)
	if err != nil {
		return nil, fmt.Errorf("list mail: %w", err)
	}
	defer rows.Close()
	var list []Entry
	for rows.Next() {
		var e Entry
		var created, expires, next, done int64
		if err := rows.Scan(&e.ID, &e.Kind, &e.To, &e.State, &created, &expires, &next, &e.Tries, &done, &e.Detail); err != nil {
			return nil, fmt.Errorf("list mail: %w", err)
		}
		e.Created, e.Expires, e.Done = store.FromMicros(created), store.FromMicros(expires), store.FromMicros(done)
		if e.State == "waiting" {
			e.Next = store.FromMicros(next)
		}
		list = append(list, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list mail: %w", err)
	}
	return list, nil
}

// LastSent is when the newest message of a kind was taken by the server; zero when none was in the last 30 days.
func (o *Outbox) LastSent(ctx context.Context, kind string) (time.Time, error) {
	var at int64
	if err := o.db.QueryRowContext(ctx, sqlLastSent, kind).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("see when a mail was sent: %w", err)
	}
	return store.FromMicros(at), nil
}
