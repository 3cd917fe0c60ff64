package pages

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/doorward/doorward/auth"
)

// confirmData is the page where a signed-in person proves themselves again.
type confirmData struct {
	Name, Next string
	Code       bool // the password alone will not do
	Wrong      bool
}

// safeNext is where the proof was asked for: one of the account's pages, or the step-up page, which is written anew.
func safeNext(raw string) string {
	if query, ok := strings.CutPrefix(raw, stepUpPath+"?"); ok && len(raw) <= 2*maxReturn {
		values, _ := url.ParseQuery(query) // what cannot be read is left out
		return stepUpURL(values.Get("return_to"), values.Get("factor"))
	}
	if next := SafeReturn(raw); strings.HasPrefix(next, accountPath+"/") && !strings.HasPrefix(next, confirmPath) {
		return next
	}
	return accountPath
}

func (p *Pages) confirmView(x *exchange, s *auth.Session, next string, no *refusal) (view, error) {
	has, err := p.auth.Factors(x.r.Context(), s.Principal.ID)
	if err != nil {
		return view{}, refusalOf(err, "")
	}
	d := confirmData{Name: s.Principal.Name, Next: next, Code: has.Best() > auth.PasswordLevel,
		Wrong: no != nil && no.status == http.StatusUnauthorized}
	return view{Data: d, Script: len(has.Passkeys) > 0 && p.auth.PasskeysAt(x.r.Context(), x.v.Host, time.Now()),
		Passkey: passkeyPart{Begin: passkeyPath + "confirm-options", Finish: passkeyPath + "confirm", Label: "page.confirm.passkey"}}, nil
}

func (p *Pages) showConfirm(x *exchange) error {
	s, err := p.signedIn(x)
	if err != nil {
		return err
	}
	v, err := p.confirmView(x, s, safeNext(x.r.URL.Query().Get("next")), nil)
	if err != nil {
		return err
	}
	return p.show(x, http.StatusOK, "confirm.html", v)
}

func (p *Pages) confirm(x *exchange) error {
	s, f, err := p.formOf(x)
	if err != nil {
		return err
	}
	next := safeNext(f.get("return_to"))
	at := p.attempt(x)
	at.Password = f.get("password")
	proof, err := p.auth.ConfirmByPassword(x.r.Context(), at, s, f.get("code"), time.Now())
	if err != nil {
		no := p.public(x, refusalOf(err, "page.error.wrong_proof"))
		v, err := p.confirmView(x, s, next, no)
		if err != nil {
			return err
		}
		p.refuse(x, no, "confirm.html", v)
		return nil
	}
	p.setCookie(x, proofCookie, proof, 0)
	redirect(x, next)
	return nil
}

// confirmURL is the page that asks for a fresh proof and then goes on to next.
func confirmURL(next string) string { return confirmPath + "?next=" + url.QueryEscape(next) }
