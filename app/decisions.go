package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/decision/bouncer"
	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/geo"
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

// newWatch prepares what detects, over the decisions and the event log.
func (a *App) newWatch(cfg *config.Config) (err error) {
	node, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name of this machine: %w", err)
	}
	a.watch, err = detect.New(cfg.Watch, detect.Deps{DB: a.db, Decisions: a.decisions, Events: a.events, Log: a.log, Node: node})
	return err
}

// countryTarget tells why a decision about a country would be about nobody, or about who asks.
func (a *App) countryTarget(code string, from netip.Addr) error {
	meant, err := geo.ParseCountry(code)
	switch {
	case err != nil:
		return err
	case meant.String() != code:
		return fmt.Errorf("%q: write %s", code, meant)
	case a.countries.Stats().Bytes == 0:
		return errors.New("no address is known to be in a country without a database of countries; name its file under geo.database")
	case from.IsValid() && a.countries.Country(from) == meant:
		return fmt.Errorf("%s is the country of the address that you use now, %s", code, from.Unmap())
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
