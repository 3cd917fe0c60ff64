package main

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/firewall"
)

// allowList is who is never banned in the kernel, as the configuration file has it. It follows the file: names are not among it, because this
// process reaches no network; doorward serve resolves them, decides nothing about their addresses, and lifts what it decided before.
type allowList struct {
	path string
	log  *slog.Logger
	seen fileState
	list []netip.Prefix
}

// fileState tells one content of a file from the next.
type fileState struct {
	dev, ino   uint64
	size       int64
	modified   unix.Timespec
	statusSet  unix.Timespec
	owner      uint32
	permission uint32
}

func fileStateOf(path string) (fileState, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fileState{}, err
	}
	return fileState{uint64(st.Dev), st.Ino, st.Size, st.Mtim, st.Ctim, st.Uid, st.Mode}, nil //nolint:unconvert // Dev is another type elsewhere
}

// now is the list of the file as it stands. A file that cannot be used, or that others than root can change, leaves the list as it was; the
// log says so once.
func (a *allowList) now() []netip.Prefix {
	state, err := fileStateOf(a.path)
	if state == a.seen {
		return a.list
	}
	a.seen = state // taken before the file is read: what is written meanwhile is another state
	var cfg *config.Config
	if err == nil {
		err = rootsOwn(a.path)
	}
	if err == nil {
		cfg, err = config.LoadFirewall(a.path)
	}
	if err != nil {
		a.log.Error("the allow list stays as it was", slog.Any("error", err))
		return a.list
	}
	a.list = allowedBy(cfg)
	a.log.Info("the allow list is the file's", slog.Int("networks", len(a.list)))
	return a.list
}

// allowedBy is who the configuration says is never banned in the kernel.
func allowedBy(cfg *config.Config) []netip.Prefix {
	return append(cfg.Decisions.Networks(), cfg.Firewall.Allow...)
}

// followHangups puts the allow list in force at each SIGHUP until ctx ends. Without one a change of the file is seen within ten seconds, and
// before the next ban.
func followHangups(ctx context.Context, e *firewall.Enforcer) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			_ = e.Reload() // an error is in the log and in the status
		}
	}
}
