package auth_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// eachFault runs f with a store that can be taken away and brought back: a SQLite file that is moved away,
// a PostgreSQL server that is stopped.
func eachFault(t *testing.T, f func(t *testing.T, fx *fixture, away, back func())) {
	t.Run("sqlite file moved away", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "doorward.db")
		fx := newFixture(t, storetest.Open(t, store.Config{Path: path}))
		move := func(from, to string) {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				if err := os.Rename(from+suffix, to+suffix); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
			}
		}
		f(t, fx, func() { move(path, path+".away") }, func() { move(path+".away", path) })
	})
	t.Run("postgres stopped", func(t *testing.T) {
		url, stop, start := storetest.PostgreSQL(t)
		fx := newFixture(t, storetest.Open(t, store.Config{URLFile: storetest.URLFile(t, url)}))
		f(t, fx, stop, start)
	})
}

// Database down: sign-in is closed, sessions of owners and administrators close at once, the others go on
// for 15 minutes; when it is back, so is all that was not revoked (security.md).
func TestStoreAway(t *testing.T) {
	eachFault(t, func(t *testing.T, f *fixture, away, back func()) {
		sessions := map[string]*auth.Session{}
		tokens := map[string]string{}
		for _, login := range []string{"owner", "admin", "agent", "user"} {
			tokens[login], sessions[login] = f.signIn(login)
		}
		signedOut, s := f.signIn("agent")
		uncached := f.another()
		f.fail("agent", "192.0.2.7")
		f.fail("agent", "192.0.2.7")
		f.Sweep(t.Context(), f.now)

		away()
		wantErr(t, f.try("agent", password, "192.0.2.1"), auth.ErrUnavailable, "the first sign-in without a store")
		for _, login := range []string{"owner", "admin"} {
			if !ended(sessions[login]) {
				t.Errorf("Done of %s is open", login)
			}
			f.wantSession(tokens[login], auth.ErrUnavailable, login)
		}
		for _, login := range []string{"agent", "user"} {
			f.wantSession(tokens[login], nil, login)
		}
		if !f.Stats().StoreAway {
			t.Error("Stats do not say that the store is away")
		}
		began := time.Now()
		wantErr(t, f.try("agent", password, "192.0.2.1"), auth.ErrUnavailable, "another sign-in")
		_, err := uncached.Session(t.Context(), auth.SiteRealm, host, tokens["agent"], f.now)
		wantErr(t, err, auth.ErrUnavailable, "a session that is not in memory")
		if d := time.Since(began); d > 15*time.Second {
			t.Errorf("it took %v to say that the store is away", d)
		}
		wantErr(t, f.RevokeSession(t.Context(), actor, sessions["agent"].ID), auth.ErrUnavailable, "revoke")
		_, err = f.AddPrincipal(t.Context(), actor, auth.NewPrincipal{Name: "zoe", Roles: []auth.Role{auth.User}, Password: password})
		wantErr(t, err, auth.ErrUnavailable, "add an account")
		_, err = f.Principals(t.Context())
		wantErr(t, err, auth.ErrUnavailable, "list accounts")

		// Who signs out is out, whether the store hears of it or not.
		if err := f.SignOut(t.Context(), s, f.now); err != nil || !ended(s) {
			t.Errorf("sign out: %v, Done closed %t", err, ended(s))
		}

		f.now = f.now.Add(14 * time.Minute)
		f.Sweep(t.Context(), f.now)
		f.wantSession(tokens["agent"], nil, "after 14 minutes")
		f.now = f.now.Add(2 * time.Minute)
		f.wantSession(tokens["agent"], auth.ErrUnavailable, "after 16 minutes")
		f.Sweep(t.Context(), f.now)
		if !ended(sessions["agent"]) {
			t.Error("Done of agent is open after 16 minutes")
		}

		back()
		waitBack(t, f)
		for login, token := range tokens {
			f.wantSession(token, nil, login+" when the store is back")
		}
		f.wantSession(signedOut, auth.ErrNoSession, "signed out while the store was away")
		f.restart()
		f.wantSession(signedOut, auth.ErrNoSession, "signed out while the store was away, after a restart")
		wantErr(t, f.try("agent", password, "192.0.2.1"), nil, "sign-in when the store is back")
		f.fail("agent", "192.0.2.7")
		f.wantWait("192.0.2.7", 10*time.Second, "two failures before, one after")
	})
}

// waitBack gives the store the time to recover, as Run does.
func waitBack(t *testing.T, f *fixture) {
	t.Helper()
	for range 600 {
		f.Sweep(t.Context(), f.now)
		if !f.Stats().StoreAway {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the store is still away a minute after it came back")
}

// Nobody needs to sign in for the loss to be noticed: the rounds do, and so does a token that is not in memory.
func TestStoreAwayIsNoticed(t *testing.T) {
	for name, notice := range map[string]func(f *fixture){
		"by the rounds": func(f *fixture) {
			for range 6 {
				f.now = f.now.Add(time.Second)
				f.Sweep(f.t.Context(), f.now)
			}
		},
		"by an unknown token": func(f *fixture) {
			_, _ = f.session("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachFault(t, func(t *testing.T, f *fixture, away, _ func()) {
				token, s := f.signIn("owner")
				f.Sweep(t.Context(), f.now)
				away()
				notice(f)
				if !ended(s) {
					t.Error("Done of the owner is open")
				}
				f.wantSession(token, auth.ErrUnavailable, "the owner's session")
			})
		})
	}
}

// A request that is given up by its client says nothing about the store.
func TestCancelledRequestIsNoFault(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	token, s := f.signIn("owner")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		_, _ = f.SignIn(ctx, attempt("agent", password, "192.0.2.1"), f.now)
		_, _ = f.another().Session(ctx, auth.SiteRealm, host, token, f.now)
	}
	if f.Stats().StoreAway || ended(s) {
		t.Errorf("store away %t, the owner's session ended %t; want neither", f.Stats().StoreAway, ended(s))
	}
	f.wantSession(token, nil, "the owner")
}

// A database that can be read but not written is no place to sign in, or to be an administrator: neither a
// session nor its revocation could be kept.
func TestStoreReadOnly(t *testing.T) {
	url, _, _ := storetest.PostgreSQL(t)
	f := newFixture(t, storetest.Open(t, store.Config{URLFile: storetest.URLFile(t, url)}))
	readOnly := func(on string) {
		t.Helper()
		server, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		for _, statement := range []string{`SET default_transaction_read_only = off`,
			`ALTER SYSTEM SET default_transaction_read_only = ` + on, `SELECT pg_reload_conf()`} {
			if _, err := server.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	admin, s := f.signIn("admin")
	agent, _ := f.signIn("agent")
	readOnly("on")
	var err error
	for range 1000 { // the server takes the new setting a moment later
		if err = f.try("agent", password, "192.0.2.1"); err != nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	wantErr(t, err, auth.ErrUnavailable, "sign-in")
	if !ended(s) {
		t.Error("Done of admin is open")
	}
	f.wantSession(admin, auth.ErrUnavailable, "admin")
	f.wantSession(agent, nil, "agent")
	readOnly("off")
	waitBack(t, f)
	f.wantSession(admin, nil, "admin, when it can be written again")
	wantErr(t, f.try("agent", password, "192.0.2.1"), nil, "sign-in when it can be written again")
}

// A full disk closes sign-in; whoever has a session works on.
func TestStoreFull(t *testing.T) {
	disk := storetest.SmallDisk(t, 8<<20)
	if disk == nil {
		return
	}
	f := newFixture(t, storetest.Open(t, store.Config{Path: filepath.Join(disk.Dir, "doorward.db")}))
	token, _ := f.signIn("agent")
	free := disk.Fill()
	var err error
	for range 500 { // until the room in the files that are already there is used up
		if err = f.try("agent", password, "192.0.2.1"); err != nil {
			break
		}
	}
	wantErr(t, err, auth.ErrUnavailable, "sign-in")
	f.wantSession(token, nil, "agent's session")
	free()
	waitBack(t, f)
	f.wantSession(token, nil, "agent's session with room again")
	wantErr(t, f.try("agent", password, "192.0.2.1"), nil, "sign-in with room again")
}
