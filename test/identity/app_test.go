package identity_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
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
	"github.com/doorward/doorward/test/real"
)

// doorward is a whole Doorward in this process, so that a test can have it do at once what it does every few minutes. Its
// one site shows who is signed in.
type doorward struct {
	*app.App
	t    *testing.T
	url  string
	data string

	surfers int
}

// freshAddress is what a provider has to know of Doorward before Doorward knows the provider.
func freshAddress(t *testing.T) (port int, url string) {
	port = real.FreePort(t)
	return port, fmt.Sprintf("https://localhost:%d", port)
}

// startDoorward runs it at the port with more lines of configuration, and more listeners, until the end of the test.
func startDoorward(t *testing.T, port int, more string, listen ...string) *doorward {
	t.Helper()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s (%s)", r.Header.Get("X-Doorward-User"), r.Header.Get("X-Doorward-Roles"))
	}))
	t.Cleanup(backend.Close)
	dir := real.Folder(t)
	d := &doorward{t: t, url: fmt.Sprintf("https://localhost:%d", port), data: filepath.Join(dir, "data")}
	file := real.Write(t, dir, "doorward.yaml", fmt.Sprintf(`data_dir: %s
listen: {%s}
console: {listen: ["127.0.0.1:%d"]}
password_hash: {memory_kib: 64, time: 1}
sites:
  - hosts: [localhost]
    upstreams: ["%s"]
%s`, d.data, strings.Join(append(listen, fmt.Sprintf(`https: ["127.0.0.1:%d"]`, port)), ", "), real.FreePort(t), backend.URL, more), 0o600)
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatalf("load configuration: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.App, err = app.New(ctx, cfg, app.Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Version: "test"})
	if err != nil {
		cancel()
		t.Fatalf("build Doorward: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Doorward ended: %v", err)
		}
	})
	select {
	case <-d.Ready():
	case <-time.After(time.Minute):
		t.Fatal("Doorward is not ready after a minute")
	}
	return d
}

// addLocal makes an account of Doorward's own.
func (d *doorward) addLocal(name string, role auth.Role, password string) {
	d.t.Helper()
	_, err := d.Auth().AddPrincipal(d.t.Context(), auth.Actor{Name: "test", Origin: "local"},
		auth.NewPrincipal{Name: name, Roles: []auth.Role{role}, Password: password})
	if err != nil {
		d.t.Fatal(err)
	}
}

// surfer is a browser at an address of its own, so that nobody's wrong passwords keep another waiting.
type surfer struct {
	*http.Client
	d *doorward
}

// stay follows no redirect.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// surfer trusts Doorward's own authority and other servers' certificates. It follows no redirects.
func (d *doorward) surfer(others ...*x509.Certificate) *surfer {
	d.t.Helper()
	root, err := os.ReadFile(filepath.Join(d.data, "authority", "root.crt"))
	if err != nil {
		d.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	for _, c := range others {
		roots.AddCert(c)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	d.surfers++
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(d.surfers))}}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp4", address)
	}}
	d.t.Cleanup(transport.CloseIdleConnections)
	return &surfer{&http.Client{Jar: jar, Transport: transport, Timeout: time.Minute, CheckRedirect: stay}, d}
}

// read does a request and returns the answer with its body.
func (s *surfer) read(res *http.Response, err error) (*http.Response, string) {
	s.d.t.Helper()
	if err != nil {
		s.d.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.d.t.Fatal(err)
	}
	return res, string(text)
}

// signIn fills in Doorward's own form.
func (s *surfer) signIn(name, password string) (status int, location string) {
	s.d.t.Helper()
	res, _ := s.read(s.PostForm(s.d.url+"/.doorward/sign-in", url.Values{"username": {name}, "password": {password}, "return_to": {"/"}}))
	return res.StatusCode, res.Header.Get("Location")
}

// who is what the site says of the visitor; empty for a stranger.
func (s *surfer) who() string {
	s.d.t.Helper()
	res, text := s.read(s.Get(s.d.url + "/who"))
	if res.StatusCode != http.StatusOK {
		return ""
	}
	return strings.TrimPrefix(text, "hello ")
}
