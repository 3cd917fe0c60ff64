package main

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"
)

type row struct {
	scheme, server string
	perRequest     time.Duration
	samples        []sample
}

type report struct {
	settings settings
	rows     []row
	events   eventCounts
	restRSS  int64
	times    timesResult
	flood    floodResult
	audit    auditResult
	watch    watchResult
}

// reach is what the project set itself; the report says beside each whether it was met.
const (
	reachRatio    = 1.35
	reachAuthz    = 2.5
	reachRestRSS  = 60 << 20
	reachFloodRSS = 200 << 20
	reachTimes    = 0.05
	reachAuditCPU = 5 * time.Second
	reachAuditRSS = 150 << 20
)

func (r report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %d processors, %s, %s", runtime.NumCPU(), runtime.GOARCH, runtime.Version())
	if len(r.rows) > 0 {
		fmt.Fprintf(&b, "; %d rounds of %s, %d connections kept alive, 10 KB of HTML", r.settings.rounds, r.settings.during, r.settings.connections)
	}
	b.WriteString(".\n")
	if len(r.rows) > 0 {
		b.WriteString("\n| scheme | server | CPU a request (median) | lowest … highest round | against the bare one |\n|---|---|---|---|---|\n")
	}
	for _, row := range r.rows {
		low, high := spread(row.samples)
		fmt.Fprintf(&b, "| %s | %s | %s | %s … %s | %.2f |\n", row.scheme, row.server, micros(row.perRequest),
			micros(low), micros(high), float64(row.perRequest)/float64(r.bare(row.scheme)))
	}
	if r.settings.gateway() || len(r.audit.Audits) > 0 {
		b.WriteString("\n| what | measured | reach |\n|---|---|---|\n")
	}
	if len(r.rows) > 0 {
		r.writeLoad(&b)
	}
	if len(r.times.known) > 0 {
		fmt.Fprintf(&b, "| wrong password, median for names that exist and names that do not | %s, %s: %.1f %% apart | 5 %%: %s |\n", millis(middle(r.times.known)),
			millis(middle(r.times.unknown)), 100*r.times.difference(), met(r.times.difference() < reachTimes))
	}
	if len(r.audit.Audits) > 0 {
		r.writeAudit(&b)
	}
	if r.flood.attempts > 0 {
		r.writeFlood(&b)
	}
	return b.String()
}

// writeLoad writes the lines about the comparison.
func (r report) writeLoad(b *strings.Builder) {
	for _, row := range r.rows {
		if row.server == "Doorward" {
			ratio := float64(row.perRequest) / float64(r.bare(row.scheme))
			reach, against := reachRatio, "ReverseProxy"
			if row.scheme == forwardAuth {
				reach, against = reachAuthz, "handler"
			}
			fmt.Fprintf(b, "| %s, Doorward against bare %s | %.2f | %.2f: %s |\n", row.scheme, against, ratio, reach, met(ratio <= reach))
		}
	}
	fmt.Fprintf(b, "| memory (RSS) %s after the load | %d MB | 60 MB: %s |\n", r.settings.rest, r.restRSS>>20, met(r.restRSS < reachRestRSS))
	fmt.Fprintf(b, "| access events written of those that the load caused | %d of %d | all: %s |\n", r.events.written, r.events.appended+r.events.dropped,
		met(r.events.dropped == 0 && r.events.written == r.events.appended))
}

// writeFlood writes the lines about the flood. An answer 401 means that a password was hashed.
func (r report) writeFlood(b *strings.Builder) {
	fmt.Fprintf(b, "| memory (RSS), highest during a flood of sign-ins | %d MB | 200 MB: %s |\n", r.flood.peakRSS>>20, met(r.flood.peakRSS < reachFloodRSS))
	fmt.Fprintf(b, "| honest sign-ins during the flood | %d of %d, slowest %.1f s | all: %s |\n", r.flood.honestOK, r.flood.honest,
		r.flood.honestWait.Seconds(), met(r.flood.honestOK == r.flood.honest))
	fmt.Fprintf(b, "\nThe flood: %d attempts at %d names from %d addresses in %s, %d of them hashed; answers: %s.\n", r.flood.attempts, floodNames,
		floodAddresses, r.settings.flood, r.flood.byStatus[http.StatusUnauthorized], r.flood.answers())
}

func (r report) bare(scheme string) time.Duration {
	for _, row := range r.rows {
		if row.scheme == scheme && strings.HasPrefix(row.server, "bare") {
			return row.perRequest
		}
	}
	return 1
}

func (f floodResult) answers() string {
	statuses := make([]int, 0, len(f.byStatus))
	for status := range f.byStatus {
		statuses = append(statuses, status)
	}
	slices.Sort(statuses)
	var parts []string
	for _, status := range statuses {
		parts = append(parts, fmt.Sprintf("%d × %d", f.byStatus[status], status))
	}
	return strings.Join(parts, ", ")
}

func spread(samples []sample) (low, high time.Duration) {
	low = samples[0].perRequest()
	for _, s := range samples {
		low, high = min(low, s.perRequest()), max(high, s.perRequest())
	}
	return low, high
}

func micros(d time.Duration) string {
	return fmt.Sprintf("%.1f µs", float64(d)/float64(time.Microsecond))
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "**not met**"
}

// The generated parts of the file stand between these lines.
const (
	beginMark  = "<!-- begin: make bench -->\n"
	endMark    = "<!-- end: make bench -->\n"
	beginWatch = "<!-- begin: make bench, watch -->\n"
	endWatch   = "<!-- end: make bench, watch -->\n"
)

// writeInto replaces the parts of the file that were measured.
func (r report) writeInto(file string) error {
	if r.settings.gateway() || len(r.audit.Audits) > 0 {
		if err := writeBetween(file, beginMark, endMark, r.markdown()); err != nil {
			return err
		}
	}
	if watch := r.watch.markdown(); watch != "" {
		return writeBetween(file, beginWatch, endWatch, watch)
	}
	return nil
}
