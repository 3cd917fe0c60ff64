package firewall_test

import (
	"bufio"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/test/real"
)

// asUser connects to the enforcer's socket as another user.
func (h *hosts) asUser(uid int) net.Conn {
	h.t.Helper()
	type result struct {
		c   net.Conn
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			done <- result{nil, errno}
			return
		}
		c, err := net.Dial("unix", h.socket)
		done <- result{c, err}
	}()
	r := <-done
	if r.err != nil {
		h.t.Fatal(r.err)
	}
	h.t.Cleanup(func() { r.c.Close() })
	return r.c
}

// says sends text and returns the first line of the answer, or why there is none.
func says(c net.Conn, text string) string {
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = c.Write([]byte(text)) // it may be closed already; the answer says so
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(line)
}

// TestProtocol: only root and the user of doorward serve are heard; nonsense ends a connection, and hurts nobody else.
func TestProtocol(t *testing.T) {
	t.Parallel()
	h := newHosts(t)
	h.enforce() // whose client is the user daemon
	const daemon, bin = 1, 2
	status := `{"do":"status"}` + "\n"
	if got := says(h.asUser(daemon), status); !strings.HasPrefix(got, `{"status":{"elements":0,`) {
		t.Errorf("the client's user got %s", got)
	}
	if got := says(h.asUser(bin), status); !strings.Contains(got, "user 2 may not command the firewall") {
		t.Errorf("another user got %s", got)
	}
	good := `{"p":"203.0.113.9/32"}`
	for text, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":     "no request",
		"\n":                                    "no request",
		"null\n":                                "is no verb",
		`{"do":"flush"}` + "\n":                 "is no verb",
		`{"do":"status","x":1}` + "\n":          "unknown field",
		`{"do":"status"}{"do":"status"}` + "\n": "more than one request",
		`{"do":"add","elements":[{}]}` + "\n":   "without a network",
		`{"do":"add","elements":[{"p":"1.2.3.4/33"}]}` + "\n":                               "no request",
		`{"do":"add","elements":[{"p":"203.0.113.9/32","u":-1}]}` + "\n":                    "out of range",
		`{"do":"add","elements":[{"p":"203.0.113.9/32","u":9223372036854775807}]}` + "\n":   "out of range",
		`{"do":"list","offset":-1}` + "\n":                                                  "out of range",
		`{"do":"add","elements":[` + strings.Repeat(good+",", 500) + good + "]}\n":          "501 elements",
		strings.Repeat("x", 70_000):                                                         "more than 65536 bytes",
		`{"do":"sync","first":true,"last":true,"total":2,"elements":[` + good + `]}` + "\n": "2 were promised",
		`{"do":"add","elements":[{"p":"fe80::1%eth0/128"}]}` + "\n":                         "no request",
		`{"do":"add","elements":[{"p":"0.0.0.0/0"}]}` + "\n":                                "wider than /8",
		`{"do":"add","elements":[{"p":"::ffff:127.0.0.1/128"}]}` + "\n":                     "127.0.0.0/8 is loopback",
	} {
		if got := says(h.asUser(daemon), text); !strings.Contains(got, want) {
			t.Errorf("%.60q got %s, want %q", text, got, want)
		}
	}
	if got := h.kernel().Elements; len(got) != 0 {
		t.Errorf("nonsense banned %v", got)
	}

	// Connections that say nothing do not keep others away, nor does a list that is never finished.
	for range 40 {
		h.asUser(daemon)
	}
	if got := says(h.asUser(0), status); !strings.HasPrefix(got, `{"status"`) {
		t.Errorf("root got %s while another user has all its connections", got)
	}
	if got := says(h.asUser(daemon), status); !strings.Contains(got, "too many connections") {
		t.Errorf("one connection too many got %s", got)
	}
}

// TestTooMany: a list that is too long is refused as a whole, and what was in force stays.
func TestTooMany(t *testing.T) {
	t.Parallel()
	h := newHosts(t)
	h.enforce()
	l := h.client()
	h.up(l)
	l.ban(attackerV4, 0)
	h.banned(attackerV4 + "/32")
	c := h.asUser(0)
	in := bufio.NewReader(c)
	var b strings.Builder
	last := ""
	for part := range 1001 {
		b.Reset()
		fmt.Fprintf(&b, `{"do":"sync","first":%t,"elements":[`, part == 0)
		for i := range 500 {
			if i > 0 {
				b.WriteByte(',')
			}
			n := part*500 + i
			fmt.Fprintf(&b, `{"p":"20.%d.%d.%d/32"}`, n>>16&255, n>>8&255, n&255)
		}
		b.WriteString("]}\n")
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(b.String())); err != nil {
			t.Fatal(err)
		}
		var err error
		if last, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(last, "more than 500000 bans") {
		t.Errorf("the last part got %s", last)
	}
	h.banned(attackerV4 + "/32")
	real.Eventually(t, time.Minute, "the client to go on", func() bool { _, reason := l.client.State(); return reason == "" })
}
