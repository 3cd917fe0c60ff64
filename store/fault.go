package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// Unavailable tells whether err means that the database cannot serve now but may later: it is gone,
// read-only, full, refuses connections, does not answer in time, or is shutting down. A caller that guards
// something then fails closed and says so; a caller that only records keeps what it has and tries again.
// It is false for nil, for sql.ErrNoRows, for a call that its own caller cancelled and for statements that
// are wrong in themselves.
func Unavailable(err error) bool {
	if err == nil || errors.Is(err, sql.ErrNoRows) || errors.Is(err, context.Canceled) {
		return false
	}
	// database/sql keeps this error to itself.
	if strings.HasSuffix(err.Error(), "sql: database is closed") {
		return true
	}
	for _, target := range []error{
		errGone, errReplaced, context.DeadlineExceeded, driver.ErrBadConn, sql.ErrConnDone, fs.ErrPermission,
		syscall.ENOSPC, syscall.EROFS, syscall.EDQUOT, syscall.EIO, io.EOF, io.ErrUnexpectedEOF,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return sqliteUnavailable(lite.Code())
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return postgresUnavailable(pg.Code)
	}
	var connect *pgconn.ConnectError
	var network net.Error
	// SafeToRetry is true of a connection that was found closed before anything was sent.
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.Timeout(err) || pgconn.SafeToRetry(err)
}

// sqliteUnavailable judges the primary result code (https://www.sqlite.org/rescode.html).
func sqliteUnavailable(code int) bool {
	switch code & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_READONLY, lib.SQLITE_IOERR, lib.SQLITE_FULL,
		lib.SQLITE_CANTOPEN, lib.SQLITE_PERM, lib.SQLITE_PROTOCOL, lib.SQLITE_NOMEM, lib.SQLITE_INTERRUPT,
		lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return true
	}
	return false
}

// postgresUnavailable judges the class of an SQLSTATE (PostgreSQL 15, appendix A).
func postgresUnavailable(code string) bool {
	if len(code) != 5 {
		return false
	}
	switch code[:2] {
	case "08", // connection exception
		"28", // the password was changed under us
		"3D", // the database does not exist (any more)
		"53", // out of disk, memory or connections
		"57", // shut down by the operator, cannot connect now, cancelled
		"58": // input or output error
		return true
	}
	// Read-only transaction (a standby, or default_transaction_read_only), and locks that time out.
	return code == "25006" || code == "25P03" || code == "55P03" || code == codeSerialization || code == codeDeadlock
}
