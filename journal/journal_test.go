package journal_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// open opens a journal on db with a key of its own.
func open(t *testing.T, db *store.DB) *journal.Journal {
	t.Helper()
	j, err := journal.Open(t.Context(), db, filepath.Join(t.TempDir(), "journal.key"))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return j
}

// fill appends count entries, numbered from first on.
func fill(t *testing.T, db *store.DB, j *journal.Journal, first, count int) {
	t.Helper()
	if err := appendAll(db, j, first, count); err != nil {
		t.Fatal(err)
	}
}

func appendAll(db *store.DB, j *journal.Journal, first, count int) error {
	ctx := context.Background()
	for i := first; i < first+count; i++ {
		if err := db.Write(ctx, func(tx *sql.Tx) error { return j.Append(ctx, tx, entry(i)) }); err != nil {
			return fmt.Errorf("append entry %d: %w", i, err)
		}
	}
	return nil
}

func entry(i int) journal.Entry {
	return journal.Entry{
		Time:  time.Date(2026, 11, 22, 10, 0, i, 123456000, time.UTC),
		Actor: "demo-owner", Origin: "203.0.113.9", Action: "user.add", Target: fmt.Sprintf("agent-%d", i),
		After: fmt.Sprintf(`{"name":"agent-%d"}`, i),
	}
}

func TestAppendAndRead(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j := open(t, db)
		fill(t, db, j, 0, 5)
		got, err := j.Entries(t.Context(), 1, 3)
		if err != nil {
			t.Fatalf("Entries: %v", err)
		}
		var want []journal.Entry
		for i := 1; i < 4; i++ {
			e := entry(i)
			e.Index = int64(i)
			want = append(want, e)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Entries(1, 3), -want +got:\n%s", diff)
		}
		report, err := j.Verify(t.Context(), "")
		if err != nil {
			t.Fatalf("Verify: %v", err)
		}
		if report.Size != 5 || !report.OK() {
			t.Errorf("Verify of a sound journal: got %+v, want 5 entries and no problems", report)
		}
	})
}

func TestAppendIsPartOfTheAction(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j := open(t, db)
		fill(t, db, j, 0, 3)
		stop := errors.New("the action went wrong")
		err := db.Write(t.Context(), func(tx *sql.Tx) error {
			return errors.Join(j.Append(t.Context(), tx, entry(99)), stop)
		})
		if !errors.Is(err, stop) {
			t.Fatalf("Write: got %v, want %v", err, stop)
		}
		fill(t, db, j, 3, 1)
		report := verify(t, j, "")
		if !report.OK() || report.Size != 4 {
			t.Errorf("after a rolled back action: got %+v, want 4 entries and no problems", report)
		}
	})
}

// TestSeveralEntriesInOneTransaction: an action may leave more than one entry.
func TestSeveralEntriesInOneTransaction(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j := open(t, db)
		err := db.Write(t.Context(), func(tx *sql.Tx) error {
			for i := range 7 {
				if err := j.Append(t.Context(), tx, entry(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if report := verify(t, j, head(t, j)); !report.OK() || report.Size != 7 {
			t.Errorf("got %+v, want 7 entries and no problems", report)
		}
	})
}

// TestAppendFromTwoGateways: two processes with one key append at once; every entry gets a place of its own.
func TestAppendFromTwoGateways(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		const each = 25
		key := filepath.Join(t.TempDir(), "journal.key")
		var all sync.WaitGroup
		var last *journal.Journal
		for range 2 {
			db := storetest.Open(t, cfg)
			j, err := journal.Open(t.Context(), db, key)
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			last = j
			for range 2 {
				all.Go(func() {
					if err := appendAll(db, j, 0, each); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		if report := verify(t, last, ""); !report.OK() || report.Size != 4*each {
			t.Errorf("got %+v, want %d entries and no problems", report, 4*each)
		}
	})
}

// TestHostileText: what a stranger can put into a name must neither keep the entry from being written nor
// make it look changed.
func TestHostileText(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j := open(t, db)
		nasty := "a\x00b\xffc\n3:x'; DROP TABLE journal_entry; --\u202e"
		err := db.Write(t.Context(), func(tx *sql.Tx) error {
			return j.Append(t.Context(), tx, journal.Entry{Actor: nasty, Origin: nasty, Action: nasty, Target: nasty, Before: nasty, After: nasty})
		})
		if err != nil {
			t.Fatal(err)
		}
		if report := verify(t, j, ""); !report.OK() || report.Size != 1 {
			t.Errorf("got %+v, want one sound entry", report)
		}
		got, err := j.Entries(t.Context(), 0, 1)
		if err != nil || len(got) != 1 {
			t.Fatalf("Entries: %v, %v", got, err)
		}
		if want := store.Text(nasty); got[0].Actor != want || got[0].After != want {
			t.Errorf("text: got %q and %q, want %q", got[0].Actor, got[0].After, want)
		}
		if age := time.Since(got[0].Time); age < 0 || age > time.Minute {
			t.Errorf("time: got %v, want now", got[0].Time)
		}
	})
}

func TestKeyFile(t *testing.T) {
	db := storetest.SQLite(t)
	path := filepath.Join(t.TempDir(), "keys", "journal.key")
	first, err := journal.Open(t.Context(), db, path)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("key file: got %v, %v; want mode 0600", info, err)
	}
	fill(t, db, first, 0, 3)
	again, err := journal.Open(t.Context(), db, path)
	if err != nil {
		t.Fatalf("Open again: %v", err)
	}
	if again.VerifierKey() != first.VerifierKey() {
		t.Errorf("the key changed from %s to %s", first.VerifierKey(), again.VerifierKey())
	}
	if report := verify(t, again, head(t, first)); !report.OK() {
		t.Errorf("after opening again: %q", report.Problems)
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	refuse := func(what, want string) {
		t.Helper()
		if _, err := journal.Open(t.Context(), db, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open with %s: got %v, want an error with %q", what, err, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Chmod(path, 0o644))
	refuse("a key that others may read", "must be 0600")
	must(os.Remove(path))
	refuse("no key", "put back the key file")
	must(os.WriteFile(path, []byte("PRIVATE+KEY+x"), 0o600))
	refuse("half a key", "not a note signing key")
	_, err = journal.Open(t.Context(), storetest.SQLite(t), path+".other")
	must(err)
	must(os.Rename(path+".other", path))
	refuse("another journal's key", "signed with another key")

	// Somebody who has really lost the key says so with an empty file; the journal tells it for ever.
	must(os.WriteFile(path, nil, 0o600))
	fresh, err := journal.Open(t.Context(), db, path)
	must(err)
	report := verify(t, fresh, "")
	wantProblem(t, "with a new key", report, "entry 3", "another key")
	if report.Size != 5 {
		t.Errorf("entries: got %d, want 3, one on the break and one on the new key", report.Size)
	}
	must(os.WriteFile(path, secret, 0o600))
	refuse("the old key after a new one", "signed with another key")
}

// TestOneKey: whoever comes first to a new folder makes the key, and all others use it, also where an empty file asks for a new one.
func TestOneKey(t *testing.T) {
	t.Parallel()
	for range 20 {
		db, file := storetest.SQLite(t), filepath.Join(t.TempDir(), "data", "journal.key")
		for _, round := range []string{"new folder", "empty file"} {
			keys := make(chan string, 8)
			for range cap(keys) {
				go func() {
					j, err := journal.Open(t.Context(), db, file)
					if err == nil {
						err = db.Write(t.Context(), func(tx *sql.Tx) error { return j.Append(t.Context(), tx, entry(1)) })
					}
					if err != nil {
						keys <- err.Error()
						return
					}
					keys <- j.VerifierKey()
				}()
			}
			one := <-keys
			for range cap(keys) - 1 {
				if other := <-keys; other != one {
					t.Fatalf("%s: got the keys %s and %s", round, one, other)
				}
			}
			if err := os.Truncate(file, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestEmptyJournal(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j := open(t, db)
		if report := verify(t, j, ""); !report.OK() || report.Size != 0 {
			t.Errorf("Verify of an empty journal: got %+v", report)
		}
		if got := head(t, j); got != "" {
			t.Errorf("Head of an empty journal: got %q", got)
		}
	})
}
