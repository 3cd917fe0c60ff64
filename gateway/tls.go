package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mholt/acmez/v3"
)

// certCheck is how often certificate files and the own authority's certificates are looked at.
const certCheck = 30 * time.Second

// Where a host's certificate comes from: the values of a site's tls.source.
const (
	sourceACME     = "acme"
	sourceFiles    = "files"
	sourceInternal = "internal"
)

// certificates knows the certificate of every host.
type certificates struct {
	dir       string
	authority *authority
	acme      *acmeClient
	log       *slog.Logger
	table     atomic.Pointer[certTable]
	nobody    atomic.Pointer[tls.Certificate] // for names that are not served: the answer to them is 421

	changing sync.Mutex // one reload or check at a time
}

// certTable is the hosts of one configuration.
type certTable struct {
	hosts map[string]*certSlot
	only  *certSlot // of the first host, if there is but one site; for clients that send no name
	acme  ACMEConfig
	names []string // those whose certificate comes from an ACME authority
}

// certSlot is one host's certificate. Hosts with one pair of files share a slot.
type certSlot struct {
	source string
	host   string // for internal and ACME ones
	files  SiteTLSConfig
	stamp  [2]fileStamp
	cert   atomic.Pointer[tls.Certificate]
}

// fileStamp is by what a changed file is recognised.
type fileStamp struct {
	modified time.Time
	size     int64
}

// newCertificates reads and makes every certificate that cfg needs but those that ACME brings while running.
func newCertificates(cfg Config, ports acmePorts, log *slog.Logger) (*certificates, error) {
	c := &certificates{dir: cfg.DataDir, log: log}
	now := time.Now()
	var err error
	if c.authority, err = openAuthority(filepath.Join(cfg.DataDir, "authority"), now); err != nil {
		return nil, err
	}
	nobody, err := c.authority.issue("unknown-host.invalid", now)
	if err != nil {
		return nil, err
	}
	c.nobody.Store(nobody)
	c.acme = newACMEClient(filepath.Join(cfg.DataDir, "certificates"), ports, log)
	table, err := c.newTable(cfg, now)
	if err != nil {
		return nil, err
	}
	c.table.Store(table)
	return c, nil
}

// newTable builds the certificates of cfg, keeping internal ones that are still good.
func (c *certificates) newTable(cfg Config, now time.Time) (*certTable, error) {
	t := &certTable{hosts: make(map[string]*certSlot), acme: cfg.TLS.ACME}
	if err := checkACME(cfg.TLS.ACME); err != nil {
		return nil, err
	}
	old := c.table.Load()
	for i, site := range cfg.Sites {
		var shared *certSlot
		for _, raw := range site.Hosts {
			host, ok := canonicalHost(raw)
			if !ok {
				return nil, fmt.Errorf("host %q is not a host name or an address", raw)
			}
			slot := &certSlot{source: certificateSource(site.TLS, host), host: host}
			switch {
			case slot.source == sourceFiles && shared != nil:
				slot = shared
			case slot.source == sourceFiles:
				slot.files, shared = site.TLS, slot
				if err := slot.load(); err != nil {
					return nil, fmt.Errorf("site %s: %w", siteName(site), err)
				}
			default:
				if err := c.fillInternal(slot, old, now); err != nil {
					return nil, fmt.Errorf("site %s: %w", siteName(site), err)
				}
			}
			if slot.source == sourceACME {
				t.names = append(t.names, host)
			}
			t.hosts[host] = slot
			if len(cfg.Sites) == 1 && i == 0 && t.only == nil {
				t.only = slot
			}
		}
	}
	return t, nil
}

// fillInternal gives slot a certificate of the own authority. Hosts that wait for ACME have one too: a
// browser's warning tells more than a handshake that fails.
func (c *certificates) fillInternal(slot *certSlot, old *certTable, now time.Time) error {
	if old != nil {
		if before := old.hosts[slot.host]; before != nil && before.source != sourceFiles {
			if cert := before.cert.Load(); now.Before(cert.Leaf.NotAfter.Add(-leafRenew)) {
				slot.cert.Store(cert)
				return nil
			}
		}
	}
	cert, err := c.authority.issue(slot.host, now)
	if err != nil {
		return err
	}
	slot.cert.Store(cert)
	return nil
}

// certificateSource is where host's certificate comes from if the site does not say.
func certificateSource(cfg SiteTLSConfig, host string) string {
	_, err := netip.ParseAddr(host)
	switch {
	case cfg.Source != "":
		return cfg.Source
	case cfg.Certificate != "":
		return sourceFiles
	case err == nil, host == "localhost", strings.HasSuffix(host, ".localhost"):
		return sourceInternal
	}
	return sourceACME
}

// load reads the slot's files.
func (s *certSlot) load() error {
	stamp, err := s.stat()
	if err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(s.files.Certificate, s.files.Key)
	if err != nil {
		return fmt.Errorf("read certificate %s with key %s: %w", s.files.Certificate, s.files.Key, err)
	}
	s.stamp = stamp
	s.cert.Store(&cert)
	return nil
}

func (s *certSlot) stat() (stamp [2]fileStamp, err error) {
	for i, name := range []string{s.files.Certificate, s.files.Key} {
		info, err := os.Stat(name)
		if err != nil {
			return stamp, fmt.Errorf("read certificate: %w", err)
		}
		stamp[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return stamp, nil
}

// reload takes over cfg's certificates; on an error the old ones stay.
func (c *certificates) reload(ctx context.Context, cfg Config) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	t, err := c.newTable(cfg, time.Now())
	if err != nil {
		return err
	}
	c.table.Store(t)
	c.acme.manage(t.acme, t.names)
	return nil
}

// Run obtains and renews certificates until ctx ends.
func (c *certificates) Run(ctx context.Context) {
	c.changing.Lock()
	t := c.table.Load()
	c.acme.start(ctx)
	c.acme.manage(t.acme, t.names)
	c.changing.Unlock()
	defer c.acme.stop()
	ticker := time.NewTicker(certCheck)
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

// refresh reads changed certificate files and renews what the own authority signed. What cannot be read
// leaves the old certificate in place: it is better than none.
func (c *certificates) refresh(now time.Time) {
	c.changing.Lock()
	defer c.changing.Unlock()
	for host, slot := range c.table.Load().hosts {
		var err error
		if slot.source == sourceFiles {
			err = slot.refresh()
		} else if cert := slot.cert.Load(); now.After(cert.Leaf.NotAfter.Add(-leafRenew)) {
			err = c.fillInternal(slot, nil, now)
		}
		if err != nil {
			c.log.Warn("renew certificate", slog.String("host", host), slog.Any("error", err))
		}
	}
	if now.After(c.nobody.Load().Leaf.NotAfter.Add(-leafRenew)) {
		if cert, err := c.authority.issue("unknown-host.invalid", now); err == nil {
			c.nobody.Store(cert)
		}
	}
}

func (s *certSlot) refresh() error {
	stamp, err := s.stat()
	if err != nil || stamp == s.stamp {
		return err
	}
	return s.load()
}

// tlsConfig is the server's side of TLS: 1.2 and 1.3 (I-44); the suites of Mozilla's intermediate profile
// without CBC (I-45), in Go's own order (I-46: a server's order is honoured for TLS 1.2 and 1.3 alike); Go
// has no TLS compression (I-47).
func (c *certificates) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		NextProtos:     []string{"h2", "http/1.1", acmez.ACMETLS1Protocol},
		GetCertificate: c.certificate,
	}
}

// certificate chooses by the client's server name. A name that is not served gets a certificate of the own
// authority for no real name, so that the request can be answered 421; nothing is learnt from it.
func (c *certificates) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acmez.ACMETLS1Protocol {
		return c.acme.certificate(hello)
	}
	slot := c.slot(hello)
	if slot == nil {
		return c.nobody.Load(), nil
	}
	if slot.source == sourceACME {
		if cert, err := c.acme.certificate(hello); err == nil {
			return cert, nil
		}
	}
	return slot.cert.Load(), nil
}

func (c *certificates) slot(hello *tls.ClientHelloInfo) *certSlot {
	t := c.table.Load()
	if hello.ServerName != "" {
		host, ok := canonicalHost(hello.ServerName)
		if !ok {
			return nil
		}
		return t.hosts[host]
	}
	// A client that connects to an address sends no name (RFC 6066 3).
	if tcp, ok := hello.Conn.LocalAddr().(*net.TCPAddr); ok {
		if slot := t.hosts[tcp.AddrPort().Addr().Unmap().WithZone("").String()]; slot != nil {
			return slot
		}
	}
	return t.only
}

// answerChallenge answers an ACME HTTP challenge, if r is one that is under way.
func (c *certificates) answerChallenge(w http.ResponseWriter, r *http.Request) bool {
	return c.acme.answer(w, r)
}

var errNoACME = errors.New("no certificate from the authority yet")
