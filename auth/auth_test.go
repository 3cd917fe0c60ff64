package auth_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/language/languagetest"
	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/store"
)

const (
	password = "correct horse battery"
	host     = "desk.example"
)

// cheap is a configuration whose hashes take microseconds.
func cheap() auth.Config {
	cfg := auth.Config{PasswordHash: auth.HashConfig{MemoryKiB: 64, Time: 1}}
	cfg.SetDefaults()
	return cfg
}

// fixture is an Auth on a store, with one account of each role, called as the role.
type fixture struct {
	*auth.Auth
	t       testing.TB
	db      *store.DB
	journal *journal.Journal
	outbox  *mail.Outbox // nil unless a test calls withMail
	events  *event.Log   // nil unless a test sets it before restart
	cfg     auth.Config
	now     time.Time
}

var actor = auth.Actor{Name: "cli:tester", Origin: "local"}

func newFixture(t testing.TB, db *store.DB) *fixture {
	t.Helper()
	j, err := journal.Open(t.Context(), db, filepath.Join(t.TempDir(), "journal.key"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, db: db, journal: j, cfg: cheap(), now: time.Now()}
	f.restart()
	for _, role := range []auth.Role{auth.Owner, auth.Admin, auth.Agent, auth.User} {
		f.add(string(role), role)
	}
	return f
}

// restart replaces the Auth by a new one, as a new process would have it.
func (f *fixture) restart() {
	f.t.Helper()
	if f.Auth != nil {
		if err := f.Close(); err != nil {
			f.t.Fatal(err)
		}
	}
	f.Auth = f.another()
}

// reload takes a new configuration, as a running Doorward does.
func (f *fixture) reload(cfg auth.Config) {
	f.t.Helper()
	swap, err := f.Prepare(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	swap()
}

// another is a second process on the same store.
func (f *fixture) another() *auth.Auth {
	f.t.Helper()
	a, err := auth.New(f.cfg, auth.Deps{DB: f.db, Journal: f.journal, Events: f.events, Log: slog.New(slog.DiscardHandler), Texts: languagetest.Shipped(f.t), Mail: f.outbox, Port: ":8443"})
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

func (f *fixture) add(name string, roles ...auth.Role) auth.Principal {
	f.t.Helper()
	p, err := f.AddPrincipal(f.t.Context(), actor, auth.NewPrincipal{Name: name, Email: name + "@example.com",
		DisplayName: "The " + name, Roles: roles, Password: password})
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// attempt is a sign-in by a browser at an address.
func attempt(login, password, address string) auth.Attempt {
	return auth.Attempt{Login: login, Password: password, Address: netip.MustParseAddr(address), Realm: auth.SiteRealm,
		Host: host, Site: "desk", UserAgent: "Browser/1", RequestID: "req-1"}
}

// signIn signs in and fails the test if that does not work.
func (f *fixture) signIn(login string) (token string, s *auth.Session) {
	f.t.Helper()
	out, err := f.SignIn(f.t.Context(), attempt(login, password, "192.0.2.1"), f.now)
	if err != nil {
		f.t.Fatalf("sign in as %s: %v", login, err)
	}
	return out.Token, out.Session
}

// try signs in from an address and returns the error only.
func (f *fixture) try(login, password, address string) error {
	_, err := f.SignIn(f.t.Context(), attempt(login, password, address), f.now)
	return err
}

// session looks a token up at the site.
func (f *fixture) session(token string) (*auth.Session, error) {
	return f.Session(f.t.Context(), auth.SiteRealm, host, token, f.now)
}

// wantSession fails the test if the token is not as the error says.
func (f *fixture) wantSession(token string, want error, when string) {
	f.t.Helper()
	if s, err := f.session(token); !errors.Is(err, want) || (err == nil) != (s != nil) {
		f.t.Errorf("%s: session %t, error %v; want %v", when, s != nil, err, want)
	}
}

// ended tells whether the session's Done is closed.
func ended(s *auth.Session) bool {
	select {
	case <-s.Done():
		return true
	default:
		return false
	}
}

func wantErr(t *testing.T, got, want error, what string) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// waiting returns the wait that the error tells of; 0 if it is no *WaitError.
func waiting(err error) time.Duration {
	var wait *auth.WaitError
	if errors.As(err, &wait) {
		return wait.RetryAfter
	}
	return 0
}

// row reads one value from the store behind the package's back.
func row[T any](f *fixture, query string, args ...any) (v T) {
	f.t.Helper()
	if err := f.db.QueryRowContext(context.Background(), query, args...).Scan(&v); err != nil {
		f.t.Fatalf("%s: %v", query, err)
	}
	return v
}

// step lets a second pass.
func (f *fixture) step() { f.now = f.now.Add(time.Second) }
