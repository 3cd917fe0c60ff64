package real

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Doorward is the doorward program at work, used as a person at the command line uses it.
type Doorward struct {
	*Process
	t      testing.TB
	URL    string // https://localhost:PORT
	Config string // the configuration file
	Data   string // its data folder
}

// StartDoorward writes a configuration with the given sites, the YAML below "sites:", and runs `doorward serve` with
// it until the end of the test. The sites' hosts need certificates of Doorward's own authority: localhost.
func StartDoorward(t testing.TB, port int, sites string) *Doorward {
	t.Helper()
	dir := Folder(t)
	d := &Doorward{t: t, URL: fmt.Sprintf("https://localhost:%d", port), Data: filepath.Join(dir, "data")}
	d.Config = Write(t, dir, "doorward.yaml", fmt.Sprintf(`data_dir: %s
listen: {https: ["127.0.0.1:%d"]}
console: {listen: ["127.0.0.1:%d"]}
log: {level: debug}
sites:
%s`, d.Data, port, FreePort(t), sites), 0o644)
	d.Run("", "check", "--config", d.Config)
	d.Process = Serve(t, d.Config)
	return d
}

// Serve runs `doorward serve` with the configuration file until the end of the test, and returns when it is ready.
func Serve(t testing.TB, config string) *Process {
	t.Helper()
	p := Start(t, "doorward", exec.Command(Program(t), "serve", "--config", config))
	Eventually(t, time.Minute, "doorward to be ready", func() bool {
		if p.Ended() {
			t.Fatal("doorward ended before it was ready")
		}
		return strings.Contains(p.Log(), "msg=ready")
	})
	return p
}

// Run runs a doorward command with stdin and returns what it writes to standard output. It fails the test when the
// command fails.
func (d *Doorward) Run(stdin string, args ...string) string {
	d.t.Helper()
	program := Program(d.t) // whose making has no limit
	ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var out, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &problems
	if err := cmd.Run(); err != nil {
		d.t.Fatalf("doorward %s: %v\n%s%s", strings.Join(args, " "), err, problems.String(), out.String())
	}
	return out.String()
}

// AddUser makes an account by `doorward user add` and returns its password.
func (d *Doorward) AddUser(name, role string, flags ...string) (password string) {
	d.t.Helper()
	out := d.Run("", append([]string{"user", "add", name, "--role", role, "--generate-password", "--config", d.Config}, flags...)...)
	password, ok := strings.CutPrefix(strings.TrimSpace(out), "password: ")
	if !ok || password == "" {
		d.t.Fatalf("doorward user add %s printed %q, want a password", name, out)
	}
	return password
}

// Client is a browser's network side: it keeps cookies, trusts Doorward's own authority and nothing else, and follows
// no redirects.
func (d *Doorward) Client() *http.Client {
	d.t.Helper()
	root, err := os.ReadFile(filepath.Join(d.Data, "authority", "root.crt"))
	if err != nil {
		d.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root) {
		d.t.Fatal("Doorward's authority is no certificate")
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	d.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// SignIn signs the client in through Doorward's form.
func (d *Doorward) SignIn(c *http.Client, name, password string) {
	d.t.Helper()
	form := url.Values{"username": {name}, "password": {password}, "return_to": {"/"}}
	res, err := c.PostForm(d.URL+"/.doorward/sign-in", form)
	if err != nil {
		d.t.Fatalf("sign in as %s: %v", name, err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusSeeOther {
		d.t.Fatalf("sign in as %s: status %d, want 303", name, res.StatusCode)
	}
}
