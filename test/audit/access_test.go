// Package audit_test asks Doorward how real servers stand, and then the servers themselves: the verdict has to equal what they do.
package audit_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/report"
	"github.com/doorward/doorward/test/real"
)

// ask runs doorward audit with the configuration and returns its findings by id.
func ask(t *testing.T, d *real.Doorward, config string) map[string]audit.Finding {
	t.Helper()
	var r report.Report
	if err := json.Unmarshal([]byte(d.Run("", "audit", "--config", config, "--format", "json", "--no-keep", "--fail-on", "none")), &r); err != nil {
		t.Fatal(err)
	}
	found := map[string]audit.Finding{}
	for _, f := range r.Results {
		found[f.ID] = f
	}
	return found
}

func wantStatus(t *testing.T, found map[string]audit.Finding, want audit.Status, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if f := found[id]; f.Status != want {
			t.Errorf("%s: got %q, want %q: %s %v", id, f.Status, want, f.Reason, f.Evidence)
		}
	}
}

// TestAccessControls: the rows that the gateway answers are in force while a Doorward runs that has loaded this very file, and
// fail when the file was changed since, or nothing runs.
func TestAccessControls(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the application") }))
	t.Cleanup(up.Close)
	rest := fmt.Sprintf(`  - hosts: [localhost]
    upstreams: [%q]
    app: request-tracker
passwords: {preset: mor}
roles:
  - {name: owner, factor: passkey, networks: [127.0.0.0/8]}
  - {name: admin, factor: passkey, networks: [127.0.0.0/8]}
  - {name: agent, factor: any, sessions: {require_activity: true}}
audit: {reports: %s}
`, up.URL, filepath.Join(t.TempDir(), "reports"))
	d := real.StartDoorward(t, real.FreePort(t), rest)
	found := ask(t, d, d.Config)
	wantStatus(t, found, audit.Pass, "D-02", "D-03", "D-08", "D-16", "F-40", "F-41", "F-42", "F-43", "F-44", "I-82", "I-83", "M-02", "M-03", "M-08", "M-19", "M-40", "M-41", "D-06", "D-11", "D-17", "D-18")
	wantStatus(t, found, audit.Fail, "D-05", "D-09", "D-13", "D-19", "M-42", "I-53", "F-06", "D-01")

	t.Run("attested and waived", func(t *testing.T) {
		d.Run("", "attest", "F-06", "--config", d.Config, "--owner", "Anna", "--text", "the roster of November")
		d.Run("", "waive", "D-13", "--config", d.Config, "--owner", "Ben", "--text", "until mail works")
		found := ask(t, d, d.Config)
		wantStatus(t, found, audit.Attested, "F-06")
		wantStatus(t, found, audit.Waived, "D-13")
		if f := found["D-13"]; f.Underlying != audit.Fail || !strings.Contains(f.Reason, "until mail works (Ben)") {
			t.Errorf("got %+v", f)
		}
	})
	t.Run("the file was changed since", func(t *testing.T) {
		changed := real.Write(t, filepath.Dir(d.Config), "changed.yaml", fmt.Sprintf("data_dir: %s\nlisten: {https: [\"127.0.0.1:%d\"]}\nsites:\n%s", d.Data, real.FreePort(t), rest), 0o644)
		wantStatus(t, ask(t, d, changed), audit.Fail, "D-02", "F-41", "I-83", "M-40")
	})
	t.Run("nothing runs", func(t *testing.T) {
		d.Stop()
		found := ask(t, d, d.Config)
		wantStatus(t, found, audit.Fail, "D-02", "D-08", "F-41", "F-42", "I-83", "M-40")
		wantStatus(t, found, audit.Unknown, "F-06")
	})
}
