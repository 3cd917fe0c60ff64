package gateway

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/doorward/doorward/auth"
)

// apiTokenLength is how long an API token is: auth.TokenPrefix and 32 random bytes in base64url.
const apiTokenLength = len(auth.TokenPrefix) + 43

// takeAPIToken takes an API token of ours out of the request (RFC 6750 2.1) and returns it, whether it is good or not: the
// application never sees one, not even where Authorization passes. A whole token that stands anywhere else in the header is
// refused (400), because an application may read it there, and whoever sent it so meant something else. Several
// Authorization headers are left alone: they are refused later, as everywhere.
func takeAPIToken(h http.Header) (token string, err error) {
	lines := h["Authorization"]
	if len(lines) != 1 {
		return "", nil
	}
	credentials := lines[0]
	if i := strings.IndexAny(credentials, " \t"); i > 0 && strings.EqualFold(credentials[:i], "Bearer") {
		if token := strings.Trim(credentials[i:], " \t"); auth.IsAPIToken(token) {
			delete(h, "Authorization")
			return token, nil
		}
	}
	if holdsAPIToken(credentials) || holdsAPIToken(decodedBasic(credentials)) {
		return "", ambiguous("token-misplaced")
	}
	return "", nil
}

// holdsAPIToken tells whether a word of the text, in any case, could be a whole token.
func holdsAPIToken(text string) bool {
	for word := range strings.FieldsFuncSeq(text, func(c rune) bool { return !isTokenRune(c) }) {
		if len(word) == apiTokenLength && strings.EqualFold(word[:len(auth.TokenPrefix)], auth.TokenPrefix) {
			return true
		}
	}
	return false
}

func isTokenRune(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// plainBase64 turns the alphabet for URLs into the usual one (RFC 4648 5); a Replacer keeps no state.
var plainBase64 = strings.NewReplacer("-", "+", "_", "/")

// decodedBasic is the name and the password of Basic credentials (RFC 7617 2); empty when they are none.
func decodedBasic(credentials string) string {
	i := strings.IndexAny(credentials, " \t")
	if i < 0 || !strings.EqualFold(credentials[:i], "Basic") {
		return ""
	}
	encoded := strings.TrimRight(strings.Trim(credentials[i:], " \t"), "=")
	encoded = plainBase64.Replace(encoded)
	text, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return ""
	}
	return string(text)
}

// findTokenSession finds the session that the request's API token opens. A token that is not good is no stranger's request:
// who sends one wants to be known. No such request counts as a person's activity.
func (g *Gateway) findTokenSession(r *http.Request, x *exchange) error {
	s, err := g.auth.TokenSession(r.Context(), x.host, x.bearer, x.client, x.started)
	var denied *auth.DeniedError
	var wait *auth.WaitError
	switch {
	case err == nil:
		x.session = s
		if x.conn != nil {
			x.conn.keepFor(s.ID)
		}
		return nil
	case errors.Is(err, auth.ErrUnavailable):
		x.storeDown = true
		return nil
	case errors.Is(err, auth.ErrNoSession):
		no := refuse(http.StatusUnauthorized, "token-invalid", "refusal.token_invalid")
		no.challenge = `Bearer realm="Doorward", error="invalid_token"` // RFC 6750 3.1
		return no
	case errors.As(err, &denied):
		return refuse(http.StatusForbidden, "token-privilege", "refusal.token_privilege")
	case errors.Is(err, auth.ErrNetwork):
		return refuse(http.StatusForbidden, "token-network", "refusal.token_network")
	case errors.As(err, &wait):
		no := refuse(http.StatusTooManyRequests, "token-wait", "")
		no.retryAfter = wait.RetryAfter
		return no
	default:
		return fmt.Errorf("look up API token: %w", err)
	}
}

// refuseToken keeps a request that came with an API token from our own pages: nobody is there for whom they could act. What
// says nothing about anybody stays open.
func (x *exchange) refuseToken() error {
	if x.bearer == "" || x.path.decoded == ownPrefix+"jwks.json" || strings.HasPrefix(x.path.decoded, ownPrefix+"static/") {
		return nil
	}
	return refuse(http.StatusForbidden, "token", "refusal.token")
}
