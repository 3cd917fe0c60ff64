package api_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/audit/register"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/decision/bouncer"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway/exclusion"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/language/languagetest"
	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// rig is a handler over real parts.
type rig struct {
	handler *api.Handler
	auth    *auth.Auth
	db      *store.DB
	mail    *mail.Outbox
	log     *lockedBuffer
	events  *event.Log

	decisions *decision.List
	sites     []api.WAFSite // that are configured; nil: that is not known
	leftOut   int           // the rule that the configuration leaves out

	reload error // what the next reload gives

	mu       sync.Mutex
	reloaded []auth.Actor
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{log: &lockedBuffer{}}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	db := storetest.SQLite(t)
	var events event.Config
	events.SetDefaults()
	events.Dir = filepath.Join(t.TempDir(), "events")
	l, err := event.Open(t.Context(), events, db, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	j, err := journal.Open(t.Context(), db, filepath.Join(t.TempDir(), "journal.key"))
	if err != nil {
		t.Fatal(err)
	}
	var cfg auth.Config
	cfg.PasswordHash.MemoryKiB = 64 // a cheap hash: these tests are not about passwords
	cfg.SetDefaults()
	if r.auth, err = auth.New(cfg, auth.Deps{DB: db, Journal: j, Events: l, Log: log, Texts: languagetest.Shipped(t), HostName: placeName, Country: placeCountry}); err != nil {
		t.Fatal(err)
	}
	r.events = l
	r.db, r.mail = db, mail.New(mail.Config{Host: "127.0.0.1", From: "desk@example.org"}, mail.Deps{DB: db, Log: log})
	r.decisions, err = decision.Open(t.Context(), decision.Config{Trial: true, Allow: []string{"127.0.0.1", "192.0.2.9"}}, decision.Deps{DB: db, Journal: j, Log: log}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	exclusions, err := exclusion.Open(t.Context(), exclusion.Deps{DB: db, Journal: j, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	r.sites = []api.WAFSite{{Site: "a.example", Mode: "block"}, {Site: "off.example", Mode: "off"}}
	r.handler = api.NewHandler(api.Deps{Exclusions: exclusions, WAFSites: func() []api.WAFSite { return slices.Clone(r.sites) },
		LeftOut: func(x exclusion.Exclusion) bool { return x.Rule == r.leftOut }, Decisions: r.decisions, Bouncers: bouncer.NewKeys(db, j), Auth: r.auth, Journal: j, Register: register.New(db, j), Mail: r.mail, Events: l, Log: log, Version: "test", Reload: func(_ context.Context, who auth.Actor) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.reloaded = append(r.reloaded, who)
			return r.reload
		}})
	return r
}

// serve opens the admin socket in a folder of its own and returns its path.
func (r *rig) serve(t *testing.T) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	s, err := api.Listen(socket, r.handler)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run gave %v", err)
		}
	})
	return socket
}

func dial(t *testing.T, socket string) *api.Client {
	t.Helper()
	c, err := api.Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const password = "correct horse battery"

// TestBothWaysBehaveAlike runs a life of accounts over the socket and in the same process.
func TestBothWaysBehaveAlike(t *testing.T) {
	for name, connect := range map[string]func(*testing.T, *rig) *api.Client{
		"socket":  func(t *testing.T, r *rig) *api.Client { return dial(t, r.serve(t)) },
		"process": func(_ *testing.T, r *rig) *api.Client { return api.Local(r.handler, api.ActorOf(os.Geteuid())) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c, ctx := connect(t, r), t.Context()
			added, err := c.AddPrincipal(ctx, api.NewPrincipal{Name: "maria", Email: "maria@example.org", DisplayName: "Maria", Roles: []string{"owner", "agent"}, Password: password})
			if err != nil {
				t.Fatal(err)
			}
			if added.ID == "" || added.Name != "maria" || added.Email != "maria@example.org" || added.Disabled || cmp.Diff(added.Roles, []string{"owner", "agent"}) != "" {
				t.Errorf("added %+v", added)
			}
			if _, err := c.AddPrincipal(ctx, api.NewPrincipal{Name: "joe", Roles: []string{"user"}, Password: password}); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := r.auth.SignIn(ctx, auth.Attempt{Login: "joe", Password: password, Realm: auth.SiteRealm, Host: "a.example.org"}, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			sessions, err := c.Sessions(ctx, "joe")
			if err != nil || len(sessions) != 2 || sessions[0].User != "joe" || sessions[0].Host != "a.example.org" {
				t.Fatalf("sessions are %+v, %v; want two of joe", sessions, err)
			}
			if err := c.RevokeSession(ctx, sessions[0].ID); err != nil {
				t.Fatal(err)
			}
			if n, err := c.RevokeAll(ctx, "joe"); n != 1 || err != nil {
				t.Errorf("RevokeAll gave %d, %v; want 1", n, err)
			}
			if err := c.ResetPassword(ctx, "joe", password+" two", false); err != nil {
				t.Fatal(err)
			}
			if err := c.SetDisabled(ctx, "joe", true); err != nil {
				t.Fatal(err)
			}
			all, err := c.Principals(ctx)
			if err != nil || len(all) != 2 || all[0].Name != "joe" || !all[0].Disabled {
				t.Errorf("accounts are %+v, %v; want joe, disabled, and maria", all, err)
			}
			if err := c.SetDisabled(ctx, "joe", false); err != nil {
				t.Fatal(err)
			}
			checkJournal(t, c)
		})
	}
}

// checkJournal wants every action above in the journal, by whoever runs the test.
func checkJournal(t *testing.T, c *api.Client) {
	t.Helper()
	ctx := t.Context()
	entries, err := c.Entries(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	who := api.ActorOf(os.Geteuid())
	if len(entries) < 7 {
		t.Errorf("the journal has %d entries, want at least 7", len(entries))
	}
	for i, e := range entries {
		if e.Actor != who.Name || e.Origin != "local" || e.Index != int64(i) || e.Action == "" || e.Target == "" || e.Time.IsZero() {
			t.Errorf("entry %d is %+v", i, e)
		}
		if strings.Contains(e.Before+e.After, password) {
			t.Errorf("entry %d shows the password", i)
		}
	}
	if later, err := c.Entries(ctx, 2, 3); err != nil || len(later) != 3 || later[0].Index != 2 {
		t.Errorf("entries from 2, three at most, are %+v, %v", later, err)
	}
	head, err := c.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	report, err := c.Verify(ctx, head)
	if err != nil || len(report.Problems) != 0 || report.Size != int64(len(entries)) || report.KeptSize != report.Size {
		t.Errorf("Verify gave %+v, %v", report, err)
	}
	if report, err = c.Verify(ctx, "not a head"); err != nil || len(report.Problems) == 0 {
		t.Errorf("Verify with a head that is none gave %+v, %v; want a problem", report, err)
	}
}

func TestRefusalsAreWordsForTheCaller(t *testing.T) {
	r := newRig(t)
	c, ctx := dial(t, r.serve(t)), t.Context()
	owner := api.NewPrincipal{Name: "maria", Roles: []string{"owner"}, Password: password}
	if _, err := c.AddPrincipal(ctx, owner); err != nil {
		t.Fatal(err)
	}
	r.reload = errors.New("d.yaml:1:1: bad")
	add := func(n api.NewPrincipal) func() error {
		return func() error { _, err := c.AddPrincipal(ctx, n); return err }
	}
	for _, test := range []struct {
		name   string
		do     func() error
		status int
		text   string
	}{
		{"taken", add(owner), http.StatusConflict, "the name or e-mail address belongs to another account"},
		{"short password", add(api.NewPrincipal{Name: "x", Roles: []string{"user"}, Password: "short"}), http.StatusBadRequest, "The password needs at least 15 characters. The password is too easy to guess. Several words that have nothing to do with each other are better."},
		{"no password where none is said to be", add(api.NewPrincipal{Name: "x", Roles: []string{"user"}}), http.StatusBadRequest, "The password needs at least 15 characters."},
		{"unknown role", add(api.NewPrincipal{Name: "x", Roles: []string{"root"}, Password: password}), http.StatusBadRequest, `roles must not contain "root": only owner, admin, agent, user exist`},
		{"large", add(api.NewPrincipal{Name: strings.Repeat("x", 70_000), Roles: []string{"user"}, Password: password}), http.StatusRequestEntityTooLarge, "the request is larger than 65536 bytes"},
		{"last owner", func() error { return c.SetDisabled(ctx, "maria", true) }, http.StatusConflict, "this is the last enabled owner"},
		{"no account", func() error { return c.SetDisabled(ctx, "nobody/../maria", true) }, http.StatusNotFound, "there is no such account"},
		{"no account's sessions", func() error { _, err := c.Sessions(ctx, "nobody"); return err }, http.StatusNotFound, "there is no such account"},
		{"no session", func() error { return c.RevokeSession(ctx, "0197a3c2-5f0e-7c11-9b1e-0d6a4f1c2b3a") }, http.StatusNotFound, "there is no such session"},
		{"reload", func() error { return c.Reload(ctx) }, http.StatusConflict, "the configuration was not reloaded: d.yaml:1:1: bad"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var refused *api.Error
			if err := test.do(); !errors.As(err, &refused) || refused.Status != test.status || refused.Message != test.text {
				t.Errorf("got %#v, want %d %s", err, test.status, test.text)
			}
		})
	}
	if all, err := c.Principals(ctx); err != nil || len(all) != 1 {
		t.Errorf("accounts are %+v, %v; want maria alone", all, err)
	}
}

func TestReloadIsTheCallersAct(t *testing.T) {
	r := newRig(t)
	c := dial(t, r.serve(t))
	if err := c.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if diff := cmp.Diff([]auth.Actor{api.ActorOf(os.Geteuid())}, r.reloaded); diff != "" {
		t.Errorf("reloaded by (-want +got):\n%s", diff)
	}
}

// TestRawRequests sends what the client never would.
func TestRawRequests(t *testing.T) {
	r := newRig(t)
	socket := r.serve(t)
	h := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/v1/principals", `{"name":"x","roles":["user"],"password":"` + password + `","actor":"cli:root"}`, 400, "not the JSON"},
		{"POST", "/v1/principals", `{"name":"x"} {"name":"y"}`, 400, "more than one JSON value"},
		{"POST", "/v1/principals", `[`, 400, "not the JSON"},
		{"GET", "/v1/journal?from=-1", "", 400, "from must be a number"},
		{"GET", "/v1/journal?limit=1001", "", 400, "limit must be a number from 0 to 1000"},
		{"GET", "/v1/journal?from=x", "", 400, "from must be a number"},
		{"GET", "/v1/mail?limit=1001", "", 400, "limit must be a number from 0 to 1000"},
		{"GET", "/v1/reload", "", 405, ""},
		{"GET", "/v2/status", "", 404, ""},
		{"GET", "/v1/status", "", 200, `"version":"test"`},
	} {
		q, err := http.NewRequestWithContext(t.Context(), test.method, "http://x"+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := h.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != test.status || !strings.Contains(string(text), test.want) {
			t.Errorf("%s %s gave %d %s (%v), want %d with %q", test.method, test.path, answer.StatusCode, text, err, test.status, test.want)
		}
	}
}
