package store_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

func newest(t *testing.T) int64 {
	t.Helper()
	version, err := store.Newest()
	if err != nil {
		t.Fatalf("Newest: %v", err)
	}
	return version
}

// openAt makes the database of cfg at an older version, lets fill write to it, and closes it.
func openAt(t *testing.T, cfg store.Config, version int64, fill func(db *store.DB)) {
	t.Helper()
	db, err := store.OpenAt(t.Context(), cfg, version)
	if err != nil {
		t.Fatalf("make a database of version %d: %v", version, err)
	}
	if fill != nil {
		fill(db)
	}
	if err := db.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func write(t *testing.T, db *store.DB, statements ...string) {
	t.Helper()
	err := db.Write(t.Context(), func(tx *sql.Tx) error {
		for _, statement := range statements {
			if _, err := tx.ExecContext(t.Context(), statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("Write: %v", err)
	}
}

// column reads the first column of every row as text.
func column(t *testing.T, db *store.DB, query string) (values []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var value string
		if err := rows.Scan(&value); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		values = append(values, value)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return values
}

// TestMigrateForward opens a database that the previous version filled, and wants its rows unchanged and the
// new tables there.
func TestMigrateForward(t *testing.T) {
	for version := newest(t) - 1; version >= 1; version-- {
		storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
			openAt(t, cfg, version, func(db *store.DB) {
				write(t, db,
					`INSERT INTO principal (id, name, name_key, email_key, created_at, changed_at) VALUES ('p1', 'Ada', 'ada', NULL, 1, 1)`,
					`INSERT INTO principal (id, name, name_key, email_key, created_at, changed_at) VALUES ('p2', 'Bob', 'bob', NULL, 2, 2)`,
					`INSERT INTO principal_role (principal_id, role) VALUES ('p1', 'owner')`,
					`INSERT INTO password (principal_id, created_at, phc, current) VALUES ('p1', 1, '$argon2id$old', 0)`,
					`INSERT INTO password (principal_id, created_at, phc, current) VALUES ('p1', 2, '$argon2id$new', 1)`)
			})
			db := storetest.Open(t, cfg)
			got := map[string][]string{
				"names":     column(t, db, `SELECT name FROM principal ORDER BY id`),
				"roles":     column(t, db, `SELECT role FROM principal_role`),
				"passwords": column(t, db, `SELECT phc FROM password ORDER BY created_at`),
				"head":      column(t, db, `SELECT size FROM journal_head`),
			}
			want := map[string][]string{
				"names": {"Ada", "Bob"}, "roles": {"owner"}, "passwords": {"$argon2id$old", "$argon2id$new"}, "head": {"0"},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("after the migration from version %d, -want +got:\n%s", version, diff)
			}
		})
	}
}

func TestOpenAgainChangesNothing(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		openAt(t, cfg, newest(t), func(db *store.DB) {
			write(t, db, `INSERT INTO sign_in_failure (key, failures, wait_until, updated_at) VALUES ('a', 1, 0, 0)`)
		})
		db := storetest.Open(t, cfg)
		if got := keys(t, db); len(got) != 1 {
			t.Errorf("rows after opening again: got %q, want one", got)
		}
	})
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		known := newest(t)
		openAt(t, cfg, known+1, nil)
		db, err := store.Open(t.Context(), cfg)
		if err == nil {
			db.Close()
			t.Fatal("Open of a newer database: got no error")
		}
		var newer *store.NewerError
		if !errors.As(err, &newer) || newer.Found != known+1 || newer.Known != known {
			t.Fatalf("Open of a newer database: got %v, want a NewerError of %d and %d", err, known+1, known)
		}
		if !strings.Contains(err.Error(), "run the newer Doorward, or restore the backup") {
			t.Errorf("the error does not say what to do: %v", err)
		}
		if store.Unavailable(err) {
			t.Error("a newer database counts as unavailable, but waiting does not help")
		}
	})
}

// TestOpenAtOnce lets many processes' worth of openings meet an empty database.
func TestOpenAtOnce(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				db, err := store.Open(context.Background(), cfg)
				if err != nil {
					t.Errorf("Open: %v", err)
					return
				}
				if err := db.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
		all.Wait()
	})
}
