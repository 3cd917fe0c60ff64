package pages

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/doorward/doorward/auth"
)

// stepUpData is what the step-up page shows and sends back.
type stepUpData struct {
	ReturnTo, Factor string
	Passkey          bool // nothing else will do
}

// wanted is the level that a page asks for: factor is any or passkey. Else it is the next one above what the session has.
func wanted(factor string, s *auth.Session) auth.Level {
	switch factor {
	case "any":
		return auth.FactorLevel
	case "passkey":
		return auth.PasskeyLevel
	}
	return min(s.Level+1, auth.PasskeyLevel)
}

// stepUpURL is the page that asks for a further factor, and then leads to returnTo.
func stepUpURL(returnTo, factor string) string {
	to := stepUpPath + "?return_to=" + url.QueryEscape(SafeReturn(returnTo))
	if factor == "any" || factor == "passkey" {
		to += "&factor=" + factor
	}
	return to
}

// showStepUp tells a signed-in person that the page they asked for needs more than they have proved.
func (p *Pages) showStepUp(x *exchange) error {
	query := x.r.URL.Query()
	d := stepUpData{ReturnTo: SafeReturn(query.Get("return_to")), Factor: query.Get("factor")}
	if x.v.Session == nil {
		return &detour{SignInURL(d.ReturnTo)}
	}
	want := wanted(d.Factor, x.v.Session)
	if x.v.Session.Level >= want {
		return &detour{d.ReturnTo}
	}
	if d.Factor = "any"; want == auth.PasskeyLevel {
		d.Factor, d.Passkey = "passkey", true
	}
	return p.show(x, http.StatusOK, "step_up.html", view{Data: d})
}

func (p *Pages) stepUp(x *exchange) error {
	f, err := readForm(x)
	if err != nil {
		return err
	}
	returnTo, s := SafeReturn(f.get("return_to")), x.v.Session
	if s == nil {
		return &detour{SignInURL(returnTo)}
	}
	want := wanted(f.get("factor"), s)
	if s.Level >= want {
		return &detour{returnTo}
	}
	at, now := p.attempt(x), time.Now()
	at.ReturnTo = returnTo
	out, err := p.auth.StepUp(x.r.Context(), at, s, p.token(x), want, now)
	if errors.Is(err, auth.ErrNotConfirmed) {
		return &detour{confirmURL(stepUpURL(returnTo, f.get("factor")))}
	}
	if err != nil {
		return refusalOf(err, "page.error.wrong")
	}
	p.proceed(x, out, now)
	return nil
}
