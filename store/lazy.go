package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"
)

const (
	// moveAfter is after how many transactions SQLite's write-ahead log is moved into the file, beside those who write. At mostLogPages, which
	// are 16 MB and which many small transactions never reach, one of them does it itself.
	moveAfter    = 50
	mostLogPages = 4000
	moveLimit    = 10 * time.Second
)

// writeUnsynced is a transaction on SQLite whose end does not wait for the disk.
func (db *DB) writeUnsynced(ctx context.Context, f func(tx *sql.Tx) error) (err error) {
	p, err := db.current(ctx)
	if err != nil {
		return err
	}
	conn, err := p.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer conn.Close()
	defer func() {
		if _, bad := conn.ExecContext(context.WithoutCancel(ctx), sqlSynced); bad != nil {
			// The pool makes a new connection, which waits for the disk.
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
	}()
	if _, err := conn.ExecContext(ctx, sqlUnsynced); err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	return db.writeOn(ctx, p, conn, f)
}

// writeUnwaited is the same on PostgreSQL.
func (db *DB) writeUnwaited(ctx context.Context, f func(tx *sql.Tx) error) error {
	return db.writeOnce(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, sqlUnwaited); err != nil {
			return fmt.Errorf("begin transaction: %w", err)
		}
		return f(tx)
	})
}

// committed counts a transaction, and has SQLite's log moved when it is time: whoever writes need not wait for that.
func (db *DB) committed() {
	if db.dialect == SQLite && db.commits.Add(1) == moveAfter {
		go db.moveLog()
	}
}

// moveLog moves what is in the log into the file. Readers and writers go on meanwhile; what they hold stays for the next time. An error is
// not told: the log is read until it can be moved, and whoever writes is told what is wrong with the file.
func (db *DB) moveLog() {
	db.reopen.Lock()
	defer db.reopen.Unlock()
	defer db.commits.Store(0)
	p := db.pools.Load()
	if db.closed.Load() || p.left || p.file.check(db.cfg.Path) != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), moveLimit)
	defer cancel()
	var busy, pages, moved int
	_ = p.read.QueryRowContext(ctx, sqlMoveLog).Scan(&busy, &pages, &moved)
}
