package gateway

import (
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/language"
)

// Refusals whose status is part of the product's contract with the people and programs in front of it.
// Each returns a new value, so that a caller may add what it knows.
func refuse(status int, reason, key string) *refusal {
	return &refusal{status: status, reason: reason, text: key}
}

// overload is the answer when there is no room: try again soon.
func overload(reason string) *refusal {
	return &refusal{status: http.StatusServiceUnavailable, reason: reason, retryAfter: 2 * time.Second,
		text: "refusal.busy"}
}

// ownLoad is the answer when the room that there is for one client is taken by its own requests.
func ownLoad() *refusal {
	no := refuse(http.StatusTooManyRequests, "client-load", "")
	no.retryAfter = 2 * time.Second
	return no
}

// report is the one place where an error of the chain becomes an answer. What a person reads is the
// text of the refusal's key; any other error is ours: it is logged, and answered 500 without detail.
func (g *Gateway) report(w http.ResponseWriter, r *http.Request, x *exchange, err error) {
	var no *refusal
	if !errors.As(err, &no) {
		g.log.Error("answer request", slog.String("request_id", x.id), slog.Any("error", err))
		no = refuse(http.StatusInternalServerError, "internal-error", "")
	}
	x.refused = no.reason
	if x.wroteHeader {
		// Half an answer is out already: only breaking the connection keeps it from looking whole.
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	clear(h) // nothing the application or an earlier step set belongs to a refusal
	applyResponseRules(h, x.site, x.secure, false)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Request-Id", x.id)
	if no.retryAfter > 0 {
		seconds := max(1, int((no.retryAfter+time.Second-1)/time.Second))
		h.Set("Retry-After", strconv.Itoa(seconds))
	}
	if no.close {
		h.Set("Connection", "close")
	}
	if no.hint != "" {
		h.Set("X-Doorward-Location", no.hint)
	}
	if no.location != "" {
		h.Set("Location", no.location)
		w.WriteHeader(no.status)
		return
	}
	if no.status == http.StatusUnauthorized {
		// RFC 9110 15.5.2 wants a challenge; a scheme of our own keeps browsers from asking for a password.
		if no.challenge == "" {
			no.challenge = `Doorward realm="sign-in", uri="/.doorward/sign-in"`
		}
		h.Set("WWW-Authenticate", no.challenge)
	}
	g.writeRefusal(w, r, x, no)
}

// refusalPage is what a browser shows. It carries no script and no outside resource, so the strictest
// policy fits.
var refusalPage = template.Must(template.New("refusal").Parse(`<!doctype html>
<html lang="{{.Lang}}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Status}} {{.Title}}</title>
<link rel="stylesheet" href="/.doorward/static/doorward.css"></head>
<body><main class="card"><h1>{{.Title}}</h1><p>{{.Text}}</p>
<p class="hint">{{.Request}} <code id="request-id">{{.ID}}</code>. {{.Hint}}</p></main></body></html>
`))

// writeRefusal tells a person in their language, and a program in English.
func (g *Gateway) writeRefusal(w http.ResponseWriter, r *http.Request, x *exchange, no *refusal) {
	h := w.Header()
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		_, text := g.refusalWords(language.English, no)
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(no.status)
		if r.Method != http.MethodHead {
			fmt.Fprintf(w, "%d %s\n%s\nrequest %s\n", no.status, http.StatusText(no.status), text, x.id)
		}
		return
	}
	preferred := ""
	if x.session != nil {
		preferred = x.session.Principal.Language
	}
	lang := g.texts.Match(preferred, r.Header.Get("Accept-Language"))
	title, text := g.refusalWords(lang, no)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", lang)
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.WriteHeader(no.status)
	if r.Method == http.MethodHead {
		return
	}
	// A write error here is the client's departure; there is nobody left to tell.
	_ = refusalPage.Execute(w, struct {
		Status                               int
		Lang, Title, Text, Request, Hint, ID string
	}{no.status, lang, title, text, g.texts.Text(lang, "page.request"), g.texts.Text(lang, "refusal.hint"), x.id})
}

// refusalWords are a refusal's heading and sentence: its own, or those of its status.
func (g *Gateway) refusalWords(lang string, no *refusal) (title, text string) {
	status := strconv.Itoa(no.status)
	title = g.texts.TextOr(lang, "refusal.title."+status, http.StatusText(no.status))
	if no.text != "" {
		return title, g.texts.Text(lang, no.text)
	}
	return title, g.texts.TextOr(lang, "refusal.text."+status, g.texts.Text(lang, "refusal.text.other"))
}
