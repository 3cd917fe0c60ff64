package pages

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/event"
)

const (
	appPath        = accountPath + "/app"
	newPasskeyPath = accountPath + "/passkey"
	recoveryPath   = accountPath + "/recovery"
	confirmPath    = accountPath + "/confirm"
)

const (
	maxActivity  = 50                  // events that a person is shown
	activityDays = 30 * 24 * time.Hour // how far back they are looked for
	maxShown     = 100                 // sessions that a person is shown
)

// accountRoutes are the pages of the person's own account.
func (p *Pages) accountRoutes() map[string]route {
	return map[string]route{
		accountPath:                          {get: p.showAccount},
		confirmPath:                          {get: p.showConfirm, post: p.confirm},
		accountPath + "/password":            {post: p.changePassword},
		newPasskeyPath:                       {get: p.showNewPasskey},
		newPasskeyPath + "/rename":           {post: p.renamePasskey},
		newPasskeyPath + "/remove":           {post: p.removePasskey},
		appPath:                              {get: p.showApp, post: p.setUpApp},
		appPath + "/remove":                  {post: p.removeApp},
		recoveryPath:                         {get: p.showNewRecovery, post: p.newRecovery},
		accountPath + "/sessions/end":        {post: p.endSession},
		accountPath + "/sessions/end-others": {post: p.endOthers},
		accountPath + "/addresses/forget":    {post: p.forgetAddress},
		accountPath + "/language":            {post: p.setLanguage},
	}
}

// signedIn returns the session; without one the browser goes to the sign-in page.
func (p *Pages) signedIn(x *exchange) (*auth.Session, error) {
	if x.v.Session == nil {
		return nil, &detour{SignInURL(accountPath)}
	}
	return x.v.Session, nil
}

// confirmed returns the session of a person who has just proved themselves; others go to the page where they can, and from
// there to next (ASVS 7.5.1, 7.5.2).
func (p *Pages) confirmed(x *exchange, next string) (*auth.Session, error) {
	s, err := p.signedIn(x)
	if err == nil && !p.auth.Confirmed(s, p.cookie(x, proofCookie), time.Now()) {
		return nil, &detour{confirmURL(next)}
	}
	return s, err
}

// done is the account's page with a word about what was done.
func done(what string) string { return accountPath + "?done=" + what }

// place is where somebody was, as far as it is known.
type place struct {
	Address  string
	HostName string
	Country  string
}

func (p *Pages) place(address netip.Addr) place {
	if !address.IsValid() {
		return place{}
	}
	return place{address.String(), p.auth.HostNameNow(address), p.auth.CountryOf(address)}
}

type sessionRow struct {
	place
	ID, Browser, Host         string
	Created, LastSeen, Expire time.Time
	This                      bool
}

type addressRow struct {
	auth.KnownAddress
	place
}

type activityRow struct {
	place
	Time         time.Time
	What, Result string
	Bad          bool
}

type languageRow struct {
	Tag, Name string
	Chosen    bool
}

// accountData is the account's page. The view's Message says what was wrong with a new password; nothing else is refused on this page.
type accountData struct {
	Principal auth.Principal
	Factors   auth.FactorSummary
	Passkeys  bool // can be made here
	Sessions  []sessionRow
	More      int // sessions that are not shown
	Addresses []addressRow
	Activity  []activityRow
	Missing   bool // the activity could not be read
	Languages []languageRow
}

func (p *Pages) showAccount(x *exchange) error {
	s, err := p.signedIn(x)
	if err != nil {
		return err
	}
	v, err := p.accountView(x, s)
	if err != nil {
		return err
	}
	// Only a text of ours is shown, and nothing else that stands in the address.
	v.Notice = p.texts.TextOr(x.lang, "page.done."+x.r.URL.Query().Get("done"), "")
	return p.show(x, http.StatusOK, "account.html", v)
}

func (p *Pages) accountView(x *exchange, s *auth.Session) (view, error) {
	ctx, now := x.r.Context(), time.Now()
	d := accountData{Principal: s.Principal, Passkeys: p.auth.PasskeysAt(ctx, x.v.Host, now)}
	v := view{Wide: true}
	var err error
	if d.Factors, err = p.auth.Factors(ctx, s.Principal.ID); err != nil {
		return v, refusalOf(err, "")
	}
	sessions, err := p.auth.ListSessions(ctx, s.Principal.Name)
	if err != nil {
		return v, refusalOf(err, "")
	}
	for _, i := range sessions {
		row := sessionRow{place: p.place(i.Address), ID: i.ID, Browser: p.browser(x, i.UserAgent), Host: i.Host, Created: i.Created,
			LastSeen: i.LastSeen, Expire: i.Expires, This: i.ID == s.ID}
		switch {
		case row.This: // always shown, first
			d.Sessions = append([]sessionRow{row}, d.Sessions...)
		case len(d.Sessions) < maxShown:
			d.Sessions = append(d.Sessions, row)
		default:
			d.More++
		}
	}
	addresses, err := p.auth.KnownAddresses(ctx, s.Principal.ID)
	if err != nil {
		return v, refusalOf(err, "")
	}
	for _, k := range addresses {
		where := p.place(k.Prefix.Addr())
		if k.Prefix.Addr().Is6() {
			where = place{Address: k.Prefix.String(), Country: where.Country}
		}
		d.Addresses = append(d.Addresses, addressRow{k, where})
	}
	d.Activity, d.Missing = p.activity(x, s, now)
	d.Languages = p.languages(x, s)
	v.Data = d
	return v, nil
}

// languages lists what can be chosen, each by its own name.
func (p *Pages) languages(x *exchange, s *auth.Session) []languageRow {
	rows := []languageRow{{"", p.text(x, "page.account.language_browser"), s.Principal.Language == ""}}
	for _, tag := range p.texts.Names() {
		rows = append(rows, languageRow{tag, p.texts.Text(tag, "page.language_name"), s.Principal.Language == tag})
	}
	return rows
}

// activity reads what happened with the account. A few people at a time: the log's days are read for each.
func (p *Pages) activity(x *exchange, s *auth.Session, now time.Time) (rows []activityRow, missing bool) {
	if p.events == nil {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), 3*time.Second)
	defer cancel()
	select {
	case p.histories <- struct{}{}:
		defer func() { <-p.histories }()
	case <-ctx.Done():
		return nil, true
	}
	flush, stop := context.WithTimeout(ctx, 500*time.Millisecond)
	_ = p.events.Flush(flush) // what is not written yet is shown the next time
	stop()
	events, err := p.events.Query(ctx, event.Query{From: now.Add(-activityDays), Class: event.Authentication, User: s.Principal.Name, Limit: maxActivity})
	if err != nil && !errors.Is(err, context.Canceled) {
		p.log.Warn("read recent activity", slog.String("request_id", x.v.RequestID), slog.Any("error", err))
	}
	for _, e := range events {
		rows = append(rows, activityRow{place: p.place(e.Source), Time: e.Time,
			What:   p.named(x, "page.action.", e.Action),
			Result: p.named(x, "page.outcome.", string(e.Outcome)), Bad: e.Outcome == event.Failure || e.Outcome == event.Refused})
	}
	return rows, err != nil
}

// named is the catalogue's word for one of ours, or ours.
func (p *Pages) named(x *exchange, prefix, word string) string {
	return p.texts.TextOr(x.lang, prefix+keyWord(word), cmp.Or(word, "-"))
}
