package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/doorward/doorward/auth"
)

// Invitation is an account that somebody was asked to complete.
type Invitation struct {
	ID          string     `json:"id"`
	Email       string     `json:"email"`
	Name        string     `json:"name,omitempty"`
	DisplayName string     `json:"display_name,omitempty"`
	Roles       []string   `json:"roles"`
	State       string     `json:"state"` // open, accepted, revoked, replaced or expired
	InvitedBy   string     `json:"invited_by"`
	Created     time.Time  `json:"created"`
	Expires     time.Time  `json:"expires"`
	Ended       *time.Time `json:"ended,omitempty"` // when it was accepted, revoked or replaced
}

// NewInvitation is the invitation that Invite makes.
type NewInvitation struct {
	Email       string   `json:"email"`
	Name        string   `json:"name,omitempty"`         // proposed to the person
	DisplayName string   `json:"display_name,omitempty"` // proposed to the person
	Language    string   `json:"language,omitempty"`
	Roles       []string `json:"roles"`
	Host        string   `json:"host,omitempty"`    // of the link; default: the first site's
	Seconds     int64    `json:"seconds,omitempty"` // how long the link is good; default 7 days
}

// Invited is an invitation with its link, which is told this once.
type Invited struct {
	Invitation
	Link   string `json:"link"`
	Mailed bool   `json:"mailed"` // it is also on its way by mail
}

func (h *Handler) invitationRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/invitations", needs: auth.SeeAccounts, summary: "Invitations, the newest first", out: []Invitation{}, answer: h.invitations},
		{method: "POST", path: "/v1/invitations", needs: auth.ManageAccounts, summary: "Invite somebody to an account; earlier invitations to the address end",
			in: NewInvitation{}, out: Invited{}, answer: h.invite},
		{method: "DELETE", path: "/v1/invitations/{id}", needs: auth.ManageAccounts, summary: "Revoke an open invitation", out: done{},
			missing: noSuch("open invitation", "doorward user invitations shows the invitations"), answer: h.revokeInvitation},
	}
}

func wireInvitation(i auth.Invitation, now time.Time) Invitation {
	out := Invitation{ID: i.ID, Email: i.Email, Name: i.Name, DisplayName: i.DisplayName, Roles: words(i.Roles), State: i.State(now),
		InvitedBy: i.InvitedBy, Created: i.Created, Expires: i.Expires}
	if !i.Ended.IsZero() {
		out.Ended = &i.Ended
	}
	return out
}

func (h *Handler) invitations(r *http.Request, _ auth.Actor) (any, error) {
	all, err := h.deps.Auth.Invitations(r.Context())
	if err != nil {
		return nil, err
	}
	out, now := make([]Invitation, 0, len(all)), time.Now()
	for _, i := range all {
		out = append(out, wireInvitation(i, now))
	}
	return out, nil
}

func (h *Handler) invite(r *http.Request, who auth.Actor) (any, error) {
	var in NewInvitation
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	const longest = 366 * 24 * 60 * 60 // package auth takes less; this keeps the product below from running over
	if in.Seconds < 0 || in.Seconds > longest {
		return nil, badRequest("seconds must be from 0 to " + strconv.Itoa(longest))
	}
	n := auth.NewInvitation{Email: in.Email, Name: in.Name, DisplayName: in.DisplayName, Language: in.Language, Roles: rolesOf(in.Roles), Host: in.Host,
		Life: time.Duration(in.Seconds) * time.Second}
	now := time.Now()
	made, err := h.deps.Auth.Invite(r.Context(), who, n, now)
	if err != nil {
		return nil, err
	}
	return Invited{Invitation: wireInvitation(made.Invitation, now), Link: made.Link, Mailed: made.Mailed}, nil
}

func (h *Handler) revokeInvitation(r *http.Request, who auth.Actor) (any, error) {
	return done{}, h.deps.Auth.RevokeInvitation(r.Context(), who, r.PathValue("id"), time.Now())
}

// Invite makes an invitation; the answer has its link.
func (c *Client) Invite(ctx context.Context, n NewInvitation) (Invited, error) {
	var out Invited
	err := c.call(ctx, http.MethodPost, "/v1/invitations", n, &out)
	return out, err
}

// Invitations lists invitations, the newest first.
func (c *Client) Invitations(ctx context.Context) ([]Invitation, error) {
	var out []Invitation
	err := c.call(ctx, http.MethodGet, "/v1/invitations", nil, &out)
	return out, err
}

// RevokeInvitation makes an invitation's link useless.
func (c *Client) RevokeInvitation(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/invitations/"+url.PathEscape(id), nil, nil)
}
