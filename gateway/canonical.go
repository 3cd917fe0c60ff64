package gateway

import (
	"net/http"
	"strings"
)

// canonicalPath is the one reading of a request's target: rules judge it and the application gets it, so
// that the two can never mean different things (security.md 2).
type canonicalPath struct {
	decoded string // percent-decoded: what public rules and our own pages compare
	folded  string // decoded, without case and without what file systems ignore: what deny and role rules compare
	raw     string // what is sent: always a valid, absolute path with exactly one leading slash
	query   string // what is sent after "?", byte for byte

	// others are further readings that some back end may have of raw. They exist only where the site allows a
	// class of ambiguous paths, or for %3F and %23; the strictest verdict over all readings holds.
	others []reading
}

// reading is one way to understand a path.
type reading struct{ decoded, folded string }

// ambiguous is the refusal of what can be understood in more than one way.
func ambiguous(reason string) *refusal { return refuse(http.StatusBadRequest, reason, "") }

// canonicalise judges method and request target as they were sent, not as the server's parser understood
// them. It returns a *refusal: 400 for what can be read in two ways, 431 for what is too long, and 308 to
// the collapsed path for a GET or HEAD with an empty segment.
func canonicalise(r *http.Request, allow pathAllow) (canonicalPath, error) {
	if !knownMethod(r.Method) {
		return canonicalPath{}, ambiguous("method-unknown")
	}
	// An HTTP/2 client that says ":scheme: http" inside TLS makes the server forget the TLS state, and with it
	// the comparison of server name and Host. Plain listeners speak HTTP/1 only, so there is no honest case.
	if r.ProtoMajor >= 2 && r.TLS == nil {
		return canonicalPath{}, ambiguous("scheme-differs")
	}
	target, err := originForm(r)
	if err != nil {
		return canonicalPath{}, err
	}
	path, query, _ := strings.Cut(target, "?")
	if !cleanQuery(query) {
		return canonicalPath{}, ambiguous("query-malformed")
	}
	p, err := canonicalisePath(path, allow)
	p.query = query
	if err != nil && p.raw != "" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		no := refuse(http.StatusPermanentRedirect, "path-empty-segment", "")
		no.location = p.raw
		if query != "" {
			no.location += "?" + query
		}
		return p, no
	}
	return p, err
}

// knownMethod accepts the methods of RFC 9110 that make sense for an origin server, and PATCH (RFC 5789).
// Case matters, as it does to applications. TRACE, CONNECT, WebDAV's and invented methods are refused: an
// application that does not expect them may treat them as GET, and a rule may not.
func knownMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions:
		return true
	default:
		return false
	}
}

// originForm returns the request target as a path with an optional query (RFC 9112 3.2.1). From the absolute
// form it takes off scheme and authority, which must be the ones that the request is judged by.
func originForm(r *http.Request) (string, error) {
	target := r.RequestURI
	if strings.HasPrefix(target, "/") {
		return target, nil
	}
	if target == "*" {
		return "", ambiguous("target-asterisk")
	}
	scheme, rest, found := strings.Cut(target, "://")
	if !found || r.ProtoMajor >= 2 {
		return "", ambiguous("target-form")
	}
	secure := r.TLS != nil
	if !(strings.EqualFold(scheme, "https") && secure || strings.EqualFold(scheme, "http") && !secure) {
		return "", ambiguous("scheme-differs")
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority, rest := rest[:end], rest[end:]
	named, ok := canonicalHost(authority)
	judged, judgedOK := canonicalHost(r.Host)
	if !ok || !judgedOK || named != judged {
		return "", ambiguous("target-host-differs")
	}
	if !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	return rest, nil
}

// cleanQuery accepts every printable ASCII byte but "#", which would begin a fragment. What the query's
// escapes mean is the application's affair: no rule judges it.
func cleanQuery(query string) bool {
	for i := 0; i < len(query); i++ {
		if c := query[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return true
}
