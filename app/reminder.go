package app

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/doorward/doorward/audit/register"
	"github.com/doorward/doorward/audit/remind"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/event/digest"
	"github.com/doorward/doorward/language"
)

// newReminder makes what mails about the audit: over the register, the accounts' addresses, and the reports that the audit leaves.
func (a *App) newReminder(cfg *config.Config, texts *language.Catalogue) {
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	a.reminder = remind.New(reminderConfig(cfg), remind.Deps{DB: a.db, Register: register.New(a.db, a.journal), Mail: a.mail, Texts: texts, Log: a.log, Host: host,
		Account: func(ctx context.Context, email string) (remind.Account, bool, error) {
			p, err := a.auth.Principal(ctx, email)
			if errors.Is(err, auth.ErrNotFound) {
				return remind.Account{}, false, nil
			}
			return remind.Account{Email: p.Email, Language: p.Language}, err == nil && !p.Disabled && p.Email != "", err
		}})
}

func reminderConfig(cfg *config.Config) remind.Config {
	return remind.Config{Reports: cfg.Audit.Reports, Recipients: cfg.Audit.Recipients, Language: cfg.Audit.Language}
}

// newDigest makes what mails each day about what happened.
func (a *App) newDigest(cfg *config.Config, texts *language.Catalogue) {
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	a.digest = digest.New(cfg.Events.Digest, digest.Deps{DB: a.db, Events: a.events, Mail: a.mail, Texts: texts, Log: a.log, Host: host, Head: a.journal.Head, Bans: a.bans})
}

// digestLines is how many origins and targets of bans a digest names.
const digestLines = 10

// bans says what a digest tells of bans.
func (a *App) bans(ctx context.Context, from, to time.Time) (digest.Bans, error) {
	s, err := a.decisions.Summary(ctx, from, to, time.Now(), digestLines)
	b := digest.Bans{New: s.Made, Standing: s.Standing}
	for _, c := range s.Origins {
		b.Reasons = append(b.Reasons, digest.Item{Text: c.Name, N: c.N})
	}
	for _, c := range s.Targets {
		b.Sources = append(b.Sources, digest.Item{Text: c.Name, N: c.N})
	}
	return b, err
}
