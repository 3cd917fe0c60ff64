package event

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/store"
)

// Log is the event log. Its methods are safe for concurrent use; Run must be running for what is appended
// to be written.
type Log struct {
	cfg     Config
	log     *slog.Logger
	queue   *queue
	archive archive
	closed  atomic.Bool

	written, failed, cleaned, truncated, retimed, expired atomic.Uint64
	running                                               sync.Mutex // held by Run, and by Close once Run has ended
}

// archive is where events are kept, a day at a time: dayFiles or partitions.
type archive interface {
	// write stores rows, all of day d, and returns when they survive a crash of this process.
	write(ctx context.Context, d day, rows []row) error
	// read passes the rows of day d that f selects to use, newest first, until that returns false.
	read(ctx context.Context, d day, f filter, use func(*row) bool) error
	// ask passes the database that holds the counters of day d.
	ask(ctx context.Context, d day, f func(*sql.DB) error) error
	// order is what rows of the same microsecond are ordered by, made of their tail.
	order(tail int64) int64
	// days lists the days that there are, in any order.
	days(ctx context.Context) ([]day, error)
	// remove deletes day d.
	remove(ctx context.Context, d day) error
	close() error
}

// Stats are the numbers of a Log since it was opened.
type Stats struct {
	Appended uint64 // accepted by Append
	Written  uint64 // stored
	Dropped  uint64 // refused by Append because the queue was full
	Failed   uint64 // accepted, but the store refused the event itself
	Queued   int    // waiting now

	Cleaned   uint64 // texts in which bytes were replaced by an escape
	Truncated uint64 // texts or field lists that were cut
	Retimed   uint64 // events whose stated time was not believed
	Expired   uint64 // days removed by retention
}

// Open prepares the event log beside the state database db: on SQLite in a file a day in cfg.Dir (mode 0600,
// the folder 0700), on PostgreSQL in daily partitions of the table event in the same database. Zero values
// of cfg become the defaults. It starts nothing; Run does the writing.
func Open(ctx context.Context, cfg Config, db *store.DB, log *slog.Logger) (*Log, error) {
	cfg.SetDefaults()
	if err := cfg.check(db.Dialect() == store.SQLite); err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	l := &Log{cfg: cfg, log: log, queue: newQueue(cfg.Queue)}
	var err error
	if db.Dialect() == store.PostgreSQL {
		l.archive, err = openPartitions(ctx, db)
	} else {
		l.archive, err = openDayFiles(cfg.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	return l, nil
}

// Append puts e in the queue to be written and returns at once. It is false, and the event is lost and
// counted, when the queue is full because the database cannot keep up or is away. The log keeps e.Fields
// and the texts: the caller must not change the slice afterwards.
func (l *Log) Append(e Event) bool {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	return l.queue.push(&e)
}

// Stats returns the log's numbers.
func (l *Log) Stats() Stats {
	appended, dropped, queued := l.queue.stats()
	return Stats{
		Appended: appended, Dropped: dropped, Queued: queued,
		Written: l.written.Load(), Failed: l.failed.Load(), Cleaned: l.cleaned.Load(),
		Truncated: l.truncated.Load(), Retimed: l.retimed.Load(), Expired: l.expired.Load(),
	}
}

// Flush waits until every event that was appended before is written, or was refused by the store. While the
// database is away it waits until ctx ends.
func (l *Log) Flush(ctx context.Context) error {
	settled, target, progress := l.queue.await()
	for settled < target {
		l.queue.signal()
		select {
		case <-ctx.Done():
			return fmt.Errorf("flush event log: %d events are still waiting: %w", target-settled, ctx.Err())
		case <-progress:
		}
		settled, _, progress = l.queue.await()
	}
	return nil
}

// Close lets go of the store. It waits for Run to end: end that first. What is still in the queue is lost.
func (l *Log) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	l.running.Lock()
	defer l.running.Unlock()
	if err := l.archive.close(); err != nil {
		return fmt.Errorf("close event log: %w", err)
	}
	return nil
}

func errorAt(path, format string, args ...any) error {
	return errors.New(path + ": " + fmt.Sprintf(format, args...))
}
