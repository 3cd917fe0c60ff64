package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"html/template"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/doorward/doorward/auth/pages"
)

const (
	// challengePath is the page that who is challenged answers with one click. It works without scripts; a program that keeps no cookies and
	// fills in no forms stays outside.
	challengePath = ownPrefix + "challenge"
	// challengeCookie is what a browser keeps of the answer. By its name's stem it is taken out of every request (security.md 1).
	challengeCookie = CookieName + "-challenge"
	// challengeForm is how long the page's form is good.
	challengeForm    = 10 * time.Minute
	maxChallengeBody = 8 << 10
)

// What a signature was made for, so that a form is never taken for the cookie.
const (
	forForm = "challenge form"
	forPass = "challenge pass"
)

// challenge has who is challenged show a browser first: a person's visit is sent to the page, everything else is 403. A valid cookie, the page
// itself and what it looks like pass.
func (g *Gateway) challenge(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		if !x.challenged || x.path.decoded == challengePath || strings.HasPrefix(x.path.decoded, ownPrefix+"static/") {
			return next(w, r, x)
		}
		lines := x.cookies
		if x.ask != nil {
			lines = r.Header["Cookie"]
		}
		for _, c := range ownCookies(lines) {
			if c.Name == challengeCookie && g.signed(forPass, c.Value, x.host, x.client, x.started) {
				return next(w, r, x)
			}
		}
		no := refuse(http.StatusForbidden, "challenge", "refusal.challenge")
		no.page = challengePath + "?return_to=" + url.QueryEscape(pages.SafeReturn(x.target()))
		return x.orRedirect(r, no)
	}
}

// sign makes a text that signed believes until its end, for this use, host and address (IPv6 by /64) alone.
func (g *Gateway) sign(use, host string, client netip.Addr, until time.Time) string {
	text := binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(text, g.signature(use, host, client, text)...))
}

func (g *Gateway) signature(use, host string, client netip.Addr, end []byte) []byte {
	m := hmac.New(sha256.New, g.decisions.Key())
	for _, part := range []string{use, host, limitAddress(client).String(), string(end)} {
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		m.Write([]byte(part))
	}
	return m.Sum(nil)
}

// signed tells whether text was made by sign and has not ended.
func (g *Gateway) signed(use, text, host string, client netip.Addr, now time.Time) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != 8+sha256.Size {
		return false
	}
	until := time.Unix(int64(binary.BigEndian.Uint64(raw)), 0)
	return hmac.Equal(raw[8:], g.signature(use, host, client, raw[:8])) && now.Before(until)
}

var challengePage = template.Must(template.New("challenge").Parse(`<!doctype html>
<html lang="{{.Lang}}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<link rel="stylesheet" href="/.doorward/static/doorward.css"></head>
<body><main class="card"><h1>{{.Title}}</h1><p>{{.Text}}</p>
<form method="post" action="/.doorward/challenge"><input type="hidden" name="token" value="{{.Token}}">
<input type="hidden" name="return_to" value="{{.Return}}"><button type="submit">{{.Button}}</button></form></main></body></html>
`))

// serveChallenge shows the page, and takes its answer.
func (g *Gateway) serveChallenge(w http.ResponseWriter, r *http.Request, x *exchange) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return g.showChallenge(w, r, x, r.URL.Query().Get("return_to"))
	case http.MethodPost:
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		return refuse(http.StatusMethodNotAllowed, "method", "")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxChallengeBody)
	if err := r.ParseForm(); err != nil {
		return refuse(http.StatusBadRequest, "challenge-form", "")
	}
	back := r.PostForm.Get("return_to")
	if !g.signed(forForm, r.PostForm.Get("token"), x.host, x.client, x.started) {
		return g.showChallenge(w, r, x, back) // the page lay open too long, or the address is another by now
	}
	pass := g.decisions.Config().ChallengePass
	http.SetCookie(w, &http.Cookie{Name: challengeCookie, Value: g.sign(forPass, x.host, x.client, x.started.Add(pass)), Path: "/",
		MaxAge: int(pass / time.Second), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", pages.SafeReturn(back))
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

func (g *Gateway) showChallenge(w http.ResponseWriter, r *http.Request, x *exchange, back string) error {
	lang := g.texts.Match("", r.Header.Get("Accept-Language"))
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", lang)
	h.Set("Cache-Control", "no-store")
	// With no-referrer browsers would send Origin: null with the form, which looks like another site.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	// A write error here is the client's departure; there is nobody left to tell.
	_ = challengePage.Execute(w, struct{ Lang, Title, Text, Button, Token, Return string }{lang, g.texts.Text(lang, "challenge.title"),
		g.texts.Text(lang, "challenge.text"), g.texts.Text(lang, "challenge.button"), g.sign(forForm, x.host, x.client, x.started.Add(challengeForm)),
		pages.SafeReturn(back)})
	return nil
}
