package gateway

import (
	"net/http"
	"strings"
)

// cleanHeaders removes from a request what an application could take for our word, or what could make it
// read the request differently than it was judged: identity, forwarding and override headers in any
// spelling, names that CGI-like servers fold together, credentials of the application's own (security.md 3)
// and our cookies. It counts the names that were dropped for their characters, and refuses (400) headers
// that contradict each other.
func cleanHeaders(r *http.Request, app *App, path canonicalPath) (dropped int, err error) {
	h := r.Header
	if err := framingAgrees(r); err != nil {
		return 0, err
	}
	if err := cleanConnection(h); err != nil {
		return 0, err
	}
	for name, values := range h {
		switch {
		case !plainHeaderName(name):
			delete(h, name)
			dropped++
		case isSpokenForUs(name) || app.speaksFor(name):
			delete(h, name)
		case len(values) > 1 && isSingle(name):
			return dropped, ambiguous("header-repeated")
		}
	}
	if h["Authorization"] != nil && !path.under(app.AuthorizationPaths) {
		delete(h, "Authorization")
	}
	cleanCookies(h)
	// Trailers come after the request was judged; nothing of ours ever needs one from a client.
	r.Trailer = nil
	return dropped, nil
}

// framingAgrees refuses what HTTP/2 lets through although it contradicts itself (RFC 9113 8.2.3, 8.3.1): a
// Host header beside :authority, and a Content-Length that is not the body's. HTTP/1's server has judged
// and removed both already.
func framingAgrees(r *http.Request) error {
	if r.ProtoMajor < 2 {
		return nil
	}
	if hosts, ok := r.Header["Host"]; ok {
		if len(hosts) != 1 || hosts[0] != r.Host {
			return ambiguous("host-contradiction")
		}
		delete(r.Header, "Host")
	}
	if lengths, ok := r.Header["Content-Length"]; ok {
		if len(lengths) != 1 {
			return ambiguous("content-length")
		}
		n, valid := int64(0), lengths[0] != "" && len(lengths[0]) < 19
		for _, c := range []byte(lengths[0]) {
			valid = valid && c >= '0' && c <= '9'
			n = n*10 + int64(c) - '0'
		}
		if !valid || n != r.ContentLength {
			return ambiguous("content-length")
		}
	}
	return nil
}

// cleanConnection removes the headers that a client's Connection header names (RFC 9110 7.6.1) before
// anything is judged: otherwise they would be judged here and be gone at the application. Then it leaves in
// Connection only what concerns this connection.
func cleanConnection(h http.Header) error {
	lines := h["Connection"]
	if len(lines) == 1 && (strings.EqualFold(lines[0], "keep-alive") || strings.EqualFold(lines[0], "close")) {
		lines = nil // nearly all requests
	}
	upgrade := false
	for _, line := range lines {
		for token := range strings.SplitSeq(line, ",") {
			token = strings.Trim(token, " \t")
			switch {
			case token == "", strings.EqualFold(token, "keep-alive"), strings.EqualFold(token, "close"):
			case strings.EqualFold(token, "upgrade"):
				upgrade = true
			case !plainHeaderName(token):
				return ambiguous("connection-malformed")
			default:
				h.Del(token)
			}
		}
	}
	if lines != nil {
		delete(h, "Connection")
	}
	protocols, ok := h["Upgrade"]
	if !ok {
		return nil
	}
	// A server may ignore an offer to change protocols (RFC 9110 7.8), and some clients make one with every
	// request (h2c, TLS). Only one is taken up here, and what it may open is the proxy's to say.
	if !upgrade || len(protocols) != 1 || !strings.EqualFold(protocols[0], "websocket") {
		delete(h, "Upgrade")
		return nil
	}
	h["Connection"] = []string{"Upgrade"}
	return nil
}

// plainHeaderName accepts letters, digits and single dashes between them. CGI, WSGI, PSGI and FastCGI turn dashes and
// underscores into the same variable, and some servers more than that.
func plainHeaderName(name string) bool {
	if name == "" || name[0] == '-' || name[len(name)-1] == '-' {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' && name[i-1] != '-') {
			return false
		}
	}
	return true
}

// isSingle names headers whose repetition some servers join, some take the first and some the last of.
func isSingle(name string) bool {
	switch name {
	case "Authorization", "Content-Encoding", "Content-Type", "Date", "Host", "If-Modified-Since", "If-Unmodified-Since",
		"Origin", "Range", "Referer", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "User-Agent":
		return true
	default:
		return false
	}
}

// speaksFor tells whether a header is one by which the application believes its front server, or one that
// signs a client in there. The name has no underscores, so that case is all that can differ.
func (app *App) speaksFor(name string) bool {
	for _, own := range [...]string{app.Identity.User, app.Identity.Email, app.Identity.Name, app.Identity.Roles,
		app.Identity.Secret, app.Identity.Assertion} {
		if len(own) == len(name) && strings.EqualFold(own, name) {
			return true
		}
	}
	return app.stripsHeader(name)
}

// stripsHeader tells whether a header signs a client in at the application, or acts for another.
func (app *App) stripsHeader(name string) bool {
	for _, own := range app.StripHeaders {
		if len(own) == len(name) && strings.EqualFold(own, name) {
			return true
		}
	}
	return false
}

// isSpokenForUs names the headers by which servers, frameworks and other gateways pass on who the client is,
// what it asked for and how it came. name is in Go's canonical form. The list is longer than any one
// application needs: what none of them reads does no harm by missing.
func isSpokenForUs(name string) bool {
	switch name {
	case
		// hop by hop, or answered here
		"Expect", "Te", "Trailer", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Http2-Settings", "Cookie2",
		// httpoxy
		"Proxy",
		// client address
		"Forwarded", "Via", "Client-Ip", "X-Client-Ip", "True-Client-Ip", "X-True-Client-Ip", "X-Real-Ip", "X-Real-Port",
		"X-Cluster-Client-Ip", "X-Originating-Ip", "X-Custom-Ip-Authorization", "X-Proxyuser-Ip", "X-Host", "X-Ip",
		"Fastly-Client-Ip", "Fly-Client-Ip", "Do-Connecting-Ip", "Incap-Client-Ip", "X-Forward-For", "X-Forward",
		"X-Azure-Clientip", "X-Appengine-User-Ip", "X-Backend-Host", "X-Server-Name",
		// target and method
		"X-Original-Url", "X-Original-Uri", "X-Original-Host", "X-Original-Method", "X-Original-Path", "X-Rewrite-Url", "X-Rewrite-Uri",
		"X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Http-Host-Override", "X-Http-Destinationurl",
		"X-Request-Uri", "X-Script-Name", "Script-Name", "X-Url-Scheme", "X-Scheme", "X-Accel-Mapping", "X-Sendfile-Type",
		"X-Middleware-Subrequest", "X-Wsgi-Version", "Base-Url", "X-Base-Url", "X-Proxy-Url", "X-Override-Url",
		// TLS
		"Front-End-Https", "X-Https", "X-Url-Https", "Client-Cert", "Client-Cert-Chain", "X-Client-Cert", "X-Client-Dn", "X-Client-S-Dn",
		"X-Client-Verify", "X-Client-Verified", "X-Arr-Ssl", "X-Arr-Clientcert", "X-Forwarded-Client-Cert",
		// identity
		"X-User", "X-User-Id", "X-Userid", "X-User-Name", "X-Username", "X-User-Email", "X-Email", "X-Mail", "X-Groups", "X-User-Groups",
		"X-Roles", "X-User-Roles", "X-Role", "X-User-Role", "X-Login", "X-Uid", "X-Auth-User", "X-Auth-Username", "X-Auth-Email",
		"X-Auth-Name", "X-Auth-Groups", "X-Auth-Roles", "X-Logged-In-User", "X-Principal", "X-Impersonate-User", "X-Iisnode-Auth-User",
		"X-Iisnode-Logon-User", "Auth-User", "Auth-Type", "Logon-User", "Cas-User", "Eppn", "Persistent-Id", "X-Sendgrid-User":
		return true
	}
	if len(name) < 4 {
		return false
	}
	// Families, the own names among them.
	for _, prefix := range [...]string{"X-Doorward-", "X-Forwarded-", "X-Remote-", "Remote-", "X-Auth-Request-", "X-Authenticated-",
		"X-Authentik-", "X-Authelia-", "X-Webauth-", "X-Sso-", "X-Ssl-", "Ssl-", "X-Tls-", "X-Shib-", "Shib-", "Oidc-", "X-Oidc-", "Mellon-",
		"Cf-", "X-Amzn-Oidc-", "X-Goog-Iap-", "X-Goog-Authenticated-", "X-Ms-Client-Principal", "X-Pomerium-", "X-Tailscale-",
		"Tailscale-", "X-Envoy-", "X-Original-", "X-Rewrite-", "Redirect-", "Http-", "Sm-", "Iv-", "X-Iap-"} {
		if name[0] == prefix[0] && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return name == "X-Forwarded" || name == "X-Remote" || name == "X-Doorward"
}

// under tells whether the path, by every reading and as it is written, lies below one of the prefixes: the
// comparison for what a path opens.
func (p canonicalPath) under(prefixes []string) bool {
	for _, prefix := range prefixes {
		if !underPrefix(p.decoded, prefix, false) {
			continue
		}
		all := true
		for _, other := range p.others {
			all = all && underPrefix(other.decoded, prefix, false)
		}
		if all {
			return true
		}
	}
	return false
}

// mayBeUnder tells whether the path lies below one of the prefixes by any reading and in any case: the
// comparison for what a path restricts.
func (p canonicalPath) mayBeUnder(prefixes []string) bool {
	for _, prefix := range prefixes {
		if underFolded(p.folded, prefix) {
			return true
		}
		for _, other := range p.others {
			if underFolded(other.folded, prefix) {
				return true
			}
		}
	}
	return false
}

func underFolded(folded, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	return len(folded) >= len(prefix) && strings.EqualFold(folded[:len(prefix)], prefix) &&
		(len(folded) == len(prefix) || folded[len(prefix)] == '/')
}
