package auth

import (
	"context"
	"time"
)

// Vouched is a person whom another system has recognised, as that system's code tells it.
type Vouched struct {
	Provider, Subject, Username, Email, Name, SID string
	Roles                                         []Role
	Unmapped                                      bool // the other system says nothing about roles
	Stranger                                      bool // no account is made
	Level                                         Level
}

// Vouch goes on with a sign-in that another system has answered for; reason is the event's.
func (a *Auth) Vouch(ctx context.Context, at Attempt, v Vouched, now time.Time) (out Outcome, reason string, err error) {
	inner := vouched{provider: v.Provider, subject: v.Subject, username: v.Username, email: v.Email, name: v.Name, roles: v.Roles, mapped: !v.Unmapped,
		create: !v.Stranger, level: max(v.Level, PasswordLevel), sid: v.SID}
	who, out, err := a.finishVouched(ctx, at, inner, now)
	return out, who.reason, err
}
