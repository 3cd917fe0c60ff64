package pages

import (
	"html/template"
	"net/http"
	"time"

	"github.com/doorward/doorward/auth"
)

// enrolData is the page of a second factor that is being set up, during a sign-in or from the account.
type enrolData struct {
	Action   string        // where the code goes
	Post     bool          // cancelling is a form that ends the sign-in, and not the way back to the account
	Secret   string        // of a new authenticator app; empty: it was shown before
	QR       template.HTML // an SVG of ours
	App      bool          // an app may be set up, or is being
	Begun    bool          // the app waits for its first code
	Passkeys bool          // a passkey may be made
	Wrong    bool
}

// withApp is enrolData for an app that was just begun.
func (d enrolData) withApp(e auth.TOTPEnrolment) enrolData {
	d.App, d.Begun, d.Secret = true, true, e.Secret
	d.QR = template.HTML(e.QR) // drawn by package auth from numbers alone
	return d
}

func (p *Pages) enrolView(x *exchange, s *auth.Pending) (enrolData, view) {
	d := enrolData{Action: enrolPath, Post: true, App: s.Required < auth.PasskeyLevel,
		Passkeys: p.auth.PasskeysAt(x.r.Context(), x.v.Host, time.Now())}
	return d, view{Data: d, Script: d.Passkeys,
		Passkey: passkeyPart{Begin: passkeyPath + "enrol-options", Finish: passkeyPath + "enrol", Label: "page.enrol.passkey"}}
}

func (p *Pages) showEnrol(x *exchange) error {
	s, _, err := p.pending(x, auth.StepEnrol)
	if err != nil {
		return err
	}
	_, v := p.enrolView(x, s)
	return p.show(x, http.StatusOK, "enrol.html", v)
}

// enrol begins an authenticator app, or takes its first code.
func (p *Pages) enrol(x *exchange) error {
	f, err := readForm(x)
	if err != nil {
		return err
	}
	s, token, err := p.pending(x, auth.StepEnrol)
	if err != nil {
		return err
	}
	d, v := p.enrolView(x, s)
	if !d.App {
		return &detour{enrolPath}
	}
	if f.get("do") != "confirm" {
		e, err := p.auth.BeginTOTP(x.r.Context(), s.Principal)
		if err != nil {
			return refusalOf(err, "")
		}
		v.Data, v.Script = d.withApp(e), false
		return p.show(x, http.StatusOK, "app.html", v)
	}
	now := time.Now()
	out, recovery, err := p.auth.ProveTOTPEnrolment(x.r.Context(), p.attempt(x), token, f.get("code"), now)
	if err != nil {
		return p.stepRefused(x, refusalOf(err, "page.error.wrong_code"), "app.html", func(no *refusal) view {
			d.Begun, d.Wrong = true, no.status == http.StatusUnauthorized
			v.Data, v.Script = d, false
			return v
		})
	}
	if len(recovery) == 0 {
		p.proceed(x, out, now)
		return nil
	}
	return p.showRecovery(x, recovery, p.settle(x, out, now))
}

// recoveryData is the page that shows recovery codes, once.
type recoveryData struct {
	Codes []string
	Next  string
}

func (p *Pages) showRecovery(x *exchange, codes []string, next string) error {
	return p.show(x, http.StatusOK, "recovery.html", view{Data: recoveryData{codes, next}})
}
