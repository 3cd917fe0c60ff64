package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/gateway"
)

// ask sends a request over conn and returns the status, or the error.
func ask(conn net.Conn, headers string) (int, error) {
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n"+headers+"\r\n"); err != nil {
		return 0, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// closed tells whether the gateway has ended conn. An end that is wanted is waited for: ends.
func closed(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err := conn.Read(make([]byte, 1))
	timeout, ok := err.(net.Error)
	return err != nil && !(ok && timeout.Timeout())
}

// ends waits until the gateway has ended conn, and tells whether it has.
func ends(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, err := io.Copy(io.Discard, conn)
	timeout, ok := err.(net.Error)
	return !(ok && timeout.Timeout())
}

const graceOver = 1200 * time.Millisecond

func startWithCap(t *testing.T, limit int, h http.HandlerFunc) *running {
	t.Helper()
	limits := gateway.LimitsConfig{Connections: limit, HeaderTimeout: time.Minute}
	return start(t, gateway.Config{Limits: limits}, publicSite(t, application(t, h).URL))
}

func TestFullSilentOldestMakesRoom(t *testing.T) {
	t.Parallel()
	var r *running
	var first, second, third net.Conn
	for try := 1; ; try++ {
		r = startWithCap(t, 3, func(w http.ResponseWriter, r *http.Request) {})
		began := time.Now()
		first, second, third = r.raw(), r.raw(), r.raw()
		_, err := io.WriteString(second, "GET / HTTP/1.1\r\nHo") // slow headers are no request yet
		must(t, err)
		eventually(t, time.Minute, "three are open", func() bool { return r.Stats().ConnectionsOpen == 3 })
		if !r.letsIn() {
			break
		}
		if time.Since(began) < time.Second || try == 20 { // on a busy machine the second may be over
			t.Fatal("a newcomer was let in while nobody had been silent for a second")
		}
	}
	time.Sleep(graceOver)
	for i, c := range []struct{ evicted, stays net.Conn }{{first, second}, {second, third}} {
		status, err := ask(r.raw(), "")
		if err != nil || status != http.StatusOK {
			t.Fatalf("newcomer %d: got %d, %v, want 200", i, status, err)
		}
		if evicted, left := ends(c.evicted), closed(c.stays); !evicted || left {
			t.Errorf("newcomer %d: the oldest closed: %v, the next closed: %v", i, evicted, left)
		}
	}
	if st := r.Stats(); st.ConnectionsOpen != 3 || st.ConnectionsEvicted != 2 || st.ConnectionsRefused != 1 {
		t.Errorf("got %d open, %d evicted, %d refused; want 3, 2, 1", st.ConnectionsOpen, st.ConnectionsEvicted, st.ConnectionsRefused)
	}
}

// letsIn connects and tells whether a request is answered.
func (r *running) letsIn() bool {
	conn, err := net.Dial("tcp", r.address("plain"))
	if err != nil {
		return false
	}
	r.t.Cleanup(func() { conn.Close() })
	_, err = ask(conn, "")
	return err == nil
}

// TestFullWhoStays: neither the signed-in nor a stranger's second request under way makes room.
func TestFullWhoStays(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	finish := sync.OnceFunc(func() { close(release) })
	r := startWithCap(t, 2, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Wait") != "" {
			<-release
		}
	})
	t.Cleanup(finish)
	cookie, _ := r.signIn("ada")
	ada := r.raw()
	if status, err := ask(ada, "Cookie: "+cookie.String()+"\r\n"); err != nil || status != http.StatusOK {
		t.Fatalf("got %d, %v, want 200", status, err)
	}
	stranger := r.raw()
	if _, err := ask(stranger, ""); err != nil {
		t.Fatal(err)
	}
	working := make(chan error, 1)
	go func() {
		_, err := ask(stranger, "X-Wait: yes\r\n")
		working <- err
	}()
	time.Sleep(graceOver)
	for range 5 {
		if r.letsIn() {
			t.Error("a newcomer was let in")
		}
	}
	if status, err := ask(ada, "Cookie: "+cookie.String()+"\r\n"); err != nil || status != http.StatusOK {
		t.Errorf("signed in: got %d, %v, want 200", status, err)
	}
	finish()
	if err := <-working; err != nil {
		t.Errorf("the stranger's request under way: %v", err)
	}
	// Now the stranger rests, and makes room.
	eventually(t, time.Minute, "a newcomer gets in", func() bool {
		conn, err := net.Dial("tcp", r.address("plain"))
		if err != nil {
			return false
		}
		defer conn.Close()
		status, err := ask(conn, "")
		return err == nil && status == http.StatusOK
	})
	if !ends(stranger) {
		t.Error("the resting stranger is still connected")
	}
	if status, err := ask(ada, "Cookie: "+cookie.String()+"\r\n"); err != nil || status != http.StatusOK {
		t.Errorf("signed in, at the end: got %d, %v, want 200", status, err)
	}
}

// TestConnectionsAreCountedBack: places come back however a connection ends.
func TestConnectionsAreCountedBack(t *testing.T) {
	t.Parallel()
	r := startWithCap(t, 50, echo)
	for i := range 30 {
		conn := r.raw()
		switch i % 3 {
		case 0:
			conn.Close()
		case 1:
			_, _ = ask(conn, "Connection: close\r\n")
		case 2:
			socket, _, res := r.webSocket("/ws", "websocket")
			if res.StatusCode != 101 {
				t.Fatal(fmt.Errorf("got %d", res.StatusCode))
			}
			socket.Close()
			conn.Close()
		}
	}
	eventually(t, time.Minute, "nothing is open", func() bool { return r.Stats().ConnectionsOpen == 0 })
}
