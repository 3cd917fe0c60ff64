package app

import (
	"context"
	"strconv"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/console"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/mail"
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
	handler := api.NewHandler(api.Deps{Auth: a.auth, Journal: a.journal, Mail: a.mail, Log: a.log, Version: a.opts.Version,
		Reload: func(ctx context.Context, actor auth.Actor) error { return a.ReloadFile(ctx, actor) }})
	var err error
	a.admin, err = api.Listen(cfg.AdminSocket(), handler)
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
