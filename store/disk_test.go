package store_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// TestSQLiteOnFullDisk fills the disk under a running database, and frees it again.
func TestSQLiteOnFullDisk(t *testing.T) {
	disk := storetest.SmallDisk(t, 8<<20)
	if disk == nil {
		return
	}
	db := storetest.Open(t, store.Config{Path: filepath.Join(disk.Dir, "doorward.db")})
	must(t, addKey(db, "a"))
	free := disk.Fill()
	big := strings.Repeat("x", 1<<20)
	err := db.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO sign_in_failure (key, failures, wait_until, updated_at) VALUES ($1, 1, 0, 0)`, big)
		return err
	})
	if !store.Unavailable(err) {
		t.Errorf("write to a full disk: got %v, want an unavailable error", err)
	}
	wantRead(t, db, false)
	free()
	wantBack(t, db, "a")
}

// TestSQLiteOnReadOnlyDisk starts on a disk that is read-only.
func TestSQLiteOnReadOnlyDisk(t *testing.T) {
	disk := storetest.SmallDisk(t, 8<<20)
	if disk == nil {
		return
	}
	cfg := store.Config{Path: filepath.Join(disk.Dir, "doorward.db")}
	db, err := store.Open(t.Context(), cfg)
	must(t, err)
	must(t, addKey(db, "a"))
	must(t, db.Close())
	disk.ReadOnly(true)
	if db, err := store.Open(t.Context(), cfg); !store.Unavailable(err) {
		if err == nil {
			db.Close()
		}
		t.Errorf("Open on a read-only disk: got %v, want an unavailable error", err)
	}
	disk.ReadOnly(false)
	wantBack(t, storetest.Open(t, cfg), "a")
}
