package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/audit/remind"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/console"
	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/decision/bouncer"
	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/event/digest"
	"github.com/doorward/doorward/firewall"
	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/gateway/exclusion"
	"github.com/doorward/doorward/geo"
	"github.com/doorward/doorward/hostname"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/language"
	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/rules"
	"github.com/doorward/doorward/store"
)

// Options is what the command line adds to the configuration.
type Options struct {
	Log     *slog.Logger
	Version string
	// Built is when this Doorward was made, and with it the rules that it brings; zero: that is not known.
	Built time.Time
	// Sockets are the listening sockets that the service manager passed, by name.
	Sockets map[string][]net.Listener
	// Load reads the configuration again for a reload. Nil: the app cannot be reloaded by the admin socket.
	Load func() (*config.Config, error)
}

// App is a running Doorward.
type App struct {
	log     *slog.Logger
	opts    Options
	started time.Time

	db         *store.DB
	events     *event.Log
	journal    *journal.Journal
	mail       *mail.Outbox
	decisions  *decision.List
	bouncers   *bouncer.Server
	exclusions *exclusion.List
	kernel     *firewall.Client // nil: only the gateway refuses
	watch      *detect.Watch
	auth       *auth.Auth
	gateway    *gateway.Gateway
	countries  *geo.Table
	names      *hostname.Resolver
	console    *console.Console
	admin      *api.Server
	reminder   *remind.Reminder
	digest     *digest.Digest

	ready  chan struct{}
	reload sync.Mutex
	cfg    *config.Config // guarded by reload
}

// New opens the data folder, the store and every listener. Everything that can fail fails here, and then
// nothing stays open; nothing is served before Run.
func New(ctx context.Context, cfg *config.Config, opts Options) (_ *App, err error) {
	a := &App{log: opts.Log, opts: opts, started: time.Now(), cfg: cfg, ready: make(chan struct{})}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	if a.db, err = store.Open(ctx, cfg.Store); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if a.events, err = event.Open(ctx, cfg.Events, a.db, a.log); err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	if a.journal, err = journal.Open(ctx, a.db, filepath.Join(cfg.DataDir, "journal.key")); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	texts, err := language.Load(rules.Texts())
	if err != nil {
		return nil, fmt.Errorf("load texts: %w", err)
	}
	if a.countries, err = geo.Open(cfg.Geo, a.log); err != nil {
		return nil, fmt.Errorf("open country database: %w", err)
	}
	if a.names, err = hostname.New(cfg.HostNames, a.log); err != nil {
		return nil, fmt.Errorf("prepare host names: %w", err)
	}
	if err := a.newDecisions(ctx, cfg); err != nil {
		return nil, fmt.Errorf("open decisions: %w", err)
	}
	if err := a.newWatch(cfg); err != nil {
		return nil, err
	}
	a.mail = mail.New(cfg.Mail, mail.Deps{DB: a.db, Log: a.log, OnResult: a.recordMail})
	if err := a.newAccounts(cfg, texts); err != nil {
		return nil, fmt.Errorf("open accounts: %w", err)
	}
	if err := a.auth.CheckPasskeys(ctx, cfg.Auth.Factors); err != nil {
		return nil, fmt.Errorf("open accounts: %w", err)
	}
	if a.exclusions, err = exclusion.Open(ctx, exclusion.Deps{DB: a.db, Journal: a.journal, Log: a.log}); err != nil {
		return nil, fmt.Errorf("open exclusions of the firewall: %w", err)
	}
	a.newReminder(cfg, texts)
	a.newDigest(cfg, texts)
	if err := a.newGateway(cfg, texts); err != nil {
		return nil, fmt.Errorf("build gateway: %w", err)
	}
	if err := a.newConsole(cfg, texts); err != nil {
		return nil, fmt.Errorf("build console: %w", err)
	}
	a.newKernel(cfg)
	if err := a.newAdmin(cfg); err != nil {
		return nil, fmt.Errorf("open admin socket: %w", err)
	}
	return a, nil
}

// Run serves until ctx ends or a part fails, then stops all parts: first what takes requests, then what
// records them, so that the last event is written.
func (a *App) Run(ctx context.Context) error {
	defer a.close()
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	recording, stopRecording := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRecording()

	var recorders sync.WaitGroup
	var recordErr error
	recorders.Go(func() { recordErr = a.events.Run(recording) })
	mailing, stopMailing := context.WithCancel(recording)
	defer stopMailing()
	var mailers sync.WaitGroup
	var mailErr error
	mailers.Go(func() { mailErr = a.mail.Run(mailing) })

	var servers sync.WaitGroup
	failures := make(chan error, 16)
	start := func(name string, run func(context.Context) error) {
		servers.Go(func() {
			if err := run(serving); err != nil && (serving.Err() == nil || !errors.Is(err, serving.Err())) {
				failures <- fmt.Errorf("%s: %w", name, err)
				stopServing()
			}
		})
	}
	start("accounts", a.auth.Run)
	start("audit reminders", a.reminder.Run)
	start("event digest", a.digest.Run)
	start("countries", a.countries.Run)
	start("host names", a.names.Run)
	start("decisions", a.decisions.Run)
	start("watch", a.watch.Run)
	start("banned accounts", a.endBannedSessions)
	start("bouncer API", a.bouncers.Run)
	start("firewall's exclusions", a.exclusions.Run)
	if a.kernel != nil {
		start("bans in the kernel", a.kernel.Run)
		start("bans for the kernel", a.tellKernel)
	}
	start("gateway", a.gateway.Run)
	start("console", a.console.Run)
	start("admin socket", a.admin.Run)
	start("service manager", a.notify)
	servers.Go(func() { a.announce(serving) })
	servers.Wait()
	stopMailing()
	mailers.Wait()
	stopRecording()
	recorders.Wait()
	close(failures)
	errs := []error{recordErr, mailErr}
	for err := range failures {
		errs = append(errs, err)
	}
	if errors.Is(recordErr, context.Canceled) {
		errs[0] = nil
	}
	return errors.Join(errs...)
}

// announce closes Ready once every listener accepts.
func (a *App) announce(ctx context.Context) {
	for _, ready := range []<-chan struct{}{a.gateway.Ready(), a.console.Ready()} {
		select {
		case <-ready:
		case <-ctx.Done():
			return
		}
	}
	close(a.ready)
	a.log.Info("ready", slog.String("version", a.opts.Version), slog.Duration("after", time.Since(a.started)))
}

// Ready is closed once every listener accepts connections.
func (a *App) Ready() <-chan struct{} { return a.ready }

// Gateway is the running gateway, for those who report on it.
func (a *App) Gateway() *gateway.Gateway { return a.gateway }

// Auth is the accounts and sessions, for commands that run in the same process.
func (a *App) Auth() *auth.Auth { return a.auth }

// Decisions are who is refused, slowed down or challenged.
func (a *App) Decisions() *decision.List { return a.decisions }

// Journal is the log of administrative actions.
func (a *App) Journal() *journal.Journal { return a.journal }

// Mail is the mail that waits to be sent.
func (a *App) Mail() *mail.Outbox { return a.mail }

// Console is the running console.
func (a *App) Console() *console.Console { return a.console }

// close frees what New opened, in reverse order; it is called once.
func (a *App) close() {
	if a.admin != nil {
		a.note("close admin socket", a.admin.Close())
	}
	if a.console != nil {
		a.note("close console", a.console.Close())
	}
	if a.gateway != nil {
		a.note("close gateway", a.gateway.Close())
	}
	if a.bouncers != nil {
		a.note("close bouncer API", a.bouncers.Close())
	}
	if a.auth != nil {
		a.note("close accounts", a.auth.Close())
	}
	if a.events != nil {
		a.note("close event log", a.events.Close())
	}
	if a.db != nil {
		a.note("close store", a.db.Close())
	}
}

func (a *App) note(what string, err error) {
	if err != nil && !errors.Is(err, os.ErrClosed) {
		a.log.Warn(what, slog.Any("error", err))
	}
}
