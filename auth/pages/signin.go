package pages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/doorward/doorward/auth"
)

// maxForm bounds a form's body. Name and password take 2 KiB at most, escaped threefold.
const maxForm = 16 << 10

func (p *Pages) showSignIn(x *exchange) error {
	returnTo := SafeReturn(x.r.URL.Query().Get("return_to"))
	if x.v.Session != nil {
		redirect(x, returnTo)
		return nil
	}
	return p.show(x, http.StatusOK, "sign_in.html", page{ReturnTo: returnTo})
}

// form is the sign-in form as it was sent.
type form struct{ username, password, returnTo string }

func (p *Pages) signIn(x *exchange) error {
	f, err := readForm(x)
	if err != nil {
		return err
	}
	out, err := p.auth.SignIn(x.r.Context(), auth.Attempt{
		Login: f.username, Password: f.password, Address: x.v.Address, Realm: p.cfg.Realm,
		Host: x.v.Host, Site: x.v.Site, UserAgent: x.r.UserAgent(), RequestID: x.v.RequestID,
		PreviousToken: p.token(x), ReturnTo: f.returnTo,
	}, time.Now())
	if err != nil {
		no := p.public(x, signInRefusal(err))
		p.refuse(x, no, "sign_in.html", page{Message: no.text, Name: f.username, ReturnTo: f.returnTo,
			Wrong: no.status == http.StatusUnauthorized})
		return nil
	}
	session := out.Session
	p.setCookie(x, out.Token)
	if wantsJSON(x.r) {
		x.w.Header().Set("Location", f.returnTo)
		writeJSON(x, http.StatusSeeOther, struct {
			Name     string      `json:"name"`
			Roles    []auth.Role `json:"roles"`
			ReturnTo string      `json:"return_to"`
		}{session.Principal.Name, session.Principal.Roles, f.returnTo})
		return nil
	}
	redirect(x, f.returnTo)
	return nil
}

// signInRefusal chooses what a person reads. All that is wrong with a name or a password has one text.
func signInRefusal(err error) error {
	var wait *auth.WaitError
	switch {
	case errors.Is(err, auth.ErrWrong):
		return &refusal{status: http.StatusUnauthorized, code: "wrong",
			text: "The name or the password is not right. Please check both and try again."}
	case errors.As(err, &wait):
		return &refusal{status: http.StatusTooManyRequests, code: "waiting", retryAfter: wait.RetryAfter,
			text: fmt.Sprintf("Too many wrong sign-ins from your network. Please wait %s and try again.", inSeconds(wait.RetryAfter))}
	case errors.Is(err, auth.ErrBusy), errors.Is(err, context.Canceled): // nobody reads the answer to the second
		return &refusal{status: http.StatusServiceUnavailable, code: "busy", retryAfter: 2 * time.Second,
			text: "Many people are signing in right now. Please try again in a moment."}
	case errors.Is(err, auth.ErrUnavailable):
		return &refusal{status: http.StatusServiceUnavailable, code: "unavailable", retryAfter: 5 * time.Second,
			text: "Sign-in is not possible at the moment. Please try again in a minute."}
	}
	return fmt.Errorf("sign in: %w", err)
}

func inSeconds(d time.Duration) string {
	if n := wholeSeconds(d); n > 1 {
		return fmt.Sprintf("%d seconds", n)
	}
	return "a second"
}

// readForm reads the fields from the body alone: a password in the URL would stand in logs and histories.
func readForm(x *exchange) (form, error) {
	kind, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return form{}, &refusal{status: http.StatusUnsupportedMediaType, code: "content-type",
			text: "Send the form as application/x-www-form-urlencoded."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxForm))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return form{}, &refusal{status: http.StatusRequestEntityTooLarge, code: "form-too-large",
			text: "The form is larger than this page accepts."}
	}
	if err != nil {
		return form{}, &refusal{status: http.StatusBadRequest, code: "form-incomplete", text: "The form did not arrive whole."}
	}
	return parseForm(string(body))
}

// parseForm reads the body of the sign-in form. A field sent twice is refused: two programs would read two
// different names.
func parseForm(body string) (form, error) {
	values, err := url.ParseQuery(body)
	for _, name := range []string{"username", "password", "return_to"} {
		if len(values[name]) > 1 {
			err = fmt.Errorf("field %s is there twice", name)
		}
	}
	if err != nil {
		return form{}, &refusal{status: http.StatusBadRequest, code: "form-ambiguous",
			text: "The form can be read in more than one way, so it was not used."}
	}
	return form{values.Get("username"), values.Get("password"), SafeReturn(values.Get("return_to"))}, nil
}

// token is the session that the browser had until now.
func (p *Pages) token(x *exchange) string {
	if x.v.Token != "" {
		return x.v.Token
	}
	if cookie, err := x.r.Cookie(p.cfg.CookieName); err == nil {
		return cookie.Value
	}
	return ""
}

// setCookie gives the browser the session. It has no Max-Age: it ends with the browser (D-18). Lax, because
// with Strict every link from an e-mail into the application would meet a stranger.
func (p *Pages) setCookie(x *exchange, token string) {
	http.SetCookie(x.w, &http.Cookie{Name: p.cfg.CookieName, Value: token, Path: "/",
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}
