package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/gateway/waf"
)

// exchange is what the chain has learnt about one request so far; one is made for each request and each
// step may fill in its part. It is never shared between requests. It is also the response writer that the
// steps write to, so that the access record sees status and size without a second allocation.
type exchange struct {
	w           http.ResponseWriter
	wroteHeader bool
	status      int   // what was answered; 101 for a hijacked connection
	written     int64 // bytes of the answer's body

	id          string       // request id, shown on refusals
	started     time.Time    // when the request arrived
	policy      *policy      // the configuration this request is judged by, from arrival to answer
	conn        *connState   // the connection it came on; nil in handler tests
	peer        netip.Addr   // the address of the connection's other end
	client      netip.Addr   // the client's address, after trusted proxies
	from        place        // the same with its country, where the site's rules ask for it
	certificate *certVerdict // of the connection's client certificate; nil without one
	challenged  bool         // a decision has the client show a browser first
	secure      bool         // the client's side speaks TLS, here or at a trusted proxy
	site        *site
	host        string   // canonical, without port
	token       string   // the session cookie's value; empty without one, or with several
	tokens      []string // of several session cookies, when somebody signs out
	bearer      string   // the API token; with one the session cookie counts for nothing
	cookies     []string // the Cookie lines as they came, for our own pages
	path        canonicalPath
	session     *auth.Session   // nil while not signed in
	identity    *identityEntry  // what the application is told of the session
	inspection  *waf.Inspection // nil without a firewall, and once it has ended
	endInspect  func()          // ends it; a second call does nothing

	// What scripts of another site may read of the answer (forgery.go); empty for nothing.
	corsOrigin      string
	corsCredentials bool

	// storeDown says that the session could not be looked up: only public paths may go on.
	storeDown bool
	aborted   bool // the answer broke off: the client left, or the application did

	interim bool // the client knows interim answers: it speaks HTTP/1.1 or later

	last bool // nothing that follows on the connection is read: see endsConnection

	ask *authzAsk // of a request that a proxy asks about; nil for all others

	under *inFlight  // where it holds a place among the requests under way; nil when it holds none
	key   limiterKey // for whom

	refused string // why it was refused: the reason of the refusal; empty when let through
}

// Header is the answer's header map.
func (x *exchange) Header() http.Header { return x.w.Header() }

// WriteHeader notes the final status and passes it on.
func (x *exchange) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		x.wroteHeader = true
		x.status = status
		if x.last && status != http.StatusSwitchingProtocols {
			x.w.Header().Set("Connection", "close")
		}
	} else {
		// An application's interim answer has not been through the answer's rules: only preload hints pass, and
		// only to clients that know of interim answers (RFC 9110 15.2); others take the first for the last.
		if status != http.StatusEarlyHints || !x.interim {
			return
		}
		maps.DeleteFunc(x.w.Header(), func(name string, _ []string) bool { return name != "Link" })
	}
	x.w.WriteHeader(status)
}

// Write counts and passes on.
func (x *exchange) Write(p []byte) (int, error) {
	if !x.wroteHeader {
		x.WriteHeader(http.StatusOK)
	}
	n, err := x.w.Write(p)
	x.written += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach Flush, Hijack and the deadlines of the server's own writer.
func (x *exchange) Unwrap() http.ResponseWriter { return x.w }

// release gives back the place among the requests under way; a second call does nothing.
func (x *exchange) release() {
	if x.under != nil {
		x.under.leave(x.key)
		x.under = nil
	}
}

// endsConnection says that the answer to r must be the connection's last. A request with Content-Length and
// Transfer-Encoding is read by the second alone, but a proxy in front that went by the first disagrees about
// where the next request begins (RFC 9112 6.1). net/http hides whether there was a Content-Length, so every
// chunked request counts; browsers send none over HTTP/1.
func endsConnection(r *http.Request) bool { return r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 }

// name gives the exchange an id, if it has none: the questions of proxies have one only where it is shown.
func (x *exchange) name() {
	if x.id == "" {
		x.id = newRequestID()
	}
}

// handler answers a request or returns an error, which report (refusal.go) turns into status, page and log line.
type handler func(w http.ResponseWriter, r *http.Request, x *exchange) error

// step wraps the handlers behind it.
type step func(next handler) handler

// refusal is the error of a request that was judged and not let through.
type refusal struct {
	status     int
	reason     string        // constant, lower-case word or two joined by dashes: "path-ambiguous"; goes into the event
	text       string        // what the person reads; empty: the status's own text
	retryAfter time.Duration // for 429 and 503
	location   string        // for redirects
	page       string        // the page of ours that would help: sign-in or step-up
	hint       string        // that page's whole URL, for a proxy
	challenge  string        // for 401: WWW-Authenticate; empty: the sign-in's
	close      bool          // close the connection after the answer
}

// Error says what was refused, for the log.
func (r *refusal) Error() string { return fmt.Sprintf("refused: %d %s", r.status, r.reason) }
