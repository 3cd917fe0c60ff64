package app

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/audit/register"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/console"
	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/geo"
	"github.com/doorward/doorward/language"
	"github.com/doorward/doorward/mail"
)

// newAccounts opens the accounts over the parts that tell where people come from and tell people.
func (a *App) newAccounts(cfg *config.Config, texts *language.Catalogue) (err error) {
	a.auth, err = auth.New(cfg.Auth, auth.Deps{DB: a.db, Journal: a.journal, Events: a.events, Log: a.log, Mail: a.mail, Texts: texts,
		Port: LinkPort(cfg.Gateway.Listen.HTTPS), ConsolePort: LinkPort(cfg.Console.Listen),
		HostName: func(ctx context.Context, address netip.Addr) string {
			name, _ := a.names.Wait(ctx, address)
			return name
		},
		HostNameNow: func(address netip.Addr) string {
			name, _ := a.names.Name(address)
			return name
		},
		Country: func(address netip.Addr) string {
			if c := a.countries.Country(address); c.Known() {
				return c.String()
			}
			return ""
		},
		Banned: a.accountBanned,
	})
	return err
}

// LinkPort is what mailed links need behind the host: the port of the first HTTPS address, unless it is the usual one, or a
// socket of the service manager, or something in front of Doorward ends TLS.
func LinkPort(listen []string) string {
	if len(listen) == 0 {
		return ""
	}
	_, port, err := net.SplitHostPort(listen[0])
	if err != nil || strings.HasPrefix(listen[0], "fd:") || port == "443" || port == "0" {
		return ""
	}
	return ":" + port
}

// newGateway builds the gateway, which asks the accounts what a person's roles demand.
func (a *App) newGateway(cfg *config.Config, texts *language.Catalogue) (err error) {
	a.gateway, err = gateway.New(cfg.Gateway, gateway.Deps{Auth: a.auth, Events: a.events, Log: a.log, Texts: texts, Sockets: a.opts.Sockets,
		Country: func(address netip.Addr) (code string, private bool) {
			c := a.countries.Country(address)
			if !c.Known() {
				return "", c == geo.Private
			}
			return c.String(), false
		},
		RoleAllowed: a.auth.AllowedFrom, RequireActivity: a.auth.RequiresActivity,
		Decisions: a.decisions, Exclusions: a.exclusions,
	})
	return err
}

// newConsole builds the operators' listener over the parts that it shows.
func (a *App) newConsole(cfg *config.Config, texts *language.Catalogue) error {
	tlsConfig, err := a.gateway.InternalTLS(cfg.Console.Hosts)
	if err != nil {
		return err
	}
	a.console, err = console.New(cfg.Console, console.Deps{
		Auth: a.auth, Events: a.events, Log: a.log, TLS: tlsConfig, Texts: texts, Version: a.opts.Version, Started: a.started,
		API:       a.commands().ServeHTTPS,
		Store:     a.db.Ping,
		Serving:   a.gateway.Ready(),
		Sites:     func() []gateway.SiteStatus { return a.gateway.Sites() },
		Traffic:   func() gateway.Stats { return a.gateway.Stats() },
		Countries: a.countries.Stats,
		HostNames: a.names.Stats,
		Decisions: a.decisions.Stats,
		Watch:     func() (detect.RuleCounters, []detect.JailStatus) { return a.watch.Rules(), a.watch.Jails() },
	})
	return err
}

// commands answers what administrators ask, by the admin socket or with an API token at the console.
func (a *App) commands() *api.Handler {
	return api.NewHandler(api.Deps{Auth: a.auth, Journal: a.journal, Register: register.New(a.db, a.journal), Mail: a.mail, Log: a.log, Version: a.opts.Version,
		Events: a.events, Decisions: a.decisions, Bouncers: a.bouncers.Keys(), CountryTarget: a.countryTarget,
		Exclusions: a.exclusions, WAFSites: a.firewalls, LeftOut: a.gateway.LeftOut,
		Detections: func() ([]detect.Detection, error) { return a.watch.Detections(), nil }, Jails: a.watch.Jails, WatchState: a.watchState,
		Watch: func() (detect.RuleCounters, []detect.SourceStatus, []detect.JailStatus) {
			return a.watch.Rules(), a.watch.Sources(), a.watch.Jails()
		},
		Reload: func(ctx context.Context, actor auth.Actor) error { return a.ReloadFile(ctx, actor) },
		Config: func() string {
			a.reload.Lock()
			defer a.reload.Unlock()
			return a.cfg.SHA256
		}})
}

// firewalls tells how the firewall of each site stands.
func (a *App) firewalls() []api.WAFSite {
	all := a.gateway.Firewalls(time.Now())
	out := make([]api.WAFSite, 0, len(all))
	for _, f := range all {
		out = append(out, api.WAFSite(f))
	}
	return out
}

// newAdmin opens the socket that the command line talks to.
func (a *App) newAdmin(cfg *config.Config) (err error) {
	a.admin, err = api.Listen(cfg.AdminSocket(), a.commands())
	return err
}

// recordMail makes an event of what became of a message in the end. A try that will be repeated is in the log and the
// queue only: a mail server that is away would fill the record.
func (a *App) recordMail(r mail.Result) {
	e := event.Event{Time: r.Time, Class: event.Email, Action: r.Kind, Outcome: event.Success, Severity: event.Informational,
		Fields: []event.Field{{Key: "mail", Value: r.ID}, {Key: "to", Value: r.To}, {Key: "tries", Value: strconv.Itoa(r.Tries)}}}
	switch r.Outcome {
	case mail.Retry:
		return
	case mail.Failed, mail.Expired:
		e.Outcome, e.Severity = event.Failure, event.Medium
		e.Fields = append(e.Fields, event.Field{Key: "result", Value: string(r.Outcome)}, event.Field{Key: "error", Value: r.Detail})
	}
	a.events.Append(e)
}
