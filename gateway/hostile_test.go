package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/gateway"
)

// scripted is an application that gives each request the bytes of answer, whatever they are.
func scripted(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for in := bufio.NewReader(conn); ; {
					if _, err := http.ReadRequest(in); err != nil {
						return
					}
					if _, err := io.WriteString(conn, answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// TestAnswersThatAreNone are the application's fault, and are told as such: they do not look like ours.
func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	block := strings.Repeat("X-Long: "+strings.Repeat("a", 1000)+"\r\n", 400)
	for name, answer := range map[string]string{
		"status 000":                "HTTP/1.1 000 No\r\nContent-Length: 2\r\n\r\nhi",
		"status 050":                "HTTP/1.1 050 No\r\nContent-Length: 2\r\n\r\nhi",
		"two lengths":               "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
		"negative length":           "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi",
		"unknown transfer encoding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"CR in a header":            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\rSet-Cookie: c=d\r\n\r\nhi",
		"NUL in a header":           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\x00\r\n\r\nhi",
		"headers without end":       "HTTP/1.1 200 OK\r\n" + block + "\r\n",
		"a header without end":      "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 1<<20),
		"another protocol":          "220 mail.example ESMTP\r\n\r\n",
		"101 that nobody asked for": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, gateway.Config{}, publicSite(t, scripted(t, answer)))
			res, err := r.client().Get(r.url("plain", "/"))
			must(t, err)
			res.Body.Close()
			if got, panics := res.StatusCode, r.Stats().Panics; got != http.StatusBadGateway || panics != 0 {
				t.Errorf("got %d and %d panics, want 502 and none", got, panics)
			}
		})
	}
}

// TestTrailersOfAnswers do not reach the client: they would come past the rules for answers.
func TestTrailersOfAnswers(t *testing.T) {
	t.Parallel()
	const trailers = "X-After: 1\r\nSet-Cookie: " + gateway.CookieName + "=planted\r\nStrict-Transport-Security: max-age=99999999\r\n"
	for name, announced := range map[string]string{"announced": "Trailer: X-After, Set-Cookie\r\n", "unannounced": ""} {
		up := scripted(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"+announced+"\r\n2\r\nhi\r\n0\r\n"+trailers+"\r\n")
		r := start(t, gateway.Config{}, publicSite(t, up))
		for _, kind := range []string{"plain", "https"} {
			for range 2 { // the second goes over a connection that has been used
				res, err := r.client().Get(r.url(kind, "/"))
				must(t, err)
				body, err := io.ReadAll(res.Body)
				must(t, err)
				res.Body.Close()
				if string(body) != "hi" || len(res.Trailer) != 0 || res.Header["Trailer"] != nil {
					t.Errorf("%s, %s: got body %q and trailers %v, want hi and none", name, res.Proto, body, res.Trailer)
				}
			}
		}
	}
}

// TestInterimAnswersAreFew: what is not a hint stays here, and an HTTP/1.0 client gets none at all, as it
// would take it for the answer.
func TestInterimAnswersAreFew(t *testing.T) {
	t.Parallel()
	up := scripted(t, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+
		"HTTP/1.1 199 Odd\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
	r := start(t, gateway.Config{}, publicSite(t, up))
	for version, want := range map[string]string{"1.0": "200", "1.1": "103 200"} {
		conn, err := net.Dial("tcp", r.Addresses("plain")[0].String())
		must(t, err)
		fmt.Fprintf(conn, "GET / HTTP/%s\r\nHost: localhost\r\nConnection: close\r\n\r\n", version)
		all, err := io.ReadAll(conn)
		must(t, err)
		conn.Close()
		var got []string
		for line := range strings.SplitSeq(string(all), "\r\n") {
			if strings.HasPrefix(line, "HTTP/") {
				got = append(got, line[9:12])
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("HTTP/%s: got %q, want %s", version, got, want)
		}
	}
}
