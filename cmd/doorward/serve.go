package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/ccojocar/zxcvbn-go/frequency"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/app"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/config"
)

func newServe(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Guard the sites of the configuration file",
		Long: `Serve runs until SIGTERM or SIGINT and logs to standard error. SIGHUP reads the configuration file again: when
it can be used as a whole it takes the place of the one in force, otherwise that one stays and the log says why.`,
		Example: "  doorward serve --config /etc/doorward/doorward.yaml",
		Args:    exactly(),
	}
	path := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error { return serve(c.Context(), s, *path) }
	return c
}

// serveGC has the daemon hold less memory than Go's default of 100, at a little more CPU: it shares the machine with the application.
const serveGC = 70

func serve(ctx context.Context, s streams, path string) error {
	// From here on SIGHUP means reload; before, during the start, it must not kill the process.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)

	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(serveGC)
	}
	frequency.Lists = nil // the matchers were made of them, and nobody reads them again: two megabytes
	cfg, err := loadConfig(path, config.Load)
	if err != nil {
		return err
	}
	unix.Umask(0o077) // keys and the database are nobody else's business
	log := slog.New(cfg.Log.Handler(s.err))
	logWarnings(log, cfg)
	if os.Geteuid() == 0 {
		log.Warn("running as root; use a user of its own, as the systemd unit does")
	}
	name, _ := buildVersion()
	load := func() (*config.Config, error) {
		cfg, err := config.Load(path)
		if err == nil {
			logWarnings(log, cfg)
		}
		return cfg, err
	}
	sockets, err := app.Sockets()
	if err != nil {
		return failure("", "start: %w", err)
	}
	a, err := app.New(ctx, cfg, app.Options{Log: log, Version: name, Built: builtAt(), Load: load, Sockets: sockets})
	switch {
	case errors.Is(err, api.ErrInUse):
		return failure("stop it first, or give this one a data_dir of its own", "start: %w", err)
	case errors.Is(err, syscall.EADDRINUSE):
		return failure("stop the program that holds the port (ss -ltnp shows it), or choose another in the setting that is named", "start: %w", err)
	case errors.Is(err, syscall.EACCES):
		return failure("ports below 1024 need the systemd socket unit, or choose higher ones under listen; files must belong to the user that runs doorward", "start: %w", err)
	case err != nil:
		return failure("", "start: %w", err)
	}
	go reloadOn(ctx, hangups, a, log)
	go tellAddresses(ctx, a, log)
	if err := a.Run(ctx); err != nil {
		return failure("", "serve: %w", err)
	}
	log.Info("stopped")
	return nil
}

// tellAddresses logs where people connect, once they can, with the ports that the system chose.
func tellAddresses(ctx context.Context, a *app.App, log *slog.Logger) {
	select {
	case <-ctx.Done():
		return
	case <-a.Ready():
	}
	attrs := []any{slog.String("console", joinAddresses(a.Console().Addresses()))}
	for _, kind := range []string{"https", "http", "plain"} {
		if addresses := a.Gateway().Addresses(kind); len(addresses) > 0 {
			attrs = append(attrs, slog.String(kind, joinAddresses(addresses)))
		}
	}
	log.Info("serving", attrs...)
}

func joinAddresses(addresses []net.Addr) string {
	var texts []string
	for _, a := range addresses {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, " ")
}

// reloadOn applies the configuration file anew at each SIGHUP until ctx ends.
func reloadOn(ctx context.Context, hangups <-chan os.Signal, a *app.App, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		if err := a.ReloadFile(ctx, auth.Actor{Name: "signal:SIGHUP", Origin: "local"}); err != nil {
			logRefusal(log, err)
			continue
		}
		log.Info("configuration reloaded")
	}
}

// logRefusal logs why a reload was refused, one line a problem.
func logRefusal(log *slog.Logger, err error) {
	var invalid *config.Errors
	if errors.As(err, &invalid) {
		for _, p := range invalid.Problems {
			log.Error("configuration problem", slog.String("problem", p.String()))
		}
		log.Error("configuration not reloaded; the one before stays in force", slog.Int("problems", len(invalid.Problems)))
		return
	}
	log.Error("configuration not reloaded; the one before stays in force", slog.Any("error", err))
}

func logWarnings(log *slog.Logger, cfg *config.Config) {
	for _, p := range cfg.Warnings {
		log.Warn("configuration doubt", slog.String("problem", p.String()))
	}
}
