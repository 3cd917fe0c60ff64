package firewall_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

// TestServe: a decision of doorward serve stands in the kernel at once and is lifted there; it outlives serve, and a restart of
// the enforcer; what the decisions allow is never banned.
func TestServe(t *testing.T) {
	t.Parallel()
	h := newHosts(t)
	h.listen(h.host, 80)
	h.configFile = real.Write(t, h.dir, "serve.yaml", `
data_dir: `+filepath.Join(h.dir, "data")+`
listen:
  plain: ["127.0.0.1:8081"]
console:
  listen: ["127.0.0.1:8082"]
sites:
  - hosts: [app.example.com]
    upstreams: ["http://127.0.0.1:8080"]
decisions:
  allow: [`+neighbourV4+`]
firewall: {enforce: true, socket: `+h.socket+`}
`, 0o644)
	enforcer := h.enforce("--client", "root")
	start := func() *real.Process {
		p := real.Start(t, "serve", exec.Command("nsenter", "--net=/run/netns/"+h.host, real.Program(t), "serve", "--config", h.configFile))
		real.Eventually(t, time.Minute, "serve to answer", func() bool {
			return exec.Command(real.Program(t), "decision", "list", "--config", h.configFile).Run() == nil
		})
		return p
	}
	serve := start()
	command := func(args ...string) (string, error) {
		out, err := exec.Command(real.Program(t), append([]string{"decision"}, append(args, "--config", h.configFile)...)...).CombinedOutput()
		return string(out), err
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := command(args...)
		if err != nil {
			t.Fatalf("decision %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	reaches := func(from string, want bool, what string) {
		t.Helper()
		to := hostV4
		if strings.Contains(from, ":") {
			to = hostV6
		}
		real.Eventually(t, time.Minute, what, func() bool { return h.reaches(h.outside, from, to, 80) == want })
	}
	must("add", attackerV4, "--for", "10m", "--reason", "test")
	reaches(attackerV4, false, "the address is dropped in the kernel")
	must("add", "2001:db8:1:0:66::/80", "--for", "10m", "--reason", "test")
	reaches(attackerV6, false, "the network is dropped in the kernel")
	reaches(strangerV4, true, "others get in")
	if out, err := command("add", neighbourV4, "--for", "10m", "--reason", "test"); err == nil || !strings.Contains(out, "allow") {
		t.Errorf("an allowed address is banned: %v\n%s", err, out)
	}
	must("delete", "2001:db8:1:0:66::/80", "--reason", "test")
	reaches(attackerV6, true, "lifted")

	serve.Signal(syscall.SIGKILL)
	reaches(attackerV4, false, "the ban outlives serve")
	enforcer.Signal(syscall.SIGKILL)
	reaches(attackerV4, false, "the ban outlives the enforcer")
	h.enforce("--client", "root")
	start()
	reaches(attackerV4, false, "the ban stands after a restart of both")
	must("delete", attackerV4, "--reason", "test")
	reaches(attackerV4, true, "lifted after a restart")
}
