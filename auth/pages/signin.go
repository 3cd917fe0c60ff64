package pages

import (
	"net/http"
	"time"

	"github.com/doorward/doorward/auth"
)

// signInRoutes are the pages of the sign-in, its steps and the sign-out.
func (p *Pages) signInRoutes() map[string]route {
	return map[string]route{
		signInPath:   {get: p.showSignIn, post: p.signIn},
		cancelPath:   {post: p.cancel},
		factorPath:   {get: p.showFactor, post: p.proveCode},
		heldPath:     {get: p.showHeld, post: p.continueHeld},
		passwordPath: {get: p.showNewPassword, post: p.proveNewPassword},
		enrolPath:    {get: p.showEnrol, post: p.enrol},
		stepUpPath:   {get: p.showStepUp, post: p.stepUp},
		signOutPath:  {get: p.showSignOut, post: p.signOut},
	}
}

// signInData is what the sign-in page shows.
type signInData struct {
	Name, ReturnTo  string
	Wrong           bool // the message is about what was typed
	Remember        bool // offered
	Remembered      bool // ticked
	Reset, Register bool
	OldBrowser      bool // the browser says that it is older than the configuration wants (I-09)
	Providers       []providerButton
}

// providerButton leads to another system that people can sign in with.
type providerButton struct{ Title, URL string }

// signInView completes the page. The console offers no way in that leads by the sites.
func (p *Pages) signInView(x *exchange, d signInData) view {
	d.OldBrowser = p.auth.OldBrowser(x.r.UserAgent())
	if p.cfg.Realm == auth.SiteRealm {
		d.Remember, d.Reset, d.Register = p.auth.Remembers(), p.auth.OffersReset(), p.auth.OffersRegistration()
		for _, offered := range p.auth.Providers() {
			d.Providers = append(d.Providers, providerButton{offered.Title, providerURL(offered.Name)})
		}
	}
	return view{Data: d, Script: p.auth.PasskeysAt(x.r.Context(), x.v.Host, time.Now()),
		Passkey: passkeyPart{Begin: passkeyPath + "sign-in-options", Finish: passkeyPath + "sign-in", Label: "page.sign_in.passkey"}}
}

func (p *Pages) showSignIn(x *exchange) error {
	returnTo := SafeReturn(x.r.URL.Query().Get("return_to"))
	if x.v.Session != nil {
		redirect(x, returnTo)
		return nil
	}
	return p.show(x, http.StatusOK, "sign_in.html", p.signInView(x, signInData{ReturnTo: returnTo}))
}

func (p *Pages) signIn(x *exchange) error {
	f, err := readForm(x)
	if err != nil {
		return err
	}
	at, now := p.attempt(x), time.Now()
	at.Login, at.Password, at.ReturnTo = f.get("username"), f.get("password"), SafeReturn(f.get("return_to"))
	at.Remember = f.get("remember") != ""
	out, err := p.auth.SignIn(x.r.Context(), at, now)
	if err != nil {
		no := p.public(x, refusalOf(err, "page.error.wrong"))
		p.refuse(x, no, "sign_in.html", p.signInView(x, signInData{Name: at.Login, ReturnTo: at.ReturnTo, Remembered: at.Remember,
			Wrong: no.status == http.StatusUnauthorized}))
		return nil
	}
	p.proceed(x, out, now)
	return nil
}

// proceed sends the browser where an outcome leads. A program is told by JSON.
func (p *Pages) proceed(x *exchange, out auth.Outcome, now time.Time) {
	location := p.settle(x, out, now)
	if x.json || !wantsJSON(x.r) {
		p.send(x, location)
		return
	}
	x.w.Header().Set("Location", location)
	if out.Pending != nil {
		writeJSON(x, http.StatusSeeOther, struct {
			Step auth.Step `json:"step"`
		}{out.Pending.Step})
		return
	}
	writeJSON(x, http.StatusSeeOther, struct {
		Name     string      `json:"name"`
		Roles    []auth.Role `json:"roles"`
		ReturnTo string      `json:"return_to"`
	}{out.Session.Principal.Name, out.Session.Principal.Roles, location})
}
