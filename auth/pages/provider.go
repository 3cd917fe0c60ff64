package pages

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/doorward/doorward/auth/oidc"
)

// providerPath is where sign-ins by OpenID Connect begin and end: /.doorward/oidc/NAME/start, /callback and /logout.
const providerPath = "/.doorward/oidc/"

// providerCookie holds a sign-in by a provider, sealed, while the browser is there.
const (
	providerCookie = "-oidc"
	providerFor    = 10 * time.Minute
)

// providerURL is where a sign-in by the provider begins.
func providerURL(name string) string { return providerPath + url.PathEscape(name) + "/start" }

// providerRoute is the route of a path below providerPath; the name of the provider stands in it.
func (p *Pages) providerRoute(path string) (route, bool) {
	name, what, found := strings.Cut(strings.TrimPrefix(path, providerPath), "/")
	if !found || name == "" {
		return route{}, false
	}
	switch what {
	case "start":
		return route{get: func(x *exchange) error { return p.beginProvider(x, name) }}, true
	case "callback":
		return route{get: func(x *exchange) error { return p.finishProvider(x, name) }}, true
	case "logout":
		return route{post: func(x *exchange) error { return p.providerSignedOut(x, name) }}, true
	}
	return route{}, false
}

// beginProvider sends the browser to the provider. That a GET does so is harmless: what the browser brings back counts only
// together with the cookie that it gets here.
func (p *Pages) beginProvider(x *exchange, name string) error {
	if x.r.Method == http.MethodHead {
		return nil
	}
	target, sealed, err := p.auth.BeginProvider(x.r.Context(), name, x.v.Host, SafeReturn(x.r.URL.Query().Get("return_to")), time.Now())
	if err != nil {
		return providerRefusal(err)
	}
	p.setCookie(x, providerCookie, sealed, providerFor)
	redirect(x, target)
	return nil
}

// finishProvider takes what the browser brings back from the provider.
func (p *Pages) finishProvider(x *exchange, name string) error {
	if x.r.Method == http.MethodHead {
		return nil // or the provider's code would be spent for nothing
	}
	now := time.Now()
	sealed := p.cookie(x, providerCookie)
	p.setCookie(x, providerCookie, "", -1)
	out, err := p.auth.FinishProvider(x.r.Context(), p.attempt(x), name, x.r.URL.Query(), sealed, now)
	if err != nil {
		return providerRefusal(err)
	}
	p.proceed(x, out, now)
	return nil
}

// providerSignedOut takes a provider's own word that somebody has signed out there (OpenID Connect Back-Channel Logout 1.0, 2.8).
func (p *Pages) providerSignedOut(x *exchange, name string) error {
	f, err := readForm(x)
	if err != nil {
		return err
	}
	if err := p.auth.ProviderSignedOut(x.r.Context(), name, f.get("logout_token"), time.Now()); err != nil {
		var refused *oidc.Error
		if errors.As(err, &refused) && refused.Reason == oidc.TokenInvalid {
			return &refusal{status: http.StatusBadRequest, code: "token-invalid", key: "page.error.provider"}
		}
		return providerRefusal(err)
	}
	x.w.WriteHeader(http.StatusOK)
	return nil
}

// providerRefusal chooses what a person reads when a sign-in by a provider does not work. What the provider said is in the log.
func providerRefusal(err error) error {
	var refused *oidc.Error
	if errors.As(err, &refused) {
		switch refused.Reason {
		case oidc.ProviderDown, oidc.Busy:
			return &refusal{status: http.StatusServiceUnavailable, code: string(refused.Reason), retryAfter: 10 * time.Second, key: "page.error.provider_down"}
		case oidc.RefusedByProvider:
			return &refusal{status: http.StatusForbidden, code: string(refused.Reason), key: "page.error.provider_refused"}
		case oidc.StateMismatch, oidc.StateExpired:
			return &refusal{status: http.StatusBadRequest, code: string(refused.Reason), key: "page.error.provider_state"}
		}
		return &refusal{status: http.StatusForbidden, code: string(refused.Reason), key: "page.error.provider"}
	}
	return refusalOf(err, "page.error.provider")
}
