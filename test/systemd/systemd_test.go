// Package systemd_test checks the units that Doorward ships with systemd's own tools, and runs what they start the
// way systemd would: sockets passed by name, a notification socket, a watchdog.
package systemd_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

func TestMain(m *testing.M) {
	code := m.Run()
	real.RemoveProgram()
	os.Exit(code)
}

func units(t *testing.T) string { return filepath.Join(real.Repository(t), "packaging", "systemd") }

// setting returns a unit's only value for key.
func setting(t *testing.T, unit, key string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(units(t), unit))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			found = append(found, value)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s has %d lines of %s, want one", unit, len(found), key)
	}
	return found[0]
}

// installed copies the units to a folder, with the program at the place where this test built it.
func installed(t *testing.T) []string {
	t.Helper()
	dir := real.Folder(t)
	var paths []string
	for _, pattern := range []string{"*.service", "*.socket", "*.timer"} {
		found, err := filepath.Glob(filepath.Join(units(t), pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("find %s: %v, %d files", pattern, err, len(found))
		}
		for _, path := range found {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.ReplaceAll(string(text), "=/usr/bin/doorward ", "="+real.Program(t)+" ")
			paths = append(paths, real.Write(t, dir, filepath.Base(path), changed, 0o644))
		}
	}
	return paths
}

// TestInstallAsAService follows the block of docs/quickstart.md as far as a machine without systemd can: the same commands, below a
// folder for the root, and systemctl's own enable there.
func TestInstallAsAService(t *testing.T) {
	real.Require(t, "systemctl", "install", "bash")
	page, err := os.ReadFile(filepath.Join(real.Repository(t), "docs", "quickstart.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?ms)^## Install as a service$.*?^```shell\n(.*?)^```$").FindSubmatch(page)
	if found == nil {
		t.Fatal("docs/quickstart.md has no block under Install as a service")
	}
	const reload, enable, folder = "systemctl daemon-reload\n", "systemctl enable --now ", "/etc/systemd/system"
	script := string(found[1])
	for _, part := range []string{reload, enable, " " + folder + "/\n"} {
		if strings.Count(script, part) != 1 {
			t.Fatalf("the block has not %q once:\n%s", part, script)
		}
	}
	root := real.Folder(t)
	for _, dir := range []string{folder, "/usr/lib/systemd/system"} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script = strings.NewReplacer(reload, "", enable, "systemctl --root="+root+" enable ", " "+folder, " "+root+folder).Replace(script)
	cmd := exec.CommandContext(t.Context(), "bash", "--noprofile", "--norc", "-e", "-c", script)
	cmd.Dir = real.Repository(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v in\n%s\n%s", err, script, out)
	}
	for _, link := range []string{"multi-user.target.wants/doorward.service", "sockets.target.wants/doorward-https.socket", "sockets.target.wants/doorward-http.socket",
		"timers.target.wants/doorward-audit.timer"} {
		if _, err := os.Lstat(filepath.Join(root+folder, link)); err != nil {
			t.Errorf("not enabled: %v", err)
		}
	}
	for _, path := range installed(t) {
		if _, err := os.Stat(filepath.Join(root+folder, filepath.Base(path))); err != nil {
			t.Errorf("not installed: %v", err)
		}
	}
}

func TestUnitsAreValid(t *testing.T) {
	real.Require(t, "systemd-analyze")
	paths := installed(t)
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", append([]string{"verify"}, paths...)...).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "doorward") { // other packages' units have faults of their own
			t.Errorf("systemd-analyze verify: %s", line)
		}
	}
}

// TestUnitIsConfined: exposure below 2.0 of 10, and no capability at all. The audit is root's, because it reads everybody's files, and
// stays below 3.5.
func TestUnitIsConfined(t *testing.T) {
	real.Require(t, "systemd-analyze")
	for _, path := range installed(t) {
		if filepath.Ext(path) != ".service" {
			continue
		}
		threshold := "--threshold=19"
		if filepath.Base(path) == "doorward-audit.service" {
			threshold = "--threshold=34"
		}
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", threshold, path).CombinedOutput()
		if err != nil {
			t.Errorf("systemd-analyze security: %v\n%s", err, out)
		}
	}
	for _, key := range []string{"CapabilityBoundingSet", "AmbientCapabilities"} {
		if got := setting(t, "doorward.service", key); got != "" {
			t.Errorf("%s=%s, want none", key, got)
		}
	}
}

// manager stands in for systemd: it hears what the service tells.
type manager struct {
	t        *testing.T
	socket   *net.UnixConn
	messages chan string
	path     string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{t: t, messages: make(chan string, 100), path: filepath.Join(real.Folder(t), "notify")}
	var err error
	if m.socket, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.socket.Close() })
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := m.socket.Read(buffer)
			if err != nil {
				return
			}
			m.messages <- string(buffer[:n])
		}
	}()
	return m
}

// hear waits for a message that begins with want; messages of the watchdog may come between.
func (m *manager) hear(want string) string {
	m.t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case got := <-m.messages:
			if strings.HasPrefix(got, want) {
				return got
			}
			if got != "WATCHDOG=1" {
				m.t.Fatalf("the service told %q, want %q", got, want)
			}
		case <-limit:
			m.t.Fatalf("the service did not tell %q within a minute", want)
		}
	}
}

// TestServiceRuns runs the unit's ExecStart under systemd's socket activation and goes through a service's life.
func TestServiceRuns(t *testing.T) {
	real.Require(t, "systemd-socket-activate")
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "the application") }))
	defer up.Close()
	dir, consolePort := real.Folder(t), real.FreePort(t)
	config := func(path string) string {
		return fmt.Sprintf(`data_dir: %s
listen: {https: ["fd:%s"], http: ["fd:%s"]}
console: {listen: ["127.0.0.1:%d"]}
sites:
  - hosts: [localhost]
    upstreams: [%q]
    access: [{path: %s, public: true}]
`, filepath.Join(dir, "data"), setting(t, "doorward-https.socket", "FileDescriptorName"),
			setting(t, "doorward-http.socket", "FileDescriptorName"), consolePort, up.URL, path)
	}
	file := real.Write(t, dir, "doorward.yaml", config("/"), 0o644)

	command := strings.Fields(setting(t, "doorward.service", "ExecStart"))
	if command[0] != "/usr/bin/doorward" || command[len(command)-1] != "/etc/doorward/doorward.yaml" {
		t.Fatalf("ExecStart=%v is not what this test knows how to replace", command)
	}
	command[0], command[len(command)-1] = real.Program(t), file
	const watchdog = 20 * time.Second // it is fed three times in that time
	m := newManager(t)
	httpsPort, httpPort := real.FreePort(t), real.FreePort(t)
	// The order of --listen is that of the names.
	activate := exec.Command("systemd-socket-activate", append([]string{
		"--listen=127.0.0.1:" + strconv.Itoa(httpsPort), "--listen=127.0.0.1:" + strconv.Itoa(httpPort), "--fdname=https:http",
		"--setenv=NOTIFY_SOCKET=" + m.path, "--setenv=WATCHDOG_USEC=" + strconv.FormatInt(watchdog.Microseconds(), 10)}, command...)...)
	process := real.Start(t, "doorward", activate)
	process.AwaitListening(fmt.Sprintf("127.0.0.1:%d", httpPort), time.Minute)
	m.hear("READY=1")

	if status, body := get(t, fmt.Sprintf("https://localhost:%d/", httpsPort)); status != 200 || body != "the application" {
		t.Errorf("https got %d %q, want 200", status, body)
	}
	if status, _ := get(t, fmt.Sprintf("http://localhost:%d/", httpPort)); status != 308 {
		t.Errorf("http got %d, want 308", status)
	}
	for range 2 {
		select {
		case got := <-m.messages:
			if got != "WATCHDOG=1" {
				t.Errorf("the service told %q, want WATCHDOG=1", got)
			}
		case <-time.After(watchdog):
			t.Fatal("systemd would have killed the service: no WATCHDOG=1 within WatchdogSec")
		}
	}

	real.Write(t, dir, "doorward.yaml", config("/only-here"), 0o644)
	process.Signal(syscall.SIGHUP)
	if got := m.hear("RELOADING=1"); !strings.Contains(got, "\nMONOTONIC_USEC=") {
		t.Errorf("reloading told %q, want the time with it (sd_notify(3))", got)
	}
	m.hear("READY=1")
	if status, _ := get(t, fmt.Sprintf("https://localhost:%d/", httpsPort)); status != 401 {
		t.Errorf("after the reload: got %d, want 401", status)
	}

	process.Signal(syscall.SIGTERM)
	m.hear("STOPPING=1")
	real.Eventually(t, time.Minute, "the service to end", process.Ended)
}

// TestServiceTakesBoundSockets: a configuration that names its ports by address, as the quickstart's end and docs/access.md have it,
// runs under the same socket units.
func TestServiceTakesBoundSockets(t *testing.T) {
	real.Require(t, "systemd-socket-activate")
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "the application") }))
	defer up.Close()
	dir, httpsPort, httpPort := real.Folder(t), real.FreePort(t), real.FreePort(t)
	file := real.Write(t, dir, "doorward.yaml", fmt.Sprintf(`data_dir: %s
listen: {https: [":%d"], http: [":%d"]}
console: {listen: ["127.0.0.1:%d"]}
sites:
  - hosts: [localhost]
    upstreams: [%q]
    access: [{path: /, public: true}]
`, filepath.Join(dir, "data"), httpsPort, httpPort, real.FreePort(t), up.URL), 0o644)
	m := newManager(t)
	// A port alone, as ListenStream=443 has it: every address of both families.
	activate := exec.Command("systemd-socket-activate", "--listen="+strconv.Itoa(httpsPort), "--listen="+strconv.Itoa(httpPort), "--fdname=https:http",
		"--setenv=NOTIFY_SOCKET="+m.path, real.Program(t), "serve", "--config", file)
	process := real.Start(t, "doorward", activate)
	process.AwaitListening(fmt.Sprintf("127.0.0.1:%d", httpPort), time.Minute)
	m.hear("READY=1")
	if status, body := get(t, fmt.Sprintf("https://localhost:%d/", httpsPort)); status != 200 || body != "the application" {
		t.Errorf("https got %d %q, want 200", status, body)
	}
	if status, _ := get(t, fmt.Sprintf("http://localhost:%d/", httpPort)); status != 308 {
		t.Errorf("http got %d, want 308", status)
	}
	process.Signal(syscall.SIGTERM)
	m.hear("STOPPING=1")
	real.Eventually(t, time.Minute, "the service to end", process.Ended)
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := &http.Client{Timeout: time.Minute,
		// The own authority is tested where certificates are.
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err := client.Get(url)
	if err != nil {
		t.Fatalf("get %s: %v", url, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("get %s: %v", url, err)
	}
	return res.StatusCode, string(body)
}
