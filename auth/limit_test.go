package auth_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// D-08: failed sign-ins are limited by account and by address, staff and others apart. Nobody is kept out by strangers whose
// network or browser is known to the account.
func TestLimits(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.cfg.SignIn.Failures = 20  // the wait is another test's
		f.cfg.DataDir = t.TempDir() // what strangers typed is counted under the installation's key
		f.cfg.SignIn.Staff = auth.RateConfig{Window: 10 * time.Minute, PerAddress: 6, PerAccount: 4}
		f.cfg.SignIn.Users = auth.RateConfig{Window: 10 * time.Minute, PerAddress: 100, PerAccount: 8}
		f.restart()
		f.now = f.now.Truncate(10 * time.Minute)
		device := f.begin(attempt("agent", password, "192.0.2.1")).Device

		stranger := func(n int) string { return fmt.Sprintf("198.51.100.%d", n) }
		for i := range 4 {
			wantErr(t, f.try("agent", "wrong", stranger(i)), auth.ErrWrong, "guess")
		}
		err := f.try("agent", password, stranger(9))
		if wait := waiting(err); wait <= 0 || wait > 20*time.Minute {
			t.Errorf("the fifth from a stranger: %v, want a wait", err)
		}
		wantErr(t, f.try("agent", password, "192.0.2.1"), nil, "the person, from a network they were in before")
		known := attempt("agent", password, stranger(10))
		known.Device = device
		if _, err := f.SignIn(t.Context(), known, f.now); err != nil {
			t.Errorf("the person with their own browser elsewhere: %v", err)
		}
		wantErr(t, f.try("admin", password, stranger(0)), nil, "another account")

		// A name that nobody has is limited like a user's, so that limits do not tell who exists.
		for name, limit := range map[string]int{"user": 8, "nobody": 8} {
			for i := range limit {
				wantErr(t, f.try(name, "wrong", stranger(20+i)), auth.ErrWrong, name)
			}
			if err := f.try(name, "wrong", stranger(99)); waiting(err) == 0 {
				t.Errorf("%s after %d failures: %v, want a wait", name, limit, err)
			}
		}

		for i := range 6 {
			wantErr(t, f.try([]string{"owner", "admin"}[i%2], "wrong", "203.0.113.1"), auth.ErrWrong, "one address")
		}
		if err := f.try("owner", password, "203.0.113.1"); waiting(err) == 0 {
			t.Errorf("the seventh from one address: %v, want a wait", err)
		}

		f.restart()
		if err := f.try("agent", password, stranger(9)); waiting(err) == 0 {
			t.Errorf("after a restart: %v, want the wait to go on", err)
		}
		wait := waiting(f.try("agent", password, stranger(9)))
		f.now = f.now.Add(wait - 20*time.Second) // the queue may take seconds on a busy machine, and they count
		if err := f.try("agent", password, stranger(9)); waiting(err) == 0 {
			t.Errorf("seconds before the wait is over: %v", err)
		}
		f.now = f.now.Add(21 * time.Second)
		wantErr(t, f.try("agent", password, stranger(9)), nil, "after the wait")
		f.now = f.now.Add(time.Hour)
		f.Sweep(t.Context(), f.now)
		if n := row[int](f, `SELECT COUNT(*) FROM sign_in_rate WHERE window_start < $1`, store.Micros(f.now.Add(-48*time.Hour))); n != 0 {
			t.Errorf("%d counts are kept longer than two days", n)
		}
	})
}

// Two gateways on one PostgreSQL see each other's failures at once.
func TestWaitIsShared(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if db.Dialect() != store.PostgreSQL {
			return // one process has a SQLite file to itself
		}
		f := newFixture(t, db)
		other := f.another()
		try := func(a *auth.Auth, password string) error {
			_, err := a.SignIn(t.Context(), attempt("agent", password, "198.51.100.7"), f.now)
			return err
		}
		wantErr(t, try(f.Auth, "wrong"), auth.ErrWrong, "first")
		wantErr(t, try(other, "wrong"), auth.ErrWrong, "second, elsewhere")
		wantErr(t, try(f.Auth, "wrong"), auth.ErrWrong, "third")
		if err := try(other, password); waiting(err) == 0 {
			t.Errorf("at the other gateway: %v, want a wait", err)
		}
		f.now = f.now.Add(11 * time.Second)
		wantErr(t, try(other, password), nil, "after the wait")
		// The success took the account's failures away for both.
		wantErr(t, try(f.Auth, "wrong"), auth.ErrWrong, "one more")
		wantErr(t, try(other, "wrong"), auth.ErrWrong, "two more")
		wantErr(t, try(f.Auth, password), nil, "the count began again")
	})
}
