package api

import (
	"net/http"

	"github.com/doorward/doorward/auth"
)

// route is one command. The description that programs read (openapi.yaml) is made of these, so that nothing can be left out of it.
type route struct {
	method, path string
	// needs is the privilege of an API token that uses it; empty: every token may. Root on the admin socket needs none.
	needs   auth.Privilege
	summary string
	query   []parameter
	in, out any    // values of the types that are read and written; nil: nothing
	body    int64  // the most bytes that are read; 0: maxBody
	missing *Error // what is not there when package auth finds nothing; nil: the account
	// answer is called for an actor that is known and has the privilege.
	answer func(*http.Request, auth.Actor) (any, error)
}

// parameter is one of the query string.
type parameter struct {
	name, means string
	number      bool
	required    bool
}

// routes are all commands. Beyond the privilege, the rules between accounts (auth.MayChange) hold for tokens.
func (h *Handler) routes() []route {
	all := h.accountRoutes()
	all = append(all, h.accessRoutes()...)
	all = append(all, h.invitationRoutes()...)
	all = append(all, h.auditRoutes()...)
	all = append(all, h.eventRoutes()...)
	all = append(all, h.decisionRoutes()...)
	all = append(all, h.watchRoutes()...)
	all = append(all, h.wafRoutes()...)
	return append(all, []route{
		{method: "GET", path: "/v1/status", summary: "Version and process of the instance that answers", out: Status{}, answer: h.status},
		{method: "POST", path: "/v1/reload", needs: auth.ReloadConfig, summary: "Read the configuration file again", out: done{}, answer: h.reload},
		{method: "GET", path: "/v1/journal", needs: auth.SeeJournal, summary: "Entries of the journal of administrative actions",
			query: []parameter{{name: "from", means: "the first entry; default 0, the first of all", number: true}, {name: "limit", means: "how many at most; default and most 1000", number: true}},
			out:   []Entry{}, answer: h.entries},
		{method: "GET", path: "/v1/journal/head", needs: auth.SeeJournal, summary: "The journal's signed head, to be kept elsewhere", out: headAnswer{}, answer: h.head},
		{method: "POST", path: "/v1/journal/verify", needs: auth.SeeJournal, summary: "Verify the journal, and against a kept head if one is given",
			in: headAnswer{}, out: Report{}, answer: h.verify},
		{method: "GET", path: "/v1/mail", needs: auth.SeeEvents, summary: "Mails that wait, and what became of the last ones",
			query: []parameter{{name: "limit", means: "how many at most", number: true}}, out: []Mail{}, answer: h.queue},
	}...)
}

// accountRoutes are about accounts and what belongs to one.
func (h *Handler) accountRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/principals", needs: auth.SeeAccounts, summary: "All accounts", out: []Principal{}, answer: h.principals},
		{method: "POST", path: "/v1/principals", needs: auth.ManageAccounts, summary: "Add an account", in: NewPrincipal{}, out: Principal{}, answer: h.addPrincipal},
		{method: "GET", path: "/v1/principals/{name}", needs: auth.SeeAccounts, summary: "An account with factors, sessions and tokens", out: Details{}, answer: h.details},
		{method: "POST", path: "/v1/principals/{name}/disable", needs: auth.ManageAccounts, summary: "Disable an account; ends its sessions and tokens", out: done{}, answer: h.disable},
		{method: "POST", path: "/v1/principals/{name}/enable", needs: auth.ManageAccounts, summary: "Enable a disabled account", out: done{}, answer: h.enable},
		{method: "POST", path: "/v1/principals/{name}/password", needs: auth.ManageAccounts, summary: "Set a password; ends the sessions",
			in: passwordRequest{}, out: done{}, answer: h.resetPassword},
		{method: "POST", path: "/v1/principals/{name}/password-change", needs: auth.ManageAccounts,
			summary: "Have the person choose a new password at the next sign-in; ends the sessions", out: done{}, answer: h.requirePassword},
		{method: "PUT", path: "/v1/principals/{name}/roles", needs: auth.ManageRoles, summary: "Set the roles; ends the sessions. Not by an API token",
			in: rolesRequest{}, out: done{}, answer: h.setRoles},
		{method: "DELETE", path: "/v1/principals/{name}/factors", needs: auth.ManageAccounts,
			summary: "Remove all second factors; ends the sessions. Not by an API token", out: done{}, answer: h.resetFactors},
		{method: "GET", path: "/v1/principals/{name}/addresses", needs: auth.SeeAccounts, summary: "Networks that the person signed in from", out: []Address{}, answer: h.addresses},
		{method: "POST", path: "/v1/principals/{name}/addresses", needs: auth.ManageAccounts, summary: "Trust an address without a release by mail",
			in: addressRequest{}, out: Trusted{}, answer: h.trustAddress},
		{method: "DELETE", path: "/v1/principals/{name}/addresses", needs: auth.ManageAccounts, summary: "Forget a network, and the trust in it",
			query: []parameter{{name: "network", means: "as the list shows it", required: true}}, out: done{}, answer: h.forgetAddress},
		{method: "POST", path: "/v1/principals/{name}/sign-outs", needs: auth.ManageSessions, summary: "End every session of an account", out: revoked{}, answer: h.revokeAll},
		{method: "POST", path: "/v1/principals/{name}/tokens", needs: auth.ManageAccounts, summary: "Add an API token. Not by an API token",
			in: NewToken{}, out: AddedToken{}, answer: h.addToken},
	}
}

// accessRoutes are about sessions, tokens and reviews of all accounts.
func (h *Handler) accessRoutes() []route {
	user := parameter{name: "user", means: "only those of this account"}
	return []route{
		{method: "GET", path: "/v1/sessions", needs: auth.SeeAccounts, summary: "Sessions that have not ended", query: []parameter{user}, out: []Session{}, answer: h.sessions},
		{method: "DELETE", path: "/v1/sessions/{id}", needs: auth.ManageSessions, summary: "End a session", out: done{},
			missing: noSuch("session", "doorward session list shows the sessions"), answer: h.revokeSession},
		{method: "GET", path: "/v1/tokens", needs: auth.SeeAccounts, summary: "API tokens that were not revoked", query: []parameter{user}, out: []Token{}, answer: h.tokens},
		{method: "DELETE", path: "/v1/tokens/{id}", needs: auth.ManageSessions, summary: "Revoke an API token", out: done{},
			missing: noSuch("API token", "doorward token list shows the tokens"), answer: h.revokeToken},
		{method: "GET", path: "/v1/reviews", needs: auth.SeeAccounts, summary: "Signed access reviews, the newest first", out: []Review{}, answer: h.reviews},
		{method: "POST", path: "/v1/reviews", needs: auth.SignReviews, summary: "Sign an access review. Not by an API token", in: signRequest{}, out: Review{}, answer: h.signReview},
		{method: "GET", path: "/v1/reviews/report", needs: auth.SeeAccounts, summary: "Who holds what now, what changed, and what to ask about", out: AccessReport{}, answer: h.reviewReport},
		{method: "GET", path: "/v1/reviews/status", needs: auth.SeeAccounts, summary: "When the next review is due", out: ReviewStatus{}, answer: h.reviewStatus},
		{method: "GET", path: "/v1/reviews/{id}", needs: auth.SeeAccounts, summary: "A signed review with its snapshot", out: Review{},
			missing: noSuch("review", "doorward review list shows the reviews"), answer: h.review},
	}
}
