package auth_test

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// What limits tell, and ways around them, that were tried.

// The limit of an address stands in the way of every name alike: a stranger who has reached it must not learn who is staff from
// the names that are still looked at.
func TestLimitsTellNotWhoIsStaff(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.cfg.SignIn.Failures = 20
	rate := auth.RateConfig{Window: 10 * time.Minute, PerAddress: 6, PerAccount: 100}
	f.cfg.SignIn.Staff, f.cfg.SignIn.Users = rate, rate
	f.restart()
	for address, names := range map[string]func(i int) string{
		"198.51.100.1": func(i int) string { return fmt.Sprintf("nobody%d", i) },
		"198.51.100.2": func(int) string { return "agent" },
	} {
		for i := range rate.PerAddress {
			wantErr(t, f.try(names(i), "wrong", address), auth.ErrWrong, "guess from "+address)
		}
		for _, name := range []string{"agent", "user", "nobody99"} {
			if err := f.try(name, "wrong", address); waiting(err) == 0 {
				t.Errorf("%s from %s after its %d failures: %v, want a wait", name, address, rate.PerAddress, err)
			}
		}
	}
}

// Failures at a name say nothing of an e-mail address: whether both are one account's is nobody's business.
func TestLimitsTellNotWhatIsOneAccount(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	for i := range 10 {
		wantErr(t, f.try("agent", "wrong", fmt.Sprintf("198.51.100.%d", i)), auth.ErrWrong, "guess")
	}
	if err := f.try("AGENT", "wrong", "198.51.100.50"); waiting(err) == 0 {
		t.Errorf("the eleventh guess at the name: %v, want a wait", err)
	}
	wantErr(t, f.try("agent@example.com", "wrong", "198.51.100.51"), auth.ErrWrong, "the account's e-mail address")
	wantErr(t, f.try("agent@example.org", "wrong", "198.51.100.52"), auth.ErrWrong, "an address that is nobody's")
}

// A browser's cookie that somebody has taken gives one count of guesses, not one for each address.
func TestTakenDeviceCookieIsLimited(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	device := f.begin(attempt("agent", password, "192.0.2.1")).Device
	guess := func(i int) error {
		at := attempt("agent", "wrong", fmt.Sprintf("198.51.100.%d", i))
		at.Device = device
		_, err := f.SignIn(t.Context(), at, f.now)
		return err
	}
	for i := range 10 {
		wantErr(t, guess(i), auth.ErrWrong, "guess")
	}
	if err := guess(11); waiting(err) == 0 {
		t.Errorf("the eleventh guess with the browser's cookie: %v, want a wait", err)
	}
	wantErr(t, f.try("agent", password, "192.0.2.1"), nil, "the person, in the network that is known")
}

// What strangers' guesses leave goes when the windows are over, not after two days.
func TestCountsAreForgotten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		for i := range 5 {
			wantErr(t, f.try(fmt.Sprintf("nobody%d", i), "wrong", fmt.Sprintf("198.51.100.%d", i)), auth.ErrWrong, "guess")
		}
		f.exec(`INSERT INTO sign_in_rate (key, window_start, count) VALUES ('sms total', $1, 7)`, store.Micros(f.now))
		f.now = f.now.Add(31 * time.Minute)
		f.Sweep(t.Context(), f.now)
		if n := row[int](f, `SELECT COUNT(*) FROM sign_in_rate`); n != 1 {
			t.Errorf("%d counts are left, want the one whose window is a day", n)
		}
	})
}

// Whoever knows many names cannot have the mail server flooded with notices about them.
func TestFailureNoticesAreCapped(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.cfg.SignIn.Failures = 20
	f.withMail()
	f.exec(`INSERT INTO sign_in_rate (key, window_start, count) VALUES ('failure mails', $1, $2)`,
		store.Micros(f.now.Add(5*time.Minute).Truncate(time.Hour)), auth.FailureMails-1)
	for _, name := range []string{"owner", "admin", "agent"} {
		wantErr(t, f.try(name, "wrong", "198.51.100.7"), auth.ErrWrong, "guess")
	}
	f.now = f.now.Add(5 * time.Minute)
	f.Sweep(t.Context(), f.now)
	if n := row[int](f, `SELECT COUNT(*) FROM mail WHERE kind = 'failed'`); n != 1 {
		t.Errorf("%d notices are mailed with room for one", n)
	}
	f.now = f.now.Add(2 * time.Hour)
	f.Sweep(t.Context(), f.now)
	if n := row[int](f, `SELECT COUNT(*) FROM mail WHERE kind = 'failed'`); n != 3 {
		t.Errorf("%d notices two hours later, want all three", n)
	}
}

// Whoever knows the password cannot push the person's own sign-in out while they look for their phone.
func TestPendingOfKnownBrowserStays(t *testing.T) {
	f := newFactors(t, storetest.SQLite(t))
	at := attempt("agent", password, "192.0.2.1")
	at.Device = f.begin(at).Device
	app, _ := f.enrolApp(f.named("agent"))
	f.now = f.now.Add(time.Minute)
	own := f.begin(at)
	f.wantStep(own, nil, auth.StepFactor, "the person")
	for i := range 40 {
		f.step()
		f.begin(attempt("agent", password, fmt.Sprintf("198.51.100.%d", i)))
	}
	done, err := f.ProveCode(t.Context(), at, own.Token, app.code(f.now), f.now)
	f.wantStep(done, err, "", "the person, after forty sign-ins by somebody else")
}

// Whoever has an account cannot fill the store by signing in again and again: of sessions that have ended some are kept.
func TestEndedSessionsAreCapped(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		p, ended := f.named("user"), store.Micros(f.now.Add(-time.Hour))
		if err := db.Write(t.Context(), func(tx *sql.Tx) error {
			for i := range auth.MaxEnded + 2*auth.EndedBatch {
				id := fmt.Sprintf("old %06d", i)
				if _, err := tx.ExecContext(t.Context(), `INSERT INTO sign_in (id, principal_id, realm, level, address, user_agent, created_at, last_seen_at,
idle_seconds, expires_at, ended_at, ended_why) VALUES ($1, $2, 'site', 1, '192.0.2.1', '', 1, 1, 1, 1, $3, 'signed-out')`, id, p.ID, ended+int64(i)); err != nil {
					return err
				}
				if _, err := tx.ExecContext(t.Context(), `INSERT INTO session_token (hash, sign_in_id, host, created_at) VALUES ($1, $1, 'x', 1)`, id); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			f.begin(attempt("user", password, "192.0.2.1"))
		}
		kept := row[int](f, `SELECT COUNT(*) FROM sign_in WHERE ended_at > 0 AND principal_id = $1`, p.ID)
		tokens := row[int](f, `SELECT COUNT(*) FROM session_token WHERE host = 'x'`)
		oldest := row[string](f, `SELECT MIN(id) FROM sign_in WHERE ended_at > 0`)
		if kept != auth.MaxEnded || tokens != kept || oldest != fmt.Sprintf("old %06d", 2*auth.EndedBatch) {
			t.Errorf("%d ended sessions and %d tokens are kept, the oldest %s; want the newest %d", kept, tokens, oldest, auth.MaxEnded)
		}
	})
}
