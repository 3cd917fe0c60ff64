package gateway_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/gateway"
)

// sendPlain sends bytes to the listener without TLS and returns the answer's status and the request's number.
func sendPlain(t *testing.T, r *running, request string) (status int, id string) {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+r.port("plain"))
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, request)
	must(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer res.Body.Close()
	return res.StatusCode, res.Header.Get("X-Request-Id")
}

// TestAnyHost: a site for test tools answers every host, and its firewall sees what the gateway itself would refuse; any other site
// does neither.
func TestAnyHost(t *testing.T) {
	arrived := make(chan string, 100)
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { arrived <- r.RequestURI }))
	t.Cleanup(up.Close)
	log := filepath.Join(t.TempDir(), "matches.log")
	start := func(any bool) *running {
		site := publicSite(t, up.URL)
		site.AnyHost = any
		site.WAF = gateway.SiteWAFConfig{Mode: "block", Answers: "off"}
		cfg := gateway.Config{Listen: gateway.ListenConfig{Plain: []string{"127.0.0.1:0"}}, WAF: gateway.WAFConfig{Rules: "crs"}}
		if any {
			cfg.WAF.MatchLog = log
		}
		return start(t, cfg, site)
	}
	open, other := start(true), start(false)
	const headers = "User-Agent: Mozilla/5.0\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
	for _, c := range []struct {
		name, request string
		open, other   int
		rule          string // that the match log names
	}{
		{"another host", "GET /a HTTP/1.1\r\nHost: www.example.org\r\n" + headers, 200, 421, ""},
		{"a broken host", "GET /b HTTP/1.1\r\nHost: a_b..c\r\n" + headers, 200, 400, ""},
		{"no host", "GET /c HTTP/1.0\r\n" + headers, 403, 400, "920280"},
		{"an attack at another host", "GET /?q=%3Cscript%3Ealert(1)%3C/script%3E HTTP/1.1\r\nHost: www.example.org\r\n" + headers, 403, 421, "941100"},
		{"an attack in a path of two readings", "GET /a/..%2f..%2fetc/passwd HTTP/1.1\r\nHost: localhost\r\n" + headers, 403, 400, "930100"},
		{"a path of two readings", "GET /a;b=1 HTTP/1.1\r\nHost: localhost\r\n" + headers, 400, 400, ""},
		{"a method that nobody knows", "BREW / HTTP/1.1\r\nHost: localhost\r\n" + headers, 403, 400, "911100"},
		{"a name that nobody may ask for", "GET /.git/config HTTP/1.1\r\nHost: localhost\r\n" + headers, 403, 403, "930130"},
		{"our own pages", "GET /.doorward/?q=%3Cscript%3Ealert(1)%3C/script%3E HTTP/1.1\r\nHost: localhost\r\n" + headers, 403, 404, "941100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, id := sendPlain(t, open, c.request)
			if got != c.open || id == "" {
				t.Errorf("with any_host: status %d, number %q; want %d and a number", got, id, c.open)
			}
			if got, _ := sendPlain(t, other, strings.ReplaceAll(c.request, "localhost", other.cfg.Sites[0].Hosts[0])); got != c.other {
				t.Errorf("without any_host: status %d, want %d", got, c.other)
			}
			text, err := os.ReadFile(log)
			must(t, err)
			found := false
			for line := range strings.Lines(string(text)) {
				found = found || strings.Contains(line, `[unique_id "`+id+`"]`) && strings.Contains(line, `[id "`+c.rule+`"]`)
			}
			if c.rule != "" && !found {
				t.Errorf("no match of rule %s is logged for %s:\n%s", c.rule, id, text)
			}
		})
	}
	close(arrived)
	for uri := range arrived {
		if strings.ContainsAny(uri, "?;%.") {
			t.Errorf("%s arrived at the application", uri)
		}
	}
}
