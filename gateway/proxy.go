package gateway

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
)

// errCut ends an exchange from outside: its session ended, its site is gone, or the gateway stops.
var errCut = errors.New("cut off")

// proxy forwards judged requests to one site's application.
type proxy struct {
	site    *site
	streams *streams
	log     *slog.Logger
	flights sync.Pool
	buffers bufferPool
}

func newProxy(s *site, g *Gateway) *proxy {
	p := &proxy{site: s, streams: g.streams, log: g.log}
	p.flights.New = func() any { return p.newFlight() }
	return p
}

// flight is one request on its way to the application and back. It carries what httputil.ReverseProxy's
// hooks need, so that they find it without a context value; flights are reused, as their hooks are costly
// to make.
type flight struct {
	httputil.ReverseProxy
	proxy   *proxy
	streams *streams

	x       *exchange
	err     error // why there is no answer from the application
	upgrade bool  // the client asked for a websocket, and may
	answer  *http.Response

	writing  atomic.Int64 // the sweep in which a write to the client began; 0 = none
	cutOff   atomic.Bool
	endless  atomic.Bool // an event stream or a websocket
	hijacked atomic.Bool

	mu     sync.Mutex    // held while the flight is changed from outside
	source io.ReadCloser // the application's answer
	over   bool          // the response writer must not be used any more

	generation uint64 // counts the uses; changed under mu while in no list, so that either lock may read it

	// Guarded by streams.mu.
	prev, next *flight
	joined     int64 // the sweep in which it joined
	settled    bool  // counted as endless
}

func (p *proxy) newFlight() *flight {
	f := &flight{proxy: p, streams: p.streams}
	f.ReverseProxy = httputil.ReverseProxy{
		Rewrite:        f.rewrite,
		Transport:      transportFunc(p.site.pool.roundTrip),
		BufferPool:     &p.buffers,
		ModifyResponse: f.receive,
		ErrorHandler:   f.fail,
		ErrorLog:       slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
	return f
}

// serve forwards r and passes the answer on. An error means that nothing was answered yet. An answer that
// breaks off in the middle ends in a panic with http.ErrAbortHandler, which breaks the client's side too.
func (p *proxy) serve(w http.ResponseWriter, r *http.Request, x *exchange) error {
	upgrade, err := p.mayUpgrade(r, x)
	if err != nil {
		return err
	}
	if !upgrade && r.Header["Upgrade"] != nil {
		r.Header.Del("Upgrade") // a server may ignore it (RFC 9110 7.8); h2c must not get through
	}
	if !strings.HasPrefix(x.path.raw, "/") || strings.HasPrefix(x.path.raw, "//") {
		return refuse(http.StatusBadRequest, "path-ambiguous", "")
	}
	x.interim = r.ProtoAtLeast(1, 1)
	f := p.flights.Get().(*flight)
	f.start(x, upgrade)
	p.streams.join(f)
	finished := false
	defer func() {
		p.streams.leave(f)
		if finished {
			f.x = nil
			p.flights.Put(f)
		}
	}()
	f.ServeHTTP(w, r)
	finished = true
	if f.err != nil {
		return f.refusal(r)
	}
	return nil
}

// start makes f ready for another request.
func (f *flight) start(x *exchange, upgrade bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.generation++
	f.x, f.err, f.upgrade, f.answer, f.source, f.over = x, nil, upgrade, nil, nil, false
	f.writing.Store(0)
	f.cutOff.Store(false)
	f.endless.Store(false)
	f.hijacked.Store(false)
}

// mayUpgrade decides about `Upgrade: websocket`: only on paths that the application's folder declares, and
// only from the site's own pages, because browsers open websockets to other sites with cookies and without
// asking (RFC 6455 10.2).
func (p *proxy) mayUpgrade(r *http.Request, x *exchange) (bool, error) {
	values := r.Header["Upgrade"]
	if len(values) != 1 || !strings.EqualFold(values[0], "websocket") || r.ProtoMajor != 1 {
		return false, nil
	}
	if err := judgeWebSocket(r, x); err != nil {
		return false, err
	}
	return true, nil
}

func judgeWebSocket(r *http.Request, x *exchange) error {
	if r.Method != http.MethodGet || !x.path.under(x.site.app.WebSocketPaths) {
		return refuse(http.StatusForbidden, "websocket-undeclared", "")
	}
	if origin := r.Header.Get("Origin"); origin != "" && !sameOrigin(origin, r.Host) || x.secure && fromPlainHTTP(r) {
		return refuse(http.StatusForbidden, "cross-site", "")
	}
	return nil
}

func sameOrigin(origin, host string) bool {
	_, rest, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(rest, host)
}

// rewrite makes the outgoing request. It runs after the hop-by-hop headers are gone, so that a client's
// Connection header cannot take away what is set here (security.md 4).
func (f *flight) rewrite(pr *httputil.ProxyRequest) {
	x, out := f.x, pr.Out
	// Opaque is sent as it is: the bytes that were judged (security.md 2).
	out.URL.Opaque, out.URL.RawQuery, out.URL.ForceQuery = x.path.raw, x.path.query, false
	out.Host = hostWithPort(x.host, pr.In.Host)
	setForwarded(out.Header, x, out.Host)
	x.site.identity.set(out.Header, x)
}

// receive takes the application's answer before anything of it is passed on.
func (f *flight) receive(res *http.Response) error {
	if f.ended() {
		return refuse(http.StatusUnauthorized, "session-ended", "")
	}
	if res.StatusCode < http.StatusContinue {
		return fmt.Errorf("upstream answered with status %03d, which there is not", res.StatusCode) // net/http panics on it
	}
	if err := f.x.inspectAnswer(res); err != nil {
		return err
	}
	applyResponseRules(res.Header, f.x.site, f.x.secure, true)
	if f.x.corsOrigin != "" {
		allowOrigin(res.Header, f.x.corsOrigin, f.x.corsCredentials)
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return f.switchProtocols(res)
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		if err := f.streams.settle(f); err != nil {
			return err
		}
	}
	res.Trailer = nil // see answerBody.Read
	f.answer = res
	f.begin(res.Body)
	res.Body = answerBody{f}
	return nil
}

// begin notes what is to be closed when the flight is cut.
func (f *flight) begin(source io.ReadCloser) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.source = source
	if f.cutOff.Load() { // while the application was being asked
		source.Close()
	}
}

func (f *flight) switchProtocols(res *http.Response) error {
	both, ok := res.Body.(io.ReadWriteCloser)
	if !ok || !f.upgrade || !strings.EqualFold(res.Header.Get("Upgrade"), "websocket") {
		return errors.New("upstream switched to a protocol that nobody asked for")
	}
	if err := f.streams.settle(f); err != nil {
		return err
	}
	f.hijacked.Store(true)
	f.begin(both)
	f.x.wroteHeader, f.x.status = true, http.StatusSwitchingProtocols
	return nil
}

// fail keeps the error for serve, which returns it to the chain.
func (f *flight) fail(_ http.ResponseWriter, _ *http.Request, err error) {
	f.err = err
}

// refusal makes the answer of a request that the application did not answer.
func (f *flight) refusal(r *http.Request) error {
	var no *refusal
	var large *http.MaxBytesError
	switch err := f.err; {
	case errors.As(err, &no):
		return no
	case errors.As(err, &large):
		no = refuse(http.StatusRequestEntityTooLarge, "body-too-large", "")
		no.close = true
		return no
	case f.hijacked.Load() || r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // there is nobody to answer
	case f.cutOff.Load() || errors.Is(err, errCut):
		return overload("stopping")
	case isTimeout(err):
		f.log(r, err)
		return refuse(http.StatusGatewayTimeout, "upstream-slow", "")
	default:
		f.log(r, err)
		return refuse(http.StatusBadGateway, "upstream-failed", "")
	}
}

// log tells at debug level: under load one dead upstream would fill the log, and the pool warns once.
func (f *flight) log(r *http.Request, err error) {
	f.proxy.log.DebugContext(r.Context(), "forward request", slog.String("request_id", f.x.id),
		slog.String("site", f.proxy.site.name), slog.Any("error", err))
}

// hostWithPort is the canonical host with the port that the client named, if any: applications build links
// from it.
func hostWithPort(host, sent string) string {
	if len(sent) >= len(host) && sent[:len(host)] == host && (len(sent) == len(host) || sent[len(host)] == ':') {
		return sent
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		host = "[" + host + "]"
	}
	if i := strings.LastIndexByte(sent, ':'); i >= 0 && !strings.HasSuffix(sent, "]") {
		return host + sent[i:]
	}
	return host
}

// transportFunc is a function as an http.RoundTripper.
type transportFunc func(*http.Request) (*http.Response, error)

// RoundTrip calls the function.
func (t transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return t(req) }

// bufferPool lends the buffers that answers are copied through.
type bufferPool struct{ pool sync.Pool }

const copyBufferSize = 32 << 10

// Get lends a buffer.
func (b *bufferPool) Get() []byte {
	if p, ok := b.pool.Get().(*[copyBufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, copyBufferSize)
}

// Put takes a buffer back.
func (b *bufferPool) Put(p []byte) {
	b.pool.Put((*[copyBufferSize]byte)(p))
}
