package pages

import (
	"net/http"
	"time"

	"github.com/doorward/doorward/auth"
)

const (
	releasePath = linkPath + "release"
	notMePath   = linkPath + "not-me"
	resetPath   = linkPath + "reset"
)

// linkRoutes are the pages of mailed links. Opening one changes nothing: programs that look at mails open links too.
func (p *Pages) linkRoutes() map[string]route {
	return map[string]route{
		releasePath: {get: p.showRelease, post: p.release},
		notMePath:   {get: p.showNotMe, post: p.notMe},
	}
}

// coverCode keeps a link's code, which stands in this page's address, out of what the next page is told. Unlike no-referrer this
// has browsers send their Origin with the form.
func coverCode(x *exchange) { x.w.Header().Set("Referrer-Policy", "strict-origin") }

// linkData is what the pages of links show.
type linkData struct {
	Code    string
	Held    auth.Held
	Name    string // whose account
	Browser string
}

func (p *Pages) showRelease(x *exchange) error {
	coverCode(x)
	code := x.r.URL.Query().Get("c")
	h, err := p.auth.HeldSignIn(x.r.Context(), p.attempt(x), code, p.cookie(x, pendingCookie), time.Now())
	if err != nil {
		return refusalOf(err, "")
	}
	return p.show(x, http.StatusOK, "release.html", view{Data: linkData{Code: code, Held: h, Name: h.Name, Browser: p.browser(x, h.UserAgent)}})
}

// release does what the person has chosen: to let the sign-in in, or to refuse it.
func (p *Pages) release(x *exchange) error {
	coverCode(x)
	f, err := readForm(x)
	if err != nil {
		return err
	}
	now := time.Now()
	switch f.get("do") {
	case "release":
		out, err := p.auth.ReleaseSignIn(x.r.Context(), p.attempt(x), f.get("c"), p.cookie(x, pendingCookie), now)
		if err != nil {
			return refusalOf(err, "page.error.wrong")
		}
		p.proceed(x, out, now)
		return nil
	case "refuse":
		reset, err := p.auth.RefuseSignIn(x.r.Context(), p.attempt(x), f.get("c"), now)
		if err != nil {
			return refusalOf(err, "")
		}
		p.dropPending(x)
		toReset(x, reset)
		return nil
	}
	return &refusal{status: http.StatusBadRequest, code: "form-incomplete", key: "page.error.form_incomplete"}
}

func (p *Pages) showNotMe(x *exchange) error {
	coverCode(x)
	code := x.r.URL.Query().Get("c")
	name, err := p.auth.NotMeLink(x.r.Context(), code, time.Now())
	if err != nil {
		return refusalOf(err, "")
	}
	return p.show(x, http.StatusOK, "not_me.html", view{Data: linkData{Code: code, Name: name}})
}

func (p *Pages) notMe(x *exchange) error {
	coverCode(x)
	f, err := readForm(x)
	if err != nil {
		return err
	}
	reset, err := p.auth.NotMe(x.r.Context(), p.attempt(x), f.get("c"), time.Now())
	if err != nil {
		return refusalOf(err, "")
	}
	toReset(x, reset)
	return nil
}

// toReset goes on to a new password. Without a code it is another system that has the password, and the person signs in there.
func toReset(x *exchange, code string) {
	if code == "" {
		redirect(x, signInPath)
		return
	}
	redirect(x, resetPath+"?c="+code)
}
