package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// What the project set itself for the watch.
const (
	reachWatchLines    = 500_000
	reachWatchRSS      = 100 << 20
	reachDecision      = 10 * time.Millisecond
	reachElement       = 25 * time.Millisecond
	reachElementMost   = 100 * time.Millisecond
	reachRestart       = 2 * time.Second
	reachRestartOfBans = 100_000
)

// markdown is empty when the watch was not measured.
func (r watchResult) markdown() string {
	var b strings.Builder
	if len(r.reads) > 0 {
		r.writeReads(&b)
	}
	if len(r.delays) > 0 {
		r.writeDelays(&b)
	}
	if len(r.restarts) > 0 {
		r.writeRestarts(&b)
	}
	for _, why := range r.left {
		fmt.Fprintf(&b, "\nNot measured: %s.\n", why)
	}
	return strings.TrimPrefix(b.String(), "\n")
}

func (r watchResult) writeReads(b *strings.Builder) {
	fmt.Fprintf(b, "\n%d lines of each log; %d addresses to ban:\n", r.lines, watchBanned)
	b.WriteString("\n| log | program | lines a CPU second | memory (RSS), highest | bans | reach |\n|---|---|---|---|---|---|\n")
	for _, one := range r.reads {
		reach, bans := "", fmt.Sprint(one.bans)
		if one.lines < r.lines {
			bans += fmt.Sprintf(" (of %d lines)", one.lines)
		}
		switch {
		case strings.HasPrefix(one.program, "crowdsec"):
			bans = fmt.Sprintf("? (of %d lines)", one.lines)
		case strings.HasSuffix(one.program, "jail") && strings.Contains(one.log, "30 %"):
			reach = "500,000, 100 MB: " + met(one.perSecond() >= reachWatchLines && one.rss < reachWatchRSS)
		case strings.HasPrefix(one.program, "Doorward"):
			reach = "100 MB: " + met(one.rss < reachWatchRSS)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %d MB | %s | %s |\n", one.log, one.program, thousands(one.perSecond()), one.rss>>20, bans, reach)
	}
}

func thousands(n float64) string {
	if n < 1000 {
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%d,%03d", int(n)/1000, int(n)%1000)
}

// watchDelay is how long it was from a log's line to a ban, in all runs.
type watchDelay struct {
	program           string
	decision, element []time.Duration // sorted; of decisions, only Doorward's
}

// share is the value that so many of the sorted values are not above.
func share(sorted []time.Duration, of float64) time.Duration {
	return sorted[min(len(sorted)-1, int(of*float64(len(sorted))))]
}

func (r watchResult) writeDelays(b *strings.Builder) {
	b.WriteString("\n| from the line to | program | runs | median | p99 | slowest | reach |\n|---|---|---|---|---|---|---|\n")
	for _, d := range r.delays {
		for _, what := range []struct {
			name          string
			all           []time.Duration
			half, hundred time.Duration
		}{{"the decision", d.decision, reachDecision, reachElementMost}, {"the kernel's element", d.element, reachElement, reachElementMost}} {
			if len(what.all) == 0 {
				continue
			}
			slices.Sort(what.all)
			reach := ""
			if strings.HasPrefix(d.program, "Doorward") {
				reach = fmt.Sprintf("%s, %s: %s", what.half, what.hundred, met(share(what.all, 0.5) <= what.half && share(what.all, 0.99) <= what.hundred))
			}
			fmt.Fprintf(b, "| %s | %s | %d | %s | %s | %s | %s |\n", what.name, d.program, len(what.all), millis(share(what.all, 0.5)),
				millis(share(what.all, 0.99)), millis(what.all[len(what.all)-1]), reach)
		}
	}
}

// watchRestart is how long it was from the start until all bans were in the kernel again.
type watchRestart struct {
	program string
	bans    int
	took    time.Duration
}

func (r watchResult) writeRestarts(b *strings.Builder) {
	b.WriteString("\n| back in the kernel after a restart | program | took | bans a second | reach |\n|---|---|---|---|---|\n")
	for _, one := range r.restarts {
		reach := ""
		if one.bans >= reachRestartOfBans {
			reach = fmt.Sprintf("%s: %s", reachRestart, met(one.took < reachRestart))
		}
		fmt.Fprintf(b, "| %d bans | %s | %.2f s | %s | %s |\n", one.bans, one.program, one.took.Seconds(), thousands(float64(one.bans)/one.took.Seconds()), reach)
	}
}
