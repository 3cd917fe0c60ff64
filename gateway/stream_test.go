package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/gateway"
)

// eventStream sends an event, and then one more for each value of more.
func eventStream(more <-chan string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: first\n\n")
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case <-r.Context().Done():
				return
			case line := <-more:
				fmt.Fprintf(w, "data: %s\n\n", line)
				_ = http.NewResponseController(w).Flush()
			}
		}
	}
}

// openStream asks for an event stream and reads its first event.
func (r *running) openStream(kind string, cookie *http.Cookie) (*bufio.Reader, *http.Response) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url(kind, "/events"), nil)
	must(r.t, err)
	if cookie != nil {
		req.AddCookie(cookie)
	}
	res, err := r.client().Do(req)
	must(r.t, err)
	r.t.Cleanup(func() { res.Body.Close() })
	lines := bufio.NewReader(res.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "data: first\n" {
		r.t.Fatalf("got %q, %v, want the first event before the answer ends", line, err)
	}
	return lines, res
}

func TestEventStreamPasses(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"plain", "https"} {
		more := make(chan string)
		r := start(t, gateway.Config{}, publicSite(t, application(t, eventStream(more)).URL))
		lines, res := r.openStream(kind, nil)
		_, _ = lines.ReadString('\n')
		more <- kind
		if line, err := lines.ReadString('\n'); err != nil || line != "data: "+kind+"\n" {
			t.Errorf("%s: got %q, %v, want the second event", res.Proto, line, err)
		}
	}
}

// TestLongStream outlives the server's write deadline several times over, at rest and at work.
func TestLongStream(t *testing.T) {
	t.Parallel()
	limits := gateway.LimitsConfig{BodyTimeout: time.Second}
	for _, kind := range []string{"plain", "https"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			more := make(chan string)
			r := start(t, gateway.Config{Limits: limits}, publicSite(t, application(t, eventStream(more)).URL))
			lines, res := r.openStream(kind, nil)
			_, _ = lines.ReadString('\n')
			time.Sleep(6 * time.Second)
			go func() { more <- "late" }()
			if line, err := lines.ReadString('\n'); err != nil || line != "data: late\n" {
				t.Errorf("%s: got %q, %v, want an event after six times the body timeout", res.Proto, line, err)
			}
		})
	}
}

// busySecond is a second, and what a busy machine adds to it.
const busySecond = 6 * time.Second

func TestRevocationEndsEventStream(t *testing.T) {
	t.Parallel()
	up := application(t, eventStream(nil))
	for _, kind := range []string{"plain", "https"} {
		t.Run(kind, func(t *testing.T) {
			r := start(t, gateway.Config{}, publicSite(t, up.URL))
			cookie, id := r.signIn("ada")
			lines, res := r.openStream(kind, cookie)
			revoked := time.Now()
			r.revoke(id)
			_, err := io.Copy(io.Discard, lines)
			if took := time.Since(revoked); took > busySecond {
				t.Errorf("%s: the stream went on for %v after the revocation", res.Proto, took)
			}
			if err == nil {
				t.Errorf("%s: the stream ended like a whole answer, want an error", res.Proto)
			}
			if n := r.Stats().StreamsCut; n != 1 {
				t.Errorf("%s: %d streams were counted as cut, want 1", res.Proto, n)
			}
		})
	}
}

// webSocket asks for path with an upgrade and returns the connection and the answer's head.
func (r *running) webSocket(path, protocol string, headers ...string) (net.Conn, *bufio.Reader, *http.Response) {
	r.t.Helper()
	conn := r.raw()
	lines := append([]string{"GET " + path + " HTTP/1.1", "Host: localhost:" + r.port("plain"), "Connection: Upgrade",
		"Upgrade: " + protocol, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, headers...)
	_, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n")
	must(r.t, err)
	must(r.t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	must(r.t, err)
	return conn, in, res
}

// echo switches to a websocket and sends back what it reads, or says what it was asked for.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		fmt.Fprint(w, "no upgrade")
		return
	}
	conn, in, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
	_, _ = io.Copy(conn, in)
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	var upgrades atomic.Int64
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		if upgrade := r.Header.Get("Upgrade"); upgrade != "" && (!strings.HasPrefix(r.URL.Path, "/ws") || !strings.EqualFold(upgrade, "websocket")) {
			upgrades.Add(1)
		}
		echo(w, r)
	})
	r := start(t, gateway.Config{}, publicSite(t, up.URL))
	host := "localhost:" + r.port("plain")
	for name, c := range map[string]struct {
		path, protocol string
		headers        []string
		status         int
	}{
		"declared path":          {"/ws", "websocket", nil, 101},
		"below it":               {"/ws/room", "WebSocket", []string{"Origin: http://" + host}, 101},
		"undeclared path":        {"/other", "websocket", nil, 403},
		"longer segment":         {"/wsx", "websocket", nil, 403},
		"from another site":      {"/ws", "websocket", []string{"Origin: http://evil.example"}, 403},
		"from another port":      {"/ws", "websocket", []string{"Origin: http://localhost:1"}, 403},
		"from nowhere":           {"/ws", "websocket", []string{"Origin: null"}, 403},
		"HTTP/2 in the clear":    {"/ws", "h2c", nil, 200},
		"two protocols":          {"/ws", "websocket, h2c", nil, 200},
		"any other protocol":     {"/ws", "TLS/1.0", nil, 200},
		"two headers, one is ws": {"/ws", "websocket\r\nUpgrade: h2c", nil, 200},
	} {
		t.Run(name, func(t *testing.T) {
			conn, in, res := r.webSocket(c.path, c.protocol, c.headers...)
			if res.StatusCode != c.status {
				t.Fatalf("got %d, want %d", res.StatusCode, c.status)
			}
			switch c.status {
			case 101:
				_, err := io.WriteString(conn, "hello\n")
				must(t, err)
				if line, err := in.ReadString('\n'); err != nil || line != "hello\n" {
					t.Errorf("got %q, %v, want the echo", line, err)
				}
			default:
				if n := upgrades.Load(); n != 0 {
					t.Errorf("the application was asked to switch %d times", n)
				}
			}
		})
	}
}

func TestRevocationEndsWebSocket(t *testing.T) {
	t.Parallel()
	var open atomic.Int64
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		open.Add(1)
		defer open.Add(-1)
		echo(w, r)
	})
	r := start(t, gateway.Config{}, publicSite(t, up.URL))
	cookie, id := r.signIn("ada")
	_, in, res := r.webSocket("/ws", "websocket", "Cookie: "+cookie.String())
	if res.StatusCode != 101 {
		t.Fatalf("got %d, want 101", res.StatusCode)
	}
	revoked := time.Now()
	r.revoke(id)
	if _, err := in.ReadByte(); err == nil || time.Since(revoked) > busySecond {
		t.Errorf("after %v: %v, want the end within a second", time.Since(revoked), err)
	}
	eventually(t, time.Minute, "the application's side ends too", func() bool { return open.Load() == 0 })
}

// TestUnaskedSwitch: an application must not be able to turn an ordinary connection into a tunnel.
func TestUnaskedSwitch(t *testing.T) {
	t.Parallel()
	url, _ := rawApplication(t, func(conn net.Conn, _ *http.Request) {
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\nhidden")
	})
	r := start(t, gateway.Config{}, publicSite(t, url))
	if status, body := r.get("/"); status != http.StatusBadGateway || strings.Contains(body, "hidden") {
		t.Errorf("got %d %q, want 502", status, body)
	}
}

// TestShutdown: what would never end is ended at once, what is under way may finish.
func TestShutdown(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/events":
			eventStream(nil)(w, r)
		case "/ws":
			echo(w, r)
		default:
			close(began)
			time.Sleep(700 * time.Millisecond)
			fmt.Fprint(w, "finished")
		}
	})
	r := start(t, gateway.Config{}, publicSite(t, up.URL))
	lines, _ := r.openStream("https", nil)
	_, socket, _ := r.webSocket("/ws", "websocket")
	silent := r.raw()
	answer := make(chan string, 1)
	go func() {
		res, err := r.client().Get(r.url("plain", "/work"))
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		answer <- fmt.Sprint(string(body), err)
	}()
	<-began
	stopped := time.Now()
	if err := r.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if took := time.Since(stopped); took > 15*time.Second {
		t.Errorf("stopped after %v, want about as long as the slowest request", took)
	}
	if got := <-answer; got != "finished<nil>" {
		t.Errorf("the request under way got %q, want a whole answer", got)
	}
	if _, err := io.Copy(io.Discard, lines); err == nil {
		t.Error("the event stream ended like a whole answer")
	}
	if _, err := socket.ReadByte(); err == nil {
		t.Error("the websocket is still open")
	}
	_ = silent.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := silent.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the silent connection: %v, want EOF", err)
	}
}

func TestReloadEndsStreamsOfRemovedSite(t *testing.T) {
	t.Parallel()
	up := application(t, eventStream(nil))
	gone, stays := publicSite(t, up.URL), publicSite(t, up.URL)
	stays.Hosts = []string{"stays.localhost"}
	r := start(t, gateway.Config{}, gone, stays)
	lines, _ := r.openStream("https", nil)
	cfg := r.cfg
	cfg.Sites = []gateway.SiteConfig{stays}
	cfg.SetDefaults()
	reloaded := time.Now()
	must(t, r.Reload(t.Context(), cfg))
	if _, err := io.Copy(io.Discard, lines); err == nil || time.Since(reloaded) > busySecond {
		t.Errorf("after %v: %v, want an error within a second", time.Since(reloaded), err)
	}
}

// TestClientStopsReading: an answer that nobody takes must not be held for ever.
func TestClientStopsReading(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		block := make([]byte, 1<<20)
		for range 100 {
			if _, err := w.Write(block); err != nil {
				break
			}
		}
		ended <- struct{}{}
	})
	limits := gateway.LimitsConfig{BodyTimeout: time.Second}
	r := start(t, gateway.Config{Limits: limits}, publicSite(t, up.URL))
	for _, kind := range []string{"plain", "https"} {
		t.Run(kind, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url(kind, "/"), nil)
			must(t, err)
			res, err := r.client().Do(req)
			must(t, err)
			defer res.Body.Close()
			select {
			case <-ended:
			case <-time.After(time.Minute):
				t.Errorf("%s: the answer is still held sixty body timeouts later", res.Proto)
			}
		})
	}
}

// TestAnswersLargerThanAnyBuffer pass unharmed, over both protocols and at once.
func TestAnswersLargerThanAnyBuffer(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, io.LimitReader(repeating("0123456789abcdef"), size))
	})
	r := start(t, gateway.Config{}, publicSite(t, up.URL))
	results := make(chan error)
	for i := range 8 {
		kind := []string{"plain", "https"}[i%2]
		go func() {
			res, err := r.client().Get(r.url(kind, "/"))
			if err != nil {
				results <- err
				return
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err == nil && (len(body) != size || strings.Trim(string(body), "0123456789abcdef") != "" || string(body[size-4:]) != "cdef") {
				err = fmt.Errorf("%s: got %d bytes, want %d of the pattern", res.Proto, len(body), size)
			}
			results <- err
		}()
	}
	for range 8 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// repeating is an endless reader of one pattern.
func repeating(pattern string) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		n := len(p) / len(pattern) * len(pattern)
		copy(p, strings.Repeat(pattern, n/len(pattern)))
		return n, nil
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestInterimAnswer: 103 passes with its hints and nothing else.
func TestInterimAnswer(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.Header().Set("Set-Cookie", gateway.CookieName+"=stolen")
		w.Header().Set("X-Inner", "secret")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Set-Cookie")
		fmt.Fprint(w, "page")
	})
	r := start(t, gateway.Config{}, publicSite(t, up.URL))
	for _, kind := range []string{"plain", "https"} {
		var hints []string
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, h))
			return nil
		}}
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, r.url(kind, "/"), nil)
		must(t, err)
		res, err := r.client().Do(req)
		must(t, err)
		body, err := io.ReadAll(res.Body)
		must(t, err)
		res.Body.Close()
		want := "103 map[Link:[</style.css>; rel=preload]]"
		if len(hints) != 1 || hints[0] != want || res.StatusCode != http.StatusOK || string(body) != "page" {
			t.Errorf("%s: got %q and then %d %q, want %q and the page", res.Proto, hints, res.StatusCode, body, want)
		}
	}
}

// TestTrailersOfRequests do not reach the application, which might take them for headers.
func TestTrailersOfRequests(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", body, r.Trailer)
	})
	r := start(t, gateway.Config{}, publicSite(t, up.URL))
	for _, kind := range []string{"plain", "https"} {
		req, err := http.NewRequest(http.MethodPost, r.url(kind, "/"), io.MultiReader(strings.NewReader("body")))
		must(t, err)
		req.Trailer = http.Header{"X-Remote-User": {"root"}}
		res, err := r.client().Do(req)
		must(t, err)
		got, err := io.ReadAll(res.Body)
		must(t, err)
		res.Body.Close()
		if string(got) != "body map[]" {
			t.Errorf("%s: the application saw %q", res.Proto, got)
		}
	}
}

// TestOpenStreamsAreNoLoad: people with an open page keep nobody out, up to a cap of their own.
func TestOpenStreamsAreNoLoad(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" {
			eventStream(nil)(w, r)
		}
	})
	limits := gateway.LimitsConfig{InFlight: 2, Connections: 6}
	r := start(t, gateway.Config{Limits: limits}, publicSite(t, up.URL))
	cookie, _ := r.signIn("ada")
	client := r.client() // one HTTP/2 connection
	ask := func(path string) (int, io.Closer) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url("https", path), nil)
		must(t, err)
		req.AddCookie(cookie)
		res, err := client.Do(req)
		must(t, err)
		return res.StatusCode, res.Body
	}
	var first io.Closer
	for i := range 6 {
		status, body := ask("/events")
		defer body.Close()
		if status != http.StatusOK {
			t.Fatalf("stream %d: got %d, want 200", i, status)
		}
		if first == nil {
			first = body
		}
	}
	if status, body := ask("/"); status != http.StatusOK {
		t.Errorf("an ordinary request beside 6 streams: got %d, want 200", status)
	} else {
		body.Close()
	}
	if status, body := ask("/events"); status != http.StatusServiceUnavailable {
		t.Errorf("one stream too many: got %d, want 503", status)
	} else {
		body.Close()
	}
	first.Close()
	eventually(t, time.Minute, "a place is free again", func() bool {
		status, body := ask("/events")
		defer body.Close()
		return status == http.StatusOK
	})
}
