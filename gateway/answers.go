package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answerRules are the headers that a site's answers get, written out once. The slices hold one element and
// have no room for more, so that they can be shared by all answers: adding to one makes a copy.
type answerRules struct {
	app                     *App
	policy, frame, referrer []string
	nosniff                 []string
	xssProtection, hsts     []string // nil: not sent
	sameSite                string   // what a cookie without SameSite gets, with its semicolon
	rememberMe              bool
}

func newAnswerRules(cfg SiteConfig, app *App) *answerRules {
	rules := &answerRules{app: app, rememberMe: cfg.Cookies.RememberMe, nosniff: []string{"nosniff"},
		policy: []string{cfg.Headers.ContentSecurityPolicy}, referrer: []string{cfg.Headers.ReferrerPolicy}}
	switch cfg.Headers.FrameOptions {
	case "off":
	case "":
		rules.frame = []string{"SAMEORIGIN"}
	default:
		rules.frame = []string{cfg.Headers.FrameOptions}
	}
	if cfg.Headers.XSSProtection {
		rules.xssProtection = []string{"1; mode=block"}
	}
	if !cfg.Headers.HSTS.Off {
		value := "max-age=" + strconv.FormatInt(int64(cfg.Headers.HSTS.MaxAge/time.Second), 10)
		if !cfg.Headers.HSTS.ExcludeSubDomains {
			value += "; includeSubDomains"
		}
		rules.hsts = []string{value}
	}
	switch cfg.Cookies.SameSite {
	case "off":
	case "strict":
		rules.sameSite = "; SameSite=Strict"
	default:
		rules.sameSite = "; SameSite=Lax"
	}
	return rules
}

// applyResponseRules gives an answer the headers of I-37 to I-43 and I-49 as security.md qualifies them. s is
// nil when the request's site is not known. secure says that the client's side speaks TLS: HSTS is nothing
// over plain HTTP (RFC 6797 7.2). fromUpstream says that h came from the application: what tells about its
// software is removed, its own stricter choices stay, and its cookies are mended.
func applyResponseRules(h http.Header, s *site, secure, fromUpstream bool) {
	if s == nil {
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "frame-ancestors 'none'; base-uri 'none'; object-src 'none'")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
		return
	}
	rules := s.answers
	h["X-Content-Type-Options"] = rules.nosniff
	if fromUpstream {
		dropTelltales(h)
		if _, ok := h["Set-Cookie"]; ok {
			mendCookies(h, rules, secure, time.Now())
		}
	}
	if !hasValue(h["Content-Security-Policy"]) {
		h["Content-Security-Policy"] = rules.policy
	}
	if rules.frame != nil && !validFrameOptions(h["X-Frame-Options"]) {
		h["X-Frame-Options"] = rules.frame
	}
	if !hasValue(h["Referrer-Policy"]) {
		h["Referrer-Policy"] = rules.referrer
	}
	if rules.xssProtection != nil {
		h["X-Xss-Protection"] = rules.xssProtection
	}
	if secure && rules.hsts != nil {
		h["Strict-Transport-Security"] = rules.hsts
	}
}

func hasValue(values []string) bool {
	for _, value := range values {
		if value != "" {
			return true
		}
	}
	return false
}

// validFrameOptions accepts the application's own choice where browsers understand it: one value of the two
// that RFC 7034 left alive. Anything else would leave the page open to framing.
func validFrameOptions(values []string) bool {
	return len(values) == 1 && (strings.EqualFold(values[0], "SAMEORIGIN") || strings.EqualFold(values[0], "DENY"))
}

// dropTelltales removes what tells which software runs behind (I-41), what would lead browsers past the
// gateway, what only a web server in front of the application may act on, and the application's own HSTS,
// which belongs to whoever ends TLS.
func dropTelltales(h http.Header) {
	for name := range h {
		switch name {
		case "Server", "Via", "X-Generator", "X-Runtime", "X-Version", "X-Powered-Cms", "X-Backend-Server", "X-Sourcefiles", "Liferay-Portal",
			"X-Php-Version", "X-Owa-Version", "Microsoftsharepointteamservices", "X-Framework", "X-Served-By",
			"Alt-Svc", "Public-Key-Pins", "Strict-Transport-Security", "Expect-Ct", "X-Sendfile", "X-Lighttpd-Send-File", "X-Reproxy-Url":
			delete(h, name)
		default:
			if strings.HasPrefix(name, "X-Powered-By") || strings.HasPrefix(name, "X-Aspnet") || strings.HasPrefix(name, "X-Accel-") ||
				strings.HasPrefix(name, "X-Doorward-") {
				delete(h, name)
			}
		}
	}
}
