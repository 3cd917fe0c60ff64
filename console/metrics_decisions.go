package console

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorward/doorward/decision"
)

// decisionCollector turns the decision list's counters into metrics.
type decisionCollector struct {
	stats func() decision.Stats

	targets, proposals, ended, namesFailed, forgotten, resynced *prometheus.Desc
}

func newDecisionCollector(stats func() decision.Stats) *decisionCollector {
	return &decisionCollector{
		stats:       stats,
		targets:     metric("decision_targets", "Targets that decisions stand about, by kind.", "kind"),
		proposals:   metric("decision_proposals_total", "Proposals of detections and people, by what became of them.", "result"),
		ended:       metric("decisions_ended_total", "Decisions that ended, by why.", "why"),
		namesFailed: metric("decision_names_failed_total", "Look-ups of the allow list's names without an answer."),
		forgotten:   metric("decision_history_forgotten_total", "Offences and ended decisions forgotten before their time because there were too many."),
		resynced:    metric("decision_watchers_resynced_total", "Followers of the list that fell behind and were told everything again."),
	}
}

// Describe sends what Collect may send.
func (m *decisionCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.targets, m.proposals, m.ended, m.namesFailed, m.forgotten, m.resynced} {
		to <- d
	}
}

// Collect reads the counters.
func (m *decisionCollector) Collect(to chan<- prometheus.Metric) {
	counter, gauge := senders(to)
	s := m.stats()
	gauge(m.targets, float64(s.Addresses), string(decision.Address))
	gauge(m.targets, float64(s.Accounts), string(decision.Account))
	gauge(m.targets, float64(s.Countries), string(decision.Country))
	for result, n := range map[decision.Result]uint64{decision.Made: s.Made, decision.Extended: s.Extended, decision.Standing: s.Standing, decision.Known: s.Known,
		decision.Allowed: s.Allowed, decision.TooWide: s.TooWide, decision.Past: s.Past, decision.Full: s.Full, decision.NotValid: s.Wrong} {
		counter(m.proposals, n, string(result))
	}
	for why, n := range map[string]uint64{"expired": s.Expired, "deleted": s.Lifted, "displaced": s.Displaced, "displaced-spoofable": s.SpoofableDisplaced,
		"allowed": s.AllowEnded} {
		counter(m.ended, n, why)
	}
	counter(m.namesFailed, s.NamesFailed)
	counter(m.forgotten, s.Forgotten)
	counter(m.resynced, s.Resynced)
}
