package gateway_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/gateway"
)

// handshake connects with the client's half of config and returns the state, or the error.
func (r *running) handshake(config *tls.Config) (tls.ConnectionState, error) {
	config.RootCAs = r.roots
	conn, err := tls.Dial("tcp", r.address("https"), config)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.ConnectionState(), nil
}

func TestTLSVersionsAndSuites(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) {})
	r := start(t, gateway.Config{}, publicSite(t, up.URL))
	for version, want := range map[uint16]bool{ // I-44
		tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true,
	} {
		_, err := r.handshake(&tls.Config{ServerName: "localhost", MinVersion: version, MaxVersion: version})
		if (err == nil) != want {
			t.Errorf("%s: got %v, want accepted: %v", tls.VersionName(version), err, want)
		}
	}
	// The client knows of the refusal before the server has counted it.
	eventually(t, time.Minute, "the two refused handshakes are counted", func() bool { return r.Stats().ProtocolFaults >= 2 })
	if n := r.Stats().ProtocolFaults; n != 2 {
		t.Errorf("%d faulty handshakes were counted, want the two refused ones", n)
	}
	var accepted []string
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
			continue
		}
		state, err := r.handshake(&tls.Config{ServerName: "localhost", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}})
		if err == nil && state.CipherSuite == suite.ID {
			accepted = append(accepted, suite.Name)
		}
	}
	slices.Sort(accepted)
	want := []string{ // I-45 for the ECDSA key that the own authority uses, without CBC
		"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
		"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
	}
	if !slices.Equal(accepted, want) {
		t.Errorf("accepted suites:\n got %v\nwant %v", accepted, want)
	}
	orders := map[uint16]bool{} // I-46: the server's order counts
	for _, first := range []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384} {
		state, err := r.handshake(&tls.Config{ServerName: "localhost", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{
			first, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}})
		must(t, err)
		orders[state.CipherSuite] = true
	}
	if len(orders) != 1 {
		t.Errorf("the client's order decided: %v", orders)
	}
}

func TestServerNames(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) {})
	one, two := publicSite(t, up.URL), publicSite(t, up.URL)
	one.Hosts = []string{"localhost", "127.0.0.1"}
	two.Hosts = []string{"two.localhost"}
	r := start(t, gateway.Config{}, one, two)
	for name, c := range map[string]struct {
		serverName, host string
		status           int
	}{
		"same":                        {"localhost", "localhost", 200},
		"another name of the site":    {"localhost", "127.0.0.1", 200},
		"the other site's name":       {"localhost", "two.localhost", 421},
		"the other way round":         {"two.localhost", "localhost", 421},
		"unknown name":                {"unknown.example", "localhost", 421},
		"unknown host":                {"localhost", "unknown.example", 421},
		"unknown both":                {"unknown.example", "unknown.example", 421},
		"no name, and several sites":  {"", "localhost", 421},
		"upper case and trailing dot": {"LOCALHOST", "LocalHost.", 200},
	} {
		for _, protocol := range []string{"http/1.1", "h2"} {
			t.Run(name+"/"+protocol, func(t *testing.T) {
				client := r.client()
				transport := client.Transport.(*http.Transport)
				// The certificate for unknown names is for no name: look at the answer all the same.
				transport.TLSClientConfig = &tls.Config{ServerName: c.serverName, InsecureSkipVerify: true, NextProtos: []string{protocol}}
				transport.ForceAttemptHTTP2 = protocol == "h2"
				if c.serverName == "" {
					transport.TLSClientConfig.ServerName = "127.0.0.1" // crypto/tls sends no address as a name
				}
				req, err := http.NewRequest(http.MethodGet, r.url("https", "/"), nil)
				must(t, err)
				req.Host = c.host
				res, err := client.Do(req)
				must(t, err)
				defer res.Body.Close()
				if res.StatusCode != c.status {
					t.Errorf("%s: got %d, want %d", res.Proto, res.StatusCode, c.status)
				}
				leaf := res.TLS.PeerCertificates[0]
				if strings.Contains(c.serverName, "unknown") && (len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != "unknown-host.invalid") {
					t.Errorf("the certificate for an unknown name tells %v", leaf.DNSNames)
				}
			})
		}
	}
}

func TestOwnAuthority(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) {})
	site := publicSite(t, up.URL)
	site.Hosts = []string{"localhost", "help.localhost", "127.0.0.1", "::1"}
	r := start(t, gateway.Config{}, site)
	for _, name := range []string{"localhost", "help.localhost"} {
		state, err := r.handshake(&tls.Config{ServerName: name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		leaf := state.PeerCertificates[0]
		if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 91*24*time.Hour {
			t.Errorf("%s: lives %v, want about 90 days", name, life)
		}
	}
	// A client that goes to an address sends no name; it gets the address's certificate, which must verify.
	if _, err := r.handshake(&tls.Config{ServerName: "127.0.0.1"}); err != nil {
		t.Errorf("by address: %v", err)
	}
	dir := filepath.Join(r.dir, "authority")
	for file, mode := range map[string]os.FileMode{"root.key": 0o600, "root.crt": 0o644} {
		info, err := os.Stat(filepath.Join(dir, file))
		must(t, err)
		if info.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, want %v", file, info.Mode().Perm(), mode)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "root.crt"))
	must(t, err)
	block, _ := pem.Decode(text)
	root, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	if !root.IsCA || !root.MaxPathLenZero || time.Until(root.NotAfter) < 9*365*24*time.Hour {
		t.Errorf("root: CA %v, path length zero %v, until %v", root.IsCA, root.MaxPathLenZero, root.NotAfter)
	}
}

// TestOwnAuthorityStays: what people have imported must still be good after a restart.
func TestOwnAuthorityStays(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) {})
	first := start(t, gateway.Config{}, publicSite(t, up.URL))
	before, err := os.ReadFile(filepath.Join(first.dir, "authority", "root.crt"))
	must(t, err)
	config, err := first.InternalTLS([]string{"console.localhost"})
	must(t, err)
	cert, err := config.GetCertificate(&tls.ClientHelloInfo{ServerName: "console.localhost"})
	must(t, err)
	if err := cert.Leaf.VerifyHostname("console.localhost"); err != nil {
		t.Error(err)
	}
	must(t, first.stop())
	second, err := gateway.New(first.cfg, first.deps)
	must(t, err)
	defer second.Close()
	after, err := os.ReadFile(filepath.Join(first.dir, "authority", "root.crt"))
	must(t, err)
	if string(before) != string(after) {
		t.Error("the root certificate changed at a restart")
	}
	must(t, os.WriteFile(filepath.Join(first.dir, "authority", "root.key"), []byte("broken"), 0o600))
	if broken, err := gateway.New(first.cfg, first.deps); err == nil {
		broken.Close()
		t.Error("a broken root key was replaced: everyone would have to import a new root")
	}
}

// writeCertificate writes a self-signed certificate and its key.
func writeCertificate(t *testing.T, certFile, keyFile, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	must(t, os.WriteFile(certFile, pemOf(der), 0o600))
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
}

func TestCertificateFiles(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) {})
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, certFile, keyFile, "first")
	site := publicSite(t, up.URL)
	site.TLS.Certificate, site.TLS.Key = certFile, keyFile
	r := start(t, gateway.Config{}, site)
	served := func() string {
		conn, err := tls.Dial("tcp", r.address("https"), &tls.Config{ServerName: "localhost", InsecureSkipVerify: true})
		must(t, err)
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := served(); got != "first" {
		t.Fatalf("got the certificate %q, want first", got)
	}
	writeCertificate(t, certFile, keyFile, "second")
	must(t, r.Reload(t.Context(), r.cfg))
	if got := served(); got != "second" {
		t.Errorf("after a reload: got %q, want second", got)
	}
	writeCertificate(t, certFile, keyFile, "third")
	must(t, os.Chtimes(certFile, time.Now(), time.Now().Add(time.Second))) // this test is faster than some clocks
	r.RefreshCertificates(time.Now())
	if got := served(); got != "third" {
		t.Errorf("after the regular look at the files: got %q, want third", got)
	}
	must(t, os.WriteFile(keyFile, []byte("not a key"), 0o600))
	r.RefreshCertificates(time.Now())
	if got := served(); got != "third" || !strings.Contains(r.log.String(), "renew certificate") {
		t.Errorf("after a look at a broken file: got %q, want third and a line in the log", got)
	}
	if err := r.Reload(t.Context(), r.cfg); err == nil || !strings.Contains(err.Error(), keyFile) {
		t.Errorf("reload with a broken key: got %v, want an error that names the file", err)
	}
	if got := served(); got != "third" {
		t.Errorf("after a refused reload: got %q, want third", got)
	}
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	var forwarded int
	up := application(t, func(w http.ResponseWriter, r *http.Request) { forwarded++ })
	r := start(t, gateway.Config{}, publicSite(t, up.URL))
	target := "https://localhost:" + r.port("https")
	for name, c := range map[string]struct {
		method, host, path string
		status             int
		location           string
	}{
		"page":          {"GET", "localhost", "/", 308, target + "/"},
		"query":         {"GET", "localhost:80", "/a%2Fb/c?x=%0d%0a&y=1", 308, target + "/a%2Fb/c?x=%0d%0a&y=1"},
		"head":          {"HEAD", "LOCALHOST.", "/x", 308, target + "/x"},
		"two slashes":   {"GET", "localhost", "//evil.example/", 308, target + "//evil.example/"},
		"form":          {"POST", "localhost", "/", 403, ""},
		"other method":  {"DELETE", "localhost", "/", 403, ""},
		"unknown host":  {"GET", "evil.example", "/", 421, ""},
		"odd host":      {"GET", "local host", "/", 400, ""},
		"no challenge":  {"GET", "localhost", "/.well-known/acme-challenge/token", 308, target + "/.well-known/acme-challenge/token"},
		"options":       {"OPTIONS", "localhost", "/", 403, ""},
		"own page":      {"GET", "localhost", "/.doorward/sign-in", 308, target + "/.doorward/sign-in"},
		"sign-in plain": {"POST", "localhost", "/.doorward/sign-in", 403, ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", r.address("http"))
			must(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, c.method+" "+c.path+" HTTP/1.1\r\nHost: "+c.host+"\r\nConnection: close\r\n\r\n")
			must(t, err)
			res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: c.method})
			must(t, err)
			if res.StatusCode != c.status || res.Header.Get("Location") != c.location {
				t.Errorf("got %d %q, want %d %q", res.StatusCode, res.Header.Get("Location"), c.status, c.location)
			}
		})
	}
	if forwarded != 0 {
		t.Errorf("%d requests were forwarded from plain HTTP", forwarded)
	}
}

// TestOwnCertificatesAreRenewed in time, and the root stays.
func TestOwnCertificatesAreRenewed(t *testing.T) {
	t.Parallel()
	r := start(t, gateway.Config{}, publicSite(t, unusedAddress(t)))
	leaf := func() *x509.Certificate {
		state, err := r.handshake(&tls.Config{ServerName: "localhost"})
		must(t, err)
		return state.PeerCertificates[0]
	}
	first := leaf()
	const day = 24 * time.Hour
	r.RefreshCertificates(time.Now().Add(59 * day))
	if leaf().SerialNumber.Cmp(first.SerialNumber) != 0 {
		t.Error("renewed with a month left")
	}
	// A renewed one begins in this pretended future, so only its dates are looked at.
	r.RefreshCertificates(time.Now().Add(61 * day))
	conn, err := tls.Dial("tcp", r.address("https"), &tls.Config{ServerName: "localhost", InsecureSkipVerify: true})
	must(t, err)
	defer conn.Close()
	if until := conn.ConnectionState().PeerCertificates[0].NotAfter; until.Before(first.NotAfter.Add(60 * day)) {
		t.Errorf("29 days before its end: still the one until %v", until)
	}
}

// TestAuthorityAway: a host whose certificate cannot be had yet is served with the own authority's.
func TestAuthorityAway(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) {})
	site := publicSite(t, up.URL)
	site.Hosts, site.TLS.Source = []string{"help.doorward.test", "localhost"}, "acme"
	acme := gateway.ACMEConfig{Directory: strings.Replace(unusedAddress(t), "http:", "https:", 1) + "/dir"}
	r := start(t, gateway.Config{TLS: gateway.TLSConfig{ACME: acme}}, site)
	eventually(t, time.Minute, "the failure is in the log", func() bool {
		return strings.Contains(r.log.String(), "could not get certificate") || strings.Contains(r.log.String(), "will retry")
	})
	for _, host := range site.Hosts {
		if _, err := r.handshake(&tls.Config{ServerName: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if strings.Contains(r.log.String(), "identifier=localhost") {
		t.Error("a certificate for localhost was asked of a public authority")
	}
}
