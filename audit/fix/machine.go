package fix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/audit/facts"
)

// programTime bounds one program that is asked or told something.
const programTime = 60 * time.Second

// Machine is the host as a fix sees it: its files, its programs and its kernel.
type Machine struct {
	place   *place
	host    *facts.Host
	root    string
	live    bool
	execs   bool
	db      Database
	private string       // a folder of root's own
	watcher func(string) // told each step; may be nil
}

// Database is how MariaDB is reached.
type Database struct {
	Socket       string // empty: where the client looks by itself
	User         string // empty: root
	PasswordFile string // empty: none, which is enough where the server knows root by its socket
}

func openMachine(o Options) (*Machine, error) {
	host, err := facts.OpenHost(facts.HostOptions{Root: o.Root, ExecInRoot: o.ExecInRoot})
	if err != nil {
		return nil, err
	}
	root := o.Root
	if root == "" {
		root = "/"
	}
	p, err := openPlace(root)
	if err != nil {
		return nil, errors.Join(err, host.Close())
	}
	return &Machine{place: p, host: host, root: root, live: host.Live(), execs: host.Live() || o.ExecInRoot, db: o.MariaDB, private: o.State, watcher: o.Observe}, nil
}

// Close gives back what was opened.
func (m *Machine) Close() error { return errors.Join(m.place.Close(), m.host.Close()) }

// observe tells a step before it is taken.
func (m *Machine) observe(step string) {
	if m.watcher != nil {
		m.watcher(step)
	}
}

// run asks one of the host's programs. What it says on an exit code other than 0 is the error.
func (m *Machine) run(ctx context.Context, stdin []byte, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, programTime)
	defer cancel()
	out, err := m.host.RunWith(ctx, stdin, name, args...)
	if err != nil {
		return "", err
	}
	if out.Code != 0 {
		said := strings.TrimSpace(string(out.Stderr) + "\n" + string(out.Stdout))
		return "", fmt.Errorf("%s says (code %d): %s", strings.Join(append([]string{name}, args...), " "), out.Code, shorten(said))
	}
	return string(out.Stdout), nil
}

// shorten keeps what a program says to a few lines.
func shorten(s string) string {
	const most = 1500
	if len(s) > most {
		return s[:most] + " …"
	}
	return s
}

// start runs a program that leaves a server behind. What it prints goes to memory that the server may keep open.
func (m *Machine) start(ctx context.Context, name string, args ...string) error {
	if !m.execs {
		return facts.ErrNoExec
	}
	ctx, cancel := context.WithTimeout(ctx, programTime)
	defer cancel()
	fd, err := unix.MemfdCreate("doorward-start", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("run %s: %w", name, err)
	}
	said := os.NewFile(uintptr(fd), "output")
	defer said.Close()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", said, said
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !m.live {
		cmd.SysProcAttr.Chroot = m.root
	}
	if err := cmd.Run(); err != nil {
		_, _ = said.Seek(0, io.SeekStart) // without it the message is shorter
		text, _ := io.ReadAll(io.LimitReader(said, 4096))
		return fmt.Errorf("%s: %w: %s", strings.Join(append([]string{name}, args...), " "), err, shorten(strings.TrimSpace(string(text))))
	}
	return nil
}

// sysctl reads a parameter of the running kernel.
func (m *Machine) sysctl(key string) (string, error) {
	if !m.live {
		return "", errOffline
	}
	name, err := sysctlFile(key)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(name)
	return strings.Join(strings.Fields(string(text)), " "), err
}

func (m *Machine) setSysctl(key, value string) error {
	if !m.live {
		return errOffline
	}
	name, err := sysctlFile(key)
	if err != nil {
		return err
	}
	return os.WriteFile(name, []byte(value+"\n"), 0)
}

// systemd says whether systemd runs this host.
func (m *Machine) systemd() bool {
	if !m.live {
		return false
	}
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}
