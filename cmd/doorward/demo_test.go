package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/porttest"
)

// demoProcess is a "doorward demo" in a process of its own, as a person starts it.
type demoProcess struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr *lockedBuffer
	temp   string
}

// lockedBuffer can be read while a process writes to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startDemo runs this test's binary under the name doorward, which makes it the command (TestMain).
func startDemo(t *testing.T, args ...string) *demoProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	p := &demoProcess{cmd: exec.CommandContext(ctx, self, append([]string{"demo"}, args...)...), stderr: new(lockedBuffer), temp: t.TempDir()}
	p.cmd.Args[0] = "doorward"
	p.cmd.Env = append(os.Environ(), "TMPDIR="+p.temp)
	p.cmd.Stderr = p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	return p
}

// line is the one line of --json.
type line struct {
	Gateway, Console, Data string
	Users                  []struct{ Name, Email, Role, Password string }
}

func (p *demoProcess) ready(t *testing.T) line {
	t.Helper()
	text, err := p.stdout.ReadString('\n')
	if err != nil {
		t.Fatalf("read the line: %v\n%s", err, p.stderr)
	}
	var l line
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		t.Fatalf("line %q: %v", text, err)
	}
	return l
}

// end signals the process and returns its exit code and what it still wrote to standard output.
func (p *demoProcess) end(t *testing.T, signal os.Signal) (code int, rest string) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatalf("send %v: %v\n%s", signal, err, p.stderr)
	}
	left, err := io.ReadAll(p.stdout)
	if err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // the code says it
	return p.cmd.ProcessState.ExitCode(), string(left)
}

func (p *demoProcess) leftovers(t *testing.T) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(p.temp, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

func freePort(t *testing.T) string {
	t.Helper()
	port, err := porttest.Free()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}

func TestDemoPrintsOneLineAndEndsCleanly(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		// Ports that no other test is given once they are free again.
		p := startDemo(t, "--json", "--listen", "127.0.0.1:"+freePort(t), "--console", "localhost:"+freePort(t))
		l := p.ready(t)
		if len(l.Users) != 4 || !strings.HasPrefix(l.Data, p.temp) {
			t.Errorf("got %d accounts and folder %s", len(l.Users), l.Data)
		}
		ports := []string{portOf(t, l.Gateway), portOf(t, l.Console)}
		for _, port := range ports {
			conn, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err != nil {
				t.Errorf("ready, but port %s does not accept: %v", port, err)
				continue
			}
			defer conn.Close() // open and silent: it must not hold the end up
		}
		log, err := os.ReadFile(filepath.Join(l.Data, "doorward.log"))
		if err != nil || len(log) == 0 {
			t.Errorf("log in the folder: %v, %d bytes", err, len(log))
		}
		for _, u := range l.Users {
			if bytes.Contains(log, []byte(u.Password)) {
				t.Errorf("the log holds the password of %s", u.Name)
			}
		}
		began := time.Now()
		code, rest := p.end(t, signal)
		if code != 0 || rest != "" || time.Since(began) > 30*time.Second {
			t.Errorf("%v: exit code %d after %v, more on standard output %q\n%s", signal, code, time.Since(began), rest, p.stderr)
		}
		if got, want := p.stderr.String(), "doorward: the demo has ended; nothing of it is left\n"; got != want {
			t.Errorf("%v: standard error is %q, want %q", signal, got, want)
		}
		if left := p.leftovers(t); len(left) > 0 {
			t.Errorf("%v: left behind: %v", signal, left)
		}
		for _, port := range ports {
			if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
				conn.Close()
				t.Errorf("%v: port %s is still open", signal, port)
			}
		}
	}
}

func TestDemoEndsCleanlyWhileStarting(t *testing.T) {
	for _, after := range []time.Duration{30 * time.Millisecond, 60 * time.Millisecond, 120 * time.Millisecond, 240 * time.Millisecond} {
		p := startDemo(t, "--json", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0")
		time.Sleep(after)
		code, _ := p.end(t, syscall.SIGTERM)
		// Before the program has set itself up, the signal ends it as any program; nothing exists then.
		if code != 0 && code != -1 {
			t.Errorf("after %v: exit code %d\n%s", after, code, p.stderr)
		}
		if left := p.leftovers(t); len(left) > 0 {
			t.Errorf("after %v: left behind: %v", after, left)
		}
	}
}

func TestDemoTellsAPersonWhatToDo(t *testing.T) {
	p := startDemo(t, "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0")
	var text strings.Builder
	for !strings.Contains(text.String(), "Stop it with ctrl-C") {
		part, err := p.stdout.ReadString('\n')
		text.WriteString(part)
		if err != nil {
			t.Fatalf("got %q, then %v\n%s", text.String(), err, p.stderr)
		}
	}
	for _, want := range []string{"https://localhost:", "demo-owner", "demo-admin", "demo-agent", "demo-user", "authority/root.crt",
		"curl --cacert", "doorward.log", "is deleted then", "/admin/", "/data/"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text does not mention %q:\n%s", want, text.String())
		}
	}
	tryCommand(t, text.String())
	if code, _ := p.end(t, os.Interrupt); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// tryCommand pastes the command that the demo recommends into a shell, which has no doorward on its path.
func tryCommand(t *testing.T, text string) {
	t.Helper()
	found := regexp.MustCompile(`(?m)^  - (\S+)( journal verify .*)$`).FindStringSubmatch(text)
	self, err := os.Executable()
	if found == nil || err != nil || found[1] != self {
		t.Fatalf("want a command of %s (%v) in\n%s", self, err, text)
	}
	link := filepath.Join(t.TempDir(), "doorward") // under its own name this is the test (TestMain)
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", link+found[2]).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", found[2], err, out)
	}
}

func TestDemoTwiceOnOneFolderAndBesideAnother(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	first := startDemo(t, "--json", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--dir", dir)
	l := first.ready(t)
	if l.Data != dir {
		t.Errorf("data is %s, want %s", l.Data, dir)
	}
	refuse := func(want string, args ...string) {
		t.Helper()
		p := startDemo(t, args...)
		code, _ := p.end(t, syscall.Signal(0)) // waits
		if got := p.stderr.String(); code != 1 || !strings.Contains(got, want) || !strings.Contains(got, "doorward: hint: ") {
			t.Errorf("%v: exit code %d, %q; want 1 and %q", args, code, got, want)
		}
		if left := p.leftovers(t); len(left) > 0 {
			t.Errorf("%v: left behind: %v", args, left)
		}
	}
	refuse("is running on the folder "+dir, "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--dir", dir)
	port := portOf(t, l.Gateway)
	usage := startDemo(t, "--listen", "0.0.0.0:0")
	if code, _ := usage.end(t, syscall.Signal(0)); code != 2 {
		t.Errorf("another address: exit code %d, want 2\n%s", code, usage.stderr)
	}
	refuse("port "+port+" is in use by another program\ndoorward: hint: choose another one with --listen", "--listen", "127.0.0.1:"+port, "--console", "127.0.0.1:0")
	port = portOf(t, l.Console)
	refuse("port "+port+" is in use by another program\ndoorward: hint: choose another one with --console", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:"+port)

	second := startDemo(t, "--json", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0")
	second.ready(t)
	if code, _ := second.end(t, os.Interrupt); code != 0 {
		t.Errorf("the second demo: exit code %d\n%s", code, second.stderr)
	}
	if code, _ := first.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("the first demo: exit code %d\n%s", code, first.stderr)
	}
	if got, want := first.stderr.String(), "doorward: the demo has ended; its data stays in "+dir+"\n"; got != want {
		t.Errorf("standard error is %q, want %q", got, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "doorward.db")); err != nil {
		t.Errorf("the named folder: %v", err)
	}
}

// TestDemoSurvivesBeingKilled: after kill -9 the folder can be used again, dead sockets and all.
func TestDemoSurvivesBeingKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	args := []string{"--json", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--dir", dir}
	for range 2 {
		p := startDemo(t, args...)
		p.ready(t)
		if _, err := os.Stat(filepath.Join(dir, "helpdesk.sock")); err != nil {
			t.Errorf("the helpdesk's socket: %v", err)
		}
		p.end(t, os.Kill)
	}
	p := startDemo(t, args...)
	p.ready(t)
	if code, _ := p.end(t, os.Interrupt); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.stderr)
	}
}
