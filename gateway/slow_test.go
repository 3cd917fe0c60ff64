package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/gateway"
)

// waitForEnd reads conn to its end and returns what came, and how long it took.
func waitForEnd(t *testing.T, conn net.Conn) (string, time.Duration) {
	t.Helper()
	begin := time.Now()
	must(t, conn.SetReadDeadline(begin.Add(time.Minute)))
	got, err := io.ReadAll(conn)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Fatalf("the connection is still open after a minute; got %q", got)
	}
	return string(got), time.Since(begin)
}

func TestSlowHeaders(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) {})
	r := start(t, gateway.Config{Limits: gateway.LimitsConfig{HeaderTimeout: 2 * time.Second}}, publicSite(t, up.URL))
	t.Run("silent", func(t *testing.T) {
		if got, took := waitForEnd(t, r.raw()); got != "" || took > 10*time.Second {
			t.Errorf("got %q after %v, want the end", got, took)
		}
	})
	t.Run("drip", func(t *testing.T) {
		conn := r.raw()
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n")
		must(t, err)
		go func() {
			for range 400 { // the deadline is for all headers: single bytes must not move it
				time.Sleep(50 * time.Millisecond)
				if _, err := io.WriteString(conn, "X"); err != nil {
					return
				}
			}
		}()
		if got, took := waitForEnd(t, conn); strings.Contains(got, "200") || took > 10*time.Second {
			t.Errorf("got %q after %v, want the end", got, took)
		}
	})
	t.Run("silent before TLS", func(t *testing.T) {
		conn, err := net.Dial("tcp", r.address("https"))
		must(t, err)
		defer conn.Close()
		if _, took := waitForEnd(t, conn); took > 10*time.Second {
			t.Errorf("closed after %v", took)
		}
	})
	t.Run("silent after TLS", func(t *testing.T) {
		// HTTP/2 waits 10 s of its own for the client's preface, and then for the idle timeout.
		conn, err := tls.Dial("tcp", r.address("https"), &tls.Config{RootCAs: r.roots, ServerName: "localhost", NextProtos: []string{"http/1.1"}})
		must(t, err)
		defer conn.Close()
		if _, took := waitForEnd(t, conn); took > 10*time.Second {
			t.Errorf("closed after %v", took)
		}
	})
}

func TestIdleConnectionIsClosed(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) {})
	r := start(t, gateway.Config{Limits: gateway.LimitsConfig{IdleTimeout: 300 * time.Millisecond}}, publicSite(t, up.URL))
	conn := r.raw()
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	must(t, err)
	if got, took := waitForEnd(t, conn); !strings.HasPrefix(got, "HTTP/1.1 200") || took > 10*time.Second {
		t.Errorf("got %q after %v, want an answer and then the end", got, took)
	}
}

func TestLargeHeaders(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) {})
	r := start(t, gateway.Config{Limits: gateway.LimitsConfig{HeaderBytes: 16 << 10}}, publicSite(t, up.URL))
	for size, want := range map[int]int{8 << 10: 200, 24 << 10: 431, 1 << 20: 431} {
		req, err := http.NewRequest(http.MethodGet, r.url("plain", "/"), nil)
		must(t, err)
		req.Header.Set("X-Large", strings.Repeat("x", size))
		res, err := r.client().Do(req)
		must(t, err)
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%d bytes of headers: got %d, want %d", size, res.StatusCode, want)
		}
	}
	for size, want := range map[int]string{8 << 10: "200", 17 << 10: "431"} {
		client := r.h2()
		var large [][2]string
		for i := range 8 { // net/http ends a connection over one value that alone is too large
			large = append(large, [2]string{fmt.Sprint("x-large-", i), strings.Repeat("x", size/8)})
		}
		must(t, client.get(1, "/", large...))
		if got := client.status(t, 1); got != want {
			t.Errorf("HTTP/2, %d bytes of headers: got %s, want %s", size, got, want)
		}
	}
}

func TestSlowBody(t *testing.T) {
	t.Parallel()
	received := make(chan error, 10)
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		received <- err
	})
	r := start(t, gateway.Config{Limits: gateway.LimitsConfig{BodyTimeout: time.Second}}, publicSite(t, up.URL))
	t.Run("pause", func(t *testing.T) {
		conn := r.raw()
		_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf of it")
		must(t, err)
		got, took := waitForEnd(t, conn)
		if !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.Contains(got, "Connection: close") || took > 10*time.Second {
			t.Errorf("got %q after %v, want 408 and the end", got, took)
		}
		if err := <-received; err == nil {
			t.Error("the application took half a body for a whole one")
		}
	})
	t.Run("drip", func(t *testing.T) {
		conn := r.raw()
		_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
		must(t, err)
		go func() {
			for range 200 { // each within the pause, but it would take minutes
				time.Sleep(100 * time.Millisecond)
				if _, err := io.WriteString(conn, "x"); err != nil {
					return
				}
			}
		}()
		if got, took := waitForEnd(t, conn); !strings.HasPrefix(got, "HTTP/1.1 408 ") || took > 10*time.Second {
			t.Errorf("got %q after %v, want 408", got, took)
		}
		<-received
	})
	t.Run("HTTP/2", func(t *testing.T) {
		body, feed := io.Pipe()
		go func() { _, _ = io.WriteString(feed, "half of it") }()
		defer feed.Close()
		res, err := r.client().Post(r.url("https", "/"), "text/plain", body)
		if err == nil {
			res.Body.Close()
			if res.StatusCode != http.StatusRequestTimeout {
				t.Errorf("got %d, want 408", res.StatusCode)
			}
		}
		<-received
	})
	t.Run("steady", func(t *testing.T) {
		const blocks, block = 20, 4 << 10
		r := start(t, gateway.Config{Limits: gateway.LimitsConfig{BodyTimeout: 2 * time.Second}}, publicSite(t, up.URL))
		body, feed := io.Pipe()
		go func() {
			for range blocks {
				time.Sleep(250 * time.Millisecond) // far from the two seconds, on a busy machine too
				_, _ = feed.Write(bytes.Repeat([]byte("x"), block))
			}
			feed.Close()
		}()
		res, err := r.client().Post(r.url("plain", "/"), "text/plain", body)
		must(t, err)
		res.Body.Close()
		if err := <-received; res.StatusCode != http.StatusOK || err != nil {
			t.Errorf("got %d, and the application %v; a slow but steady body must pass", res.StatusCode, err)
		}
	})
}

// TestSlowBodyThatIsRefused: nobody wants the body, and its sender must not hold the connection for ever with it.
func TestSlowBodyThatIsRefused(t *testing.T) {
	t.Parallel()
	site := publicSite(t, application(t, func(http.ResponseWriter, *http.Request) {}).URL)
	site.Access = []gateway.AccessRule{{Path: "/", Deny: true}}
	r := start(t, gateway.Config{Limits: gateway.LimitsConfig{BodyTimeout: time.Second}}, site)
	for name, head := range map[string]string{"length": "Content-Length: 1000\r\n\r\nhalf", "chunked": "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"} {
		conn := r.raw()
		_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\n"+head)
		must(t, err)
		if got, took := waitForEnd(t, conn); !strings.HasPrefix(got, "HTTP/1.1 403 ") || took > 10*time.Second {
			t.Errorf("%s: got %q after %v, want 403 and the end", name, got, took)
		}
	}
}

// TestSlowApplicationAfterBody: the body's clock stops with the body.
func TestSlowApplicationAfterBody(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		time.Sleep(3 * time.Second)
		fmt.Fprintf(w, "got %d", len(body))
	})
	r := start(t, gateway.Config{Limits: gateway.LimitsConfig{BodyTimeout: time.Second}}, publicSite(t, up.URL))
	for _, kind := range []string{"plain", "https"} {
		res, err := r.client().Post(r.url(kind, "/"), "text/plain", strings.NewReader("0123456789"))
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(body) != "got 10" {
			t.Errorf("%s: got %q, %v, want the answer", res.Proto, body, err)
		}
	}
}

// TestExpectContinue: the client is asked for its body only when the application is there.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%q %q", r.Header.Get("Expect"), body)
	})
	r := start(t, gateway.Config{}, publicSite(t, up.URL))
	conn := r.raw()
	_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	must(t, err)
	must(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q, %v, want 100", line, err)
	}
	_, _ = in.ReadString('\n')
	_, err = io.WriteString(conn, "body")
	must(t, err)
	res, err := http.ReadResponse(in, nil)
	must(t, err)
	if body, _ := io.ReadAll(res.Body); string(body) != `"" "body"` {
		t.Errorf("the application saw %s, want the body and no Expect", body)
	}
}
