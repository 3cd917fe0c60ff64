package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// sessionToken returns the value of our session cookie. With several cookies of that name somebody has put
// one beside the other ("tossing"); nothing tells which is ours, so the request counts as not signed in.
// The name is compared byte for byte: browsers hold the promises of the __Host- prefix for this spelling.
func sessionToken(h http.Header) string {
	token, found := "", 0
	for _, line := range h["Cookie"] {
		for line != "" {
			pair := line
			if i := strings.IndexByte(line, ';'); i >= 0 {
				pair, line = line[:i], line[i+1:]
			} else {
				line = ""
			}
			pair = strings.Trim(pair, " \t")
			if len(pair) > len(CookieName) && pair[len(CookieName)] == '=' && pair[:len(CookieName)] == CookieName {
				token = pair[len(CookieName)+1:]
				found++
			}
		}
	}
	if found != 1 {
		return ""
	}
	return token
}

// cleanCookies takes our cookies out of a request (security.md 1). It splits the way the most careless
// application would, at semicolons and commas and inside quotes, so that none finds our token in what is
// left. Several Cookie lines become one: applications disagree about which of them counts.
func cleanCookies(h http.Header) {
	lines := h["Cookie"]
	if len(lines) == 0 {
		return
	}
	if len(lines) == 1 && !holdsOwnCookie(lines[0]) {
		return
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if holdsOwnCookie(line) {
			line = withoutOwnCookies(line)
		}
		if line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = []string{strings.Join(kept, "; ")}
}

// nextCookie cuts off the piece up to the next separator; separator is 0 at the end.
func nextCookie(line string) (piece, rest string, separator byte) {
	i := strings.IndexAny(line, ";,")
	if i < 0 {
		return line, "", 0
	}
	return line[:i], line[i+1:], line[i]
}

func holdsOwnCookie(line string) bool {
	more := byte(';')
	for more != 0 {
		var piece string
		piece, line, more = nextCookie(line)
		if isOwnCookie(piece) {
			return true
		}
	}
	return false
}

func withoutOwnCookies(line string) string {
	var out strings.Builder
	out.Grow(len(line))
	before, after := byte(0), byte(';')
	for after != 0 {
		var piece string
		piece, line, after = nextCookie(line)
		if isOwnCookie(piece) {
			// A kept cookie is separated by the stronger sign of the two that stood around a removed one.
			if after == ';' {
				before = ';'
			}
			continue
		}
		if out.Len() == 0 {
			piece = strings.TrimLeft(piece, " \t")
		} else {
			out.WriteByte(before)
		}
		out.WriteString(piece)
		before = after
	}
	return strings.TrimRight(out.String(), " \t")
}

// isOwnCookie tells whether piece is a cookie by one of our names, in any spelling that some parser takes for
// it: other case, quotes and blanks, percent escapes, and the characters that PHP turns into underscores.
func isOwnCookie(piece string) bool {
	// A cookie without a name is sent as its value alone: "=__Host-doorward=x" would come back as ours.
	name, _, _ := strings.Cut(strings.TrimLeft(piece, "= \t"), "=")
	if len(name) < len(ownCookieStem) {
		return false
	}
	var folded [64]byte
	n := 0
	for i := 0; i < len(name) && n < len(folded); i++ {
		c := name[i]
		if c == '%' {
			if b, ok := unescape(name[i:]); ok {
				c = b
				i += 2
			}
		}
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c <= ' ', c == '"', c == '\'', c == '_', c == '.', c == '[', c == '+', c == '$', c == '\\', c >= 0x7f:
			continue // may be dropped, or stand for an underscore
		}
		folded[n] = c
		n++
	}
	return n >= len(ownCookieStem) && string(folded[:len(ownCookieStem)]) == ownCookieStem
}

// ownCookieStem is what the names __Host-doorward and __Host-doorward-console have in common, without what
// isOwnCookie skips.
const ownCookieStem = "host-doorward"

// mendCookies repairs the application's Set-Cookie lines and drops those with our names. secure says that
// the browser speaks TLS: on a plain connection it would not keep a Secure cookie.
func mendCookies(h http.Header, rules *answerRules, secure bool, now time.Time) {
	lines := h["Set-Cookie"]
	kept := lines[:0]
	for _, line := range lines {
		if line = rules.mendCookie(line, secure, now); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Set-Cookie")
		return
	}
	h["Set-Cookie"] = kept
}

// cookieTraits are the attributes of a Set-Cookie line that matter here.
type cookieTraits struct {
	secure, httpOnly, sameSite bool
	maxAge, expires            string
	hasMaxAge, hasExpires      bool
}

// mendCookie returns the line as the browser shall get it; empty drops it.
func (rules *answerRules) mendCookie(line string, secure bool, now time.Time) string {
	pair, attributes, _ := strings.Cut(line, ";")
	if isOwnCookie(pair) {
		return ""
	}
	name, _, _ := strings.Cut(pair, "=")
	login := rules.isLoginCookie(strings.Trim(name, " \t"))
	var has cookieTraits
	for attribute := range strings.SplitSeq(attributes, ";") {
		has.note(attribute)
	}
	if login && !rules.rememberMe && has.outlivesBrowser(now) {
		line = pair
		for attribute := range strings.SplitSeq(attributes, ";") {
			key, _, _ := strings.Cut(attribute, "=")
			if key = strings.Trim(key, " \t"); key != "" && !strings.EqualFold(key, "max-age") && !strings.EqualFold(key, "expires") {
				line += ";" + attribute
			}
		}
	}
	add := ""
	if secure && !has.secure {
		add += "; Secure"
	}
	if login && !has.httpOnly {
		add += "; HttpOnly"
	}
	if !has.sameSite {
		add += rules.sameSite
	}
	if add == "" {
		return line
	}
	return strings.TrimRight(line, "; \t") + add
}

func (t *cookieTraits) note(attribute string) {
	key, value, _ := strings.Cut(attribute, "=")
	key, value = strings.Trim(key, " \t"), strings.Trim(value, " \t")
	switch {
	case strings.EqualFold(key, "secure"):
		t.secure = true
	case strings.EqualFold(key, "httponly"):
		t.httpOnly = true
	case strings.EqualFold(key, "samesite"):
		t.sameSite = true
	case strings.EqualFold(key, "max-age"):
		t.maxAge, t.hasMaxAge = value, true // of several the last counts (RFC 6265 5.3)
	case strings.EqualFold(key, "expires"):
		t.expires, t.hasExpires = value, true
	}
}

// outlivesBrowser tells a persistent cookie from a session's and from a deletion. Max-Age goes before
// Expires (RFC 6265 5.3); what cannot be read is taken for a long life.
func (t *cookieTraits) outlivesBrowser(now time.Time) bool {
	if t.hasMaxAge {
		seconds, err := strconv.ParseInt(t.maxAge, 10, 64)
		return err != nil || seconds > 0
	}
	if !t.hasExpires {
		return false
	}
	for _, layout := range [...]string{http.TimeFormat, "Mon, 02-Jan-2006 15:04:05 MST", time.RFC850, time.ANSIC} {
		if at, err := time.Parse(layout, t.expires); err == nil {
			return at.After(now)
		}
	}
	return true
}

// isLoginCookie tells whether the application's folder names the cookie as one that signs people in.
func (rules *answerRules) isLoginCookie(name string) bool {
	for _, list := range [...][]string{rules.app.SessionCookies, rules.app.RememberCookies} {
		for _, pattern := range list {
			if stem, open := strings.CutSuffix(pattern, "*"); open && strings.HasPrefix(name, stem) || name == pattern {
				return true
			}
		}
	}
	return false
}
