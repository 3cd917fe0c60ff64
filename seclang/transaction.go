package seclang

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/seclang/syntax"
)

// Transaction is one request and its answer. It is fed in the order of its methods: Connection, RequestLine, RequestHeader,
// CheckRequestHeaders, WriteRequestBody, CheckRequestBody, Response, ResponseHeader, CheckResponseHeaders, WriteResponseBody,
// CheckResponseBody, Finish; what is left out is empty. It belongs to one goroutine.
type Transaction struct {
	program *Program
	site    *Site

	// Dropped counts what did not fit into this transaction.
	Dropped Dropped

	start    time.Time
	phase    syntax.Phase
	mode     syntax.EngineMode
	single   [syntax.Variables]string
	lists    [listCount][]pair
	tx       txVars
	captures []capture // what TX.0 to TX.9 are to be, latest last
	quoting  bool      // a log line is made

	requestBody, responseBody bodyBuffer
	forceBody                 bool
	bodyRead                  bool
	contentType               string // the first header of that name
	contentTypes              int

	matchedVars    []Found // MATCHED_VARS
	last           Found   // MATCHED_VAR
	hasLast        bool
	current        *rule // RULE
	currentLink    *link
	removed        []bool // by rule
	anyRemoved     bool
	removedTargets []*effect

	allow        bool
	allowed      syntax.Scope
	interruption *Interruption
	detected     *Interruption
	matches      []Match
	found        []Found // of all matches, one behind the other
	severity     int     // HIGHEST_SEVERITY

	views    viewUse
	narrowed int    // bytes that narrowings looked at
	looked   int    // bytes that all the others looked at
	items    []item // scratch
	cache    cache
}

// pair is one value of a collection.
type pair struct {
	key   string // as it was written
	low   string // in lower case
	value string
	view  string // how the value was decoded once more; "" is the value as it came

	keyCell, valueCell int32 // of the cache
}

func newTransaction(p *Program) *Transaction {
	t := &Transaction{program: p, removed: make([]bool, len(p.rules))}
	t.tx.known = len(p.names)
	t.tx.slots = make([]txValue, t.tx.known, t.tx.known+16)
	return t
}

// Begin starts a transaction of the site; id is UNIQUE_ID.
func (s *Site) Begin(id string, now time.Time) *Transaction {
	t, ok := s.program.pool.Get().(*Transaction)
	if !ok {
		t = newTransaction(s.program)
	}
	t.site, t.start, t.mode = s, now, s.mode
	t.severity = 255
	if s.program.prepared {
		t.cache.prepare(s.program.plan)
	}
	t.single[syntax.UniqueID] = id
	for _, v := range zeroes {
		t.single[v] = "0"
	}
	t.requestBody = bodyBuffer{access: s.requestBody, limit: s.requestLimit, bytes: t.requestBody.bytes[:0]}
	t.responseBody = bodyBuffer{access: s.responseBody, limit: s.responseLimit, bytes: t.responseBody.bytes[:0]}
	for _, v := range s.variables {
		t.tx.set(v.slot, v.key, v.value)
	}
	return t
}

// zeroes are the variables that are 0 until something else is known.
var zeroes = [...]syntax.Variable{syntax.FilesCombinedSize, syntax.UrlencodedError, syntax.URIParseError,
	syntax.ArgumentsLimitReached, syntax.MultipartDataAfter, syntax.MultipartDuplicatePartHeader,
	syntax.MultipartInvalidQuoting, syntax.OutboundDataError, syntax.InboundDataError, syntax.ReqbodyError,
	syntax.ReqbodyProcessorError, syntax.RequestBodyLength, syntax.MultipartStrictError, syntax.MultipartBoundaryQuoted,
	syntax.MultipartBoundaryWhitespace, syntax.MultipartDataBefore, syntax.MultipartHeaderFolding,
	syntax.MultipartInvalidHeaderFolding, syntax.MultipartInvalidPart, syntax.MultipartLFLine,
	syntax.MultipartMissingSemicolon, syntax.MultipartUnmatchedBoundary, syntax.MultipartCRLFLFLines,
	syntax.MultipartFileLimitExceeded}

// maxKept is how many bytes a buffer may have to stay in the pool, maxKeptItems how many items a list.
const (
	maxKept      = 1 << 20
	maxKeptItems = 1 << 10
)

// Close gives the transaction back. Nothing of it may be used afterwards.
func (t *Transaction) Close() {
	if t.site == nil {
		return
	}
	old := *t
	*t = Transaction{program: old.program, removed: old.removed, tx: old.tx, lists: old.lists, matchedVars: old.matchedVars[:0],
		removedTargets: old.removedTargets[:0], items: old.items[:0], cache: old.cache, captures: emptied(old.captures[:cap(old.captures)]),
		matches: emptied(old.matches), found: emptied(old.found[:cap(old.found)])}
	t.cache.reset()
	if old.anyRemoved {
		clear(t.removed)
	}
	t.tx.reset()
	for i := range t.lists {
		t.lists[i] = emptied(t.lists[i])
	}
	t.matchedVars = emptied(t.matchedVars[:cap(t.matchedVars)])
	t.items = emptied(t.items[:cap(t.items)])
	if cap(old.requestBody.bytes) <= maxKept {
		t.requestBody.bytes = old.requestBody.bytes[:0]
	}
	if cap(old.responseBody.bytes) <= maxKept {
		t.responseBody.bytes = old.responseBody.bytes[:0]
	}
	t.program.pool.Put(t)
}

// emptied is an empty list with the same room, unless that is much.
func emptied[E any](list []E) []E {
	if cap(list) > maxKeptItems {
		return nil
	}
	clear(list)
	return list[:0]
}

// Connection says who asks whom. An invalid address leaves its variables empty.
func (t *Transaction) Connection(client, server netip.AddrPort) {
	if client.IsValid() {
		t.single[syntax.RemoteAddr] = client.Addr().Unmap().WithZone("").String()
		t.single[syntax.RemotePort] = strconv.Itoa(int(client.Port()))
		t.single[syntax.RemoteHost] = t.single[syntax.RemoteAddr]
	}
	if server.IsValid() {
		t.single[syntax.ServerAddr] = server.Addr().Unmap().WithZone("").String()
		t.single[syntax.ServerPort] = strconv.Itoa(int(server.Port()))
	}
}

// ServerName says which host the request is for.
func (t *Transaction) ServerName(name string) { t.single[syntax.ServerName] = name }

// RequestHeader adds one header line, in the order of the request; Host is one of them.
func (t *Transaction) RequestHeader(name, value string) {
	if name == "" {
		return
	}
	low := strings.ToLower(name)
	t.lists[requestHeaders] = append(t.lists[requestHeaders], pair{key: name, low: low, value: value})
	switch low {
	case "content-type":
		// Only the first one says how the body is read, as in the applications behind.
		if t.contentTypes++; t.contentTypes == 1 {
			t.contentType = value
			t.single[syntax.ReqbodyProcessor] = processorOf(value)
		}
	case "cookie":
		t.readCookies(value)
	case "authorization":
		t.single[syntax.AuthType], _, _ = strings.Cut(value, " ")
	default:
		t.addHeaderView(name, low, value)
	}
}

// CheckRequestHeaders runs phase 1.
func (t *Transaction) CheckRequestHeaders() *Interruption {
	return t.runPhase(syntax.PhaseRequestHeaders)
}

// CheckRequestBody reads the body that was written, unless ReadRequestBody did, and runs phase 2. It is called without a body too.
func (t *Transaction) CheckRequestBody() *Interruption {
	t.ReadRequestBody()
	return t.runPhase(syntax.PhaseRequestBody)
}

// Response says how the application answered.
func (t *Transaction) Response(status int, protocol string) {
	t.single[syntax.ResponseStatus] = strconv.Itoa(status)
	t.single[syntax.ResponseProtocol] = protocol
}

// ResponseHeader adds one header line of the answer.
func (t *Transaction) ResponseHeader(name, value string) {
	if name == "" {
		return
	}
	low := strings.ToLower(name)
	t.lists[responseHeaders] = append(t.lists[responseHeaders], pair{key: name, low: low, value: value})
	if low == "content-type" {
		t.single[syntax.ResponseContentType], _, _ = strings.Cut(value, ";")
	}
}

// CheckResponseHeaders runs phase 3.
func (t *Transaction) CheckResponseHeaders() *Interruption {
	return t.runPhase(syntax.PhaseResponseHeaders)
}

// CheckResponseBody runs phase 4 over the answer's body as far as it was written. It is called without a body too.
func (t *Transaction) CheckResponseBody() *Interruption {
	if t.InspectsResponse() {
		t.single[syntax.ResponseBody] = t.responseBody.text()
		t.single[syntax.ResponseContentLength] = strconv.Itoa(t.responseBody.size())
	}
	return t.runPhase(syntax.PhaseResponseBody)
}

// Rule is the id of the rule that is being asked: where a panic was met. 0 between the phases.
func (t *Transaction) Rule() int {
	if t.current == nil {
		return 0
	}
	return t.current.source.ID
}

// Finish runs phase 5, which is run after an interruption too.
func (t *Transaction) Finish(now time.Time) {
	t.single[syntax.Duration] = strconv.FormatInt(max(0, now.Sub(t.start).Milliseconds()), 10)
	t.runPhase(syntax.PhaseLogging)
}
