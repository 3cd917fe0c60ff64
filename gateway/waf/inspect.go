package waf

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/doorward/doorward/seclang"
	"github.com/doorward/doorward/seclang/syntax"
)

// Request is what the rules are told of a request besides the request itself.
type Request struct {
	ID     string     // UNIQUE_ID
	Client netip.Addr // REMOTE_ADDR
	// Session is who is signed in, empty for a stranger; Network is what a stranger counts for, an address or the first of its network.
	// They share out the memory for bodies.
	Session string
	Network netip.Addr
	// Turn, if any, is called before a large body is judged, which takes the processor for long, and waits until it may be. It returns
	// what is to be called afterwards.
	Turn   func() (leave func(), err error)
	Server netip.AddrPort
	Host   string // canonical, without port: SERVER_NAME
	URI    string // the target as it is sent to the application
	// Covers tells whether the path lies below a prefix; exclusions ask for it.
	Covers func(prefix string) bool
}

// Verdict is a refusal.
type Verdict struct {
	Status   int    // of the answer
	Location string // of a redirect
	Drop     bool   // the connection is to be closed
	Rule     int    // id of the rule that refused
}

// Errors of bodies. Others come from the reader.
var (
	ErrTooLarge = errors.New("the body is larger than the site's limit")              // 413
	ErrFields   = errors.New("the body has more besides files than the site's limit") // 413
	ErrBusy     = errors.New("no memory is left for the body")                        // 503
)

// Inspection is one request and its answer before the rules. It belongs to one goroutine. Finish ends it.
type Inspection struct {
	site    *Site
	client  client
	turn    func() (func(), error)
	tx      *seclang.Transaction // nil once the engine failed
	started time.Time

	body     string // of the request
	expected int64  // bytes that the client said it has; -1 where it did not say
	held     int64  // bytes taken of the engine's memory
	exceeded *Exceeded
	refuse   *Verdict
	fault    *Fault // what kept the engine from judging
	closed   bool   // the fault closed the door
	sample   *sample

	watching bool // the answer's body is looked at while it passes
}

// Done tells that nothing more will be looked at, so that Finish may come before the answer is out: a download or a websocket
// takes long.
func (i *Inspection) Done() bool { return !i.watching }

// Inspect begins an inspection and shows the request's line and headers to the rules. The verdict is nil where the request may go on.
// An error is a *Fault, and the request must not go on. The inspection is there in any case, and Finish ends it.
func (s *Site) Inspect(r *http.Request, q Request, now time.Time) (i *Inspection, v *Verdict, err error) {
	s.engine.counters.inspected.Add(1)
	i = &Inspection{site: s, client: q.client(), turn: q.Turn, started: now, expected: r.ContentLength}
	defer i.catch(stepRequestHeaders, &err)
	site, problem := s.bind()
	if problem != nil {
		i.fail(&Fault{Kind: Rules, Step: stepRequestHeaders, Err: problem}, &err)
		return i, nil, err
	}
	i.tx = site.Begin(q.ID, now)
	i.sample = s.newSample(r, q)
	s.feed(i.tx, r, q)
	return i, i.judge(i.tx.CheckRequestHeaders()), nil
}

// feed shows the request's line and headers to a transaction.
func (s *Site) feed(tx *seclang.Transaction, r *http.Request, q Request) {
	for n, e := range s.options.Exclusions {
		if e.Path == "" || q.Covers(e.Path) {
			tx.Exclude(n)
		}
	}
	tx.Connection(netip.AddrPortFrom(q.Client, 0), q.Server)
	tx.ServerName(q.Host)
	tx.RequestLine(r.Method, q.URI, r.Proto)
	if r.Host != "" || r.ProtoAtLeast(1, 1) { // HTTP/1.0 knows requests without it, and net/http refuses others
		tx.RequestHeader("Host", r.Host)
	}
	eachHeader(r.Header, tx.RequestHeader)
	// net/http takes these out of the headers.
	if r.ContentLength > 0 && r.Header["Content-Length"] == nil {
		tx.RequestHeader("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	}
	for _, coding := range r.TransferEncoding {
		tx.RequestHeader("Transfer-Encoding", coding)
	}
}

// eachHeader walks through headers by name, so that the same request is always read in the same order.
func eachHeader(h http.Header, use func(name, value string)) {
	names := make([]string, 0, 24)
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			use(name, value)
		}
	}
}

// Body reads the request's body whole and shows it to the rules; it is called without a body too (nil). The body to pass on is returned, also
// beside an error where the site only detects. An error is ErrTooLarge, ErrFields, ErrBusy, a *Fault, or the reader's.
func (i *Inspection) Body(from io.ReadCloser) (body io.ReadCloser, v *Verdict, err error) {
	body = from
	defer i.catch(stepRequestBody, &err)
	if i.tx == nil {
		return from, nil, nil
	}
	if from == nil || from == http.NoBody || !i.tx.WantsRequestBody() {
		v, err = i.checkBody(nil)
		i.whole(v, &err)
		return from, v, err
	}
	replay := &replayed{rest: from}
	body = replay // what was read before a panic is passed on too
	// What is told only must not refuse: the part that was read is looked at, the rest goes by.
	if err = i.note(i.read(from, i.expected, &replay.body)); err != nil {
		return body, nil, err
	}
	leave, err := i.wait(len(replay.body))
	if err != nil {
		return body, nil, err
	}
	defer leave()
	v, err = i.checkBody(&replay.body)
	i.whole(v, &err)
	return body, v, err
}

// checkBody shows the request's body to the rules; nil where there is none, or none of the rules' business.
func (i *Inspection) checkBody(text *string) (*Verdict, error) {
	if i.sample != nil {
		i.sample.body = text
	}
	if text != nil {
		i.body = *text
		i.tx.RequestBody(*text)
		if i.tx.ReadRequestBody() {
			if err := i.note(ErrFields); err != nil {
				return nil, err
			}
		}
	}
	if i.sample != nil {
		i.sample.checked = true
	}
	return i.judge(i.tx.CheckRequestBody()), nil
}

// replayed is a body that was read, and what is left of it.
type replayed struct {
	body string
	at   int
	rest io.ReadCloser
}

// Read gives what was read before, then the rest.
func (b *replayed) Read(p []byte) (int, error) {
	if b.at < len(b.body) {
		n := copy(p, b.body[b.at:])
		b.at += n
		return n, nil
	}
	return b.rest.Read(p)
}

// Close closes the client's side.
func (b *replayed) Close() error { return b.rest.Close() }

// judge makes a verdict of what the engine says.
func (i *Inspection) judge(stop *seclang.Interruption) *Verdict {
	if stop == nil {
		return nil
	}
	answer := stop.Phase >= syntax.PhaseResponseHeaders
	if answer && i.site.options.Answers != Block {
		return nil
	}
	i.refuse = &Verdict{Status: stop.Status, Location: stop.Location, Drop: stop.Action == syntax.Drop, Rule: stop.Rule}
	return i.refuse
}
