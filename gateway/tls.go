package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
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

// fillInternal gives slot a certificate of the own authority, the one it had if that is still good. Hosts
// that wait for ACME have one too: a browser's warning tells more than a handshake that fails.
func (c *certificates) fillInternal(slot *certSlot, old *certTable, now time.Time) error {
	if old != nil {
		if before := old.hosts[slot.host]; before != nil && before.source != sourceFiles {
			if cert := before.cert.Load(); now.Before(cert.Leaf.NotAfter.Add(-leafRenew)) {
				slot.cert.Store(cert)
				return nil
			}
		}
	}
	return slot.renew(c.authority, now)
}

func (s *certSlot) renew(a *authority, now time.Time) error {
	cert, err := a.issue(s.host, now)
	if err != nil {
		return err
	}
	s.cert.Store(cert)
	return nil
}

// certificateSource is where host's certificate comes from. No public authority certifies localhost, not
// even as one of several hosts of a site that has its certificate from one.
func certificateSource(cfg SiteTLSConfig, host string) string {
	if cfg.Source == sourceACME && privateName(host) {
		return sourceInternal
	}
	return cfg.Source
}

// load reads the slot's files.
func (s *certSlot) load() error {
	stamp, err := stampFiles(s.files.Certificate, s.files.Key)
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	cert, err := tls.LoadX509KeyPair(s.files.Certificate, s.files.Key)
	if err != nil {
		return fmt.Errorf("read certificate %s with key %s: %w", s.files.Certificate, s.files.Key, err)
	}
	s.stamp = stamp
	s.cert.Store(&cert)
	return nil
}

// stampFiles stamps two files that belong together; a file without a name has the zero stamp.
func stampFiles(first, second string) (stamp [2]fileStamp, err error) {
	for i, name := range []string{first, second} {
		if name == "" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return stamp, err
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
			err = slot.renew(c.authority, now)
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
	stamp, err := stampFiles(s.files.Certificate, s.files.Key)
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	if stamp == s.stamp {
		return nil
	}
	return s.load()
}

// serverTLS is a server's side of TLS: 1.2 and 1.3 (I-44); the suites of Mozilla's intermediate profile, which
// has dropped the guide's CBC ones (I-45); the server's order counts, as Go has it (I-46); there is no
// compression in Go's TLS (I-47).
func serverTLS() *tls.Config {
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
		NextProtos: []string{"h2", "http/1.1"},
	}
}

// tlsConfig is that of the HTTPS listeners.
func (c *certificates) tlsConfig() *tls.Config {
	t := serverTLS()
	t.NextProtos = append(t.NextProtos, acmez.ACMETLS1Protocol)
	t.GetCertificate = c.certificate
	return t
}

// certificate chooses by the client's server name. A name that is not served gets a certificate of the own
// authority for no real name, so that the request can be answered 421; nothing is learnt from it.
func (c *certificates) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if isACMEChallenge(hello) {
		return c.acme.certificate(hello)
	}
	table := c.table.Load()
	slot := findSlot(table.hosts, hello)
	if slot == nil && hello.ServerName == "" {
		slot = table.only
	}
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

// isACMEChallenge tells whether a certificate authority asks for the proof that the host is ours (RFC 8737 3).
func isACMEChallenge(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acmez.ACMETLS1Protocol
}

// findSlot looks up the host that the client wants; nil when that is none of ours.
func findSlot(slots map[string]*certSlot, hello *tls.ClientHelloInfo) *certSlot {
	host, ok := canonicalHost(helloHost(hello))
	if !ok {
		return nil
	}
	return slots[host]
}

// helloHost is the name that the client sent. A client that connects to an address sends none (RFC 6066 3), so the
// address that it reached stands for it.
func helloHost(hello *tls.ClientHelloInfo) string {
	if hello.ServerName != "" {
		return hello.ServerName
	}
	if tcp, ok := hello.Conn.LocalAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("").String()
	}
	return ""
}

// answerChallenge answers an ACME HTTP challenge, if r is one that is under way. Other hosts than those that
// wait for a certificate are not looked up: strangers choose that name.
func (c *certificates) answerChallenge(w http.ResponseWriter, r *http.Request) bool {
	host, ok := canonicalHost(r.Host)
	if !ok {
		return false
	}
	slot := c.table.Load().hosts[host]
	return slot != nil && slot.source == sourceACME && c.acme.answer(w, r)
}

var errNoACME = errors.New("no certificate from the authority yet")
