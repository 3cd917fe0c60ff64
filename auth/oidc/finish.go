package oidc

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	coreos "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	skew        = 2 * time.Minute  // that the provider's clock may be ahead
	finishLimit = 25 * time.Second // for all requests of one sign-in together
	maxCode     = 8 << 10
)

// Finish ends a sign-in with the query of the callback's address and the state that Begin returned to this browser. It
// accepts each state once. The Identity may have no role: whether it may enter is the caller's decision. The error is
// *Error.
func (p *Provider) Finish(ctx context.Context, query url.Values, state State, now time.Time) (Identity, error) {
	if err := p.checkState(query, state, now); err != nil {
		return Identity{}, err
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		p.busy.Add(1)
		return Identity{}, p.fail(Busy, "%d sign-ins are under way", atOnce)
	}
	ctx, cancel := context.WithTimeout(ctx, finishLimit)
	defer cancel()
	found, err := p.discover(ctx, now)
	if err != nil {
		return Identity{}, err
	}
	code, err := p.checkAnswer(query, found)
	if err != nil {
		return Identity{}, err
	}
	if !p.used.take(state.State, state.Expires, now) {
		return Identity{}, p.fail(StateMismatch, "this answer was used before")
	}
	ctx = coreos.ClientContext(ctx, p.client)
	token, err := p.oauth(found, state.Host).Exchange(ctx, code, oauth2.VerifierOption(state.Verifier))
	if err != nil {
		return Identity{}, p.exchangeError(err)
	}
	claims, err := p.verifyIDToken(ctx, found, token, state.Nonce, now)
	if err != nil {
		return Identity{}, err
	}
	if err := p.addUserInfo(ctx, found, token, claims); err != nil {
		return Identity{}, err
	}
	return p.identity(claims), nil
}

// checkState tells whether the callback belongs to the sign-in that this browser began. It comes before anything else
// that the query says, because anybody can make a browser call the callback.
func (p *Provider) checkState(query url.Values, state State, now time.Time) error {
	got := query["state"]
	switch {
	case len(got) != 1 || state.State == "" || subtle.ConstantTimeCompare([]byte(got[0]), []byte(state.State)) != 1:
		return p.fail(StateMismatch, "the answer is not for the sign-in that this browser began")
	case state.Provider != p.cfg.Name:
		return p.fail(StateMismatch, "the sign-in began with provider %q", state.Provider)
	case !now.Before(state.Expires):
		return p.fail(StateExpired, "the sign-in ended at %v", state.Expires)
	}
	return nil
}

// checkAnswer reads the code (RFC 6749, 4.1.2), and refuses the answer of another provider (RFC 9207, 2.4): one that
// people trust less could pass its codes off as this one's.
func (p *Provider) checkAnswer(query url.Values, found *discovered) (code string, err error) {
	iss := query["iss"]
	if len(iss) > 1 || len(iss) == 1 && iss[0] != p.cfg.Issuer || len(iss) == 0 && found.sendsIss {
		return "", p.fail(StateMismatch, "the answer is by issuer %q", iss)
	}
	if refusal := query.Get("error"); refusal != "" {
		reason := RefusedByProvider
		switch refusal {
		case "server_error", "temporarily_unavailable":
			reason = ProviderDown
		case "unauthorized_client", "invalid_request", "invalid_scope", "unsupported_response_type":
			reason = ClientRejected
		}
		return "", p.fail(reason, "it answered %s %s", refusal, query.Get("error_description"))
	}
	if codes := query["code"]; len(codes) != 1 || codes[0] == "" || len(codes[0]) > maxCode {
		return "", p.fail(TokenInvalid, "the answer has no usable code")
	}
	return query.Get("code"), nil
}

func (p *Provider) exchangeError(err error) error {
	reason := ProviderDown
	if answer, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		switch {
		case answer.ErrorCode == "invalid_grant":
			reason = RefusedByProvider
		case answer.ErrorCode != "" || answer.Response.StatusCode == http.StatusUnauthorized:
			reason = ClientRejected
		}
	}
	return p.fail(reason, "exchange the code: %w", err)
}

// verifyIDToken checks the ID token (OpenID Connect Core 1.0, 3.1.3.7) and returns its claims.
func (p *Provider) verifyIDToken(ctx context.Context, found *discovered, token *oauth2.Token, nonce string, now time.Time) (*claimSet, error) {
	raw, _ := token.Extra("id_token").(string)
	if raw == "" || len(raw) > maxToken {
		return nil, p.fail(TokenInvalid, "the answer has no ID token, or one of more than %d bytes", maxToken)
	}
	keys := &verifier{provider: p, found: found, now: now}
	verified, err := p.checks(keys, false).Verify(ctx, raw)
	if err != nil {
		return nil, p.tokenError(keys, err)
	}
	claims := &claimSet{}
	if err := verified.Claims(&claims.values); err != nil {
		return nil, p.fail(TokenInvalid, "read its claims: %w", err)
	}
	azp, named := claims.values["azp"]
	switch {
	case subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(nonce)) != 1:
		err = errors.New("the nonce is another's")
	case verified.IssuedAt.IsZero() || verified.IssuedAt.After(now.Add(skew)):
		err = fmt.Errorf("issued at %v, which is in the future", verified.IssuedAt)
	case !validSubject(verified.Subject):
		err = errors.New("the subject is empty, too long or not ASCII")
	case named && azp != p.cfg.ClientID, !named && len(verified.Audience) > 1:
		err = fmt.Errorf("the authorized party is %v, of the audience %q", azp, verified.Audience)
	case verified.AccessTokenHash != "":
		err = verified.VerifyAccessToken(token.AccessToken)
	}
	if err != nil {
		return nil, p.fail(TokenInvalid, "ID token: %w", err)
	}
	claims.subject = verified.Subject
	return claims, nil
}

// checks is what is verified of every token: signature, issuer, audience and, unless the caller looks at it, expiry.
func (p *Provider) checks(keys *verifier, skipExpiry bool) *coreos.IDTokenVerifier {
	return coreos.NewVerifier(p.cfg.Issuer, keys, &coreos.Config{ClientID: p.cfg.ClientID,
		SupportedSigningAlgs: algorithms(), SkipExpiryCheck: skipExpiry, Now: func() time.Time { return keys.now }})
}

// tokenError tells a token that is wrong from keys that could not be fetched.
func (p *Provider) tokenError(keys *verifier, err error) error {
	if keys.down != nil {
		return keys.down
	}
	return p.fail(TokenInvalid, "%w", err)
}

// addUserInfo fills in what the ID token does not say (OpenID Connect Core 1.0, 5.3). What it does say stays.
func (p *Provider) addUserInfo(ctx context.Context, found *discovered, token *oauth2.Token, claims *claimSet) error {
	endpoint := found.provider.UserInfoEndpoint()
	if endpoint == "" || !p.cfg.UserInfo && !p.lacksClaims(claims) {
		return nil
	}
	info, err := found.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return p.fail(ProviderDown, "ask for user info: %w", err)
	}
	if info.Subject != claims.subject {
		return p.fail(TokenInvalid, "the user info is about %q, the ID token about %q", info.Subject, claims.subject)
	}
	var more map[string]any
	if err := info.Claims(&more); err != nil {
		return p.fail(TokenInvalid, "read user info: %w", err)
	}
	claims.merge(more)
	return nil
}
