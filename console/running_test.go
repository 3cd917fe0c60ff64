package console_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/console"
	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/gateway/waf"
	"github.com/doorward/doorward/geo"
	"github.com/doorward/doorward/hostname"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/language/languagetest"
	"github.com/doorward/doorward/store"
)

const password = "correct horse battery staple"

// running is a console on a real listener over a real store.
type running struct {
	url     string
	port    string
	events  *event.Log
	auth    *auth.Auth
	console *console.Console
	client  *http.Client

	storeErr atomic.Pointer[error]
	serving  chan struct{}
	sites    atomic.Pointer[[]gateway.SiteStatus]
	stop     func() error
	// stopRecording ends the event log's writer.
	stopRecording func()
	eventDir      string
}

// start runs a console with one account a role; change may adapt its configuration.
func start(t *testing.T, change func(*console.Config)) *running {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	r := &running{serving: make(chan struct{})}
	dir := t.TempDir()
	db, err := store.Open(t.Context(), store.Config{Path: filepath.Join(dir, "doorward.db")})
	must(t, err)
	t.Cleanup(func() { db.Close() })
	eventConfig := event.Config{Dir: filepath.Join(dir, "events")}
	eventConfig.SetDefaults()
	r.eventDir = eventConfig.Dir
	r.events, err = event.Open(t.Context(), eventConfig, db, log)
	must(t, err)
	j, err := journal.Open(t.Context(), db, filepath.Join(dir, "journal.key"))
	must(t, err)
	authConfig := auth.Config{PasswordHash: auth.HashConfig{MemoryKiB: 8 << 10, Time: 1}, Roles: []auth.RoleConfig{
		{Name: "watcher", Privileges: []auth.Privilege{auth.UseConsole}}, {Name: "lead", Privileges: []auth.Privilege{auth.SeeAccounts}}}}
	authConfig.SetDefaults()
	accounts, err := auth.New(authConfig, auth.Deps{DB: db, Journal: j, Events: r.events, Log: log, Texts: languagetest.Shipped(t)})
	must(t, err)
	r.auth = accounts
	for _, role := range []auth.Role{auth.Owner, auth.Admin, auth.Agent, auth.User, "watcher", "lead"} {
		_, err := accounts.AddPrincipal(t.Context(), auth.Actor{Name: "test", Origin: "local"},
			auth.NewPrincipal{Name: "the-" + string(role), Roles: []auth.Role{role}, Password: password})
		must(t, err)
	}
	r.sites.Store(&[]gateway.SiteStatus{{Name: "desk.example", Hosts: []string{"desk.example", "help.example"}, App: "generic",
		Upstreams: []gateway.UpstreamStatus{{Address: "http://127.0.0.1:9", Healthy: true, Requests: 7}}}})

	lender := httptest.NewUnstartedServer(nil) // for its certificate
	lender.StartTLS()
	defer lender.Close()
	config := console.Config{Listen: []string{"127.0.0.1:0"}}
	if change != nil {
		change(&config)
	}
	config.SetDefaults()
	r.console, err = console.New(config, console.Deps{
		Auth: accounts, Events: r.events, Log: log, TLS: &tls.Config{Certificates: lender.TLS.Certificates}, Texts: languagetest.Shipped(t), Version: "v1.2.3-test",
		Started: time.Now().Add(-90 * time.Minute),
		Store: func(ctx context.Context) error {
			if broken := r.storeErr.Load(); broken != nil {
				return *broken
			}
			return db.Ping(ctx)
		},
		API:     api.NewHandler(api.Deps{Auth: accounts, Journal: j, Events: r.events, Log: log, Version: "v1.2.3-test"}).ServeHTTPS,
		Serving: r.serving,
		Sites:   func() []gateway.SiteStatus { return *r.sites.Load() },
		Traffic: func() gateway.Stats {
			return gateway.Stats{Requests: 1234567, ByStatusClass: [6]uint64{2: 1234000, 4: 560, 5: 7}, ConnectionsOpen: 12,
				Refused: map[string]uint64{"role": 5, "rate": 40},
				WAF: waf.Stats{Inspected: 30, Detected: 4, Refused: 3, Busy: 1, Uninspected: 2, Memory: 4096, Panics: 5, Limits: 6, Rules: 7, Views: 8,
					Spared: 9, Bodies: 18, Fields: 19, Compared: 21, Differed: 11, Skipped: 12, Fast: 13, Plain: 14, States: 15, Flushes: 16, Fallbacks: 17}}
		},
		Countries: func() geo.Stats {
			return geo.Stats{Kind: "GeoLite2-Country", Built: time.Unix(1_790_000_000, 0), Read: time.Unix(1_790_000_100, 0), Bytes: 4096,
				LookupErrors: 1, Reloads: 2, ReloadFailures: 3, Failure: "is empty"}
		},
		Watch: func() (detect.RuleCounters, []detect.JailStatus) {
			return detect.RuleCounters{Events: 19, Proposals: 2}, []detect.JailStatus{{Name: "sshd", Counters: detect.JailCounters{Lines: 21}}}
		},
		Decisions: func() decision.Stats { return decision.Stats{Addresses: 3, Made: 4, Lifted: 1} },
		HostNames: func() hostname.Stats {
			return hostname.Stats{Cached: 11, Queued: 12, Confirmed: 13, Unconfirmed: 14, Missing: 15, Failed: 16, Dropped: 17, Evicted: 18}
		},
	})
	must(t, err)
	_, r.port, _ = net.SplitHostPort(r.console.Addresses()[0].String())
	r.url = "https://127.0.0.1:" + r.port
	r.client = newClient(lender)
	r.run(t)
	return r
}

func (r *running) run(t *testing.T) {
	serving, stopServing := context.WithCancel(context.Background())
	recording, stopRecording := context.WithCancel(context.Background())
	done, recorded := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(recorded)
		_ = r.events.Run(recording) // ends with its context; package event tests what else it says
	}()
	go func() { done <- r.console.Run(serving) }()
	<-r.console.Ready()
	r.stopRecording = func() {
		stopRecording()
		<-recorded
	}
	r.stop = sync.OnceValue(func() error {
		stopServing()
		err := <-done
		r.stopRecording()
		return err
	})
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		if err := r.stop(); err != nil {
			t.Errorf("stop console: %v", err)
		}
		r.events.Close()
	})
}

// newClient keeps cookies nowhere and follows nothing: each test says what it sends.
func newClient(lender *httptest.Server) *http.Client {
	client := lender.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// send sends a request and returns the answer with its body read.
func (r *running) send(t *testing.T, method, path string, form url.Values, headers ...string) (*http.Response, string) {
	t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(t.Context(), method, r.url+path, body)
	must(t, err)
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
	}
	answer, err := r.client.Do(request)
	must(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	return answer, string(text)
}

// signIn returns the session cookie of an account, as a Cookie header.
func (r *running) signIn(t *testing.T, name string) string {
	t.Helper()
	answer, text := r.send(t, http.MethodPost, "/.doorward/sign-in", url.Values{"username": {name}, "password": {password}})
	if answer.StatusCode != http.StatusSeeOther {
		t.Fatalf("sign in as %s: got %d, want 303\n%s", name, answer.StatusCode, text)
	}
	for _, cookie := range answer.Cookies() {
		if cookie.Name == console.CookieName {
			if !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" || cookie.Domain != "" {
				t.Errorf("the session cookie is not fit for its __Host- name: %v", cookie)
			}
			return cookie.Name + "=" + cookie.Value
		}
	}
	t.Fatalf("sign in as %s set no %s", name, console.CookieName)
	return ""
}
