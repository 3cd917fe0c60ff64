package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/test/populated"
)

const (
	auditFiles  = 20_000
	auditRounds = 5
)

// auditResult is what an audit of everything took, beside lynis on the same host.
type auditResult struct {
	Audits       []populated.Usage
	Lynis        populated.Usage
	LynisVersion string
}

// median is the one in the middle by CPU time.
func (r auditResult) median() populated.Usage {
	all := slices.SortedFunc(slices.Values(r.Audits), func(a, b populated.Usage) int { return int(a.CPU - b.CPU) })
	return all[len(all)/2]
}

// rss is the most that any of the rounds held.
func (r auditResult) rss() (most int64) {
	for _, u := range r.Audits {
		most = max(most, u.RSS)
	}
	return most
}

// audit measures in a disposable copy of this machine, in which this very program runs as auditInCopy.
func (b *bench) audit(ctx context.Context) (r auditResult, err error) {
	if os.Geteuid() != 0 {
		return r, fmt.Errorf("-only audit: a copy of the machine is made by root only")
	}
	if err := installed("lynis", "sshd", "apache2", "nginx", "mariadbd", "pg_ctlcluster", "fail2ban-client", "nft", "cron"); err != nil {
		return r, err
	}
	dir := b.file("copy")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return r, err
	}
	cmd, err := populated.InCopy(ctx, dir, b.file("doorward"), "-"+inCopyFlag)
	if err != nil {
		return r, err
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return r, fmt.Errorf("audit in the copy: %w", err)
	}
	return r, json.Unmarshal(out.Bytes(), &r)
}

// inCopyFlag is for this program's own use.
const inCopyFlag = "in-copy"

// auditInCopy populates the copy in which this program runs, and writes what the audits took.
func auditInCopy(ctx context.Context) error {
	m, err := populated.Start(ctx, auditFiles)
	if err != nil {
		return err
	}
	defer m.Close()
	var r auditResult
	for round := range auditRounds {
		_, u, err := m.Audit(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "bench: audit round %d: %s CPU, %s, %d MB\n", round+1, u.CPU.Round(time.Millisecond), u.Took.Round(time.Millisecond), u.RSS>>20)
		r.Audits = append(r.Audits, u)
	}
	if r.Lynis, err = m.Lynis(ctx); err != nil {
		return err
	}
	version, err := exec.CommandContext(ctx, "lynis", "show", "version").Output()
	if err != nil {
		return fmt.Errorf("ask lynis for its version: %w", err)
	}
	r.LynisVersion = strings.TrimSpace(string(version))
	return json.NewEncoder(os.Stdout).Encode(r)
}

// writeAudit writes the lines about the audit.
func (r report) writeAudit(b *strings.Builder) {
	u := r.audit.median()
	fmt.Fprintf(b, "| audit of all controls, CPU with children (median of %d) | %.1f s in %.1f s | 5 s: %s |\n", len(r.audit.Audits), u.CPU.Seconds(), u.Took.Seconds(), met(u.CPU <= reachAuditCPU))
	fmt.Fprintf(b, "| the same, memory (RSS), highest of all rounds | %d MB | 150 MB: %s |\n", r.audit.rss()>>20, met(r.audit.rss() <= reachAuditRSS))
	fmt.Fprintf(b, "| beside it, lynis %s audit system --quick: CPU with children | %.1f s in %.1f s | |\n", r.audit.LynisVersion, r.audit.Lynis.CPU.Seconds(), r.audit.Lynis.Took.Seconds())
}
