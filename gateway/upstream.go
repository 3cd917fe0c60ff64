package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// maxUpstreams bounds a site's upstreams, so that a request can note in one word which it tried.
const maxUpstreams = 64

// idleUpstream is how long an unused connection to an upstream is kept: less than the servers of applications
// keep theirs (gunicorn 2 s, Apache and Node.js 5 s), or a POST would meet one that is just being closed, and
// that is a 502, because it must not be sent twice.
const idleUpstream = 1500 * time.Millisecond

// upstream is one address of an application.
type upstream struct {
	name      string // as configured
	scheme    string
	host      string // host:port for URLs; for a unix socket only a word
	transport *http.Transport
	health    health
	requests  atomic.Uint64
	failures  atomic.Uint64
}

// pool is the upstreams of one site. Requests go round robin to those that work.
type pool struct {
	cfg       UpstreamConfig
	upstreams []*upstream
	next      atomic.Uint64
	log       *slog.Logger
}

// newPool reads the addresses http://host:port, https://host:port and unix:/path.
func newPool(cfg UpstreamConfig, addresses []string, log *slog.Logger) (*pool, error) {
	if len(addresses) == 0 {
		return nil, errors.New("no upstreams")
	}
	if len(addresses) > maxUpstreams {
		return nil, fmt.Errorf("%d upstreams; at most %d are possible", len(addresses), maxUpstreams)
	}
	p := &pool{cfg: cfg, log: log}
	for i, address := range addresses {
		u, err := newUpstream(cfg, address, log)
		if err != nil {
			return nil, fmt.Errorf("upstreams[%d]: %w", i, err)
		}
		p.upstreams = append(p.upstreams, u)
	}
	return p, nil
}

func newUpstream(cfg UpstreamConfig, address string, log *slog.Logger) (*upstream, error) {
	u := &upstream{name: address}
	network, target := "tcp", ""
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return nil, fmt.Errorf("%q: write unix: and an absolute path", address)
		}
		network, target, u.scheme, u.host = "unix", path, "http", "unix"
	} else {
		parsed, err := url.Parse(address)
		if err != nil || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Hostname() == "" ||
			(parsed.Path != "" && parsed.Path != "/") || parsed.RawQuery != "" || parsed.Fragment != "" || parsed.User != nil {
			return nil, fmt.Errorf("%q is not http://host:port, https://host:port or unix:/path", address)
		}
		port := parsed.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[parsed.Scheme]
		}
		target = net.JoinHostPort(parsed.Hostname(), port)
		u.scheme, u.host = parsed.Scheme, target
	}
	u.health = health{name: address, maxFails: int32(cfg.MaxFails), restFor: cfg.RestFor, log: log}
	dialer := &net.Dialer{Timeout: cfg.ConnectTimeout}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, target)
		if err != nil {
			return nil, &connectError{err}
		}
		return &pacedConn{Conn: conn, pause: cfg.ResponseTimeout}, nil
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	u.transport = &http.Transport{
		Proxy:                  nil, // an environment variable must not reroute requests that carry identity
		DialContext:            dial,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        idleUpstream,
		ResponseHeaderTimeout:  cfg.ResponseTimeout,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true,
		Protocols:              &protocols,
		WriteBufferSize:        16 << 10,
		ReadBufferSize:         16 << 10,
	}
	if u.scheme == "https" {
		tlsConfig, err := upstreamTLS(cfg, target)
		if err != nil {
			return nil, err
		}
		u.transport.DialTLSContext = dialTLS(dial, tlsConfig, cfg.ConnectTimeout)
	}
	return u, nil
}

func upstreamTLS(cfg UpstreamConfig, target string) (*tls.Config, error) {
	host, _, _ := net.SplitHostPort(target) // JoinHostPort made it
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         host,
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(64),
	}
	if cfg.ServerName != "" {
		c.ServerName = cfg.ServerName
	}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read upstream.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read upstream.ca_file %s: no PEM certificate in it", cfg.CAFile)
		}
	}
	return c, nil
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dialTLS does the handshake as a part of connecting: whatever fails there, the request is still whole.
func dialTLS(dial dialFunc, config *tls.Config, timeout time.Duration) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		raw, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		conn := tls.Client(raw, config)
		if err := conn.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, &connectError{err}
		}
		return conn, nil
	}
}

// connectError is a failure before anything of a request was sent.
type connectError struct{ error }

// Unwrap returns the cause.
func (e *connectError) Unwrap() error { return e.error }

// roundTrip sends req to an upstream. A request that no upstream has seen is tried on the next one; a GET,
// HEAD or OPTIONS that broke before its answer began is tried once more; nothing else is ever sent twice.
func (p *pool) roundTrip(req *http.Request) (*http.Response, error) {
	var body *attemptBody
	if req.Body != nil && req.Body != http.NoBody {
		body = &attemptBody{source: req.Body}
		req.Body = body
	}
	start := uint64(0)
	if len(p.upstreams) > 1 {
		start = p.next.Add(1)
	}
	var tried uint64
	repeated := false
	for attempt := 0; ; attempt++ {
		i := p.pick(start, tried, time.Now())
		u := p.upstreams[i]
		tried |= 1 << i
		if attempt > 0 {
			req = retryOf(req)
		}
		req.URL.Scheme, req.URL.Host = u.scheme, u.host
		u.requests.Add(1)
		res, err := u.transport.RoundTrip(req)
		if err == nil {
			u.health.succeeded()
			return res, nil
		}
		if cause := body.failure(); cause != nil {
			return nil, cause // the client's doing
		}
		if req.Context().Err() != nil {
			return nil, err
		}
		u.failures.Add(1)
		u.health.failed(err, time.Now())
		all := tried == 1<<len(p.upstreams)-1
		var unsent *connectError
		switch {
		case errors.As(err, &unsent) && !body.touched():
			if all {
				return nil, err
			}
		case repeatable(req, err) && !repeated:
			repeated = true
			if all {
				tried = 0
			}
		default:
			return nil, err
		}
	}
}

// pick chooses the next upstream that was not tried: in turn among the healthy, else among the resting,
// because a rest is a guess and an error page is certain.
func (p *pool) pick(start, tried uint64, now time.Time) int {
	n := uint64(len(p.upstreams))
	second := -1
	for k := range n {
		i := int((start + k) % n)
		if tried&(1<<i) != 0 {
			continue
		}
		if p.upstreams[i].health.usable(now) {
			return i
		}
		if second < 0 {
			second = i
		}
	}
	return max(second, 0)
}

// repeatable says that sending req again can do no harm and may help. A timeout is not repeated: the
// upstream is at work on the first one.
func repeatable(req *http.Request, err error) bool {
	if req.Body != nil && req.Body != http.NoBody || isTimeout(err) {
		return false
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return req.Header.Get("Upgrade") == ""
	}
	return false
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// retryOf copies what changes between attempts: the transport may still be reading the earlier request.
func retryOf(req *http.Request) *http.Request {
	again := *req
	target := *req.URL
	again.URL = &target
	return &again
}

// attemptBody is a request body that survives an attempt that never read it, and tells a failing client
// from a failing upstream.
type attemptBody struct {
	source io.Reader
	read   atomic.Bool
	err    atomic.Pointer[error]
}

// Read notes that the body is no longer whole.
func (b *attemptBody) Read(p []byte) (int, error) {
	b.read.Store(true)
	n, err := b.source.Read(p)
	if err != nil && err != io.EOF {
		b.err.CompareAndSwap(nil, &err)
	}
	return n, err
}

// Close leaves the body for another attempt; the server closes it at the end.
func (b *attemptBody) Close() error { return nil }

func (b *attemptBody) touched() bool { return b != nil && b.read.Load() }

func (b *attemptBody) failure() error {
	if b == nil {
		return nil
	}
	if err := b.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Close frees the idle connections; requests under way finish.
func (p *pool) Close() {
	for _, u := range p.upstreams {
		u.transport.CloseIdleConnections()
	}
}
