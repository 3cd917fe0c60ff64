package console

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorward/doorward/geo"
	"github.com/doorward/doorward/hostname"
)

// addressCollector turns the counters of what is known of addresses, their countries and names, into metrics.
type addressCollector struct {
	countries func() geo.Stats
	names     func() hostname.Stats

	built, read, bytes, unusable, reloads, lookupErrors *prometheus.Desc
	held, queued, lookups, dropped, evicted             *prometheus.Desc
}

func newAddressCollector(countries func() geo.Stats, names func() hostname.Stats) *addressCollector {
	return &addressCollector{
		countries:    countries,
		names:        names,
		built:        metric("country_database_built_seconds", "When the country database was made, in seconds since 1970; 0 if it has no date.", "type"),
		read:         metric("country_database_read_seconds", "When the file of the country database was read, in seconds since 1970.", "type"),
		bytes:        metric("country_database_bytes", "Size of the country database in memory.", "type"),
		unusable:     metric("country_database_unusable", "1 while the database file that stands there now cannot be used, else 0."),
		reloads:      metric("country_database_reloads_total", "Replaced database files, by whether they could be used.", "outcome"),
		lookupErrors: metric("country_lookup_errors_total", "Look-ups of countries that met a damaged record."),
		held:         metric("host_names", "Addresses whose host name, or that there is none, is held in memory."),
		queued:       metric("host_name_queue", "Look-ups of host names that wait."),
		lookups:      metric("host_name_lookups_total", "Look-ups of host names, by outcome.", "outcome"),
		dropped:      metric("host_name_lookups_dropped_total", "Look-ups of host names that were not queued because the queue was full."),
		evicted:      metric("host_names_evicted_total", "Addresses forgotten before their time because there were too many."),
	}
}

// Describe sends what Collect may send.
func (m *addressCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.built, m.read, m.bytes, m.unusable, m.reloads, m.lookupErrors, m.held, m.queued, m.lookups,
		m.dropped, m.evicted} {
		to <- d
	}
}

// Collect reads the counters.
func (m *addressCollector) Collect(to chan<- prometheus.Metric) {
	counter, gauge := senders(to)
	countries := m.countries()
	if !countries.Read.IsZero() {
		gauge(m.built, unixSeconds(countries.Built), countries.Kind)
		gauge(m.read, unixSeconds(countries.Read), countries.Kind)
		gauge(m.bytes, float64(countries.Bytes), countries.Kind)
	}
	gauge(m.unusable, oneIf(countries.Failure != ""))
	counter(m.reloads, countries.Reloads, "success")
	counter(m.reloads, countries.ReloadFailures, "failure")
	counter(m.lookupErrors, countries.LookupErrors)
	names := m.names()
	gauge(m.held, float64(names.Cached))
	gauge(m.queued, float64(names.Queued))
	counter(m.lookups, names.Confirmed, hostname.Confirmed.String())
	counter(m.lookups, names.Unconfirmed, hostname.Unconfirmed.String())
	counter(m.lookups, names.Missing, hostname.Missing.String())
	counter(m.lookups, names.Failed, hostname.Failed.String())
	counter(m.dropped, names.Dropped)
	counter(m.evicted, names.Evicted)
}

// unixSeconds is 0 for the zero time.
func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}
