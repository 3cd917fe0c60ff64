// Package acme_test lets the gateway obtain certificates from a real ACME authority: Let's Encrypt's own test
// server, pebble, with a DNS server beside it that says 127.0.0.1 to every name.
package acme_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

const host = "help.doorward.test"

// TestObtain obtains a certificate by each challenge, through the gateway's own listeners.
func TestObtain(t *testing.T) {
	programs := buildPebble(t)
	for _, challenge := range []string{"http-01", "tls-alpn-01"} {
		t.Run(challenge, func(t *testing.T) {
			httpPort, httpsPort := real.FreePort(t), real.FreePort(t)
			ca := startPebble(t, programs, challenge, httpPort, httpsPort)
			up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "the application") }))
			defer up.Close()
			dir := real.Folder(t)
			config := real.Write(t, dir, "doorward.yaml", fmt.Sprintf(`data_dir: %s
listen: {https: ["127.0.0.1:%d"], http: ["127.0.0.1:%d"]}
console: {listen: ["127.0.0.1:%d"]}
tls: {acme: {email: admin@doorward.test, directory: %q, ca_file: %q}}
sites:
  - hosts: [%s]
    upstreams: [%q]
    access: [{path: /, public: true}]
`, filepath.Join(dir, "data"), httpsPort, httpPort, real.FreePort(t), ca.directory, ca.rootFile, host, up.URL), 0o644)

			first := serve(t, config, httpsPort)
			leaf := awaitCertificate(t, httpsPort, ca.roots(t))
			if leaf.VerifyHostname(host) != nil || len(leaf.DNSNames) != 1 {
				t.Errorf("the certificate is for %v, want %s alone", leaf.DNSNames, host)
			}
			if got := get(t, httpsPort, ca.roots(t)); got != "the application" {
				t.Errorf("got %q through the new certificate", got)
			}
			real.Eventually(t, time.Minute, "the log to mention the challenge "+challenge, func() bool { return strings.Contains(first.Log(), challenge) })
			checkRedirect(t, httpPort, httpsPort)
			checkPrivate(t, filepath.Join(dir, "data", "certificates"))
			first.Stop()

			serve(t, config, httpsPort)
			again := awaitCertificate(t, httpsPort, ca.roots(t))
			if again.SerialNumber.Cmp(leaf.SerialNumber) != 0 {
				t.Error("a restart ordered another certificate; authorities limit how many one may have")
			}
		})
	}
}

func serve(t *testing.T, config string, port int) *real.Process {
	t.Helper()
	p := real.Start(t, "doorward", exec.Command(real.Program(t), "serve", "--config", config))
	p.AwaitListening(fmt.Sprintf("127.0.0.1:%d", port), time.Minute)
	return p
}

// authority is a running pebble.
type authority struct {
	directory, management, rootFile string
}

// buildPebble makes the programs of the authority and of its DNS, and returns their folder.
func buildPebble(t *testing.T) string {
	t.Helper()
	dir := real.Folder(t)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir+"/",
		"github.com/letsencrypt/pebble/v2/cmd/pebble", "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv")
	build.Dir = filepath.Join(real.Repository(t), "test")
	if out, err := build.CombinedOutput(); err != nil {
		real.Missing(t, "build pebble: %v\n%s", err, out)
	}
	return dir
}

// startPebble runs the authority and its DNS. It looks for the challenge at the gateway's port, and for the
// other kind where nobody listens.
func startPebble(t *testing.T, programs, challenge string, httpPort, httpsPort int) authority {
	t.Helper()
	dir := real.Folder(t)
	if challenge == "http-01" {
		httpsPort = real.FreePort(t)
	} else {
		httpPort = real.FreePort(t)
	}
	dns := fmt.Sprintf("127.0.0.1:%d", real.FreePort(t))
	names := fmt.Sprintf("127.0.0.1:%d", real.FreePort(t))
	real.Start(t, "challtestsrv", exec.CommandContext(t.Context(), filepath.Join(programs, "pebble-challtestsrv"), "-dnsserver", dns,
		"-management", names, "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "")).
		AwaitListening(names, time.Minute)

	listen, management := real.FreePort(t), real.FreePort(t)
	a := authority{directory: fmt.Sprintf("https://127.0.0.1:%d/dir", listen), management: fmt.Sprintf("https://127.0.0.1:%d", management)}
	// What pebble itself is reached by.
	certificate, key := real.Certificate(t)
	a.rootFile = real.Write(t, dir, "pebble.crt", certificate, 0o644)
	text, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", listen), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", management),
		"certificate": a.rootFile, "privateKey": real.Write(t, dir, "pebble.key", key, 0o600), "httpPort": httpPort, "tlsPort": httpsPort,
		"retryAfter": map[string]int{"authz": 1, "order": 1}, "keyAlgorithm": "ecdsa",
		"profiles": map[string]any{"default": map[string]any{"description": "for this test", "validityPeriod": 7776000}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	pebble := exec.CommandContext(t.Context(), filepath.Join(programs, "pebble"), "-strict", "-dnsserver", dns,
		"-config", real.Write(t, dir, "pebble.json", string(text), 0o644))
	// It still refuses one nonce in twenty, as real authorities do; only its waits are left out.
	pebble.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	p := real.Start(t, "pebble", pebble)
	p.AwaitListening(fmt.Sprintf("127.0.0.1:%d", listen), time.Minute)
	p.AwaitListening(fmt.Sprintf("127.0.0.1:%d", management), time.Minute) // a goroutine of its own opens it
	return a
}

// roots is the root of this pebble's certificates; it makes a new one at each start.
func (a authority) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	own, err := os.ReadFile(a.rootFile)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(own)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	res, err := client.Get(a.management + "/roots/0")
	if err != nil {
		t.Fatalf("fetch pebble's root: %v", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("fetch pebble's root: %v", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("pebble's root is no certificate: %q", text)
	}
	return pool
}

// awaitCertificate waits until the gateway shows a certificate that roots vouch for.
func awaitCertificate(t *testing.T, port int, roots *x509.CertPool) *x509.Certificate {
	t.Helper()
	const limit = 5 * time.Minute // a failed order is tried again after a minute, and then after two
	var last error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{ServerName: host, RootCAs: roots})
		if err == nil {
			defer conn.Close()
			return conn.ConnectionState().PeerCertificates[0]
		}
		last = err
	}
	t.Fatalf("no certificate of the authority within %s: %v", limit, last)
	return nil
}

func get(t *testing.T, port int, roots *x509.CertPool) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{ServerName: host, RootCAs: roots}}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d/", port), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	res, err := client.Do(req)
	if err != nil {
		t.Fatalf("get the page: %v", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("get the page: %v", err)
	}
	return string(body)
}

// checkRedirect: a challenge that is not under way is an ordinary request, and those are only redirected.
func checkRedirect(t *testing.T, httpPort, httpsPort int) {
	t.Helper()
	client := &http.Client{Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	const path = "/.well-known/acme-challenge/unknown-token"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", httpPort, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	res, err := client.Do(req)
	if err != nil {
		t.Fatalf("ask for an unknown challenge: %v", err)
	}
	res.Body.Close()
	want := fmt.Sprintf("https://%s:%d%s", host, httpsPort, path)
	if got := res.Header.Get("Location"); res.StatusCode != http.StatusPermanentRedirect || got != want {
		t.Errorf("an unknown challenge got %d %q, want 308 %q", res.StatusCode, got, want)
	}
}

// checkPrivate: keys are readable by their owner alone.
func checkPrivate(t *testing.T, dir string) {
	t.Helper()
	keys := 0
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) { // a lock comes and goes
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err == nil && strings.HasSuffix(path, ".key") {
			keys++
			if info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has the mode %v", path, info.Mode())
			}
		}
		return err
	})
	if err != nil || keys < 2 {
		t.Errorf("found %d keys (%v), want the account's and the certificate's", keys, err)
	}
}

func TestMain(m *testing.M) {
	code := m.Run()
	real.RemoveProgram()
	os.Exit(code)
}
