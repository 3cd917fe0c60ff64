package pages

import (
	"fmt"
	"net/http"
	"time"
)

func (p *Pages) showSignOut(x *exchange) error {
	data := page{}
	if x.v.Session != nil {
		data.SignedIn = x.v.Session.Principal.Name
	}
	return p.show(x, http.StatusOK, "sign_out.html", data)
}

// signOut ends the session and sends the browser to the page that says so. It has the browser drop what it
// has cached of this host, so that the next person at the same screen does not find the application's
// pages with the back button; the application's own storage and cookies are the application's to clear.
func (p *Pages) signOut(x *exchange) error {
	http.SetCookie(x.w, &http.Cookie{Name: p.cfg.CookieName, Path: "/", MaxAge: -1,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
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
