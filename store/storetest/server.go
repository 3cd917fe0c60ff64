package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/doorward/doorward/porttest"
)

// password is the test server's; it shows that our URLs work with SCRAM, not that the server is safe.
const password = "storetest: not/a secret"

// server is one PostgreSQL cluster in a temporary folder.
type server struct {
	bin, dir string
	port     int
	durable  bool
	as       *syscall.Credential // the user postgres when we are root, which PostgreSQL refuses to run as
	keeper   *exec.Cmd
	alive    io.Closer // closing it makes the keeper stop the server and remove the folder
}

// startServer makes a cluster and starts it. Only a durable one waits for the disk at each commit, which
// is what a test of a server crash needs and every other test pays for.
func startServer(bin string, durable bool) (*server, error) {
	dir, err := os.MkdirTemp("", "doorward-postgres-")
	if err != nil {
		return nil, err
	}
	s := &server{bin: bin, dir: dir, durable: durable}
	if err := s.create(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.keep(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

func (s *server) create() error {
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := s.becomePostgres(secret); err != nil {
			return err
		}
	}
	return s.run("initdb", "-D", s.data(), "-U", "doorward", "-A", "scram-sha-256", "--pwfile", secret,
		"-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
}

// becomePostgres gives the folder to the user postgres and makes every command run as that user.
func (s *server) becomePostgres(secret string) error {
	account, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return err
	}
	s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return errors.Join(os.Chown(s.dir, int(uid), int(gid)), os.Chown(secret, int(uid), int(gid)))
}

// keep starts a shell that waits until this process closes a pipe, or dies in any way, and then stops the
// server and removes its folder: a killed test process must leave nothing behind.
func (s *server) keep() error {
	script := fmt.Sprintf(`cat >/dev/null; '%s/pg_ctl' -D '%s' -m immediate stop >/dev/null 2>&1; rm -rf '%s'`,
		s.bin, s.data(), s.dir)
	s.keeper = s.command("/bin/sh", "-c", script)
	pipe, err := s.keeper.StdinPipe()
	if err != nil {
		return err
	}
	s.alive = pipe
	return s.keeper.Start()
}

// start starts the server on its port, or at the first start on a free one.
func (s *server) start() error {
	first := s.port == 0
	for try := 0; ; try++ {
		if first {
			port, err := porttest.Free()
			if err != nil {
				return err
			}
			s.port = port
		}
		options := fmt.Sprintf("-p %d -c listen_addresses=127.0.0.1 -k %s -c max_connections=100 "+
			"-c shared_buffers=32MB -c fsync=%t -c max_prepared_transactions=0", s.port, s.dir, s.durable)
		err := s.run("pg_ctl", "-D", s.data(), "-l", filepath.Join(s.dir, "log"), "-o", options, "-w", "-t", "180", "start")
		if err == nil || try == 4 {
			return err
		}
	}
}

// stop stops the server without a farewell: connections break, and the next start recovers from the log.
func (s *server) stop() error {
	return s.run("pg_ctl", "-D", s.data(), "-m", "immediate", "-w", "-t", "180", "stop")
}

// remove ends the server and its folder.
func (s *server) remove() error {
	return errors.Join(s.alive.Close(), s.keeper.Wait())
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

func (s *server) url(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("doorward", password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: "/" + database,
		RawQuery: "sslmode=disable"}
	return u.String()
}

func (s *server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.as}
	return cmd
}

func (s *server) run(program string, args ...string) error {
	// pg_ctl leaves the server running with its own output, so the output must be a file, not a pipe that
	// would never end.
	out, err := os.CreateTemp("", "doorward-postgres-output-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd := s.command(filepath.Join(s.bin, program), args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(string(text)))
	}
	return nil
}

// execute runs one statement on the database at address, on a connection of its own.
func execute(t testing.TB, address, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatalf("connect to PostgreSQL: %v", err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func replaceDatabase(t testing.TB, address, name string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatalf("parse URL: %v", err)
	}
	u.Path = "/" + name
	return u.String()
}
