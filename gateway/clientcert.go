package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// clientCheck is how often the files of authorities and revocations are looked at.
	clientCheck = time.Minute
	// MaxClientFile caps such a file, in bytes: the largest public revocation lists have some 10 MB.
	MaxClientFile = 64 << 20
	// maxClientChain caps the certificates that a client sends.
	maxClientChain = 6
)

// clientCertificates is a site's authority over the certificates that people's browsers show (I-53). Go's TLS cannot
// ask for one later (RFC 8446 4.6.2), so that the handshake asks for it at every host of the site, and the access
// rules decide by path who needs one.
type clientCertificates struct {
	cfg   ClientCertificateConfig
	log   *slog.Logger
	stamp [2]fileStamp // of the files as they were read
	list  atomic.Pointer[clientList]
}

// clientList is what the files held when they were read. It is immutable, but for what it has found out about
// signatures.
type clientList struct {
	roots       *x509.CertPool
	revocations []*revocations // nil when no list is configured
	checkCRL    bool

	mu      sync.Mutex
	signers map[[sha256.Size]byte][]*revocations // by the issuing certificate: the lists that it has signed
	asking  *tls.Config                          // the listener's TLS configuration, but asking for certificates; nil before the first
}

// revocations is one revocation list (RFC 5280 5).
type revocations struct {
	*x509.RevocationList
	serials map[string]bool
}

// certVerdict is what was found about a connection's certificate.
type certVerdict struct {
	list  *clientList // by which it was judged
	ok    bool
	until time.Time // when to judge again: something in the chain or a list runs out
	shown string    // for the record: serial number and common name, and what is wrong with it
}

// newClientCertificates reads the files; nil when the site asks for no certificates.
func newClientCertificates(cfg ClientCertificateConfig, log *slog.Logger) (*clientCertificates, error) {
	if cfg.CAFile == "" {
		return nil, nil
	}
	c := &clientCertificates{cfg: cfg, log: log}
	if err := c.load(time.Now()); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *clientCertificates) load(now time.Time) error {
	stamp, err := stampFiles(c.cfg.CAFile, c.cfg.CRLFile)
	if err != nil {
		return fmt.Errorf("read client certificates' files: %w", err)
	}
	list := &clientList{checkCRL: c.cfg.CRLFile != "", signers: make(map[[sha256.Size]byte][]*revocations)}
	text, err := readClientFile(c.cfg.CAFile)
	if err != nil {
		return fmt.Errorf("read authority of client certificates: %w", err)
	}
	list.roots = x509.NewCertPool()
	if !list.roots.AppendCertsFromPEM(text) {
		return fmt.Errorf("read authority of client certificates: %s holds no PEM certificate", c.cfg.CAFile)
	}
	if list.checkCRL {
		if text, err = readClientFile(c.cfg.CRLFile); err != nil {
			return fmt.Errorf("read revoked client certificates: %w", err)
		}
		if list.revocations, err = parseRevocations(text); err != nil {
			return fmt.Errorf("read revoked client certificates %s: %w", c.cfg.CRLFile, err)
		}
		for _, r := range list.revocations {
			if now.After(r.NextUpdate) {
				c.log.Warn("the list of revoked client certificates is out of date, so none is accepted", slog.String("file", c.cfg.CRLFile), slog.Time("next_update", r.NextUpdate))
			}
		}
	}
	c.stamp = stamp
	c.list.Store(list)
	return nil
}

// Run reads changed files until ctx ends.
func (c *clientCertificates) Run(ctx context.Context) {
	ticker := time.NewTicker(clientCheck)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			c.refresh(now)
		}
	}
}

// refresh reads changed files. What cannot be read leaves the old list in force, until that runs out.
func (c *clientCertificates) refresh(now time.Time) {
	stamp, err := stampFiles(c.cfg.CAFile, c.cfg.CRLFile)
	if err == nil && stamp == c.stamp {
		return
	}
	if err == nil {
		err = c.load(now)
	}
	if err != nil {
		c.log.Warn("read client certificates' files", slog.Any("error", err))
	}
}

func readClientFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxClientFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > MaxClientFile {
		return nil, fmt.Errorf("%s is larger than 64 MiB", name)
	}
	return text, nil
}

// parseRevocations reads one list in DER, or any number in PEM.
func parseRevocations(text []byte) ([]*revocations, error) {
	var blocks [][]byte
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "X509 CRL" {
			blocks = append(blocks, block.Bytes)
		}
	}
	if blocks == nil {
		blocks = [][]byte{text}
	}
	var lists []*revocations
	for _, der := range blocks {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, fmt.Errorf("not a revocation list in PEM or DER: %w", err)
		}
		if list.NextUpdate.IsZero() {
			return nil, errors.New("the list says not when the next one comes, so nobody would know that it is old")
		}
		for _, e := range list.Extensions {
			if e.Critical { // a delta, or a list that is not about all of the authority's certificates
				return nil, fmt.Errorf("the list is of a kind that is not understood (critical extension %s); give the authority's whole list", e.Id)
			}
		}
		// Without the entries, of which there may be millions.
		r := &revocations{serials: make(map[string]bool, len(list.RevokedCertificateEntries)), RevocationList: &x509.RevocationList{
			RawTBSRevocationList: list.RawTBSRevocationList, RawIssuer: list.RawIssuer, Signature: list.Signature,
			SignatureAlgorithm: list.SignatureAlgorithm, ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate}}
		for _, entry := range list.RevokedCertificateEntries {
			r.serials[string(entry.SerialNumber.Bytes())] = true
		}
		lists = append(lists, r)
	}
	return lists, nil
}

// askForCertificate is the TLS server's GetConfigForClient: the handshake asks for a certificate at the hosts of sites
// that may need one, and at no others, because browsers then ask the person. Nothing is refused here: whoever shows
// none, or a bad one, is told so on a page, where one is needed.
func (g *Gateway) askForCertificate(base *tls.Config) func(*tls.ClientHelloInfo) (*tls.Config, error) {
	return func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		p := g.policy.Load()
		if p == nil || isACMEChallenge(hello) {
			return nil, nil
		}
		var s *site
		if hello.ServerName == "" && len(p.sites) == 1 {
			s = p.sites[0]
		} else if host, ok := canonicalHost(helloHost(hello)); ok {
			s = p.siteFor(host)
		}
		if s == nil || s.clients == nil {
			return nil, nil
		}
		return s.clients.list.Load().config(base), nil
	}
}

// config is base, which is always the same one, asking for certificates of these authorities.
func (l *clientList) config(base *tls.Config) *tls.Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asking == nil {
		l.asking = base.Clone()
		l.asking.ClientAuth, l.asking.ClientCAs = tls.RequestClientCert, l.roots
	}
	return l.asking
}

// certificateOf judges the certificate of the connection that r came on, once until something changes. Not TLS's own
// verdict counts, which a resumed session would carry on, but what the authority's files say now.
func (s *site) certificateOf(r *http.Request, x *exchange) *certVerdict {
	if s.clients == nil || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	list := s.clients.list.Load()
	if x.conn != nil {
		if v := x.conn.certificate.Load(); v != nil && v.list == list && x.started.Before(v.until) {
			return v
		}
	}
	v := list.judge(r.TLS.PeerCertificates, x.started)
	if x.conn != nil {
		x.conn.certificate.Store(v)
	}
	return v
}

// judge verifies a chain: to one of the authorities, for client authentication, valid now, and not revoked.
func (l *clientList) judge(certs []*x509.Certificate, now time.Time) *certVerdict {
	leaf := certs[0]
	v := &certVerdict{list: l, until: now.Add(clientCheck), shown: clip(leaf.SerialNumber.Text(16), 64) + " " + clip(leaf.Subject.CommonName, 128)}
	until, err := l.verify(certs, now)
	if err != nil {
		v.shown += " (" + clip(err.Error(), 200) + ")"
		return v
	}
	v.ok, v.until = true, until
	return v
}

func (l *clientList) verify(certs []*x509.Certificate, now time.Time) (until time.Time, err error) {
	if len(certs) > maxClientChain {
		return until, fmt.Errorf("%d certificates in the chain", len(certs))
	}
	between := x509.NewCertPool()
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	chains, err := certs[0].Verify(x509.VerifyOptions{Roots: l.roots, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return until, err
	}
	for _, chain := range chains {
		if until, err = l.unrevoked(chain, now); err == nil {
			return until, nil
		}
	}
	return until, err
}

// unrevoked looks for every certificate of a chain but the last in a current list that its issuer has signed, and
// returns how long the verdict holds.
func (l *clientList) unrevoked(chain []*x509.Certificate, now time.Time) (until time.Time, err error) {
	until = chain[0].NotAfter
	for i, c := range chain {
		if c.NotAfter.Before(until) {
			until = c.NotAfter
		}
		if !l.checkCRL || i == len(chain)-1 {
			continue
		}
		current := false
		for _, r := range l.signedBy(chain[i+1]) {
			if now.After(r.NextUpdate) || now.Before(r.ThisUpdate.Add(-clockSlack)) {
				continue
			}
			current = true
			if r.serials[string(c.SerialNumber.Bytes())] {
				return until, errors.New("revoked")
			}
			if r.NextUpdate.Before(until) {
				until = r.NextUpdate
			}
		}
		if !current {
			return until, errors.New("no current list of revocations")
		}
	}
	return until, nil
}

// clockSlack is how far ahead the clock of the authority may be.
const clockSlack = 5 * time.Minute

// signedBy returns the lists that the certificate's key has signed. It is called with verified issuers only, so that
// what it remembers is bounded by what the authorities have issued; a list may have megabytes to check.
func (l *clientList) signedBy(issuer *x509.Certificate) []*revocations {
	key := sha256.Sum256(issuer.Raw)
	l.mu.Lock()
	defer l.mu.Unlock()
	if found, known := l.signers[key]; known {
		return found
	}
	var found []*revocations
	for _, r := range l.revocations {
		if bytes.Equal(r.RawIssuer, issuer.RawSubject) && r.CheckSignatureFrom(issuer) == nil {
			found = append(found, r)
		}
	}
	l.signers[key] = found
	return found
}
