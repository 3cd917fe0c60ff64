package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	account    = "bench-agent"
	passphrase = "a long passphrase for the benchmark"
	floodUser  = "flood-victim"
)

// bench holds the servers of one run.
type bench struct {
	settings settings
	dir      string
	ports    map[string]int
	cookie   string

	upstream, nginx, bare, bareTLS, handler, doorward *process
}

func newBench(ctx context.Context, s settings, dir string) (_ *bench, err error) {
	b := &bench{settings: s, dir: dir, ports: make(map[string]int)}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.ports, err = freePorts("upstream", "nginx-http", "nginx-https", "bare-http", "bare-https", "bare-handler", "doorward-http", "doorward-https", "console"); err != nil {
		return nil, err
	}
	if err := writeCertificate(dir); err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	if !s.gateway() {
		return b, nil
	}
	for _, start := range []func(context.Context) error{b.startNginx, b.startBare, b.startDoorward} {
		if err := start(ctx); err != nil {
			return nil, err
		}
	}
	b.cookie, err = b.signIn("127.0.0.1", account, passphrase)
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	return b, nil
}

func (b *bench) close() {
	for _, p := range []*process{b.doorward, b.bare, b.bareTLS, b.handler, b.nginx, b.upstream} {
		if p != nil {
			p.stop()
		}
	}
}

func (b *bench) address(name string) string { return fmt.Sprintf("127.0.0.1:%d", b.ports[name]) }
func (b *bench) file(name string) string    { return filepath.Join(b.dir, name) }

func (b *bench) build(ctx context.Context) error {
	for _, c := range []struct{ dir, out, pkg string }{
		{b.settings.root, "doorward", "./cmd/doorward"},
		{filepath.Join(b.settings.root, "test"), "bareproxy", "./bench/bareproxy"},
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", b.file(c.out), c.pkg)
		cmd.Dir, cmd.Env = c.dir, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", c.pkg, err, out)
		}
	}
	return nil
}

// nginxConfig serves a 10 KB page on one port, from memory, and is a plain reverse proxy on two others.
const nginxConfig = `
daemon off; master_process on; worker_processes %[1]s; pid %[2]s/%[3]s.pid; error_log %[2]s/%[3]s.error.log;
events { worker_connections 4096; }
http {
	access_log %[2]s/%[3]s.access.log;
	keepalive_requests 10000000;
	client_body_temp_path %[2]s/%[3]s-body; proxy_temp_path %[2]s/%[3]s-proxy; fastcgi_temp_path %[2]s/%[3]s-f;
	uwsgi_temp_path %[2]s/%[3]s-u; scgi_temp_path %[2]s/%[3]s-s;
	types { text/html html; }
	%[4]s
}
`

func (b *bench) startNginx(ctx context.Context) error {
	page := "<!doctype html><title>ticket</title><p>" + strings.Repeat("A line of a ticket, as a helpdesk shows it.\n", 240) + "</p>"
	if err := os.Mkdir(b.file("www"), 0o755); err != nil {
		return err
	}
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(b.file("www/index.html"), []byte(page[:10240]), 0o644); err != nil {
		return err
	}
	serve := fmt.Sprintf("access_log off; open_file_cache max=10; server { listen %s; root %s/www; }", b.address("upstream"), b.dir)
	proxy := fmt.Sprintf(`upstream app { server %s; keepalive 256; keepalive_requests 10000000; }
	server { listen %s; listen %s ssl; ssl_certificate %s/cert.pem; ssl_certificate_key %s/key.pem; ssl_protocols TLSv1.2 TLSv1.3;
		location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; } }`,
		b.address("upstream"), b.address("nginx-http"), b.address("nginx-https"), b.dir, b.dir)
	var err error
	if b.upstream, err = b.startOneNginx(ctx, "upstream", "1", serve, b.address("upstream")); err != nil {
		return err
	}
	b.nginx, err = b.startOneNginx(ctx, "nginx", "auto", proxy, b.address("nginx-http"))
	return err
}

func (b *bench) startOneNginx(ctx context.Context, name, workers, body, address string) (*process, error) {
	file := b.file(name + ".conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, nginxConfig, workers, b.dir, name, body), 0o644); err != nil {
		return nil, err
	}
	return startProcess(ctx, name, address, "nginx", "-p", b.dir, "-e", b.file(name+".start.log"), "-c", file)
}

func (b *bench) startBare(ctx context.Context) error {
	var err error
	if b.handler, err = startProcess(ctx, "bare handler", b.address("bare-handler"), b.file("bareproxy"), "-listen", b.address("bare-handler")); err != nil {
		return err
	}
	upstream := "http://" + b.address("upstream")
	if b.bare, err = startProcess(ctx, "bare ReverseProxy", b.address("bare-http"), b.file("bareproxy"),
		"-listen", b.address("bare-http"), "-upstream", upstream); err != nil {
		return err
	}
	b.bareTLS, err = startProcess(ctx, "bare ReverseProxy", b.address("bare-https"), b.file("bareproxy"),
		"-listen", b.address("bare-https"), "-upstream", upstream, "-certificate", b.file("cert.pem"), "-key", b.file("key.pem"))
	return err
}

// doorwardConfig leaves everything at its default but the rate, which would otherwise end the load, and has rules about
// role and network.
const doorwardConfig = `
data_dir: %[1]s/data
listen:
  https: ["%[2]s"]
  http: []
  plain: ["%[3]s"]
console:
  listen: ["%[4]s"]
forward_auth: {trusted: [127.0.0.1]}
zones: [{name: here, networks: [127.0.0.0/8]}]
limits:
  requests_per_second: 1000000
  burst: 1000000
sites:
  - hosts: [localhost]
    upstreams: ["http://%[5]s"]
    app: generic
    waf: {mode: off} # compared with a bare proxy; make bench-waf measures the firewall
    access:
      - {path: /setup, roles: [admin]}
      - {path: /, roles: [agent], zones: [here]}
    tls:
      certificate: %[1]s/cert.pem
      key: %[1]s/key.pem
`

func (b *bench) startDoorward(ctx context.Context) error {
	file := b.file("doorward.yaml")
	text := fmt.Sprintf(doorwardConfig, b.dir, b.address("doorward-https"), b.address("doorward-http"), b.address("console"), b.address("upstream"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	names := []string{account, floodUser}
	if b.settings.runs(partTimes) {
		for n := range timesAccounts {
			names = append(names, timesAccount(n))
		}
	}
	for _, name := range names {
		add := exec.CommandContext(ctx, b.file("doorward"), "user", "add", name, "--config", file,
			"--email", name+"@bench.example", "--role", "agent", "--password-stdin")
		add.Stdin = strings.NewReader(passphrase + "\n")
		if out, err := add.CombinedOutput(); err != nil {
			return fmt.Errorf("add account %s: %w\n%s", name, err, out)
		}
	}
	var err error
	b.doorward, err = startProcess(ctx, "Doorward", b.address("doorward-https"), b.file("doorward"), "serve", "--config", file)
	return err
}

func (b *bench) targets(scheme string) []target {
	if scheme == forwardAuth {
		headers := []string{"Cookie: " + b.cookie, "X-Forwarded-Method: GET", "X-Forwarded-Proto: https", "X-Forwarded-Host: localhost", "X-Forwarded-Uri: /tickets/1?view=all",
			"X-Forwarded-For: 127.0.0.2", "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: same-origin"}
		return []target{
			{server: b.handler, url: "http://" + b.address("bare-handler") + "/", headers: headers},
			{server: b.doorward, url: "http://" + b.address("doorward-http") + "/.doorward/authz", headers: headers},
		}
	}
	bare := b.bare
	if scheme == "https" {
		bare = b.bareTLS
	}
	at := func(name string) string { return fmt.Sprintf("%s://localhost:%d/", scheme, b.ports[name+"-"+scheme]) }
	return []target{
		{server: b.nginx, url: at("nginx")},
		{server: bare, url: at("bare")},
		{server: b.doorward, url: at("doorward"), headers: []string{"Cookie: " + b.cookie}},
	}
}

// signInPage is the address of the form.
func (b *bench) signInPage() string {
	return fmt.Sprintf("https://localhost:%d/.doorward/sign-in", b.ports["doorward-https"])
}

// signIn signs in from a loopback address and returns the session cookie as a Cookie header's value.
func (b *bench) signIn(from, name, password string) (string, error) {
	client := b.client(from)
	defer client.CloseIdleConnections()
	resp, err := client.PostForm(b.signInPage(),
		url.Values{"username": {name}, "password": {password}, "return_to": {"/"}})
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) == 0 {
		return "", &statusError{resp.StatusCode}
	}
	c := resp.Cookies()[0]
	return c.Name + "=" + c.Value, nil
}

type statusError struct{ status int }

func (e *statusError) Error() string { return fmt.Sprintf("answered %d", e.status) }

// client connects from the given loopback address and follows no redirects.
func (b *bench) client(from string) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	return &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the benchmark's own certificate
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "tcp4", b.address("doorward-https"))
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func freePorts(names ...string) (map[string]int, error) {
	ports := make(map[string]int)
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all stay open until the last is chosen, so that none repeats
		ports[name] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// writeCertificate makes one ECDSA P-256 certificate for all three servers, so that none has cheaper TLS.
func writeCertificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	var cert, private bytes.Buffer
	if err := pem.Encode(&cert, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		return err
	}
	if err := pem.Encode(&private, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), cert.Bytes(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "key.pem"), private.Bytes(), 0o600)
}
