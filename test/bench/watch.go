package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// watchResult is what the watch takes beside others that read logs.
type watchResult struct {
	lines    int
	reads    []watchRead
	delays   []watchDelay
	restarts []watchRestart
	left     []string // what was not measured, and why
}

// watchRead is one log read by one program.
type watchRead struct {
	log, program string
	lines        int
	cpu          time.Duration
	rss          int64
	bans         int
}

func (r watchRead) perSecond() float64 { return float64(r.lines) / r.cpu.Seconds() }

const (
	// crowdsecShare is the part of the lines that crowdsec is given: with all of them the run would take half an hour. fail2ban reads all
	// of the mixed log, and fail2banShare of the other two.
	crowdsecShare = 50
	fail2banShare = 4
	readLimit     = 3 * time.Minute
)

// watch measures what reading logs takes, and how long it is until a ban.
func (b *bench) watch(ctx context.Context) (r watchResult, err error) {
	r.lines = b.settings.lines
	if err := os.Chmod(b.dir, 0o755); err != nil { // the enforcer is another user
		return r, err
	}
	if err := installed("fail2ban-server", "fail2ban-client"); err != nil {
		return r, err
	}
	var peers []func(context.Context, *watchLog) (watchRead, error)
	if b.settings.peers && r.lines > 0 {
		peers = append(peers, b.readFail2ban)
		cs, err := unpackCrowdsec(ctx, b.file("crowdsec"))
		if err != nil {
			r.left = append(r.left, err.Error())
		} else {
			peers = append(peers, func(ctx context.Context, l *watchLog) (watchRead, error) { return b.readCrowdsec(ctx, cs, l) })
		}
	}
	logs := b.watchLogs()
	if r.lines == 0 {
		logs = nil
	}
	for _, l := range logs {
		if err := l.write(time.Now()); err != nil {
			return r, fmt.Errorf("make the log %s: %w", l.name, err)
		}
		for _, read := range []func(context.Context, *watchLog) (watchRead, error){b.readJail, b.readRules} {
			one, err := read(ctx, l)
			if err != nil {
				return r, err
			}
			r.add(one)
		}
		for _, read := range peers {
			one, err := read(ctx, l)
			if ctx.Err() != nil {
				return r, err
			}
			if err != nil { // what others cannot do in the time is no reason to measure nothing
				r.left = append(r.left, err.Error())
				continue
			}
			r.add(one)
		}
		if err := os.Remove(l.file); err != nil {
			return r, err
		}
	}
	if os.Geteuid() != 0 {
		r.left = append(r.left, "the time to a ban and restarts: a network namespace is made by root only")
		return r, nil
	}
	return r, b.watchKernel(ctx, &r)
}

func (r *watchResult) add(one watchRead) {
	fmt.Fprintf(os.Stderr, "bench: %s: %s read %d lines in %s CPU, %d MB, %d bans\n", one.log, one.program, one.lines, one.cpu.Round(10*time.Millisecond), one.rss>>20, one.bans)
	r.reads = append(r.reads, one)
}

// watchLogs are the logs that everybody reads.
func (b *bench) watchLogs() []*watchLog {
	n := b.settings.lines
	all := []*watchLog{
		{name: "mixed", title: "sshd, 30 % failures", bad: n * 30 / 100},
		{name: "failures", title: "sshd, all failures", bad: n},
		{name: "access", title: "access log, 10 % scans", bad: n / 10},
	}
	for _, l := range all {
		l.lines, l.file = n, b.file(l.name+".log")
		l.banned, l.each = watchBanned, max(1, l.bad/watchBanned)
		l.bad = l.each * l.banned
	}
	return all
}

// filter is fail2ban's filter for the log, as a jail names it.
func (l *watchLog) filter() string {
	if l.name == "access" {
		return "nginx-botsearch"
	}
	return "sshd"
}

// readJail has Doorward read the log by fail2ban's own filter.
func (b *bench) readJail(ctx context.Context, l *watchLog) (watchRead, error) {
	dir := b.file("jail-" + l.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return watchRead{}, err
	}
	read := filepath.Join(dir, "read.log")
	folder, err := fail2banFolder(dir, jail{filter: l.filter(), log: read, retry: l.each, findTime: "1d"})
	if err != nil {
		return watchRead{}, err
	}
	return b.readByDoorward(ctx, l, "Doorward, fail2ban's jail", dir, read, fmt.Sprintf("watch: {off: true, fail2ban: {folder: %s}}", folder))
}

// readRules has Doorward read the log by its own parsers and detections, all that come with it.
func (b *bench) readRules(ctx context.Context, l *watchLog) (watchRead, error) {
	dir := b.file("rules-" + l.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return watchRead{}, err
	}
	read, over := filepath.Join(dir, "read.log"), filepath.Join(dir, "overrides.yaml")
	parser, name := "sshd", "sshd_guessing"
	if l.name == "access" {
		parser, name = "nginx-access", "suspicious_urls"
	}
	if err := os.WriteFile(over, fmt.Appendf(nil, "%s: {count: %d, timespan: 10m, ban: 1d}\n", name, l.each), 0o644); err != nil {
		return watchRead{}, err
	}
	return b.readByDoorward(ctx, l, "Doorward, its own detections", dir, read,
		fmt.Sprintf("watch: {overrides: %s, sources: [{name: log, type: file, paths: [%s], parsers: [%s]}]}", over, read, parser))
}

func (b *bench) readByDoorward(ctx context.Context, l *watchLog, program, dir, read, more string) (r watchRead, err error) {
	if err := os.WriteFile(read, nil, 0o644); err != nil {
		return r, err
	}
	w, err := b.startWatch(ctx, dir, more)
	if err != nil {
		return r, err
	}
	defer w.stop()
	r, err = measureRead(ctx, w.process, l, read, func() (bool, error) { return w.banned(ctx, l.last) })
	if err != nil {
		return r, err
	}
	r.program = program
	r.bans, err = w.bans(ctx)
	return r, err
}

// readFail2ban has fail2ban read the log, with the same filter and no action.
func (b *bench) readFail2ban(ctx context.Context, l *watchLog) (r watchRead, err error) {
	if l.name != "mixed" {
		l = l.part(fail2banShare)
		if err := l.write(time.Now()); err != nil {
			return r, err
		}
		defer os.Remove(l.file)
	}
	dir := b.file("fail2ban-" + l.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return r, err
	}
	read := filepath.Join(dir, "read.log")
	if err := os.WriteFile(read, nil, 0o644); err != nil {
		return r, err
	}
	folder, err := fail2banFolder(dir, jail{filter: l.filter(), log: read, retry: l.each, findTime: "1d"})
	if err != nil {
		return r, err
	}
	f, err := startFail2ban(ctx, dir, folder)
	if err != nil {
		return r, err
	}
	defer f.stop()
	r, err = measureRead(ctx, f.process, l, read, func() (bool, error) { _, there, err := f.bans(l.last); return there, err })
	if err != nil {
		return r, err
	}
	r.program = "fail2ban"
	r.bans, _, err = f.bans(l.last)
	return r, err
}

// measureRead appends the log to the file that a program reads, and waits until the last address is banned, and a second longer for
// what it does late.
func measureRead(ctx context.Context, p *process, l *watchLog, read string, done func() (bool, error)) (r watchRead, err error) {
	time.Sleep(time.Second) // what it does at the start
	before, err := p.cpu()
	if err != nil {
		return r, err
	}
	if err := l.appendTo(read); err != nil {
		return r, err
	}
	for end := time.Now().Add(readLimit); ; time.Sleep(50 * time.Millisecond) {
		there, err := done()
		if err != nil {
			return r, err
		}
		if there {
			break
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return r, errors.Join(fmt.Errorf("%s did not ban the last address of %q in %s: %.1000s", p.name, l.title, readLimit, p.log), ctx.Err())
		}
	}
	time.Sleep(time.Second)
	after, err := p.cpu()
	if err != nil {
		return r, err
	}
	rss, err := p.status("VmHWM")
	return watchRead{log: l.title, lines: l.lines, cpu: after - before, rss: rss}, err
}

// readCrowdsec has crowdsec replay a part of the log. What it takes to start is measured with a few lines, and left out.
func (b *bench) readCrowdsec(ctx context.Context, c *crowdsec, l *watchLog) (r watchRead, err error) {
	kind := "syslog"
	if l.name == "access" {
		kind = "nginx"
	}
	few, some := b.file(l.name+"-few.log"), b.file(l.name+"-some.log")
	r = watchRead{log: l.title, program: "crowdsec " + c.version, lines: l.lines / crowdsecShare}
	for file, n := range map[string]int{few: 10, some: r.lines} {
		if err := head(l.file, file, n); err != nil {
			return r, err
		}
	}
	start, _, err := c.replay(ctx, few, kind)
	if err != nil {
		return r, err
	}
	r.cpu, r.rss, err = c.replay(ctx, some, kind)
	r.cpu -= start
	return r, err
}
