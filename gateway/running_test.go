package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/language/languagetest"
	"github.com/doorward/doorward/store"
)

// running is a gateway that serves on ports of its own, over a store of its own.
type running struct {
	*gateway.Gateway
	t      testing.TB
	auth   *auth.Auth
	roots  *x509.CertPool // of the own authority
	dir    string
	log    *logBuffer
	cfg    gateway.Config
	deps   gateway.Deps
	cancel context.CancelFunc
	done   chan error
}

// logBuffer keeps a log for the test to look at.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// publicSite is a site "localhost" that anybody may use, in front of upstreams. Its application folder
// declares the WebSocket path /ws.
func publicSite(t *testing.T, upstreams ...string) gateway.SiteConfig {
	t.Helper()
	return gateway.SiteConfig{
		Hosts:     []string{"localhost"},
		Upstreams: upstreams,
		App:       appFolder(t),
		Access:    []gateway.AccessRule{{Path: "/", Public: true}},
		WAF:       gateway.SiteWAFConfig{Mode: "off"}, // each gateway would compile the rules, a second of work: the tests of the firewall turn it on
	}
}

func appFolder(t *testing.T) string {
	t.Helper()
	return appFolderWith(t, "websocket_paths:\n  - path: /ws\n    source: \"choice: this test opens it\"\n")
}

// appFolderWith is an application folder that adds lines to the generic one.
func appFolderWith(t *testing.T, lines string) string {
	t.Helper()
	dir := t.TempDir()
	text := "title: A test\nextends: generic\n" + lines
	if err := os.WriteFile(filepath.Join(dir, "gateway.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// start runs a gateway with sites. Addresses that cfg leaves out are loopback ports that the system chooses.
func start(t testing.TB, cfg gateway.Config, sites ...gateway.SiteConfig) *running {
	t.Helper()
	return startWith(t, gateway.Deps{}, cfg, sites...)
}

// hostNameOf knows one name, and nothing of other addresses.
func hostNameOf(address netip.Addr) string {
	if address.String() == "192.0.2.77" {
		return "pc77.example.org"
	}
	return ""
}

// startWith is start with the functions of deps.
func startWith(t testing.TB, deps gateway.Deps, cfg gateway.Config, sites ...gateway.SiteConfig) *running {
	t.Helper()
	r := &running{t: t, dir: t.TempDir(), log: &logBuffer{}, done: make(chan error, 1)}
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	db, err := store.Open(ctx, store.Config{Path: filepath.Join(r.dir, "doorward.db")})
	must(t, err)
	events, err := event.Open(ctx, event.Config{Dir: r.dir, RetentionDays: 1, Queue: 1 << 16}, db, log)
	must(t, err)
	j, err := journal.Open(ctx, db, filepath.Join(r.dir, "journal.key"))
	must(t, err)
	var authConfig auth.Config
	authConfig.SetDefaults()
	banned := func(name string, now time.Time) bool {
		if deps.Decisions == nil {
			return false
		}
		d, decided := deps.Decisions.LookupAccount(name, now)
		return decided && d.Action == decision.Ban
	}
	r.auth, err = auth.New(authConfig, auth.Deps{DB: db, Journal: j, Events: events, Log: log, Texts: languagetest.Shipped(t), HostNameNow: hostNameOf,
		Banned: banned})
	must(t, err)
	cfg.DataDir, cfg.Sites = r.dir, sites
	if cfg.Listen.HTTPS == nil && cfg.Listen.HTTP == nil && cfg.Listen.Plain == nil {
		cfg.Listen = gateway.ListenConfig{HTTPS: []string{"127.0.0.1:0"}, HTTP: []string{"127.0.0.1:0"}, Plain: []string{"127.0.0.1:0"}}
	}
	cfg.SetDefaults()
	r.cfg = cfg
	r.deps = deps
	r.deps.Auth, r.deps.Events, r.deps.Log, r.deps.Texts = r.auth, events, log, languagetest.Shipped(t)
	r.Gateway, err = gateway.New(cfg, r.deps)
	must(t, err)
	recording, stopRecording := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { _ = r.auth.Run(ctx) })
	running.Go(func() { _ = events.Run(recording) })
	go func() { r.done <- r.Run(ctx) }()
	<-r.Ready()
	authority, err := os.ReadFile(filepath.Join(r.dir, "authority", "root.crt"))
	must(t, err)
	r.roots = x509.NewCertPool()
	r.roots.AppendCertsFromPEM(authority)
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		stopRecording()
		running.Wait()
		if err := errors.Join(events.Close(), db.Close()); err != nil {
			t.Errorf("close: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", r.log)
		}
	})
	return r
}

// stop ends the gateway; a second call does nothing.
func (r *running) stop() error {
	r.cancel()
	select {
	case err, ok := <-r.done:
		if ok {
			close(r.done)
		}
		return err
	case <-time.After(time.Minute):
		return errors.New("the gateway did not stop within a minute")
	}
}

func (r *running) address(kind string) string {
	r.t.Helper()
	a := r.Addresses(kind)
	if len(a) == 0 {
		r.t.Fatalf("the gateway does not listen for %s", kind)
	}
	return a[0].String()
}

func (r *running) port(kind string) string {
	_, port, err := net.SplitHostPort(r.address(kind))
	must(r.t, err)
	return port
}

// client trusts the own authority, keeps no cookies and follows no redirects. Every name leads to the gateway.
func (r *running) client() *http.Client {
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: r.roots},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// url is path at the site localhost on the listener for kind.
func (r *running) url(kind, path string) string {
	scheme := "http"
	if kind == "https" {
		scheme = "https"
	}
	return scheme + "://localhost:" + r.port(kind) + path
}

// get asks for path over plain HTTP/1.1 and returns status and body.
func (r *running) get(path string) (int, string) {
	r.t.Helper()
	res, err := r.client().Get(r.url("plain", path))
	must(r.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(r.t, err)
	return res.StatusCode, string(body)
}

// signIn makes a user's account and a session at localhost; it returns the session cookie and the session's id. signInAs does it for
// another role, and signInAt at another time.
func (r *running) signIn(name string) (*http.Cookie, string) { return r.signInAs(name, auth.User) }

func (r *running) signInAs(name string, role auth.Role) (*http.Cookie, string) {
	return r.signInAt(name, role, time.Now())
}

func (r *running) signInAt(name string, role auth.Role, now time.Time) (*http.Cookie, string) {
	r.t.Helper()
	const password = "seventeen letters"
	_, err := r.auth.AddPrincipal(r.t.Context(), auth.Actor{Name: "test", Origin: "local"},
		auth.NewPrincipal{Name: name, Roles: []auth.Role{role}, Password: password})
	must(r.t, err)
	out, err := r.auth.SignIn(r.t.Context(), auth.Attempt{Login: name, Password: password,
		Address: netip.MustParseAddr("127.0.0.1"), Realm: auth.SiteRealm, Host: "localhost", Site: "localhost"}, now)
	must(r.t, err)
	return &http.Cookie{Name: gateway.CookieName, Value: out.Token}, out.Session.ID
}

func (r *running) revoke(id string) {
	r.t.Helper()
	must(r.t, r.auth.RevokeSession(r.t.Context(), auth.Actor{Name: "test", Origin: "local"}, id))
}

// raw opens a TCP connection to the plain listener.
func (r *running) raw() net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.address("plain"))
	must(r.t, err)
	r.t.Cleanup(func() { conn.Close() })
	return conn
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until ok says true.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", within, what)
}

// wantAllocations wants that f allocates no more often than most on average. What runs in the background is counted too, such as the
// compiling of rules for a gateway of an earlier test: the fewest of several counts within a minute are f's own.
func wantAllocations(t *testing.T, most float64, f func()) {
	t.Helper()
	least := testing.AllocsPerRun(100, f)
	for end := time.Now().Add(time.Minute); least > most && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		least = min(least, testing.AllocsPerRun(100, f))
	}
	if least > most {
		t.Errorf("got %v allocations, want %v at most", least, most)
	}
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
