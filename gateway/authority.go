package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/doorward/doorward/wholefile"
)

const (
	rootLife  = 10 * 365 * 24 * time.Hour
	leafLife  = 90 * 24 * time.Hour
	leafRenew = 30 * 24 * time.Hour // renewed when less than this is left
	clockSkew = time.Hour           // certificates begin this much earlier, for clients whose clock is late
)

// authority is Doorward's own certificate authority, for localhost and names that no public authority
// certifies. Whoever imports root.crt trusts every certificate it signs, so its key never leaves the folder.
type authority struct {
	root    *x509.Certificate
	rootDER []byte
	key     *ecdsa.PrivateKey
}

// openAuthority reads root.key and root.crt in dir, and makes them on first use.
func openAuthority(dir string, now time.Time) (*authority, error) {
	keyFile, certFile := filepath.Join(dir, "root.key"), filepath.Join(dir, "root.crt")
	a, err := readAuthority(keyFile, certFile)
	if err == nil && now.Before(a.root.NotAfter.Add(-leafLife)) {
		return a, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if a, err = newAuthority(now); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the authority's folder: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("encode the authority's key: %w", err)
	}
	// The certificate first: a key without its certificate would make the next start fail.
	if err := wholefile.Replace(certFile, 0o644, pemBlock("CERTIFICATE", a.rootDER)); err != nil {
		return nil, fmt.Errorf("write %s: %w", certFile, err)
	}
	if err := wholefile.Replace(keyFile, 0o600, pemBlock("PRIVATE KEY", der)); err != nil {
		return nil, fmt.Errorf("write %s: %w", keyFile, err)
	}
	return a, nil
}

func readAuthority(keyFile, certFile string) (*authority, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("read the own authority: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read the own authority: %s holds no ECDSA key", keyFile)
	}
	return &authority{root: pair.Leaf, rootDER: pair.Certificate[0], key: key}, nil
}

func newAuthority(now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the authority's key: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "this host"
	}
	template := &x509.Certificate{
		SerialNumber:          serialNumber(),
		Subject:               pkix.Name{Organization: []string{"Doorward"}, CommonName: "Doorward on " + host},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(rootLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true, // it signs servers, never another authority
		KeyUsage:              x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the authority's certificate: %w", err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate back: %w", err)
	}
	return &authority{root: root, rootDER: der, key: key}, nil
}

// issue makes a certificate for host, a name or an address, with a new key.
func (a *authority) issue(host string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for %s: %w", host, err)
	}
	template := &x509.Certificate{
		SerialNumber: serialNumber(),
		Subject:      pkix.Name{CommonName: host},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(leafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.root, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate for %s: %w", host, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the certificate for %s back: %w", host, err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.rootDER}, PrivateKey: key, Leaf: leaf}, nil
}

func serialNumber() *big.Int {
	var b [16]byte
	rand.Read(b[:])         // never fails (crypto/rand, Go 1.24)
	b[0] = b[0]&0x7f | 0x40 // positive, and always of full length
	return new(big.Int).SetBytes(b[:])
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// InternalTLS is a server's TLS configuration with certificates of Doorward's own authority for hosts, each
// renewed in time. The first host also serves clients that name none of them.
func (g *Gateway) InternalTLS(hosts []string) (*tls.Config, error) {
	if len(hosts) == 0 {
		return nil, errors.New("make internal certificates: no hosts")
	}
	a := g.server.certs.authority
	slots := make(map[string]*certSlot, len(hosts))
	for _, raw := range hosts {
		host, ok := canonicalHost(raw)
		if !ok {
			return nil, fmt.Errorf("make internal certificates: %q is not a host name or an address", raw)
		}
		slots[host] = &certSlot{source: sourceInternal, host: host}
		if err := slots[host].renew(a, time.Now()); err != nil {
			return nil, err
		}
	}
	first, _ := canonicalHost(hosts[0]) // was good a moment ago
	c := serverTLS()
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		slot := findSlot(slots, hello)
		if slot == nil {
			slot = slots[first]
		}
		if cert := slot.cert.Load(); time.Now().Before(cert.Leaf.NotAfter.Add(-leafRenew)) {
			return cert, nil
		}
		if err := slot.renew(a, time.Now()); err != nil {
			return nil, err
		}
		return slot.cert.Load(), nil
	}
	return c, nil
}
