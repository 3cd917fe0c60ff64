package app

import (
	"context"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/console"
	"github.com/doorward/doorward/gateway"
)

// newConsole builds the operators' listener over the parts that it shows.
func (a *App) newConsole(cfg *config.Config) error {
	tlsConfig, err := a.gateway.InternalTLS(cfg.Console.Hosts)
	if err != nil {
		return err
	}
	a.console, err = console.New(cfg.Console, console.Deps{
		Auth: a.auth, Events: a.events, Log: a.log, TLS: tlsConfig, Version: a.opts.Version, Started: a.started,
		Store:   a.db.Ping,
		Serving: a.gateway.Ready(),
		Sites:   func() []gateway.SiteStatus { return a.gateway.Sites() },
		Traffic: func() gateway.Stats { return a.gateway.Stats() },
	})
	return err
}

// newAdmin opens the socket that the command line talks to.
func (a *App) newAdmin(cfg *config.Config) error {
	handler := api.NewHandler(api.Deps{Auth: a.auth, Journal: a.journal, Log: a.log, Version: a.opts.Version,
		Reload: func(ctx context.Context, actor auth.Actor) error { return a.ReloadFile(ctx, actor) }})
	var err error
	a.admin, err = api.Listen(cfg.AdminSocket(), handler)
	return err
}
