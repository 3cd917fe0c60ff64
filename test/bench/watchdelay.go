package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	delayRuns     = 40 // of Doorward, each way
	delayRunsPeer = 20
	delayLimit    = 10 * time.Second
	delayRetry    = 3 // failures until a ban
)

// delaysDoorward measures both ways to a ban: by the parsers and detections, and by a jail.
func (b *bench) delaysDoorward(ctx context.Context, r *watchResult) error {
	dir := b.file("delays")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	own, read := filepath.Join(dir, "own.log"), filepath.Join(dir, "jail.log")
	for _, name := range []string{own, read} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			return err
		}
	}
	folder, err := fail2banFolder(dir, jail{filter: "sshd", log: read, retry: delayRetry, findTime: "10m"})
	if err != nil {
		return err
	}
	socket := filepath.Join(dir, "run", "enforce.sock")
	w, err := b.startWatch(ctx, dir, fmt.Sprintf(`firewall: {enforce: true, socket: %s}
watch: {sources: [{name: log, type: file, paths: [%s], parsers: [sshd]}], fail2ban: {folder: %s}}`, socket, own, folder), nsenter...)
	if err != nil {
		return err
	}
	defer w.stop()
	enforcer, err := b.startEnforce(ctx, w.config, socket)
	if err != nil {
		return err
	}
	defer enforcer.stop()
	seen := func(a netip.Addr) (bool, error) { return w.banned(ctx, a) }
	for i, way := range []struct{ program, file string }{{"Doorward, its own detections", own}, {"Doorward, fail2ban's jail", read}} {
		d, err := delays(ctx, way.program, way.file, delayRuns, 10_000*(i+1), seen)
		if err != nil {
			return fmt.Errorf("%s: %w\n%.2000s", way.program, err, w.log)
		}
		r.delays = append(r.delays, d)
	}
	return nil
}

// delaysFail2ban measures fail2ban with its action for nftables.
func (b *bench) delaysFail2ban(ctx context.Context, r *watchResult) error {
	if !b.settings.peers {
		return nil
	}
	dir, read, folder, err := b.fail2banWithAction("delays-fail2ban")
	if err != nil {
		return err
	}
	f, err := startFail2ban(ctx, dir, folder, nsenter...)
	if err != nil {
		return err
	}
	defer f.stop()
	d, err := delays(ctx, "fail2ban", read, delayRunsPeer, 40_000, nil)
	if err != nil {
		return fmt.Errorf("fail2ban: %w\n%.2000s", err, f.log)
	}
	r.delays = append(r.delays, d)
	return nil
}

// delays has one address after the other fail, and measures from the line that is one too many.
func delays(ctx context.Context, program, file string, runs, first int, seen func(netip.Addr) (bool, error)) (d watchDelay, err error) {
	d.program = program
	k, err := listenKernel()
	if err != nil {
		return d, err
	}
	defer k.conn.Close()
	random := rand.New(rand.NewPCG(uint64(first), 2))
	for run := range runs + 1 {
		a := benchAddress(first + run)
		for n := range delayRetry - 1 {
			if err := appendFailure(file, run*delayRetry+n, a); err != nil {
				return d, err
			}
		}
		time.Sleep(100*time.Millisecond + time.Duration(random.Int64N(int64(time.Second)))) // at any moment of whatever is done regularly
		if seen != nil {
			if already, err := seen(a); err != nil || already {
				return d, errors.Join(fmt.Errorf("%s is banned before its time", a), err)
			}
		}
		began := time.Now()
		if err := appendFailure(file, run*delayRetry+delayRetry-1, a); err != nil {
			return d, err
		}
		until := began.Add(delayLimit)
		var decided time.Time
		var failed error
		var looking sync.WaitGroup
		if seen != nil {
			looking.Go(func() {
				for ctx.Err() == nil && time.Now().Before(until) {
					if there, err := seen(a); err != nil || there {
						decided, failed = time.Now(), err
						return
					}
					time.Sleep(time.Millisecond)
				}
				failed = errors.Join(fmt.Errorf("%s is not decided on", a), ctx.Err())
			})
		}
		banned, err := k.element(a, until)
		looking.Wait()
		if err := errors.Join(err, failed); err != nil {
			return d, err
		}
		if run == 0 {
			continue // makes the sets, and warms caches
		}
		d.element = append(d.element, banned.Sub(began))
		if seen != nil {
			d.decision = append(d.decision, decided.Sub(began))
		}
	}
	fmt.Fprintf(os.Stderr, "bench: %s: %d bans, each in the kernel\n", program, runs)
	return d, nil
}

// appendFailure writes a line of sshd as syslog does: opened for appending, one write.
func appendFailure(file string, n int, a netip.Addr) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%sFailed password for root from %s port 4711 ssh2\n", sshdKinds.head(time.Now())+fmt.Sprintf("sshd[%d]: ", 1000+n), a)
	return errors.Join(err, f.Close())
}
