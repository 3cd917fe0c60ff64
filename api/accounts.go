package api

import (
	"net/http"
	"strings"

	"github.com/doorward/doorward/auth"
)

func (h *Handler) principals(r *http.Request, _ auth.Actor) (any, error) {
	all, err := h.deps.Auth.Principals(r.Context())
	if err != nil {
		return nil, err
	}
	out := make([]Principal, 0, len(all))
	for _, p := range all {
		out = append(out, h.wirePrincipal(p))
	}
	return out, nil
}

func (h *Handler) wirePrincipal(p auth.Principal) Principal {
	return Principal{ID: p.ID, Name: p.Name, Email: p.Email, DisplayName: p.DisplayName, Roles: words(p.Roles), Unknown: words(h.deps.Auth.UnknownRoles(p.Roles)),
		Disabled: p.Disabled, Created: p.Created, Changed: p.Changed}
}

func (h *Handler) addPrincipal(r *http.Request, who auth.Actor) (any, error) {
	var in NewPrincipal
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	n := auth.NewPrincipal{Name: in.Name, Email: in.Email, DisplayName: in.DisplayName, Roles: rolesOf(in.Roles), Password: in.Password,
		NoPassword: in.NoPassword, MustChange: in.MustChange}
	p, err := h.deps.Auth.AddPrincipal(r.Context(), who, n)
	if err != nil {
		return nil, err
	}
	return h.wirePrincipal(p), nil
}

func (h *Handler) disable(r *http.Request, who auth.Actor) (any, error) {
	return done{}, h.deps.Auth.SetDisabled(r.Context(), who, r.PathValue("name"), true)
}

func (h *Handler) enable(r *http.Request, who auth.Actor) (any, error) {
	return done{}, h.deps.Auth.SetDisabled(r.Context(), who, r.PathValue("name"), false)
}

// passwordRequest is the body of a password reset.
type passwordRequest struct {
	Password   string `json:"password"`
	MustChange bool   `json:"must_change,omitempty"`
}

func (h *Handler) resetPassword(r *http.Request, who auth.Actor) (any, error) {
	var in passwordRequest
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	return done{}, h.deps.Auth.ResetPassword(r.Context(), who, r.PathValue("name"), in.Password, in.MustChange)
}

func (h *Handler) sessions(r *http.Request, _ auth.Actor) (any, error) {
	all, err := h.deps.Auth.ListSessions(r.Context(), r.URL.Query().Get("user"))
	if err != nil {
		return nil, err
	}
	out := make([]Session, 0, len(all))
	for _, s := range all {
		out = append(out, wireSession(s))
	}
	return out, nil
}

func wireSession(s auth.SessionInfo) Session {
	return Session{ID: s.ID, User: s.Name, Realm: string(s.Realm), Host: s.Host, Address: s.Address.String(), Agent: s.UserAgent,
		HostName: s.HostName, Country: s.Country, Level: levelName(s.Level), Methods: strings.Fields(s.Methods),
		Created: s.Created, LastSeen: s.LastSeen, Expires: s.Expires}
}

func levelName(l auth.Level) string {
	switch l {
	case auth.FactorLevel:
		return "factor"
	case auth.PasskeyLevel:
		return "passkey"
	}
	return "password"
}

func (h *Handler) revokeSession(r *http.Request, who auth.Actor) (any, error) {
	return done{}, h.deps.Auth.RevokeSession(r.Context(), who, r.PathValue("id"))
}

// revoked is the answer of revokeAll.
type revoked struct {
	Count int `json:"count"`
}

func (h *Handler) revokeAll(r *http.Request, who auth.Actor) (any, error) {
	n, err := h.deps.Auth.RevokeAll(r.Context(), who, r.PathValue("name"))
	return revoked{Count: n}, err
}
