package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/doorward/doorward/auth"
)

const signOutPath = ownPrefix + "sign-out"

// maxTokens is how many session cookies one sign-out ends. A browser that keeps its promises has one.
const maxTokens = 8

// prepareSignOut makes a sign-out mean what the page will say. Of several session cookies nothing tells which
// is ours (sessionToken), so that every session among them ends; and while the store is away, a session that
// cannot be looked up cannot be ended either, which must not look like success.
func (g *Gateway) prepareSignOut(r *http.Request, x *exchange) error {
	if r.Method != http.MethodPost || x.path.decoded != signOutPath {
		return nil
	}
	if x.storeDown {
		return overload("store-unavailable")
	}
	if len(x.tokens) > maxTokens {
		return ambiguous("header-repeated")
	}
	for _, token := range x.tokens {
		s, err := g.auth.Session(r.Context(), auth.SiteRealm, x.host, token, x.started)
		switch {
		case errors.Is(err, auth.ErrNoSession):
			continue
		case errors.Is(err, auth.ErrUnavailable):
			return overload("store-unavailable")
		case err != nil:
			return fmt.Errorf("look up session: %w", err)
		}
		if err := g.auth.SignOut(r.Context(), s, x.started); err != nil {
			return fmt.Errorf("sign out: %w", err)
		}
	}
	return nil
}

// sessionTokens returns the values of all our session cookies.
func sessionTokens(h http.Header) []string {
	var tokens []string
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			if name == CookieName {
				tokens = append(tokens, value)
			}
		}
	}
	return tokens
}
