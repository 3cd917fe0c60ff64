package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Config says where the database is. It is the `store` section of the configuration file.
type Config struct {
	// Path is the SQLite file. It is used when URLFile is empty; the configuration's default is
	// doorward.db in the data folder.
	Path string `yaml:"path"`
	// URLFile is a file that holds one PostgreSQL URL (postgres://user:password@host/database). When it
	// is set the database is PostgreSQL and Path is not used. The URL is in a file because it is a secret.
	URLFile string `yaml:"url_file"`
}

// Dialect names the kind of database behind a DB.
type Dialect string

// The dialects.
const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgres"
)

// Limits that keep one bad moment of the database from becoming everyone's.
const (
	// writeLimit bounds one call of Write, retries included, so that a database that answers nothing
	// cannot hold the single writer for good.
	writeLimit = 15 * time.Second
	// busyLimit is how long SQLite waits for another process's write lock.
	busyLimit = 5 * time.Second
	// connectLimit bounds one connection attempt to PostgreSQL when the URL sets no connect_timeout.
	connectLimit = 5 * time.Second
	// readers is the size of the read pool.
	readers = 4
)

// pools are the two connection pools of one opened database.
type pools struct {
	write *sql.DB // exactly one connection: writers queue here and not at the database's lock
	read  *sql.DB
	file  fileID // SQLite: the file that was opened
	left  bool   // closed because another file stands where this one was
}

func (p *pools) close() error {
	return errors.Join(p.read.Close(), p.write.Close())
}

// DB is an open database whose schema is the one this program knows. It is safe for concurrent use.
type DB struct {
	dialect Dialect
	cfg     Config
	pools   atomic.Pointer[pools]
	reopen  sync.Mutex // held while a replaced SQLite file is opened again, and while its log is moved into it
	closed  atomic.Bool
	commits atomic.Int64 // since the log was last moved
}

// Open opens the database that cfg names, makes it if it is not there (SQLite: file mode 0600, missing
// folders 0700), checks that it can be read and written, and brings its schema forward to the newest
// version this program knows.
//
// A database that a newer Doorward has written is refused with a *NewerError: running old code on it
// could lose what the newer one stored. Unavailable tells whether trying again later can help.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	db := &DB{dialect: SQLite, cfg: cfg}
	open := openSQLite
	if cfg.URLFile != "" {
		db.dialect, open = PostgreSQL, openPostgreSQL
	}
	p, err := open(ctx, cfg, migrateForward)
	if err != nil {
		return nil, err
	}
	db.pools.Store(p)
	if err := db.Ping(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Dialect tells which kind of database this is, for the few statements that must differ.
func (db *DB) Dialect() Dialect { return db.dialect }

// Write runs f in one write transaction and commits it. When f returns an error, or the transaction
// cannot be committed, nothing of it stays and the error is returned.
//
// One write runs at a time in a process. On SQLite the transaction begins IMMEDIATE; on PostgreSQL it is
// SERIALIZABLE, and when it collides with another process's it is rolled back and f is called again: f
// must have no effect outside tx that cannot happen twice. f must not call Write. A call takes 15 seconds
// at most, waiting included; a lock that another process holds on a SQLite file is waited for up to 5
// seconds whatever ctx says, because SQLite cannot be interrupted there.
func (db *DB) Write(ctx context.Context, f func(tx *sql.Tx) error) error {
	return db.write(ctx, f, db.writeOnce)
}

// WriteLazily is Write for what can be made again: it does not wait for the disk. What it has written outlives this process and comes
// behind everything that was written before it, but the machine's power may be lost first. The next Write waits for its part too.
func (db *DB) WriteLazily(ctx context.Context, f func(tx *sql.Tx) error) error {
	once := db.writeUnsynced
	if db.dialect == PostgreSQL {
		once = db.writeUnwaited
	}
	return db.write(ctx, f, once)
}

func (db *DB) write(ctx context.Context, f func(tx *sql.Tx) error, once func(context.Context, func(tx *sql.Tx) error) error) error {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	for try := 0; ; try++ {
		err := once(ctx, f)
		if err == nil || !collision(err) || !pause(ctx, try) {
			return err
		}
	}
}

// Local is the context for a statement of a transaction that ctx bounds already, if the statement takes no time: on SQLite, one that nothing
// interrupts, for which the driver needs no goroutine of its own. The end of ctx ends the transaction all the same, before its next statement.
func (db *DB) Local(ctx context.Context) context.Context {
	if db.dialect == SQLite {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// beginner begins transactions: a pool, or the one connection of it.
type beginner interface {
	BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
}

func (db *DB) writeOnce(ctx context.Context, f func(tx *sql.Tx) error) error {
	p, err := db.current(ctx)
	if err != nil {
		return err
	}
	return db.writeOn(ctx, p, p.write, f)
}

func (db *DB) writeOn(ctx context.Context, p *pools, on beginner, f func(tx *sql.Tx) error) error {
	opts := &sql.TxOptions{}
	if db.dialect == PostgreSQL {
		opts.Isolation = sql.LevelSerializable
	}
	tx, err := on.BeginTx(ctx, opts)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer tx.Rollback() // after a commit this does nothing
	if err := f(tx); err != nil {
		return err
	}
	// A transaction on a SQLite file that was taken away would commit without an error into a file that
	// nobody can ever open again.
	if err := p.file.check(db.cfg.Path); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	db.committed()
	return nil
}

// QueryContext runs a query on the read pool, as sql.DB.QueryContext does. The caller bounds it with ctx.
func (db *DB) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	p, err := db.current(ctx)
	if err != nil {
		return nil, err
	}
	return p.read.QueryContext(ctx, query, args...)
}

// QueryRowContext runs a query of at most one row on the read pool, as sql.DB.QueryRowContext does; any
// error comes from the row's Scan.
func (db *DB) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	p, err := db.current(ctx)
	if err != nil {
		return failedRow(ctx, err)
	}
	return p.read.QueryRowContext(ctx, query, args...)
}

// Ping tells whether the database can be read and written now; readiness probes call it. It writes one
// small row for real, because a full or read-only database still accepts an empty transaction.
func (db *DB) Ping(ctx context.Context) error {
	var version int64
	if err := db.QueryRowContext(ctx, sqlReadProbe).Scan(&version); err != nil {
		return fmt.Errorf("read from the database: %w", err)
	}
	err := db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, sqlWriteProbe, Micros(time.Now()))
		return err
	})
	if err != nil {
		return fmt.Errorf("write to the database: %w", err)
	}
	return nil
}

// Close closes every connection. What Write has acknowledged stays. It may be called twice.
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		return nil
	}
	db.reopen.Lock()
	defer db.reopen.Unlock()
	p := db.pools.Load()
	if p.left {
		return nil
	}
	var err error
	if errors.Is(p.file.check(db.cfg.Path), errReplaced) {
		err = p.leave(context.Background())
	} else {
		err = p.close()
	}
	if err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// current returns the open pools. For SQLite it first looks whether the file is still the one that was
// opened: a file taken away is an error, a file put in its place is opened.
func (db *DB) current(ctx context.Context) (*pools, error) {
	p := db.pools.Load()
	if db.dialect == PostgreSQL || db.closed.Load() {
		return p, nil
	}
	if !p.left {
		if err := p.file.check(db.cfg.Path); !errors.Is(err, errReplaced) {
			return p, err
		}
	}
	return db.openAgain(ctx)
}
