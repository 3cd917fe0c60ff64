// Package bouncer_test has a bouncer of CrowdSec's read Doorward's decisions: Debian's crowdsec-custom-bouncer, which tells a program of each
// decision that begins and ends.
package bouncer_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

func TestMain(m *testing.M) {
	code := m.Run()
	real.RemoveProgram()
	os.Exit(code)
}

func TestCustomBouncer(t *testing.T) {
	real.Require(t, "crowdsec-custom-bouncer")
	port, api := real.FreePort(t), real.FreePort(t)
	site := fmt.Sprintf("  - {hosts: [localhost], upstreams: [\"http://127.0.0.1:%d\"], app: generic, tls: {source: internal}}\ndecisions: {trial: true, bouncer_api: {listen: \"127.0.0.1:%d\"}}\n",
		real.FreePort(t), api)
	d := real.StartDoorward(t, port, site)
	command := func(args ...string) string { return d.Run("", append(args, "--config", d.Config)...) }
	key, ok := strings.CutPrefix(strings.TrimSpace(command("decision", "bouncer", "add", "custom")), "key: ")
	if !ok {
		t.Fatal("no key was shown")
	}
	command("decision", "add", "203.0.113.7", "--for", "1h")

	dir := real.Folder(t)
	told := filepath.Join(dir, "told")
	// The bouncer gives the program: add or del, the value, the duration in seconds, the reason, and the decision.
	program := real.Write(t, dir, "tell.sh", "#!/bin/sh\necho \"$1 $2\" >>"+told+"\n", 0o755)
	config := real.Write(t, dir, "bouncer.yaml", fmt.Sprintf(`bin_path: %s
piddir: %s
update_frequency: 1s
cache_retention_duration: 1s
daemonize: true
log_mode: stdout
log_dir: %s
log_level: info
api_url: http://127.0.0.1:%d/
api_key: %s
prometheus: {enabled: false, listen_addr: 127.0.0.1, listen_port: "%d"}
`, program, dir, dir, api, key, real.FreePort(t)), 0o600)
	bouncer := real.Start(t, "crowdsec-custom-bouncer", exec.Command("crowdsec-custom-bouncer", "-c", config))
	await := func(line string) {
		t.Helper()
		real.Eventually(t, 30*time.Second, "the bouncer tells "+line, func() bool {
			if bouncer.Ended() {
				t.Fatal("the bouncer ended")
			}
			text, _ := os.ReadFile(told) // it is not there yet
			return strings.Contains("\n"+string(text), "\n"+line+"\n")
		})
	}
	await("add 203.0.113.7")
	command("decision", "add", "198.51.100.0/24", "--for", "1h")
	await("add 198.51.100.0/24")
	command("decision", "delete", "203.0.113.7")
	await("del 203.0.113.7")
	command("decision", "add", "203.0.113.9", "--for", "2s")
	await("add 203.0.113.9")
	await("del 203.0.113.9")
	if list := command("decision", "bouncer", "list"); !strings.Contains(list, "crowdsec-custom-bouncer") || !strings.Contains(list, "127.0.0.1") {
		t.Errorf("the bouncer is listed as\n%s", list)
	}
}
