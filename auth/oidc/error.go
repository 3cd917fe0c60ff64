package oidc

import "fmt"

// Reason says in one word why a sign-in by a provider failed. It is safe to show and to count: it never holds text that
// came from outside.
type Reason string

// The reasons.
const (
	// ProviderDown: the provider does not answer, answers nonsense, or says that it is out of order.
	ProviderDown Reason = "provider-down"
	// Busy: too many sign-ins by this provider are under way.
	Busy Reason = "busy"
	// RefusedByProvider: the provider, or the person there, said no.
	RefusedByProvider Reason = "refused-by-provider"
	// StateMismatch: the answer belongs to no sign-in that this browser began, or was used before.
	StateMismatch Reason = "state-mismatch"
	// StateExpired: the sign-in began more than ten minutes ago.
	StateExpired Reason = "state-expired"
	// TokenInvalid: what the provider said of the person does not stand up to verification.
	TokenInvalid Reason = "token-invalid"
	// ClientRejected: the provider does not accept the client's id, secret or callback address. An administrator must act.
	ClientRejected Reason = "client-rejected"
)

// Error is why a sign-in or a logout notice was not accepted. Its text is for logs: it may quote the provider, so a
// person is shown the Reason only.
type Error struct {
	Provider string // its name in the configuration
	Reason   Reason
	cause    error
}

// Error is the reason with its cause.
func (e *Error) Error() string {
	// Quoted, because the provider's own words could hold line breaks.
	cause := e.cause.Error()
	return fmt.Sprintf("provider %s: %s: %.500q", e.Provider, e.Reason, cause)
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.cause }

// fail makes the error of a step.
func (p *Provider) fail(reason Reason, format string, args ...any) error {
	return &Error{Provider: p.cfg.Name, Reason: reason, cause: fmt.Errorf(format, args...)}
}
