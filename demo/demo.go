package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/doorward/doorward/app"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/demo/helpdesk"
)

// Options is what the command line says.
type Options struct {
	// Listen and Console are addresses, 127.0.0.1:PORT; both loopback addresses are used with that port.
	Listen, Console string
	// Dir keeps the data after the end. Empty: a temporary folder that is deleted.
	Dir     string
	Version string
}

// Info is what a person or a program needs to use the running demo.
type Info struct {
	Gateway string    `json:"gateway"` // URL
	Console string    `json:"console"` // URL
	Data    string    `json:"data"`    // the folder
	Users   []Account `json:"users"`

	// Root is the PEM file of the authority that signed the certificates.
	Root string `json:"-"`
	// Log and Config are the files of that kind in the folder.
	Log, Config string `json:"-"`
	// Keep is true when the folder stays after the end.
	Keep bool `json:"-"`
	// Notes are things that are not as usual on this machine.
	Notes []string `json:"-"`
}

// readyWithin bounds the start: beyond it something hangs, and saying so is better than waiting.
const readyWithin = 60 * time.Second

// Run starts the demo, calls ready once the gateway serves the helpdesk, and runs until ctx ends; then it
// stops everything, deletes a temporary folder and returns nil, also when ctx ends during the start. An error
// that the person can do something about is a *Refusal.
func Run(ctx context.Context, o Options, ready func(Info) error) (err error) {
	listen, err := parsePort("listen", o.Listen)
	if err != nil {
		return err
	}
	console, err := parsePort("console", o.Console)
	if err != nil {
		return err
	}
	if listen == console && listen != 0 {
		return &Refusal{Usage: true, What: fmt.Sprintf("--listen and --console both name port %d", listen), Hint: "give them different ports"}
	}
	f, err := openFolder(o.Dir)
	if err != nil {
		return err
	}
	started := false
	defer func() { err = errors.Join(err, f.close(started)) }()
	err = f.run(ctx, o, listen, console, func(i Info) error { started = true; return ready(i) })
	if ctx.Err() != nil && !started {
		return nil // asked to stop while starting: what broke because of it is no error
	}
	return err
}

// run is Run inside the folder.
func (f *folder) run(ctx context.Context, o Options, listen, console int, ready func(Info) error) (err error) {
	logFile, err := os.OpenFile(f.file(logName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer logFile.Close()
	sitesAt, err := hold("listen", listen)
	if err != nil {
		return err
	}
	defer sitesAt.release()
	consoleAt, err := hold("console", console)
	if err != nil {
		return err
	}
	defer consoleAt.release()

	desk, err := f.listenHelpdesk()
	if err != nil {
		return err
	}
	defer desk.Close()
	secret := newSecret()
	values := configValues{HTTPS: sitesAt.addresses(), Console: consoleAt.addresses(), Upstream: "unix:" + f.file(socketName)}
	if err := f.writeFiles(values, secret); err != nil {
		return err
	}
	cfg, err := config.Load(f.file(configName))
	if err != nil {
		return fmt.Errorf("load the demo's configuration: %w", err)
	}
	log := slog.New(cfg.Log.Handler(logFile))
	application, err := f.newHelpdesk(secret, log)
	if err != nil {
		return err
	}
	// The ports were held only to be sure of them; from here on they are the gateway's and the console's.
	sitesAt.release()
	consoleAt.release()
	doorward, err := app.New(ctx, cfg, app.Options{Log: log, Version: o.Version,
		Load: func() (*config.Config, error) { return config.Load(f.file(configName)) }})
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	info := Info{
		Gateway: "https://localhost:" + strconv.Itoa(sitesAt.port),
		Console: "https://localhost:" + strconv.Itoa(consoleAt.port),
		Data:    f.path, Root: f.file(rootName), Log: f.file(logName), Config: f.file(configName), Keep: !f.temporary,
	}
	for _, p := range []*place{sitesAt, consoleAt} {
		if p.note != "" {
			info.Notes = append(info.Notes, p.note)
		}
	}
	return serve(ctx, parts{doorward, application, desk}, info, ready)
}

// listenHelpdesk opens the helpdesk's unix socket in the folder.
func (f *folder) listenHelpdesk() (net.Listener, error) {
	path := f.file(socketName)
	// The lock is ours, so a socket left here is a dead one of a killed demo.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for the helpdesk: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("close the socket to others: %w", err), listener.Close())
	}
	return listener, nil
}

func (f *folder) newHelpdesk(secret string, log *slog.Logger) (*helpdesk.Helpdesk, error) {
	headers, err := helpdeskHeaders(f.file("app"))
	if err != nil {
		return nil, err
	}
	return helpdesk.New(helpdesk.Config{Headers: headers, Secrets: []string{secret}, Log: log.With(slog.String("part", "helpdesk"))})
}
