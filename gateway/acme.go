package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// acmePorts are the gateway's own listeners, where the challenges of RFC 8555 and RFC 8737 arrive; 0 = none.
type acmePorts struct {
	host        string
	http, https int
}

// challengePorts finds the first listener of each kind.
func challengePorts(open []*listener) acmePorts {
	var p acmePorts
	for _, l := range open {
		tcp, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			continue
		}
		switch {
		case l.kind == kindHTTP && p.http == 0:
			p.http = tcp.Port
		case l.kind == kindHTTPS && p.https == 0:
			p.https = tcp.Port
		default:
			continue
		}
		if !tcp.IP.IsUnspecified() {
			p.host = tcp.IP.String()
		}
	}
	return p
}

// acmeClient obtains and renews certificates through certmagic. certmagic's package variables stay as they
// are: everything is in its own Cache and Config.
type acmeClient struct {
	dir    string
	ports  acmePorts
	log    *slog.Logger
	zap    *zap.Logger
	active atomic.Pointer[acmeActive]

	// Used under certificates.changing.
	ctx     context.Context
	cache   *certmagic.Cache
	managed map[string]bool
}

// acmeActive is the client under one configuration.
type acmeActive struct {
	settings ACMEConfig
	config   *certmagic.Config
	issuer   *certmagic.ACMEIssuer
}

func newACMEClient(dir string, ports acmePorts, log *slog.Logger) *acmeClient {
	return &acmeClient{dir: dir, ports: ports, log: log, zap: zap.New(slogCore{log.Handler()}), managed: make(map[string]bool)}
}

// checkACME reads what manage will need, so that a reload fails before it changes anything.
func checkACME(cfg ACMEConfig) error {
	_, err := acmeRoots(cfg)
	return err
}

func acmeRoots(cfg ACMEConfig) (*x509.CertPool, error) {
	if cfg.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read tls.acme.ca_file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read tls.acme.ca_file %s: no PEM certificate in it", cfg.CAFile)
	}
	return roots, nil
}

// start makes the cache, whose goroutine renews certificates until stop.
func (a *acmeClient) start(ctx context.Context) {
	a.ctx = ctx
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) {
			if active := a.active.Load(); active != nil {
				return active.config, nil
			}
			return nil, errNoACME
		},
		Logger: a.zap.WithOptions(zap.IncreaseLevel(zap.WarnLevel)), // below that it reports its own goroutine
	})
}

func (a *acmeClient) stop() { a.cache.Stop() }

// manage obtains the certificates of hosts in the background, and stops renewing those of other hosts.
func (a *acmeClient) manage(cfg ACMEConfig, hosts []string) {
	if a.cache == nil {
		return // not running yet; start comes first
	}
	if active := a.active.Load(); active == nil || active.settings != cfg {
		if err := a.configure(cfg); err != nil {
			a.log.Error("configure ACME", slog.Any("error", err))
			return
		}
	}
	wanted := make(map[string]bool, len(hosts))
	for _, host := range hosts {
		wanted[host] = true
	}
	var gone []certmagic.SubjectIssuer
	for host := range a.managed {
		if !wanted[host] {
			gone = append(gone, certmagic.SubjectIssuer{Subject: host})
		}
	}
	a.cache.RemoveManaged(gone)
	a.managed = wanted
	if len(hosts) == 0 {
		return
	}
	if err := a.active.Load().config.ManageAsync(a.ctx, hosts); err != nil {
		a.log.Error("manage certificates", slog.Any("error", err))
	}
}

func (a *acmeClient) configure(cfg ACMEConfig) error {
	roots, err := acmeRoots(cfg)
	if err != nil {
		return err
	}
	config := certmagic.New(a.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: a.dir},
		Logger:  a.zap,
		Issuers: []certmagic.Issuer{}, // set below; never the package's default
	})
	issuer := certmagic.NewACMEIssuer(config, certmagic.ACMEIssuer{
		CA:                      cfg.Directory,
		Email:                   cfg.Email,
		Agreed:                  true, // choosing an authority in the configuration is the agreement
		TrustedRoots:            roots,
		ListenHost:              a.ports.host,
		AltHTTPPort:             a.ports.http,
		AltTLSALPNPort:          a.ports.https,
		DisableHTTPChallenge:    a.ports.http == 0,
		DisableTLSALPNChallenge: a.ports.https == 0,
		Logger:                  a.zap,
	})
	config.Issuers = []certmagic.Issuer{issuer}
	a.active.Store(&acmeActive{settings: cfg, config: config, issuer: issuer})
	return nil
}

// certificate is the one that the authority gave, or a challenge's own (RFC 8737).
func (a *acmeClient) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	active := a.active.Load()
	if active == nil {
		return nil, errNoACME
	}
	return active.config.GetCertificate(hello)
}

// answer answers an HTTP challenge, if r is one that is under way.
func (a *acmeClient) answer(w http.ResponseWriter, r *http.Request) bool {
	active := a.active.Load()
	return active != nil && active.issuer.HandleHTTPChallenge(w, r)
}
