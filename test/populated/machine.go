package populated

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/rules"
)

//go:embed populate.sh
var populateScript string

//go:embed doorward.yaml
var configuration string

// filesApp declares the folder of many files, where there is one.
const filesApp = "    - {name: files, root: /srv/helpdesk, data: [/srv/helpdesk/data]}\n"

const (
	program    = "/usr/bin/doorward"
	configFile = "/etc/doorward.yaml"
)

// Machine is the copy in which this program runs, populated.
type Machine struct {
	doorward *exec.Cmd
	close    []func()
}

// Usage is what a program took, with its children.
type Usage struct {
	CPU  time.Duration
	Took time.Duration
	RSS  int64 // bytes, the most that it, or the largest of its children, held at once
}

// Start populates the copy in which this program runs. files is how many files lie in an application's folder beside Debian's own.
func Start(ctx context.Context, files int) (_ *Machine, err error) {
	m := &Machine{}
	defer func() {
		if err != nil {
			m.Close()
		}
	}()
	for _, variable := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if err := os.Unsetenv(variable); err != nil {
			return nil, err
		}
	}
	sh := exec.CommandContext(ctx, "sh", "-c", populateScript, "sh", strconv.Itoa(files))
	log, err := os.Create("/run/populate.log") // a pipe would be held open by what the script starts
	if err != nil {
		return nil, err
	}
	defer log.Close()
	sh.Stdout, sh.Stderr = log, log
	if err := sh.Run(); err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("populate: %w\n%s", err, text)
	}
	if err := m.startServices(); err != nil {
		return nil, err
	}
	text := configuration
	if files > 0 {
		text = strings.Replace(text, "  apps:\n", "  apps:\n"+filesApp, 1)
	}
	if err := os.WriteFile(configFile, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if err := m.startDoorward(ctx); err != nil {
		return nil, err
	}
	for _, address := range []string{"127.0.0.1:22", "127.0.0.1:3306", "127.0.0.1:5432", "127.0.0.1:8080", "127.0.0.1:8081"} {
		if err := await(ctx, address); err != nil {
			return nil, err
		}
	}
	return m, m.attest(ctx)
}

// Close ends what was started by this program itself; the rest ends with the copy.
func (m *Machine) Close() {
	for _, f := range m.close {
		f()
	}
	if m.doorward != nil {
		_ = m.doorward.Process.Signal(syscall.SIGTERM)
		_ = m.doorward.Wait()
	}
}

func (m *Machine) startDoorward(ctx context.Context) error {
	var log bytes.Buffer
	m.doorward = exec.Command(program, "serve", "--config", configFile)
	m.doorward.Stdout, m.doorward.Stderr = &log, &log
	if err := m.doorward.Start(); err != nil {
		return err
	}
	if err := await(ctx, "127.0.0.1:443"); err != nil {
		m.Close()
		return fmt.Errorf("%w\n%s", err, log.String())
	}
	return nil
}

func await(ctx context.Context, address string) error {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			return conn.Close()
		}
	}
	return fmt.Errorf("nothing accepts on %s", address)
}

// attest answers every question that a person has to answer first, as a person does it.
func (m *Machine) attest(ctx context.Context) error {
	catalogue, err := audit.Load(audit.Source{Controls: rules.Controls(), Profiles: rules.Profiles()})
	if err != nil {
		return err
	}
	ids := make(chan string)
	failed := make(chan error, 1)
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			for id := range ids {
				if out, err := exec.CommandContext(ctx, program, "attest", id, "--config", configFile, "--owner", "Anna Weber", "--text", "seen and so", "--evidence", "/root/evidence.txt").CombinedOutput(); err != nil {
					select {
					case failed <- fmt.Errorf("attest %s: %w: %s", id, err, out):
					default:
					}
				}
			}
		})
	}
	for _, c := range catalogue.Controls(audit.Profile{}) {
		if c.Attest != nil {
			ids <- c.ID
		}
	}
	close(ids)
	wait.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// Audit asks all controls and returns the report as JSON.
func (m *Machine) Audit(ctx context.Context) ([]byte, Usage, error) {
	return measure(exec.CommandContext(ctx, program, "audit", "--config", configFile, "--profile", "all", "--format", "json", "--no-keep", "--fail-on", "none"))
}

// Lynis runs Debian's lynis, which is there for comparison.
func (m *Machine) Lynis(ctx context.Context) (Usage, error) {
	cmd := exec.CommandContext(ctx, "lynis", "audit", "system", "--quick", "--quiet", "--no-colors")
	_, usage, err := measure(cmd)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 78 { // it has warnings
		err = nil
	}
	return usage, err
}

func measure(cmd *exec.Cmd) ([]byte, Usage, error) {
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		return nil, Usage{}, fmt.Errorf("%s: %w: %s", cmd, err, problems.String())
	}
	state := cmd.ProcessState
	u := Usage{CPU: state.UserTime() + state.SystemTime(), Took: time.Since(begin)}
	if r, ok := state.SysUsage().(*syscall.Rusage); ok {
		u.RSS = r.Maxrss << 10
	}
	return out.Bytes(), u, nil
}
