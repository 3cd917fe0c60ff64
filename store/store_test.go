package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

func TestWriteCommitsAndRollsBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		insert := func(key string) func(tx *sql.Tx) error {
			return func(tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, `INSERT INTO sign_in_failure (key, failures, wait_until, updated_at)
					VALUES ($1, 1, 0, $2)`, key, 0)
				return err
			}
		}
		if err := db.Write(ctx, insert("kept")); err != nil {
			t.Fatalf("Write: %v", err)
		}
		stop := errors.New("stop")
		err := db.Write(ctx, func(tx *sql.Tx) error {
			return errors.Join(insert("lost")(tx), stop)
		})
		if !errors.Is(err, stop) {
			t.Fatalf("Write with a failing function: got %v, want %v", err, stop)
		}
		if got := keys(t, db); len(got) != 1 || got[0] != "kept" {
			t.Errorf("rows after one commit and one rollback: got %q, want only %q", got, "kept")
		}
	})
}

func keys(t *testing.T, db *store.DB) (found []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT key FROM sign_in_failure ORDER BY key`)
	if err != nil {
		t.Fatalf("read keys: %v", err)
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			t.Fatalf("read keys: %v", err)
		}
		found = append(found, key)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("read keys: %v", err)
	}
	return found
}

func TestFileAndFolderModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	path := filepath.Join(dir, "door ward?#%41.db") // a path is not a URL
	db := storetest.Open(t, store.Config{Path: path})
	if err := db.Ping(context.Background()); err != nil {
		t.Fatalf("Ping: %v", err)
	}
	for name, want := range map[string]os.FileMode{
		dir: os.ModeDir | 0o700, filepath.Dir(dir): os.ModeDir | 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600,
	} {
		info, err := os.Stat(name)
		if err != nil {
			t.Errorf("%v", err)
		} else if info.Mode() != want {
			t.Errorf("mode of %s: got %v, want %v", name, info.Mode(), want)
		}
	}
}
