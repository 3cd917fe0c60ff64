package register_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit/register"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

var (
	now   = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	actor = register.Actor{Name: "cli:root", Origin: "local"}
)

func open(t *testing.T, db *store.DB) (*register.Register, *journal.Journal) {
	t.Helper()
	j, err := journal.Open(t.Context(), db, filepath.Join(t.TempDir(), "journal.key"))
	if err != nil {
		t.Fatal(err)
	}
	return register.New(db, j), j
}

func attestation() register.Statement {
	return register.Statement{Kind: register.Attestation, Control: "F-01", Owner: "Anna", Text: "Tier III, contract 7", Until: now.AddDate(1, 0, 0)}
}

func TestStatements(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r, j := open(t, db)
		first, err := r.Add(t.Context(), actor, attestation(), now)
		if err != nil {
			t.Fatal(err)
		}
		waiver := register.Statement{Kind: register.Waiver, Control: "I-03", Owner: "Ben", Text: "until the\x00 move", Until: now.AddDate(0, 1, 0)}
		if _, err := r.Add(t.Context(), actor, waiver, now.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		all, err := r.Statements(t.Context())
		if err != nil || len(all) != 2 || all[0].Control != "I-03" || all[1] != first {
			t.Fatalf("got %+v, %v; want the waiver and then %+v", all, err, first)
		}
		if err := r.End(t.Context(), actor, first.ID, now); err != nil {
			t.Fatal(err)
		}
		if err := r.End(t.Context(), actor, first.ID, now); !errors.Is(err, register.ErrNotFound) {
			t.Errorf("ended twice: %v", err)
		}
		if all, _ := r.Statements(t.Context()); len(all) != 1 {
			t.Errorf("%d statements are left, want 1", len(all))
		}
		entries, err := j.Entries(t.Context(), 0, 10)
		if err != nil || len(entries) != 3 || entries[0].Action != "audit.attestation" || entries[1].Target != "I-03" || entries[2].Action != "audit.statement-end" {
			t.Errorf("the journal has %+v, %v", entries, err)
		}
	})
}

func TestAssets(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r, _ := open(t, db)
		a := register.Asset{Name: "db1", Zone: "database", Classification: "confidential", Owner: "Anna", Until: now.AddDate(1, 0, 0)}
		for _, zone := range []string{"dmz", "database"} {
			a.Zone = zone
			if _, err := r.SetAsset(t.Context(), actor, a, now); err != nil {
				t.Fatal(err)
			}
		}
		all, err := r.Assets(t.Context())
		if err != nil || len(all) != 1 || all[0].Zone != "database" {
			t.Fatalf("got %+v, %v; want one, in its later zone", all, err)
		}
		if err := r.RemoveAsset(t.Context(), actor, "db1"); err != nil {
			t.Fatal(err)
		}
		if err := r.RemoveAsset(t.Context(), actor, "db1"); !errors.Is(err, register.ErrNotFound) {
			t.Errorf("removed twice: %v", err)
		}
	})
}

func TestBadInput(t *testing.T) {
	r, _ := open(t, storetest.SQLite(t))
	for field, change := range map[string]func(*register.Statement){
		"kind":    func(s *register.Statement) { s.Kind = "guess" },
		"control": func(s *register.Statement) { s.Control = " " },
		"owner":   func(s *register.Statement) { s.Owner = "" },
		"text":    func(s *register.Statement) { s.Text = strings.Repeat("x", 2001) },
		"until":   func(s *register.Statement) { s.Until = now },
	} {
		s := attestation()
		change(&s)
		_, err := r.Add(t.Context(), actor, s, now)
		var input *register.InputError
		if !errors.As(err, &input) || input.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	s := attestation()
	s.Until = now.AddDate(4, 0, 0)
	if _, err := r.Add(t.Context(), actor, s, now); err == nil {
		t.Error("four years were accepted")
	}
	bad := register.Asset{Name: "x", Zone: "dmz", Classification: "cosmic", Owner: "Anna", Until: now.AddDate(1, 0, 0)}
	if _, err := r.SetAsset(t.Context(), actor, bad, now); err == nil || !strings.Contains(err.Error(), "public, internal") {
		t.Errorf("got %v, want the classifications named", err)
	}
}

func TestFull(t *testing.T) {
	db := storetest.SQLite(t)
	r, _ := open(t, db)
	err := db.Write(t.Context(), func(tx *sql.Tx) error {
		for i := range 10000 {
			if _, err := tx.Exec(`INSERT INTO audit_statement (id, kind, control, owner, text, evidence, made_at, until_at, made_by)
				VALUES ($1, 'waiver', 'X-1', 'o', 't', '', 1, 2, 'b')`, fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(t.Context(), actor, attestation(), now); !errors.Is(err, register.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
}
