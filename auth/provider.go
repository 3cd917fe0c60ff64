package auth

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/doorward/doorward/auth/oidc"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
)

// ProviderInfo is an OpenID Connect provider as the sign-in page shows it.
type ProviderInfo struct{ Name, Title string }

// Providers lists the OpenID Connect providers that people may sign in by.
func (a *Auth) Providers() []ProviderInfo {
	var list []ProviderInfo
	for _, p := range a.cfg.Load().providers {
		list = append(list, ProviderInfo{p.Config().Name, p.Config().Title})
	}
	return list
}

func (s *settings) provider(name string) *oidc.Provider {
	for _, p := range s.providers {
		if p.Config().Name == name {
			return p
		}
	}
	return nil
}

const sealProvider = "oidc state"

// BeginProvider starts a sign-in by the provider: it returns where to send the browser, and what to keep in a cookie of this
// browser until it comes back. The errors are ErrNotFound for an unknown provider and *oidc.Error.
func (a *Auth) BeginProvider(ctx context.Context, name, host, returnTo string, now time.Time) (target, cookie string, err error) {
	p := a.cfg.Load().provider(name)
	if p == nil {
		return "", "", ErrNotFound
	}
	target, state, err := p.Begin(ctx, host+a.port, returnTo, now)
	if err != nil {
		return "", "", err
	}
	text, err := json.Marshal(state)
	if err != nil {
		return "", "", fmt.Errorf("seal sign-in by provider %s: %w", name, err)
	}
	return target, a.secrets.seal(sealProvider, host, text), nil
}

// FinishProvider ends a sign-in by the provider with what the browser brought back. The errors are SignIn's, ErrNotFound,
// ErrNotInvited and *oidc.Error.
func (a *Auth) FinishProvider(ctx context.Context, at Attempt, name string, query url.Values, cookie string, now time.Time) (Outcome, error) {
	who, out, err := a.finishProvider(ctx, &at, name, query, cookie, now)
	a.recordSignIn(at, who, out, err, now)
	return out, err
}

func (a *Auth) finishProvider(ctx context.Context, at *Attempt, name string, query url.Values, cookie string, now time.Time) (verdict, Outcome, error) {
	cfg := a.cfg.Load()
	p := cfg.provider(name)
	if p == nil {
		return verdict{reason: "unknown-provider"}, Outcome{}, ErrNotFound
	}
	if v, err := a.mayTry(ctx, *at, now); err != nil {
		return v, Outcome{}, err
	}
	var state oidc.State
	text, err := a.secrets.open(sealProvider, at.Host, cookie)
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	if err != nil {
		state = oidc.State{} // Finish then says that this browser has begun nothing
	}
	id, err := p.Finish(ctx, query, state, now)
	if err != nil {
		var refused *oidc.Error
		if errors.As(err, &refused) {
			return verdict{reason: string(refused.Reason)}, Outcome{}, err
		}
		return verdict{reason: "provider"}, Outcome{}, err
	}
	at.ReturnTo = state.ReturnTo
	v := vouched{provider: "oidc:" + id.Provider, subject: id.Subject, username: id.Username, email: id.Email, name: id.Name,
		roles: cfg.knownRoles(id.Roles), mapped: len(p.Config().Roles) > 0 || p.Config().DefaultRole != "",
		create: p.Config().CreateAccounts, level: PasswordLevel, sid: id.SID}
	if id.SecondFactor {
		v.level = FactorLevel
	}
	return a.finishVouched(ctx, *at, v, now)
}

// finishVouched goes on with a sign-in that another system has answered for.
func (a *Auth) finishVouched(ctx context.Context, at Attempt, v vouched, now time.Time) (verdict, Outcome, error) {
	owner, err := a.settle(ctx, v, at, now)
	var no *notInvited
	switch {
	case errors.As(err, &no):
		a.logStep("sign-in by "+v.provider+" is not allowed", err)
		return verdict{reason: no.reason}, Outcome{}, ErrNotInvited
	case errors.Is(err, ErrWrong):
		return verdict{reason: "disabled-account"}, Outcome{}, ErrWrong
	case err != nil:
		return verdict{reason: "not-stored"}, Outcome{}, a.stepError(err, now)
	}
	return a.finish(ctx, at, verdict{account: owner}, vouchedGrant(at, owner, v), now)
}

// ProviderSignedOut takes a provider's word that sessions there have ended (OpenID Connect Back-Channel Logout 1.0), and ends those
// here that began by them. The errors are ErrNotFound, *oidc.Error and ErrUnavailable.
func (a *Auth) ProviderSignedOut(ctx context.Context, name, token string, now time.Time) error {
	p := a.cfg.Load().provider(name)
	if p == nil {
		return ErrNotFound
	}
	notice, err := p.Logout(ctx, token, now)
	if err != nil {
		return err
	}
	provider := "oidc:" + name
	var ended []string
	err = a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		find, endPending, key := sqlSessionsOfSID, sqlEndPendingOfSID, notice.SID
		if key == "" {
			find, endPending, key = sqlSessionsOfSubject, sqlEndPendingOfSubject, notice.Subject
		}
		if ended, err = readStrings(ctx, tx, find, provider, key, store.Micros(notice.Until())); err != nil {
			return fmt.Errorf("find the provider's sessions: %w", err)
		}
		if _, err := tx.ExecContext(ctx, endPending, provider, key); err != nil {
			return fmt.Errorf("end the provider's sign-ins that lack a step: %w", err)
		}
		return endSignIns(ctx, tx, ended, "signed-out-elsewhere", store.Micros(now))
	})
	if err != nil {
		return a.storeError(err)
	}
	if len(ended) > 0 {
		a.sessions.end(ended...)
	}
	a.append(event.Event{Time: now, Class: event.Authentication, Action: "sign-out", Outcome: event.Success, Severity: event.Informational,
		Fields: []event.Field{{Key: "provider", Value: provider}, {Key: "sessions", Value: fmt.Sprint(len(ended))}}})
	return nil
}
