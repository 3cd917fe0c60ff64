package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/decision/bouncer"
)

// newDecisions opens the list, and the listener for programs elsewhere that ask for it.
func (a *App) newDecisions(ctx context.Context, cfg *config.Config) (err error) {
	a.decisions, err = decision.Open(ctx, cfg.Decisions, decision.Deps{DB: a.db, Journal: a.journal, Events: a.events, Log: a.log}, time.Now())
	if err != nil {
		return err
	}
	a.bouncers, err = bouncer.New(ctx, cfg.Decisions.BouncerAPI, bouncer.Deps{List: a.decisions, DB: a.db, Journal: a.journal, Log: a.log})
	if err != nil {
		return fmt.Errorf("bouncer API: %w", err)
	}
	return nil
}

// accountBanned tells whether a decision bans an account.
func (a *App) accountBanned(name string, now time.Time) bool {
	d, decided := a.decisions.LookupAccount(name, now)
	return decided && d.Action == decision.Ban
}

// endBannedSessions ends the sessions of each account that is banned, so that they do not live on when the ban is over. Until the store has
// taken it in, they open nothing in any case.
func (a *App) endBannedSessions(ctx context.Context) error {
	for change := range a.decisions.Watch(ctx) {
		for _, d := range change.Added {
			if d.Target.Kind != decision.Account || d.Action != decision.Ban {
				continue
			}
			open, err := a.auth.ListSessions(ctx, d.Target.Name)
			if len(open) > 0 {
				_, err = a.auth.RevokeAll(ctx, auth.Actor{Name: "doorward", Origin: "decision " + d.ID}, d.Target.Name)
			}
			if err != nil && !errors.Is(err, auth.ErrNotFound) { // a decision may name an account that is not there
				a.log.Warn("end sessions of a banned account", slog.String("decision", d.ID), slog.Any("error", err))
			}
		}
	}
	return ctx.Err()
}
