package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/auth"
)

func (h *Handler) details(r *http.Request, _ auth.Actor) (any, error) {
	d, err := h.deps.Auth.Details(r.Context(), r.PathValue("name"), time.Now())
	if err != nil {
		return nil, err
	}
	out := Details{Principal: h.wirePrincipal(d.Principal), Privileges: words(d.Privileges), Phone: d.Principal.Phone, Language: d.Principal.Language,
		Origin: d.Principal.Origin, MustChange: d.Principal.MustChange, PasswordChanged: d.PasswordAt, LastSignIn: d.LastSignIn,
		Factors:  Factors{TOTP: d.Factors.TOTP, Passkeys: []Passkey{}, RecoveryCodes: d.Factors.RecoveryLeft},
		Sessions: []Session{}, Tokens: []Token{}}
	if d.Factors.TOTP {
		out.Factors.TOTPSince = d.Factors.TOTPSince
	}
	for _, p := range d.Factors.Passkeys {
		out.Factors.Passkeys = append(out.Factors.Passkeys, Passkey{ID: p.ID, Name: p.Name, Created: p.Created, LastUsed: p.LastUsed})
	}
	for _, s := range d.Sessions {
		out.Sessions = append(out.Sessions, wireSession(s))
	}
	for _, t := range d.Tokens {
		out.Tokens = append(out.Tokens, wireToken(t))
	}
	return out, nil
}

// words are names of any kind as JSON has them; never null.
func words[T ~string](list []T) []string {
	out := make([]string, 0, len(list))
	for _, v := range list {
		out = append(out, string(v))
	}
	return out
}

// rolesOf are the roles of these names, as they were asked for; package auth refuses those that do not exist.
func rolesOf(names []string) []auth.Role {
	var roles []auth.Role
	for _, name := range names {
		roles = append(roles, auth.Role(name))
	}
	return roles
}

// rolesRequest is the body of a change of roles.
type rolesRequest struct {
	Roles []string `json:"roles"`
}

func (h *Handler) setRoles(r *http.Request, who auth.Actor) (any, error) {
	var in rolesRequest
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	return done{}, h.deps.Auth.SetRoles(r.Context(), who, r.PathValue("name"), rolesOf(in.Roles))
}

func (h *Handler) requirePassword(r *http.Request, who auth.Actor) (any, error) {
	return done{}, h.deps.Auth.RequireNewPassword(r.Context(), who, r.PathValue("name"))
}

func (h *Handler) resetFactors(r *http.Request, who auth.Actor) (any, error) {
	return done{}, h.deps.Auth.ResetFactors(r.Context(), who, r.PathValue("name"))
}

func (h *Handler) addresses(r *http.Request, _ auth.Actor) (any, error) {
	p, err := h.deps.Auth.Principal(r.Context(), r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	known, err := h.deps.Auth.KnownAddresses(r.Context(), p.ID)
	if err != nil {
		return nil, err
	}
	out := make([]Address, 0, len(known))
	for _, k := range known {
		out = append(out, Address{Network: shortNetwork(k.Prefix), How: k.How, Created: k.Created, LastSeen: k.Seen, TrustedUntil: k.TrustedUntil})
	}
	return out, nil
}

// shortNetwork writes the network of one IPv4 address as that address.
func shortNetwork(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// addressRequest is the body of a trust.
type addressRequest struct {
	Address string `json:"address"`
}

func (h *Handler) trustAddress(r *http.Request, who auth.Actor) (any, error) {
	var in addressRequest
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	address, err := netip.ParseAddr(strings.TrimSpace(in.Address))
	if err != nil {
		return nil, badRequest("address must be the IP address that the person signs in from")
	}
	until, err := h.deps.Auth.TrustAddress(r.Context(), who, r.PathValue("name"), address, time.Now())
	return Trusted{Until: until}, err
}

func (h *Handler) forgetAddress(r *http.Request, who auth.Actor) (any, error) {
	network, err := parseNetwork(r.URL.Query().Get("network"))
	if err != nil {
		return nil, err
	}
	p, err := h.deps.Auth.Principal(r.Context(), r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	known, err := h.deps.Auth.KnownAddresses(r.Context(), p.ID)
	if err != nil {
		return nil, err
	}
	for _, k := range known {
		// One address of an IPv6 network stands for the network that it was remembered as.
		if k.Prefix == network || network.IsSingleIP() && k.Prefix.Contains(network.Addr()) {
			return done{}, h.deps.Auth.ForgetAddress(r.Context(), who, p.ID, k.Prefix)
		}
	}
	return nil, &Error{Status: http.StatusNotFound, Message: p.Name + " has not signed in from there", Hint: "doorward user addresses " + p.Name + " shows the networks"}
}

// parseNetwork reads a network, or one address as a network of its own. A network with bits beyond its length is refused, as in the
// configuration file: 10.1.2.3/8 may be meant as either, and one of the two is the whole of 10.0.0.0/8.
func parseNetwork(text string) (netip.Prefix, error) {
	text = strings.TrimSpace(text)
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, badRequest(strconv.Quote(text) + " is neither a network nor an address")
	case network.Addr().Is4In6():
		return netip.Prefix{}, badRequest(strconv.Quote(text) + " is an IPv4 network in IPv6 form; write it in IPv4 form")
	case network != network.Masked():
		return netip.Prefix{}, badRequest(fmt.Sprintf("%q has bits set beyond its length; write %s for the network or %s for the one address",
			text, network.Masked(), network.Addr()))
	}
	return network, nil
}
