package pages

import (
	"fmt"
	"net/http"
	"time"
)

func (p *Pages) showSignOut(x *exchange) error {
	name := ""
	if x.v.Session != nil {
		name = x.v.Session.Principal.Name
	}
	return p.show(x, http.StatusOK, "sign_out.html", view{Data: name})
}

// signOut ends the session and sends the browser to the page that says so. It has the browser drop what it
// has cached of this host, so that the next person at the same screen does not find the application's
// pages with the back button; the application's own storage and cookies are the application's to clear.
func (p *Pages) signOut(x *exchange) error {
	p.setCookie(x, sessionCookie, "", -1)
	p.dropPending(x)
	if p.cookie(x, proofCookie) != "" {
		p.setCookie(x, proofCookie, "", -1)
	}
	x.w.Header().Set("Clear-Site-Data", `"cache"`)
	if x.v.Session != nil {
		if err := p.auth.SignOut(x.r.Context(), x.v.Session, time.Now()); err != nil {
			return fmt.Errorf("sign out: %w", err)
		}
	}
	if wantsJSON(x.r) {
		x.w.Header().Set("Location", signOutPath)
		writeJSON(x, http.StatusSeeOther, struct {
			SignedOut bool `json:"signed_out"`
		}{true})
		return nil
	}
	redirect(x, signOutPath)
	return nil
}
