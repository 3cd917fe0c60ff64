package app

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/journal"
)

// Reload builds cfg and swaps it in as a whole. On an error the old configuration stays in force. Both
// outcomes are journalled: a failed reload is a change that somebody wanted.
func (a *App) Reload(ctx context.Context, actor auth.Actor, cfg *config.Config) error {
	a.reload.Lock()
	defer a.reload.Unlock()
	defer a.reloading()()
	before := a.cfg
	err := a.apply(ctx, cfg)
	a.journalReload(ctx, actor, before, summary{SHA256: cfg.SHA256, Sites: len(cfg.Gateway.Sites)}, err)
	return err
}

// journalReload writes what was asked and whether it was done; the caller holds a.reload.
func (a *App) journalReload(ctx context.Context, actor auth.Actor, before *config.Config, after summary, err error) {
	entry := journal.Entry{Actor: actor.Name, Origin: actor.Origin, Action: "config.reload", Target: before.File,
		Before: summary{SHA256: before.SHA256, Sites: len(before.Gateway.Sites)}.json()}
	if err != nil {
		entry.Action = "config.reload-refused"
		after.Error = err.Error()
	}
	entry.After = after.json()
	if err := a.db.Write(ctx, func(tx *sql.Tx) error { return a.journal.Append(ctx, tx, entry) }); err != nil {
		// The policy is in force already; refusing to say so would only hide it.
		a.log.Error("journal reload", slog.Any("error", err))
	}
}

// apply swaps the parts in. What can fail comes first: the gateway's swap is the last of those.
func (a *App) apply(ctx context.Context, cfg *config.Config) error {
	if err := unchangeable(a.cfg, cfg); err != nil {
		return err
	}
	if err := a.auth.CheckPasskeys(ctx, cfg.Auth.Factors); err != nil {
		return fmt.Errorf("reload accounts: %w", err)
	}
	swapConsole, err := a.console.Prepare(cfg.Console)
	if err != nil {
		return fmt.Errorf("reload console: %w", err)
	}
	swapCountries, err := a.countries.Prepare(cfg.Geo)
	if err != nil {
		return fmt.Errorf("reload country database: %w", err)
	}
	swapAuth, err := a.auth.Prepare(cfg.Auth)
	if err != nil {
		return fmt.Errorf("reload accounts: %w", err)
	}
	swapWatch, err := a.watch.Prepare(cfg.Watch)
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	if err := a.gateway.Reload(ctx, cfg.Gateway); err != nil {
		return fmt.Errorf("reload gateway: %w", err)
	}
	a.decisions.Prepare(cfg.Decisions)()
	swapWatch()
	swapAuth()
	swapCountries()
	a.names.Reload(cfg.HostNames)
	a.mail.Reload(cfg.Mail)
	a.reminder.Reload(reminderConfig(cfg))
	a.digest.Reload(cfg.Events.Digest)
	swapConsole()
	a.cfg = cfg
	return nil
}

// ReloadFile reads the configuration again and applies it: what SIGHUP and the admin socket do.
func (a *App) ReloadFile(ctx context.Context, actor auth.Actor) error {
	if a.opts.Load == nil {
		return errors.New("this instance has no configuration file to read again")
	}
	cfg, err := a.opts.Load()
	if err != nil {
		a.reload.Lock()
		defer a.reload.Unlock()
		a.journalReload(ctx, actor, a.cfg, summary{}, err)
		return err
	}
	return a.Reload(ctx, actor, cfg)
}

// unchangeable names the first setting that only a restart can change.
func unchangeable(old, new *config.Config) error {
	for _, s := range []struct {
		key     string
		changed bool
	}{
		{"data_dir", old.DataDir != new.DataDir},
		{"store", old.Store != new.Store},
		{"events.retention_days", old.Events.RetentionDays != new.Events.RetentionDays},
		{"events.queue", old.Events.Queue != new.Events.Queue},
		{"log", old.Log != new.Log},
		{"decisions.bouncer_api", old.Decisions.BouncerAPI != new.Decisions.BouncerAPI},
		{"firewall.enforce", old.Firewall.Enforce != new.Firewall.Enforce},
		{"firewall.socket", old.Firewall.Socket != new.Firewall.Socket},
		{"console.listen", !slices.Equal(old.Console.Listen, new.Console.Listen)},
	} {
		if s.changed {
			return fmt.Errorf("%s cannot change while running; restart to use it", s.key)
		}
	}
	return nil
}

// summary is what the journal keeps of a configuration: enough to see which one it was, and no secret.
type summary struct {
	SHA256 string `json:"sha256,omitempty"`
	Sites  int    `json:"sites"`
	Error  string `json:"error,omitempty"`
}

func (s summary) json() string {
	text, _ := json.Marshal(s) // strings and numbers only: cannot fail
	return string(text)
}
