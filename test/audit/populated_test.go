package audit_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/report"
	"github.com/doorward/doorward/test/populated"
	"github.com/doorward/doorward/test/real"
)

const (
	allControls = 223
	mayBeOpen   = 20 // controls that may be unknown on a host with everything on it
)

// TestPopulatedCopy: on a host with everything on it of which the guides speak, with all declared that an administrator can declare
// and every question answered, nearly every control has an answer.
func TestPopulatedCopy(t *testing.T) {
	real.Require(t, "sshd", "apache2", "nginx", "mariadbd", "pg_ctlcluster", "fail2ban-client", "nft", "cron", "openssl", "/usr/share/dokuwiki/doku.php", "/usr/share/request-tracker5")
	if !inCopyWith(t, true) {
		return
	}
	m, err := populated.Start(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	text, usage, err := m.Audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	count := map[audit.Status]int{}
	var open, broken []string
	for _, f := range r.Results {
		count[f.Status]++
		switch f.Status {
		case audit.Unknown:
			open = append(open, fmt.Sprintf("%s: %s", f.ID, f.Reason))
		case audit.Errored:
			broken = append(broken, fmt.Sprintf("%s: %s", f.ID, f.Reason))
		}
	}
	t.Logf("%v in %s, %s of CPU, %d MB", count, usage.Took.Round(1e7), usage.CPU.Round(1e7), usage.RSS>>20)
	if len(r.Results) != allControls {
		t.Errorf("got %d results, want %d", len(r.Results), allControls)
	}
	if len(open) > mayBeOpen {
		t.Errorf("got %d unknown, want %d at most:\n%s", len(open), mayBeOpen, strings.Join(open, "\n"))
	}
	if len(broken) > 0 {
		t.Errorf("got errors, which are our own defects:\n%s", strings.Join(broken, "\n"))
	}
}
