package fix

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The units that wait after a reboot, and that a logout does not end.
const (
	unitFolder = "/etc/systemd/system"
	wantsName  = "multi-user.target.wants"
)

func unitName(e *Entry) string { return "doorward-fix-" + e.ID + ".service" }

// watch starts what acts on an entry at its deadline: a process of its own session, which no shell takes along, and where
// systemd runs a unit too, which is started now and after every reboot. Whichever comes first acts; the other finds it done.
func (f *Fixer) watch(ctx context.Context, e *Entry) error {
	if f.o.Program == "" {
		return errors.New("it has to be taken back at a deadline, and no program is known that does")
	}
	args := []string{"fix", "watch", e.ID, "--state", f.o.State, "--root", f.o.Root}
	if f.o.ExecInRoot {
		args = append(args, "--exec-in-root")
	}
	if f.m.systemd() {
		if err := f.watchUnit(ctx, e, args); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(filepath.Join(e.folder, "watch.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("start the watch: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(f.o.Program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the watch: %w", err)
	}
	return cmd.Process.Release()
}

func (f *Fixer) watchUnit(ctx context.Context, e *Entry, args []string) error {
	text := fmt.Sprintf(`# Written by doorward fix; it goes when the change is confirmed or taken back.
[Unit]
Description=Takes back the change %s of Doorward unless it is confirmed
After=local-fs.target

[Service]
Type=exec
ExecStart=%s
`, e.ID, systemdLine(append([]string{f.o.Program}, args...)))
	name := filepath.Join(unitFolder, unitName(e))
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the unit that watches: %w", err)
	}
	wants := filepath.Join(unitFolder, wantsName)
	if err := errors.Join(os.MkdirAll(wants, 0o755), os.Symlink("../"+unitName(e), filepath.Join(wants, unitName(e)))); err != nil {
		return fmt.Errorf("switch the unit on that watches: %w", err)
	}
	if _, err := f.m.run(ctx, nil, systemctl, "daemon-reload"); err != nil {
		return err
	}
	_, err := f.m.run(ctx, nil, systemctl, "start", "--no-block", "--", unitName(e))
	return err
}

// systemdLine quotes words for ExecStart=.
func systemdLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$").Replace(w) + `"`
	}
	return strings.Join(quoted, " ")
}

// dropWatch removes the unit. The waiting process finds the entry settled and ends by itself; it may be the one that calls.
func (f *Fixer) dropWatch(ctx context.Context, e *Entry) {
	if !f.m.live {
		return
	}
	name := filepath.Join(unitFolder, unitName(e))
	if _, err := os.Lstat(name); err != nil {
		return
	}
	// What is left behind finds nothing to do at the next start.
	_ = os.Remove(filepath.Join(unitFolder, wantsName, unitName(e)))
	_ = os.Remove(name)
	if f.m.systemd() {
		_, _ = f.m.run(ctx, nil, systemctl, "daemon-reload")
	}
}

// pollEvery is how often a waiting process looks whether the entry was settled meanwhile.
const pollEvery = 2 * time.Second

// Watch waits for the deadline of an entry and then acts: an unconfirmed change is taken back, a lifted seal is put on again.
// It returns at once when there is nothing left to do. It is what the watching process runs.
func (f *Fixer) Watch(ctx context.Context, id string) error {
	// A clock that is set back does not move the deadline: what is left of it runs on the kernel's own clock.
	e, _, err := f.j.load(id)
	if err != nil {
		return err
	}
	timer := time.NewTimer(time.Until(e.Deadline))
	defer timer.Stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for waiting := true; waiting; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			waiting = false
		case <-poll.C:
			if e, _, err = f.j.load(id); err != nil {
				return err
			}
		}
		if !e.Waits() {
			return nil
		}
	}
	lock, err := f.j.lock(true)
	if err != nil {
		return err
	}
	defer lock.Close()
	if e, _, err = f.j.load(id); err != nil || !e.Waits() {
		return err
	}
	if e.Seal == unsealed {
		_, err := f.reseal(ctx, e, "the time was over")
		return err
	}
	_, err = f.undo(ctx, id, false, "nobody confirmed it until "+e.Deadline.Format(time.DateTime))
	if errors.As(err, new(*Conflict)) { // a person who cannot get in any more is worse off than one whose edit is lost
		_, err = f.undo(ctx, id, true, "nobody confirmed it until "+e.Deadline.Format(time.DateTime)+"; what was changed meanwhile was put back too")
	}
	return err
}

// Waits says whether something still has to happen at the deadline.
func (e Entry) Waits() bool {
	switch e.Status {
	case Applying, Unconfirmed, Undoing:
		return !e.Deadline.IsZero()
	case Kept:
		return e.Seal == unsealed && !e.Deadline.IsZero()
	}
	return false
}

// Confirm keeps an unconfirmed entry; an empty id is the only one there is. It has to be shown that people can still sign in:
// this process descends from a connection of sshd that began after the change, or the log of sign-ins has one from elsewhere
// that did. It returns what showed it.
func (f *Fixer) Confirm(ctx context.Context, id string) (Entry, string, error) {
	lock, err := f.j.lock(false)
	if err != nil {
		return Entry{}, "", err
	}
	defer lock.Close()
	if id == "" {
		if id, err = f.onlyUnconfirmed(); err != nil {
			return Entry{}, "", err
		}
	}
	e, _, err := f.j.load(id)
	if err != nil {
		return Entry{}, "", err
	}
	if e.Status != Unconfirmed {
		return *e, "", fmt.Errorf("%s is %s; there is nothing to confirm", e.ID, e.Status)
	}
	if !f.now().Before(e.Deadline) {
		return *e, "", fmt.Errorf("%s: the time to confirm is over; it is being taken back", e.ID)
	}
	proof, err := LoginSince(Moment{e.Boot, e.BootTime, e.Made}, os.Getpid(), "doorward fix confirm")
	if err != nil {
		return *e, "", err
	}
	if err := f.j.note(e, Kept, "confirmed by "+proof); err != nil {
		return *e, "", err
	}
	f.dropWatch(ctx, e)
	return *e, proof, nil
}

func (f *Fixer) onlyUnconfirmed() (string, error) {
	all, err := f.j.entries()
	if err != nil {
		return "", err
	}
	id := ""
	for _, e := range all {
		if e.Status != Unconfirmed {
			continue
		}
		if id != "" {
			return "", errors.New("several changes wait for a confirmation: name one of doorward fix history")
		}
		id = e.ID
	}
	if id == "" {
		return "", errors.New("no change waits for a confirmation")
	}
	return id, nil
}

// connectionOf finds the sshd that a process descends from, and when that began, counted from the boot. The listener, whose
// parent starts the system, is none: it is older than every connection, or was just started itself.
func connectionOf(pid int) (time.Duration, bool) {
	for range 64 {
		p, ok := processOf(pid)
		if !ok || pid <= 1 {
			return 0, false
		}
		if isSSHD(pid) {
			return p.begin, true
		}
		pid = p.parent
	}
	return 0, false
}

func isSSHD(pid int) bool {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	name := filepath.Base(strings.TrimSuffix(exe, " (deleted)"))
	return err == nil && (name == "sshd" || name == "sshd-session")
}

// sinceBoot is how long ago the kernel started, as /proc/PID/stat counts.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// bootID names this run of the kernel.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// recordedLogin looks in /var/log/wtmp for a sign-in from another host between two times. A record (utmp(5)) has 384 bytes: its type is the
// first, the line is at 8, the name at 44, the host at 76, the seconds at 340.
func recordedLogin(after, before time.Time) string {
	const size, userProcess, most = 384, 7, 1 << 20
	f, err := os.Open("/var/log/wtmp")
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	if from := info.Size()/size*size - most/size*size; from > 0 {
		if _, err := f.Seek(from, io.SeekStart); err != nil {
			return ""
		}
	}
	text := func(b []byte) string { name, _, _ := strings.Cut(string(b), "\x00"); return name }
	found := ""
	for record := make([]byte, size); ; {
		if _, err := io.ReadFull(f, record); err != nil {
			return found
		}
		at := time.Unix(int64(binary.NativeEndian.Uint32(record[340:])), 0)
		if binary.NativeEndian.Uint16(record) == userProcess && record[76] != 0 && at.After(after) && !at.After(before) {
			found = fmt.Sprintf("the sign-in of %s from %s at %s", text(record[44:76]), text(record[76:332]), at.Format(time.TimeOnly))
		}
	}
}
