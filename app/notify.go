package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Sockets takes the listening sockets that systemd passed to this process, by their FileDescriptorName
// (sd_listen_fds(3)). It returns none when there are none, and works once a process.
func Sockets() (map[string][]net.Listener, error) {
	sockets, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("take the sockets that systemd passed: %w", err)
	}
	return sockets, nil
}

// notify tells systemd (sd_notify(3)) when everything is served and when the stop begins, and feeds the
// watchdog as long as the gateway passes its self-check. Without systemd it only waits.
func (a *App) notify(ctx context.Context) error {
	select {
	case <-a.ready:
	case <-ctx.Done():
		return nil
	}
	a.tell(daemon.SdNotifyReady)
	defer a.tell(daemon.SdNotifyStopping)
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("read the watchdog's interval: %w", err)
	}
	if interval == 0 {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(interval / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := a.selfCheck(ctx, interval/3); err != nil {
				// Nothing is sent: systemd restarts the service when this lasts.
				a.log.Error("check oneself", slog.Any("error", err))
				continue
			}
			a.tell(daemon.SdNotifyWatchdog)
		}
	}
}

// selfCheck asks the parts that hold locks or goroutines on every request's way. The database is not among
// them: when it is down a restart would only end the sessions that still work.
func (a *App) selfCheck(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- a.gateway.Alive() }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("ask the gateway: %w", ctx.Err())
	}
}

// reloading tells systemd that a reload began; the returned function that it is over.
func (a *App) reloading() (over func()) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err == nil {
		a.tell(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
	}
	return func() { a.tell(daemon.SdNotifyReady) }
}

func (a *App) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		a.log.Warn("tell systemd", slog.String("state", state), slog.Any("error", err))
	}
}
