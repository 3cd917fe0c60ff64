package audit_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/audit/scan"
)

// imported reads a file of the scan package's tests as an import of so many days before now.
func imported(t *testing.T, name, target string, days int) scan.Import {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("scan", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	o := scan.Options{Target: target, Now: now.AddDate(1, 0, 0)}
	if target != "" {
		o.Time = now
	}
	r, err := scan.Read(text, o)
	if err != nil {
		t.Fatal(err)
	}
	r.Time = now.AddDate(0, 0, -days)
	return scan.Import{ID: name + target, File: name, By: "cli:anna", Made: now, Report: r}
}

// TestScans judges the rows that other scanners answer.
func TestScans(t *testing.T) {
	weak, open := imported(t, "nmap-weak-fixture.xml", "", 3), imported(t, "nmap.xml", "", 3)
	network, full := open, open
	network.Targets = []string{"127.0.0.0/24", "127.0.0.1", "localhost"}
	full.Targets = slices.Concat(network.Targets, slices.Repeat([]string{"x"}, scan.MaxTargets-3))
	code := imported(t, "staticcheck.sarif", "git/app", 2)
	clean := code
	clean.Findings, clean.Counts, clean.ID, clean.Time = nil, scan.Counts{}, "clean", now.AddDate(0, 0, -1)
	other := clean
	other.Tool, other.ID = "other", "other"
	severe := code // one error and one warning
	code.Findings, code.Counts = code.Findings[1:], scan.Counts{Medium: 1}
	many := severe
	many.Counts.High = 7
	later := clean
	later.Time = now.Add(time.Hour)
	old := func(s scan.Import, days int) scan.Import { s.Time = now.AddDate(0, 0, -days); return s }
	accept := func(until time.Time) audit.Records {
		return audit.Records{Accepted: map[string]map[string]audit.Waiver{"F-38": {severe.Findings[0].ID: {Reason: "test code", By: "Ben", Until: until}}}}
	}
	answered := audit.Records{Attestations: map[string]audit.Attestation{"F-38": {Owner: "Anna", Text: "the vendor says", Made: now, Until: now.AddDate(0, 1, 0)}}}
	targets := audit.ScanTargets{Networks: []string{"192.0.2.5"}, Code: []string{"git/app"}}
	cat := shipped(t)
	for name, c := range map[string]struct {
		control string
		scans   []scan.Import
		records audit.Records
		targets audit.ScanTargets
		want    audit.Status
		reason  string
	}{
		"none":                            {"F-38", nil, audit.Records{}, targets, audit.Fail, "no scan was imported"},
		"none of the kind":                {"F-38", []scan.Import{weak}, audit.Records{}, targets, audit.Fail, "no scan was imported"},
		"clean":                           {"F-38", []scan.Import{clean}, audit.Records{}, targets, audit.Pass, ""},
		"below":                           {"F-38", []scan.Import{code}, audit.Records{}, targets, audit.Pass, ""},
		"open":                            {"F-38", []scan.Import{severe}, audit.Records{}, targets, audit.Fail, "1 of the scans' findings of at least high are open"},
		"open is not answered":            {"F-38", []scan.Import{severe}, answered, targets, audit.Fail, "1 of the scans"},
		"waived":                          {"F-38", []scan.Import{severe}, accept(now.AddDate(0, 0, 1)), targets, audit.Waived, "every grave"},
		"waiver over":                     {"F-38", []scan.Import{severe}, accept(now), targets, audit.Fail, "1 of the scans"},
		"not all are kept":                {"F-38", []scan.Import{many}, accept(now.AddDate(0, 0, 1)), targets, audit.Fail, "6 of the scans"},
		"old":                             {"F-38", []scan.Import{old(clean, 120)}, audit.Records{}, targets, audit.Fail, "the last scan of git/app is 120 days old, and may be 30"},
		"old but answered":                {"F-38", []scan.Import{old(clean, 120)}, answered, targets, audit.Attested, "120 days old"},
		"on its last day":                 {"F-38", []scan.Import{old(clean, 30)}, audit.Records{}, targets, audit.Pass, ""},
		"of the future":                   {"F-38", []scan.Import{later}, audit.Records{}, targets, audit.Fail, "no scan looked at git/app"},
		"superseded":                      {"F-38", []scan.Import{severe, clean}, audit.Records{}, targets, audit.Pass, ""},
		"an older one supersedes nothing": {"F-38", []scan.Import{old(clean, 9), severe}, audit.Records{}, targets, audit.Fail, "1 of the scans"},
		"another tool hides nothing":      {"F-38", []scan.Import{other, severe}, audit.Records{}, targets, audit.Fail, "1 of the scans"},
		"another target":                  {"F-38", []scan.Import{clean}, audit.Records{}, audit.ScanTargets{Code: []string{"git/app", "git/mobile"}}, audit.Fail, "no scan looked at git/mobile"},
		"no target":                       {"F-38", []scan.Import{clean}, audit.Records{}, audit.ScanTargets{}, audit.Unknown, "audit.scans.code"},
		"not read":                        {"F-38", nil, audit.Records{Unread: "no Doorward answers"}, targets, audit.Unknown, "no Doorward answers"},
		"ports":                           {"F-15", []scan.Import{open}, audit.Records{}, audit.ScanTargets{Networks: []string{"127.0.0.1"}}, audit.Pass, ""},
		"weak":                            {"F-15", []scan.Import{weak}, audit.Records{}, targets, audit.Fail, "2 of the scans"},
		"a port scan knows no weakness":   {"I-91", []scan.Import{open}, audit.Records{}, targets, audit.Fail, "no scan was imported"},
		"a part of the network":           {"F-15", []scan.Import{open}, audit.Records{}, audit.ScanTargets{Networks: []string{"127.0.0.0/31"}}, audit.Fail, "no scan looked at 127.0.0.0/31"},
		"a stranger in the network":       {"F-15", []scan.Import{network}, audit.Records{Systems: []string{"db1"}}, audit.ScanTargets{Networks: []string{"127.0.0.0/24"}}, audit.Fail, "1 of the scanned addresses are of no known system"},
		"a known system":                  {"F-15", []scan.Import{network}, audit.Records{Systems: []string{"127.0.0.1"}}, audit.ScanTargets{Networks: []string{"127.0.0.0/24"}}, audit.Pass, ""},
		"more systems than are kept":      {"F-15", []scan.Import{full}, audit.Records{Systems: []string{"127.0.0.1"}}, audit.ScanTargets{Networks: []string{"127.0.0.0/24"}}, audit.Fail, "no known system"},
		"weak from outside":               {"I-91", []scan.Import{weak}, audit.Records{}, targets, audit.Fail, "2 of the scans"},
		"the whole control waived":        {"I-91", []scan.Import{weak}, audit.Records{Waivers: map[string]audit.Waiver{"I-91": {Reason: "moves", By: "Ben", Until: now.AddDate(0, 0, 1)}}}, targets, audit.Waived, "moves (Ben)"},
	} {
		t.Run(name, func(t *testing.T) {
			records := c.records
			records.Scans, records.Targets = c.scans, c.targets
			for _, f := range cat.Judge(audit.Profile{}, facts.Facts{Time: now}, records) {
				if f.ID == c.control && (f.Status != c.want || !strings.Contains(f.Reason, c.reason) || c.reason == "" && f.Reason != "") {
					t.Errorf("got %s: %s %+v; want %s: %s", f.Status, f.Reason, f.Evidence, c.want, c.reason)
				}
			}
		})
	}
}
