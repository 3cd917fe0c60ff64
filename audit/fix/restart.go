package fix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/doorward/doorward/audit/facts"
)

// stopTime is how long a database server may take to write everything down before it ends.
const stopTime = 90 * time.Second

// launch is how a process was started, so that the same can be started again where no systemd knows it.
type launch struct {
	program string
	words   []string
	env     []string
	folder  string
	output  string // a file that it writes its messages to; "" none
	ids     *syscall.Credential
}

// launches reads how the first processes of a server were started. One that cannot be read is left out.
func launches(pids []int) []launch {
	var all []launch
	for _, pid := range pids {
		dir := fmt.Sprintf("/proc/%d/", pid)
		line, err1 := os.ReadFile(dir + "cmdline")
		env, err2 := os.ReadFile(dir + "environ")
		program, err3 := os.Readlink(dir + "exe")
		folder, err4 := os.Readlink(dir + "cwd")
		ids, err5 := idsOf(dir + "status")
		words := strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")
		if errors.Join(err1, err2, err3, err4, err5) != nil || words[0] == "" {
			continue
		}
		l := launch{strings.TrimSuffix(program, " (deleted)"), words, strings.Split(strings.TrimRight(string(env), "\x00"), "\x00"), folder, "", ids}
		if name, err := os.Readlink(dir + "fd/2"); err == nil {
			if info, err := os.Lstat(name); err == nil && info.Mode().IsRegular() {
				l.output = name
			}
		}
		all = append(all, l)
	}
	return all
}

// idsOf reads the effective ids and the groups of a process.
func idsOf(status string) (*syscall.Credential, error) {
	text, err := os.ReadFile(status)
	if err != nil {
		return nil, err
	}
	c := &syscall.Credential{}
	for line := range strings.Lines(string(text)) {
		key, rest, _ := strings.Cut(line, ":")
		var ids []uint32
		for word := range strings.FieldsSeq(rest) {
			if n, err := strconv.ParseUint(word, 10, 32); err == nil {
				ids = append(ids, uint32(n))
			}
		}
		switch {
		case key == "Uid" && len(ids) > 1:
			c.Uid = ids[1]
		case key == "Gid" && len(ids) > 1:
			c.Gid = ids[1]
		case key == "Groups":
			c.Groups = ids
		}
	}
	return c, nil
}

// restart ends a service and starts it again: what it reads at its start only is not in force before.
func (m *Machine) restart(ctx context.Context, seen serving, unit string) error {
	if unit != "" {
		m.observe("systemctl restart " + unit)
		if _, err := m.run(ctx, nil, systemctl, "restart", "--", unit); err != nil {
			return err
		}
		return m.answersAsBefore(ctx, seen)
	}
	if running := masters(seen.program); len(running) > 0 {
		m.observe("stop " + seen.service.Name)
		if err := signalAll(running, seen.service.Stop); err != nil {
			return err
		}
	}
	for end := time.Now().Add(stopTime); len(masters(seen.program)) > 0; {
		if time.Now().After(end) {
			return fmt.Errorf("%s did not end within %v", seen.service.Name, stopTime)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	m.observe("start " + seen.service.Name)
	if len(seen.started) == 0 {
		return fmt.Errorf("%s has ended, and it is not known how it was started", seen.service.Name)
	}
	ended := make(chan error, len(seen.started))
	for _, l := range seen.started {
		if err := l.start(ended); err != nil {
			return fmt.Errorf("start %s: %w", seen.service.Name, err)
		}
	}
	for end := time.Now().Add(stopTime); len(masters(seen.program)) < len(seen.started); {
		select {
		case err := <-ended:
			return fmt.Errorf("%s does not start (%v)", seen.service.Name, err)
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s did not start within %v", seen.service.Name, stopTime)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return m.answersAsBefore(ctx, seen)
}

// start runs it again, in a session of its own. That it ends is told to ended.
func (l launch) start(ended chan<- error) error {
	cmd := &exec.Cmd{Path: l.program, Args: l.words, Env: l.env, Dir: l.folder, SysProcAttr: &syscall.SysProcAttr{Setsid: true, Credential: l.ids}}
	if l.output != "" {
		out, err := os.OpenFile(l.output, os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		defer out.Close()
		cmd.Stdout, cmd.Stderr = out, out
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { ended <- cmd.Wait() }()
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// portOf is the port of an address, "" of a socket.
func portOf(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return port
}

// askDatabase tells whether a database server speaks: MariaDB greets by itself, PostgreSQL says whether it has TLS.
func askDatabase(c net.Conn, probe string) string {
	answer := make([]byte, 5)
	if probe == "postgresql" {
		answer = answer[:1]
		if _, err := c.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil { // SSLRequest
			return "no answer: " + err.Error()
		}
	}
	if _, err := io.ReadFull(c, answer); err != nil {
		return "no answer: " + err.Error()
	}
	if probe == "mariadb" {
		return fmt.Sprintf("protocol %d", answer[4])
	}
	return "an answer"
}

// says asks the servers for what was set: a line that is written is not yet a value that is in force.
func (f *Fixer) says(ctx context.Context, wanted []setting, seen serving) error {
	if !seen.running || !f.m.live {
		return nil
	}
	for _, s := range wanted {
		now, err := f.value(ctx, s)
		if err != nil {
			return err
		}
		good, err := regexp.Compile(s.Good)
		if err != nil {
			return err
		}
		if !good.MatchString(now) {
			return fmt.Errorf("its %s is %q, and not %q: something outside of its files sets it", s.Name, now, s.Value)
		}
	}
	return nil
}

// value is what a running server has for a setting.
func (f *Fixer) value(ctx context.Context, s setting) (string, error) {
	if s.Of == "mariadb" {
		rows, err := f.m.sql(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name = "+literal(s.Name))
		if err != nil || len(rows) != 1 || len(rows[0]) != 2 {
			return "", errors.Join(err, fmt.Errorf("MariaDB does not tell %s", s.Name))
		}
		return rows[0][1], nil
	}
	conn, err := facts.OpenPostgres(ctx, f.m.host, f.o.Target.PostgreSQL)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	var now string
	err = conn.QueryRow(ctx, "SELECT setting FROM pg_catalog.pg_settings WHERE name = $1", s.Name).Scan(&now)
	return now, err
}
