package gateway_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/gateway"
)

// crowd is many connections of attackers, from addresses of this machine.
type crowd struct {
	t  *testing.T
	r  *running
	mu sync.Mutex
	// answers counts what came back, by status.
	answers map[int]int
	conns   []net.Conn
}

func newCrowd(t *testing.T, r *running) *crowd {
	c := &crowd{t: t, r: r, answers: map[int]int{}}
	t.Cleanup(c.leave)
	return c
}

// send opens n connections from an address, writes text on each and counts the answers that come.
func (c *crowd) send(n int, from, text string) {
	c.t.Helper()
	for range n {
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Minute}).Dial("tcp", c.r.address("plain"))
		must(c.t, err)
		c.conns = append(c.conns, conn)
		go func() {
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				return
			}
			res.Body.Close()
			c.mu.Lock()
			c.answers[res.StatusCode]++
			c.mu.Unlock()
		}()
	}
}

func (c *crowd) answered(status int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answers[status]
}

func (c *crowd) leave() {
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// slowBody is a request whose body never comes whole.
func slowBody(headers string) string {
	return "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n" + headers + "\r\na part of it"
}

// works asks n times on one connection and wants 200 each time.
func works(t *testing.T, r *running, who string, n int, headers string) {
	t.Helper()
	conn := r.raw()
	for i := range n {
		if status, err := ask(conn, headers); err != nil || status != http.StatusOK {
			t.Fatalf("%s, request %d: got %d, %v, want 200", who, i+1, status, err)
		}
	}
}

// TestSignedInComeFirst: 320 slow bodies of strangers and 64 of one account take what they can get. Everybody else who is signed in
// works on; strangers are told to come again.
func TestSignedInComeFirst(t *testing.T) {
	t.Parallel()
	up := application(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	limits := gateway.LimitsConfig{InFlight: 256, BodyTimeout: 10 * time.Minute}
	r := start(t, gateway.Config{Limits: limits}, publicSite(t, up.URL))
	ada, _ := r.signIn("ada")
	mallory, _ := r.signIn("mallory")

	strangers := newCrowd(t, r)
	for i := range 8 {
		strangers.send(40, fmt.Sprintf("127.1.0.%d", i+1), slowBody(""))
	}
	// An address gets an eighth of 256 places, all strangers three quarters. Who is turned away reads it later: net/http wants a body first.
	turnedAway := func() (overload, own uint64) {
		refused := r.Stats().Refused
		return refused["overload"], refused["client-load"]
	}
	eventually(t, time.Minute, "128 of 320 strangers are turned away", func() bool { a, b := turnedAway(); return a+b == 128 })
	_, before := turnedAway()
	if before > 64 {
		t.Errorf("%d strangers were told that their address has enough, want at most 8 of each", before)
	}
	works(t, r, "ada beside the strangers", 50, "Cookie: "+ada.String()+"\r\n")

	account := newCrowd(t, r)
	account.send(64, "127.1.1.1", slowBody("Cookie: "+mallory.String()+"\r\n"))
	eventually(t, time.Minute, "half of one account's 64 are turned away", func() bool { _, n := turnedAway(); return n == before+32 })
	works(t, r, "ada beside the account", 50, "Cookie: "+ada.String()+"\r\n")
	if status, err := ask(r.raw(), ""); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("a stranger in the flood: got %d, %v, want 503", status, err)
	}
	strangers.leave()
	account.leave()
	eventually(t, time.Minute, "strangers are let in again", func() bool {
		status, err := ask(r.raw(), "")
		return err == nil && status == http.StatusOK
	})
}

// TestConnectionsOfOneSession: one account's connections, all with a request on them, do not lock the door behind it.
func TestConnectionsOfOneSession(t *testing.T) {
	t.Parallel()
	const limit = 200
	r := startWithCap(t, limit, func(http.ResponseWriter, *http.Request) {})
	ada, _ := r.signIn("ada")
	mallory, _ := r.signIn("mallory")
	hers := r.raw()
	if status, err := ask(hers, "Cookie: "+ada.String()+"\r\n"); err != nil || status != http.StatusOK {
		t.Fatalf("ada: got %d, %v, want 200", status, err)
	}
	account := newCrowd(t, r)
	account.send(limit-1, "127.1.2.1", "GET / HTTP/1.1\r\nHost: localhost\r\nCookie: "+mallory.String()+"\r\n\r\n")
	eventually(t, time.Minute, "the house is full", func() bool { return account.answered(http.StatusOK) == limit-1 })
	time.Sleep(graceOver)
	for i := range 20 {
		if status, err := ask(r.raw(), ""); err != nil || status != http.StatusOK {
			t.Fatalf("newcomer %d: got %d, %v, want 200", i+1, status, err)
		}
	}
	if status, err := ask(hers, "Cookie: "+ada.String()+"\r\n"); err != nil || status != http.StatusOK {
		t.Errorf("ada, on the connection she had: got %d, %v, want 200", status, err)
	}
	open := 0
	for _, conn := range account.conns {
		if !closed(conn) {
			open++
		}
	}
	if st := r.Stats(); st.ConnectionsRefused != 0 || st.ConnectionsEvicted < 20 || open < limit/8 {
		t.Errorf("%d refused, %d evicted, %d of the account's open; want none, 20 and its share of %d", st.ConnectionsRefused, st.ConnectionsEvicted, open, limit/8)
	}
}

// TestStreamsOfOneSession: an account gets an eighth of the endless answers, others get theirs.
func TestStreamsOfOneSession(t *testing.T) {
	t.Parallel()
	up := application(t, eventStream(nil))
	r := start(t, gateway.Config{Limits: gateway.LimitsConfig{Connections: 160}}, publicSite(t, up.URL))
	ada, _ := r.signIn("ada")
	mallory, _ := r.signIn("mallory")
	client := r.client()
	open := func(cookie *http.Cookie) (int, io.Closer) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url("https", "/events"), nil)
		must(t, err)
		req.AddCookie(cookie)
		res, err := client.Do(req)
		must(t, err)
		t.Cleanup(func() { res.Body.Close() })
		return res.StatusCode, res.Body
	}
	_, first := open(mallory)
	for i := range 20 {
		want := http.StatusOK
		if i == 19 {
			want = http.StatusTooManyRequests
		}
		if status, _ := open(mallory); status != want {
			t.Fatalf("stream %d of one account: got %d, want %d", i+2, status, want)
		}
	}
	if status, _ := open(ada); status != http.StatusOK {
		t.Errorf("somebody else's stream: got %d, want 200", status)
	}
	first.Close()
	eventually(t, time.Minute, "a place of the account's is free again", func() bool {
		status, _ := open(mallory)
		return status == http.StatusOK
	})
}

// TestRateOfClients: the rate is a session's, or else an address's; of IPv6 it is the /64's.
func TestRateOfClients(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	cfg := gateway.Config{Limits: gateway.LimitsConfig{RequestsPerSecond: 0.0001, Burst: 20}, TrustedProxies: loopback}
	r := start(t, cfg, publicSite(t, up.URL))
	ada, _ := r.signIn("ada")
	for _, c := range []struct {
		who     string
		headers func(i int) string
		served  int
	}{
		{"an address", func(int) string { return "X-Forwarded-For: 192.0.2.1\r\n" }, 20},
		{"another", func(int) string { return "X-Forwarded-For: 192.0.2.2\r\n" }, 20},
		{"a session at the first", func(int) string { return "X-Forwarded-For: 192.0.2.1\r\nCookie: " + ada.String() + "\r\n" }, 20},
		{"the session elsewhere", func(i int) string { return fmt.Sprintf("X-Forwarded-For: 192.0.2.%d\r\nCookie: %s\r\n", i+10, ada) }, 0},
		{"addresses of one /64", func(i int) string { return fmt.Sprintf("X-Forwarded-For: 2001:db8::%x:1\r\n", i) }, 20},
		{"another of it", func(int) string { return "X-Forwarded-For: 2001:db8::ffff\r\n" }, 0},
		{"another /64", func(int) string { return "X-Forwarded-For: 2001:db8:0:1::1\r\n" }, 20},
	} {
		conn, counts := r.raw(), map[int]int{}
		for i := range 30 {
			status, err := ask(conn, c.headers(i))
			must(t, err)
			counts[status]++
		}
		if counts[http.StatusOK] != c.served || counts[http.StatusTooManyRequests] != 30-c.served {
			t.Errorf("%s: got %v, want %d times 200 and else 429", c.who, counts, c.served)
		}
	}
	if n := r.Stats().Refused["rate"]; n != 110 {
		t.Errorf("counted %d, want 110", n)
	}
}

// TestMadeUpSessions: each costs a question to the store, which must not be had without end.
func TestMadeUpSessions(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	cfg := gateway.Config{Limits: gateway.LimitsConfig{RequestsPerSecond: 0.0001, Burst: 20}, TrustedProxies: loopback}
	r := start(t, cfg, publicSite(t, up.URL))
	ada, _ := r.signIn("ada")
	const from = "X-Forwarded-For: 192.0.2.1\r\n"
	conn := r.raw()
	for i := range 50 {
		made := sha256.Sum256([]byte{byte(i)})
		cookie := gateway.CookieName + "=" + base64.RawURLEncoding.EncodeToString(made[:])
		status, err := ask(conn, from+"Cookie: "+cookie+"\r\n")
		must(t, err)
		if (status == http.StatusOK) != (i < 20) {
			t.Fatalf("made-up session %d: got %d, want 200 for the first 20 and then 429", i+1, status)
		}
	}
	if n := r.Stats().Refused["session-guess"]; n != 30 {
		t.Errorf("counted %d, want 30: the store was asked 20 times", n)
	}
	works(t, r, "ada at the same address", 5, from+"Cookie: "+ada.String()+"\r\n")
	works(t, r, "a stranger elsewhere", 5, "X-Forwarded-For: 192.0.2.2\r\n")
}

// TestSlowEverything: 300 connections send their headers byte by byte, 100 take their answers byte by byte. All are ended, and
// meanwhile a signed-in person works.
func TestSlowEverything(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			_, _ = io.Copy(w, io.LimitReader(repeating("0123456789abcdef"), 100<<20))
		}
	})
	limits := gateway.LimitsConfig{HeaderTimeout: 2 * time.Second, BodyTimeout: 2 * time.Second, Connections: 2000, InFlight: 800}
	r := start(t, gateway.Config{Limits: limits}, publicSite(t, up.URL))
	ada, _ := r.signIn("ada")
	people := newRegulars(r, ada, 5)
	people.work(t)
	slow := newCrowd(t, r)
	for i := range 300 {
		slow.drip(fmt.Sprintf("127.1.3.%d", i%10+1), "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", true)
	}
	for i := range 100 {
		slow.drip(fmt.Sprintf("127.1.4.%d", i%10+1), "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n", false)
	}
	eventually(t, time.Minute, "all of them are ended", func() bool { return r.Stats().ConnectionsOpen <= len(people.conns) })
	if served, failures := people.stop(); failures > 0 || served < 5 {
		t.Errorf("signed-in people: %d answers and %d failures, want some and none; first failure: %s", served, failures, people.first())
	}
	if n := r.Stats().StreamsCut; n < 100 {
		t.Errorf("%d answers were cut, want the 100 that nobody took", n)
	}
}

// drip opens a connection and writes text; then it sends, or takes, a byte now and then until the end.
func (c *crowd) drip(from, text string, sends bool) {
	c.t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Minute}).Dial("tcp", c.r.address("plain"))
	must(c.t, err)
	c.conns = append(c.conns, conn)
	must(c.t, conn.(*net.TCPConn).SetReadBuffer(4096))
	go func() {
		_, err := io.WriteString(conn, text)
		for one := []byte{'x'}; err == nil; time.Sleep(200 * time.Millisecond) {
			if sends {
				_, err = conn.Write(one)
			} else {
				_, err = conn.Read(one)
			}
		}
	}()
}

// TestMemoryForSignedIn: large bodies of strangers that never end leave memory for those who are signed in, and one account's
// leave some for others.
func TestMemoryForSignedIn(t *testing.T) {
	t.Parallel()
	up := application(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	site := walled(t, up.URL)
	site.WAF.BodyLimit, site.WAF.FieldsLimit = 4<<20, 4<<20
	r := start(t, gateway.Config{WAF: gateway.WAFConfig{Memory: 64 << 20}, Limits: gateway.LimitsConfig{BodyTimeout: 10 * time.Minute}}, site)
	ada, _ := r.signIn("ada")
	mallory, _ := r.signIn("mallory")
	large := func(headers string) string {
		return "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 4000000\r\n" + headers + "\r\na=" + strings.Repeat("b", 3_900_000)
	}
	whole := func(headers string) int {
		conn := r.raw()
		_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 200000\r\n"+headers+"\r\na="+strings.Repeat("a", 199_998))
		must(t, err)
		must(t, conn.SetReadDeadline(time.Now().Add(5*time.Minute)))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		return res.StatusCode
	}
	strangers := newCrowd(t, r)
	for i := range 8 {
		strangers.send(1, fmt.Sprintf("127.1.5.%d", i+1), large(""))
	}
	eventually(t, time.Minute, "some strangers find no memory", func() bool { return r.WAF().Busy > 1 })
	if got := whole("Cookie: " + ada.String() + "\r\n"); got != http.StatusOK {
		t.Errorf("ada's body beside the strangers': got %d, want 200", got)
	}
	strangers.leave()
	eventually(t, time.Minute, "their memory is free again", func() bool { return r.WAF().Memory == 0 })
	account, before := newCrowd(t, r), r.WAF().Busy
	account.send(8, "127.1.5.9", large("Cookie: "+mallory.String()+"\r\n"))
	eventually(t, time.Minute, "the account has its half", func() bool { return r.WAF().Busy > before+1 })
	for who, headers := range map[string]string{"ada": "Cookie: " + ada.String() + "\r\n", "a stranger": ""} {
		if got := whole(headers); got != http.StatusOK {
			t.Errorf("%s beside the account: got %d, want 200", who, got)
		}
	}
}
