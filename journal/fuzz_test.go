package journal_test

import (
	"path/filepath"
	"testing"

	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store/storetest"
)

// FuzzKeptHead: a kept head comes from a file that anybody may have edited.
func FuzzKeptHead(f *testing.F) {
	db := storetest.SQLite(f)
	j, err := journal.Open(f.Context(), db, filepath.Join(f.TempDir(), "journal.key"))
	if err != nil {
		f.Fatal(err)
	}
	if err := appendAll(db, j, 0, 3); err != nil {
		f.Fatal(err)
	}
	sound, err := j.Head(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	f.Add("")
	f.Add(sound)
	f.Add("doorward-journal\n3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— doorward-journal AAAAAAAA\n")
	f.Add("doorward-journal\n-1\n\n\n— doorward-journal\n")
	f.Fuzz(func(t *testing.T, kept string) {
		report, err := j.Verify(t.Context(), kept)
		if err != nil {
			t.Fatalf("Verify: %v", err)
		}
		if report.KeptSize == 3 && !report.OK() || report.KeptSize != 3 && report.Limits() == "" {
			t.Errorf("kept head %q: got %+v", kept, report)
		}
	})
}
