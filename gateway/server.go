package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// drainTime is how long requests under way may take to finish at shutdown.
const drainTime = 15 * time.Second

// server owns everything between the network and the chain: sockets, connections, TLS and the clock of a
// request's arrival.
type server struct {
	conns     *connTable
	certs     *certificates
	streams   *streams
	listeners []*listener
	servers   map[string]*http.Server // by kind
	ready     chan struct{}
	log       *slog.Logger

	bodyTimeout   atomic.Int64 // a time.Duration
	protocolFault atomic.Uint64
}

// newServer opens the listeners and prepares the certificates of cfg. g serves what arrives.
func newServer(cfg Config, g *Gateway) (*server, error) {
	s := &server{conns: newConnTable(cfg.Limits.Connections), streams: g.streams, ready: make(chan struct{}), log: g.log}
	s.bodyTimeout.Store(int64(cfg.Limits.BodyTimeout))
	var err error
	s.checkFiles(cfg.Limits)
	sockets := maps.Clone(g.sockets)
	if s.listeners, err = openListeners(cfg.Listen, sockets, s.conns); err != nil {
		return nil, err
	}
	for name, list := range sockets {
		for _, l := range list {
			// Clients would connect to it and wait for ever.
			g.log.Warn("systemd passed a socket that listen does not name", slog.String("socket", name), slog.String("address", l.Addr().String()))
		}
	}
	if s.certs, err = newCertificates(cfg, challengePorts(s.listeners), g.log); err != nil {
		s.Close()
		return nil, err
	}
	redirect := &redirector{g: g, challenge: s.certs.answerChallenge, port: httpsPort(s.listeners)}
	s.servers = map[string]*http.Server{
		kindHTTPS: s.httpServer(cfg.Limits, g),
		kindPlain: s.httpServer(cfg.Limits, g),
		kindHTTP:  s.httpServer(cfg.Limits, redirect),
	}
	config := s.certs.tlsConfig()
	config.GetConfigForClient = g.askForCertificate(s.certs.tlsConfig())
	s.servers[kindHTTPS].TLSConfig = config
	return s, nil
}

// checkFiles warns when the system's limit on open files would be reached before the gateway's own limits,
// which refuse politely.
func (s *server) checkFiles(limits LimitsConfig) {
	const others = 256 // the database, certificates, idle connections to upstreams
	need := uint64(limits.Connections + limits.InFlight + others)
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil && files.Cur < need {
		s.log.Warn("the limit on open files is too low for limits.connections and limits.in_flight",
			slog.Uint64("have", files.Cur), slog.Uint64("need", need))
	}
}

// httpServer sets every bound that net/http offers. The write timeout counts from a request's arrival; for
// answers that make progress beyond it, streams moves it on.
func (s *server) httpServer(limits LimitsConfig, h http.Handler) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true) // over TLS only: without it UnencryptedHTTP2 would have to be set
	return &http.Server{
		Handler:           s.arrive(h),
		ReadHeaderTimeout: limits.HeaderTimeout,
		WriteTimeout:      2 * limits.BodyTimeout,
		IdleTimeout:       limits.IdleTimeout,
		MaxHeaderBytes:    int(limits.HeaderBytes),
		Protocols:         &protocols,
		HTTP2: &http.HTTP2Config{
			// net/http runs at most this many handlers a connection and closes it once four times as many
			// wait, so that resetting streams as fast as they open gains nothing (CVE-2023-44487).
			MaxConcurrentStreams: 100,
			SendPingTimeout:      30 * time.Second,
			PingTimeout:          15 * time.Second,
			WriteByteTimeout:     limits.BodyTimeout,
		},
		ConnContext: withConn,
		// `OPTIONS *` is refused and recorded like any other target that names no page.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(faultCounter{s.log.Handler(), &s.protocolFault}, slog.LevelDebug),
	}
}

// arrive notes the request on its connection and bounds the pauses inside its body.
func (s *server) arrive(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := connOf(r); c != nil {
			c.begin()
			defer c.end()
		}
		if r.Body != nil && r.Body != http.NoBody {
			// A copy: net/http looks at its own request's body when it ends the exchange.
			r = r.WithContext(r.Context())
			body := newPacedBody(w, r.Body, time.Duration(s.bodyTimeout.Load()))
			r.Body = body
			defer body.leave()
		}
		next.ServeHTTP(w, r)
	})
}

// reload takes over certificates and the limits that can change while running. On an error everything is as before.
func (s *server) reload(ctx context.Context, cfg Config) error {
	if err := s.certs.reload(ctx, cfg); err != nil {
		return err
	}
	s.conns.setLimit(cfg.Limits.Connections)
	s.bodyTimeout.Store(int64(cfg.Limits.BodyTimeout))
	s.streams.configure(cfg.Limits)
	return nil
}

// addresses lists where the gateway listens for kind.
func (s *server) addresses(kind string) []net.Addr {
	var out []net.Addr
	for _, l := range s.listeners {
		if l.kind == kind {
			out = append(out, l.Addr())
		}
	}
	return out
}

// Run serves until ctx ends, drains, and returns; an error is a listener's that gave up.
func (s *server) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { s.certs.Run(background) })
	running.Go(func() { s.streams.Run(background) })
	failed := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		running.Go(func() {
			if err := s.serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s on %s: %w", l.kind, l.Addr(), err)
			}
		})
	}
	close(s.ready)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.drain()
	stop()
	running.Wait()
	return err
}

// Alive tells whether the parts that every request passes still move: their locks can be had, and open
// streams are being watched. It blocks for as long as they do not, so call it with a time limit.
func (g *Gateway) Alive() error {
	g.server.conns.stats()
	before := g.streams.tick.Load()
	for range 8 {
		time.Sleep(sweepEvery)
		if g.streams.tick.Load() != before {
			return nil
		}
	}
	return errors.New("open streams are not being watched")
}

func (s *server) serve(l *listener) error {
	if l.kind == kindHTTPS {
		return s.servers[kindHTTPS].ServeTLS(l, "", "")
	}
	return s.servers[l.kind].Serve(l)
}

// drain stops accepting, ends what would never end by itself, lets the rest finish, and closes what is left.
func (s *server) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	s.streams.shutdown()
	s.conns.closeSilent()
	var servers sync.WaitGroup
	for _, srv := range s.servers {
		servers.Go(func() {
			if err := srv.Shutdown(ctx); err != nil {
				s.log.Warn("close connections that did not finish", slog.Any("error", err))
				srv.Close()
			}
		})
	}
	servers.Wait()
	s.conns.closeAll()
}

// Close frees the listeners of a server that was never run.
func (s *server) Close() error {
	closeListeners(s.listeners)
	return nil
}

// faultCounter counts what net/http complains about (bad handshakes, broken requests) on its way to the
// debug log: strangers can cause any number of them.
type faultCounter struct {
	slog.Handler
	count *atomic.Uint64
}

// Handle counts and passes on.
func (f faultCounter) Handle(ctx context.Context, r slog.Record) error {
	f.count.Add(1)
	if !f.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return f.Handler.Handle(ctx, r)
}

// Enabled is always true, or nothing would be counted.
func (f faultCounter) Enabled(context.Context, slog.Level) bool { return true }

// httpsPort is the port that plain HTTP redirects to.
func httpsPort(open []*listener) int {
	for _, l := range open {
		if tcp, ok := l.Addr().(*net.TCPAddr); ok && l.kind == kindHTTPS {
			return tcp.Port
		}
	}
	return 443
}
