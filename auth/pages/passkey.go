package pages

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/doorward/doorward/auth"
)

// passkeyRoutes are what the script asks. They are safe from other sites by the cross-origin check, and by taking nothing
// but JSON, which no form can send.
func (p *Pages) passkeyRoutes() map[string]route {
	routes := make(map[string]route)
	for name, post := range map[string]func(*exchange) error{
		"sign-in-options": p.passkeySignInOptions, "sign-in": p.passkeySignIn,
		"factor-options": p.passkeyFactorOptions, "factor": p.passkeyFactor,
		"enrol-options": p.passkeyEnrolOptions, "enrol": p.passkeyEnrol,
		"confirm-options": p.passkeyConfirmOptions, "confirm": p.passkeyConfirm,
	} {
		routes[passkeyPath+name] = route{post: post, json: true}
	}
	return routes
}

// asked is what the script sends.
type asked struct {
	Ceremony string          `json:"ceremony"`
	Response json.RawMessage `json:"response"`
	ReturnTo string          `json:"return_to"`
	Remember bool            `json:"remember"`
	Name     string          `json:"name"`    // of a new passkey
	Account  bool            `json:"account"` // from the account's pages, not a sign-in
}

// question is what the browser is to be asked.
func (p *Pages) question(x *exchange, options []byte, ceremony string, err error) error {
	if err != nil {
		return refusalOf(err, "page.error.wrong_passkey")
	}
	writeJSON(x, http.StatusOK, struct {
		Options  json.RawMessage `json:"options"`
		Ceremony string          `json:"ceremony"`
	}{options, ceremony})
	return nil
}

// passkeySignInOptions is the same for everybody: it tells nothing of any account.
func (p *Pages) passkeySignInOptions(x *exchange) error {
	if err := readJSON(x, new(asked)); err != nil {
		return err
	}
	options, ceremony, err := p.auth.BeginPasskeySignIn(x.r.Context(), "", x.v.Host, time.Now())
	return p.question(x, options, ceremony, err)
}

func (p *Pages) passkeySignIn(x *exchange) error {
	var in asked
	if err := readJSON(x, &in); err != nil {
		return err
	}
	at, now := p.attempt(x), time.Now()
	at.ReturnTo, at.Remember = SafeReturn(in.ReturnTo), in.Remember
	out, err := p.auth.SignInWithPasskey(x.r.Context(), at, in.Ceremony, in.Response, now)
	if err != nil {
		return refusalOf(err, "page.error.wrong_passkey")
	}
	p.proceed(x, out, now)
	return nil
}

func (p *Pages) passkeyFactorOptions(x *exchange) error {
	if err := readJSON(x, new(asked)); err != nil {
		return err
	}
	s, _, err := p.pending(x, auth.StepFactor)
	if err != nil {
		return err
	}
	options, ceremony, err := p.auth.BeginPasskeySignIn(x.r.Context(), s.Principal.ID, x.v.Host, time.Now())
	return p.question(x, options, ceremony, err)
}

func (p *Pages) passkeyFactor(x *exchange) error {
	var in asked
	if err := readJSON(x, &in); err != nil {
		return err
	}
	_, token, err := p.pending(x, auth.StepFactor)
	if err != nil {
		return err
	}
	now := time.Now()
	out, err := p.auth.ProvePasskey(x.r.Context(), p.attempt(x), token, in.Ceremony, in.Response, now)
	if err != nil {
		return refusalOf(err, "page.error.wrong_passkey")
	}
	p.proceed(x, out, now)
	return nil
}

// passkeyEnrolOptions begins a passkey for the person of the pending sign-in that lacks one, or for the signed-in person who
// has just proved themselves.
func (p *Pages) passkeyEnrolOptions(x *exchange) error {
	var in asked
	if err := readJSON(x, &in); err != nil {
		return err
	}
	var who auth.Principal
	if in.Account {
		s, err := p.confirmed(x, newPasskeyPath)
		if err != nil {
			return err
		}
		who = s.Principal
	} else {
		s, _, err := p.pending(x, auth.StepEnrol)
		if err != nil {
			return err
		}
		who = s.Principal
	}
	options, ceremony, err := p.auth.BeginPasskeyEnrolment(x.r.Context(), who, x.v.Host, time.Now())
	return p.question(x, options, ceremony, err)
}

func (p *Pages) passkeyEnrol(x *exchange) error {
	var in asked
	if err := readJSON(x, &in); err != nil {
		return err
	}
	now := time.Now()
	if in.Account {
		s, err := p.confirmed(x, newPasskeyPath)
		if err != nil {
			return err
		}
		at := p.attempt(x)
		_, recovery, err := p.auth.FinishPasskeyEnrolment(x.r.Context(), s.By(at), s.Principal.ID, x.v.Host, in.Ceremony, in.Name, in.Response, now)
		if err != nil {
			return refusalOf(err, "page.error.wrong_passkey")
		}
		p.enrolled(x, recovery, done("passkey_added"))
		return nil
	}
	_, token, err := p.pending(x, auth.StepEnrol)
	if err != nil {
		return err
	}
	out, recovery, err := p.auth.ProvePasskeyEnrolment(x.r.Context(), p.attempt(x), token, in.Ceremony, in.Name, in.Response, now)
	if err != nil {
		return refusalOf(err, "page.error.wrong_passkey")
	}
	p.enrolled(x, recovery, p.settle(x, out, now))
	return nil
}

// enrolled tells the script where to go, and the recovery codes that it has to show before.
func (p *Pages) enrolled(x *exchange, recovery []string, location string) {
	writeJSON(x, http.StatusOK, struct {
		Location string   `json:"location"`
		Recovery []string `json:"recovery,omitempty"`
	}{location, recovery})
}

func (p *Pages) passkeyConfirmOptions(x *exchange) error {
	if err := readJSON(x, new(asked)); err != nil {
		return err
	}
	s, err := p.signedIn(x)
	if err != nil {
		return err
	}
	options, ceremony, err := p.auth.BeginPasskeySignIn(x.r.Context(), s.Principal.ID, x.v.Host, time.Now())
	return p.question(x, options, ceremony, err)
}

func (p *Pages) passkeyConfirm(x *exchange) error {
	var in asked
	if err := readJSON(x, &in); err != nil {
		return err
	}
	s, err := p.signedIn(x)
	if err != nil {
		return err
	}
	proof, err := p.auth.ConfirmByPasskey(x.r.Context(), p.attempt(x), s, in.Ceremony, in.Response, time.Now())
	if err != nil {
		return refusalOf(err, "page.error.wrong_passkey")
	}
	p.setCookie(x, proofCookie, proof, 0)
	p.send(x, safeNext(in.ReturnTo))
	return nil
}
