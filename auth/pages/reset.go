package pages

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/doorward/doorward/auth"
)

// forgotPath is the page that asks for a link by which a forgotten password is replaced.
const forgotPath = "/.doorward/reset"

// resetRoutes are the pages of a forgotten password. Links are asked for at the sites, where they lead; one that a "not me"
// gives is used where that was said.
func (p *Pages) resetRoutes() map[string]route {
	routes := map[string]route{resetPath: {get: p.showReset, post: p.reset}}
	if p.cfg.Realm == auth.SiteRealm {
		routes[forgotPath] = route{get: p.showForgot, post: p.forgot}
	}
	return routes
}

// forgotData is what the page shows that asks whose password was forgotten.
type forgotData struct {
	Name string
	Sent bool
}

func (p *Pages) showForgot(x *exchange) error {
	if !p.auth.OffersReset() {
		return notOffered()
	}
	return p.show(x, http.StatusOK, "forgot.html", view{Data: forgotData{}})
}

// forgot says the same whoever is asked for.
func (p *Pages) forgot(x *exchange) error {
	f, err := readForm(x)
	if err != nil {
		return err
	}
	at := p.attempt(x)
	at.Login = f.get("username")
	if err := p.auth.RequestReset(x.r.Context(), at, time.Now()); err != nil {
		return p.stepRefused(x, personRefusal(err), "forgot.html", func(*refusal) view { return view{Data: forgotData{Name: at.Login}} })
	}
	return p.show(x, http.StatusOK, "forgot.html", view{Data: forgotData{Sent: true}})
}

// resetData is what the page of the link shows.
type resetData struct{ Code, Name string }

func (p *Pages) showReset(x *exchange) error {
	coverCode(x)
	code := x.r.URL.Query().Get("c")
	name, err := p.auth.ResetLink(x.r.Context(), code, time.Now())
	if err != nil {
		return refusalOf(err, "")
	}
	return p.show(x, http.StatusOK, "reset.html", view{Data: resetData{code, name}})
}

func (p *Pages) reset(x *exchange) error {
	coverCode(x)
	f, err := readForm(x)
	if err != nil {
		return err
	}
	now, code := time.Now(), f.get("c")
	name, err := p.auth.ResetLink(x.r.Context(), code, now)
	if err != nil {
		return refusalOf(err, "")
	}
	var out auth.Outcome
	if err = repeated(f); err == nil {
		if out, err = p.auth.ResetByLink(x.r.Context(), p.attempt(x), code, f.get("new_password"), now); errors.Is(err, auth.ErrNoLink) {
			return refusalOf(err, "")
		} else if err != nil {
			err = personRefusal(err)
		}
	}
	if err != nil {
		return p.stepRefused(x, err, "reset.html", func(*refusal) view { return view{Data: resetData{code, name}} })
	}
	p.proceed(x, out, now)
	return nil
}

// notOffered is the answer of a page that this installation does not have.
func notOffered() error {
	return &refusal{status: http.StatusNotFound, code: "page-unknown", key: "page.error.page_unknown"}
}

// personRefusal is refusalOf for what people do who have not signed in: they wait because of their network's many requests, not
// because of wrong passwords, and the name is an account's.
func personRefusal(err error) error {
	var wait *auth.WaitError
	var input *auth.InputError
	switch {
	case errors.Is(err, auth.ErrNotOffered):
		return notOffered()
	case errors.Is(err, auth.ErrNoRegistration):
		return &refusal{status: http.StatusNotFound, code: "no-registration", key: "page.register.over"}
	case errors.Is(err, auth.ErrCodeOver):
		return &refusal{status: http.StatusConflict, code: "code-over", key: "page.register.code_over"}
	case errors.Is(err, auth.ErrExists):
		return &refusal{status: http.StatusConflict, code: "exists", key: "page.register.name_taken"}
	case errors.As(err, &wait):
		no := &refusal{status: http.StatusTooManyRequests, code: "waiting", retryAfter: wait.RetryAfter, key: "page.error.limit_seconds",
			pairs: []string{"n", strconv.Itoa(wholeSeconds(wait.RetryAfter))}}
		if wait.RetryAfter > 2*time.Minute {
			no.key, no.pairs = "page.error.limit_minutes", []string{"n", strconv.Itoa(int((wait.RetryAfter + time.Minute - 1) / time.Minute))}
		}
		return no
	case errors.As(err, &input):
		key := map[string]string{"name": "page.register.unfit_name", "email": "page.register.unfit_email", "phone": "page.register.unfit_phone"}[input.Field]
		if key != "" {
			return &refusal{status: http.StatusUnprocessableEntity, code: "input", key: key}
		}
	}
	return refusalOf(err, "page.error.wrong_code")
}
