package gateway_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/doorward/doorward/gateway"
)

// h2Client speaks HTTP/2 frame by frame, as no honest client would.
type h2Client struct {
	*http2.Framer
	conn *tls.Conn
	host string
}

func (r *running) h2(settings ...http2.Setting) *h2Client {
	r.t.Helper()
	conn, err := tls.Dial("tcp", r.address("https"), &tls.Config{RootCAs: r.roots, ServerName: "localhost", NextProtos: []string{"h2"}})
	must(r.t, err)
	r.t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, http2.ClientPreface)
	must(r.t, err)
	c := &h2Client{Framer: http2.NewFramer(conn, conn), conn: conn, host: "localhost"}
	must(r.t, c.WriteSettings(settings...))
	return c
}

// get opens stream id with a GET of path.
func (c *h2Client) get(id uint32, path string, headers ...[2]string) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	pseudo := [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", c.host}, {":path", path}}
	for _, f := range append(pseudo, headers...) {
		if err := encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			return err
		}
	}
	return c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
}

// status reads until the answer's headers on stream id.
func (c *h2Client) status(t *testing.T, id uint32) string {
	t.Helper()
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	must(t, c.conn.SetReadDeadline(time.Now().Add(time.Minute)))
	for {
		frame, err := c.ReadFrame()
		must(t, err)
		if f, ok := frame.(*http2.MetaHeadersFrame); ok && f.StreamID == id {
			return f.PseudoValue("status")
		}
	}
}

// streamEnd reads until stream id is reset or the connection ends, and says which.
func (c *h2Client) streamEnd(id uint32, within time.Duration) (string, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return "", err
	}
	for {
		frame, err := c.ReadFrame()
		if errors.Is(err, io.EOF) {
			return "connection closed", nil
		}
		if err != nil {
			return "", err
		}
		switch f := frame.(type) {
		case *http2.RSTStreamFrame:
			if f.StreamID == id {
				return "reset", nil
			}
		case *http2.GoAwayFrame:
			return "go away", nil
		}
	}
}

// TestHTTP2ClosedWindow: a client that takes no byte of its answers must not hold them for ever.
func TestHTTP2ClosedWindow(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, io.LimitReader(repeating("0123456789abcdef"), 100<<20))
		ended <- struct{}{}
	})
	r := start(t, gateway.Config{Limits: gateway.LimitsConfig{BodyTimeout: time.Second}}, publicSite(t, up.URL))
	for name, c := range map[string]struct{ host, path string }{
		"application's answer": {"localhost", "/"},
		"own refusal":          {"unknown.example", "/"},
	} {
		t.Run(name, func(t *testing.T) {
			client := r.h2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			client.host = c.host
			must(t, client.get(1, c.path))
			end, err := client.streamEnd(1, time.Minute)
			if err != nil {
				t.Errorf("the stream is still held: %v", err)
			}
			t.Log(end)
		})
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the application is still held")
	}
}

// TestHTTP2RapidReset: streams that are reset as soon as they are opened (CVE-2023-44487) must not reach the
// application beyond the client's rate, and others are served.
func TestHTTP2RapidReset(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		time.Sleep(50 * time.Millisecond)
	})
	limits := gateway.LimitsConfig{RequestsPerSecond: 20, Burst: 40}
	r := start(t, gateway.Config{Limits: limits}, publicSite(t, up.URL))
	client := r.h2()
	begin := time.Now()
	go func() { _, _ = io.Copy(io.Discard, client.conn) }()
	for i := range uint32(5000) {
		if err := errors.Join(client.get(2*i+1, "/"), client.WriteRSTStream(2*i+1, http2.ErrCodeCancel)); err != nil {
			break // the server has had enough
		}
	}
	allowed := 40 + int64(20*(time.Since(begin)+time.Second).Seconds())
	if n := reached.Load(); n > allowed {
		t.Errorf("%d of 5,000 requests reached the application, the client's rate allows %d", n, allowed)
	}
	cookie, _ := r.signIn("ada")
	if status, err := ask(r.raw(), "Cookie: "+cookie.String()+"\r\n"); err != nil || status != http.StatusOK {
		t.Errorf("somebody else, afterwards: got %d, %v, want 200", status, err)
	}
}

// TestNoHTTP2InTheClear: neither by prior knowledge nor by upgrade.
func TestNoHTTP2InTheClear(t *testing.T) {
	t.Parallel()
	up := application(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("HTTP2-Settings")) })
	r := start(t, gateway.Config{}, publicSite(t, up.URL))
	conn := r.raw()
	_, err := io.WriteString(conn, http2.ClientPreface)
	must(t, err)
	if got, _ := waitForEnd(t, conn); !strings.HasPrefix(got, "HTTP/1.1 ") || strings.HasPrefix(got, "HTTP/1.1 2") {
		t.Errorf("prior knowledge: got %q, want a refusal in HTTP/1.1", got)
	}
	_, _, res := r.webSocket("/", "h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
	if res.StatusCode != http.StatusOK {
		t.Errorf("upgrade: got %d, want an ordinary answer", res.StatusCode)
	}
}
