package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/gateway"
)

const (
	floodCap      = 8000
	floodAttempts = 6000 // a client process
	floodEnv      = "DOORWARD_TEST_FLOOD"
)

// TestFlood: 12,000 connections from two processes on eight addresses against the cap of 8,000, while 40
// signed-in people keep working on the connections that they have, and one more can still come in.
func TestFlood(t *testing.T) {
	if os.Getenv(floodEnv) != "" {
		return // this process is one of the clients
	}
	needFiles(t, floodCap+2000)
	up := application(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "served") })
	limits := gateway.LimitsConfig{Connections: floodCap, HeaderTimeout: time.Hour, RequestsPerSecond: 1e6, Burst: 1e6}
	r := start(t, gateway.Config{Limits: limits}, publicSite(t, up.URL))
	cookie, _ := r.signIn("ada")
	people := newRegulars(r, cookie, 40)
	people.work(t)

	attackers := []*flood{startFlood(t, r.address("plain"), "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"),
		startFlood(t, r.address("plain"), "127.0.0.6", "127.0.0.7", "127.0.0.8", "127.0.0.9")}
	for _, a := range attackers {
		a.wait(t)
	}
	eventually(t, time.Minute, "of 12,000 attempts 4,000 were refused or made room", func() bool {
		st := r.Stats()
		if st.ConnectionsOpen > floodCap {
			t.Fatalf("%d connections are open, the cap is %d", st.ConnectionsOpen, floodCap)
		}
		return st.ConnectionsOpen > floodCap-100 && st.ConnectionsRefused+st.ConnectionsEvicted >= 2*floodAttempts-floodCap
	})
	time.Sleep(graceOver)
	newcomer, err := net.Dial("tcp", r.address("plain"))
	must(t, err)
	defer newcomer.Close()
	if status, err := ask(newcomer, "Cookie: "+cookie.String()+"\r\n"); err != nil || status != http.StatusOK {
		t.Errorf("a newcomer against a full house: got %d, %v, want 200", status, err)
	}
	served, failures := people.stop()
	if failures > 0 || served < 40*5 {
		t.Errorf("signed-in people: %d answers and %d failures, want at least %d and none; first failure: %v",
			served, failures, 40*5, people.first())
	}
	if st := r.Stats(); st.Panics != 0 {
		t.Errorf("%d panics", st.Panics)
	}
	for _, a := range attackers {
		a.end()
	}
	eventually(t, time.Minute, "all places are free again", func() bool { return r.Stats().ConnectionsOpen < 100 })
}

// needFiles raises the soft limit of open files, or leaves the test out where it cannot be.
func needFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if limit.Max < n {
		if os.Getenv("DOORWARD_REQUIRE_REAL") == "1" {
			t.Fatalf("this needs %d open files, the limit is %d", n, limit.Max)
		}
		t.Skipf("left out: this needs %d open files, the limit is %d", n, limit.Max)
	}
	limit.Cur = limit.Max
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
}

// regulars are signed-in people who work on connections that they have had since before.
type regulars struct {
	conns    []net.Conn
	cookie   *http.Cookie
	over     chan struct{}
	wg       sync.WaitGroup
	served   atomic.Int64
	failures atomic.Int64
	failure  atomic.Pointer[string]
}

func newRegulars(r *running, cookie *http.Cookie, n int) *regulars {
	p := &regulars{cookie: cookie, over: make(chan struct{})}
	for range n {
		p.conns = append(p.conns, r.raw())
	}
	return p
}

// work sends a first request on each connection, and then one every 100 ms until stop.
func (p *regulars) work(t *testing.T) {
	t.Helper()
	for _, conn := range p.conns {
		if status, err := ask(conn, "Cookie: "+p.cookie.String()+"\r\n"); err != nil || status != http.StatusOK {
			t.Fatalf("before the flood: got %d, %v, want 200", status, err)
		}
		p.wg.Go(func() {
			for {
				select {
				case <-p.over:
					return
				case <-time.After(100 * time.Millisecond):
				}
				if status, err := ask(conn, "Cookie: "+p.cookie.String()+"\r\n"); err != nil || status != http.StatusOK {
					p.failures.Add(1)
					text := fmt.Sprint(status, err)
					p.failure.CompareAndSwap(nil, &text)
					return
				}
				p.served.Add(1)
			}
		})
	}
}

// first is the first failure, if there was one.
func (p *regulars) first() string {
	if text := p.failure.Load(); text != nil {
		return *text
	}
	return "none"
}

func (p *regulars) stop() (served, failures int64) {
	close(p.over)
	p.wg.Wait()
	return p.served.Load(), p.failures.Load()
}

// flood is a client process that opens connections and holds them.
type flood struct {
	cmd  *exec.Cmd
	hold io.WriteCloser
	out  *bufio.Reader
}

func startFlood(t *testing.T, target string, from ...string) *flood {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestFloodClient$")
	cmd.Env = append(os.Environ(), floodEnv+"="+target+" "+strconv.Itoa(floodAttempts)+" "+strings.Join(from, " "))
	hold, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	f := &flood{cmd: cmd, hold: hold, out: bufio.NewReader(out)}
	t.Cleanup(func() {
		f.end()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return f
}

// wait returns when every attempt was made.
func (f *flood) wait(t *testing.T) {
	t.Helper()
	line, err := f.out.ReadString('\n')
	if err != nil || line != "attempts done\n" {
		t.Fatalf("a client process said %q, %v", line, err)
	}
}

func (f *flood) end() { f.hold.Close() }

// TestFloodClient is the client process: half of its connections say nothing, half send a part of a header.
func TestFloodClient(t *testing.T) {
	words := strings.Fields(os.Getenv(floodEnv))
	if len(words) == 0 {
		return // TestFlood runs it in processes of its own
	}
	attempts, err := strconv.Atoi(words[1])
	must(t, err)
	needFiles(t, uint64(attempts)+100)
	addresses := words[2:]
	conns := make([]net.Conn, attempts)
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 100 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < attempts; i = int(next.Add(1)) - 1 {
				from := &net.TCPAddr{IP: net.ParseIP(addresses[i%len(addresses)])}
				// Attackers are patient: on a busy machine some are only let in by the system's later attempts, and all are counted.
				conn, err := (&net.Dialer{LocalAddr: from, Timeout: time.Minute}).Dial("tcp", words[0])
				if err != nil {
					continue // refused: that is what the cap is for
				}
				if i%2 == 0 {
					_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: loc")
				}
				conns[i] = conn
			}
		})
	}
	wg.Wait()
	fmt.Println("attempts done")
	_, _ = io.Copy(io.Discard, os.Stdin)
	for _, conn := range conns {
		if conn != nil {
			conn.Close()
		}
	}
}
