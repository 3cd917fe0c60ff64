package app_test

import (
	"database/sql"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// fault is a way in which a database goes away and comes back.
type fault struct {
	name        string
	db          func(t *testing.T) (cfg store.Config, broken, mend func())
	sqliteInDir bool
}

func postgresStopped(t *testing.T) (store.Config, func(), func()) {
	url, stop, start := storetest.PostgreSQL(t)
	return store.Config{URLFile: storetest.URLFile(t, url)}, stop, start
}

func postgresReadOnly(t *testing.T) (store.Config, func(), func()) {
	url, _, _ := storetest.PostgreSQL(t)
	set := func(value string) func() {
		return func() {
			t.Helper()
			db, err := sql.Open("pgx", url)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, statement := range []string{
				"SET default_transaction_read_only = off",
				"ALTER SYSTEM SET default_transaction_read_only = " + value,
				"SELECT pg_reload_conf()",
			} {
				if _, err := db.Exec(statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			awaitSetting(t, url, value)
		}
	}
	return store.Config{URLFile: storetest.URLFile(t, url)}, set("on"), set("off")
}

// awaitSetting waits until the server has taken the setting over: pg_reload_conf only asks for it.
func awaitSetting(t *testing.T, url, want string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		db, err := sql.Open("pgx", url) // a new session: what the ones before were told is theirs
		if err != nil {
			t.Fatal(err)
		}
		var got string
		err = db.QueryRow("SHOW default_transaction_read_only").Scan(&got)
		db.Close()
		if err == nil && got == want {
			return // the sessions that are open hear of it at the same time, but each by itself
		}
		if time.Now().After(end) {
			t.Fatalf("default_transaction_read_only: got %q, %v, want %s", got, err, want)
		}
	}
}

// TestStoreFaults: while the database is away sign-in is closed and administrators' sessions with it, what
// others have in memory goes on, readiness says no; when it is back, all is well again without a restart.
func TestStoreFaults(t *testing.T) {
	for _, f := range []fault{
		{name: "postgres stopped", db: postgresStopped},
		{name: "postgres read-only", db: postgresReadOnly},
		{name: "sqlite file taken away", sqliteInDir: true},
	} {
		t.Run(f.name, func(t *testing.T) {
			var cfg store.Config
			var broken, mend func()
			if f.db != nil {
				cfg, broken, mend = f.db(t)
			}
			r := start(t, cfg, "")
			if f.sqliteInDir {
				broken, mend = r.takeDatabaseAway()
			}
			agent, admin := r.mustSignIn("agent"), r.mustSignIn("admin")
			for name, cookie := range map[string]*http.Cookie{"agent": agent, "admin": admin} {
				if status, body := r.get("/", cookie); status != 200 || body != "hello "+name {
					t.Fatalf("%s before the fault: got %d %q", name, status, body)
				}
			}
			if got := r.ready(); got != 200 {
				t.Fatalf("readyz before the fault: got %d, want 200", got)
			}
			broken()
			r.eventually("sign-in says 503", func() bool {
				status, _ := r.signIn("user", password)
				return status == http.StatusServiceUnavailable
			})
			r.eventually("the administrator's session is closed", func() bool {
				status, _ := r.get("/", admin)
				return status == http.StatusServiceUnavailable
			})
			if status, body := r.get("/", agent); status != 200 || body != "hello agent" {
				t.Errorf("agent while the database is away: got %d %q, want 200 hello agent", status, body)
			}
			r.eventually("readyz says 503", func() bool { return r.ready() == http.StatusServiceUnavailable })
			mend()
			r.eventually("sign-in works again", func() bool {
				status, _ := r.signIn("user", password)
				return status == http.StatusSeeOther
			})
			r.eventually("the administrator's session works again", func() bool {
				status, body := r.get("/", admin)
				return status == 200 && body == "hello admin"
			})
			r.eventually("readyz says 200", func() bool { return r.ready() == 200 })
		})
	}
}

// takeDatabaseAway moves the SQLite files out of the data folder, and back.
func (r *running) takeDatabaseAway() (broken, mend func()) {
	data := filepath.Join(filepath.Dir(r.file), "data")
	move := func(from, to string) func() {
		return func() {
			r.t.Helper()
			files, err := filepath.Glob(from + "/doorward.db*")
			if err != nil || len(files) == 0 {
				r.t.Fatalf("no database in %s: %v", from, err)
			}
			for _, file := range files {
				if err := os.Rename(file, filepath.Join(to, filepath.Base(file))); err != nil {
					r.t.Fatal(err)
				}
			}
		}
	}
	away := r.t.TempDir()
	return move(data, away), move(away, data)
}
