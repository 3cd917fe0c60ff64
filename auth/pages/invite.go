package pages

import (
	"errors"
	"net/http"
	"time"

	"github.com/doorward/doorward/auth"
)

const invitationPath = linkPath + "invitation"

// inviteRoutes is the page of an invitation's link. It is a site's: a console's address has another port than the link.
func (p *Pages) inviteRoutes() map[string]route {
	if p.cfg.Realm != auth.SiteRealm {
		return nil
	}
	return map[string]route{invitationPath: {get: p.showInvitation, post: p.acceptInvitation}}
}

// invitationData is what the page shows: the invitation, with what was typed in place of what it proposes.
type invitationData struct {
	Code, Email, Name, DisplayName string
	Wrong                          bool // the message is about the name
}

func (p *Pages) showInvitation(x *exchange) error {
	coverCode(x)
	code := x.r.URL.Query().Get("c")
	i, err := p.auth.InvitationLink(x.r.Context(), code, time.Now())
	if err != nil {
		return refusalOf(err, "")
	}
	p.speak(x, i.Language)
	return p.show(x, http.StatusOK, "invitation.html", view{Data: invitationData{Code: code, Email: i.Email, Name: i.Name, DisplayName: i.DisplayName}})
}

func (p *Pages) acceptInvitation(x *exchange) error {
	coverCode(x)
	f, err := readForm(x)
	if err != nil {
		return err
	}
	now, code := time.Now(), f.get("c")
	i, err := p.auth.InvitationLink(x.r.Context(), code, now)
	if err != nil {
		return refusalOf(err, "")
	}
	p.speak(x, i.Language)
	n := auth.Acceptance{Name: f.get("name"), DisplayName: f.get("display_name"), Password: f.get("new_password"), Language: x.lang}
	var out auth.Outcome
	if err = repeated(f); err == nil {
		if out, err = p.auth.AcceptInvitation(x.r.Context(), p.attempt(x), code, n, now); errors.Is(err, auth.ErrNoLink) {
			return refusalOf(err, "")
		} else if err != nil {
			err = personRefusal(err)
		}
	}
	if err != nil {
		return p.stepRefused(x, err, "invitation.html", func(no *refusal) view {
			return view{Data: invitationData{Code: code, Email: i.Email, Name: n.Name, DisplayName: n.DisplayName, Wrong: no.code == "input" || no.code == "exists"}}
		})
	}
	p.proceed(x, out, now)
	return nil
}
