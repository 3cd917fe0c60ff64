package app

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/console"
	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/geo"
	"github.com/doorward/doorward/language"
)

// newAccounts opens the accounts over the parts that tell where people come from and tell people.
func (a *App) newAccounts(cfg *config.Config, texts *language.Catalogue) (err error) {
	a.auth, err = auth.New(cfg.Auth, auth.Deps{DB: a.db, Journal: a.journal, Events: a.events, Log: a.log, Texts: texts,
		Port: linkPort(cfg.Gateway.Listen),
		HostName: func(ctx context.Context, address netip.Addr) string {
			name, _ := a.names.Wait(ctx, address)
			return name
		},
		Country: func(address netip.Addr) string {
			if c := a.countries.Country(address); c.Known() {
				return c.String()
			}
			return ""
		},
	})
	return err
}

// linkPort is what mailed links need behind the host: the port of the first HTTPS address, unless it is the usual one, or a
// socket of the service manager, or something in front of Doorward ends TLS.
func linkPort(listen gateway.ListenConfig) string {
	if len(listen.HTTPS) == 0 {
		return ""
	}
	_, port, err := net.SplitHostPort(listen.HTTPS[0])
	if err != nil || strings.HasPrefix(listen.HTTPS[0], "fd:") || port == "443" || port == "0" {
		return ""
	}
	return ":" + port
}

// newGateway builds the gateway, which asks the accounts what a person's roles demand.
func (a *App) newGateway(cfg *config.Config) (err error) {
	a.gateway, err = gateway.New(cfg.Gateway, gateway.Deps{Auth: a.auth, Events: a.events, Log: a.log, Sockets: a.opts.Sockets,
		Country: func(address netip.Addr) (code string, private bool) {
			c := a.countries.Country(address)
			if !c.Known() {
				return "", c == geo.Private
			}
			return c.String(), false
		},
		RoleAllowed: a.auth.AllowedFrom, RequireActivity: a.auth.RequiresActivity,
	})
	return err
}

// newConsole builds the operators' listener over the parts that it shows.
func (a *App) newConsole(cfg *config.Config) error {
	tlsConfig, err := a.gateway.InternalTLS(cfg.Console.Hosts)
	if err != nil {
		return err
	}
	a.console, err = console.New(cfg.Console, console.Deps{
		Auth: a.auth, Events: a.events, Log: a.log, TLS: tlsConfig, Version: a.opts.Version, Started: a.started,
		API:     a.commands().ServeHTTPS,
		Store:   a.db.Ping,
		Serving: a.gateway.Ready(),
		Sites:   func() []gateway.SiteStatus { return a.gateway.Sites() },
		Traffic: func() gateway.Stats { return a.gateway.Stats() },
	})
	return err
}

// commands answers what administrators ask, by the admin socket or with an API token at the console.
func (a *App) commands() *api.Handler {
	return api.NewHandler(api.Deps{Auth: a.auth, Journal: a.journal, Log: a.log, Version: a.opts.Version,
		Reload: func(ctx context.Context, actor auth.Actor) error { return a.ReloadFile(ctx, actor) }})
}

// newAdmin opens the socket that the command line talks to.
func (a *App) newAdmin(cfg *config.Config) (err error) {
	a.admin, err = api.Listen(cfg.AdminSocket(), a.commands())
	return err
}
