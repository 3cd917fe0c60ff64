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
)

// Refusals whose status is part of the product's contract with the people and programs in front of it.
// Each returns a new value, so that a caller may add what it knows.
func refuse(status int, reason, text string) *refusal {
	return &refusal{status: status, reason: reason, text: text}
}

// overload is the answer when there is no room: try again soon.
func overload(reason string) *refusal {
	return &refusal{status: http.StatusServiceUnavailable, reason: reason, retryAfter: 2 * time.Second,
		text: "The service is busy. Please try again in a moment."}
}

// report is the one place where an error of the chain becomes an answer. What a person reads is the
// refusal's own text; any other error is ours: it is logged, and answered 500 without detail.
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
	writeRefusal(w, r, x.id, no)
}

// refusalPage is what a browser shows. It carries no script and no outside resource, so the strictest
// policy fits.
var refusalPage = template.Must(template.New("refusal").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Status}} {{.Title}}</title>
<link rel="stylesheet" href="/.doorward/static/doorward.css"></head>
<body><main class="card"><h1>{{.Title}}</h1><p>{{.Text}}</p>
<p class="hint">Request <code id="request-id">{{.ID}}</code>. Quote it when you ask for help.</p></main></body></html>
`))

func writeRefusal(w http.ResponseWriter, r *http.Request, id string, no *refusal) {
	h := w.Header()
	title := http.StatusText(no.status)
	text := no.text
	if text == "" {
		text = defaultRefusalText(no.status)
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(no.status)
		if r.Method != http.MethodHead {
			fmt.Fprintf(w, "%d %s\n%s\nrequest %s\n", no.status, title, text, id)
		}
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.WriteHeader(no.status)
	if r.Method == http.MethodHead {
		return
	}
	// A write error here is the client's departure; there is nobody left to tell.
	_ = refusalPage.Execute(w, struct {
		Status          int
		Title, Text, ID string
	}{no.status, title, text, id})
}

func defaultRefusalText(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "The request can be read in more than one way, so it was not passed on."
	case http.StatusUnauthorized:
		return "Please sign in."
	case http.StatusForbidden:
		return "You may not do this."
	case http.StatusNotFound:
		return "There is no such page."
	case http.StatusRequestEntityTooLarge:
		return "The request is larger than this site accepts."
	case http.StatusMisdirectedRequest:
		return "This host is not served here."
	case http.StatusTooManyRequests:
		return "Too many requests. Please wait a moment."
	case http.StatusBadGateway:
		return "The application does not answer. Please try again later."
	case http.StatusGatewayTimeout:
		return "The application took too long to answer."
	default:
		return "The request could not be answered."
	}
}
