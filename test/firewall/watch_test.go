package firewall_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/test/real"
)

// TestAuditAsksTheWatch: the audit passes what a running Doorward does for SSH, over a log that it reads and with the enforcer connected; when
// the enforcer is away, or the log is, it fails; when Doorward cannot be asked, nothing is known.
func TestAuditAsksTheWatch(t *testing.T) {
	t.Parallel()
	h := newHosts(t)
	log := real.Write(t, h.dir, "auth.log", time.Now().UTC().Format(time.RFC3339)+" shop sshd[7]: Accepted publickey for ada from 192.0.2.9 port 4 ssh2\n", 0o644)
	overrides := real.Write(t, h.dir, "overrides.yaml", "sshd_guessing: {ban: 20m}\n", 0o644)
	h.configFile = real.Write(t, h.dir, "serve.yaml", `
data_dir: `+filepath.Join(h.dir, "data")+`
listen:
  plain: ["127.0.0.1:8081"]
console:
  listen: ["127.0.0.1:8082"]
sites:
  - hosts: [app.example.com]
    upstreams: ["http://127.0.0.1:8080"]
watch:
  overrides: `+overrides+`
  sources:
    - {name: auth, type: file, paths: [`+log+`], parsers: [sshd]}
firewall: {enforce: true, socket: `+h.socket+`}
`, 0o644)
	enforcer := h.enforce("--client", "root")
	serve := real.Start(t, "serve", exec.Command("nsenter", "--net=/run/netns/"+h.host, real.Program(t), "serve", "--config", h.configFile))
	judge := func() map[string]audit.Finding {
		t.Helper()
		out, err := exec.Command("nsenter", "--net=/run/netns/"+h.host, real.Program(t), "audit", "--config", h.configFile, "--profile", "all", "--no-keep", "--fail-on", "none",
			"--format", "json").Output()
		if err != nil {
			t.Fatalf("audit: %v\n%s", err, out)
		}
		var report struct{ Results []audit.Finding }
		if err := json.Unmarshal(out, &report); err != nil {
			t.Fatal(err)
		}
		seen := map[string]audit.Finding{}
		for _, f := range report.Results {
			seen[f.ID] = f
		}
		return seen
	}
	await := func(what string, want map[string]audit.Status) {
		t.Helper()
		var got map[string]audit.Finding
		right := func() bool {
			got = judge()
			for id, status := range want {
				if got[id].Status != status {
					return false
				}
			}
			return true
		}
		for end := time.Now().Add(90 * time.Second); !right(); time.Sleep(time.Second) {
			if time.Now().After(end) {
				for id, status := range want {
					t.Errorf("%s: %s is %s because %q, want %s; %v", what, id, got[id].Status, got[id].Reason, status, got[id].Evidence)
				}
				t.FailNow()
			}
		}
	}
	await("all is well", map[string]audit.Status{"I-66": audit.Pass, "M-22": audit.Pass, "M-29": audit.Pass})
	enforcer.Stop()
	await("no enforcer", map[string]audit.Status{"I-66": audit.Fail, "M-22": audit.Fail, "M-29": audit.Pass})
	h.enforce("--client", "root")
	await("the enforcer is back", map[string]audit.Status{"I-66": audit.Pass, "M-22": audit.Pass})
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	await("no log", map[string]audit.Status{"I-66": audit.Fail, "M-22": audit.Fail})
	serve.Stop()
	await("nobody to ask", map[string]audit.Status{"I-66": audit.Unknown, "M-22": audit.Unknown, "M-29": audit.Unknown})
}
