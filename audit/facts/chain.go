package facts

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Certificate is what a server shows to prove its name.
type Certificate struct {
	// Trusted says whether a client with this system's roots takes it now: chain, dates and name. Fault is why not.
	Trusted bool   `cel:"trusted"`
	Fault   string `cel:"fault"`
	Names   bool   `cel:"names"` // it is for the name that was asked for
	// Complete says whether the served chain leads to a root of the system, whatever the dates: no intermediate is missing.
	Complete bool `cel:"complete"`
	// Ordered says whether each certificate is followed by that of its issuer.
	Ordered bool `cel:"ordered"`
	// Starts and Expires bound the time in which every certificate of the chain holds.
	Starts  time.Time `cel:"starts"`
	Expires time.Time `cel:"expires"`
	// Days are left until Expires, rounded down; negative when it is past.
	Days int `cel:"days"`
	// Left is how much of the time between Starts and Expires is left, in percent: certificates of six days are renewed too.
	Left   int    `cel:"left"`
	Key    string `cel:"key"` // RSA 2048, ECDSA P-256, Ed25519
	Strong bool   `cel:"strong"`
	// Signatures are the algorithms by which the leaf and the intermediates are signed; Weak is true when MD5 or SHA-1 is among them.
	Signatures []string `cel:"signatures"`
	Weak       bool     `cel:"weak"`
	// OCSP says whether the leaf names a responder; MustStaple that it promises a stapled answer (RFC 7633).
	OCSP       bool `cel:"ocsp"`
	MustStaple bool `cel:"must_staple"`
	// Staple is what was stapled: "" for nothing, good, revoked, unknown, or invalid where it is not for this certificate or too old.
	Staple string `cel:"staple"`
}

// judgeChain reads what was shown, as of now.
func judgeChain(s shown, name string, roots *x509.CertPool, now time.Time) Certificate {
	if s.fault != nil || len(s.chain) == 0 {
		return Certificate{Fault: fmt.Sprint(s.fault), Days: -1}
	}
	leaf, intermediates := s.chain[0], x509.NewCertPool()
	for _, c := range s.chain[1:] {
		intermediates.AddCert(c)
	}
	c := Certificate{Names: leaf.VerifyHostname(name) == nil, Ordered: ordered(s.chain)}
	options := x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: intermediates, CurrentTime: now}
	_, err := leaf.Verify(options)
	if c.Trusted = err == nil; err != nil {
		c.Fault = err.Error()
	}
	path := s.chain
	options.DNSName = ""
	for _, at := range []time.Time{now, leaf.NotAfter, leaf.NotBefore} {
		options.CurrentTime = at
		if chains, err := leaf.Verify(options); err == nil {
			c.Complete, path = true, chains[0]
			break
		}
	}
	c.Starts, c.Expires = leaf.NotBefore, leaf.NotAfter
	for i, x := range path {
		if i > 0 && bytes.Equal(x.RawSubject, x.RawIssuer) {
			continue // a root is trusted because it is known, not for its signature
		}
		if x.NotBefore.After(c.Starts) {
			c.Starts = x.NotBefore
		}
		if x.NotAfter.Before(c.Expires) {
			c.Expires = x.NotAfter
		}
		c.Signatures = append(c.Signatures, x.SignatureAlgorithm.String())
		c.Weak = c.Weak || weakSignature(x.SignatureAlgorithm)
	}
	c.Days = int(c.Expires.Sub(now) / (24 * time.Hour))
	if c.Expires.Before(now) {
		c.Days = min(c.Days, -1)
	}
	if whole := c.Expires.Sub(c.Starts); whole > 0 {
		c.Left = int(c.Expires.Sub(now).Hours() * 100 / whole.Hours())
	}
	c.Key, c.Strong = keyOf(leaf.PublicKey)
	c.OCSP, c.MustStaple, c.Staple = len(leaf.OCSPServer) > 0, mustStaple(leaf), stapled(s, path, now)
	return c
}

func ordered(chain []*x509.Certificate) bool {
	for i := 1; i < len(chain); i++ {
		if !bytes.Equal(chain[i-1].RawIssuer, chain[i].RawSubject) {
			return false
		}
	}
	return true
}

func weakSignature(a x509.SignatureAlgorithm) bool {
	name := a.String()
	return a == x509.UnknownSignatureAlgorithm || strings.Contains(name, "SHA1") || strings.Contains(name, "MD")
}

// keyOf names a public key and says whether it is strong enough: 112 bits of security or more (NIST SP 800-57 Part 1).
func keyOf(public any) (string, bool) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen()), key.N.BitLen() >= 2048
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name, key.Curve.Params().BitSize >= 224
	case ed25519.PublicKey:
		return "Ed25519", true
	}
	return fmt.Sprintf("%T", public), false
}

// mustStaple looks for the TLS feature extension with status_request (RFC 7633).
func mustStaple(leaf *x509.Certificate) bool {
	for _, e := range leaf.Extensions {
		if e.Id.String() == "1.3.6.1.5.5.7.1.24" {
			return bytes.Contains(e.Value, []byte{2, 1, 5})
		}
	}
	return false
}

// stapled judges the stapled OCSP answer.
func stapled(s shown, path []*x509.Certificate, now time.Time) string {
	if len(s.staple) == 0 {
		return ""
	}
	var issuer *x509.Certificate
	if len(path) > 1 {
		issuer = path[1]
	}
	r, err := ocsp.ParseResponseForCert(s.staple, s.chain[0], issuer)
	if err != nil || !r.NextUpdate.IsZero() && r.NextUpdate.Before(now) {
		return "invalid"
	}
	switch r.Status {
	case ocsp.Good:
		return "good"
	case ocsp.Revoked:
		return "revoked"
	}
	return "unknown"
}
