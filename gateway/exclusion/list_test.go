package exclusion_test

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/gateway/exclusion"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

var (
	now  = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	anna = exclusion.Actor{Name: "anna", Origin: "198.51.100.9"}
)

func open(t testing.TB, db *store.DB, j *journal.Journal) *exclusion.List {
	t.Helper()
	l, err := exclusion.Open(t.Context(), exclusion.Deps{DB: db, Journal: j, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func openJournal(t testing.TB, db *store.DB) *journal.Journal {
	t.Helper()
	j, err := journal.Open(t.Context(), db, filepath.Join(t.TempDir(), "journal.key"))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func body(site, path string) exclusion.Exclusion {
	return exclusion.Exclusion{Site: site, Path: path, Rule: 942100, Target: "ARGS:body", Request: "REQUEST1", Reason: "people paste SQL"}
}

// TestList: what is added stands on every node and after a start, each change is in the journal, and can be undone.
func TestList(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j := openJournal(t, db)
		here, there := open(t, db, j), open(t, db, j)
		var used []int
		here.Use(func(all []exclusion.Exclusion) { used = append(used, len(all)) })
		made, isNew, err := here.Add(t.Context(), anna, []exclusion.Exclusion{body("b.example", "/reply"), body("a.example", "/reply")}, now)
		if err != nil || len(made) != 2 || !isNew[0] || !isNew[1] || made[0].ID == "" || made[0].By != "anna" || !made[0].Created.Equal(now) {
			t.Fatalf("Add gave %+v, %v, %v", made, isNew, err)
		}
		again, isNew, err := here.Add(t.Context(), anna, []exclusion.Exclusion{body("b.example", "/reply")}, now.Add(time.Hour))
		if err != nil || len(again) != 1 || isNew[0] || again[0].ID != made[0].ID {
			t.Errorf("Add of what stands gave %+v, %v, %v", again, isNew, err)
		}
		if len(there.All()) != 0 {
			t.Errorf("the other node knows %+v before it asks", there.All())
		}
		if err := there.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, l := range map[string]*exclusion.List{"here": here, "the other node": there, "after a start": open(t, db, j)} {
			if all := l.All(); len(all) != 2 || all[0] != made[1] || all[1] != made[0] {
				t.Errorf("%s: got %+v, want %+v by site", name, all, made)
			}
		}
		if gone, err := there.Delete(t.Context(), anna, made[0].ID, "it was an attack"); err != nil || len(gone) != 1 || gone[0] != made[0] {
			t.Errorf("Delete gave %+v, %v", gone, err)
		}
		if err := here.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if gone, err := here.Delete(t.Context(), anna, "request1", ""); err != nil || len(gone) != 1 || gone[0] != made[1] {
			t.Errorf("Delete by the request gave %+v, %v", gone, err)
		}
		for _, id := range []string{made[0].ID, "", "nonsense", "\x00"} {
			if _, err := here.Delete(t.Context(), anna, id, ""); !errors.Is(err, exclusion.ErrNotFound) {
				t.Errorf("Delete of %q gave %v, want ErrNotFound", id, err)
			}
		}
		if got := fmt.Sprint(used); got != "[0 2 2 1 0]" {
			t.Errorf("the user was told of %s exclusions, want [0 2 2 1 0]", got)
		}
		checkJournal(t, j, made)
	})
}

func checkJournal(t *testing.T, j *journal.Journal, made []exclusion.Exclusion) {
	t.Helper()
	entries, err := j.Entries(t.Context(), 0, 10)
	if err != nil || len(entries) != 4 {
		t.Fatalf("the journal has %d entries, %v, want 4", len(entries), err)
	}
	for i, want := range []struct{ action, target, before, after string }{
		{"waf.exclude", made[0].ID, "", `"target":"ARGS:body"`}, {"waf.exclude", made[1].ID, "", `"site":"a.example"`},
		{"waf.exclusion-delete", made[0].ID, `"site":"b.example"`, "it was an attack"}, {"waf.exclusion-delete", made[1].ID, `"rule":942100`, ""},
	} {
		e := entries[i]
		if e.Actor != "anna" || e.Action != want.action || e.Target != want.target || !strings.Contains(e.Before, want.before) || !strings.Contains(e.After, want.after) ||
			(want.before == "") != (e.Before == "") {
			t.Errorf("entry %d is %+v, want %+v", i, e, want)
		}
	}
}

// TestRefused: what would leave out more than one value of one rule is not stored, whoever asks.
func TestRefused(t *testing.T) {
	db := storetest.SQLite(t)
	l := open(t, db, openJournal(t, db))
	for what, change := range map[string]func(*exclusion.Exclusion){
		"no site":              func(e *exclusion.Exclusion) { e.Site = "" },
		"a long site":          func(e *exclusion.Exclusion) { e.Site = strings.Repeat("a", 256) },
		"no rule":              func(e *exclusion.Exclusion) { e.Rule = 0 },
		"no path":              func(e *exclusion.Exclusion) { e.Path = "" },
		"a relative path":      func(e *exclusion.Exclusion) { e.Path = "reply" },
		"a path with ..":       func(e *exclusion.Exclusion) { e.Path = "/a/../b" },
		"a path with a star":   func(e *exclusion.Exclusion) { e.Path = "/a*" },
		"a long path":          func(e *exclusion.Exclusion) { e.Path = "/" + strings.Repeat("a", 512) },
		"a whole site":         func(e *exclusion.Exclusion) { e.Path, e.Target = "/", "" },
		"every URI of a site":  func(e *exclusion.Exclusion) { e.Path, e.Target = "/", "REQUEST_URI" },
		"an expression":        func(e *exclusion.Exclusion) { e.Target = "ARGS:/.*/" },
		"a quoted name":        func(e *exclusion.Exclusion) { e.Target = "ARGS:'q'" },
		"every parameter":      func(e *exclusion.Exclusion) { e.Target = "ARGS" },
		"a count":              func(e *exclusion.Exclusion) { e.Target = "&ARGS:q" },
		"a negation":           func(e *exclusion.Exclusion) { e.Target = "!ARGS:q" },
		"an unknown variable":  func(e *exclusion.Exclusion) { e.Target = "NONSENSE:q" },
		"what rules made":      func(e *exclusion.Exclusion) { e.Target = "TX:score" },
		"a long target":        func(e *exclusion.Exclusion) { e.Target = "ARGS:" + strings.Repeat("a", 256) },
		"a long reason":        func(e *exclusion.Exclusion) { e.Reason = strings.Repeat("a", 501) },
		"an expression, below": func(e *exclusion.Exclusion) { e.Path, e.Target = "/a/b", "REQUEST_COOKIES:/^/" },
	} {
		e := body("a.example", "/reply")
		change(&e)
		var input *exclusion.InputError
		if _, _, err := l.Add(t.Context(), anna, []exclusion.Exclusion{body("a.example", "/fine"), e}, now); !errors.As(err, &input) {
			t.Errorf("%s: got %v, want an InputError", what, err)
		}
	}
	if _, _, err := l.Add(t.Context(), exclusion.Actor{}, []exclusion.Exclusion{body("a.example", "/fine")}, now); err == nil {
		t.Error("nobody added an exclusion")
	}
	if all := l.All(); len(all) != 0 {
		t.Errorf("%+v are stored, want none", all)
	}
}

// TestFull: there are a thousand at most, and one that stands already needs no room.
func TestFull(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := open(t, db, openJournal(t, db))
		var many []exclusion.Exclusion
		for i := range exclusion.Max {
			many = append(many, body("a.example", fmt.Sprint("/reply/", i)))
		}
		const step = 50 // one change may take 15 seconds
		for i := 0; i < len(many); i += step {
			if _, _, err := l.Add(t.Context(), anna, many[i:i+step], now); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := l.Add(t.Context(), anna, []exclusion.Exclusion{body("a.example", "/more")}, now); !errors.Is(err, exclusion.ErrFull) {
			t.Errorf("one more gave %v, want ErrFull", err)
		}
		if _, isNew, err := l.Add(t.Context(), anna, many[:1], now); err != nil || isNew[0] {
			t.Errorf("one that stands gave %v, %v", isNew, err)
		}
		if n := len(l.All()); n != exclusion.Max {
			t.Errorf("%d stand, want %d", n, exclusion.Max)
		}
	})
}

// TestStoreAway: what is in force stays, and nothing is acknowledged that is not stored.
func TestStoreAway(t *testing.T) {
	db := storetest.SQLite(t)
	l := open(t, db, openJournal(t, db))
	made, _, err := l.Add(t.Context(), anna, []exclusion.Exclusion{body("a.example", "/reply")}, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Add(t.Context(), anna, []exclusion.Exclusion{body("a.example", "/more")}, now); err == nil {
		t.Error("an exclusion was acknowledged without a store")
	}
	if _, err := l.Delete(t.Context(), anna, made[0].ID, ""); err == nil || errors.Is(err, exclusion.ErrNotFound) {
		t.Errorf("an undoing without a store gave %v", err)
	}
	if err := l.Follow(t.Context()); err == nil {
		t.Error("Follow has no error without a store")
	}
	if all := l.All(); len(all) != 1 || all[0] != made[0] {
		t.Errorf("in force are %+v, want %+v", all, made)
	}
}
