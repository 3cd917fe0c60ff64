package gateway_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway"
)

// issuer is an authority of a test.
type issuer struct {
	t    *testing.T
	cert *x509.Certificate
	key  crypto.Signer
	next int64
}

func newIssuer(t *testing.T, name string, parent *issuer) *issuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	i := &issuer{t: t, key: key, next: 100}
	signer, signed := crypto.Signer(key), template
	if parent != nil {
		signer, signed = parent.key, parent.cert
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signed, key.Public(), signer)
	must(t, err)
	i.cert, err = x509.ParseCertificate(der)
	must(t, err)
	return i
}

// issue makes a client certificate; change alters it before it is signed.
func (i *issuer) issue(name string, change func(*x509.Certificate)) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(i.t, err)
	i.next++
	template := &x509.Certificate{SerialNumber: big.NewInt(i.next), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.cert, key.Public(), i.key)
	must(i.t, err)
	leaf, err := x509.ParseCertificate(der)
	must(i.t, err)
	return tls.Certificate{Certificate: [][]byte{der, i.cert.Raw}, PrivateKey: key, Leaf: leaf}
}

// crl signs a list that revokes serials and runs out at next.
func (i *issuer) crl(next time.Time, serials ...*big.Int) []byte {
	list := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: next}
	for _, serial := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, i.cert, i.key)
	must(i.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// certSite asks for certificates below /cert, and for people with the role admin below /both.
func certSite(t *testing.T, upstream, ca, crl string) gateway.SiteConfig {
	site := publicSite(t, upstream)
	site.ClientCertificates = gateway.ClientCertificateConfig{CAFile: ca, CRLFile: crl}
	site.Access = []gateway.AccessRule{{Path: "/cert", Public: true, Certificate: true}, {Path: "/both", Roles: []string{"admin"}, Certificate: true}, {Path: "/", Public: true}}
	return site
}

// with shows a certificate; nil shows none.
func (r *running) with(cert *tls.Certificate, protocol string) *http.Client {
	c := r.client()
	config := c.Transport.(*http.Transport).TLSClientConfig
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if cert == nil {
			return &tls.Certificate{}, nil
		}
		return cert, nil
	}
	if protocol != "" {
		c.Transport.(*http.Transport).ForceAttemptHTTP2 = false
		config.NextProtos = []string{protocol}
	}
	return c
}

func status(t *testing.T, c *http.Client, url string, cookies ...*http.Cookie) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	must(t, err)
	for _, cookie := range cookies {
		req.AddCookie(cookie)
	}
	res, err := c.Do(req)
	must(t, err)
	res.Body.Close()
	return res.StatusCode
}

// TestClientCertificates: who may use a path that asks for one, over HTTP/1.1 and HTTP/2.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	up := application(t, func(_ http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			if strings.Contains(strings.ToLower(name), "cert") {
				t.Errorf("the application got %s", name)
			}
		}
	})
	root := newIssuer(t, "root", nil)
	between, stranger := newIssuer(t, "between", root), newIssuer(t, "root", nil) // the same name, another key
	dir := t.TempDir()
	ca, crl := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "crl.pem")
	revoked := root.issue("revoked", nil)
	day := time.Now().Add(time.Hour)
	must(t, os.WriteFile(ca, pemOf(root.cert.Raw), 0o600))
	must(t, os.WriteFile(crl, append(root.crl(day, revoked.Leaf.SerialNumber), between.crl(day)...), 0o600))
	r := start(t, gateway.Config{}, certSite(t, up.URL, ca, crl))
	good, below := root.issue("anna", nil), between.issue("bert", nil)
	self := newIssuer(t, "self", nil)
	expired := root.issue("expired", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})
	early := root.issue("early", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	})
	server := root.issue("server", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	wrong := stranger.issue("anna", nil)
	own := tls.Certificate{Certificate: [][]byte{self.cert.Raw}, PrivateKey: self.key, Leaf: self.cert}
	admin, _ := r.signInAs("ada", auth.Admin)
	user, _ := r.signInAs("uli", auth.User)
	for name, c := range map[string]struct {
		cert *tls.Certificate
		want int
	}{
		"good": {&good, 200}, "through an intermediate": {&below, 200}, "none": {nil, 403}, "revoked": {&revoked, 403}, "expired": {&expired, 403},
		"not valid yet": {&early, 403}, "a server's": {&server, 403}, "of another authority with the same name": {&wrong, 403}, "self-signed": {&own, 403},
	} {
		for _, protocol := range []string{"", "http/1.1"} {
			client := r.with(c.cert, protocol)
			for _, path := range []string{"/cert", "/cert/y?z"} {
				if got := status(t, client, r.url("https", path)); got != c.want {
					t.Errorf("%s, %s %s: got %d, want %d", name, protocol, path, got, c.want)
				}
			}
			if got := status(t, client, r.url("https", "/")); got != 200 {
				t.Errorf("%s: / got %d, want 200: it asks for none", name, got)
			}
			if got := status(t, client, r.url("https", "/both"), admin); got != c.want {
				t.Errorf("%s: an admin at /both got %d, want %d", name, got, c.want)
			}
			if got := status(t, client, r.url("https", "/both"), user); got != 403 {
				t.Errorf("%s: a user at /both got %d, want 403", name, got)
			}
			if got := status(t, client, r.url("https", "/BOTH/x")); c.cert == nil && got != 403 {
				t.Errorf("%s: a stranger at /BOTH/x got %d, want 403", name, got)
			}
		}
	}
	if got := status(t, r.client(), r.url("plain", "/cert")); got != 403 {
		t.Errorf("without TLS: got %d, want 403", got)
	}
	if n := r.Stats().Refused["certificate"]; n == 0 {
		t.Error("no refusal was counted as certificate")
	}
}

// TestClientCertificateList: a list that changes, or runs out, holds for open connections and resumed sessions too.
func TestClientCertificateList(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	root := newIssuer(t, "root", nil)
	dir := t.TempDir()
	ca, crl := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "crl.pem")
	must(t, os.WriteFile(ca, pemOf(root.cert.Raw), 0o600))
	stamp := time.Now().Add(-time.Hour)
	write := func(text []byte) {
		t.Helper()
		must(t, os.WriteFile(crl, text, 0o600))
		stamp = stamp.Add(time.Second)
		must(t, os.Chtimes(crl, stamp, stamp))
	}
	day := time.Now().Add(time.Hour)
	write(root.crl(day))
	r := start(t, gateway.Config{}, certSite(t, up.URL, ca, crl))
	good := root.issue("anna", nil)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		open, again := r.with(&good, ""), r.with(&good, "http/1.1")
		config := again.Transport.(*http.Transport).TLSClientConfig
		config.ClientSessionCache, config.MinVersion, config.MaxVersion = tls.NewLRUClientSessionCache(8), version, version
		again.Transport.(*http.Transport).DisableKeepAlives = true
		resumed := new(atomic.Bool)
		ask := func() int {
			t.Helper()
			trace := &httptrace.ClientTrace{TLSHandshakeDone: func(state tls.ConnectionState, _ error) { resumed.Store(state.DidResume) }}
			req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, r.url("https", "/cert"), nil)
			must(t, err)
			res, err := again.Do(req)
			must(t, err)
			res.Body.Close()
			return res.StatusCode
		}
		expect := func(what string, want int) {
			t.Helper()
			if got := status(t, open, r.url("https", "/cert")); got != want {
				t.Errorf("%s: the open connection got %d, want %d", what, got, want)
			}
			if got := ask(); got != want || !resumed.Load() {
				t.Errorf("%s: the resumed session (%v) got %d, want %d", what, resumed.Load(), got, want)
			}
		}
		ask()
		expect("at first", 200)
		write(root.crl(day, good.Leaf.SerialNumber))
		r.RefreshClientLists()
		expect("revoked", 403)
		write(root.crl(time.Now().Add(-time.Hour)))
		r.RefreshClientLists()
		expect("the list is out of date", 403)
		write([]byte("nonsense"))
		r.RefreshClientLists()
		expect("the list cannot be read, the one before is out of date", 403)
		write(newIssuer(t, "root", nil).crl(day))
		r.RefreshClientLists()
		expect("somebody else's list", 403)
		write(root.crl(day))
		r.RefreshClientLists()
		expect("good again", 200)
	}
	write(root.crl(time.Now().Add(8 * time.Second))) // the list has whole seconds, and a busy machine needs some
	r.RefreshClientLists()
	open := r.with(&good, "")
	if got := status(t, open, r.url("https", "/cert")); got != 200 {
		t.Errorf("before the list runs out: got %d, want 200", got)
	}
	eventually(t, time.Minute, "403 once the list has run out, with nothing read anew", func() bool { return status(t, open, r.url("https", "/cert")) == 403 })
}

// TestClientCertificateHosts: only the hosts of a site that needs certificates ask for one, and a connection to another
// host opens nothing there.
func TestClientCertificateHosts(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	root := newIssuer(t, "root", nil)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pemOf(root.cert.Raw), 0o600))
	other := publicSite(t, up.URL)
	other.Hosts = []string{"other.localhost"}
	r := start(t, gateway.Config{}, certSite(t, up.URL, ca, ""), other)
	good := root.issue("anna", nil)
	for host, want := range map[string]bool{"localhost": true, "LOCALHOST": true, "other.localhost": false, "unknown.localhost": false} {
		asked := false
		conn, err := tls.Dial("tcp", r.address("https"), &tls.Config{ServerName: host, InsecureSkipVerify: true,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { asked = true; return &good, nil }})
		must(t, err)
		conn.Close()
		if asked != want {
			t.Errorf("%s: asked for a certificate: %v, want %v", host, asked, want)
		}
	}
	for _, c := range []struct {
		name, host string
		want       int
	}{{"localhost", "localhost", 200}, {"other.localhost", "localhost", 421}, {"localhost", "other.localhost", 421}} {
		client := r.with(&good, "")
		client.Transport.(*http.Transport).DialTLSContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			config := client.Transport.(*http.Transport).TLSClientConfig.Clone()
			config.ServerName, config.NextProtos = c.name, []string{"h2"}
			return (&tls.Dialer{Config: config}).DialContext(ctx, network, r.address("https"))
		}
		if got := status(t, client, "https://"+c.host+":"+r.port("https")+"/cert"); got != c.want {
			t.Errorf("name %s, host %s: got %d, want %d", c.name, c.host, got, c.want)
		}
	}
}

// TestClientCertificateReload: files that cannot be used are refused, and a reload asks anew.
func TestClientCertificateReload(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	root, other := newIssuer(t, "root", nil), newIssuer(t, "other", nil)
	dir := t.TempDir()
	file := func(name string, text []byte) string {
		must(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
		return filepath.Join(dir, name)
	}
	ca, otherCA := file("ca.pem", pemOf(root.cert.Raw)), file("other.pem", pemOf(other.cert.Raw))
	r := start(t, gateway.Config{}, certSite(t, up.URL, ca, ""))
	good := root.issue("anna", nil)
	open := r.with(&good, "")
	if got := status(t, open, r.url("https", "/cert")); got != 200 {
		t.Fatalf("got %d, want 200", got)
	}
	for name, files := range map[string][2]string{"no such file": {filepath.Join(dir, "none"), ""}, "no certificate": {file("x", []byte("x")), ""},
		"no list": {ca, file("y", []byte("y"))}, "no such list": {ca, filepath.Join(dir, "none")}} {
		cfg := r.cfg
		cfg.Sites = []gateway.SiteConfig{certSite(t, up.URL, files[0], files[1])}
		cfg.SetDefaults()
		if err := r.Reload(t.Context(), cfg); err == nil {
			t.Errorf("%s: the reload was accepted", name)
		}
	}
	cfg := r.cfg
	cfg.Sites = []gateway.SiteConfig{certSite(t, up.URL, otherCA, "")}
	cfg.SetDefaults()
	must(t, r.Reload(t.Context(), cfg))
	if got := status(t, open, r.url("https", "/cert")); got != 403 {
		t.Errorf("after the authority changed, the open connection got %d, want 403", got)
	}
}

// TestClientCertificateEvent: the record names the certificate, at most so much of it.
func TestClientCertificateEvent(t *testing.T) {
	t.Parallel()
	began := time.Now()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	root, stranger := newIssuer(t, "root", nil), newIssuer(t, "stranger", nil)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pemOf(root.cert.Raw), 0o600))
	r := start(t, gateway.Config{}, certSite(t, up.URL, ca, ""))
	good, bad := root.issue("anna", nil), stranger.issue(strings.Repeat("x", 5000), nil)
	status(t, r.with(&good, ""), r.url("https", "/cert"))
	status(t, r.with(&bad, ""), r.url("https", "/cert"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	eventually(t, time.Minute, "an event with the certificate and one with what is wrong", func() bool {
		must(t, r.deps.Events.Flush(ctx))
		events, err := r.deps.Events.Query(ctx, event.Query{From: began.Add(-time.Second), Class: event.HTTP, Limit: 10})
		must(t, err)
		found := 0
		for _, e := range events {
			for _, f := range e.Fields {
				if f.Key == "certificate" && (f.Value == "65 anna" || strings.HasPrefix(f.Value, "65 xxx") && strings.Contains(f.Value, "(x509: certificate signed by unknown authority") && len(f.Value) < 500) {
					found++
				}
			}
		}
		return found == 2
	})
}

// FuzzRevocations: no list makes the reader fail.
func FuzzRevocations(f *testing.F) {
	f.Add([]byte("-----BEGIN X509 CRL-----\nMA==\n-----END X509 CRL-----\n"))
	f.Add([]byte{0x30, 0x03, 0x02, 0x01, 0x00})
	f.Fuzz(func(_ *testing.T, text []byte) { gateway.ParseRevocations(text) })
}
