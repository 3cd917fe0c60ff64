package api

import (
	"context"
	"net/http"
	"net/url"
)

func principalPath(name, rest string) string { return "/v1/principals/" + url.PathEscape(name) + rest }

// Details returns an account with its factors, sessions and tokens.
func (c *Client) Details(ctx context.Context, name string) (Details, error) {
	var out Details
	err := c.call(ctx, http.MethodGet, principalPath(name, ""), nil, &out)
	return out, err
}

// SetRoles gives an account these roles and no others, and ends its sessions.
func (c *Client) SetRoles(ctx context.Context, name string, roles []string) error {
	return c.call(ctx, http.MethodPut, principalPath(name, "/roles"), rolesRequest{Roles: roles}, nil)
}

// RequirePasswordChange has the person choose a new password at the next sign-in, and ends the account's sessions.
func (c *Client) RequirePasswordChange(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodPost, principalPath(name, "/password-change"), nil, nil)
}

// ResetFactors removes every second factor of an account and ends its sessions.
func (c *Client) ResetFactors(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, principalPath(name, "/factors"), nil, nil)
}

// Addresses lists the networks that the person has signed in from.
func (c *Client) Addresses(ctx context.Context, name string) ([]Address, error) {
	var out []Address
	err := c.call(ctx, http.MethodGet, principalPath(name, "/addresses"), nil, &out)
	return out, err
}

// TrustAddress lets sign-ins from the address pass without a release by mail, and returns until when.
func (c *Client) TrustAddress(ctx context.Context, name, address string) (Trusted, error) {
	var out Trusted
	err := c.call(ctx, http.MethodPost, principalPath(name, "/addresses"), addressRequest{Address: address}, &out)
	return out, err
}

// ForgetAddress takes the trust in a network back, and the knowledge of it.
func (c *Client) ForgetAddress(ctx context.Context, name, network string) error {
	return c.call(ctx, http.MethodDelete, principalPath(name, "/addresses?network=")+url.QueryEscape(network), nil, nil)
}

// Tokens lists the API tokens of one account, or of all with user "".
func (c *Client) Tokens(ctx context.Context, user string) ([]Token, error) {
	var out []Token
	err := c.call(ctx, http.MethodGet, "/v1/tokens?user="+url.QueryEscape(user), nil, &out)
	return out, err
}

// AddToken makes an API token of an account; the answer has its secret.
func (c *Client) AddToken(ctx context.Context, name string, n NewToken) (AddedToken, error) {
	var out AddedToken
	err := c.call(ctx, http.MethodPost, principalPath(name, "/tokens"), n, &out)
	return out, err
}

// RevokeToken ends an API token.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/tokens/"+url.PathEscape(id), nil, nil)
}

// AccessReport tells who holds what, what changed since the last review, and what to ask about.
func (c *Client) AccessReport(ctx context.Context) (AccessReport, error) {
	var out AccessReport
	err := c.call(ctx, http.MethodGet, "/v1/reviews/report", nil, &out)
	return out, err
}

// SignReview signs what the accounts hold now.
func (c *Client) SignReview(ctx context.Context, note string) (Review, error) {
	var out Review
	err := c.call(ctx, http.MethodPost, "/v1/reviews", signRequest{Note: note}, &out)
	return out, err
}

// Reviews lists the signed reviews, the newest first.
func (c *Client) Reviews(ctx context.Context) ([]Review, error) {
	var out []Review
	err := c.call(ctx, http.MethodGet, "/v1/reviews", nil, &out)
	return out, err
}

// Review returns a signed review with its snapshot.
func (c *Client) Review(ctx context.Context, id string) (Review, error) {
	var out Review
	err := c.call(ctx, http.MethodGet, "/v1/reviews/"+url.PathEscape(id), nil, &out)
	return out, err
}

// ReviewStatus tells when the next review is due.
func (c *Client) ReviewStatus(ctx context.Context) (ReviewStatus, error) {
	var out ReviewStatus
	err := c.call(ctx, http.MethodGet, "/v1/reviews/status", nil, &out)
	return out, err
}
