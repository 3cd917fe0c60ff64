package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
)

// openSQLite opens the file of cfg and prepares its schema.
func openSQLite(ctx context.Context, cfg Config, prepare migration) (*pools, error) {
	if cfg.Path == "" {
		return nil, errors.New("open database: no path and no url_file")
	}
	unlock, err := prepareFile(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", cfg.Path, err)
	}
	defer unlock()
	p, err := sqlitePools(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", cfg.Path, err)
	}
	if err := prepare(ctx, p.write, SQLite); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", cfg.Path, err), p.close())
	}
	return p, nil
}

// prepareFile makes the file if it is missing and lets only its owner read it: it holds password hashes.
// It holds a lock on the folder until unlock, so that two processes that start at once do not both run the
// migrations. The lock is not on the file itself: closing any descriptor of that would silently drop
// SQLite's own locks of this process.
func prepareFile(path string) (unlock func(), err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := lockFile(folder); err != nil {
		return nil, errors.Join(fmt.Errorf("lock folder: %w", err), folder.Close())
	}
	unlock = func() { folder.Close() }
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = file.Close()
	} else if errors.Is(err, fs.ErrExist) {
		err = tighten(path)
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

func lockFile(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			return err
		}
	}
}

// tighten takes from group and others what they may do with an existing file.
func tighten(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return os.Chmod(path, info.Mode().Perm()&0o700)
}

// The pages that a connection keeps, in KiB. Five connections with SQLite's two megabytes each would be a good part of what Doorward takes, and
// the system keeps the file's pages in any case.
const (
	writeCache = "cache_size(-1024)"
	readCache  = "cache_size(-512)"
)

// sqlitePools opens the write connection and the read pool on an existing file.
func sqlitePools(path string) (*pools, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	write, err := SQLiteConnector(path, url.Values{
		"mode":          {"rw"}, // never make a file here: a missing database must be noticed
		"_txlock":       {"immediate"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_pragma":       {"wal_autocheckpoint(" + strconv.Itoa(mostLogPages) + ")", writeCache},
	})
	if err != nil {
		return nil, err
	}
	read, err := SQLiteConnector(path, url.Values{"mode": {"rw"}, "_query_only": {"1"}, "_pragma": {readCache}})
	if err != nil {
		return nil, err
	}
	p := &pools{write: sql.OpenDB(write), read: sql.OpenDB(read), file: fileID{info}}
	p.write.SetMaxOpenConns(1)
	p.read.SetMaxOpenConns(readers)
	p.read.SetMaxIdleConns(readers)
	return p, nil
}

// SQLiteConnector makes a connector for a SQLite file, with the parameters all our files share (foreign
// keys on, a busy timeout, no double-quoted strings, defensive mode) and those given. The event log uses
// it for its day files.
func SQLiteConnector(path string, params url.Values) (driver.Connector, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	query := url.Values{
		"_busy_timeout": {strconv.FormatInt(busyLimit.Milliseconds(), 10)},
		"_foreign_keys": {"1"},
		"_dqs":          {"0"},
		"_defensive":    {"1"},
		"_error_rc":     {"1"},
	}
	for key, values := range params {
		query[key] = values
	}
	dsn := url.URL{Scheme: "file", Path: abs, RawQuery: query.Encode()}
	return sqlite.NewConnector(dsn.String())
}
