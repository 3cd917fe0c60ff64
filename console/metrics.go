package console

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/doorward/doorward/auth"
)

// newMetrics registers everything that /metrics shows in a registry of the console's own.
func (c *Console) newMetrics() (http.Handler, error) {
	registry := prometheus.NewRegistry()
	for _, collector := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newCollector(c),
		newAddressCollector(c.deps.Countries, c.deps.HostNames),
		newDecisionCollector(c.deps.Decisions),
		newWatchCollector(c.deps.Watch),
		newWAFCollector(c.deps.Traffic),
	} {
		if err := registry.Register(collector); err != nil {
			return nil, err
		}
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}), nil
}

// metrics lets peers on this machine read the numbers, and those elsewhere that bring the token, or an API token for it.
func (c *Console) metrics(x *exchange, r *http.Request, next http.Handler) error {
	x.quiet = true
	if !x.peer.IsLoopback() && !c.hasToken(r) && !c.hasAPIToken(x, r) {
		return &refusal{http.StatusForbidden, "metrics-token", "Metrics need a peer on this machine or the token."}
	}
	next.ServeHTTP(x, r)
	return nil
}

// hasToken compares in constant time, over hashes, so that not even the length is told.
func (c *Console) hasToken(r *http.Request) bool {
	want := c.settings.Load().token
	scheme, given, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if want == "" || !found || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// hasAPIToken tells whether the request brings an API token with the privilege to see metrics.
func (c *Console) hasAPIToken(x *exchange, r *http.Request) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || !auth.IsAPIToken(given) {
		return false
	}
	by, err := c.deps.Auth.AdminToken(r.Context(), x.host, given, x.peer, x.started)
	if err != nil {
		return false
	}
	x.user = by.Principal.Name
	return slices.Contains(by.Privileges, auth.SeeMetrics)
}

// collector turns the parts' own counters into metrics at the moment they are asked for.
type collector struct {
	console *Console

	build, requests, refused, panics, headersDropped       *prometheus.Desc
	connectionsOpen, connectionsRefused, connectionsClosed *prometheus.Desc
	streamsCut, protocolFaults                             *prometheus.Desc
	appended, written, dropped, failed, queued             *prometheus.Desc
	sessions, signIns, signInQueue, storeAway              *prometheus.Desc
	upstreamHealthy, upstreamRequests, upstreamFailures    *prometheus.Desc
	consoleRequests, consoleConnections                    *prometheus.Desc
	tokens, tokensWrong, reviewOverdue                     *prometheus.Desc
	registered, registrationLimits, texts                  *prometheus.Desc
	providersBusy, directoriesBusy, answersForgotten       *prometheus.Desc
}

// metric describes one of Doorward's own metrics.
func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("doorward_"+name, help, labels, nil)
}

func newCollector(c *Console) *collector {
	return &collector{
		console:            c,
		build:              metric("build_info", "Always 1; the label carries the version.", "version"),
		requests:           metric("http_requests_total", "Requests answered by the gateway, by class of status; 0xx counts answers that were cut.", "class"),
		refused:            metric("http_refused_total", "Requests that the gateway did not pass on, by reason.", "reason"),
		panics:             metric("http_panics_total", "Requests that met a defect of the gateway."),
		headersDropped:     metric("http_headers_dropped_total", "Request headers that were removed before the application could see them."),
		connectionsOpen:    metric("connections_open", "Connections open at the gateway."),
		connectionsRefused: metric("connections_refused_total", "Connections that were refused because the limit was reached."),
		connectionsClosed:  metric("connections_evicted_total", "Connections that never finished a request and were closed for newcomers at the limit."),
		streamsCut:         metric("streams_cut_total", "Answers that the gateway ended: session revoked, site removed, shutdown, or a client that took nothing."),
		protocolFaults:     metric("protocol_faults_total", "Handshakes and requests that made no sense as TLS or HTTP."),
		appended:           metric("events_appended_total", "Events taken into the event log's queue."),
		written:            metric("events_written_total", "Events written to the event store."),
		dropped:            metric("events_dropped_total", "Events lost because the queue was full."),
		failed:             metric("events_failed_total", "Events that the store refused and that are lost."),
		queued:             metric("events_queued", "Events waiting to be written."),
		sessions:           metric("sessions", "Sessions held in memory, of sites and console together."),
		signInQueue:        metric("sign_in_queue", "Sign-ins that wait for their password to be checked."),
		storeAway:          metric("store_away", "1 while accounts and sessions cannot be read from the store, else 0."),
		upstreamRequests:   metric("upstream_requests_total", "Requests sent to the upstream since the last reload.", "site", "upstream"),
		upstreamFailures:   metric("upstream_failures_total", "Requests that the upstream did not answer since the last reload.", "site", "upstream"),
		signIns:            metric("sign_in_total", "Sign-in attempts, by outcome.", "outcome"),
		upstreamHealthy:    metric("upstream_healthy", "1 while the upstream takes requests, else 0.", "site", "upstream"),
		consoleConnections: metric("console_connections_open", "Connections open at the console, of at most 256; at the limit the next one waits."),
		tokens:             metric("api_tokens", "API tokens held in memory, once for each host where they are used."),
		tokensWrong:        metric("api_tokens_wrong_total", "API tokens that were nobody's."),
		registered:         metric("registrations_total", "Accounts that people made for themselves."),
		registrationLimits: metric("registrations_limited_total", "Forms and codes of registrations that a limit turned away."),
		texts:              metric("text_messages_total", "Text messages given to the hook, by outcome: taken, lost.", "outcome"),
		reviewOverdue:      metric("access_review_overdue", "1 while the periodic review of who holds what is overdue, else 0."),
		providersBusy:      metric("provider_busy_total", "Sign-ins by OpenID Connect, and notices of sign-outs, turned away since the last reload because too many were under way."),
		directoriesBusy:    metric("directory_busy_total", "Questions to directories turned away since the last reload because too many were under way."),
		answersForgotten:   metric("provider_answers_forgotten_total", "Used answers of OpenID Connect providers forgotten before their time since the last reload."),
		consoleRequests:    metric("console_requests_total", "Requests answered by the console, by class of status.", "class"),
	}
}

// Describe sends what Collect may send.
func (m *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.build, m.requests, m.refused, m.panics, m.headersDropped, m.connectionsOpen,
		m.connectionsRefused, m.connectionsClosed, m.streamsCut, m.protocolFaults, m.appended, m.written, m.dropped, m.failed, m.queued, m.sessions,
		m.signIns, m.signInQueue, m.storeAway, m.upstreamHealthy, m.upstreamRequests, m.upstreamFailures, m.consoleRequests,
		m.consoleConnections, m.tokens, m.tokensWrong, m.registered, m.registrationLimits, m.texts, m.reviewOverdue,
		m.providersBusy, m.directoriesBusy, m.answersForgotten} {
		to <- d
	}
}

// Collect reads the counters.
func (m *collector) Collect(to chan<- prometheus.Metric) {
	counter, gauge := senders(to)
	gauge(m.build, 1, m.console.deps.Version)
	m.collectTraffic(counter, gauge)
	m.collectEvents(counter, gauge)
	m.collectSignIns(counter, gauge)
	for _, site := range m.console.deps.Sites() {
		for _, u := range site.Upstreams {
			gauge(m.upstreamHealthy, oneIf(u.Healthy), site.Name, u.Address)
			counter(m.upstreamRequests, u.Requests, site.Name, u.Address)
			counter(m.upstreamFailures, u.Failures, site.Name, u.Address)
		}
	}
	gauge(m.consoleConnections, float64(m.console.counters.open.Load()))
	for class := range m.console.counters.byClass {
		counter(m.consoleRequests, m.console.counters.byClass[class].Load(), statusClass(class))
	}
}

type (
	sendCounter func(d *prometheus.Desc, value uint64, labels ...string)
	sendGauge   func(d *prometheus.Desc, value float64, labels ...string)
)

func senders(to chan<- prometheus.Metric) (sendCounter, sendGauge) {
	return func(d *prometheus.Desc, value uint64, labels ...string) {
			to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
		}, func(d *prometheus.Desc, value float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
		}
}

func (m *collector) collectTraffic(counter sendCounter, gauge sendGauge) {
	traffic := m.console.deps.Traffic()
	for class, n := range traffic.ByStatusClass {
		counter(m.requests, n, statusClass(class))
	}
	for reason, n := range traffic.Refused {
		counter(m.refused, n, reason)
	}
	counter(m.panics, traffic.Panics)
	counter(m.headersDropped, traffic.DroppedHeaders)
	gauge(m.connectionsOpen, float64(traffic.ConnectionsOpen))
	counter(m.connectionsRefused, traffic.ConnectionsRefused)
	counter(m.connectionsClosed, traffic.ConnectionsEvicted)
	counter(m.streamsCut, traffic.StreamsCut)
	counter(m.protocolFaults, traffic.ProtocolFaults)
}

func (m *collector) collectEvents(counter sendCounter, gauge sendGauge) {
	events := m.console.deps.Events.Stats()
	counter(m.appended, events.Appended)
	counter(m.written, events.Written)
	counter(m.dropped, events.Dropped)
	counter(m.failed, events.Failed)
	gauge(m.queued, float64(events.Queued))
}

func (m *collector) collectSignIns(counter sendCounter, gauge sendGauge) {
	accounts := m.console.deps.Auth.Stats()
	gauge(m.sessions, float64(accounts.Sessions))
	gauge(m.signInQueue, float64(accounts.Queued))
	gauge(m.storeAway, oneIf(accounts.StoreAway))
	gauge(m.tokens, float64(accounts.Tokens))
	counter(m.tokensWrong, accounts.TokensWrong)
	counter(m.registered, accounts.Registered)
	counter(m.registrationLimits, accounts.RegistrationsLimited)
	counter(m.texts, accounts.Texts, "taken")
	counter(m.texts, accounts.TextsLost, "lost")
	counter(m.providersBusy, accounts.ProvidersBusy)
	counter(m.directoriesBusy, accounts.DirectoriesBusy)
	counter(m.answersForgotten, accounts.AnswersForgotten)
	gauge(m.reviewOverdue, oneIf(auth.ReviewOverdue(accounts.ReviewDue, time.Now())))
	for _, outcome := range []struct {
		name  string
		count uint64
	}{
		{"success", accounts.Succeeded}, {"wrong", accounts.Wrong}, {"waiting", accounts.Waited},
		{"busy", accounts.Busy}, {"unavailable", accounts.Unavailable},
	} {
		counter(m.signIns, outcome.count, outcome.name)
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func statusClass(class int) string { return strconv.Itoa(class) + "xx" }
