// Package ingest_test reads real databases as an application fills them.
package ingest_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/doorward/doorward/ingest"
	"github.com/doorward/doorward/rules"
	"github.com/doorward/doorward/store/storetest"
	"github.com/doorward/doorward/test/real"
)

// mariadb starts a server of its own and returns how root and a reader reach it.
func mariadb(t *testing.T) (dsn string, restart func()) {
	t.Helper()
	if _, err := exec.LookPath("mariadbd"); err != nil {
		if os.Getenv("DOORWARD_REQUIRE_REAL") == "1" {
			t.Fatalf("package mariadb-server: %v", err)
		}
		t.Skip("package mariadb-server is not installed")
	}
	dir, err := os.MkdirTemp("", "doorward-mariadb-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	port := real.FreePort(t)
	as := &syscall.SysProcAttr{}
	if os.Geteuid() == 0 {
		u, err := user.Lookup("mysql")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	data := filepath.Join(dir, "data")
	install := exec.Command("mariadb-install-db", "--no-defaults", "--datadir="+data, "--skip-test-db", "--auth-root-authentication-method=normal")
	install.SysProcAttr, install.Dir = as, dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("make a database: %v\n%s", err, out)
	}
	start := func() *real.Process {
		cmd := exec.Command("mariadbd", "--no-defaults", "--datadir="+data, "--socket="+filepath.Join(dir, "s"), "--port="+strconv.Itoa(port), "--bind-address=127.0.0.1")
		cmd.SysProcAttr, cmd.Dir = &syscall.SysProcAttr{Credential: as.Credential}, dir
		return real.Start(t, "mariadbd", cmd)
	}
	server := start()
	dsn = fmt.Sprintf("root@tcp(127.0.0.1:%d)/mysql", port)
	return dsn, func() { server.Stop(); server = start() }
}

// source reads the table.
type source struct {
	mu       sync.Mutex
	records  []ingest.Record
	position []byte
	stop     func()
	ingest.Source
}

func start(t *testing.T, cfg ingest.SourceConfig, position []byte) *source {
	t.Helper()
	cfg.SetDefaults()
	from, err := ingest.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := &source{Source: from, position: position}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = from.Run(ctx, map[string][]byte{"query": position}, func(_ context.Context, b ingest.Batch) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.records, s.position = append(s.records, b.Records...), bytes.Clone(b.Position)
			return nil
		})
	}()
	s.stop = func() { cancel(); <-done }
	t.Cleanup(s.stop)
	return s
}

func (s *source) wait(t *testing.T, n int) []ingest.Record {
	t.Helper()
	real.Eventually(t, 60*time.Second, fmt.Sprintf("%d rows", n), func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.records) >= n })
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records
}

// TestQuery: rows come once and in order over restarts of ours and of the server; what writes is refused; no server is a problem.
func TestQuery(t *testing.T) {
	dsn, restart := mariadb(t)
	pg, err := os.ReadFile(storetest.NewDatabase(t, storetest.Shared(t)).URLFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ driver, sqlDriver, dsn, place, kind string }{
		{"mariadb", "mysql", dsn, "?", "INT AUTO_INCREMENT PRIMARY KEY"}, {"postgresql", "pgx", strings.TrimSpace(string(pg)), "$1", "SERIAL PRIMARY KEY"},
	} {
		t.Run(c.driver, func(t *testing.T) {
			db, err := sql.Open(c.sqlDriver, c.dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			real.Eventually(t, 60*time.Second, c.driver, func() bool { return db.Ping() == nil })
			run := func(statement string) {
				t.Helper()
				if _, err := db.Exec(statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			run("CREATE TABLE actions (id " + c.kind + ", at TIMESTAMP NULL, what VARCHAR(50), ip VARCHAR(50), note TEXT)")
			add := func(n int) {
				for range n {
					run(`INSERT INTO actions (at, what, ip, note) VALUES ('2026-11-25 18:57:50', 'hacking_attempt', '198.51.100.6', '","source":"203.0.113.9')`)
				}
			}
			dsnFile := filepath.Join(t.TempDir(), "dsn")
			if err := os.WriteFile(dsnFile, []byte(c.dsn+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg := ingest.SourceConfig{Name: "actions", Type: "query", Driver: c.driver, DSNFile: dsnFile, TimeColumn: "at", Interval: 100 * time.Millisecond,
				Query: "SELECT id, at, what AS action, ip AS source, note FROM actions WHERE id > " + c.place + " ORDER BY id LIMIT 7"}
			add(20)
			s := start(t, cfg, nil)
			s.wait(t, 20)
			s.stop()
			add(3)
			s = start(t, cfg, s.position)
			rows := s.wait(t, 3)
			if len(rows) != 3 || rows[0].Fields[0].Value != "21" || !rows[0].Time.Equal(time.Date(2026, 11, 25, 18, 57, 50, 0, time.UTC)) {
				t.Errorf("after the restart came %d rows, first %+v", len(rows), rows[0])
			}
			all, err := ingest.LoadParsers(rules.Parsers())
			if err != nil {
				t.Fatal(err)
			}
			p, err := all.For([]string{"mor"}, time.UTC, false)
			if err != nil {
				t.Fatal(err)
			}
			if e, ok := p.Parse(&rows[0], time.Now()); !ok || e.Pattern != "hacking-attempt" || e.Source.String() != "198.51.100.6" {
				t.Errorf("event is %+v", e)
			}
			if c.driver == "mariadb" {
				restart()
				real.Eventually(t, 60*time.Second, c.driver, func() bool { return db.Ping() == nil })
				add(2)
				if rows := s.wait(t, 5); len(rows) != 5 {
					t.Errorf("%d rows after the server's restart, want 5", len(rows))
				}
			}
			s.stop()
			if c.driver == "postgresql" { // a SELECT that writes
				cfg.Query = "WITH gone AS (DELETE FROM actions WHERE id > $1 RETURNING id) SELECT id FROM gone ORDER BY id"
				s = start(t, cfg, nil)
				real.Eventually(t, 60*time.Second, "a problem", func() bool { return s.Health().Problem != "" })
				if p := s.Health().Problem; !strings.Contains(p, "read-only") {
					t.Errorf("problem is %q, want one about read-only", p)
				}
				s.stop()
			}
			var left int
			if err := db.QueryRow("SELECT count(*) FROM actions").Scan(&left); err != nil || left < 23 {
				t.Errorf("%d rows are left (%v)", left, err)
			}
			if err := os.WriteFile(dsnFile, []byte(map[string]string{"mariadb": "root:secret@tcp(127.0.0.1:1)/mysql", "postgresql": "postgres://x:secret@127.0.0.1:1/x"}[c.driver]), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg.Query = "SELECT id FROM actions WHERE id > " + c.place + " ORDER BY id"
			s = start(t, cfg, nil)
			real.Eventually(t, 60*time.Second, "a problem", func() bool { return s.Health().Problem != "" })
			if p := s.Health().Problem; strings.Contains(p, "secret") {
				t.Errorf("problem shows the password: %q", p)
			}
		})
	}
}
