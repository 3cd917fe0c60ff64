package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

func TestSessionIsBoundToHostAndRealm(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		token, _ := f.signIn("owner")
		for _, memory := range []bool{true, false} {
			if !memory {
				f.restart()
			}
			for _, c := range []struct {
				realm auth.Realm
				host  string
				want  error
			}{
				{auth.SiteRealm, "other.example", auth.ErrNoSession},
				{auth.SiteRealm, "", auth.ErrNoSession},
				{auth.SiteRealm, "DESK.example", auth.ErrNoSession},
				{auth.ConsoleRealm, host, auth.ErrNoSession},
				{"", host, auth.ErrNoSession},
				{auth.SiteRealm, host, nil},
			} {
				_, err := f.Session(t.Context(), c.realm, c.host, token, f.now)
				wantErr(t, err, c.want, string(c.realm)+" "+c.host)
			}
		}
	})
}

func TestSessionUnknownTokens(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	token, _ := f.signIn("agent")
	for name, other := range map[string]string{
		"empty": "", "short": token[:42], "long": token + "A", "padded": token[:42] + "=", "standard alphabet": token[:42] + "+",
		"space": " " + token[1:], "NUL": token[:42] + "\x00", "UTF-8": token[:41] + "é", "quoted": `"` + token[1:42] + `"`,
		"never issued": strings.Repeat("A", 43), "another case": strings.ToUpper(token), "one bit": flip(token),
	} {
		f.wantSession(other, auth.ErrNoSession, name)
	}
	// Malformed ones are not even looked up.
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	f.wantSession(strings.Repeat("!", 43), auth.ErrNoSession, "malformed, without a store")
	f.wantSession(strings.Repeat("A", 43), auth.ErrUnavailable, "well-formed, without a store")
}

// flip changes the last of the bits that count in the token's first character.
func flip(token string) string {
	first := byte('A')
	if token[0] == 'A' {
		first = 'B'
	}
	return string(first) + token[1:]
}

// What the store holds of a token cannot be used as one.
func TestSessionTokenIsNotInTheStore(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	token, _ := f.signIn("agent")
	hash := row[string](f, `SELECT hash FROM session_token`)
	if len(hash) != 64 || strings.Contains(hash, token) {
		t.Errorf("stored %q for token %q, want the SHA-256 in hexadecimal", hash, token)
	}
	f.wantSession(hash, auth.ErrNoSession, "the stored hash as a token")
}

func TestSessionLifetimes(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []time.Duration // between requests
		want  []error
	}{
		{"idle", []time.Duration{59 * time.Minute, 59 * time.Minute, time.Hour + time.Second}, []error{nil, nil, auth.ErrNoSession}},
		{"absolute", append(repeat(23, 30*time.Minute), 30*time.Minute+time.Second), append(make([]error, 23), auth.ErrNoSession)},
	} {
		for _, restarts := range []bool{false, true} {
			t.Run(c.name+map[bool]string{true: " with restarts"}[restarts], func(t *testing.T) {
				f := newFixture(t, storetest.SQLite(t))
				token, _ := f.signIn("agent")
				for i, step := range c.steps {
					f.now = f.now.Add(step)
					f.wantSession(token, c.want[i], "request "+f.now.String())
					if restarts {
						f.restart()
					}
				}
			})
		}
	}
}

func repeat(n int, d time.Duration) []time.Duration {
	list := make([]time.Duration, n)
	for i := range list {
		list[i] = d
	}
	return list
}

// A page that polls does not keep its session alive.
func TestSessionPollingIsNoUse(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	token, s := f.signIn("agent")
	before := s.LastSeen()
	for range 59 {
		f.now = f.now.Add(time.Minute)
		if _, err := f.PollSession(t.Context(), auth.SiteRealm, host, token, f.now); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.LastSeen(); !got.Equal(before) {
		t.Errorf("LastSeen = %v after polling, want %v", got, before)
	}
	f.now = f.now.Add(time.Minute + time.Second)
	f.wantSession(token, auth.ErrNoSession, "after an hour of polling")
}

// Expiry closes Done without any request, so that open streams end.
func TestSessionExpiryClosesDone(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	_, s := f.signIn("agent")
	f.Sweep(t.Context(), f.now.Add(59*time.Minute))
	if ended(s) {
		t.Fatal("Done is closed before the end")
	}
	f.Sweep(t.Context(), f.now.Add(61*time.Minute))
	if !ended(s) {
		t.Error("Done is open after the idle time")
	}
	if n := f.Stats().Sessions; n != 0 {
		t.Errorf("%d sessions in memory, want 0", n)
	}
	f.Sweep(t.Context(), f.now.Add(13*time.Hour))
	if why := row[string](f, `SELECT ended_why FROM sign_in`); why != "expired" {
		t.Errorf("ended_why = %q, want expired", why)
	}
	f.Sweep(t.Context(), f.now.Add(32*24*time.Hour))
	if n := row[int](f, `SELECT COUNT(*) FROM sign_in`) + row[int](f, `SELECT COUNT(*) FROM session_token`); n != 0 {
		t.Errorf("%d rows a month later, want 0", n)
	}
}

func TestSessionReloadShortens(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	token, _ := f.signIn("agent")
	f.cfg.Sessions.Idle = 5 * time.Minute
	f.reload(f.cfg)
	f.now = f.now.Add(4 * time.Minute)
	f.wantSession(token, nil, "within the new idle time")
	f.now = f.now.Add(6 * time.Minute)
	f.wantSession(token, auth.ErrNoSession, "after the new idle time")
}

func TestSignOut(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		token, s := f.signIn("agent")
		other, _ := f.signIn("agent")
		if err := f.SignOut(t.Context(), s, f.now); err != nil {
			t.Fatal(err)
		}
		if !ended(s) {
			t.Error("Done is open")
		}
		f.wantSession(token, auth.ErrNoSession, "after sign-out")
		f.wantSession(other, nil, "the account's other session")
		f.restart()
		f.wantSession(token, auth.ErrNoSession, "after sign-out and restart")
		f.wantSession(other, nil, "the other session after a restart")
		if err := f.SignOut(t.Context(), s, f.now); err != nil {
			t.Errorf("a second sign-out: %v", err)
		}
	})
}

// The clock set back must neither lengthen a session for good nor end it while the process can still
// measure time itself.
func TestSessionAndTheClockSetBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		signedIn := f.now
		token, _ := f.signIn("agent")
		f.now = signedIn.Add(30 * time.Minute)
		f.wantSession(token, nil, "half an hour later")

		// A step back to just after the sign-in: the last request now lies in the future.
		f.now = signedIn.Add(time.Minute)
		f.wantSession(token, nil, "clock back by 29 minutes")
		f.now = f.now.Add(61 * time.Minute)
		f.wantSession(token, auth.ErrNoSession, "idle for an hour since the clock was set back")

		// To before the sign-in: nobody knows how old the session is.
		for _, restart := range []bool{false, true} {
			f.now = signedIn
			token, _ = f.signIn("agent")
			f.now = signedIn.AddDate(-10, 0, 0)
			if restart {
				f.restart()
			}
			f.wantSession(token, auth.ErrNoSession, "clock back by ten years")
			f.Sweep(t.Context(), f.now)
		}

		// Far ends of time do not break anything.
		for _, now := range []time.Time{{}, time.Unix(0, 0), time.Unix(1<<62, 0), time.Unix(-1<<62, 0)} {
			f.now = now
			f.wantSession(token, auth.ErrNoSession, now.String())
			f.Sweep(t.Context(), now)
			_ = f.try("agent", password, "192.0.2.1")
			_ = f.Waiting(attempt("", "", "192.0.2.1").Address, now)
		}
		f.now = signedIn.Add(time.Minute)
		if err := f.try("agent", password, "198.51.100.1"); err != nil {
			t.Errorf("sign-in when the clock is right again: %v", err)
		}
	})
}

// With the monotonic clock that time.Now carries, setting the wall clock back changes nothing: the session
// ends when its time has passed.
func TestSessionMeasuresTimeItself(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	// The fixture's now has a monotonic reading, and Add moves both; a session whose wall clock alone
	// was moved cannot be made here, so this holds that the wall clock alone can end one.
	token, _ := f.signIn("agent")
	f.now = f.now.Round(0).Add(13 * time.Hour)
	f.wantSession(token, auth.ErrNoSession, "thirteen hours later on the wall clock, as after a sleep of the machine")
}

// The time of the last request reaches the store in batches, and a new process goes on from it.
func TestSessionLastSeenIsStored(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		var tokens []string
		for range 30 {
			token, _ := f.signIn("agent")
			tokens = append(tokens, token)
		}
		f.Sweep(t.Context(), f.now)
		f.now = f.now.Add(50 * time.Minute)
		for _, token := range tokens[:20] {
			f.wantSession(token, nil, "used")
		}
		f.Sweep(t.Context(), f.now)
		if n := row[int](f, `SELECT COUNT(*) FROM sign_in WHERE last_seen_at = $1`, store.Micros(f.now)); n != 20 {
			t.Errorf("%d sessions have the time of their last request, want 20", n)
		}
		f.Auth = f.another() // without Close: as after kill -9
		f.now = f.now.Add(50 * time.Minute)
		f.wantSession(tokens[0], nil, "used 50 minutes ago")
		f.wantSession(tokens[29], auth.ErrNoSession, "not used for 100 minutes")
	})
}

// Memory holds a bounded number of sessions; one that was displaced is read again.
func TestSessionsInMemoryAreCapped(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.ShrinkCaps(10, 20)
	tokens := map[string]*auth.Session{}
	for range 50 {
		f.now = f.now.Add(time.Second)
		token, s := f.signIn("agent")
		tokens[token] = s
	}
	stats := f.Stats()
	if stats.Sessions != 20 || stats.SessionsDisplaced != 30 {
		t.Errorf("%d in memory and %d displaced, want 20 and 30", stats.Sessions, stats.SessionsDisplaced)
	}
	open := 0
	for _, s := range tokens {
		if !ended(s) {
			open++
		}
	}
	for token := range tokens {
		f.wantSession(token, nil, "displaced or not")
	}
	if open != 20 {
		t.Errorf("Done is open for %d sessions, want the 20 in memory: the others would hear of no revocation", open)
	}
}

// A request with a session in memory must cost no garbage and no database.
func TestSessionHotPath(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	token, _ := f.signIn("agent")
	ctx := t.Context()
	now := f.now
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(time.Millisecond)
		if _, err := f.Session(ctx, auth.SiteRealm, host, token, now); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a look-up, want 0", n)
	}
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	f.wantSession(token, nil, "with the store closed, before anybody noticed")
}

func BenchmarkSession(b *testing.B) {
	f := newFixture(b, storetest.SQLite(b))
	token, _ := f.signIn("agent")
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := f.Session(b.Context(), auth.SiteRealm, host, token, time.Now()); err != nil {
				b.Error(err)
			}
		}
	})
}
