package pages

import (
	"net/http"
	"time"

	"github.com/doorward/doorward/auth"
)

// What stands behind the session cookie's name in our other cookies. The console's session cookie has a name of its own, so
// that the two realms do not mix at one host, whose cookies ignore ports.
const (
	sessionCookie = ""
	pendingCookie = "-pending" // a sign-in that lacks a step
	deviceCookie  = "-device"  // a browser that somebody was signed in with
	proofCookie   = "-proof"   // somebody has just proved themselves again
)

// deviceFor is how long a browser is remembered: as long as browsers keep any cookie.
const deviceFor = 400 * 24 * time.Hour

// cookie is the value of a cookie of ours; empty if there is none, or if there are several, of which nothing tells which is
// ours.
func (p *Pages) cookie(x *exchange, suffix string) string {
	name := p.cfg.CookieName + suffix
	for _, c := range x.v.Cookies {
		if c.Name == name {
			return c.Value
		}
	}
	if found := x.r.CookiesNamed(name); len(found) == 1 {
		return found[0].Value
	}
	return ""
}

// token is the session that the browser had until now.
func (p *Pages) token(x *exchange) string {
	if x.v.Token != "" {
		return x.v.Token
	}
	return p.cookie(x, sessionCookie)
}

// setCookie gives the browser a cookie, for a time or, with 0, until it ends (D-18); a time below 0 takes the cookie away. Lax,
// because with Strict every link from an e-mail into the application would meet a stranger.
func (p *Pages) setCookie(x *exchange, suffix, value string, last time.Duration) {
	c := &http.Cookie{Name: p.cfg.CookieName + suffix, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	switch {
	case last < 0:
		c.MaxAge = -1
	case last > 0:
		c.MaxAge = max(1, int(last/time.Second))
	}
	http.SetCookie(x.w, c)
}

// dropPending takes the pending sign-in's cookie away, if there is one.
func (p *Pages) dropPending(x *exchange) {
	if p.cookie(x, pendingCookie) != "" {
		p.setCookie(x, pendingCookie, "", -1)
	}
}

// attempt is the request as package auth knows it.
func (p *Pages) attempt(x *exchange) auth.Attempt {
	return auth.Attempt{Address: x.v.Address, Realm: p.cfg.Realm, Host: x.v.Host, Site: x.v.Site, UserAgent: x.r.UserAgent(),
		RequestID: x.v.RequestID, PreviousToken: p.token(x), Device: p.cookie(x, deviceCookie), Proof: p.cookie(x, proofCookie)}
}

// settle gives the browser the cookies of an outcome and returns where it is to go.
func (p *Pages) settle(x *exchange, out auth.Outcome, now time.Time) (location string) {
	if out.Pending != nil {
		if out.Token != "" {
			p.setCookie(x, pendingCookie, out.Token, 0)
		}
		return stepPath(out.Pending.Step)
	}
	last := time.Duration(0)
	if out.Session.Remember {
		last = out.Session.Expires.Sub(now)
	}
	p.setCookie(x, sessionCookie, out.Token, last)
	if out.Device != "" {
		p.setCookie(x, deviceCookie, out.Device, deviceFor)
	}
	p.dropPending(x)
	return SafeReturn(out.ReturnTo)
}
