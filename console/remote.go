package console

import (
	"net/http"
	"net/netip"
	"slices"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/auth/pages"
)

// reaches tells whether a peer may ask the console anything at all: this machine, or one of the networks that are named.
func (c *Console) reaches(peer netip.Addr) bool {
	return peer.IsLoopback() || slices.ContainsFunc(c.settings.Load().networks, func(n netip.Prefix) bool { return n.Contains(peer) })
}

// judgeRemote asks more of a person who is not at this machine: that their roles may be used from where they are, and a second
// factor. A session without one is sent to prove it.
func (c *Console) judgeRemote(x *exchange, r *http.Request) error {
	if !c.deps.Auth.AllowedFrom(x.session, x.peer) {
		return &refusal{http.StatusForbidden, "role-network", "Your account cannot be used from this network."}
	}
	if x.peer.IsLoopback() || x.session.Level >= auth.FactorLevel {
		return nil
	}
	if pages.IsNavigation(r) {
		x.reason = "factor"
		http.Redirect(x, r, pages.StepUpURL(r.URL.RequestURI(), auth.FactorLevel), http.StatusSeeOther)
		return nil
	}
	return &refusal{http.StatusForbidden, "factor", "The console asks for a second factor when it is reached from another machine."}
}
