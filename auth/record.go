package auth

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
)

// recordSignIn counts a sign-in and leaves its event: who, from where, at which host, how it ended and
// why. The password is never in it.
func (a *Auth) recordSignIn(at Attempt, who verdict, out Outcome, err error, now time.Time) {
	outcome, severity := event.Failure, event.Low
	var wait *WaitError
	switch {
	case err == nil && out.Pending != nil:
		outcome, severity = event.Unknown, event.Informational // not over: the step that follows leaves its own event
		a.counted.pending.Add(1)
	case err == nil:
		outcome, severity = event.Success, event.Informational
		a.counted.succeeded.Add(1)
	case errors.Is(err, ErrWrong):
		a.counted.wrong.Add(1)
	case errors.Is(err, ErrNetwork), errors.Is(err, ErrNotInvited):
		outcome, severity = event.Refused, event.Medium
		a.counted.wrong.Add(1)
	case errors.As(err, &wait):
		outcome = event.Refused
		if who.reason != "limit" {
			who.reason = "waiting"
		}
		a.counted.waited.Add(1)
	case errors.Is(err, ErrUnavailable):
		outcome = event.Refused
		a.counted.unavailable.Add(1)
		a.log.Error("sign-in", slog.String("request_id", at.RequestID), slog.Any("error", err))
	default: // the queue, or a client that has gone
		outcome = event.Refused
		a.counted.busy.Add(1)
	}
	user := nameForEvent(at.Login, a.cfg.Load().shortest)
	if who.account != nil {
		user = who.account.Name
	}
	e := event.Event{
		Time: now, Class: event.Authentication, Action: "sign-in", Outcome: outcome,
		Source: at.Address.Unmap(), User: user, Site: at.Site, Severity: severity,
		Fields: []event.Field{
			{Key: "realm", Value: string(at.Realm)},
			{Key: "host", Value: at.Host},
			{Key: "user_agent", Value: cut(at.UserAgent, maxUserAgent)},
			{Key: "request_id", Value: at.RequestID},
		},
	}
	if a.OldBrowser(at.UserAgent) {
		e.Fields = append(e.Fields, event.Field{Key: "old_browser", Value: "true"})
	}
	if who.reason != "" {
		e.Fields = append(e.Fields, event.Field{Key: "reason", Value: who.reason})
	}
	if s := out.Session; s != nil {
		e.Fields = append(e.Fields, event.Field{Key: "session", Value: s.ID}, event.Field{Key: "methods", Value: s.Methods})
	}
	a.append(e)
}

func (a *Auth) recordSignOut(s *Session, now time.Time) {
	a.append(event.Event{
		Time: now, Class: event.Authentication, Action: "sign-out", Outcome: event.Success,
		Source: s.Address, User: s.Principal.Name, Severity: event.Informational,
		Fields: []event.Field{
			{Key: "realm", Value: string(s.Realm)},
			{Key: "host", Value: s.Host},
			{Key: "session", Value: s.ID},
		},
	})
}

// append gives the event to the log, which counts what it cannot take.
func (a *Auth) append(e event.Event) {
	if a.events != nil {
		a.events.Append(e)
	}
}

// nameForEvent is what an event says of a name that is no account's, or was not looked up. People type
// their password into the name field, so it is kept only if it can hardly be one: shorter than a password may be,
// in small letters, digits and . _ -, beginning with a letter; or an e-mail address of such a kind.
func nameForEvent(login string, shortest int) string {
	const hidden = "[not recorded]"
	login = store.Text(strings.TrimSpace(login))
	if login == "" {
		return ""
	}
	local, domain, email := strings.Cut(login, "@")
	if !plainWord(local) || len(local) >= shortest && !email {
		return hidden
	}
	if email && (!plainWord(domain) || !strings.Contains(domain, ".") || len(login) > 100) {
		return hidden
	}
	return login
}

func plainWord(s string) bool {
	for i, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z':
		case i > 0 && ('0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return s != ""
}
