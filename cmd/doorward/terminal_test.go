package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal: what is written to keyboard is typed, and screen shows what a person sees of it.
func terminal(t *testing.T) (keyboard, tty *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this machine gives no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return keyboard, tty
}

// screen collects what is written, and lets a test wait for it.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screen) wait(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		found := strings.Contains(s.b.String(), text)
		s.mu.Unlock()
		if found {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%q was not written", text)
		}
	}
}

func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	settings, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return settings.Lflag&unix.ECHO != 0
}

func TestPasswordIsNotShown(t *testing.T) {
	keyboard, tty := terminal(t)
	out := &screen{}
	type result struct {
		password string
		err      error
	}
	results := make(chan result, 1)
	go func() {
		p, _, err := new(passwordFlags).read(t.Context(), streams{in: tty, err: out})
		results <- result{p, err}
	}()
	for _, prompt := range []string{"New password: ", "Once more: "} {
		out.wait(t, prompt)
		if echoes(t, tty) {
			t.Errorf("at %q the terminal shows what is typed", prompt)
		}
		if _, err := keyboard.WriteString("correct horse battery\n"); err != nil {
			t.Fatal(err)
		}
	}
	if r := <-results; r.password != "correct horse battery" || r.err != nil {
		t.Errorf("read %q, %v", r.password, r.err)
	}
	if !echoes(t, tty) {
		t.Error("afterwards the terminal does not show what is typed")
	}
}

func TestGivingUpPutsTheTerminalBack(t *testing.T) {
	keyboard, tty := terminal(t)
	out := &screen{}
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, _, err := new(passwordFlags).read(ctx, streams{in: tty, err: out})
		ended <- err
	}()
	out.wait(t, "New password: ")
	interrupt()
	if err := <-ended; err == nil || err.Error() != "interrupted; nothing was changed" {
		t.Errorf("read gave %v", err)
	}
	if !echoes(t, tty) {
		t.Error("the terminal does not show what is typed")
	}
	if _, err := keyboard.WriteString("\n"); err != nil { // lets the blocked reader end
		t.Fatal(err)
	}
}

func TestGeneratedPasswordsDiffer(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		p := generatePassword()
		if seen[p] || len(p) != 23 {
			t.Fatalf("generated %q", p)
		}
		seen[p] = true
	}
}
