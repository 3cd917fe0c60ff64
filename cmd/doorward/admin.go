package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/app"
	"github.com/doorward/doorward/audit/register"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/decision/bouncer"
	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway/exclusion"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/language"
	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/rules"
	"github.com/doorward/doorward/store"
)

// adminCommand gives c its --config flag and runs f with a client of the running doorward, or of the store
// itself when none runs.
func adminCommand(c *cobra.Command, s streams, f func(ctx context.Context, client *api.Client, args []string) error) *cobra.Command {
	path := configFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return withAdmin(c.Context(), s, *path, func(client *api.Client) error { return f(c.Context(), client, args) })
	}
	return c
}

func withAdmin(ctx context.Context, s streams, path string, f func(*api.Client) error) error {
	cfg, err := loadConfig(path, config.LoadStore)
	if err != nil {
		return err
	}
	client, err := api.Dial(ctx, cfg.AdminSocket())
	switch {
	case err == nil:
		return f(client)
	case errors.Is(err, fs.ErrPermission):
		return failure("run the command as root or as the user that runs doorward", "%w", err)
	case !errors.Is(err, api.ErrNoDaemon):
		return failure("", "%w", err)
	}
	return withStore(ctx, s, cfg, f)
}

// withStore runs f on the store itself. Root first becomes the store's owner for good, so that no file of
// the daemon ever becomes root's (and so that hostile content of the store is never read as root).
func withStore(ctx context.Context, s streams, cfg *config.Config, f func(*api.Client) error) (err error) {
	who := api.ActorOf(os.Getuid())
	unix.Umask(0o077)
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return failure("run the command as root or as the user that runs doorward", "make data folder: %w", err)
	}
	if err := becomeOwner(cfg); err != nil {
		return err
	}
	log := slog.New(cfg.Log.Handler(s.err))
	db, err := store.Open(ctx, cfg.Store)
	if err != nil {
		return failure("run the command as root or as the user that runs doorward", "open store: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	events, err := event.Open(ctx, cfg.Events, db, log)
	if err != nil {
		return failure("", "open event log: %w", err)
	}
	defer func() { err = errors.Join(err, events.Close()) }()
	j, err := journal.Open(ctx, db, filepath.Join(cfg.DataDir, "journal.key"))
	if err != nil {
		return failure("", "open journal: %w", err)
	}
	texts, err := language.Load(rules.Texts())
	if err != nil {
		return failure("", "load texts: %w", err)
	}
	cfg.Auth.OIDC, cfg.Auth.LDAP = nil, nil                   // nobody signs in here, and their secrets are the daemon's to read
	outbox := mail.New(cfg.Mail, mail.Deps{DB: db, Log: log}) // what it takes is sent once the daemon runs
	a, err := auth.New(cfg.Auth, auth.Deps{DB: db, Journal: j, Events: events, Log: log, Mail: outbox, Texts: texts,
		Port: app.LinkPort(cfg.Gateway.Listen.HTTPS), ConsolePort: app.LinkPort(cfg.Console.Listen)})
	if err != nil {
		return failure("", "open accounts: %w", err)
	}
	// The event log writes in the background; it must have written before the store closes.
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var writer sync.WaitGroup
	writer.Go(func() {
		if err := events.Run(writing); err != nil && !errors.Is(err, context.Canceled) {
			log.Warn("write events", slog.Any("error", err))
		}
	})
	defer writer.Wait()
	defer stop()
	// A daemon that starts meanwhile follows the store, so that what is decided here holds there too.
	decisions, err := decision.Open(ctx, cfg.Decisions, decision.Deps{DB: db, Journal: j, Log: log}, time.Now())
	if err != nil {
		return failure("", "open decisions: %w", err)
	}
	exclusions, err := exclusion.Open(ctx, exclusion.Deps{DB: db, Journal: j, Log: log})
	if err != nil {
		return failure("", "open exclusions of the firewall: %w", err)
	}
	return f(api.Local(api.NewHandler(api.Deps{Auth: a, Journal: j, Register: register.New(db, j), Mail: outbox, Log: log,
		Events: events, Decisions: decisions, Bouncers: bouncer.NewKeys(db, j), Exclusions: exclusions, WAFSites: func() []api.WAFSite { return configuredFirewalls(cfg, time.Now()) },
		Detections: func() ([]detect.Detection, error) {
			set, err := detect.LoadRules(cfg.Watch)
			if err != nil || cfg.Watch.Off {
				return nil, err
			}
			return set.Detections(), nil
		}}), who))
}

// becomeOwner gives up root for the owner of the store, or of the data folder as long as there is no store.
func becomeOwner(cfg *config.Config) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(cfg.Store.Path)
	if cfg.Store.URLFile != "" || errors.Is(err, fs.ErrNotExist) {
		info, err = os.Stat(cfg.DataDir)
	}
	if err != nil {
		return fmt.Errorf("find the owner of the store: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	// The order matters: without root the groups could no longer be changed.
	if err := syscall.Setgroups([]int{int(owner.Gid)}); err != nil {
		return fmt.Errorf("give up root's groups: %w", err)
	}
	if err := syscall.Setgid(int(owner.Gid)); err != nil {
		return fmt.Errorf("become the store's group %d: %w", owner.Gid, err)
	}
	if err := syscall.Setuid(int(owner.Uid)); err != nil {
		return fmt.Errorf("become the store's owner %d: %w", owner.Uid, err)
	}
	return nil
}
