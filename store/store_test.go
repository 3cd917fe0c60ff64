package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

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

func TestLooseModeIsTightened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doorward.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	storetest.Open(t, store.Config{Path: path})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode of a database that others could read: got %04o, want 0600", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, cfg := range map[string]store.Config{
		"nothing":  {},
		"a folder": {Path: t.TempDir()},
	} {
		if db, err := store.Open(t.Context(), cfg); err == nil {
			db.Close()
			t.Errorf("Open of %s: got no error", name)
		}
	}
}

// TestWritesAreSerial: two processes that read, add one and write must lose no step.
func TestWritesAreSerial(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		const steps = 40
		gateways := []*store.DB{storetest.Open(t, cfg), storetest.Open(t, cfg)}
		if err := addKey(gateways[0], "count"); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for _, db := range gateways {
			for range 2 {
				all.Go(func() {
					for range steps {
						if err := db.Write(context.Background(), countUp); err != nil {
							t.Errorf("Write: %v", err)
						}
					}
				})
			}
		}
		all.Wait()
		var got int
		if err := gateways[0].QueryRowContext(t.Context(), `SELECT failures FROM sign_in_failure`).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if want := 1 + 4*steps; got != want {
			t.Errorf("count after %d steps: got %d, want %d", 4*steps, got, want)
		}
	})
}

func countUp(tx *sql.Tx) error {
	var n int
	if err := tx.QueryRow(`SELECT failures FROM sign_in_failure WHERE key = 'count'`).Scan(&n); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE sign_in_failure SET failures = $1 WHERE key = 'count'`, n+1)
	return err
}

func TestTimesAndIDs(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 11, 12, 345678901, time.FixedZone("", 3600))
	if got, want := store.FromMicros(store.Micros(at)), at.UTC().Truncate(time.Microsecond); !got.Equal(want) || got.Location() != time.UTC {
		t.Errorf("FromMicros(Micros(%v)): got %v, want %v", at, got, want)
	}
	if got := store.FromMicros(store.Micros(time.Time{})); !got.IsZero() {
		t.Errorf("the zero time comes back as %v", got)
	}
	first, err := store.NewID()
	if err != nil {
		t.Fatal(err)
	}
	second, err := store.NewID()
	if err != nil {
		t.Fatal(err)
	}
	if len(first) != 36 || first[14] != '7' || first >= second {
		t.Errorf("ids %q and %q: want two UUIDv7 in ascending order", first, second)
	}
}

// TestTextIsStorable: what Text returns is what both dialects store and give back.
func TestTextIsStorable(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for give, want := range map[string]string{
			"plain": "plain", "Grüße, 世界": "Grüße, 世界", "nul\x00nul": "nul\uFFFDnul", "\xff\xfe": "\uFFFD", "half \xe4\xb8": "half \uFFFD",
		} {
			clean := store.Text(give)
			if clean != want {
				t.Errorf("Text(%q): got %q, want %q", give, clean, want)
			}
			if err := addKey(db, clean); err != nil {
				t.Errorf("store %q: %v", clean, err)
				continue
			}
			var got string
			if err := db.QueryRowContext(t.Context(), `SELECT key FROM sign_in_failure WHERE key = $1`, clean).Scan(&got); err != nil || got != clean {
				t.Errorf("read %q back: got %q, %v", clean, got, err)
			}
		}
	})
}

func TestClosed(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		db := storetest.Open(t, cfg)
		for range 2 {
			if err := db.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if err := db.Ping(t.Context()); err == nil {
			t.Error("Ping of a closed database: got no error")
		}
	})
}
