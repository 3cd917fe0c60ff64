package bouncer

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
)

const (
	// atOnce is how many answers are written at the same time; each may be the whole list.
	atOnce     = 8
	maxMetrics = 1 << 20
	// maxWithin caps the answer about what lies in a range.
	maxWithin  = 200_000
	rereadAll  = 10 * time.Second // how often removed keys of other nodes are noticed
	noteUse    = time.Minute      // how exactly the last use is kept of bouncers that only ask about single addresses
	writeLimit = 2 * time.Minute
)

// Deps is what the server works with.
type Deps struct {
	List    *decision.List
	DB      *store.DB
	Journal *journal.Journal
	Log     *slog.Logger
}

// Server answers bouncers. Make one with New, start it with Run.
type Server struct {
	list     *decision.List
	keys     *Keys
	log      *slog.Logger
	listener net.Listener // nil: there is none
	http     *http.Server
	places   chan struct{}
}

// New opens the listener that cfg names, if it names one. An address that is not loopback takes a certificate.
func New(ctx context.Context, cfg decision.BouncerConfig, deps Deps) (*Server, error) {
	s := &Server{list: deps.List, keys: NewKeys(deps.DB, deps.Journal), log: deps.Log, places: make(chan struct{}, atOnce)}
	if cfg.Listen == "" {
		return s, nil
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: writeLimit,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(deps.Log.Handler(), slog.LevelDebug)}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for bouncers: %w", err)
	}
	if cfg.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(cfg.Certificate, cfg.Key)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("load certificate for bouncers: %w", err), l.Close())
		}
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}})
	} else if bound, ok := l.Addr().(*net.TCPAddr); !ok || !bound.IP.IsLoopback() {
		return nil, errors.Join(errors.New("bouncers' keys would travel unprotected: give a certificate, or listen on a loopback address"), l.Close())
	}
	s.listener = l
	return s, nil
}

// Keys are the bouncers' keys.
func (s *Server) Keys() *Keys { return s.keys }

// Address is where the server listens; nil when it does not.
func (s *Server) Address() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Run serves until ctx ends. Without a listener it only waits for that.
func (s *Server) Run(ctx context.Context) error {
	if s.listener == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	stop := context.AfterFunc(ctx, func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if s.http.Shutdown(end) != nil {
			s.http.Close()
		}
	})
	defer stop()
	go s.follow(ctx)
	if err := s.http.Serve(s.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve bouncers: %w", err)
	}
	return nil
}

// follow notices keys that another node removed.
func (s *Server) follow(ctx context.Context) {
	ticker := time.NewTicker(rereadAll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			// While the store is away the keys stay as they are: bouncers go on.
			_ = s.keys.reload(ctx, time.Now())
		}
	}
}

// Close stops listening.
func (s *Server) Close() error {
	if s.listener == nil {
		return nil
	}
	err := s.http.Close()
	if closeErr := s.listener.Close(); closeErr != nil && !errors.Is(closeErr, net.ErrClosed) {
		err = errors.Join(err, closeErr)
	}
	return err
}

// fault is an answer other than success; its text is in the form of CrowdSec's errors.
type fault struct {
	status  int
	message string
}

func (f *fault) Error() string { return f.message }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if err := s.answer(w, r, time.Now()); err != nil {
		var no *fault
		if !errors.As(err, &no) {
			s.log.Warn("answer bouncer", slog.String("path", r.URL.Path), slog.Any("error", err))
			no = &fault{http.StatusInternalServerError, "the decisions cannot be read now"}
		}
		text, _ := json.Marshal(map[string]string{"message": no.message}) // a string: cannot fail
		w.WriteHeader(no.status)
		_, _ = w.Write(text) // an error is the bouncer's departure
	}
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, now time.Time) error {
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	path := strings.TrimPrefix(r.URL.Path, "/")
	switch {
	case path == "v1/decisions" && read, path == "v1/decisions/stream" && read:
	case path == "v1/usage-metrics" && r.Method == http.MethodPost:
	case path == "health" && read:
		_, err := io.WriteString(w, `{"status":"up"}`)
		return ignore(err)
	default:
		return &fault{http.StatusNotFound, "Page or Method not found"}
	}
	secret := r.Header.Get("X-Api-Key")
	held, known := key{}, false
	if secret != "" {
		held, known = s.keys.find(r.Context(), secret, now)
	}
	if !known {
		return &fault{http.StatusForbidden, "access forbidden"}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &fault{http.StatusBadRequest, "the query is malformed"}
	}
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	case <-r.Context().Done():
		return nil
	}
	switch path {
	case "v1/decisions":
		return s.query(w, r, held, query, now)
	case "v1/decisions/stream":
		return s.stream(w, r, held, query, now)
	default:
		// Bouncers count what they did and tell the local API. It is read, so that they do not repeat it, and kept nowhere.
		if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxMetrics)); err != nil {
			return &fault{http.StatusBadRequest, "the metrics cannot be read"}
		}
		w.WriteHeader(http.StatusCreated)
		return nil
	}
}

// ignore drops the error of an answer that is on its way: it is the bouncer's departure.
func ignore(error) error { return nil }

// query answers about one address, range or other value, from memory.
func (s *Server) query(w http.ResponseWriter, r *http.Request, held key, q url.Values, now time.Time) error {
	found, all, err := s.pick(q, now)
	if err != nil {
		return err
	}
	if now.Sub(held.LastUsed) > noteUse {
		if err := s.keys.used(r.Context(), held, now, peer(r), r.UserAgent(), nil); err != nil {
			s.log.Warn("note use of a bouncer", slog.Any("error", err)) // the answer does not depend on it
		}
	}
	if r.Method == http.MethodHead {
		return nil
	}
	wanted := picksOf(q)
	out := newList(w)
	write := func(d decision.Decision) bool {
		i := itemOf(d, false, now)
		if kind := q.Get("type"); kind != "" && !strings.EqualFold(kind, i.Type) || !wanted.wants(i) {
			return true
		}
		return out.add(i)
	}
	if all {
		s.list.Standing(now, write)
	}
	for _, d := range found {
		if !write(d) {
			break
		}
	}
	out.end()
	return ignore(out.flush())
}

func picksOf(q url.Values) picks {
	p := picks{scopes: words(q.Get("scopes")), origins: words(q.Get("origins")), containing: words(q.Get("scenarios_containing")),
		without: words(q.Get("scenarios_not_containing"))}
	if scope := q.Get("scope"); scope != "" && q.Get("value") == "" {
		p.scopes = append(p.scopes, scope)
	}
	return p
}

// pick reads what a query is about. all: everything.
func (s *Server) pick(q url.Values, now time.Time) (found []decision.Decision, all bool, err error) {
	ip, within, value := q.Get("ip"), q.Get("range"), q.Get("value")
	switch scope := strings.ToLower(q.Get("scope")); {
	case value == "" || ip != "" || within != "":
	case scope == "ip":
		ip = value
	case scope == "range":
		within = value
	case scope == "username":
		d, ok := s.list.LookupAccount(value, now)
		return one(d, ok), false, nil
	case scope == "country":
		d, ok := s.list.LookupCountry(strings.ToUpper(value), now)
		return one(d, ok), false, nil
	case scope != "":
		return nil, false, nil // a scope that we have nothing of
	default:
		ip = value
	}
	switch {
	case ip != "":
		addr, err := netip.ParseAddr(ip)
		if err != nil {
			return nil, false, &fault{http.StatusBadRequest, "ip is not an address"}
		}
		return s.list.About(addr, now), false, nil
	case within != "":
		prefix, err := netip.ParsePrefix(within)
		if err != nil {
			return nil, false, &fault{http.StatusBadRequest, "range is not a network"}
		}
		if q.Get("contains") == "false" {
			return s.list.Within(prefix, maxWithin, now), false, nil
		}
		for _, d := range s.list.About(prefix.Masked().Addr(), now) {
			if d.Target.Prefix.Bits() <= prefix.Bits() {
				found = append(found, d)
			}
		}
		return found, false, nil
	}
	return nil, true, nil
}

func one(d decision.Decision, ok bool) []decision.Decision {
	if !ok {
		return nil
	}
	return []decision.Decision{d}
}

// stream answers what changed since the bouncer's last answer, or with startup everything that stands. How far the bouncer is moves on only
// once the answer is out.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, held key, q url.Values, now time.Time) error {
	if r.Method == http.MethodHead {
		return nil
	}
	wanted, out := picksOf(q), newList(w)
	var at decision.Position
	if startup := q.Get("startup"); startup == "true" || held.at.At.IsZero() {
		at.At = now
		out.text(`{"deleted":null,"new":`)
		at.Revision = s.list.Standing(now, func(d decision.Decision) bool { return send(out, wanted, d, false, now) })
	} else {
		added, ended, next, err := s.list.Since(r.Context(), held.at, now)
		if err != nil {
			return err
		}
		at = next
		standing := make(map[string]bool, len(added))
		for _, d := range added {
			standing[d.Target.String()+" "+string(d.Action)] = true
		}
		out.text(`{"deleted":`)
		for _, d := range ended {
			if !standing[d.Target.String()+" "+string(d.Action)] {
				send(out, wanted, d, true, now)
			}
		}
		out.end()
		out.text(`,"new":`)
		for _, d := range added {
			send(out, wanted, d, false, now)
		}
	}
	out.end()
	out.text("}")
	if out.flush() != nil || r.Context().Err() != nil {
		return nil // it did not arrive: the next answer says it again
	}
	// Without a store the bouncer reads the same again, which does no harm.
	if err := s.keys.used(r.Context(), held, now, peer(r), r.UserAgent(), &at); err != nil {
		s.log.Warn("note how far a bouncer has read", slog.Any("error", err))
	}
	return nil
}

func send(out *list, wanted picks, d decision.Decision, over bool, now time.Time) bool {
	if i := itemOf(d, over, now); wanted.wants(i) {
		return out.add(i)
	}
	return true
}

func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
