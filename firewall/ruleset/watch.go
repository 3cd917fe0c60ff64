package ruleset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// UnitName loads the persistent file when the host starts.
	UnitName  = "doorward-firewall.service"
	watchUnit = "doorward-firewall-watch"
	pollEvery = time.Second
)

// watch starts what takes an unconfirmed ruleset back: a process of its own session, which no shell takes along, and where systemd
// runs a unit too, which a logout does not end. After a reboot nothing has to be taken back: the kernel forgets the ruleset, and
// the file that is loaded then is written only when it is confirmed.
func (k *Keeper) watch(ctx context.Context) error {
	if k.Program == "" {
		return errors.New("it has to be taken back at a deadline, and no program is known that does")
	}
	args := []string{"firewall", "watch", "--state", k.state(), "--file", k.file()}
	if systemd() {
		unit := append([]string{"--quiet", "--collect", "--unit=" + watchUnit + "-" + time.Now().UTC().Format("20060102T150405"),
			"--description=Takes Doorward's base ruleset back unless it is confirmed", "--", k.Program}, args...)
		if _, err := command(ctx, nil, "", "systemd-run", unit...); err != nil {
			return fmt.Errorf("start the watch: %w", err)
		}
	}
	log, err := os.OpenFile(filepath.Join(k.state(), "watch.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("start the watch: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(k.Program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the watch: %w", err)
	}
	return cmd.Process.Release()
}

// Watch waits for the deadline of the last apply and takes it back unless it is settled by then. It is what the watching processes run.
func (k *Keeper) Watch(ctx context.Context) error {
	s, err := k.Last()
	if err != nil {
		return err
	}
	made := s.Made
	// A clock that is set back does not move the deadline: what is left of it runs on the kernel's own clock.
	timer := time.NewTimer(time.Until(s.Deadline))
	defer timer.Stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for waiting := true; waiting; {
		if !s.Waits() || !s.Made.Equal(made) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			waiting = false
		case <-poll.C:
			if s, err = k.Last(); err != nil {
				return err
			}
		}
	}
	lock, err := k.lock(true)
	if err != nil {
		return err
	}
	defer lock.Close()
	if s, err = k.Last(); err != nil || !s.Waits() || !s.Made.Equal(made) {
		return err
	}
	return k.revert(ctx, s, "nobody confirmed it until "+s.Deadline.Local().Format(time.DateTime), true)
}

func systemd() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// enabled says whether the unit is switched on; a host without systemd has none.
func enabled() bool {
	found, err := filepath.Glob("/etc/systemd/system/*.wants/" + UnitName)
	return err == nil && len(found) > 0
}

// enable switches the unit on and says whether it is.
func enable(ctx context.Context) bool {
	if _, err := command(ctx, nil, "", "systemctl", "enable", "--quiet", UnitName); err != nil {
		return false
	}
	return enabled()
}

func disable(ctx context.Context) {
	// What is left of it finds no file, and does nothing.
	_, _ = command(ctx, nil, "", "systemctl", "disable", "--quiet", UnitName)
}
