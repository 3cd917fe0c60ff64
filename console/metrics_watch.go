package console

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorward/doorward/detect"
)

// watchCollector turns the counters of what detects into metrics.
type watchCollector struct {
	read func() (detect.RuleCounters, []detect.JailStatus)

	events, matches, missed, forgotten, newErrors, heldErrors, jailLines, jailFailures, jailProblem *prometheus.Desc
}

func newWatchCollector(read func() (detect.RuleCounters, []detect.JailStatus)) *watchCollector {
	return &watchCollector{
		read:         read,
		events:       metric("watch_events_total", "Events held against the detections since they were put in force."),
		matches:      metric("watch_matches_total", "Matches of detections, by what became of them.", "result"),
		missed:       metric("watch_missed_total", "Events and records that no detection saw, by why.", "why"),
		forgotten:    metric("watch_forgotten_total", "Counts of clients let go because there were too many."),
		newErrors:    metric("watch_new_errors_total", "Kinds of errors in logs that were not seen before."),
		heldErrors:   metric("watch_held_errors_total", "Errors of new kinds that were not told, because there were too many in an hour."),
		jailLines:    metric("watch_jail_lines_total", "Lines that an imported jail of fail2ban read.", "jail"),
		jailFailures: metric("watch_jail_failures_total", "Failures that an imported jail counted.", "jail"),
		jailProblem:  metric("watch_jail_problem", "1 where an imported jail does not run or cannot read its logs.", "jail"),
	}
}

// Describe sends what Collect may send.
func (m *watchCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.events, m.matches, m.missed, m.forgotten, m.newErrors, m.heldErrors, m.jailLines, m.jailFailures, m.jailProblem} {
		to <- d
	}
}

// Collect reads the counters.
func (m *watchCollector) Collect(to chan<- prometheus.Metric) {
	counter, gauge := senders(to)
	s, jails := m.read()
	counter(m.events, s.Events)
	for result, n := range map[string]uint64{"proposed": s.Proposals, "standing": s.Standing, "told": s.Alerts, "quiet": s.Quiet, "no-target": s.NoTarget} {
		counter(m.matches, n, result)
	}
	counter(m.missed, s.Missed, "queue-full")
	counter(m.missed, s.Unknown, "unknown")
	counter(m.forgotten, s.Forgotten)
	counter(m.newErrors, s.NewErrors)
	counter(m.heldErrors, s.Held)
	for _, j := range jails {
		counter(m.jailLines, j.Counters.Lines, j.Name)
		counter(m.jailFailures, j.Counters.Failures, j.Name)
		problem := 0.0
		if j.Problem != "" {
			problem = 1
		}
		gauge(m.jailProblem, problem, j.Name)
	}
}
