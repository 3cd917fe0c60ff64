package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/doorward/doorward/auth"
)

func wireToken(t auth.TokenInfo) Token {
	out := Token{ID: t.ID, User: t.Account, Name: t.Name, Privileges: words(t.Privileges), Hosts: t.Hosts,
		Created: t.Created, Expires: t.Expires, LastUsed: t.LastUsed}
	for _, n := range t.Networks {
		out.Networks = append(out.Networks, shortNetwork(n))
	}
	return out
}

func (h *Handler) tokens(r *http.Request, _ auth.Actor) (any, error) {
	all, err := h.deps.Auth.Tokens(r.Context(), r.URL.Query().Get("user"))
	if err != nil {
		return nil, err
	}
	out := make([]Token, 0, len(all))
	for _, t := range all {
		out = append(out, wireToken(t))
	}
	return out, nil
}

func (h *Handler) addToken(r *http.Request, who auth.Actor) (any, error) {
	var in NewToken
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	const longest = int64(auth.MaxTokenLife / time.Second)
	if in.Seconds < 0 || in.Seconds > longest {
		return nil, badRequest("seconds must be from 1 to " + strconv.FormatInt(longest, 10))
	}
	n := auth.NewToken{Name: in.Name, Hosts: in.Hosts, Life: time.Duration(in.Seconds) * time.Second}
	for _, name := range in.Privileges {
		var p auth.Privilege
		if err := p.UnmarshalText([]byte(name)); err != nil {
			return nil, badRequest(err.Error())
		}
		n.Privileges = append(n.Privileges, p)
	}
	for _, text := range in.Networks {
		network, err := parseNetwork(text)
		if err != nil {
			return nil, err
		}
		n.Networks = append(n.Networks, network)
	}
	info, secret, err := h.deps.Auth.AddToken(r.Context(), who, r.PathValue("name"), n, time.Now())
	return AddedToken{Token: wireToken(info), Secret: secret}, err
}

func (h *Handler) revokeToken(r *http.Request, who auth.Actor) (any, error) {
	return done{}, h.deps.Auth.RevokeToken(r.Context(), who, r.PathValue("id"), time.Now())
}
