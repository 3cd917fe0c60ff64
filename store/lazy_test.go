package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// TestWriteLazily: what it writes is there, and the next Write waits for the disk again.
func TestWriteLazily(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		setting, lazy, full := `SHOW synchronous_commit`, "off", "on"
		if db.Dialect() == store.SQLite {
			setting, lazy, full = `PRAGMA synchronous`, "1", "2"
		}
		for n, write := range []struct{ name, want string }{{"lazily", lazy}, {"fully", full}, {"lazily again", lazy}, {"fully again", full}} {
			var got string
			f := func(tx *sql.Tx) error {
				if _, err := tx.ExecContext(ctx, `INSERT INTO sign_in_failure (key, failures, wait_until, updated_at) VALUES ($1, 1, 0, 0)`, fmt.Sprint("k", n)); err != nil {
					return err
				}
				return tx.QueryRowContext(ctx, setting).Scan(&got)
			}
			do := db.Write
			if write.want == lazy {
				do = db.WriteLazily
			}
			if err := do(ctx, f); err != nil {
				t.Fatalf("write %s: %v", write.name, err)
			}
			if got != write.want && !(got == "local" && write.want == full) {
				t.Errorf("write %s: synchronous is %s, want %s", write.name, got, write.want)
			}
		}
		if got := keys(t, db); len(got) != 4 {
			t.Errorf("rows after two writes of each kind: got %q, want four", got)
		}
	})
}

// TestLogIsMoved: after many transactions the file has them without its log, although nobody has closed it.
func TestLogIsMoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doorward.db")
	db, err := store.Open(t.Context(), store.Config{Path: path})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer db.Close()
	size := fileSize(t, path)
	for n := range 120 {
		err := db.Write(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), `INSERT INTO sign_in_failure (key, failures, wait_until, updated_at) VALUES ($1, 1, 0, 0)`, fmt.Sprintf("%01000d", n))
			return err
		})
		if err != nil {
			t.Fatalf("Write: %v", err)
		}
	}
	for end := time.Now().Add(time.Minute); fileSize(t, path) <= size; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the file has %d bytes, as many as before 120 transactions", size)
		}
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatalf("look at the file: %v", err)
	}
	return info.Size()
}

// TestLocal: a transaction whose statements nothing interrupts still ends with its context, and nothing of it stays.
func TestLocal(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := db.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(db.Local(ctx), `INSERT INTO sign_in_failure (key, failures, wait_until, updated_at) VALUES ('k', 1, 0, 0)`)
			cancel()
			return err
		})
		if err == nil {
			t.Error("a transaction whose context ended: got no error")
		}
		if got := keys(t, db); len(got) != 0 {
			t.Errorf("rows after it: got %q, want none", got)
		}
	})
}
