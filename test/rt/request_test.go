package rt_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

// answer is what came back for one request.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request and reads the whole answer. change, if any, sees the request before it is sent.
func send(t *testing.T, c *http.Client, method, target, body string, change func(*http.Request)) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return read(t, res)
}

func read(t *testing.T, res *http.Response) answer {
	t.Helper()
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	return answer{res.StatusCode, res.Header, string(text)}
}

// sendRaw sends bytes as they are over TLS to the Doorward at address, as HTTP/1.1, and reads one answer.
func sendRaw(t *testing.T, d *real.Doorward, request string) answer {
	t.Helper()
	transport, ok := d.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("the client has another transport")
	}
	u, err := url.Parse(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	cfg := transport.TLSClientConfig.Clone()
	cfg.ServerName, cfg.NextProtos = u.Hostname(), []string{"http/1.1"}
	conn, err := tls.Dial("tcp", "127.0.0.1:"+u.Port(), cfg)
	if err != nil {
		t.Fatalf("connect to Doorward: %v", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatalf("send: %v", err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("read the answer to\n%s\n%v", request, err)
	}
	return read(t, res)
}

// rtUserOn is the name that RT writes into each of its pages for the person it believes is there; empty on others' pages.
func rtUserOn(t *testing.T, page string) string {
	t.Helper()
	found := regexp.MustCompile(`RT\.CurrentUser = (\{.*?\});`).FindStringSubmatch(page)
	if found == nil {
		return ""
	}
	var user struct{ Name string }
	if err := json.Unmarshal(bytes.TrimSpace([]byte(found[1])), &user); err != nil {
		t.Fatalf("read RT's note of the user: %v in %s", err, found[1])
	}
	return user.Name
}

// asDoorward makes a request what Doorward would send for name, for asking RT itself.
func (r *tracker) asDoorward(secret, name, roles string) func(*http.Request) {
	return func(req *http.Request) {
		req.Header.Set("X-Doorward-Secret", secret)
		req.Header.Set("X-Doorward-User", name)
		req.Header.Set("X-Doorward-Roles", roles)
	}
}

// access is RT's log of requests: address, person, line, status.
func (r *tracker) access(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// requests counts the requests with marker in their line that RT has seen.
func (r *tracker) requests(t *testing.T, marker string) int {
	t.Helper()
	n := 0
	for line := range strings.SplitSeq(r.access(t), "\n") {
		if strings.Contains(line, `HTTP/1.`) && strings.Contains(line, marker) {
			n++
		}
	}
	return n
}

// plain is a client that knows nothing of Doorward.
func plain(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	return &http.Client{Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
