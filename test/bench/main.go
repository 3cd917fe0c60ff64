// Command bench measures the gateway beside nginx and a bare httputil.ReverseProxy: CPU time of the server
// for one request, medians of interleaved rounds, and memory after load and during a flood of sign-ins.
// It runs everything on 127.0.0.1, takes a few minutes, and writes its table into docs/benchmarks.md. The audit is measured beside
// lynis, in a copy of this machine with everything on it, and the watch beside fail2ban and crowdsec.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// forwardAuth stands beside the schemes for a proxy's question over plain HTTP.
const forwardAuth = "forward-auth"

type settings struct {
	root        string
	rounds      int
	during      time.Duration
	connections int
	rest        time.Duration
	flood       time.Duration
	out         string
	only        string
	lines       int
	peers       bool
}

// The parts of a run. The load's is all of the comparison, and memory after it.
const (
	partLoad  = "load"
	partTimes = "times"
	partFlood = "flood"
	partAudit = "audit"
	partWatch = "watch"
)

var parts = []string{partLoad, partTimes, partFlood, partAudit, partWatch}

// gateway says whether a part is to be run that needs the servers of the comparison.
func (s settings) gateway() bool {
	return s.runs(partLoad) || s.runs(partTimes) || s.runs(partFlood)
}

// runs tells whether a part is to be run.
func (s settings) runs(part string) bool {
	return s.only == "" || slices.Contains(strings.Split(s.only, ","), part)
}

func main() {
	var s settings
	flag.StringVar(&s.root, "root", "..", "the repository")
	flag.IntVar(&s.rounds, "rounds", 7, "rounds of load for each server")
	flag.DurationVar(&s.during, "during", 3*time.Second, "length of one round")
	flag.IntVar(&s.connections, "connections", 32, "connections kept alive")
	flag.DurationVar(&s.rest, "rest", 30*time.Second, "rest after the load before memory is read")
	flag.DurationVar(&s.flood, "flood", 20*time.Second, "length of the flood of sign-ins")
	flag.StringVar(&s.out, "out", "", "file whose generated part is replaced; empty prints only")
	flag.StringVar(&s.only, "only", "", "the parts to run, with commas: "+strings.Join(parts, ", ")+"; default all")
	flag.IntVar(&s.lines, "lines", 1_000_000, "lines of each log that the watch reads; 0 leaves that out")
	flag.BoolVar(&s.peers, "peers", true, "measure the watch beside fail2ban and crowdsec")
	firewalls := flag.Bool("waf", false, "compare the web application firewall with nginx and ModSecurity, and nothing else")
	inCopy := flag.Bool(inCopyFlag, false, "for the program's own use: measure the audit in the copy of the machine in which it runs")
	flag.Parse()
	for part := range strings.SplitSeq(s.only, ",") {
		if part != "" && !slices.Contains(parts, part) {
			fmt.Fprintf(os.Stderr, "bench: error: -only: there is no part %q\n", part)
			os.Exit(2)
		}
	}
	if s.only != "" && s.out != "" {
		fmt.Fprintln(os.Stderr, "bench: error: -only and -out: the file needs the whole run")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	do := func() error { return run(ctx, s) }
	if *firewalls {
		do = func() error { return runWAF(ctx, s) }
	}
	if *inCopy {
		do = func() error { return auditInCopy(ctx) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) (err error) {
	if s.gateway() {
		if err := installed("nginx", "wrk"); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "doorward-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := newBench(ctx, s, dir)
	if err != nil {
		return err
	}
	defer b.close()
	r := report{settings: s}
	if s.runs(partLoad) {
		if err := b.load(ctx, &r); err != nil {
			return err
		}
	}
	if s.runs(partTimes) {
		if r.times, err = b.signInTimes(ctx); err != nil {
			return err
		}
	}
	if s.runs(partFlood) {
		if r.flood, err = b.floodSignIns(ctx, s.flood); err != nil {
			return err
		}
	}
	if s.runs(partAudit) {
		if r.audit, err = b.audit(ctx); err != nil {
			return err
		}
	}
	if s.runs(partWatch) {
		if r.watch, err = b.watch(ctx); err != nil {
			return err
		}
	}
	fmt.Print(r.markdown(), "\n", r.watch.markdown())
	if s.out == "" {
		return nil
	}
	return r.writeInto(filepath.Join(s.root, s.out))
}

// installed says which of the programs is missing.
func installed(programs ...string) error {
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: install the packages of scripts/packages.txt first", err)
		}
	}
	return nil
}

// load compares the servers, and reads what Doorward holds after a rest.
func (b *bench) load(ctx context.Context, r *report) (err error) {
	if r.rows, err = b.compare(ctx); err != nil {
		return err
	}
	if r.events, err = b.eventCounts(ctx); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "bench: resting %s before memory is read\n", b.settings.rest)
	select {
	case <-time.After(b.settings.rest):
	case <-ctx.Done():
		return ctx.Err()
	}
	r.restRSS, err = b.doorward.status("VmRSS")
	return err
}

// compare runs the rounds, interleaved so that a slow minute of the machine hits every server alike.
func (b *bench) compare(ctx context.Context) ([]row, error) {
	output := newWrkOutput()
	var rows []row
	for _, scheme := range []string{"http", "https", forwardAuth} {
		targets := b.targets(scheme)
		samples := make([][]sample, len(targets))
		for round := range b.settings.rounds + 1 {
			for i, t := range targets {
				got, err := output.measure(ctx, t, b.settings.connections, b.settings.during)
				if err != nil {
					return nil, err
				}
				if round == 0 {
					continue // warms connections, pages and caches
				}
				samples[i] = append(samples[i], got)
				fmt.Fprintf(os.Stderr, "bench: %s %s round %d: %d requests, %s CPU each\n",
					scheme, t.server.name, round, got.requests, got.perRequest())
			}
		}
		for i, t := range targets {
			rows = append(rows, row{scheme: scheme, server: t.server.name, perRequest: median(samples[i]), samples: samples[i]})
		}
	}
	if len(rows) == 0 {
		return nil, errors.New("no rounds")
	}
	return rows, nil
}
