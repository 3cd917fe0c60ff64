package auth_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

var client = netip.MustParseAddr("192.0.2.1")

// token adds an API token and returns its text.
func (f *fixture) token(account, name string, privileges ...auth.Privilege) (string, auth.TokenInfo) {
	f.t.Helper()
	info, token, err := f.AddToken(f.t.Context(), actor, account, auth.NewToken{Name: name, Privileges: privileges}, f.now)
	if err != nil {
		f.t.Fatal(err)
	}
	return token, info
}

// use opens a site with a token.
func (f *fixture) use(token string) (*auth.Session, error) {
	return f.TokenSession(f.t.Context(), host, token, client, f.now)
}

func TestTokens(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		n := int64(len(f.entries(0)))
		token, info := f.token("admin", "backup", auth.SeeEvents, auth.UseSites)
		if !regexp.MustCompile(`^dw_[A-Za-z0-9_-]{43}$`).MatchString(token) {
			t.Errorf("token %q", token)
		}
		want := auth.TokenInfo{ID: info.ID, Account: "admin", Name: "backup", Privileges: []auth.Privilege{auth.UseSites, auth.SeeEvents},
			Created: info.Created, Expires: info.Created.Add(90 * 24 * time.Hour)}
		list, err := f.Tokens(t.Context(), "admin")
		if diff := cmp.Diff([]auth.TokenInfo{want}, list, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("tokens: %v (-want +got):\n%s", err, diff)
		}
		sum := sha256.Sum256([]byte(strings.TrimPrefix(token, "dw_")))
		if got := row[string](f, `SELECT hash FROM api_token`); got != hex.EncodeToString(sum[:]) {
			t.Errorf("the store has %s", got)
		}
		if got := f.entries(n); len(got) != 1 || got[0].Action != "token.add" || got[0].Target != "admin" || strings.Contains(got[0].After, token[5:]) {
			t.Errorf("journal %+v", got)
		}
		s, err := f.use(token)
		if err != nil {
			t.Fatal(err)
		}
		if !s.IsToken() || s.Level != auth.PasswordLevel || !s.HasRole(auth.Admin) || s.Host != host || s.Realm != auth.SiteRealm || ended(s) {
			t.Errorf("session %+v", s)
		}
		if again, err := f.use(token); err != nil || again != s {
			t.Errorf("the second request has another session (%v)", err)
		}
		by, err := f.AdminToken(t.Context(), "localhost", token, client, f.now)
		if err != nil || !by.Token || len(by.Privileges) != 2 || by.Principal.Name != "admin" {
			t.Errorf("administrator %+v, %v", by, err)
		}
		// It is no session token, and a session's token is none of these.
		f.wantSession(token, auth.ErrNoSession, "as a cookie")
		f.wantSession(strings.TrimPrefix(token, "dw_"), auth.ErrNoSession, "its random part as a cookie")

		f.restart()
		if s, err = f.use(token); err != nil {
			t.Errorf("after a restart: %v", err)
		}
		wantErr(t, f.RevokeToken(t.Context(), actor, info.ID, f.now), nil, "revoke")
		if !ended(s) {
			t.Error("Done is open after the token was revoked")
		}
		_, err = f.use(token)
		wantErr(t, err, auth.ErrNoSession, "revoked")
		wantErr(t, f.RevokeToken(t.Context(), actor, info.ID, f.now), auth.ErrNotFound, "revoke twice")
		if list, err := f.Tokens(t.Context(), ""); err != nil || len(list) != 0 {
			t.Errorf("tokens of all: %v, %v; want none", list, err)
		}
	})
}

func TestTokensThatCannotBe(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		good := auth.NewToken{Name: "t", Privileges: []auth.Privilege{auth.UseSites}}
		for name, c := range map[string]struct {
			account string
			change  func(*auth.NewToken)
			field   string
		}{
			"no name":           {"agent", func(n *auth.NewToken) { n.Name = "" }, "name"},
			"line break":        {"agent", func(n *auth.NewToken) { n.Name = "a\nb" }, "name"},
			"no privilege":      {"agent", func(n *auth.NewToken) { n.Privileges = nil }, "privileges"},
			"not its own":       {"agent", func(n *auth.NewToken) { n.Privileges = []auth.Privilege{auth.SeeEvents} }, "privileges"},
			"an owner's":        {"admin", func(n *auth.NewToken) { n.Privileges = []auth.Privilege{auth.ManageRoles} }, "privileges"},
			"no such privilege": {"owner", func(n *auth.NewToken) { n.Privileges = []auth.Privilege{"fly"} }, "privileges"},
			"too long":          {"agent", func(n *auth.NewToken) { n.Life = auth.MaxTokenLife + time.Second }, "expiry"},
			"backwards":         {"agent", func(n *auth.NewToken) { n.Life = -time.Hour }, "expiry"},
			"host with port":    {"agent", func(n *auth.NewToken) { n.Hosts = []string{"a b"} }, "hosts"},
			"no network":        {"agent", func(n *auth.NewToken) { n.Networks = []netip.Prefix{{}} }, "networks"},
		} {
			n := good
			c.change(&n)
			_, token, err := f.AddToken(t.Context(), actor, c.account, n, f.now)
			var input *auth.InputError
			if !errors.As(err, &input) || input.Field != c.field || token != "" {
				t.Errorf("%s: %q, %v; want an error about %s", name, token, err, c.field)
			}
		}
		_, _, err := f.AddToken(t.Context(), actor, "nobody", good, f.now)
		wantErr(t, err, auth.ErrNotFound, "nobody")

		// Twenty at a time.
		for i := range 20 {
			f.token("agent", fmt.Sprintf("t%d", i), auth.UseSites)
		}
		var input *auth.InputError
		if _, _, err := f.AddToken(t.Context(), actor, "agent", good, f.now); !errors.As(err, &input) || input.Field != "account" {
			t.Errorf("the 21st: %v, want an error about the account", err)
		}
		f.token("user", "t", auth.UseSites)
		if _, _, err := f.AddToken(t.Context(), actor, "user", good, f.now); !errors.As(err, &input) || input.Field != "name" {
			t.Errorf("a name twice: %v, want an error about the name", err)
		}
		f.now = f.now.Add(91 * 24 * time.Hour) // expired ones do not count
		f.token("agent", "t0", auth.UseSites)
	})
}

func TestWhereTokensAreGood(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.cfg.Roles = []auth.RoleConfig{{Name: "agent", Factor: "none", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}}}
		f.restart()
		add := func(account string, n auth.NewToken) string {
			t.Helper()
			n.Name = fmt.Sprint("t", f.now.UnixNano())
			_, token, err := f.AddToken(t.Context(), actor, account, n, f.now)
			if err != nil {
				t.Fatal(err)
			}
			f.step()
			return token
		}
		sites := []auth.Privilege{auth.UseSites}
		bound := add("agent", auth.NewToken{Privileges: sites, Hosts: []string{"Desk.Example."}, Life: time.Hour,
			Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28"), netip.MustParsePrefix("203.0.113.0/24")}})
		blind := add("owner", auth.NewToken{Privileges: []auth.Privilege{auth.SeeEvents}})
		for _, c := range []struct {
			what, token, host, from string
			after                   time.Duration
			want                    error
		}{
			{"as it should be", bound, host, "192.0.2.1", 0, nil},
			{"IPv4 in IPv6 form", bound, host, "::ffff:192.0.2.1", 0, nil},
			{"another host", bound, "other.example", "192.0.2.1", 0, auth.ErrNoSession},
			{"the console's host", bound, "localhost", "192.0.2.1", 0, auth.ErrNoSession},
			{"outside of its networks", bound, host, "192.0.2.200", 0, auth.ErrNetwork},
			{"outside of the role's", bound, host, "203.0.113.9", 0, auth.ErrNetwork},
			{"IPv6 of the role's only", bound, host, "2001:db8::1", 0, auth.ErrNetwork},
			{"just before its end", bound, host, "192.0.2.1", 59 * time.Minute, nil},
			{"at its end", bound, host, "192.0.2.1", time.Hour, auth.ErrNoSession},
		} {
			s, err := f.TokenSession(t.Context(), c.host, c.token, netip.MustParseAddr(c.from), f.now.Add(c.after))
			if !errors.Is(err, c.want) || (s == nil) != (err != nil) {
				t.Errorf("%s: %v, want %v", c.what, err, c.want)
			}
		}
		var no *auth.DeniedError
		if _, err := f.TokenSession(t.Context(), host, blind, client, f.now); !errors.As(err, &no) {
			t.Errorf("a token that is not for sites: %v, want a *DeniedError", err)
		}
		if by, err := f.AdminToken(t.Context(), host, blind, client, f.now); err != nil || len(by.Privileges) != 1 {
			t.Errorf("the same at the console: %+v, %v", by, err)
		}
	})
}

// What takes the ground from a token ends it, for good.
func TestWhatEndsTokens(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		ctx := t.Context()
		both := f.add("both", auth.Admin, auth.Agent)
		for what, c := range map[string]struct {
			privileges []auth.Privilege
			do, undo   func() error
			ends       bool
		}{
			"disabled": {[]auth.Privilege{auth.UseSites}, func() error { return f.SetDisabled(ctx, actor, "both", true) },
				func() error { return f.SetDisabled(ctx, actor, "both", false) }, true},
			"role lost": {[]auth.Privilege{auth.UseSites, auth.SeeEvents}, func() error { return f.SetRoles(ctx, actor, "both", []auth.Role{auth.Agent}) },
				func() error { return f.SetRoles(ctx, actor, "both", []auth.Role{auth.Admin, auth.Agent}) }, true},
			"role without its privileges lost": {[]auth.Privilege{auth.UseSites}, func() error { return f.SetRoles(ctx, actor, "both", []auth.Role{auth.Agent}) },
				func() error { return f.SetRoles(ctx, actor, "both", []auth.Role{auth.Admin, auth.Agent}) }, false},
			"password reset": {[]auth.Privilege{auth.UseSites}, func() error { return f.ResetPassword(ctx, actor, "both", password+" two", false) }, nil, false},
			"not me": {[]auth.Privilege{auth.UseSites}, func() error {
				_, err := f.NotMe(ctx, attempt("", "", "192.0.2.1"), f.link("not-me", both.ID), f.now)
				return err
			}, nil, true},
		} {
			token, _ := f.token("both", what, c.privileges...)
			s, err := f.use(token)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if err := c.do(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if c.ends && !ended(s) {
				t.Errorf("%s: Done is open", what)
			}
			if c.undo != nil {
				if _, err := f.use(token); c.ends != errors.Is(err, auth.ErrNoSession) {
					t.Errorf("%s: %v, want an end %t", what, err, c.ends)
				}
				if err := c.undo(); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			}
			s, err = f.use(token)
			if c.ends != errors.Is(err, auth.ErrNoSession) {
				t.Errorf("%s: afterwards %v, want an end %t", what, err, c.ends)
			}
			if !c.ends && s != nil && !s.HasRole(auth.Agent) {
				t.Errorf("%s: roles %v", what, s.Principal.Roles)
			}
		}
	})
}

// link stores a mailed link and returns its code.
func (f *fixture) link(kind, principalID string) string {
	f.t.Helper()
	code := strings.Repeat("c", 43)
	sum := sha256.Sum256([]byte(code))
	err := f.db.Write(f.t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO mailed_link (hash, kind, principal_id, data, created_at, expires_at) VALUES ($1, $2, $3, '', $4, $5)`,
			hex.EncodeToString(sum[:]), kind, principalID, store.Micros(f.now), store.Micros(f.now.Add(time.Hour)))
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return code
}

// TestTokenEndsElsewhere: what one process does is so in another within a second, by its ordinary round.
func TestTokenEndsElsewhere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		other := f.another()
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- other.Run(ctx) }()
		defer func() {
			stop()
			if err := <-done; err != nil {
				t.Errorf("Run = %v", err)
			}
		}()
		for what, do := range map[string]func(id string) error{
			"revoked":  func(id string) error { return f.RevokeToken(t.Context(), actor, id, time.Now()) },
			"disabled": func(string) error { return f.SetDisabled(t.Context(), actor, "agent", true) },
		} {
			token, info := f.token("agent", what, auth.UseSites)
			s, err := other.TokenSession(t.Context(), host, token, client, time.Now())
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			began := time.Now()
			if err := do(info.ID); err != nil {
				t.Fatal(err)
			}
			select {
			case <-s.Done():
				if took := time.Since(began); took > 15*time.Second { // a second, and what a busy machine adds
					t.Errorf("%s: another process knew after %v", what, took)
				}
			case <-time.After(time.Minute):
				t.Errorf("%s: another process still believes the token after a minute", what)
			}
			if _, err := other.TokenSession(t.Context(), host, token, client, time.Now()); !errors.Is(err, auth.ErrNoSession) {
				t.Errorf("%s: another process says %v", what, err)
			}
			if what == "disabled" {
				wantErr(t, f.SetDisabled(t.Context(), actor, "agent", false), nil, "enable")
			}
		}
	})
}

// TestNewTokenStays: the rounds that look for changes elsewhere find a new token for minutes; its streams must not end by that.
func TestNewTokenStays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		token, _ := f.token("agent", "new", auth.UseSites)
		s, err := f.use(token)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			f.step()
			f.Sweep(t.Context(), f.now)
		}
		if again, err := f.use(token); err != nil || again != s || ended(s) {
			t.Errorf("after three rounds: %v, the same session %t, ended %t", err, again == s, ended(s))
		}
	})
}

// TestWrongTokensWait: who tries tokens waits like who tries passwords, and stops nobody who has one in use.
func TestWrongTokensWait(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	token, _ := f.token("agent", "t", auth.UseSites)
	if _, err := f.use(token); err != nil {
		t.Fatal(err)
	}
	revoked, gone := f.token("agent", "gone", auth.UseSites)
	wantErr(t, f.RevokeToken(t.Context(), actor, gone.ID, f.now), nil, "revoke")
	for range 5 {
		_, err := f.use(revoked)
		wantErr(t, err, auth.ErrNoSession, "one that was revoked is no guess")
	}
	for _, wrong := range []string{"dw_" + strings.Repeat("x", 43), "dw_", "nonsense"} {
		_, err := f.use(wrong)
		wantErr(t, err, auth.ErrNoSession, wrong)
	}
	_, err := f.use("dw_" + strings.Repeat("y", 43))
	if wait := waiting(err); wait < 9*time.Second || wait > 10*time.Second {
		t.Errorf("the fourth: %v, want a wait of 10 seconds", err)
	}
	if waiting(f.try("agent", password, client.String())) == 0 {
		t.Error("passwords from there need not wait")
	}
	if _, err := f.use(token); err != nil {
		t.Errorf("a token that is in use: %v", err)
	}
	if got := f.Stats().TokensWrong; got != 3 {
		t.Errorf("%d wrong tokens counted, want 3", got)
	}
	f.now = f.now.Add(11 * time.Second)
	if _, err := f.use(token); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

// TestTokensInMemory reaches the cap: tokens displace each other and go on working.
func TestTokensInMemory(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.ShrinkTokens(3)
	var tokens []string
	for i := range 6 {
		token, _ := f.token("agent", fmt.Sprint("t", i), auth.UseSites)
		tokens = append(tokens, token)
	}
	for range 2 {
		for _, token := range tokens {
			if _, err := f.use(token); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s := f.Stats(); s.Tokens != 3 || s.TokensDisplaced < 6 {
		t.Errorf("%d tokens in memory and %d displaced, want 3 and at least 6", s.Tokens, s.TokensDisplaced)
	}
}

// TestTokenLastUse is written once a minute at most, and at the end.
func TestTokenLastUse(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		token, _ := f.token("agent", "t", auth.UseSites)
		used := func() time.Time { return store.FromMicros(row[int64](f, `SELECT last_used_at FROM api_token`)) }
		check := func(when string, want time.Time) {
			t.Helper()
			if got := used(); !got.Equal(want.Truncate(time.Microsecond)) {
				t.Errorf("%s: last used %v, want %v", when, got, want)
			}
		}
		first := f.now
		for range 3 {
			if _, err := f.use(token); err != nil {
				t.Fatal(err)
			}
			f.Sweep(t.Context(), f.now)
			f.now = f.now.Add(20 * time.Second)
		}
		check("within a minute", first)
		f.Sweep(t.Context(), f.now)
		last := f.now.Add(-20 * time.Second)
		check("after a minute", last)
		if _, err := f.use(token); err != nil {
			t.Fatal(err)
		}
		last = f.now
		f.restart()
		check("at the end", last)
	})
}

// TestTokensWithoutStore: without the store privileged tokens close at once, others go on like sessions.
func TestTokensWithoutStore(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	agent, _ := f.token("agent", "t", auth.UseSites)
	admin, _ := f.token("admin", "t", auth.UseSites)
	for _, token := range []string{agent, admin} {
		if _, err := f.use(token); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	f.Sweep(t.Context(), f.now)
	_, err := f.use(agent)
	wantErr(t, err, nil, "an agent's")
	_, err = f.use(admin)
	wantErr(t, err, auth.ErrUnavailable, "an administrator's")
	f.now = f.now.Add(16 * time.Minute)
	_, err = f.use(agent)
	wantErr(t, err, auth.ErrUnavailable, "an agent's after 16 minutes")
}

// FuzzToken: whatever is given for a token opens nothing, and nothing breaks.
func FuzzToken(f *testing.F) {
	x := newFixture(f, storetest.SQLite(f))
	x.token("agent", "t", auth.UseSites)
	for _, seed := range []string{"", "dw_", "dw_" + strings.Repeat("A", 43), "dw_\x00", "DW_" + strings.Repeat("A", 43), strings.Repeat("é", 43)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		x.now = x.now.Add(time.Minute)
		if s, err := x.TokenSession(context.Background(), host, token, client, x.now); s != nil || err == nil {
			t.Errorf("%q opens a session", token)
		}
	})
}

// However many tokens have expired before, the one that is good loses what the roles do not give any more.
func TestRolesLostAfterManyTokens(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		p := f.add("both", auth.Admin, auth.Agent)
		old := store.Micros(f.now.Add(-24 * time.Hour))
		if err := db.Write(t.Context(), func(tx *sql.Tx) error {
			for i := range 1000 {
				id := fmt.Sprintf("old-%d", i)
				if _, err := tx.ExecContext(t.Context(), `INSERT INTO api_token (id, principal_id, name, hash, privileges, hosts, networks,
created_at, expires_at, changed_at) VALUES ($1, $2, $1, $1, 'see-events', '', '', $3, $3, $3)`, id, p.ID, old); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		_, info := f.token("both", "new", auth.UseSites, auth.SeeEvents)
		if err := f.SetRoles(t.Context(), actor, "both", []auth.Role{auth.Agent}); err != nil {
			t.Fatal(err)
		}
		if why := row[string](f, `SELECT ended_why FROM api_token WHERE id = $1`, info.ID); why != "account.roles" {
			t.Errorf("the new token has ended by %q, want account.roles", why)
		}
		if err := f.SetRoles(t.Context(), actor, "both", []auth.Role{auth.Admin, auth.Agent}); err != nil {
			t.Fatal(err)
		}
		if ended := row[int](f, `SELECT COUNT(*) FROM api_token WHERE ended_at > 0`); ended != 1 {
			t.Errorf("%d tokens have ended, want the one that was good", ended)
		}
	})
}
