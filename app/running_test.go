package app_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/app"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/store"
)

const password = "a long passphrase for tests"

// running is a whole Doorward in this process, in front of an application that says who is signed in.
type running struct {
	*app.App
	t    *testing.T
	file string
	stop func() error
}

// start runs Doorward with a temporary data folder, one site "localhost", and an account for each role.
// extra is appended to the configuration file.
func start(t *testing.T, db store.Config, extra string) *running {
	t.Helper()
	helpdesk := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s", r.Header.Get("X-Doorward-User"))
	}))
	t.Cleanup(helpdesk.Close)
	dir := t.TempDir()
	r := &running{t: t, file: filepath.Join(dir, "doorward.yaml")}
	text := fmt.Sprintf("data_dir: %s\nlisten:\n  https: [\"127.0.0.1:0\"]\n  http: [\"127.0.0.1:0\"]\nconsole:\n  listen: [\"127.0.0.1:0\"]\n"+
		"password_hash:\n  memory_kib: 64\n  time: 1\n", filepath.Join(dir, "data"))
	if db.URLFile != "" {
		text += "store:\n  url_file: " + db.URLFile + "\n"
	}
	text += extra + "sites:\n  - hosts: [localhost]\n    upstreams: [\"" + helpdesk.URL + "\"]\n"
	r.write(text)
	cfg, err := config.Load(r.file)
	if err != nil {
		t.Fatalf("load configuration: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.App, err = app.New(ctx, cfg, app.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Version: "test",
		Load: func() (*config.Config, error) { return config.Load(r.file) }})
	if err != nil {
		cancel()
		t.Fatalf("build app: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stopped := false
	r.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Minute):
			return fmt.Errorf("still running a minute after the stop")
		}
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	select {
	case <-r.Ready():
	case err := <-ended:
		stopped = true
		t.Fatalf("run: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("not ready after a minute")
	}
	for _, role := range []auth.Role{auth.Owner, auth.Admin, auth.Agent, auth.User} {
		_, err := r.Auth().AddPrincipal(ctx, auth.Actor{Name: "test", Origin: "local"}, auth.NewPrincipal{
			Name: string(role), Email: string(role) + "@app.example", Roles: []auth.Role{role}, Password: password})
		if err != nil {
			t.Fatalf("add account: %v", err)
		}
	}
	return r
}

// write replaces the configuration file.
func (r *running) write(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// client follows no redirects and keeps its own connection.
func (r *running) client(address net.Addr) *http.Client {
	return &http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the authority was made for this test
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", address.String())
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// signIn returns the answer's status and the session cookie, if there is one.
func (r *running) signIn(name, secret string) (int, *http.Cookie) {
	r.t.Helper()
	c := r.client(r.Gateway().Addresses("https")[0])
	defer c.CloseIdleConnections()
	resp, err := c.PostForm("https://localhost/.doorward/sign-in", url.Values{"username": {name}, "password": {secret}})
	if err != nil {
		r.t.Fatalf("sign in: %v", err)
	}
	defer resp.Body.Close()
	for _, cookie := range resp.Cookies() {
		if cookie.Name == "__Host-doorward" && cookie.Value != "" {
			return resp.StatusCode, cookie
		}
	}
	return resp.StatusCode, nil
}

// mustSignIn is signIn for those who may.
func (r *running) mustSignIn(name string) *http.Cookie {
	r.t.Helper()
	status, cookie := r.signIn(name, password)
	if status != http.StatusSeeOther || cookie == nil {
		r.t.Fatalf("sign in as %s: got %d, want 303 with a session cookie", name, status)
	}
	return cookie
}

// get asks for path with a session, as a script would, and returns status and body.
func (r *running) get(path string, cookie *http.Cookie) (int, string) {
	r.t.Helper()
	c := r.client(r.Gateway().Addresses("https")[0])
	defer c.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodGet, "https://localhost"+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if cookie != nil {
		req.AddCookie(cookie)
	}
	resp, err := c.Do(req)
	if err != nil {
		r.t.Fatalf("get %s: %v", path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("read %s: %v", path, err)
	}
	return resp.StatusCode, strings.TrimSpace(string(body))
}

// ready asks the console.
func (r *running) ready() int {
	r.t.Helper()
	c := r.client(r.Console().Addresses()[0])
	defer c.CloseIdleConnections()
	resp, err := c.Get("https://localhost/readyz")
	if err != nil {
		r.t.Fatalf("readyz: %v", err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// eventually waits until f is true.
func (r *running) eventually(what string, f func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if f() {
			return
		}
	}
	r.t.Fatalf("after a minute still not: %s", what)
}
