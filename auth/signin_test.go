package auth_test

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	rules "github.com/doorward/doorward/auth/password"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

func TestSignIn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.add("Zoë", auth.User, auth.Agent)
		for _, login := range []string{"zoë", "ZOË", "Zoe\u0308", " zoë ", "zoë@example.com", "ZOË@EXAMPLE.COM", "zoë＠example.com"} {
			out, err := f.SignIn(t.Context(), attempt(login, password, "192.0.2.1"), f.now)
			token, s := out.Token, out.Session
			if err != nil {
				t.Errorf("sign in as %q: %v", login, err)
				continue
			}
			if s.Principal.Name != "Zoë" || !slices.Equal(s.Principal.Roles, []auth.Role{auth.Agent, auth.User}) ||
				s.Principal.Email != "Zoë@example.com" || s.Principal.DisplayName != "The Zoë" {
				t.Errorf("sign in as %q: principal %+v", login, s.Principal)
			}
			if s.Host != host || s.Realm != auth.SiteRealm || s.Level != auth.PasswordLevel || !s.HasRole(auth.Owner, auth.Agent) || s.HasRole(auth.Owner) {
				t.Errorf("sign in as %q: session %+v", login, s)
			}
			f.wantSession(token, nil, login)
		}
	})
}

// A stranger cannot tell an unknown name from a disabled account or a wrong password: the same error, after
// the same work.
func TestSignInWrong(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		if err := f.SetDisabled(t.Context(), actor, "user", true); err != nil {
			t.Fatal(err)
		}
		if err := db.Write(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), `UPDATE password SET phc = 'broken' WHERE principal_id = (SELECT id FROM principal WHERE name = 'admin')`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		for i, c := range []struct{ why, login, password string }{
			{"wrong password", "agent", "wrong horse battery"},
			{"unknown name", "nobody", password},
			{"unknown e-mail", "nobody@example.com", password},
			{"disabled account", "user", password},
			{"hash that cannot be read", "admin", password},
			{"no name", "", password},
			{"no password", "agent", ""},
			{"password with something before", "agent", " " + password},
			{"password with something after", "agent", password + "x"},
			{"password cut", "agent", password[:len(password)-1]},
			{"NUL after the password", "agent", password + "\x00"},
			{"NUL after the name", "agent\x00", password},
			{"two at signs", "agent@example.com@evil.example", password},
			{"two at signs, ours last", "evil.example@agent@example.com", password},
			{"name that is too long", "agent" + strings.Repeat(" ", 1100), password},
			{"password that is too long", "agent", password + strings.Repeat("x", 257)},
			{"not UTF-8", "agent\xff", password},
			{"wildcard", "a%", password},
			{"SQL", "agent' OR '1'='1", password},
		} {
			before := f.Stats().Hashed
			address := "2001:db8:0:" + string("0123456789abcdefghijk"[i%16]) + string("0123456789abcdef"[i/16]) + "::1"
			out, err := f.SignIn(t.Context(), attempt(c.login, c.password, address), f.now)
			token, s := out.Token, out.Session
			if err != auth.ErrWrong || token != "" || s != nil {
				t.Errorf("%s: SignIn = %q, %v, %v; want ErrWrong itself and nothing else", c.why, token, s, err)
			}
			if n := f.Stats().Hashed - before; n != 1 {
				t.Errorf("%s: %d hashes were computed, want 1", c.why, n)
			}
		}
		if err := f.try("agent", password, "192.0.2.9"); err != nil {
			t.Errorf("the right password after all that: %v", err)
		}
	})
}

// A password of 256 characters counts in full; the longest that is possible in bytes works too.
func TestSignInLongPassword(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	for _, character := range []rune{'a', 'à', '🐎'} {
		long := varied(character, 255)
		if err := f.ResetPassword(t.Context(), actor, "agent", long+"1", false); err != nil {
			t.Fatalf("256 characters from %q on: %v", character, err)
		}
		wantErr(t, f.try("agent", long+"2", "192.0.2.1"), auth.ErrWrong, "another last character")
		wantErr(t, f.try("agent", long+"1", "192.0.2.1"), nil, "all 256 characters")
		var unfit *auth.PasswordError
		if err := f.ResetPassword(t.Context(), actor, "agent", long+"12", false); !errors.As(err, &unfit) || unfit.Problems[0].Code != rules.TooLong {
			t.Errorf("257 characters from %q on: %v, want a *PasswordError that says too-long", character, err)
		}
	}
}

// varied is a text of n characters, without a pattern that the password rules would refuse.
func varied(from rune, n int) string {
	text, state := make([]rune, n), uint32(7)
	for i := range text {
		state = state*1664525 + 1013904223
		text[i] = from + rune(state>>24)%23
	}
	return string(text)
}

// The same password typed with composed or decomposed characters is the same.
func TestSignInNormalisesPassword(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	if err := f.ResetPassword(t.Context(), actor, "agent", "café au lait for two", false); err != nil {
		t.Fatal(err)
	}
	wantErr(t, f.try("agent", "cafe\u0301 au lait for two", "192.0.2.1"), nil, "decomposed")
	wantErr(t, f.try("agent", "Café au lait for two", "192.0.2.1"), auth.ErrWrong, "another case")
}

// A change of the cost takes effect at the owner's next sign-in, and is no new password.
func TestSignInRehashes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		const current = `SELECT w.phc FROM password w JOIN principal p ON p.id = w.principal_id WHERE p.name = 'agent' AND w.current = 1`
		before := row[string](f, current)
		f.signIn("agent")
		if got := row[string](f, current); got != before {
			t.Errorf("the hash changed although the cost did not")
		}
		f.cfg.PasswordHash.MemoryKiB, f.cfg.PasswordHash.Time = 128, 3
		f.reload(f.cfg)
		wantErr(t, f.try("agent", "wrong horse battery", "192.0.2.1"), auth.ErrWrong, "wrong password")
		if got := row[string](f, current); got != before {
			t.Errorf("a wrong password changed the hash")
		}
		f.signIn("agent")
		phc, err := auth.ParsePHC(row[string](f, current))
		if err != nil || phc.MemoryKiB != 128 || phc.Time != 3 || phc.Parallelism != 1 {
			t.Errorf("hash after sign-in: m=%d,t=%d,p=%d, %v; want m=128,t=3,p=1", phc.MemoryKiB, phc.Time, phc.Parallelism, err)
		}
		if n := row[int](f, `SELECT COUNT(*) FROM password w JOIN principal p ON p.id = w.principal_id WHERE p.name = 'agent'`); n != 1 {
			t.Errorf("%d password rows, want 1", n)
		}
		f.signIn("agent")
	})
}

// Each sign-in has a new id and token, and ends the session that came with it: nobody keeps a session
// that they knew before (session fixation).
func TestSignInRotates(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		first, old := f.signIn("agent")
		again := attempt("user", password, "192.0.2.1")
		again.PreviousToken = first
		out, err := f.SignIn(t.Context(), again, f.now)
		second, s := out.Token, out.Session
		if err != nil {
			t.Fatal(err)
		}
		if second == first || s.ID == old.ID {
			t.Errorf("token or id did not change")
		}
		if !ended(old) {
			t.Error("the previous session's Done is open")
		}
		f.wantSession(first, auth.ErrNoSession, "previous token")
		f.wantSession(second, nil, "new token")

		// A wrong password leaves the session alone.
		again.PreviousToken, again.Password = second, "wrong horse battery"
		_, err = f.SignIn(t.Context(), again, f.now)
		wantErr(t, err, auth.ErrWrong, "wrong password")
		f.wantSession(second, nil, "after a wrong password")

		// Another host's or realm's session is not the browser's here.
		for _, foreign := range []auth.Attempt{
			{Login: "user", Password: password, Address: again.Address, Realm: auth.ConsoleRealm, Host: host, PreviousToken: second},
			{Login: "user", Password: password, Address: again.Address, Realm: auth.SiteRealm, Host: "other.example", PreviousToken: second},
			{Login: "user", Password: password, Address: again.Address, Realm: auth.SiteRealm, Host: host, PreviousToken: "x"},
		} {
			if _, err := f.SignIn(t.Context(), foreign, f.now); err != nil {
				t.Fatal(err)
			}
			f.wantSession(second, nil, "after a sign-in elsewhere")
		}
		f.restart()
		f.wantSession(first, auth.ErrNoSession, "previous token after a restart")
		f.wantSession(second, nil, "new token after a restart")
	})
}

// An account has 500 sessions at most; one more ends the one not used for longest.
func TestSignInOneAccountHasManySessions(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	first, s := f.signIn("agent")
	for range 500 {
		f.now = f.now.Add(time.Second)
		f.signIn("agent")
	}
	f.wantSession(first, auth.ErrNoSession, "the oldest of 501")
	if !ended(s) {
		t.Error("the oldest session's Done is open")
	}
	list, err := f.ListSessions(t.Context(), "agent")
	if err != nil || len(list) != 500 {
		t.Errorf("%d sessions, %v; want 500", len(list), err)
	}
}
