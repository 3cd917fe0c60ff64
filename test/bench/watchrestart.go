package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/firewall"
)

// restarts measures how long both processes take to have all bans in the kernel again, after a boot: the table is gone.
func (b *bench) restarts(ctx context.Context, r *watchResult) error {
	for _, bans := range []int{watchBanned, reachRestartOfBans} {
		took, err := b.restart(ctx, bans)
		if err != nil {
			return fmt.Errorf("restart with %d bans: %w", bans, err)
		}
		fmt.Fprintf(os.Stderr, "bench: restart with %d bans: %s\n", bans, took.Round(time.Millisecond))
		r.restarts = append(r.restarts, watchRestart{"Doorward", bans, took})
	}
	return nil
}

func (b *bench) restart(ctx context.Context, bans int) (time.Duration, error) {
	dir := b.file(fmt.Sprintf("restart-%d", bans))
	socket := filepath.Join(dir, "run", "enforce.sock")
	w, err := b.startWatch(ctx, dir, fmt.Sprintf("firewall: {enforce: true, socket: %s}", socket), nsenter...)
	if err != nil {
		return 0, err
	}
	defer func() { w.stop() }()
	var list strings.Builder
	for n := range bans {
		fmt.Fprintln(&list, benchAddress(n))
	}
	file := filepath.Join(dir, "list.txt")
	if err := os.WriteFile(file, []byte(list.String()), 0o644); err != nil {
		return 0, err
	}
	if out, err := exec.CommandContext(ctx, b.file("doorward"), "decision", "import", file, "--for", "24h", "--config", w.config).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("import: %w\n%.500s", err, out)
	}
	w.stop()
	if out, err := exec.CommandContext(ctx, nsenter[0], append(slices.Clone(nsenter[1:]), "nft", "flush", "ruleset")...).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("empty the kernel: %w: %s", err, out)
	}
	began := time.Now()
	enforcer, err := b.runEnforce(w.config, socket)
	if err != nil {
		return 0, err
	}
	defer enforcer.stop()
	if err := w.start(ctx, b, nsenter...); err != nil {
		return 0, err
	}
	return waitKernel(ctx, w, bans, began)
}

// waitKernel waits until the server says that all bans are in the kernel, and counts them there. Reading a hundred thousand again and again
// would hold up those who write.
func waitKernel(ctx context.Context, w *watchServer, bans int, began time.Time) (took time.Duration, err error) {
	for !strings.Contains(w.log.String(), "bans are in the kernel") {
		if time.Since(began) > time.Minute || ctx.Err() != nil {
			return 0, fmt.Errorf("the bans are not in the kernel\n%.2000s", w.log)
		}
		time.Sleep(5 * time.Millisecond)
	}
	took = time.Since(began)
	var found firewall.Look
	if err := inNamespace(watchNamespace, func() (err error) { found, err = firewall.ReadKernel(); return err }); err != nil {
		return 0, err
	}
	if len(found.Elements) != bans {
		return 0, fmt.Errorf("the kernel has %d bans", len(found.Elements))
	}
	return took, nil
}

// restartFail2banBans is how many bans fail2ban takes up: with as many as Doorward the run would take minutes.
const restartFail2banBans = 300

func (b *bench) restartFail2ban(ctx context.Context, r *watchResult) error {
	if !b.settings.peers {
		return nil
	}
	dir, _, folder, err := b.fail2banWithAction("restart-fail2ban")
	if err != nil {
		return err
	}
	f, err := startFail2ban(ctx, dir, folder, nsenter...)
	if err != nil {
		return err
	}
	defer func() { f.stop() }()
	args := []string{"set", "bench", "banip"}
	for n := range restartFail2banBans {
		args = append(args, benchAddress(n).String())
	}
	if out, err := f.command(ctx, args...); err != nil {
		return fmt.Errorf("ban with fail2ban: %w: %s", err, out)
	}
	count := func() (int, error) {
		out, err := exec.CommandContext(ctx, nsenter[0], append(slices.Clone(nsenter[1:]), "nft", "list", "set", "inet", "f2b-table", "addr-set-bench")...).Output()
		return strings.Count(string(out), "198.18."), err
	}
	wait := func() error {
		for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			if n, err := count(); err == nil && n >= restartFail2banBans {
				return nil
			}
			if time.Now().After(end) || ctx.Err() != nil {
				return fmt.Errorf("fail2ban did not ban %d addresses\n%.1000s", restartFail2banBans, f.log)
			}
		}
	}
	if err := wait(); err != nil {
		return err
	}
	f.stop()
	began := time.Now()
	if f, err = startFail2ban(ctx, dir, folder, nsenter...); err != nil {
		return err
	}
	if err := wait(); err != nil {
		return err
	}
	r.restarts = append(r.restarts, watchRestart{"fail2ban", restartFail2banBans, time.Since(began)})
	return nil
}
