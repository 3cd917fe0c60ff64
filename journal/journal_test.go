package journal_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
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
	for i := first; i < first+count; i++ {
		err := db.Write(t.Context(), func(tx *sql.Tx) error { return j.Append(t.Context(), tx, entry(i)) })
		if err != nil {
			t.Fatalf("append entry %d: %v", i, err)
		}
	}
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
