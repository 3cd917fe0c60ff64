package facts_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/doorward/doorward/audit/facts"
)

// probed is when the probes say it is.
var probed = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// lookAt probes one server as another machine would. Each test has a loopback address of its own, on which nothing else listens.
func lookAt(t *testing.T, address, url string) facts.Facts {
	t.Helper()
	return facts.Outside(t.Context(), address, facts.Target{Now: probed, Config: facts.Config{URLs: []string{url}}})
}

func targetOf(t *testing.T, f facts.Facts) facts.TLSTarget {
	t.Helper()
	got, ok := f.Values["tls"].(facts.TLS)
	if !ok || len(got.Targets) != 1 {
		t.Fatalf("got %+v, missing %+v; want one target", got, f.Missing)
	}
	return got.Targets[0]
}

// serve answers over TLS at a port of address and returns the URL.
func serve(t *testing.T, address string, config *tls.Config, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0), TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	go s.ServeTLS(l, "", "")
	t.Cleanup(func() { s.Close() })
	return "https://" + l.Addr().String() + "/"
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: probed.AddDate(-1, 0, 0), NotAfter: probed.AddDate(9, 0, 0), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return authority{c, key}
}

// issue makes a certificate for 127.44.0.0/16's first hosts with a key of the given kind, changed by change.
func (a authority) issue(t *testing.T, key any, change func(c *x509.Certificate)) tls.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "x"}, NotBefore: probed.AddDate(0, 0, -30), NotAfter: probed.AddDate(0, 0, 60),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for i := range 30 {
		c.IPAddresses = append(c.IPAddresses, net.IPv4(127, 44, 0, byte(i)))
	}
	if change != nil {
		change(c)
	}
	var public any
	switch k := key.(type) {
	case *rsa.PrivateKey:
		public = k.Public()
	case *ecdsa.PrivateKey:
		public = k.Public()
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestCertificates(t *testing.T) {
	a, strong := newAuthority(t), rsaKey(t, 2048)
	for i, c := range []struct {
		name   string
		key    any
		change func(*x509.Certificate)
		want   func(facts.Certificate) bool
	}{
		{"sound but of nobody", strong, nil, func(c facts.Certificate) bool {
			return !c.Trusted && c.Names && !c.Complete && c.Strong && !c.Weak && c.Days == 60 && c.Left == 66 && c.Key == "RSA 2048" && !c.OCSP
		}},
		{"expired", strong, func(c *x509.Certificate) { c.NotAfter = probed.Add(-time.Hour) }, func(c facts.Certificate) bool { return !c.Trusted && c.Days == -1 && c.Left <= 0 }},
		{"of tomorrow", strong, func(c *x509.Certificate) { c.NotBefore = probed.AddDate(0, 0, 1) }, func(c facts.Certificate) bool { return c.Starts.After(probed) }},
		{"another name", strong, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"elsewhere.example"} }, func(c facts.Certificate) bool { return !c.Names }},
		{"short key", rsaKey(t, 1024), nil, func(c facts.Certificate) bool { return !c.Strong && c.Key == "RSA 1024" }},
		{"SHA-1", strong, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }, func(c facts.Certificate) bool { return c.Weak }},
		{"names a responder", strong, func(c *x509.Certificate) { c.OCSPServer = []string{"http://127.0.0.1:1/"} }, func(c facts.Certificate) bool { return c.OCSP && c.Staple == "" }},
		{"promises a staple", strong, func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 3, 2, 1, 5}}}
		}, func(c facts.Certificate) bool { return c.MustStaple }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			address := net.IPv4(127, 44, 0, byte(1+i)).String()
			url := serve(t, address, &tls.Config{Certificates: []tls.Certificate{a.issue(t, c.key, c.change)}}, http.NotFoundHandler())
			if got := targetOf(t, lookAt(t, address, url)); !c.want(got.Cert) {
				t.Errorf("got %+v", got.Cert)
			}
		})
	}
}

func TestStaples(t *testing.T) {
	a := newAuthority(t)
	key := rsaKey(t, 2048)
	for i, c := range []struct {
		name, want string
		status     int
		serial     int64
		until      time.Time
	}{
		{"good", "good", ocsp.Good, 2, probed.AddDate(0, 0, 3)},
		{"revoked", "revoked", ocsp.Revoked, 2, probed.AddDate(0, 0, 3)},
		{"for another", "invalid", ocsp.Good, 3, probed.AddDate(0, 0, 3)},
		{"too old", "invalid", ocsp.Good, 2, probed.AddDate(0, 0, -1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cert := a.issue(t, key, nil)
			staple, err := ocsp.CreateResponse(a.cert, a.cert, ocsp.Response{Status: c.status, SerialNumber: big.NewInt(c.serial), ThisUpdate: probed.AddDate(0, 0, -2), NextUpdate: c.until}, a.key)
			if err != nil {
				t.Fatal(err)
			}
			cert.OCSPStaple = staple
			cert.Certificate = append(cert.Certificate, a.cert.Raw)
			address := net.IPv4(127, 44, 0, byte(10+i)).String()
			got := targetOf(t, lookAt(t, address, serve(t, address, &tls.Config{Certificates: []tls.Certificate{cert}}, http.NotFoundHandler())))
			if got.Cert.Staple != c.want {
				t.Errorf("got %q, want %q", got.Cert.Staple, c.want)
			}
		})
	}
}

func TestHandshakes(t *testing.T) {
	cert := newAuthority(t).issue(t, rsaKey(t, 2048), nil)
	t.Run("versions and suites", func(t *testing.T) {
		t.Parallel()
		url := serve(t, "127.44.0.20", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS12,
			CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}, http.NotFoundHandler())
		got := targetOf(t, lookAt(t, "127.44.0.20", url))
		if want := []string{"TLSv1", "TLSv1.1", "TLSv1.2"}; !slices.Equal(got.Versions, want) {
			t.Errorf("got versions %q, want %q", got.Versions, want)
		}
		slices.Sort(got.Suites)
		if want := []string{"AES128-SHA", "ECDHE-RSA-AES128-GCM-SHA256"}; !slices.Equal(got.Suites, want) || !slices.Equal(got.NotForward, want[:1]) || !slices.Equal(got.NotSealed, want[:1]) {
			t.Errorf("got suites %q, not forward %q, not sealed %q", got.Suites, got.NotForward, got.NotSealed)
		}
		if got.Order != "server" || got.Compression || !got.SecureRenegotiation || len(got.Broken) > 0 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a certificate is demanded", func(t *testing.T) {
		t.Parallel()
		for _, newest := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			url := serve(t, "127.44.0.21", &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: newest, ClientAuth: tls.RequireAnyClientCert}, http.NotFoundHandler())
			if got := targetOf(t, lookAt(t, "127.44.0.21", url)); !got.AsksCertificate || !got.NeedsCertificate || !got.Speaks {
				t.Errorf("%x: got %+v", newest, got)
			}
		}
		url := serve(t, "127.44.0.21", &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert}, page("hello"))
		if got := targetOf(t, lookAt(t, "127.44.0.21", url)); !got.AsksCertificate || got.NeedsCertificate {
			t.Errorf("only asked for: got %+v", got)
		}
	})
	t.Run("compression", func(t *testing.T) {
		t.Parallel()
		// As an old OpenSSL would: TLS 1.2, one suite, DEFLATE where it is offered.
		url := raw(t, "127.44.0.22", func(hello []byte, conn net.Conn) {
			method := byte(0)
			if bytes.Contains(hello, []byte{2, 1, 0}) {
				method = 1
			}
			if hello[9] == 3 && hello[10] == 3 && bytes.Contains(hello, []byte{0, 0x2f}) && !bytes.Contains(hello, []byte{0, 43, 0, 3, 2, 3, 4}) {
				conn.Write(serverHello(0x2f, method))
			} else {
				conn.Write([]byte{21, 3, 3, 0, 2, 2, 40})
			}
		})
		got := targetOf(t, lookAt(t, "127.44.0.22", url))
		if !got.Compression || got.SecureRenegotiation || !slices.Equal(got.Suites, []string{"AES128-SHA"}) || got.Order != "single" || got.Grade != "F" || got.Cert.Fault == "" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("SSL 3.0", func(t *testing.T) {
		t.Parallel()
		// No OpenSSL of today speaks it. This one speaks nothing else, and knows RC4.
		url := raw(t, "127.44.0.24", func(hello []byte, conn net.Conn) {
			answer := []byte{21, 3, 0, 0, 2, 2, 40}
			if hello[9] == 3 && hello[10] == 0 && bytes.Contains(hello, []byte{0, 4, 0, 5}) {
				answer = serverHello(5, 0)
				answer[2], answer[10] = 0, 0
			}
			conn.Write(answer)
		})
		got := targetOf(t, lookAt(t, "127.44.0.24", url))
		if !slices.Equal(got.Versions, []string{"SSLv3"}) || !slices.Equal(got.Broken, []string{"RC4-SHA"}) || got.Grade != "F" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("every suite", func(t *testing.T) {
		t.Parallel()
		url := raw(t, "127.44.0.23", func(hello []byte, conn net.Conn) {
			at := 5 + 4 + 2 + 32 + 1 // the record's and the message's heads, version, random, no session
			version := hello[9:11]
			answer := append(serverHello(int(hello[at+2])<<8|int(hello[at+3]), 0), 22, 3, 3, 1, 6+4, 12, 0, 1, 2, 1, 0)
			answer = append(append(answer, bytes.Repeat([]byte{0xff}, 256)...), 14, 0, 0, 0)
			if bytes.Contains(hello, []byte{0, 43, 0, 3, 2, 3, 4}) || version[1] != 3 {
				answer = []byte{21, 3, 3, 0, 2, 2, 70}
			}
			conn.Write(answer)
		})
		got := targetOf(t, lookAt(t, "127.44.0.23", url))
		if len(got.Suites) < 100 || !slices.Equal(got.Versions, []string{"TLSv1.2"}) || got.Order != "client" || got.DHBits != 2048 {
			t.Errorf("got %d suites, %q, %q, %d bits", len(got.Suites), got.Versions, got.Order, got.DHBits)
		}
	})
	for i, c := range []struct{ name, reply string }{
		{"plain HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n"}, {"nothing", ""}, {"an alert", "\x15\x03\x03\x00\x02\x02\x28"}, {"noise", strings.Repeat("\x16\x03\x03\xff", 1<<16)},
		{"handshakes without end", strings.Repeat("\x16\x03\x03\x01\x00"+strings.Repeat("\x00", 256), 4096)}, {"a broken hello", "\x16\x03\x03\x00\x06\x02\x00\x00\x02\x03\x03"},
	} {
		t.Run("no TLS: "+c.name, func(t *testing.T) {
			t.Parallel()
			address := net.IPv4(127, 44, 1, byte(1+i)).String()
			url := raw(t, address, func(_ []byte, conn net.Conn) { io.WriteString(conn, c.reply) })
			if got := targetOf(t, lookAt(t, address, url)); got.Speaks || got.Grade != "F" {
				t.Errorf("got %+v", got)
			}
		})
	}
	t.Run("nobody is there", func(t *testing.T) {
		begin := time.Now()
		f := lookAt(t, "127.44.1.20", "https://127.44.1.20:9/")
		if _, ok := f.Values["tls"]; ok || time.Since(begin) > 20*time.Second {
			t.Errorf("got %+v after %v", f.Values["tls"], time.Since(begin))
		}
	})
}

// raw answers each first record at a port of address by reply and hangs up.
func raw(t *testing.T, address string, reply func(hello []byte, conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(20 * time.Second))
				hello := make([]byte, 4096)
				n, err := io.ReadAtLeast(conn, hello, 50)
				if err == nil {
					reply(hello[:n], conn)
				}
			}()
		}
	}()
	return "https://" + l.Addr().String() + "/"
}

// serverHello is that of TLS 1.2 with nothing in it but the suite and the compression.
func serverHello(suite int, compression byte) []byte {
	message := append([]byte{22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3}, make([]byte, 32)...)
	return append(message, 0, byte(suite>>8), byte(suite), compression)
}

// page is a handler that shows one page everywhere.
func page(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
}

func FuzzServerHello(f *testing.F) {
	f.Add(serverHello(0x2f, 0), false)
	f.Add(append(serverHello(0x33, 0), "\x16\x03\x03\x00\x0a\x0c\x00\x00\x06\x00\x02\xff\xff\x00\x00"...), true)
	f.Add([]byte("\x16\x03\x03\x00\x0d\x02\x00\x00\x02\x03\x03\x0b\x00\x00\x03\x00\x00\x00"), true)
	f.Fuzz(func(_ *testing.T, text []byte, all bool) { _ = facts.ReadAnswer(text, all) })
}

// serverOf is a configuration with one certificate.
func serverOf(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}
