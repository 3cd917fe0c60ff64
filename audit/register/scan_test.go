package register_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit/register"
	"github.com/doorward/doorward/audit/scan"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// imported is the n-th scan of a site, n days ago.
func imported(n int) scan.Import {
	return scan.Import{File: "../zap.json", Until: now.AddDate(0, 1, 0), Report: scan.Report{Format: "zap", Kind: scan.Web, Tool: "ZAP", Version: "2.15.0",
		Targets: []string{"https://helpdesk.example.com"}, Time: now.AddDate(0, 0, -n), Counts: scan.Counts{High: 1, Low: 3}, Size: 10,
		SHA256:   fmt.Sprintf("%064x", n),
		Findings: []scan.Finding{{ID: strings.Repeat("a", 32), Rule: "40012", Location: "GET https://helpdesk.example.com/", Title: "XSS", Severity: scan.High}}}}
}

func TestScans(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r, j := open(t, db)
		for n := range 12 {
			if _, err := r.AddScan(t.Context(), actor, imported(12-n), now); err != nil {
				t.Fatal(err)
			}
		}
		all, err := r.Scans(t.Context())
		if err != nil || len(all) != 10 || all[0].Time != now.AddDate(0, 0, -1) || all[0].Findings != nil || all[0].File != "zap.json" || all[0].By != "cli:root" {
			t.Fatalf("got %d, %+v, %v; want the ten latest, without findings", len(all), all[0], err)
		}
		one, err := r.Scan(t.Context(), all[0].ID)
		if err != nil || len(one.Findings) != 1 || one.Findings[0] != imported(1).Findings[0] || one.Counts != all[0].Counts || one.Targets[0] != "https://helpdesk.example.com" {
			t.Errorf("got %+v, %v", one, err)
		}
		var input *register.InputError
		if _, err := r.AddScan(t.Context(), actor, imported(1), now); !errors.As(err, &input) || input.Field != "file" {
			t.Errorf("the same file again: %v", err)
		}
		if err := r.RemoveScan(t.Context(), actor, one.ID); err != nil {
			t.Fatal(err)
		}
		if err := r.RemoveScan(t.Context(), actor, one.ID); !errors.Is(err, register.ErrNotFound) {
			t.Errorf("removed twice: %v", err)
		}
		if _, err := r.Scan(t.Context(), one.ID); !errors.Is(err, register.ErrNotFound) {
			t.Errorf("a removed scan: %v", err)
		}
		entries, err := j.Entries(t.Context(), 0, 20)
		if err != nil || len(entries) != 13 || entries[0].Action != "audit.scan" || strings.Contains(entries[0].After, "XSS") || !strings.Contains(entries[0].After, imported(12).SHA256) ||
			entries[12].Action != "audit.scan-remove" {
			t.Errorf("the journal has %+v, %v", entries, err)
		}
		waiver := register.Statement{Kind: register.Waiver, Control: "F-36", Finding: strings.Repeat("a", 32), Owner: "Ben", Text: "no input is shown", Until: now.AddDate(0, 1, 0)}
		made, err := r.Add(t.Context(), actor, waiver, now)
		if err != nil {
			t.Fatal(err)
		}
		if all, err := r.Statements(t.Context()); err != nil || all[0] != made || made.Finding == "" {
			t.Errorf("got %+v, %v", all, err)
		}
	})
}

// TestBadScans changes what a command may have made of a file.
func TestBadScans(t *testing.T) {
	r, _ := open(t, storetest.SQLite(t))
	for field, change := range map[string]func(*scan.Import){
		"kind":     func(s *scan.Import) { s.Kind = "guess" },
		"tool":     func(s *scan.Import) { s.Version = strings.Repeat("x", 301) },
		"targets":  func(s *scan.Import) { s.Targets = []string{"a\x00b"} },
		"time":     func(s *scan.Import) { s.Time = now.Add(time.Hour) },
		"until":    func(s *scan.Import) { s.Until = now.AddDate(0, 0, -9) },
		"sha256":   func(s *scan.Import) { s.SHA256 = "x" },
		"findings": func(s *scan.Import) { s.Findings[0].ID = "short" },
		"counts":   func(s *scan.Import) { s.Counts.High = 0 },
	} {
		s := imported(1)
		change(&s)
		_, err := r.AddScan(t.Context(), actor, s, now)
		var input *register.InputError
		if !errors.As(err, &input) || input.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	s := attestation()
	s.Finding = strings.Repeat("a", 32)
	if _, err := r.Add(t.Context(), actor, s, now); err == nil {
		t.Error("an attestation of a finding was accepted")
	}
}

func TestScansFull(t *testing.T) {
	db := storetest.SQLite(t)
	r, _ := open(t, db)
	err := db.Write(t.Context(), func(tx *sql.Tx) error {
		for i := range 1000 {
			if _, err := tx.Exec(`INSERT INTO audit_scan (id, kind, tool, version, format, targets, scope, scanned_at, stated, counts, findings, file, size, sha256, made_at,
				until_at, made_by) VALUES ($1, 'web', $1, '', '', '[]', '', 1, 0, '{}', '', '', 1, $1, 1, 2, 'b')`, fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.AddScan(t.Context(), actor, imported(1), now); !errors.Is(err, register.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
}
