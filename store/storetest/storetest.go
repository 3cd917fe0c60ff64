package storetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/store"
)

// openLimit bounds opening one database in a test.
const openLimit = time.Minute

// Each runs f twice, as subtests "sqlite" and "postgres", each time with a new and empty database of the
// newest schema that is closed when the subtest ends. Without PostgreSQL on this machine the second one is
// skipped, or fails when DOORWARD_REQUIRE_REAL=1.
func Each(t *testing.T, f func(t *testing.T, db *store.DB)) {
	t.Helper()
	EachConfig(t, func(t *testing.T, cfg store.Config) { f(t, Open(t, cfg)) })
}

// EachConfig is Each for tests that open the database themselves: it gives the configuration of a database
// that is still without a schema.
func EachConfig(t *testing.T, f func(t *testing.T, cfg store.Config)) {
	t.Helper()
	t.Run(string(store.SQLite), func(t *testing.T) {
		f(t, store.Config{Path: filepath.Join(t.TempDir(), "doorward.db")})
	})
	t.Run(string(store.PostgreSQL), func(t *testing.T) {
		f(t, NewDatabase(t, Shared(t)))
	})
}

// SQLite opens a new SQLite database in a temporary folder of t.
func SQLite(t testing.TB) *store.DB {
	t.Helper()
	return Open(t, store.Config{Path: filepath.Join(t.TempDir(), "doorward.db")})
}

// Open opens the database of cfg and closes it when t ends.
func Open(t testing.TB, cfg store.Config) *store.DB {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), openLimit)
	defer cancel()
	db, err := store.Open(ctx, cfg)
	if err != nil {
		t.Fatalf("open test database: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close test database: %v", err)
		}
	})
	return db
}

// PostgreSQL starts a PostgreSQL server for t alone, with one empty database, and returns that database's
// URL, and functions that stop the server at once (as a crash would) and start it again on the same
// address. The server is stopped and removed when t ends.
func PostgreSQL(t testing.TB) (url string, stop, start func()) {
	t.Helper()
	server, err := startServer(binaries(t), true)
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := server.remove(); err != nil {
			t.Errorf("remove PostgreSQL: %v", err)
		}
	})
	must := func(f func() error, what string) func() {
		return func() {
			t.Helper()
			if err := f(); err != nil {
				t.Fatalf("%s PostgreSQL: %v", what, err)
			}
		}
	}
	return server.url("postgres"), must(server.stop, "stop"), must(server.start, "start")
}

// URLFile writes url to a file of mode 0600 in a temporary folder of t and returns its path, for
// store.Config.URLFile.
func URLFile(t testing.TB, url string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "postgres-url")
	if err := os.WriteFile(path, []byte(url+"\n"), 0o600); err != nil {
		t.Fatalf("write URL file: %v", err)
	}
	return path
}

// shared is the PostgreSQL server of this test process. It is the one package variable that changes: a
// server takes over a second to start, and Go gives a library no other place that lives as long as a test
// process does.
var shared struct {
	once   sync.Once
	server *server
	err    error
	names  atomic.Int64
}

// Shared returns the URL of the PostgreSQL server that all tests of this process share, starting it at the
// first call; NewDatabase makes a database on it. It skips t, or fails it when DOORWARD_REQUIRE_REAL=1,
// on a machine without PostgreSQL 15.
func Shared(t testing.TB) string {
	t.Helper()
	bin := binaries(t)
	shared.once.Do(func() { shared.server, shared.err = startServer(bin, false) })
	if shared.err != nil {
		t.Fatalf("start PostgreSQL: %v", shared.err)
	}
	return shared.server.url("postgres")
}

// NewDatabase makes an empty database on the server at url and returns the configuration for it. It is
// dropped when t ends.
func NewDatabase(t testing.TB, url string) store.Config {
	t.Helper()
	name := fmt.Sprintf("test_%d", shared.names.Add(1))
	execute(t, url, "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, url, "DROP DATABASE "+name+" WITH (FORCE)") })
	return store.Config{URLFile: URLFile(t, replaceDatabase(t, url, name))}
}

// binaries is the folder of PostgreSQL 15's programs.
func binaries(t testing.TB) string {
	t.Helper()
	const folder = "/usr/lib/postgresql/15/bin"
	if _, err := os.Stat(filepath.Join(folder, "postgres")); err == nil {
		return folder
	}
	const text = "PostgreSQL 15 is not installed (Debian: postgresql-15), so nothing was tested on it"
	if os.Getenv("DOORWARD_REQUIRE_REAL") == "1" {
		t.Fatal(text)
	}
	t.Skip(text)
	return ""
}
