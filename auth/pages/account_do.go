package pages

import (
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/doorward/doorward/auth"
)

// formOf reads a form of a signed-in person.
func (p *Pages) formOf(x *exchange) (*auth.Session, form, error) {
	s, err := p.signedIn(x)
	if err != nil {
		return nil, nil, err
	}
	f, err := readForm(x)
	return s, f, err
}

// formConfirmed is formOf for what needs a fresh proof.
func (p *Pages) formConfirmed(x *exchange, next string) (*auth.Session, form, error) {
	s, err := p.confirmed(x, next)
	if err != nil {
		return nil, nil, err
	}
	f, err := readForm(x)
	return s, f, err
}

// finish ends an action: the account's page says what was done, or why not.
func (p *Pages) finish(x *exchange, err error, what string) error {
	if err != nil {
		return refusalOf(err, "page.error.wrong_password")
	}
	redirect(x, done(what))
	return nil
}

func (p *Pages) changePassword(x *exchange) error {
	s, f, err := p.formOf(x)
	if err != nil {
		return err
	}
	if err = repeated(f); err == nil {
		if err = p.auth.ChangePassword(x.r.Context(), p.attempt(x), s, f.get("password"), f.get("new_password"), time.Now()); err == nil {
			redirect(x, done("password"))
			return nil
		}
		err = refusalOf(err, "page.error.wrong_password")
	}
	no := p.public(x, err)
	v, err := p.accountView(x, s)
	if err != nil {
		return err
	}
	p.refuse(x, no, "account.html", v)
	return nil
}

func (p *Pages) showNewPasskey(x *exchange) error {
	if _, err := p.confirmed(x, newPasskeyPath); err != nil {
		return err
	}
	d := enrolData{Passkeys: p.auth.PasskeysAt(x.r.Context(), x.v.Host, time.Now())}
	return p.show(x, http.StatusOK, "new_passkey.html", view{Data: d, Script: d.Passkeys,
		Passkey: passkeyPart{Begin: passkeyPath + "enrol-options", Finish: passkeyPath + "enrol", Label: "page.enrol.passkey", Account: true}})
}

func (p *Pages) renamePasskey(x *exchange) error {
	s, f, err := p.formOf(x)
	if err != nil {
		return err
	}
	return p.finish(x, p.auth.RenamePasskey(x.r.Context(), s.By(p.attempt(x)), s.Principal.ID, f.get("id"), f.get("name")), "passkey_renamed")
}

func (p *Pages) removePasskey(x *exchange) error {
	s, f, err := p.formConfirmed(x, accountPath)
	if err != nil {
		return err
	}
	err = p.auth.RemovePasskey(x.r.Context(), s.By(p.attempt(x)), s.Principal.ID, f.get("id"), p.auth.RequiredLevel(s.Principal))
	return p.finish(x, err, "passkey_removed")
}

func (p *Pages) appData() enrolData {
	return enrolData{Action: appPath, App: true}
}

func (p *Pages) showApp(x *exchange) error {
	if _, err := p.confirmed(x, appPath); err != nil {
		return err
	}
	return p.show(x, http.StatusOK, "app.html", view{Data: p.appData()})
}

// setUpApp begins an authenticator app, or takes its first code.
func (p *Pages) setUpApp(x *exchange) error {
	s, f, err := p.formConfirmed(x, appPath)
	if err != nil {
		return err
	}
	if f.get("do") != "confirm" {
		e, err := p.auth.BeginTOTP(x.r.Context(), s.Principal)
		if err != nil {
			return refusalOf(err, "")
		}
		return p.show(x, http.StatusOK, "app.html", view{Data: p.appData().withApp(e)})
	}
	recovery, err := p.auth.ConfirmTOTP(x.r.Context(), s.By(p.attempt(x)), s.Principal.ID, f.get("code"), time.Now())
	if err != nil {
		return p.stepRefused(x, refusalOf(err, "page.error.wrong_code"), "app.html", func(no *refusal) view {
			d := p.appData()
			d.Begun, d.Wrong = no.status == http.StatusUnauthorized, no.status == http.StatusUnauthorized
			return view{Data: d}
		})
	}
	if len(recovery) > 0 {
		return p.showRecovery(x, recovery, done("app_added"))
	}
	redirect(x, done("app_added"))
	return nil
}

func (p *Pages) removeApp(x *exchange) error {
	s, _, err := p.formConfirmed(x, accountPath)
	if err != nil {
		return err
	}
	return p.finish(x, p.auth.RemoveTOTP(x.r.Context(), s.By(p.attempt(x)), s.Principal.ID, p.auth.RequiredLevel(s.Principal)), "app_removed")
}

func (p *Pages) showNewRecovery(x *exchange) error {
	if _, err := p.confirmed(x, recoveryPath); err != nil {
		return err
	}
	return p.show(x, http.StatusOK, "new_recovery.html", view{})
}

func (p *Pages) newRecovery(x *exchange) error {
	s, _, err := p.formConfirmed(x, recoveryPath)
	if err != nil {
		return err
	}
	codes, err := p.auth.NewRecoveryCodes(x.r.Context(), s.By(p.attempt(x)), s.Principal.ID)
	if err != nil {
		return refusalOf(err, "")
	}
	return p.showRecovery(x, codes, done("recovery"))
}

func (p *Pages) endSession(x *exchange) error {
	s, f, err := p.formConfirmed(x, accountPath)
	if err != nil {
		return err
	}
	if f.get("id") == s.ID {
		return p.signOut(x)
	}
	err = p.auth.RevokeOwn(x.r.Context(), s.By(p.attempt(x)), s, f.get("id"), time.Now())
	if errors.Is(err, auth.ErrNotFound) {
		err = nil // it has ended by itself
	}
	return p.finish(x, err, "session_ended")
}

func (p *Pages) endOthers(x *exchange) error {
	s, _, err := p.formConfirmed(x, accountPath)
	if err != nil {
		return err
	}
	_, err = p.auth.RevokeOthers(x.r.Context(), s.By(p.attempt(x)), s, time.Now())
	return p.finish(x, err, "sessions_ended")
}

func (p *Pages) forgetAddress(x *exchange) error {
	s, f, err := p.formOf(x)
	if err != nil {
		return err
	}
	prefix, err := netip.ParsePrefix(f.get("network"))
	if err != nil {
		return refusalOf(auth.ErrNotFound, "")
	}
	return p.finish(x, p.auth.ForgetAddress(x.r.Context(), s.By(p.attempt(x)), s.Principal.ID, prefix), "address_forgotten")
}

// setLanguage stores one of the catalogue's languages, or none.
func (p *Pages) setLanguage(x *exchange) error {
	s, f, err := p.formOf(x)
	if err != nil {
		return err
	}
	tag := f.get("language")
	if tag != "" && p.texts.Match(tag, "") != tag {
		return &refusal{status: http.StatusUnprocessableEntity, code: "input", key: "page.input.language"}
	}
	return p.finish(x, p.auth.SetLanguage(x.r.Context(), s.By(p.attempt(x)), s.Principal.ID, tag, time.Now()), "language")
}
