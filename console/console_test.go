package console_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/console"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/language/languagetest"
	"github.com/doorward/doorward/porttest"
)

func TestHealthzSaysAlive(t *testing.T) {
	r := start(t, nil)
	broken := errors.New("disk on fire")
	r.storeErr.Store(&broken) // alive is not ready: nothing else is looked at
	answer, text := r.send(t, http.MethodGet, "/healthz", nil)
	if answer.StatusCode != http.StatusOK || text != "ok\n" {
		t.Errorf("got %d %q, want 200 ok", answer.StatusCode, text)
	}
}

func TestReadyzNamesThePartThatIsMissing(t *testing.T) {
	r := start(t, nil)
	type check struct {
		Name   string
		OK     bool
		Detail string
	}
	expect := func(status int, wantMissing string) {
		t.Helper()
		answer, text := r.send(t, http.MethodGet, "/readyz", nil)
		var got struct {
			Ready  bool
			Checks []check
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("answer %q: %v", text, err)
		}
		var missing []string
		for _, c := range got.Checks {
			if !c.OK {
				missing = append(missing, c.Name+": "+c.Detail)
			}
		}
		if answer.StatusCode != status || strings.Join(missing, "; ") != wantMissing || got.Ready != (status == 200) {
			t.Errorf("got %d, missing %q, ready %v; want %d, missing %q", answer.StatusCode, missing, got.Ready, status, wantMissing)
		}
	}
	expect(503, "listeners: not accepting yet")
	close(r.serving)
	expect(200, "")
	good := *r.sites.Load()
	r.sites.Store(&[]gateway.SiteStatus{good[0], {Name: "down.example", Upstreams: []gateway.UpstreamStatus{{Address: "a"}, {Address: "b"}}}})
	expect(503, "upstreams of down.example: none is healthy")
	r.sites.Store(&[]gateway.SiteStatus{{Name: "half.example", Upstreams: []gateway.UpstreamStatus{{Address: "a"}, {Address: "b", Healthy: true}}}})
	expect(200, "")
	broken := errors.New("disk on fire at /secret/path")
	r.storeErr.Store(&broken)
	time.Sleep(1100 * time.Millisecond) // the last look at the store counts for a second
	expect(503, "store: cannot be read and written")
}

func TestMetricsShowEveryPart(t *testing.T) {
	r := start(t, nil)
	r.signIn(t, "the-owner")
	r.send(t, http.MethodPost, "/.doorward/sign-in", url.Values{"username": {"the-owner"}, "password": {"wrong"}})
	_, text := r.send(t, http.MethodGet, "/metrics", nil)
	for _, want := range []string{
		`doorward_build_info{version="v1.2.3-test"} 1`,
		`doorward_http_requests_total{class="2xx"} 1.234e+06`,
		`doorward_http_requests_total{class="5xx"} 7`,
		`doorward_http_refused_total{reason="rate"} 40`,
		`doorward_connections_open 12`,
		`doorward_upstream_healthy{site="desk.example",upstream="http://127.0.0.1:9"} 1`,
		`doorward_upstream_requests_total{site="desk.example",upstream="http://127.0.0.1:9"} 7`,
		`doorward_sign_in_total{outcome="success"} 1`,
		`doorward_sign_in_total{outcome="wrong"} 1`,
		`doorward_sessions 1`,
		`doorward_events_dropped_total 0`,
		`doorward_console_requests_total{class="3xx"} 1`,
		`doorward_console_requests_total{class="4xx"} 1`,
		`doorward_country_database_built_seconds{type="GeoLite2-Country"} 1.79e+09`,
		`doorward_country_database_read_seconds{type="GeoLite2-Country"} 1.7900001e+09`,
		`doorward_country_database_bytes{type="GeoLite2-Country"} 4096`,
		`doorward_country_database_unusable 1`,
		`doorward_country_database_reloads_total{outcome="success"} 2`,
		`doorward_country_database_reloads_total{outcome="failure"} 3`,
		`doorward_country_lookup_errors_total 1`,
		`doorward_host_names 11`,
		`doorward_host_name_queue 12`,
		`doorward_host_name_lookups_total{outcome="confirmed"} 13`,
		`doorward_host_name_lookups_total{outcome="unconfirmed"} 14`,
		`doorward_host_name_lookups_total{outcome="missing"} 15`,
		`doorward_host_name_lookups_total{outcome="failed"} 16`,
		`doorward_host_name_lookups_dropped_total 17`,
		`doorward_host_names_evicted_total 18`,
		`doorward_waf_inspected_total 30`,
		`doorward_waf_detected_total 4`,
		`doorward_waf_refused_total 3`,
		`doorward_waf_busy_total 1`,
		`doorward_waf_answers_uninspected_total 2`,
		`doorward_waf_memory_bytes 4096`,
		`doorward_waf_faults_total{failed="panic"} 5`,
		`doorward_waf_faults_total{failed="limit"} 6`,
		`doorward_waf_faults_total{failed="rules"} 7`,
		`doorward_waf_bodies_over_limit_total{limit="body_limit"} 18`,
		`doorward_waf_bodies_over_limit_total{limit="fields_limit"} 19`,
		`doorward_waf_dropped_total{what="views"} 8`,
		`doorward_waf_dropped_total{what="narrowings"} 9`,
		`doorward_waf_compared_total{result="same"} 10`,
		`doorward_waf_compared_total{result="different"} 11`,
		`doorward_waf_compared_total{result="skipped"} 12`,
		`doorward_waf_rule_sets{way="fast"} 13`,
		`doorward_waf_rule_sets{way="plain"} 14`,
		`doorward_waf_automata_bytes 15`,
		`doorward_waf_automata_flushes_total 16`,
		`doorward_waf_automata_fallbacks_total 17`,
		`process_open_fds`, `go_goroutines`,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func TestOnlyItsOwnHostsAreServed(t *testing.T) {
	r := start(t, nil)
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:" + r.port: 200, "localhost.": 200, "127.0.0.1:" + r.port: 200, "[::1]:8444": 200, "[::1]": 200,
		"rebound.example": 421, "127.0.0.1.nip.example": 421, "localhost.example": 421, "127.0.0.2": 421, "[::2]:8444": 421, "localhost:x y": 421,
	} {
		for _, path := range []string{"/healthz", "/metrics"} {
			answer, text := r.send(t, http.MethodGet, path, nil, "Host", host)
			if answer.StatusCode != want {
				t.Errorf("Host %q: GET %s: got %d, want %d\n%.200s", host, path, answer.StatusCode, want, text)
			}
		}
	}
	r.reload(t, console.Config{Hosts: []string{"console.example"}})
	if answer, _ := r.send(t, http.MethodGet, "/healthz", nil, "Host", "console.example"); answer.StatusCode != 200 {
		t.Errorf("a host after a reload: got %d, want 200", answer.StatusCode)
	}
	if answer, _ := r.send(t, http.MethodGet, "/healthz", nil, "Host", "localhost"); answer.StatusCode != 421 {
		t.Errorf("a host that the reload took away: got %d, want 421", answer.StatusCode)
	}
}

func TestStrangersAreSentToSignIn(t *testing.T) {
	r := start(t, nil)
	answer, _ := r.send(t, http.MethodGet, "/?show=refused", nil, "Accept", "text/html")
	if got, want := answer.Header.Get("Location"), "/.doorward/sign-in?return_to=%2F%3Fshow%3Drefused"; answer.StatusCode != 303 || got != want {
		t.Errorf("a person: got %d to %q, want 303 to %q", answer.StatusCode, got, want)
	}
	for _, path := range []string{"/", "/no-such-page"} {
		answer, _ := r.send(t, http.MethodGet, path, nil)
		if answer.StatusCode != 401 || answer.Header.Get("Www-Authenticate") == "" {
			t.Errorf("a program at %s: got %d, challenge %q, want 401 with one", path, answer.StatusCode, answer.Header.Get("Www-Authenticate"))
		}
	}
	cookie := console.CookieName + "=no-such-session"
	if answer, _ := r.send(t, http.MethodGet, "/", nil, "Cookie", cookie); answer.StatusCode != 401 {
		t.Errorf("an unknown session: got %d, want 401", answer.StatusCode)
	}
}

// TestThePrivilegeOpensTheConsole: the built-in roles have it or not, and so have roles of one's own.
func TestThePrivilegeOpensTheConsole(t *testing.T) {
	r := start(t, nil)
	for role, want := range map[string]int{"owner": 200, "admin": 200, "agent": 403, "user": 403, "watcher": 200, "lead": 403} {
		cookie := r.signIn(t, "the-"+role)
		answer, text := r.send(t, http.MethodGet, "/", nil, "Cookie", cookie, "Accept", "text/html")
		if answer.StatusCode != want {
			t.Errorf("%s: got %d, want %d", role, answer.StatusCode, want)
		}
		if want == 403 && (answer.Header.Get("X-Request-Id") == "" || !strings.Contains(text, answer.Header.Get("X-Request-Id"))) {
			t.Errorf("%s: the refusal shows no request id:\n%s", role, text)
		}
		if policy := answer.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: content policy %q is not strict", role, policy)
		}
		if answer, _ := r.send(t, http.MethodGet, "/no-such-page", nil, "Cookie", cookie); want == 200 && answer.StatusCode != 404 {
			t.Errorf("%s: an unknown page: got %d, want 404", role, answer.StatusCode)
		}
	}
}

func TestASessionOfASiteIsNoneHere(t *testing.T) {
	r := start(t, nil)
	cookie := r.signIn(t, "the-owner")
	asSite := strings.Replace(cookie, console.CookieName, gateway.CookieName, 1)
	if answer, _ := r.send(t, http.MethodGet, "/", nil, "Cookie", asSite); answer.StatusCode != 401 {
		t.Errorf("the token under the sites' cookie name: got %d, want 401", answer.StatusCode)
	}
	if answer, _ := r.send(t, http.MethodGet, "/", nil, "Cookie", cookie, "Host", "localhost"); answer.StatusCode != 401 {
		t.Errorf("the token at another host: got %d, want 401", answer.StatusCode)
	}
}

func TestOverviewShowsStateAndEscapesWhatStrangersSent(t *testing.T) {
	r := start(t, nil)
	close(r.serving)
	r.events.Append(event.Event{Time: time.Now(), Class: event.HTTP, Action: "GET", Outcome: event.Refused, Severity: event.Low,
		Source: netip.MustParseAddr("203.0.113.9"), User: "<b>mallory</b>", Site: "desk.example", Fields: []event.Field{
			{Key: "target", Value: `/<script>alert(1)</script>`}, {Key: "status", Value: "403"}, {Key: "reason", Value: "role"}, {Key: "request_id", Value: "QID7"}}})
	cookie := r.signIn(t, "the-admin")
	answer, text := r.send(t, http.MethodGet, "/", nil, "Cookie", cookie)
	if answer.StatusCode != 200 {
		t.Fatalf("got %d, want 200", answer.StatusCode)
	}
	for _, want := range []string{`<b id="who">the-admin</b>`, "v1.2.3-test", "1 h 30 min", "desk.example, help.example", "http://127.0.0.1:9",
		"healthy", "1\u202f234\u202f567", "203.0.113.9", "&lt;script&gt;alert(1)&lt;/script&gt;", "&lt;b&gt;mallory&lt;/b&gt;", "QID7"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(text, "<script") || strings.Contains(text, "<b>mallory") {
		t.Error("what a stranger sent is markup on the page")
	}
	if !strings.Contains(text, "POST /.doorward/sign-in") {
		t.Error("the sign-in to the console is not among the events")
	}
	_, text = r.send(t, http.MethodGet, "/?show=refused", nil, "Cookie", cookie)
	if !strings.Contains(text, "203.0.113.9") || strings.Contains(text, "<code>POST /.doorward/sign-in</code>") {
		t.Error("the list of refused requests does not hold exactly those")
	}
}

func TestOverviewShowsAtMostAHundredEvents(t *testing.T) {
	r := start(t, nil)
	for range 150 {
		r.events.Append(event.Event{Time: time.Now(), Class: event.HTTP, Action: "GET", Outcome: event.Success,
			Source: netip.MustParseAddr("203.0.113.9"), Site: "desk.example", Fields: []event.Field{{Key: "target", Value: "/many"}}})
	}
	_, text := r.send(t, http.MethodGet, "/", nil, "Cookie", r.signIn(t, "the-owner"))
	if got := strings.Count(text, "<tr class="); got != 100 {
		t.Errorf("got %d events, want 100", got)
	}
}

func TestOverviewComesWithoutEventsWhenTheyCannotBeRead(t *testing.T) {
	r := start(t, nil)
	cookie := r.signIn(t, "the-owner")
	r.send(t, http.MethodGet, "/", nil, "Cookie", cookie)
	r.stopRecording()
	must(t, r.events.Close())
	days, err := filepath.Glob(filepath.Join(r.eventDir, "*"))
	must(t, err)
	for _, day := range days {
		must(t, os.WriteFile(day, []byte(strings.Repeat("no database ", 1000)), 0o600))
	}
	answer, text := r.send(t, http.MethodGet, "/", nil, "Cookie", cookie)
	if answer.StatusCode != 200 || !strings.Contains(text, "event store cannot be read") {
		t.Errorf("got %d, want 200 and a word about the event store", answer.StatusCode)
	}
}

func TestAccessIsRecorded(t *testing.T) {
	r := start(t, nil)
	cookie := r.signIn(t, "the-user")
	r.send(t, http.MethodGet, "/", nil, "Cookie", cookie)
	r.send(t, http.MethodGet, "/healthz", nil)
	r.send(t, http.MethodGet, "/metrics", nil)
	r.send(t, http.MethodGet, "/healthz", nil, "Host", "rebound.example")
	must(t, r.events.Flush(t.Context()))
	events, err := r.events.Query(t.Context(), event.Query{Site: "console", Class: event.HTTP, Limit: 10})
	must(t, err)
	var got []string
	for _, e := range events {
		line := string(e.Outcome) + " " + e.User
		for _, f := range e.Fields {
			if f.Key == "target" || f.Key == "status" || f.Key == "reason" {
				line += " " + f.Value
			}
		}
		got = append(got, line)
	}
	want := []string{"refused  /healthz 421 host-unknown", "refused the-user / 403 role", "success  /.doorward/sign-in 303"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got events\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAnotherSiteCannotActHere(t *testing.T) {
	r := start(t, nil)
	answer, _ := r.send(t, http.MethodPost, "/.doorward/sign-in", url.Values{"username": {"the-owner"}, "password": {password}},
		"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	if answer.StatusCode != 403 {
		t.Errorf("got %d, want 403", answer.StatusCode)
	}
}

func TestAPortInUseIsNamedAndNothingStaysOpen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	free, err := porttest.Free()
	must(t, err)
	freeAddress := fmt.Sprintf("127.0.0.1:%d", free)
	r := start(t, nil) // for its parts; the console below must not start
	_, err = console.New(console.Config{Listen: []string{freeAddress, taken.Addr().String()}}, console.Deps{Log: slog.New(slog.DiscardHandler), Texts: languagetest.Shipped(t),
		Events: r.events, Sites: func() []gateway.SiteStatus { return nil }, Traffic: func() gateway.Stats { return gateway.Stats{} }})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("got %v, want an error that names %s", err, taken.Addr())
	}
	again, err := net.Listen("tcp", freeAddress)
	if err != nil {
		t.Fatalf("the first address stayed open: %v", err)
	}
	again.Close()
}

func TestConnectionsAreCappedAndCounted(t *testing.T) {
	r := start(t, nil)
	_, text := r.send(t, http.MethodGet, "/metrics", nil)
	if !strings.Contains(text, "\ndoorward_console_connections_open 1\n") {
		t.Error("the one open connection is not counted")
	}
	r.client.CloseIdleConnections()
	var silent []net.Conn
	defer func() {
		for _, conn := range silent {
			conn.Close()
		}
	}()
	for range 256 {
		conn, err := net.Dial("tcp", "127.0.0.1:"+r.port)
		must(t, err)
		silent = append(silent, conn)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/healthz", nil)
	must(t, err)
	answered := make(chan int, 1)
	go func() {
		if answer, err := r.client.Do(request); err == nil {
			answer.Body.Close()
			answered <- answer.StatusCode
		}
	}()
	select {
	case status := <-answered:
		t.Errorf("the 257th connection was served at once, with %d", status)
	case <-time.After(300 * time.Millisecond):
	}
	silent[0].Close()
	select {
	case status := <-answered:
		if status != 200 {
			t.Errorf("after one has left: got %d, want 200", status)
		}
	case <-time.After(time.Minute):
		t.Error("the waiting connection is not served after one has left")
	}
}

func TestStopLeavesNothingListening(t *testing.T) {
	r := start(t, nil)
	r.send(t, http.MethodGet, "/healthz", nil)
	began := time.Now()
	must(t, r.stop())
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the stop took %v", took)
	}
	if conn, err := net.Dial("tcp", "127.0.0.1:"+r.port); err == nil {
		conn.Close()
		t.Error("the port still accepts")
	}
}

func TestMetricsTokenIsForPeersElsewhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte("the-token-of-prometheus\n"), 0o600))
	r := start(t, func(c *console.Config) { c.MetricsTokenFile = file })
	ask := func(peer, authorization string) int {
		request := httptest.NewRequest(http.MethodGet, "https://localhost/metrics", nil)
		request.RemoteAddr = peer
		if authorization != "" {
			request.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		r.console.ServeHTTP(w, request)
		return w.Code
	}
	for _, test := range []struct {
		peer, authorization string
		want                int
	}{
		{"127.0.0.1:5000", "", 200},
		{"127.8.8.8:5000", "", 200},
		{"[::1]:5000", "", 200},
		{"[::ffff:127.0.0.1]:5000", "", 200},
		{"192.0.2.7:5000", "", 403},
		{"192.0.2.7:5000", "Bearer the-token-of-prometheus", 200},
		{"192.0.2.7:5000", "bearer the-token-of-prometheus", 200},
		{"192.0.2.7:5000", "Bearer the-token-of-prometheu", 403},
		{"192.0.2.7:5000", "Bearer ", 403},
		{"192.0.2.7:5000", "the-token-of-prometheus", 403},
		{"not an address", "", 403},
	} {
		if got := ask(test.peer, test.authorization); got != test.want {
			t.Errorf("peer %s, Authorization %q: got %d, want %d", test.peer, test.authorization, got, test.want)
		}
	}
	r.reload(t, console.Config{Hosts: []string{"localhost"}})
	if got := ask("192.0.2.7:5000", "Bearer "); got != 403 {
		t.Errorf("an empty token when none is set: got %d, want 403", got)
	}
}

// reload takes over cfg as the running app does.
func (r *running) reload(t *testing.T, cfg console.Config) {
	t.Helper()
	swap, err := r.console.Prepare(cfg)
	if err != nil {
		t.Fatalf("prepare console: %v", err)
	}
	swap()
}
