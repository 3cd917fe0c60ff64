package oidc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// noticeLife is how old a logout notice may be. The specification asks for notices that live two minutes at most.
const noticeLife = 5 * time.Minute

// LogoutNotice says that sessions at the provider have ended. With a SID it is the sessions that carry it, without one
// all of the Subject's; Ends tells which of them are meant, so that a notice needs no memory: sent again, it ends
// nothing new.
type LogoutNotice struct {
	Provider string // its name in the configuration
	Subject  string // may be empty if SID is not
	SID      string // may be empty if Subject is not
	JTI      string // the notice's own identifier
	Issued   time.Time
}

// Ends tells whether a session that began then is one of those that have ended. The clocks may differ by two minutes.
func (n LogoutNotice) Ends(began time.Time) bool { return began.Before(n.Issued.Add(skew)) }

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
	verified, err := p.checks(keys).VerifyLogout(ctx, token)
	if err != nil {
		return LogoutNotice{}, p.tokenError(keys, err)
	}
	var claims struct {
		Events map[string]map[string]any `json:"events"`
	}
	err = verified.Claims(&claims)
	switch event, ok := claims.Events["http://schemas.openid.net/event/backchannel-logout"]; {
	case err != nil:
	case !ok || event == nil:
		err = errors.New("the event is no object")
	case verified.IssuedAt.IsZero() || verified.IssuedAt.After(now.Add(skew)) || verified.IssuedAt.Before(now.Add(-noticeLife)):
		err = fmt.Errorf("issued at %v, which is not now", verified.IssuedAt)
	case verified.Subject != "" && !validSubject(verified.Subject), !readable(verified.SessionID, maxClaim), !readable(verified.TokenID, maxClaim):
		err = errors.New("sub, sid or jti is too long or has characters that cannot be seen")
	}
	if err != nil {
		return LogoutNotice{}, p.fail(TokenInvalid, "logout token: %w", err)
	}
	return LogoutNotice{Provider: p.cfg.Name, Subject: verified.Subject, SID: verified.SessionID, JTI: verified.TokenID, Issued: verified.IssuedAt}, nil
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
