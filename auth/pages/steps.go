package pages

import (
	"errors"
	"net/http"
	"time"

	"github.com/doorward/doorward/auth"
)

// The pages of the steps that a sign-in may lack.
const (
	factorPath   = signInPath + "/factor"
	heldPath     = signInPath + "/held"
	passwordPath = signInPath + "/password"
	enrolPath    = signInPath + "/enrol"
	cancelPath   = signInPath + "/cancel"
)

// heldRefresh is after how many seconds the page of a held sign-in looks again.
const heldRefresh = 5

// stepPath is the page of a step; of none, the page that goes on with the sign-in.
func stepPath(step auth.Step) string {
	switch step {
	case auth.StepFactor:
		return factorPath
	case auth.StepPassword:
		return passwordPath
	case auth.StepEnrol:
		return enrolPath
	}
	return heldPath
}

// pending returns the browser's pending sign-in. Without one the browser goes to the sign-in page, and at another step than
// want to that step's page.
func (p *Pages) pending(x *exchange, want auth.Step) (*auth.Pending, string, error) {
	token := p.cookie(x, pendingCookie)
	s, err := p.auth.PendingSignIn(x.r.Context(), p.attempt(x), token, time.Now())
	if errors.Is(err, auth.ErrNoPending) {
		p.dropPending(x)
		return nil, "", &detour{signInPath}
	}
	if err != nil {
		return nil, "", refusalOf(err, "")
	}
	if s.Step != want {
		return nil, "", &detour{stepPath(s.Step)}
	}
	p.speak(x, s.Principal.Language)
	return s, token, nil
}

// stepData is what the steps' pages show.
type stepData struct {
	*auth.Pending
	Wrong     bool
	Elsewhere bool // there is a passkey, and it cannot be used here
	Lost      bool // only a passkey helps, and a new one is made on the account's pages
}

func stepView(s *auth.Pending, no *refusal) view {
	return view{Data: stepData{Pending: s, Wrong: mistyped(no)}}
}

// mistyped tells whether a refusal is about what was typed.
func mistyped(no *refusal) bool {
	return no != nil && (no.status == http.StatusUnauthorized || no.status == http.StatusUnprocessableEntity)
}

// factorView asks for a code, a passkey, or either.
func (p *Pages) factorView(x *exchange, s *auth.Pending, no *refusal) view {
	elsewhere := s.Passkey && !p.auth.PasskeysAt(x.r.Context(), x.v.Host, time.Now())
	return view{Data: stepData{Pending: s, Wrong: mistyped(no), Elsewhere: elsewhere,
		Lost: !s.Recovery && !elsewhere}, Script: s.Passkey,
		Passkey: passkeyPart{Begin: passkeyPath + "factor-options", Finish: passkeyPath + "factor", Label: "page.factor.passkey"}}
}

func (p *Pages) showFactor(x *exchange) error {
	s, _, err := p.pending(x, auth.StepFactor)
	if err != nil {
		return err
	}
	return p.show(x, http.StatusOK, "factor.html", p.factorView(x, s, nil))
}

func (p *Pages) proveCode(x *exchange) error {
	f, err := readForm(x)
	if err != nil {
		return err
	}
	s, token, err := p.pending(x, auth.StepFactor)
	if err != nil {
		return err
	}
	now := time.Now()
	out, err := p.auth.ProveCode(x.r.Context(), p.attempt(x), token, f.get("code"), now)
	if err != nil {
		return p.stepRefused(x, refusalOf(err, "page.error.wrong_code"), "factor.html", func(no *refusal) view { return p.factorView(x, s, no) })
	}
	p.proceed(x, out, now)
	return nil
}

// stepRefused shows a step's page again with what was wrong.
func (p *Pages) stepRefused(x *exchange, err error, name string, again func(no *refusal) view) error {
	var to *detour
	if errors.As(err, &to) {
		return err
	}
	no := p.public(x, err)
	p.refuse(x, no, name, again(no))
	return nil
}

// showHeld says what a held sign-in waits for, and goes on with it once it waits no more. That a GET does so is harmless:
// the browser has begun this sign-in, and has its cookie.
func (p *Pages) showHeld(x *exchange) error {
	s, _, err := p.pending(x, auth.StepHeld)
	var to *detour
	if errors.As(err, &to) && to.location == heldPath {
		if x.r.Method == http.MethodHead {
			return nil
		}
		return p.continueHeld(x)
	}
	if err != nil {
		return err
	}
	v := stepView(s, nil)
	v.Refresh = heldRefresh
	return p.show(x, http.StatusOK, "held.html", v)
}

func (p *Pages) continueHeld(x *exchange) error {
	now := time.Now()
	out, err := p.auth.ContinueSignIn(x.r.Context(), p.attempt(x), p.cookie(x, pendingCookie), now)
	if err != nil {
		return refusalOf(err, "page.error.wrong")
	}
	p.proceed(x, out, now)
	return nil
}

func (p *Pages) showNewPassword(x *exchange) error {
	s, _, err := p.pending(x, auth.StepPassword)
	if err != nil {
		return err
	}
	return p.show(x, http.StatusOK, "password.html", stepView(s, nil))
}

func (p *Pages) proveNewPassword(x *exchange) error {
	f, err := readForm(x)
	if err != nil {
		return err
	}
	s, token, err := p.pending(x, auth.StepPassword)
	if err != nil {
		return err
	}
	now := time.Now()
	var out auth.Outcome
	err = repeated(f)
	if err == nil {
		if out, err = p.auth.ProveNewPassword(x.r.Context(), p.attempt(x), token, f.get("new_password"), now); err != nil {
			err = refusalOf(err, "page.error.wrong")
		}
	}
	if err != nil {
		return p.stepRefused(x, err, "password.html", func(no *refusal) view { return stepView(s, no) })
	}
	p.proceed(x, out, now)
	return nil
}

// repeated refuses a new password that was typed in two ways.
func repeated(f form) error {
	if f.get("new_password") != f.get("repeat_password") {
		return &refusal{status: http.StatusUnprocessableEntity, code: "repeat", key: "page.error.repeat"}
	}
	return nil
}

// cancel forgets the sign-in that the browser has begun.
func (p *Pages) cancel(x *exchange) error {
	s, err := p.auth.PendingSignIn(x.r.Context(), p.attempt(x), p.cookie(x, pendingCookie), time.Now())
	returnTo := "/"
	if err == nil {
		returnTo = s.ReturnTo
		err = p.auth.CancelPending(x.r.Context(), s)
	}
	if err != nil && !errors.Is(err, auth.ErrNoPending) {
		return refusalOf(err, "")
	}
	p.dropPending(x)
	if x.v.Session != nil {
		redirect(x, "/") // not where the step was asked for: there it would be asked for again
		return nil
	}
	redirect(x, SignInURL(returnTo))
	return nil
}
