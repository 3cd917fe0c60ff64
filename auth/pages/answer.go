package pages

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
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
	code       string // for programs: one word or two
	text       string // for people
	retryAfter time.Duration
}

func (r *refusal) Error() string { return fmt.Sprintf("refused: %d %s", r.status, r.code) }

// report makes an answer of an error. Only a refusal's own text is shown.
func (p *Pages) report(x *exchange, err error) {
	no := p.public(x, err)
	data := page{Heading: http.StatusText(no.status), Message: no.text}
	p.refuse(x, no, "message.html", data)
}

// public returns the refusal that an error is, or stands for.
func (p *Pages) public(x *exchange, err error) *refusal {
	var no *refusal
	if errors.As(err, &no) {
		return no
	}
	p.log.Error("answer own page", slog.String("request_id", x.v.RequestID), slog.Any("error", err))
	return &refusal{status: http.StatusInternalServerError, code: "internal-error", text: "The request could not be answered."}
}

// refuse answers with the refusal, as the named page or as JSON.
func (p *Pages) refuse(x *exchange, no *refusal, name string, data page) {
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
	if wantsJSON(x.r) {
		writeJSON(x, no.status, struct {
			Error      string `json:"error"`
			Message    string `json:"message"`
			RetryAfter int    `json:"retry_after,omitempty"`
			RequestID  string `json:"request_id,omitempty"`
		}{no.code, no.text, seconds, x.v.RequestID})
		return
	}
	if err := p.show(x, no.status, name, data); err != nil {
		p.log.Error("answer own page", slog.String("request_id", x.v.RequestID), slog.Any("error", err))
		http.Error(x.w, no.text, no.status)
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

// redirect sends the visitor on with 303, so that the browser asks with GET and a form is not sent again.
// The page gone to gets no referrer: it was asked for by whoever made the link, perhaps a stranger, and an
// application that trusts a Referer of its own host must not take it for a click on one of its pages.
func redirect(x *exchange, target string) {
	h := x.w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Location", target)
	x.w.WriteHeader(http.StatusSeeOther)
}

func tag(b []byte) string {
	sum := sha256.Sum256(b)
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}

// serveContent answers conditional and range requests.
func serveContent(x *exchange, b []byte) {
	http.ServeContent(x.w, x.r, "", time.Time{}, bytes.NewReader(b))
}
