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
	t.Run("http", func(t *testing.T) { follows(t, "http", "", "") })
	certificate, key := real.Certificate(t)
	dir := real.Folder(t)
	pair := fmt.Sprintf(", certificate: %s, key: %s", real.Write(t, dir, "bouncers.pem", certificate, 0o644), real.Write(t, dir, "bouncers.key", key, 0o600))
	t.Run("https", func(t *testing.T) { follows(t, "https", pair, "ca_cert_path: "+filepath.Join(dir, "bouncers.pem")) })
	t.Run("https with a certificate that it does not trust", func(t *testing.T) { refuses(t, pair) })
}

// served starts Doorward with the API for bouncers, and makes a key.
func served(t *testing.T, tls string) (d *real.Doorward, api int, key string) {
	port, api := real.FreePort(t), real.FreePort(t)
	site := fmt.Sprintf("  - {hosts: [localhost], upstreams: [\"http://127.0.0.1:%d\"], app: generic, tls: {source: internal}}\ndecisions: {trial: true, bouncer_api: {listen: \"127.0.0.1:%d\"%s}}\n",
		real.FreePort(t), api, tls)
	d = real.StartDoorward(t, port, site)
	key, ok := strings.CutPrefix(strings.TrimSpace(d.Run("", "decision", "bouncer", "add", "custom", "--config", d.Config)), "key: ")
	if !ok {
		t.Fatal("no key was shown")
	}
	return d, api, key
}

// startBouncer starts the bouncer, which writes what it is told into the file.
func startBouncer(t *testing.T, url, key, more string) (told string, bouncer *real.Process) {
	dir := real.Folder(t)
	told = filepath.Join(dir, "told")
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
api_url: %s/
api_key: %s
%s
prometheus: {enabled: false, listen_addr: 127.0.0.1, listen_port: "%d"}
`, program, dir, dir, url, key, more, real.FreePort(t)), 0o600)
	return told, real.Start(t, "crowdsec-custom-bouncer", exec.Command("crowdsec-custom-bouncer", "-c", config))
}

// refuses: a bouncer that does not trust the certificate is told nothing, and shows its key to nobody.
func refuses(t *testing.T, tls string) {
	d, api, key := served(t, tls)
	d.Run("", "decision", "add", "203.0.113.7", "--for", "1h", "--config", d.Config)
	told, bouncer := startBouncer(t, fmt.Sprintf("https://127.0.0.1:%d", api), key, "")
	real.Eventually(t, time.Minute, "the bouncer says that it does not trust the certificate", func() bool { return strings.Contains(bouncer.Log(), "certificate") })
	if text, err := os.ReadFile(told); err == nil {
		t.Errorf("the bouncer was told %q", text)
	}
	if list := d.Run("", "decision", "bouncer", "list", "--config", d.Config); strings.Contains(list, "crowdsec-custom-bouncer") {
		t.Errorf("the bouncer showed its key:\n%s", list)
	}
}

// follows: the bouncer is told of each decision that begins and ends.
func follows(t *testing.T, scheme, tls, more string) {
	d, api, key := served(t, tls)
	command := func(args ...string) string { return d.Run("", append(args, "--config", d.Config)...) }
	command("decision", "add", "203.0.113.7", "--for", "1h")
	told, bouncer := startBouncer(t, fmt.Sprintf("%s://127.0.0.1:%d", scheme, api), key, more)
	await := func(line string) {
		t.Helper()
		real.Eventually(t, time.Minute, "the bouncer tells "+line, func() bool {
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
	command("decision", "add", "203.0.113.9", "--for", "8s") // a bouncer that asks too late is told neither
	await("add 203.0.113.9")
	await("del 203.0.113.9")
	if list := command("decision", "bouncer", "list"); !strings.Contains(list, "crowdsec-custom-bouncer") || !strings.Contains(list, "127.0.0.1") {
		t.Errorf("the bouncer is listed as\n%s", list)
	}
}
