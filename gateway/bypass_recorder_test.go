package gateway_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is an application that reads requests byte by byte from a plain socket and keeps them as they
// came. It believes the framing that it is told and takes whatever follows for the next request, so that
// a smuggled request shows up as one more.
type recorder struct {
	url     string
	mu      sync.Mutex
	seen    []seenRequest
	reading int // requests that have begun to arrive
}

// seenRequest is one request as it arrived.
type seenRequest struct {
	head           string // request line and headers, as sent
	method, target string
	headers        [][2]string
	body           string
	broken         string // why it never became whole
}

func (r seenRequest) all(name string) []string {
	var values []string
	for _, h := range r.headers {
		if strings.EqualFold(h[0], name) {
			values = append(values, h[1])
		}
	}
	return values
}

func (r seenRequest) has(name string) bool { return len(r.all(name)) > 0 }

func (r seenRequest) get(name string) string { return strings.Join(r.all(name), " + ") }

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	up := &recorder{url: "http://" + l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go up.serve(conn)
		}
	}()
	return up
}

// take returns what arrived since the last take.
func (up *recorder) take() []seenRequest {
	up.mu.Lock()
	defer up.mu.Unlock()
	taken := up.seen
	up.seen = nil
	return taken
}

func (up *recorder) begin() {
	up.mu.Lock()
	defer up.mu.Unlock()
	up.reading++
}

func (up *recorder) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		if _, err := in.Peek(1); err != nil {
			return // an idle connection ended
		}
		up.begin()
		r, err := readSeen(in)
		if err != nil {
			r.broken = err.Error()
		}
		up.mu.Lock()
		up.seen = append(up.seen, r)
		up.reading--
		up.mu.Unlock()
		if err != nil {
			return
		}
		answer := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: Leaky/1.0\r\nX-Powered-By: Leaky\r\nVia: 1.1 leaky\r\n" +
			"Set-Cookie: DESKSESSION=1; Path=/\r\nSet-Cookie: __Host-doorward=planted; Path=/; Secure\r\nSet-Cookie: __HOST-Doorward=planted\r\n" +
			"Content-Length: 2\r\n\r\n"
		if r.method != "HEAD" {
			answer += "ok"
		}
		if r.target == "/early" {
			answer = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nServer: Leaky/1.0\r\nX-Desk-Secret: leaked\r\n" +
				"Set-Cookie: __Host-doorward=planted; Path=/; Secure\r\n\r\n" + answer
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

func readSeen(in *bufio.Reader) (seenRequest, error) {
	var r seenRequest
	for !strings.HasSuffix(r.head, "\r\n\r\n") {
		line, err := in.ReadString('\n')
		r.head += line
		if err != nil {
			return r, err
		}
	}
	lines := strings.Split(strings.TrimSuffix(r.head, "\r\n\r\n"), "\r\n")
	parts := strings.Split(lines[0], " ")
	if len(parts) != 3 || parts[2] != "HTTP/1.1" {
		return r, errors.New("request line " + strconv.Quote(lines[0]))
	}
	r.method, r.target = parts[0], parts[1]
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(line, "\r\n\x00") || strings.TrimSpace(name) != name {
			return r, errors.New("header line " + strconv.Quote(line))
		}
		r.headers = append(r.headers, [2]string{name, strings.TrimSpace(value)})
	}
	var err error
	switch {
	case r.get("Transfer-Encoding") == "chunked":
		r.body, err = readChunks(in)
	case r.has("Transfer-Encoding"):
		err = errors.New("transfer encoding " + r.get("Transfer-Encoding"))
	case r.has("Content-Length"):
		var n int
		if n, err = strconv.Atoi(r.get("Content-Length")); err == nil {
			body := make([]byte, n)
			_, err = io.ReadFull(in, body)
			r.body = string(body)
		}
	}
	return r, err
}

func readChunks(in *bufio.Reader) (string, error) {
	var body strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return body.String(), err
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(line, "\r\n"), 16, 31)
		if err != nil {
			return body.String(), err
		}
		if n == 0 {
			for line != "\r\n" {
				if line, err = in.ReadString('\n'); err != nil {
					return body.String(), err
				}
				if line != "\r\n" {
					return body.String(), errors.New("trailer " + strconv.Quote(line))
				}
			}
			return body.String(), nil
		}
		if _, err := io.CopyN(&body, in, int64(n)); err != nil {
			return body.String(), err
		}
		if _, err := in.Discard(2); err != nil {
			return body.String(), err
		}
	}
}

// waitQuiet waits until no request is half read and nothing more arrives for a moment: a smuggled request may
// come after the answer.
func (up *recorder) waitQuiet(t *testing.T) {
	t.Helper()
	state := func() (seen, reading int) {
		up.mu.Lock()
		defer up.mu.Unlock()
		return len(up.seen), up.reading
	}
	before, _ := state()
	eventually(t, time.Minute, "the application's side is quiet", func() bool {
		time.Sleep(2 * time.Millisecond)
		seen, reading := state()
		quiet := seen == before && reading == 0
		before = seen
		return quiet
	})
}
