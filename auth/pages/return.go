package pages

import (
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/doorward/doorward/auth"
)

const (
	signInPath  = "/.doorward/sign-in"
	signOutPath = "/.doorward/sign-out"
	stepUpPath  = "/.doorward/step-up"
	accountPath = "/.doorward/account"
	linkPath    = "/.doorward/link/"
	passkeyPath = "/.doorward/passkey/"
	staticPath  = "/.doorward/static/"

	// maxReturn bounds the address to return to; a longer one is dropped rather than cut.
	maxReturn = 2048
)

// SignInURL is the sign-in page's path with the page to return to, which goes through SafeReturn.
func SignInURL(returnTo string) string {
	return signInPath + "?return_to=" + url.QueryEscape(SafeReturn(returnTo))
}

// StepUpURL is the path of the page that asks a signed-in person to prove more, up to the level, before they go on to returnTo.
func StepUpURL(returnTo string, level auth.Level) string {
	factor := ""
	if level >= auth.PasskeyLevel {
		factor = "passkey" // a one-time code would not do
	}
	return stepUpURL(returnTo, factor)
}

// SafeReturn returns the path and query that a browser may be sent to after sign-in: raw itself, escaped,
// if every browser reads it as a path on this host, and / if there is any doubt. It is never another host
// (//, /\, a scheme, a tab that browsers drop), never a path that programs read in two ways (dot segments, empty
// segments, encoded slashes), and never a page of the sign-in itself, so that nobody goes round in circles.
func SafeReturn(raw string) string {
	const home = "/"
	if len(raw) > maxReturn || !strings.HasPrefix(raw, "/") || strings.ContainsFunc(raw, ambiguous) {
		return home
	}
	target, query, hasQuery := strings.Cut(raw, "?")
	decoded, err := url.PathUnescape(target)
	if err != nil || strings.ContainsFunc(decoded, ambiguous) {
		return home
	}
	escaped := strings.ToLower(target)
	if strings.Contains(escaped, "%2f") || strings.Contains(escaped, "%25") {
		return home // encoded twice, or a slash that only some see
	}
	cleaned := path.Clean(decoded)
	if cleaned != decoded && (cleaned == "/" || cleaned+"/" != decoded) {
		return home
	}
	lower := strings.ToLower(cleaned) + "/"
	for _, own := range []string{"/.doorward/sign-", "/.doorward/step-up/", "/.doorward/link/", "/.doorward/passkey/"} {
		if strings.HasPrefix(lower, own) {
			return home
		}
	}
	safe := escapeNonASCII(target)
	if hasQuery {
		safe += "?" + escapeNonASCII(query)
	}
	if len(safe) > maxReturn {
		return home
	}
	return safe
}

// ambiguous characters have no place in a local address: a browser drops tabs and line breaks and reads
// a backslash as a slash; a fragment would end the query early.
func ambiguous(r rune) bool { return r < 0x20 || r == 0x7f || r == '\\' || r == '#' }

// escapeNonASCII percent-encodes what may not stand in a Location header as it is.
func escapeNonASCII(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if c > 0x20 && c < 0x7f && c != '"' && c != '<' && c != '>' {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', hex[c>>4], hex[c&15]})
	}
	return b.String()
}

// IsNavigation tells a person's visit from a script's call (demo.md): Sec-Fetch-Mode is set by the browser
// and cannot be set by a page's script; clients that send none are judged by what they accept. A form that
// is sent after the session's end is a navigation too: the person needs the sign-in page, not a bare 401.
func IsNavigation(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// LogTarget is a request's target as logs and events may show it: without the code of a mailed link, which whoever reads
// them could use.
func LogTarget(target string) string {
	path, query, found := strings.Cut(target, "?")
	if decoded, err := url.PathUnescape(path); found && query != "" && (err != nil || strings.HasPrefix(strings.ToLower(decoded), linkPath)) {
		return path + "?[not-recorded]"
	}
	return target
}
