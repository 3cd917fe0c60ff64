package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// noticeLife is how old a logout notice may be. The specification asks for notices that live two minutes at most.
const noticeLife = 5 * time.Minute

// LogoutNotice says that sessions at the provider have ended. With a SID it is the sessions that carry it, without one
// all of the Subject's; Until tells which of them are meant, so that a notice needs no memory: sent again, it ends
// nothing new.
type LogoutNotice struct {
	Provider string // its name in the configuration
	Subject  string // may be empty if SID is not
	SID      string // may be empty if Subject is not
	Issued   time.Time
}

// Until is when a session must have begun before to be one of those that have ended. The clocks may differ by
// two minutes. The notice tells its own time in whole seconds, so that most sessions of the same second would otherwise
// seem younger than it.
func (n LogoutNotice) Until() time.Time { return n.Issued.Add(skew) }

// Logout verifies a logout token (OpenID Connect Back-Channel Logout 1.0, 2.6), the field logout_token of the form that
// the provider posts. The error is *Error; the provider is then answered 400, and 200 with Cache-Control: no-store when
// the sessions have ended.
func (p *Provider) Logout(ctx context.Context, token string, now time.Time) (LogoutNotice, error) {
	if token == "" || len(token) > maxToken {
		return LogoutNotice{}, p.fail(TokenInvalid, "there is no logout token, or one of more than %d bytes", maxToken)
	}
	if err := checkType(token); err != nil {
		return LogoutNotice{}, p.fail(TokenInvalid, "logout token: %w", err)
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		p.busy.Add(1)
		return LogoutNotice{}, p.fail(Busy, "%d sign-ins are under way", atOnce)
	}
	ctx, cancel := context.WithTimeout(ctx, finishLimit)
	defer cancel()
	found, err := p.discover(ctx, now)
	if err != nil {
		return LogoutNotice{}, err
	}
	keys := &verifier{provider: p, found: found, now: now}
	verified, err := p.checks(keys, true).Verify(ctx, token)
	if err != nil {
		return LogoutNotice{}, p.tokenError(keys, err)
	}
	var claims logoutClaims
	if err = verified.Claims(&claims); err == nil {
		err = claims.check(now)
	}
	if err == nil && verified.Subject != "" && !validSubject(verified.Subject) {
		err = errors.New("the subject is too long or not ASCII")
	}
	if err != nil {
		return LogoutNotice{}, p.fail(TokenInvalid, "logout token: %w", err)
	}
	return LogoutNotice{Provider: p.cfg.Name, Subject: verified.Subject, SID: claims.SID, Issued: verified.IssuedAt}, nil
}

// logoutClaims is what a logout token says beside signature, issuer and audience.
type logoutClaims struct {
	Subject string                    `json:"sub"`
	SID     string                    `json:"sid"`
	JTI     string                    `json:"jti"`
	Issued  float64                   `json:"iat"` // seconds since 1970
	Expires *float64                  `json:"exp"`
	Nonce   json.RawMessage           `json:"nonce"`
	Events  map[string]map[string]any `json:"events"`
}

// check applies section 2.6, steps 3 to 7. A token without exp is as good as its iat is new: the drafts of the
// specification had no exp, and providers that were written by them send none.
func (c logoutClaims) check(now time.Time) error {
	event := c.Events["http://schemas.openid.net/event/backchannel-logout"]
	at := func(seconds float64) time.Time { return time.Unix(int64(seconds), 0) }
	switch {
	case event == nil:
		return errors.New("the event is missing or no object")
	case c.Nonce != nil:
		return errors.New("it has a nonce, as ID tokens have")
	case c.Subject == "" && c.SID == "":
		return errors.New("it names neither a person nor a session")
	case c.JTI == "" || !readable(c.JTI, maxClaim) || !readable(c.SID, maxClaim):
		return errors.New("jti is missing, or jti or sid is too long or has characters that cannot be seen")
	case at(c.Issued).After(now.Add(skew)) || at(c.Issued).Before(now.Add(-noticeLife)):
		return fmt.Errorf("issued at %v, which is not now", at(c.Issued))
	case c.Expires != nil && at(*c.Expires).Before(now):
		return fmt.Errorf("expired at %v", at(*c.Expires))
	}
	return nil
}

// checkType refuses a token that says it is of another kind. One that says nothing may be a logout token (2.4).
func checkType(token string) error {
	parsed, err := parseToken(token)
	if err != nil {
		return err
	}
	switch typ, _ := parsed.Signatures[0].Header.ExtraHeaders[jose.HeaderType].(string); typ {
	case "", "JWT", "jwt", "logout+jwt", "application/logout+jwt":
		return nil
	default:
		return fmt.Errorf("its type is %q", typ)
	}
}
