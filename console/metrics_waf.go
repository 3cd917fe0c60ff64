package console

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorward/doorward/gateway"
)

// wafCollector turns the counters of the web application firewall into metrics.
type wafCollector struct {
	read func() gateway.Stats

	inspected, detected, refused, busy, uninspected, memory, faults   *prometheus.Desc
	exceeded, dropped, compared, ruleSets, states, flushes, fallbacks *prometheus.Desc
}

func newWAFCollector(read func() gateway.Stats) *wafCollector {
	return &wafCollector{
		read:        read,
		inspected:   metric("waf_inspected_total", "Requests that the web application firewall looked at."),
		detected:    metric("waf_detected_total", "Of them, those in which rules matched."),
		refused:     metric("waf_refused_total", "Requests and answers that rules refused."),
		busy:        metric("waf_busy_total", "Requests for whose body there was no memory."),
		uninspected: metric("waf_answers_uninspected_total", "Answers in a form that could not be read, or for which there was no memory."),
		memory:      metric("waf_memory_bytes", "Memory that bodies of requests and answers take now."),
		faults:      metric("waf_faults_total", "Requests and answers that could not be judged, by what failed.", "failed"),
		exceeded:    metric("waf_bodies_over_limit_total", "Requests whose body was longer than a limit of the firewall's, by the setting.", "limit"),
		dropped:     metric("waf_dropped_total", "Values that were looked at as they came only, because more did not fit.", "what"),
		compared:    metric("waf_compared_total", "Requests that were to be judged by each rule one by one too, by what came of it.", "result"),
		ruleSets:    metric("waf_rule_sets", "Rule sets that are compiled, by the way in which they judge now.", "way"),
		states:      metric("waf_automata_bytes", "Memory of the automata that the rules in force have made."),
		flushes:     metric("waf_automata_flushes_total", "Times that an expression of the rules in force threw its automaton away."),
		fallbacks:   metric("waf_automata_fallbacks_total", "Texts that went to the slower matcher since the rules are in force."),
	}
}

// Describe sends what Collect may send.
func (m *wafCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.inspected, m.detected, m.refused, m.busy, m.uninspected, m.memory, m.faults, m.exceeded, m.dropped, m.compared,
		m.ruleSets, m.states, m.flushes, m.fallbacks} {
		to <- d
	}
}

// Collect reads the counters.
func (m *wafCollector) Collect(to chan<- prometheus.Metric) {
	counter, gauge := senders(to)
	s := m.read().WAF
	counter(m.inspected, s.Inspected)
	counter(m.detected, s.Detected)
	counter(m.refused, s.Refused)
	counter(m.busy, s.Busy)
	counter(m.uninspected, s.Uninspected)
	gauge(m.memory, float64(s.Memory))
	counter(m.faults, s.Panics, "panic")
	counter(m.faults, s.Limits, "limit")
	counter(m.faults, s.Rules, "rules")
	counter(m.exceeded, s.Bodies, "body_limit")
	counter(m.exceeded, s.Fields, "fields_limit")
	counter(m.dropped, s.Views, "views")
	counter(m.dropped, s.Spared, "narrowings")
	counter(m.compared, s.Compared-min(s.Differed, s.Compared), "same")
	counter(m.compared, s.Differed, "different")
	counter(m.compared, s.Skipped, "skipped")
	gauge(m.ruleSets, float64(s.Fast), "fast")
	gauge(m.ruleSets, float64(s.Plain), "plain")
	gauge(m.states, float64(s.States))
	counter(m.flushes, s.Flushes)
	counter(m.fallbacks, s.Fallbacks)
}
