package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/auth/pages"
)

// askToSignIn sends a person who follows a link to the sign-in page, and tells everything else 401.
func (x *exchange) askToSignIn(r *http.Request) error {
	if x.storeDown {
		return overload("store-unavailable")
	}
	no := refuse(http.StatusUnauthorized, "not-signed-in", "")
	no.page = pages.SignInURL(x.target())
	return x.orRedirect(r, no)
}

// askForFactor sends a person to the page that asks for the factor which the path needs, and tells everything else
// 403. The page learns by factor=passkey that a one-time code would not do. An API token has nobody to prove more.
func (x *exchange) askForFactor(r *http.Request, level auth.Level) error {
	if x.session.IsToken() {
		return refuse(http.StatusForbidden, "factor", "refusal.factor_token")
	}
	no := refuse(http.StatusForbidden, "factor", "refusal.factor")
	no.page = pages.StepUpURL(x.target(), level)
	return x.orRedirect(r, no)
}

// target is what was asked for, in the form that would have been sent.
func (x *exchange) target() string {
	if x.path.query == "" {
		return x.path.raw
	}
	return x.path.raw + "?" + x.path.query
}

// orRedirect makes a redirect of a refusal that a page of ours can help with, if a person is there to follow it. A
// proxy that asks gets another answer (answerProxy).
func (x *exchange) orRedirect(r *http.Request, no *refusal) error {
	if x.ask == nil && pages.IsNavigation(r) {
		no.status, no.location = http.StatusSeeOther, no.page
	}
	return no
}

// isActivity tells whether a request shows that a person is at the keyboard, and so keeps the session alive. What
// the application's folder lists as polling never does. Where the person's roles require activity (D-19), neither does
// what a page loads or asks for by itself: Sec-Fetch-* tell, which a page's scripts cannot set. A frame that loads
// itself anew is no visit; a browser that sends none of these headers is believed.
func (g *Gateway) isActivity(r *http.Request, x *exchange) bool {
	if x.path.under(x.site.app.PollPaths) {
		return false
	}
	if g.requireActivity == nil || !g.requireActivity(x.session) {
		return true
	}
	mode, dest := r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Dest")
	switch {
	case r.Header.Get("Sec-Fetch-User") == "?1":
		return true
	case mode == "navigate":
		return dest == "" || dest == "document"
	case changesState(r.Method):
		return true
	default:
		return mode == "" && dest == "" && r.Header.Get("Sec-Fetch-Site") == ""
	}
}

// ownCookies reads from a request's Cookie lines what our pages keep in the browser beside the session. As with the
// session's cookie, of several with one name none counts; the console's are not the sites' business.
func ownCookies(lines []string) []*http.Cookie {
	const prefix = CookieName + "-"
	var own []*http.Cookie
	seen := make(map[string]int)
	for _, line := range lines {
		if !strings.Contains(line, prefix) {
			continue
		}
		for pair := range strings.SplitSeq(line, ";") {
			name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			if strings.HasPrefix(name, prefix) && name != consoleCookieName {
				if seen[name]++; seen[name] == 1 && len(own) < maxOwnCookies {
					own = append(own, &http.Cookie{Name: name, Value: value})
				}
			}
		}
	}
	return slices.DeleteFunc(own, func(c *http.Cookie) bool { return seen[c.Name] > 1 })
}

const (
	// consoleCookieName is the console's session cookie; cookies ignore ports, so that it may come to a site.
	consoleCookieName = CookieName + "-console"
	maxOwnCookies     = 16
)
