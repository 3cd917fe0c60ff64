package journal_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// size is the number of entries in a journal that is tampered with: not a power of two, so that the tree
// has an edge of several subtrees.
const size = 21

// change edits the database as somebody does who can write to it but does not have the key.
func change(t *testing.T, db *store.DB, statements ...string) {
	t.Helper()
	err := db.Write(t.Context(), func(tx *sql.Tx) error {
		for _, statement := range statements {
			if _, err := tx.Exec(statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("tamper: %v", err)
	}
}

func verify(t *testing.T, j *journal.Journal, kept string) journal.Report {
	t.Helper()
	report, err := j.Verify(t.Context(), kept)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return report
}

func head(t *testing.T, j *journal.Journal) string {
	t.Helper()
	note, err := j.Head(t.Context())
	if err != nil {
		t.Fatalf("Head: %v", err)
	}
	return note
}

// wantProblem wants a problem that contains every one of parts.
func wantProblem(t *testing.T, what string, report journal.Report, parts ...string) {
	t.Helper()
	for _, problem := range report.Problems {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(problem, part)
		}
		if all {
			return
		}
	}
	t.Errorf("%s: got problems %q, want one with %q", what, report.Problems, parts)
}

// swap exchanges all of two entries but their places.
func swap(a, b int) []string {
	return []string{
		fmt.Sprintf(`UPDATE journal_entry SET idx = -1 WHERE idx = %d`, a),
		fmt.Sprintf(`UPDATE journal_entry SET idx = %d WHERE idx = %d`, a, b),
		fmt.Sprintf(`UPDATE journal_entry SET idx = %d WHERE idx = -1`, b),
	}
}

// TestTampering changes a sound journal in every way that a database allows, without recomputing hashes,
// and wants each found, with a kept head and without.
func TestTampering(t *testing.T) {
	hash := func(entry int64) int64 { return tlog.StoredHashIndex(0, entry) }
	tests := map[string]struct {
		do   []string
		want []string
	}{
		"actor changed":                {[]string{`UPDATE journal_entry SET actor = 'nobody' WHERE idx = 7`}, []string{"entry 7", "changed"}},
		"time changed":                 {[]string{`UPDATE journal_entry SET at = at + 1 WHERE idx = 0`}, []string{"entry 0", "changed"}},
		"after changed":                {[]string{`UPDATE journal_entry SET after_json = '{}' WHERE idx = 20`}, []string{"entry 20", "changed"}},
		"text moved on":                {[]string{`UPDATE journal_entry SET actor = actor || origin, origin = '' WHERE idx = 3`}, []string{"entry 3", "changed"}},
		"removed":                      {[]string{`DELETE FROM journal_entry WHERE idx = 5`}, []string{"entry 5", "removed"}},
		"several removed":              {[]string{`DELETE FROM journal_entry WHERE idx BETWEEN 5 AND 9`}, []string{"entries 5 to 9", "removed"}},
		"first removed":                {[]string{`DELETE FROM journal_entry WHERE idx = 0`}, []string{"entry 0", "removed"}},
		"swapped":                      {swap(4, 11), []string{"entry 4", "recorded as entry 11", "reordered"}},
		"swapped, seen from the other": {swap(4, 11), []string{"entry 11", "recorded as entry 4", "reordered"}},
		"removed and closed up": {[]string{
			`DELETE FROM journal_entry WHERE idx = 18`,
			`UPDATE journal_entry SET idx = 18 WHERE idx = 19`, `UPDATE journal_entry SET idx = 19 WHERE idx = 20`,
		}, []string{"entry 20", "missing"}},
		"inserted at the end": {[]string{`INSERT INTO journal_entry (idx, at, actor, origin, action, target, before_json, after_json)
			VALUES (21, 1, 'x', 'x', 'x', 'x', '', '')`}, []string{"entries 21 to 21", "inserted"}},
		"inserted before the start": {[]string{`INSERT INTO journal_entry (idx, at, actor, origin, action, target, before_json, after_json)
			VALUES (-4, 1, 'x', 'x', 'x', 'x', '', '')`}, []string{"-4", "inserted"}},
		"inserted in the middle": {[]string{
			`UPDATE journal_entry SET idx = 21 WHERE idx = 20`, `UPDATE journal_entry SET idx = 20 WHERE idx = 19`,
			`INSERT INTO journal_entry (idx, at, actor, origin, action, target, before_json, after_json)
			VALUES (19, 1, 'x', 'x', 'x', 'x', '', '')`,
		}, []string{"entry 19", "changed"}},
		"truncated": {[]string{`DELETE FROM journal_entry WHERE idx >= 17`}, []string{"entries 17 to 20", "truncated"}},
		"truncated with hashes": {[]string{
			`DELETE FROM journal_entry WHERE idx >= 17`, fmt.Sprintf(`DELETE FROM journal_hash WHERE idx >= %d`, hash(17)),
		}, []string{"entries 17 to 20", "truncated"}},
		"truncated with hashes and count": {[]string{
			`DELETE FROM journal_entry WHERE idx >= 17`, fmt.Sprintf(`DELETE FROM journal_hash WHERE idx >= %d`, hash(17)),
			`UPDATE journal_head SET size = 17`,
		}, []string{"head row says 17 entries, the signed head 21"}},
		"all removed":       {[]string{`DELETE FROM journal_entry`, `DELETE FROM journal_hash`}, []string{"entries 0 to 20", "truncated"}},
		"hash changed":      {[]string{fmt.Sprintf(`UPDATE journal_hash SET hash = (SELECT hash FROM journal_hash WHERE idx = 0) WHERE idx = %d`, hash(6))}, []string{"entry 6", "hash of level 0"}},
		"inner changed":     {[]string{fmt.Sprintf(`UPDATE journal_hash SET hash = (SELECT hash FROM journal_hash WHERE idx = 0) WHERE idx = %d`, tlog.StoredHashIndex(2, 1))}, []string{"entry 7", "hash of level 2"}},
		"hash not a hash":   {[]string{fmt.Sprintf(`UPDATE journal_hash SET hash = 'x' WHERE idx = %d`, hash(6))}, []string{"entry 6", "hash of level 0", "missing"}},
		"hash removed":      {[]string{fmt.Sprintf(`DELETE FROM journal_hash WHERE idx = %d`, hash(6))}, []string{"entry 6", "hash of level 0", "missing"}},
		"hash inserted":     {[]string{`INSERT INTO journal_hash (idx, hash) VALUES (1000, 'x')`}, []string{"hashes", "1000", "inserted"}},
		"signature changed": {[]string{`UPDATE journal_head SET note = REPLACE(note, 'AAA', 'BBB')`, `UPDATE journal_head SET note = SUBSTR(note, 1, LENGTH(note) - 9) || 'AAAAAAA=' || SUBSTR(note, LENGTH(note))`}, []string{"head", "bad signature"}},
		"count in the head": {[]string{"UPDATE journal_head SET note = REPLACE(note, '\n21\n', '\n20\n')"}, []string{"head", "bad signature"}},
		"head emptied":      {[]string{`UPDATE journal_head SET note = ''`}, []string{"head", "bad signature", "no signed head"}},
		"head not a head":   {[]string{`UPDATE journal_head SET note = 'x'`}, []string{"head", "bad signature"}},
		"head removed":      {[]string{`DELETE FROM journal_head`}, []string{"head", "row is missing"}},
		"head doubled":      {[]string{`INSERT INTO journal_head (id, size, note) VALUES (2, 0, '')`}, []string{"head", "not the only one"}},
		"absurd size":       {[]string{`UPDATE journal_head SET size = 9000000000000000000, note = ''`}, []string{"head", "bad signature"}},
		"negative size":     {[]string{`UPDATE journal_head SET size = -5`}, []string{"head"}},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j := open(t, db)
		fill(t, db, j, 0, size)
		kept := head(t, j)
		sound := dump(t, db)
		for name, test := range tests {
			change(t, db, test.do...)
			for how, head := range map[string]string{"without a kept head": "", "with a kept head": kept} {
				report := verify(t, j, head)
				wantProblem(t, name+", "+how, report, test.want...)
			}
			change(t, db, sound...)
			if report := verify(t, j, kept); !report.OK() || report.Size != size || report.KeptSize != size || report.Limits() != "" {
				t.Fatalf("the journal put back after %q: got %+v (%s), want it sound", name, report, report.Limits())
			}
		}
	})
}

// dump returns statements that put the three tables back as they are.
func dump(t *testing.T, db *store.DB) []string {
	t.Helper()
	statements := []string{`DELETE FROM journal_entry`, `DELETE FROM journal_hash`, `DELETE FROM journal_head`}
	for _, table := range []struct{ into, values string }{
		{"journal_entry (idx, at, actor, origin, action, target, before_json, after_json)", `SELECT idx || ', ' || at || ', ''' || actor || ''', ''' ||
			origin || ''', ''' || action || ''', ''' || target || ''', ''' || before_json || ''', ''' || after_json || '''' FROM journal_entry`},
		{"journal_hash (idx, hash)", `SELECT idx || ', ''' || hash || '''' FROM journal_hash`},
		{"journal_head (id, size, note)", `SELECT id || ', ' || size || ', ''' || note || '''' FROM journal_head`},
	} {
		rows, err := db.QueryContext(t.Context(), table.values)
		if err != nil {
			t.Fatalf("dump: %v", err)
		}
		for rows.Next() {
			var values string
			if err := rows.Scan(&values); err != nil {
				t.Fatalf("dump: %v", err)
			}
			statements = append(statements, fmt.Sprintf(`INSERT INTO %s VALUES (%s)`, table.into, values))
		}
		if err := rows.Err(); err != nil {
			t.Fatalf("dump: %v", err)
		}
	}
	return statements
}

// TestRollback lets somebody put back everything as it was earlier, the signed head too. Only a kept head
// can show that, and the report without one says so.
func TestRollback(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j := open(t, db)
		fill(t, db, j, 0, 10)
		early, earlyHead := dump(t, db), head(t, j)
		fill(t, db, j, 10, 5)
		kept := head(t, j)
		change(t, db, early...)

		report := verify(t, j, "")
		if !report.OK() || report.KeptSize != -1 {
			t.Fatalf("Verify without a kept head: got %+v, want no problems: the database is consistent", report)
		}
		if !strings.Contains(report.Limits(), "without a head kept elsewhere") {
			t.Errorf("the report does not say what it cannot see: %q", report.Limits())
		}
		wantProblem(t, "with the kept head", verify(t, j, kept), "kept head", "covers 15 entries and the journal has 10", "entries 10 to 14", "truncated")
		if report := verify(t, j, earlyHead); !report.OK() || report.Limits() != "" {
			t.Errorf("Verify with a head as old as the database: got %+v, %q", report, report.Limits())
		}

		// The journal goes on from there with other entries: now the kept head's size is reached again.
		fill(t, db, j, 100, 8)
		wantProblem(t, "grown again", verify(t, j, kept), "kept head", "first 15 entries are not the ones")
		report = verify(t, j, earlyHead)
		if !report.OK() || !strings.Contains(report.Limits(), "covers 10 of 18 entries") {
			t.Errorf("Verify with an older head: got %+v, %q, want sound and its limits", report, report.Limits())
		}
	})
}

func TestKeptHeadOfAnotherJournal(t *testing.T) {
	db, other := storetest.SQLite(t), storetest.SQLite(t)
	j, stranger := open(t, db), open(t, other)
	fill(t, db, j, 0, 3)
	fill(t, other, stranger, 0, 3)
	wantProblem(t, "another's head", verify(t, j, head(t, stranger)), "kept head", "another key")
	wantProblem(t, "no head at all", verify(t, j, "anything"), "kept head", "not a journal head")
	damaged := strings.Replace(head(t, j), "\n3\n", "\n2\n", 1)
	wantProblem(t, "an edited head", verify(t, j, damaged), "kept head", "signature is wrong")
}

// TestRewritten lets somebody change an entry and recompute every hash: only the signature is beyond them.
// The next append then must not sign it all anew.
func TestRewritten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j := open(t, db)
		fill(t, db, j, 0, 12)
		kept := head(t, j)
		rewrite(t, db, j, 5)
		for what, head := range map[string]string{"without a kept head": "", "with a kept head": kept} {
			wantProblem(t, what, verify(t, j, head), "head", "hashes with them")
		}
		fill(t, db, j, 12, 3)
		report := verify(t, j, "")
		wantProblem(t, "after the next append", report, "entry 12", "had been changed before it was written")
		if report.Size != 16 {
			t.Errorf("entries: got %d, want 12, one that records the break, and 3", report.Size)
		}
		wantProblem(t, "after the next append, with the kept head", verify(t, j, kept), "kept head", "first 12 entries are not the ones")
		entries, err := j.Entries(t.Context(), 12, 1)
		if err != nil || len(entries) != 1 || entries[0].Action != journal.ActionBroken || entries[0].Before != kept {
			t.Errorf("the entry that records the break: got %+v, %v; want the head that was found in it", entries, err)
		}
		fill(t, db, j, 15, 1)
		if report := verify(t, j, ""); len(report.Problems) != 1 {
			t.Errorf("problems: got %q, want the break reported once", report.Problems)
		}
	})
}

// rewrite changes entry index and recomputes all hashes with a journal of the attacker's own.
func rewrite(t *testing.T, db *store.DB, j *journal.Journal, index int) {
	t.Helper()
	entries, err := j.Entries(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	signed := head(t, j)
	forged := storetest.SQLite(t)
	forger := open(t, forged)
	entries[index].Actor = "somebody-else"
	for _, e := range entries {
		if err := forged.Write(t.Context(), func(tx *sql.Tx) error { return forger.Append(t.Context(), tx, e) }); err != nil {
			t.Fatal(err)
		}
	}
	change(t, db, dump(t, forged)...)
	err = db.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`UPDATE journal_head SET note = $1`, signed)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestManyProblems: a journal in which everything is wrong gives a bounded report.
func TestManyProblems(t *testing.T) {
	db := storetest.SQLite(t)
	j := open(t, db)
	fill(t, db, j, 0, 150)
	change(t, db, `UPDATE journal_entry SET actor = 'x'`)
	report := verify(t, j, "")
	if len(report.Problems) != 101 || report.Problems[100] != "and 50 more" {
		t.Errorf("got %d problems, the last %q; want 100 and the count of the rest", len(report.Problems), report.Problems[len(report.Problems)-1])
	}
}

// TestVerifyPages verifies more entries than are held in memory, while others are appended.
func TestVerifyPages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j := open(t, db)
		err := db.Write(t.Context(), func(tx *sql.Tx) error {
			for i := range 1200 {
				if err := j.Append(t.Context(), tx, entry(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := appendAll(db, j, 1200, 30); err != nil {
				t.Error(err)
			}
		}()
		for going := true; going; {
			select {
			case <-done:
				going = false
			default:
			}
			if report := verify(t, j, ""); !report.OK() || report.Size < 1200 {
				t.Fatalf("Verify during appends: got %+v, want at least 1,200 entries and no problems", report)
			}
		}
		change(t, db, `UPDATE journal_entry SET target = 'x' WHERE idx = 1099`)
		wantProblem(t, "on the second page", verify(t, j, ""), "entry 1099", "changed")
	})
}
