package audit_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/rules"
	"github.com/doorward/doorward/test/real"
)

// rootsVariable names the file of the authority that this process trusts, as a company's own would be in /etc/ssl/certs. It is set before
// anything asks for the system's roots, which are read once.
const rootsVariable = "SSL_CERT_FILE"

func TestMain(m *testing.M) { os.Exit(withAuthority(m)) }

func withAuthority(m *testing.M) int {
	dir, err := os.MkdirTemp("", "doorward-authority-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	err = writeAuthority(dir)
	for _, set := range [][2]string{{rootsVariable, filepath.Join(dir, "root.pem")}, {"SSL_CERT_DIR", filepath.Join(dir, "none")}} {
		if err == nil {
			err = os.Setenv(set[0], set[1])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer real.RemoveProgram()
	return m.Run()
}

// writeAuthority makes a root and its key.
func writeAuthority(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().AddDate(-3, 0, 0), NotAfter: time.Now().AddDate(5, 0, 0), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "root.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// issuer signs certificates: an intermediate of the trusted root.
type issuer struct {
	root, cert *x509.Certificate
	key        crypto.Signer
}

func newIssuer(t *testing.T) issuer {
	t.Helper()
	file := os.Getenv(rootsVariable)
	read := func(name string) []byte {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		return block.Bytes
	}
	root, err := x509.ParseCertificate(read(file))
	if err != nil {
		t.Fatal(err)
	}
	rootKey, err := x509.ParseECPrivateKey(read(filepath.Join(filepath.Dir(file), "key.pem")))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Test intermediate"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().AddDate(-2, 0, 0), NotAfter: time.Now().AddDate(4, 0, 0), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, root, key.Public(), rootKey)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return issuer{root, c, key}
}

// order is what a certificate is to be like. The zero value is a good one for app.example.test.
type order struct {
	bits     int // of an RSA key; 0 is 2048
	from, to time.Duration
	names    []string
	alone    bool // without the intermediate
	ocsp     bool
	address  string
}

// issue writes NAME.crt and NAME.key into dir.
func (i issuer) issue(t *testing.T, dir, name string, o order) (certificate, secret string) {
	t.Helper()
	if o.bits == 0 {
		o.bits = 2048
	}
	if o.to == 0 {
		o.from, o.to = -24*time.Hour, 90*24*time.Hour
	}
	if o.names == nil {
		o.names = []string{"app.example.test"}
	}
	key, err := rsa.GenerateKey(rand.Reader, o.bits)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: o.names[0]}, DNSNames: o.names,
		NotBefore: time.Now().Add(o.from), NotAfter: time.Now().Add(o.to), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if o.address != "" {
		c.IPAddresses = []net.IP{net.ParseIP(o.address)}
	}
	if o.ocsp {
		c.OCSPServer = []string{"http://127.0.0.1:9/"}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, i.cert, key.Public(), i.key)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	if !o.alone {
		pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})
	}
	certificate, secret = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	if err := os.WriteFile(certificate, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secret, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600); err != nil {
		t.Fatal(err)
	}
	return certificate, secret
}

// verdicts judges facts by the controls that Doorward comes with. choices are CONTROL=VARIANT.
func verdicts(t *testing.T, f facts.Facts, choices ...string) map[string]audit.Finding {
	t.Helper()
	cat, err := audit.Load(audit.Source{Controls: rules.Controls(), Profiles: rules.Profiles()})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := cat.Profile("all")
	for _, choice := range choices {
		control, variant, _ := strings.Cut(choice, "=")
		p.Choose = append(p.Choose, audit.Choice{Control: control, Variant: variant})
	}
	all := map[string]audit.Finding{}
	for _, finding := range cat.Judge(p, f, audit.Records{}) {
		all[finding.ID] = finding
	}
	return all
}

// wantVerdicts compares with "I-44:fail I-45:pass".
func wantVerdicts(t *testing.T, got map[string]audit.Finding, want string) {
	t.Helper()
	for _, word := range strings.Fields(want) {
		id, status, _ := strings.Cut(word, ":")
		if f := got[id]; f.Status != audit.Status(status) {
			t.Errorf("%s: got %q, want %q; %s %+v", id, f.Status, status, f.Reason, f.Evidence)
		}
	}
}

// fromOutside probes https://app.example.test/ at an address of its own.
func fromOutside(t *testing.T, address string) facts.Facts {
	t.Helper()
	return facts.Outside(t.Context(), address, facts.Target{Now: time.Now(), Config: facts.Config{URLs: []string{"https://app.example.test/"}}})
}
