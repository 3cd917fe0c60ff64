package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/gateway"
)

// BenchmarkAuthz compares a question of a proxy, with rules about role, network, country and activity in force, with
// a handler that writes 200 and does nothing else. "handler" is the work alone; "server" is a connection that is kept
// alive, the client's side in the figure too.
func BenchmarkAuthz(b *testing.B) {
	r, request := startAuthzBench(b)
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	b.Run("handler", func(b *testing.B) {
		req, err := http.ReadRequest(bufio.NewReader(&stringReader{request}))
		if err != nil {
			b.Fatal(err)
		}
		req.RemoteAddr = "127.0.0.1:40000"
		w, cookies := &emptyWriter{h: make(http.Header, 8)}, req.Header["Cookie"]
		b.ReportAllocs()
		for b.Loop() {
			clear(w.h)
			req.Header["Cookie"] = cookies // taken out by the one before
			r.ServeHTTP(w, req)
		}
		if w.status != http.StatusOK {
			b.Fatalf("got %d, want 200; refused: %v", w.status, r.Stats().Refused)
		}
	})
	serve := func(name, address string) {
		b.Run(name, func(b *testing.B) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.WriteString(conn, request); err != nil {
					b.Fatal(err)
				}
				for n := 0; ; n++ {
					line, err := in.ReadSlice('\n')
					if err != nil || n == 0 && string(line[:12]) != "HTTP/1.1 200" {
						b.Fatalf("%q, %v", line, err)
					}
					if len(line) == 2 {
						break
					}
				}
			}
		})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: bare}
	go func() { _ = server.Serve(l) }()
	b.Cleanup(func() { server.Close() })
	serve("server/bare", l.Addr().String())
	serve("server/authz", r.address("plain"))
}

func startAuthzBench(b *testing.B) (*running, string) {
	site := gateway.SiteConfig{Hosts: []string{"localhost"}, ForwardAuth: true, App: "request-tracker",
		Countries: gateway.CountryConfig{Deny: []string{"FR"}},
		Access: []gateway.AccessRule{{Path: "/setup", Roles: []string{"admin"}},
			{Path: "/", Roles: []string{"agent"}, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.0/24")}}}}
	cfg := gateway.Config{Limits: gateway.LimitsConfig{RequestsPerSecond: 1e6, Burst: 1e6}}
	cfg.ForwardAuth.Trusted = loopback
	r := startWith(b, gateway.Deps{Country: func(netip.Addr) (string, bool) { return "DE", false },
		RoleAllowed: func(*auth.Session, netip.Addr) bool { return true }, RequireActivity: func(*auth.Session) bool { return true }}, cfg, site)
	agent, _ := r.signInAs("anna", auth.Agent)
	return r, fmt.Sprintf("GET /.doorward/authz HTTP/1.1\r\nHost: doorward\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\n"+
		"X-Forwarded-Host: localhost\r\nX-Forwarded-Uri: /Ticket/Display.html?id=1\r\nX-Forwarded-For: 192.0.2.7\r\n"+
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\nAccept: text/html\r\nAccept-Language: de\r\nAccept-Encoding: gzip\r\n"+
		"Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: same-origin\r\nCookie: RT_SID_example.443=1; %s=%s\r\n\r\n",
		agent.Name, agent.Value)
}

// stringReader reads a text once.
type stringReader struct{ rest string }

func (s *stringReader) Read(p []byte) (int, error) {
	if s.rest == "" {
		return 0, io.EOF
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// emptyWriter takes an answer and forgets it.
type emptyWriter struct {
	h      http.Header
	status int
}

func (w *emptyWriter) Header() http.Header         { return w.h }
func (w *emptyWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *emptyWriter) WriteHeader(status int)      { w.status = status }
