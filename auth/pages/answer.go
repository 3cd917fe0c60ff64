package pages

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// refusal is the error of a request that is answered with something other than what it asked for.
type refusal struct {
	status     int
	code       string   // for programs: one word or two
	key        string   // of the text for people
	pairs      []string // what is filled in
	more       []reason // what is wrong in particular
	retryAfter time.Duration
}

// reason is one of several things that are wrong.
type reason struct {
	key   string
	pairs []string
}

func (r *refusal) Error() string { return fmt.Sprintf("refused: %d %s", r.status, r.code) }

// detour is the error of a request that belongs to another page.
type detour struct{ location string }

func (d *detour) Error() string { return "belongs to " + d.location }

// report makes an answer of an error. Only texts of the catalogue are shown.
func (p *Pages) report(x *exchange, err error) {
	var to *detour
	if errors.As(err, &to) {
		p.send(x, to.location)
		return
	}
	no := p.public(x, err)
	status := strconv.Itoa(no.status)
	p.refuse(x, no, "message.html", view{Heading: p.texts.TextOr(x.lang, "page.status."+status, p.text(x, "page.status.other"))})
}

// public returns the refusal that an error is, or stands for.
func (p *Pages) public(x *exchange, err error) *refusal {
	var no *refusal
	if errors.As(err, &no) {
		return no
	}
	p.log.Error("answer own page", slog.String("request_id", x.v.RequestID), slog.Any("error", err))
	return &refusal{status: http.StatusInternalServerError, code: "internal-error", key: "page.error.internal"}
}

// sentence is what a refusal says, with everything that is wrong.
func (p *Pages) sentence(x *exchange, no *refusal) string {
	words := []string{p.text(x, no.key, no.pairs...)}
	for _, r := range no.more {
		words = append(words, p.text(x, r.key, r.pairs...))
	}
	return strings.Join(words, " ")
}

// refuse answers with the refusal, as the named page or as JSON.
func (p *Pages) refuse(x *exchange, no *refusal, name string, v view) {
	h := x.w.Header()
	seconds := 0
	if no.retryAfter > 0 {
		seconds = wholeSeconds(no.retryAfter)
		h.Set("Retry-After", strconv.Itoa(seconds))
	}
	if no.status == http.StatusUnauthorized {
		// RFC 9110 15.5.2 wants a challenge; a scheme of our own keeps browsers from asking for a password.
		h.Set("WWW-Authenticate", `Doorward realm="sign-in", uri="`+signInPath+`"`)
	}
	text := p.sentence(x, no)
	if x.json || wantsJSON(x.r) {
		writeJSON(x, no.status, struct {
			Error      string `json:"error"`
			Message    string `json:"message"`
			RetryAfter int    `json:"retry_after,omitempty"`
			RequestID  string `json:"request_id,omitempty"`
		}{no.code, text, seconds, x.v.RequestID})
		return
	}
	v.Message = text
	if err := p.show(x, no.status, name, v); err != nil {
		p.log.Error("answer own page", slog.String("request_id", x.v.RequestID), slog.Any("error", err))
		http.Error(x.w, text, no.status)
	}
}

// wholeSeconds rounds up, so that whoever comes back then has waited long enough.
func wholeSeconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }

// wantsJSON tells a program from a browser, whose Accept names text/html.
func wantsJSON(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

func writeJSON(x *exchange, status int, v any) {
	x.w.Header().Set("Content-Type", "application/json")
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_ = json.NewEncoder(x.w).Encode(v) // an error is the visitor's departure
	}
}

// send sends the browser on; a script of ours is told where to.
func (p *Pages) send(x *exchange, location string) {
	if x.json {
		writeJSON(x, http.StatusOK, struct {
			Location string `json:"location"`
		}{location})
		return
	}
	redirect(x, location)
}

// redirect sends the visitor on with 303, so that the browser asks with GET and a form is not sent again.
// The page gone to gets no referrer: it was asked for by whoever made the link, perhaps a stranger, and an
// application that trusts a Referer of its own host must not take it for a click on one of its pages.
func redirect(x *exchange, target string) {
	h := x.w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Location", target)
	x.w.WriteHeader(http.StatusSeeOther)
}
