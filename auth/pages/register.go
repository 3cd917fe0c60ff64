package pages

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/doorward/doorward/auth"
)

const (
	registerPath        = "/.doorward/register"
	registerConfirmPath = registerPath + "/confirm"
	registerCodePath    = registerPath + "/code"
	registerNamePath    = registerPath + "/name"

	registerCookie = "-register" // a registration that is not complete
)

// registerRoutes are the pages by which people make accounts for themselves, at the sites.
func (p *Pages) registerRoutes() map[string]route {
	if p.cfg.Realm != auth.SiteRealm {
		return nil
	}
	return map[string]route{
		registerPath:        {get: p.showRegister, post: p.register},
		registerConfirmPath: {get: p.showRegistration, post: p.confirmCode},
		registerCodePath:    {post: p.anotherCode},
		registerNamePath:    {post: p.chooseName},
	}
}

// registerData is what the form shows, filled in with what was typed before.
type registerData struct {
	Name, Email, DisplayName, Phone string
	AskPhone, NeedPhone             bool
	Domains                         string
	Field                           string // what is wrong
}

func (p *Pages) registerView(d registerData) view {
	phone := p.auth.RegistrationPhone()
	d.AskPhone, d.NeedPhone = phone != auth.PhoneOff, phone == auth.PhoneRequired
	d.Domains = strings.Join(p.auth.RegistrationDomains(), ", ")
	return view{Data: d}
}

func (p *Pages) showRegister(x *exchange) error {
	switch {
	case !p.auth.OffersRegistration():
		return notOffered()
	case x.v.Session != nil:
		return &detour{accountPath}
	}
	return p.show(x, http.StatusOK, "register.html", p.registerView(registerData{}))
}

func (p *Pages) register(x *exchange) error {
	f, err := readForm(x)
	if err != nil {
		return err
	}
	n := auth.NewRegistration{Name: f.get("name"), Email: f.get("email"), DisplayName: f.get("display_name"), Phone: f.get("phone"),
		Password: f.get("new_password"), Language: x.lang}
	now := time.Now()
	var token string
	var r *auth.Registration
	if err = repeated(f); err == nil {
		if token, r, err = p.auth.Register(x.r.Context(), p.attempt(x), n, now); errors.Is(err, auth.ErrNotOffered) {
			return notOffered()
		}
	}
	if err != nil {
		d := registerData{Name: n.Name, Email: n.Email, DisplayName: n.DisplayName, Phone: n.Phone}
		var input *auth.InputError
		var typed *refusal
		if errors.As(err, &input) {
			d.Field = keyWord(input.Field)
		}
		if !errors.As(err, &typed) {
			err = personRefusal(err)
		}
		return p.stepRefused(x, err, "register.html", func(*refusal) view { return p.registerView(d) })
	}
	p.setCookie(x, registerCookie, token, r.Expires.Sub(now))
	redirect(x, registerConfirmPath)
	return nil
}

// stateData is what the page of an incomplete registration shows.
type stateData struct {
	*auth.Registration
	Wrong bool
}

func (p *Pages) showRegistration(x *exchange) error {
	if !p.auth.OffersRegistration() {
		return notOffered()
	}
	r, err := p.auth.RegistrationState(x.r.Context(), p.attempt(x), p.cookie(x, registerCookie), time.Now())
	if err != nil {
		return p.registrationRefused(x, err, nil)
	}
	return p.show(x, http.StatusOK, "register_confirm.html", view{Data: stateData{Registration: r}})
}

// registrationRefused says what is wrong on the registration's page, as long as there is one.
func (p *Pages) registrationRefused(x *exchange, err error, r *auth.Registration) error {
	if errors.Is(err, auth.ErrNoRegistration) {
		p.setCookie(x, registerCookie, "", -1)
		return p.stepRefused(x, personRefusal(err), "register_over.html", func(*refusal) view { return view{} })
	}
	if r == nil && !errors.Is(err, auth.ErrNotOffered) && !errors.Is(err, auth.ErrUnavailable) {
		state, stateErr := p.auth.RegistrationState(x.r.Context(), p.attempt(x), p.cookie(x, registerCookie), time.Now())
		if stateErr != nil {
			return personRefusal(stateErr)
		}
		r = state
	}
	if r == nil {
		return personRefusal(err)
	}
	return p.stepRefused(x, personRefusal(err), "register_confirm.html", func(no *refusal) view {
		return view{Data: stateData{r, no.status == http.StatusUnauthorized || no.status == http.StatusUnprocessableEntity}}
	})
}

func (p *Pages) confirmCode(x *exchange) error {
	f, err := readForm(x)
	if err != nil {
		return err
	}
	now, at := time.Now(), p.attempt(x)
	at.ReturnTo = done("registered")
	r, out, err := p.auth.ConfirmCode(x.r.Context(), at, p.cookie(x, registerCookie), auth.RegistrationStep(f.get("step")), f.get("code"), now)
	return p.registered(x, r, out, err, now)
}

func (p *Pages) chooseName(x *exchange) error {
	f, err := readForm(x)
	if err != nil {
		return err
	}
	now, at := time.Now(), p.attempt(x)
	at.ReturnTo = done("registered")
	r, out, err := p.auth.ChooseName(x.r.Context(), at, p.cookie(x, registerCookie), f.get("name"), now)
	return p.registered(x, r, out, err, now)
}

// registered goes on to the next step, or, when the account is made, to the account's page.
func (p *Pages) registered(x *exchange, r *auth.Registration, out auth.Outcome, err error, now time.Time) error {
	switch {
	case err != nil:
		return p.registrationRefused(x, err, r)
	case r != nil:
		redirect(x, registerConfirmPath)
		return nil
	}
	p.setCookie(x, registerCookie, "", -1)
	p.proceed(x, out, now)
	return nil
}

func (p *Pages) anotherCode(x *exchange) error {
	if _, err := readForm(x); err != nil {
		return err
	}
	if _, err := p.auth.ResendCode(x.r.Context(), p.attempt(x), p.cookie(x, registerCookie), time.Now()); err != nil {
		return p.registrationRefused(x, err, nil)
	}
	redirect(x, registerConfirmPath)
	return nil
}
