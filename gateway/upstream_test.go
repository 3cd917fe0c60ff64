package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/porttest"
)

// application starts an upstream.
func application(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// freeAddress is an address of the loopback interface at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := porttest.Free()
	must(t, err)
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// unusedAddress is a URL at which nobody listens.
func unusedAddress(t *testing.T) string {
	t.Helper()
	return "http://" + freeAddress(t)
}

// rawApplication answers every connection with what it is told to, byte by byte.
func rawApplication(t *testing.T, serve func(conn net.Conn, request *http.Request)) (url string, connections *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	connections = new(atomic.Int64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go func() {
				defer conn.Close()
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return // a health check, which only connects
				}
				serve(conn, r)
			}()
		}
	}()
	return "http://" + l.Addr().String(), connections
}

func TestUpstreamDown(t *testing.T) {
	t.Parallel()
	site := publicSite(t, unusedAddress(t))
	r := start(t, gateway.Config{}, site)
	status, body := r.get("/")
	if status != http.StatusBadGateway || strings.Contains(body, "connect") {
		t.Errorf("got %d %q, want 502 without the cause", status, body)
	}
	res, err := r.client().Post(r.url("plain", "/"), "text/plain", strings.NewReader("x"))
	must(t, err)
	res.Body.Close()
	if res.StatusCode != http.StatusBadGateway {
		t.Errorf("POST: got %d, want 502", res.StatusCode)
	}
	eventually(t, time.Minute, "the upstream is shown as down", func() bool {
		up := r.Sites()[0].Upstreams[0]
		if !up.Healthy && up.LastError != "" {
			return true
		}
		r.get("/")
		return false
	})
}

func TestUpstreamComesBack(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	site := publicSite(t, "http://"+address)
	site.Upstream.MaxFails = 1
	site.Upstream.RestFor = time.Hour
	site.Upstream.HealthInterval = 50 * time.Millisecond
	r := start(t, gateway.Config{}, site)
	if status, _ := r.get("/"); status != http.StatusBadGateway {
		t.Fatalf("got %d, want 502", status)
	}
	l, err := net.Listen("tcp", address)
	must(t, err)
	up := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "back") })}
	go up.Serve(l)
	t.Cleanup(func() { up.Close() })
	// An upstream that rests is still asked when there is no other: a rest is a guess.
	if status, body := r.get("/"); status != http.StatusOK || body != "back" {
		t.Errorf("got %d %q, want 200 back", status, body)
	}
	eventually(t, time.Minute, "the health check finds it", func() bool { return r.Sites()[0].Upstreams[0].Healthy })
}

func TestUpstreamSlow(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var asked atomic.Int64
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) })
	site := publicSite(t, up.URL)
	site.Upstream.ResponseTimeout = 300 * time.Millisecond
	r := start(t, gateway.Config{}, site)
	begin := time.Now()
	if status, _ := r.get("/"); status != http.StatusGatewayTimeout {
		t.Errorf("got %d, want 504", status)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("answered after %v, want about 300ms", took)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the application was asked %d times; a slow one must not get the work twice", n)
	}
}

// TestAnswerCut: what breaks off at the application must not look whole to the client.
func TestAnswerCut(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 50000),
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nC350\r\n" + strings.Repeat("x", 50000) + "\r\n",
	} {
		url, _ := rawApplication(t, func(conn net.Conn, _ *http.Request) { io.WriteString(conn, head) })
		r := start(t, gateway.Config{}, publicSite(t, url))
		for _, kind := range []string{"plain", "https"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				res, err := r.client().Get(r.url(kind, "/"))
				if err != nil {
					return // broken before the first byte: plain enough
				}
				defer res.Body.Close()
				body, err := io.ReadAll(res.Body)
				if err == nil {
					t.Errorf("%s: got a whole answer of %d bytes, want an error", res.Proto, len(body))
				}
			})
		}
	}
}

func TestFailover(t *testing.T) {
	t.Parallel()
	var good atomic.Int64
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		good.Add(1)
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Method, body)
	})
	r := start(t, gateway.Config{}, publicSite(t, unusedAddress(t), up.URL, unusedAddress(t)))
	for range 10 {
		if status, body := r.get("/"); status != http.StatusOK || body != "GET " {
			t.Fatalf("got %d %q, want 200", status, body)
		}
	}
	for range 10 {
		res, err := r.client().Post(r.url("plain", "/"), "text/plain", strings.NewReader("once"))
		must(t, err)
		body, err := io.ReadAll(res.Body)
		must(t, err)
		res.Body.Close()
		if res.StatusCode != http.StatusOK || string(body) != "POST once" {
			t.Fatalf("POST: got %d %q, want 200 with the whole body", res.StatusCode, body)
		}
	}
	if n := good.Load(); n != 20 {
		t.Errorf("the good upstream saw %d requests, want 20", n)
	}
}

func TestRoundRobin(t *testing.T) {
	t.Parallel()
	var urls []string
	for _, name := range []string{"a", "b", "c"} {
		urls = append(urls, application(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, name) }).URL)
	}
	r := start(t, gateway.Config{}, publicSite(t, urls...))
	count := map[string]int{}
	for range 9 {
		_, body := r.get("/")
		count[body]++
	}
	if count["a"] != 3 || count["b"] != 3 || count["c"] != 3 {
		t.Errorf("got %v, want 3 each", count)
	}
}

// TestNeverTwice: a request that an application may have begun to carry out is not sent again, unless it is
// a reading one.
func TestNeverTwice(t *testing.T) {
	t.Parallel()
	var posts, gets atomic.Int64
	hangUp := func(_ net.Conn, r *http.Request) {
		if r.Method == http.MethodPost {
			posts.Add(1)
		} else {
			gets.Add(1)
		}
	}
	first, _ := rawApplication(t, hangUp)
	second, _ := rawApplication(t, hangUp)
	r := start(t, gateway.Config{}, publicSite(t, first, second))
	res, err := r.client().Post(r.url("plain", "/"), "text/plain", strings.NewReader("pay"))
	must(t, err)
	res.Body.Close()
	if res.StatusCode != http.StatusBadGateway || posts.Load() != 1 {
		t.Errorf("POST: got %d after %d attempts, want 502 after 1", res.StatusCode, posts.Load())
	}
	if status, _ := r.get("/"); status != http.StatusBadGateway || gets.Load() != 2 {
		t.Errorf("GET: got %d after %d attempts, want 502 after 2", status, gets.Load())
	}
}

func TestUpstreamRestsAfterFailures(t *testing.T) {
	t.Parallel()
	var bad atomic.Int64
	broken, _ := rawApplication(t, func(net.Conn, *http.Request) { bad.Add(1) })
	up := application(t, func(w http.ResponseWriter, r *http.Request) {})
	site := publicSite(t, broken, up.URL)
	site.Upstream.MaxFails = 2
	site.Upstream.RestFor = time.Hour
	site.Upstream.HealthPath = "/health"
	site.Upstream.HealthInterval = time.Hour
	r := start(t, gateway.Config{}, site)
	for range 20 {
		if status, _ := r.get("/"); status != http.StatusOK {
			t.Fatalf("got %d, want 200 from the other upstream", status)
		}
	}
	if n := bad.Load(); n < 2 || n > 3 {
		t.Errorf("the broken upstream was asked %d times, want 2 (and once by the health check)", n)
	}
	status := r.Sites()[0].Upstreams
	if status[0].Healthy || !status[1].Healthy {
		t.Errorf("got %+v, want the first down and the second up", status)
	}
}

func TestHealthPath(t *testing.T) {
	t.Parallel()
	var sick atomic.Bool
	sick.Store(true)
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" && sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	site := publicSite(t, up.URL)
	site.Upstream.HealthPath = "/healthz"
	site.Upstream.HealthInterval = 20 * time.Millisecond
	site.Upstream.MaxFails = 2
	r := start(t, gateway.Config{}, site)
	eventually(t, time.Minute, "503 means down", func() bool { return !r.Sites()[0].Upstreams[0].Healthy })
	if got := r.Sites()[0].Upstreams[0].LastError; !strings.Contains(got, "503") {
		t.Errorf("got last error %q, want the status in it", got)
	}
	sick.Store(false)
	eventually(t, time.Minute, "200 means up", func() bool { return r.Sites()[0].Upstreams[0].Healthy })
}

func TestUpstreamUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.sock")
	l, err := net.Listen("unix", path)
	must(t, err)
	up := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host) })}
	go up.Serve(l)
	t.Cleanup(func() { up.Close() })
	r := start(t, gateway.Config{}, publicSite(t, "unix:"+path))
	want := "localhost:" + r.port("plain")
	if status, body := r.get("/"); status != http.StatusOK || body != want {
		t.Errorf("got %d %q, want 200 %q: the client's host goes to the application", status, body, want)
	}
}

func TestUpstreamTLS(t *testing.T) {
	t.Parallel()
	up := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "secure") }))
	t.Cleanup(up.Close)
	up.Config.ErrorLog = nil
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(caFile, pemOf(up.Certificate().Raw), 0o600))

	stranger := publicSite(t, up.URL)
	wrongName := publicSite(t, up.URL)
	wrongName.Upstream.CAFile, wrongName.Upstream.ServerName = caFile, "other.example"
	right := publicSite(t, up.URL)
	right.Upstream.CAFile, right.Upstream.ServerName = caFile, "example.com"
	for name, c := range map[string]struct {
		site gateway.SiteConfig
		want int
	}{
		"unknown authority": {stranger, http.StatusBadGateway},
		"wrong name":        {wrongName, http.StatusBadGateway},
		"own authority":     {right, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, gateway.Config{}, c.site)
			if status, body := r.get("/"); status != c.want {
				t.Errorf("got %d %q, want %d", status, body, c.want)
			}
		})
	}
}
