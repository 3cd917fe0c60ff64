package ingest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/doorward/doorward/event"
)

const (
	maxMessage  = 64 << 10         // bytes of one message; RFC 5424 asks for 2,048 and more
	maxSenders  = 10_000           // whose rates are known at once
	maxPriority = 191              // RFC 5424, 6.2.1
	syslogQueue = 4096             // messages between the listeners and the batches
	idle        = 15 * time.Minute // a connection may say nothing
)

// Syslog is a source that takes messages of RFC 5424 and RFC 3164 over UDP, TCP (RFC 6587, both ways of framing) and TLS (RFC 5425).
// It has no position: what was sent while nobody listened is lost.
type Syslog struct {
	status
	cfg    SourceConfig
	tls    *tls.Config
	local  *time.Location
	log    *slog.Logger
	queue  chan Record
	limits limiter
	open   chan struct{} // has room for each connection

	bound []string // guarded by the status's mutex
}

// NewSyslog prepares a source that listens for messages. It reads the certificate, where one is needed, and listens at nothing.
func NewSyslog(cfg SourceConfig, log *slog.Logger) (*Syslog, error) {
	local, err := cfg.zone()
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", cfg.Name, err)
	}
	s := &Syslog{cfg: cfg, local: local, log: log, queue: make(chan Record, syslogQueue), open: make(chan struct{}, cfg.Connections),
		limits: limiter{rate: float64(cfg.Rate), senders: map[netip.Addr]*bucket{}}}
	if !slices.ContainsFunc(cfg.Listen, func(l string) bool { return strings.HasPrefix(l, "tls://") }) {
		return s, nil
	}
	pair, err := tls.LoadX509KeyPair(cfg.Certificate, cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("source %s: read the certificate: %w", cfg.Name, err)
	}
	s.tls = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if cfg.ClientCAFile != "" {
		text, err := os.ReadFile(cfg.ClientCAFile)
		if err != nil {
			return nil, fmt.Errorf("source %s: read the authorities: %w", cfg.Name, err)
		}
		s.tls.ClientCAs, s.tls.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !s.tls.ClientCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("source %s: %s holds no certificate", cfg.Name, cfg.ClientCAFile)
		}
	}
	return s, nil
}

// Name is the source's name.
func (s *Syslog) Name() string { return s.cfg.Name }

// Bound are the addresses that the source listens at now, in the order of the configuration.
func (s *Syslog) Bound() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bound)
}

// Run listens until ctx ends or use fails; see Source. Batches have neither key nor position.
func (s *Syslog) Run(ctx context.Context, _ map[string][]byte, use Use) error {
	return s.again(ctx, func() error {
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		if err := s.listen(ctx, &running); err != nil {
			return err
		}
		s.count(func(h *Health) { h.Problem = "" })
		return s.give(ctx, use)
	})
}

// give makes batches of what arrived.
func (s *Syslog) give(ctx context.Context, use Use) error {
	var records []Record
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case r := <-s.queue:
			records = append(records[:0], r)
		}
		for more := true; more && len(records) < batchLen; {
			select {
			case r := <-s.queue:
				records = append(records, r)
			default:
				more = false
			}
		}
		if err := use(ctx, Batch{Records: records}); err != nil {
			return usedError{err}
		}
		s.counted(records)
	}
}

// listen opens all listeners, or none.
func (s *Syslog) listen(ctx context.Context, running *sync.WaitGroup) error {
	var bound []string
	var serve []func()
	var closers []func() error
	for _, l := range s.cfg.Listen {
		network, address, _ := strings.Cut(l, "://")
		var err error
		if network == "udp" {
			var c net.PacketConn
			if c, err = (&net.ListenConfig{}).ListenPacket(ctx, "udp", address); err == nil {
				bound, closers = append(bound, c.LocalAddr().String()), append(closers, c.Close)
				serve = append(serve, func() { s.packets(ctx, c) })
			}
		} else {
			var c net.Listener
			if c, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address); err == nil {
				bound, closers = append(bound, c.Addr().String()), append(closers, c.Close)
				serve = append(serve, func() { s.accept(ctx, c, network == "tls", running) })
			}
		}
		if err != nil {
			for _, c := range closers {
				_ = c()
			}
			return fmt.Errorf("listen at %s: %w", l, err)
		}
	}
	s.count(func(*Health) { s.bound = bound })
	for _, f := range serve {
		running.Go(f)
	}
	for _, c := range closers {
		context.AfterFunc(ctx, func() { _ = c() })
	}
	return nil
}

// allowed says whether a sender may send one more message now.
func (s *Syslog) allowed(sender netip.Addr) bool {
	if slices.ContainsFunc(s.cfg.Allowed, func(p netip.Prefix) bool { return p.Contains(sender) }) && s.limits.take(sender, time.Now()) {
		return true
	}
	s.count(func(h *Health) { h.Dropped++ })
	return false
}

// packets reads one message a datagram.
func (s *Syslog) packets(ctx context.Context, c net.PacketConn) {
	buf := make([]byte, maxMessage+1)
	for ctx.Err() == nil {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		sender := addrOf(from)
		if !s.allowed(sender) {
			continue
		}
		cut := n > maxMessage
		select {
		case s.queue <- s.record(sender, string(buf[:min(n, maxMessage)]), cut):
		default: // a datagram cannot wait
			s.count(func(h *Health) { h.Dropped++ })
		}
	}
}

func addrOf(a net.Addr) netip.Addr {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap().WithZone("")
}

// accept serves connections, as many at once as the configuration says.
func (s *Syslog) accept(ctx context.Context, l net.Listener, secure bool, running *sync.WaitGroup) {
	for ctx.Err() == nil {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors, mostly
			continue
		}
		sender := addrOf(c.RemoteAddr())
		known := slices.ContainsFunc(s.cfg.Allowed, func(p netip.Prefix) bool { return p.Contains(sender) })
		select {
		case s.open <- struct{}{}:
		default:
			known = false
		}
		if !known {
			s.count(func(h *Health) { h.Dropped++ })
			_ = c.Close()
			continue
		}
		if secure {
			c = tls.Server(c, s.tls)
		}
		running.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			defer func() { stop(); _ = c.Close(); <-s.open }()
			s.stream(ctx, c, sender)
		})
	}
}

// record reads one message. Text is HOST PROGRAM[PID]: MESSAGE, as for an entry of the journal.
func (s *Syslog) record(sender netip.Addr, text string, cut bool) Record {
	r := Record{Source: s.cfg.Name, Cut: cut, Fields: []event.Field{{Key: "sender", Value: sender.String()}}}
	text = strings.TrimRight(text, "\r\n\x00")
	end := -1
	if strings.HasPrefix(text, "<") {
		end = strings.IndexByte(text[:min(len(text), 5)], '>')
	}
	if n, ok := digits(text[min(1, len(text)):], end-1); end < 2 || !ok || n > maxPriority {
		r.Text, r.Malformed = text, true
		return r
	}
	if strings.HasPrefix(text[end+1:], "1 ") && s.modern(&r, text) {
		return r
	}
	s.old(&r, text[end+1:])
	return r
}

// modern reads a message of RFC 5424.
func (s *Syslog) modern(r *Record, text string) bool {
	message, err := rfc5424.NewParser(rfc5424.WithBestEffort()).Parse([]byte(text))
	m, ok := message.(*rfc5424.SyslogMessage)
	if !ok || m == nil || m.Priority == nil || err != nil && m.Message == nil {
		return false
	}
	of := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	if m.Timestamp != nil {
		r.Time = m.Timestamp.UTC()
	}
	r.Program, r.Message = of(m.Appname), strings.TrimPrefix(of(m.Message), "\ufeff")
	s.head(r, &m.Base, of(m.Hostname), of(m.ProcID))
	for _, f := range sorted(m.StructuredData) {
		if len(r.Fields) < maxFields {
			r.Fields = append(r.Fields, f)
		}
	}
	return true
}

// sorted are the parameters of structured data, as ID.NAME.
func sorted(data *map[string]map[string]string) []event.Field {
	var all []event.Field
	if data == nil {
		return nil
	}
	for id, params := range *data {
		for name, value := range params {
			all = append(all, event.Field{Key: id + "." + name, Value: value})
		}
	}
	slices.SortFunc(all, func(a, b event.Field) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// old reads a message of RFC 3164, as far as it is one.
func (s *Syslog) old(r *Record, text string) {
	for _, end := range [...]int{15, strings.IndexByte(text, ' ')} {
		if end < minMoment || end >= len(text) || text[end] != ' ' {
			continue
		}
		if t, ok := readTime(text[:end], s.local, time.Now()); ok {
			r.Time, text = t, text[end+1:]
			break
		}
	}
	host, program, pid, message, ok := splitHead(text)
	if r.Time.IsZero() || !ok { // no date or no host: PROGRAM[PID]: MESSAGE
		if _, program, pid, message, ok = splitHead("- " + text); !ok {
			r.Text = strings.ReplaceAll(text, "\n", `\n`)
			return
		}
		host = ""
	}
	r.Program, r.Message = program, message
	s.head(r, nil, host, pid)
}

// head adds what both kinds of messages say of where they come from.
func (s *Syslog) head(r *Record, b *syslog.Base, host, pid string) {
	r.Text = headless(host, r.Program, pid, r.Message)
	for _, f := range [...]event.Field{{Key: "host", Value: host}, {Key: "pid", Value: pid}} {
		if f.Value != "" {
			r.Fields = append(r.Fields, f)
		}
	}
	if b != nil && b.MsgID != nil {
		r.Fields = append(r.Fields, event.Field{Key: "msgid", Value: *b.MsgID})
	}
}
