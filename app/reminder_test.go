package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/audit/report"
	"github.com/doorward/doorward/mail/mailtest"
	"github.com/doorward/doorward/store"
)

// TestDriftIsMailed: a running Doorward mails what the last audit found to have got worse.
func TestDriftIsMailed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "reports")
	spool, err := report.MakeSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	keep := func(at time.Time, status audit.Status, earlier *report.Report) *report.Report {
		r := report.New(audit.Profile{Name: "all"}, []audit.Finding{{ID: "I-03", Title: "SSH", Status: status, Severity: audit.High}}, facts.Facts{Time: at}, nil)
		if earlier != nil {
			r.Compare(*earlier)
		}
		if err := spool.Keep(r); err != nil {
			t.Fatal(err)
		}
		return &r
	}
	keep(time.Now(), audit.Fail, keep(time.Now().Add(-time.Hour), audit.Pass, nil))
	server := mailtest.Start(t, mailtest.Options{})
	start(t, store.Config{}, server.Settings()+fmt.Sprintf("audit: {reports: %s, recipients: [drift@example.org]}\n", dir))
	if m := server.Next(t, "drift@example.org"); !strings.Contains(fmt.Sprintf("%+v", m), "I-03") {
		t.Errorf("got %+v", m)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("the folder is %v, %v", info.Mode(), err)
	}
}
