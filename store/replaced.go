package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Reasons why a SQLite file that was open cannot be used any more. Both are Unavailable.
var (
	errGone     = errors.New("the database file is gone")
	errReplaced = errors.New("the database file was replaced")
)

// fileID remembers which file was opened, because SQLite goes on writing to a file that was deleted. The
// zero fileID is no file (PostgreSQL) and always passes.
type fileID struct{ info fs.FileInfo }

func (f fileID) check(path string) error {
	if f.info == nil {
		return nil
	}
	now, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	if !os.SameFile(f.info, now) {
		return fmt.Errorf("%w: %s", errReplaced, path)
	}
	return nil
}

// openAgain opens the SQLite file that now stands where ours was: somebody has restored a backup. It must
// have our schema version already; an empty file in its place would otherwise become a fresh
// installation without anybody's accounts.
func (db *DB) openAgain(ctx context.Context) (*pools, error) {
	db.reopen.Lock()
	defer db.reopen.Unlock()
	p := db.pools.Load()
	if db.closed.Load() {
		return p, nil
	}
	if !p.left {
		if err := p.file.check(db.cfg.Path); !errors.Is(err, errReplaced) {
			return p, err // another caller was here first, or the file is gone again
		}
		if err := p.leave(ctx); err != nil {
			return nil, fmt.Errorf("%w: leave the file that was replaced: %w", errReplaced, err)
		}
		db.pools.Store(&pools{write: p.write, read: p.read, left: true})
	}
	fresh, err := openSQLite(ctx, db.cfg, migrateNothing)
	if err != nil {
		return nil, fmt.Errorf("%w: open the one put in its place: %w", errReplaced, err)
	}
	db.pools.Store(fresh)
	return fresh, nil
}

// leave closes the pools of a file that another one has taken the place of. Its write-ahead log still lies
// beside the new file under the name that SQLite would apply to that one, and mix the two: first all of it
// must go where it belongs, into the old file, wherever that is now.
func (p *pools) leave(ctx context.Context) error {
	var busy, pages, moved int
	if err := p.write.QueryRowContext(ctx, sqlEmptyLog).Scan(&busy, &pages, &moved); err != nil {
		return fmt.Errorf("empty the write-ahead log: %w", err)
	}
	if busy != 0 {
		return errors.New("empty the write-ahead log: it is being read")
	}
	return p.close()
}

// failedRow makes a row whose Scan returns err: database/sql has no other door to one.
func failedRow(ctx context.Context, err error) *sql.Row {
	broken := sql.OpenDB(brokenConnector{err})
	defer broken.Close()
	return broken.QueryRowContext(ctx, "")
}

// brokenConnector connects to nothing, for a reason.
type brokenConnector struct{ err error }

func (b brokenConnector) Connect(context.Context) (driver.Conn, error) { return nil, b.err }
func (b brokenConnector) Driver() driver.Driver                        { return nil }
