package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// addKey writes one row.
func addKey(db *store.DB, key string) error {
	return db.Write(context.Background(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO sign_in_failure (key, failures, wait_until, updated_at) VALUES ($1, 1, 0, 0)`, key)
		return err
	})
}

// wantAway wants both a write and the readiness probe to fail as unavailable.
func wantAway(t *testing.T, db *store.DB) {
	t.Helper()
	if err := addKey(db, "never"); !store.Unavailable(err) {
		t.Errorf("write while the database is away: got %v, want an unavailable error", err)
	}
	if err := db.Ping(context.Background()); !store.Unavailable(err) {
		t.Errorf("Ping while the database is away: got %v, want an unavailable error", err)
	}
}

func wantRead(t *testing.T, db *store.DB, away bool) {
	t.Helper()
	var n int
	err := db.QueryRowContext(context.Background(), `SELECT COUNT(*) FROM principal`).Scan(&n)
	if away && !store.Unavailable(err) {
		t.Errorf("read while the database is away: got %v, want an unavailable error", err)
	}
	if !away && err != nil {
		t.Errorf("read: %v", err)
	}
	rows, err := db.QueryContext(context.Background(), `SELECT id FROM principal`)
	if err == nil {
		err = errors.Join(rows.Err(), rows.Close())
	}
	if away != store.Unavailable(err) {
		t.Errorf("query: got %v, want unavailable %t", err, away)
	}
}

// wantBack wants writes to go on, and nothing of what was refused to be there.
func wantBack(t *testing.T, db *store.DB, want ...string) {
	t.Helper()
	if err := db.Ping(context.Background()); err != nil {
		t.Errorf("Ping after the database came back: %v", err)
	}
	if err := addKey(db, "z-back"); err != nil {
		t.Errorf("write after the database came back: %v", err)
	}
	want = append(want, "z-back")
	if got := keys(t, db); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("rows after the database came back: got %q, want %q", got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pragma sets something on the one write connection.
func pragma(t *testing.T, db *store.DB, text string) {
	t.Helper()
	must(t, db.ExecWriter(t.Context(), "PRAGMA "+text))
}

func TestSQLiteReadOnlyAndBack(t *testing.T) {
	db := storetest.SQLite(t)
	must(t, addKey(db, "a"))
	pragma(t, db, "query_only = 1") // SQLITE_READONLY, as on a file system that went read-only
	wantAway(t, db)
	wantRead(t, db, false)
	p := fmt.Sprintf("%v", addKey(db, "never"))
	if !strings.Contains(p, "readonly") {
		t.Errorf("the error does not say why: %s", p)
	}
	pragma(t, db, "query_only = 0")
	wantBack(t, db, "a")
}

func TestSQLiteFullAndBack(t *testing.T) {
	db := storetest.SQLite(t)
	must(t, addKey(db, "a"))
	pragma(t, db, "max_page_count = 1") // SQLite takes the present size as the smallest
	big := strings.Repeat("x", 1<<20)
	err := db.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO sign_in_failure (key, failures, wait_until, updated_at) VALUES ($1, 1, 0, 0)`, big)
		return err
	})
	if !store.Unavailable(err) {
		t.Errorf("write to a full database: got %v, want an unavailable error", err)
	}
	wantRead(t, db, false)
	pragma(t, db, "max_page_count = 1000000")
	wantBack(t, db, "a")
}

func TestSQLiteFileGoneAndBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doorward.db")
	db := storetest.Open(t, store.Config{Path: path})
	must(t, addKey(db, "a"))
	away := t.TempDir()
	move := func(from, to string) {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			must(t, os.Rename(filepath.Join(from, "doorward.db"+suffix), filepath.Join(to, "doorward.db"+suffix)))
		}
	}
	move(filepath.Dir(path), away)
	wantAway(t, db)
	wantRead(t, db, true)
	if _, err := os.Stat(path); err == nil {
		t.Error("a new database appeared in the place of the one that is gone")
	}
	move(away, filepath.Dir(path))
	wantRead(t, db, false)
	wantBack(t, db, "a")
}

// TestSQLiteFileGoneDuringWrite takes the file away while a transaction is open: what it wrote would be
// acknowledged and lost.
func TestSQLiteFileGoneDuringWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doorward.db")
	db := storetest.Open(t, store.Config{Path: path})
	err := db.Write(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.Exec(`INSERT INTO sign_in_failure (key, failures, wait_until, updated_at) VALUES ('a', 1, 0, 0)`); err != nil {
			return err
		}
		return os.Rename(path, path+".away")
	})
	if !store.Unavailable(err) {
		t.Errorf("commit to a file that was taken away: got %v, want an unavailable error", err)
	}
}

// TestSQLiteBackupPutBack replaces the file of a running database with a copy from before. The write-ahead
// log of the old file, which holds "b", lies beside it and must not be applied to the copy.
func TestSQLiteBackupPutBack(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "doorward.db"), filepath.Join(dir, "backup.db")
	db := storetest.Open(t, store.Config{Path: path})
	must(t, addKey(db, "a"))
	must(t, db.ExecWriter(t.Context(), "VACUUM INTO '"+backup+"'"))
	must(t, addKey(db, "b"))
	must(t, os.Rename(backup, path))
	wantBack(t, db, "a")
}

// TestSQLiteForeignFileInPlace: what stands in the place of the database must be one of ours, with our
// schema; an empty file would otherwise be a fresh installation without anybody's accounts.
func TestSQLiteForeignFileInPlace(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "garbage": strings.Repeat("not a database ", 1000)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "doorward.db")
			db := storetest.Open(t, store.Config{Path: path})
			must(t, addKey(db, "a"))
			must(t, os.Rename(path, path+".away"))
			must(t, os.WriteFile(path, []byte(content), 0o600))
			wantAway(t, db)
			wantRead(t, db, true)
			must(t, os.Rename(path+".away", path))
			wantBack(t, db, "a")
		})
	}
}

func TestSQLiteLockedByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doorward.db")
	one := storetest.Open(t, store.Config{Path: path})
	two := storetest.Open(t, store.Config{Path: path})
	must(t, one.Write(t.Context(), func(*sql.Tx) error {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		err := two.Write(ctx, func(*sql.Tx) error { return nil })
		if !store.Unavailable(err) {
			t.Errorf("write while another process holds the lock: got %v, want an unavailable error", err)
		}
		wantRead(t, two, false) // readers do not wait for writers
		return nil
	}))
	wantBack(t, two)
}

func TestPostgreSQLStoppedAndBack(t *testing.T) {
	url, stop, start := storetest.PostgreSQL(t)
	db := storetest.Open(t, store.Config{URLFile: storetest.URLFile(t, url)})
	must(t, addKey(db, "a"))
	for range 2 {
		stop()
		wantAway(t, db)
		wantRead(t, db, true)
		if _, err := store.Open(t.Context(), store.Config{URLFile: storetest.URLFile(t, url)}); !store.Unavailable(err) {
			t.Errorf("Open while PostgreSQL is stopped: got %v, want an unavailable error", err)
		}
		start()
		wantRead(t, db, false)
		if err := db.Ping(t.Context()); err != nil {
			t.Errorf("Ping after PostgreSQL came back: %v", err)
		}
	}
	wantBack(t, db, "a")
}

func TestPostgreSQLReadOnlyAndBack(t *testing.T) {
	cfg := storetest.NewDatabase(t, storetest.Shared(t))
	db := storetest.Open(t, cfg)
	must(t, addKey(db, "a"))
	set := func(value string) {
		must(t, db.Write(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.Exec("SET SESSION CHARACTERISTICS AS TRANSACTION READ " + value)
			return err
		}))
	}
	set("ONLY") // as on a server that has become a standby
	wantAway(t, db)
	wantRead(t, db, false)
	err := db.Write(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.Exec("SET TRANSACTION READ WRITE"); err != nil {
			return err
		}
		_, err := tx.Exec("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
		return err
	})
	must(t, err)
	wantBack(t, db, "a")
}

func TestPostgreSQLURLFile(t *testing.T) {
	url := storetest.Shared(t)
	const secret = "hunter2-in-the-url"
	for name, test := range map[string]struct {
		text string
		away bool
	}{
		"not a url":      {"postgres://doorward:" + secret + "@127.0.0.1:notaport/x", false},
		"wrong password": {strings.Replace(url, "storetest", secret, 1), true},
		"no database":    {strings.Replace(url, "/postgres?", "/nowhere?", 1), true},
		"refused":        {"postgres://doorward:" + secret + "@127.0.0.1:1/x", true},
	} {
		t.Run(name, func(t *testing.T) {
			db, err := store.Open(t.Context(), store.Config{URLFile: storetest.URLFile(t, test.text)})
			if err == nil {
				db.Close()
				t.Fatal("Open: got no error")
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows the password: %v", err)
			}
			if got := store.Unavailable(err); got != test.away {
				t.Errorf("Unavailable(%v): got %t, want %t", err, got, test.away)
			}
		})
	}
	if _, err := store.Open(t.Context(), store.Config{URLFile: "/nowhere/at/all"}); err == nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open with a missing URL file: got %v, want that it does not exist", err)
	}
}

// TestAvailable: errors that no waiting mends must not be taken for a database that is away.
func TestAvailable(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		must(t, addKey(db, "a"))
		var text string
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		for name, err := range map[string]error{
			"nil":       nil,
			"no rows":   db.QueryRowContext(t.Context(), `SELECT key FROM sign_in_failure WHERE key = 'b'`).Scan(&text),
			"duplicate": addKey(db, "a"),
			"syntax":    db.QueryRowContext(t.Context(), `SELEKT 1`).Scan(&text),
			"no table":  db.QueryRowContext(t.Context(), `SELECT 1 FROM nowhere`).Scan(&text),
			"cancelled": db.QueryRowContext(cancelled, `SELECT key FROM sign_in_failure`).Scan(&text),
			"foreign key": db.Write(t.Context(), func(tx *sql.Tx) error {
				_, err := tx.Exec(`INSERT INTO principal_role (principal_id, role) VALUES ('nobody', 'owner')`)
				return err
			}),
		} {
			if err == nil && name != "nil" {
				t.Errorf("%s: got no error", name)
			}
			if store.Unavailable(err) {
				t.Errorf("Unavailable(%s: %v): got true, want false", name, err)
			}
		}
		late, cancel := context.WithDeadline(t.Context(), time.Now())
		defer cancel()
		if err := db.QueryRowContext(late, `SELECT key FROM sign_in_failure`).Scan(&text); !store.Unavailable(err) {
			t.Errorf("a query out of time: got %v, want an unavailable error", err)
		}
	})
}
