package auth_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

func TestListSessions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		_, s := f.signIn("agent")
		f.now = f.now.Add(time.Second)
		_, _ = f.signIn("user")
		got, err := f.ListSessions(t.Context(), "Agent@example.com")
		if err != nil {
			t.Fatal(err)
		}
		want := []auth.SessionInfo{{ID: s.ID, Name: "agent", Realm: auth.SiteRealm, Host: host,
			Address: netip.MustParseAddr("192.0.2.1"), UserAgent: "Browser/1", Created: s.Created, LastSeen: s.Created, Expires: s.Expires,
			Level: auth.PasswordLevel, Methods: "password"}}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateApproxTime(time.Microsecond)); diff != "" {
			t.Errorf("sessions (-want +got):\n%s", diff)
		}
		all, err := f.ListSessions(t.Context(), "")
		if err != nil || len(all) != 2 || all[0].Name != "user" || all[1].Name != "agent" {
			t.Errorf("all sessions: %+v, %v; want user's, then agent's", all, err)
		}
		_, err = f.ListSessions(t.Context(), "nobody")
		wantErr(t, err, auth.ErrNotFound, "sessions of nobody")
	})
}

func TestRevoke(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		first, s1 := f.signIn("agent")
		second, s2 := f.signIn("agent")
		third, s3 := f.signIn("agent")
		other, _ := f.signIn("user")
		if err := f.RevokeSession(t.Context(), actor, s1.ID); err != nil {
			t.Fatal(err)
		}
		if !ended(s1) || ended(s2) {
			t.Errorf("Done of the revoked session closed %t, of another %t; want true, false", ended(s1), ended(s2))
		}
		f.wantSession(first, auth.ErrNoSession, "revoked")
		f.wantSession(second, nil, "not revoked")
		wantErr(t, f.RevokeSession(t.Context(), actor, s1.ID), auth.ErrNotFound, "a second time")
		wantErr(t, f.RevokeSession(t.Context(), actor, "x"), auth.ErrNotFound, "no such session")

		n, err := f.RevokeAll(t.Context(), actor, "agent")
		if err != nil || n != 2 {
			t.Errorf("RevokeAll = %d, %v; want 2", n, err)
		}
		if !ended(s2) || !ended(s3) {
			t.Error("Done is open after RevokeAll")
		}
		f.wantSession(second, auth.ErrNoSession, "all revoked")
		f.wantSession(third, auth.ErrNoSession, "all revoked")
		f.wantSession(other, nil, "another account")
		if n, err = f.RevokeAll(t.Context(), actor, ""); err != nil || n != 1 {
			t.Errorf("RevokeAll of everybody = %d, %v; want 1", n, err)
		}
		f.wantSession(other, auth.ErrNoSession, "everybody revoked")
		_, err = f.RevokeAll(t.Context(), actor, "nobody")
		wantErr(t, err, auth.ErrNotFound, "RevokeAll of nobody")

		var actions []string
		for _, e := range f.entries(4) {
			actions = append(actions, e.Action+" "+e.Target)
			if e.Before == "" || e.Actor != actor.Name || e.Origin != actor.Origin {
				t.Errorf("journal entry %+v", e)
			}
		}
		if diff := cmp.Diff([]string{"session.revoke agent", "session.revoke-all agent", "session.revoke-all all accounts"}, actions); diff != "" {
			t.Errorf("journal (-want +got):\n%s", diff)
		}
	})
}

// What one process ends, another that shares the store learns with its next round.
func TestRevokedElsewhere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		token, s := f.signIn("agent")
		kept, _ := f.signIn("user")
		f.Sweep(t.Context(), time.Now())
		f.wantSession(token, nil, "before")
		if err := f.another().RevokeSession(t.Context(), actor, s.ID); err != nil {
			t.Fatal(err)
		}
		f.Sweep(t.Context(), time.Now().Add(3*time.Second))
		if !ended(s) {
			t.Error("Done is open after a round")
		}
		f.wantSession(token, auth.ErrNoSession, "after a round")
		f.wantSession(kept, nil, "another session")
	})
}

// A session used at another gateway of the same store is not idle here.
func TestSessionUsedElsewhere(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	token, _ := f.signIn("agent")
	b := f.another()
	f.now = f.now.Add(50 * time.Minute)
	if _, err := b.Session(t.Context(), auth.SiteRealm, host, token, f.now); err != nil {
		t.Fatal(err)
	}
	b.Sweep(t.Context(), f.now)
	f.now = f.now.Add(50 * time.Minute)
	f.wantSession(token, nil, "used elsewhere 50 minutes ago, here 100")
}

// A revocation and a look-up at the same moment: whatever the order, the session does not come back.
func TestRevokeDuringLookUp(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	for range 40 {
		token, s := f.signIn("agent")
		f.Auth = f.another() // so that look-ups read the store
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { _, _ = f.Session(context.Background(), auth.SiteRealm, host, token, f.now) })
		}
		all.Go(func() {
			if err := f.RevokeSession(context.Background(), actor, s.ID); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		f.wantSession(token, auth.ErrNoSession, "revoked while it was looked up")
	}
}

// Run does by itself what the tests above ask of Sweep.
func TestRun(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.now = time.Now()
	_, s := f.signIn("agent")
	for range 2 {
		f.fail("agent", "192.0.2.7")
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	if err := f.another().RevokeSession(t.Context(), actor, s.ID); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Done():
	case <-time.After(time.Minute):
		t.Error("Done is open a minute after another process revoked the session")
	}
	f.fail("agent", "192.0.2.7")
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
	if until := row[int64](f, `SELECT wait_until FROM sign_in_failure`); until == 0 {
		t.Error("the wait that began just before the end is not in the store")
	}
}
