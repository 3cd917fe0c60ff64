package real

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a server that the test started, with all that it starts.
type Process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	done chan struct{}
	log  logBuffer
}

// logBuffer collects a process's output while the test may read it.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// maxLog bounds what is kept of a server's output, in bytes.
const maxLog = 4 << 20

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.text.Len() < maxLog {
		b.text.Write(p)
	}
	return len(p), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Start runs cmd in a process group of its own and stops that group at the end of the test. When the test fails, the
// end of the server's output is shown.
func Start(t testing.TB, name string, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, name: name, cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	// A server's own children keep its output open; they are not waited for.
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		_ = cmd.Wait() // how it ended shows in the log
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			log := p.Log()
			t.Logf("the last of what %s wrote:\n%s", name, log[max(0, len(log)-8000):])
		}
	})
	return p
}

// Stop ends the process politely, then its whole group by force.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// Signal sends the process one signal.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signal %s: %v", p.name, err)
	}
}

// Log is what the process wrote so far.
func (p *Process) Log() string { return p.log.String() }

// Ended tells whether the process has ended by itself.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// AwaitListening waits until something accepts on address ("127.0.0.1:8443"), and fails when the process ends first.
func (p *Process) AwaitListening(address string, limit time.Duration) {
	p.t.Helper()
	Eventually(p.t, limit, p.name+" to listen on "+address, func() bool {
		if p.Ended() {
			p.t.Fatalf("%s ended before it listened on %s", p.name, address)
		}
		conn, err := net.DialTimeout("tcp", address, 20*time.Second)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}
