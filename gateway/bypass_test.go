package gateway_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/gateway"
)

// The bypass suite sends hostile bytes over raw sockets to a whole gateway and looks at both ends: what was
// answered, and what the application's side read. Each attack must be refused, or arrive as exactly the
// request that was judged. Whatever arrives is also checked against rules that hold for every request
// (checkSeen): one identity and it is the session's, one secret, our forwarding headers, none of our
// cookies, nothing with the word "spoofed", one framing.

// attack is one exchange. In request these stand for what only the run knows: {host} for the site's host and
// port, {loose} and {other} for the other sites', {agent} and {admin} for a whole Cookie line with a session
// at {host}, {looseagent} for one at {loose}, {token} for the agent's token alone.
type attack struct {
	name    string
	request string
	// want holds the answers' status codes in order, alternatives with "|". "close" at the end means that the
	// connection ends there; "open" as an answer means that the server waits for more.
	want string
	// seen lists what the application must have read, as "WHO METHOD TARGET"; WHO is agent, admin or "-" for
	// nobody. "broken" stands for a request that may have begun to arrive but never became whole; "perhaps" before a
	// request says that it may also not have arrived, because the fault behind it was seen first.
	seen []string
	// also are checks of this attack alone: header=value the application must have seen in the first request,
	// "!header" it must not have, "body=text", and "location=value" of the first answer.
	also []string
	sni  string // the TLS server name; default: the host of {host}
	on   string // the listener; default https
}

// nothing is what the application must have seen of a refused attack.
var nothing []string

func seen(requests ...string) []string { return requests }

// get is a GET by the signed-in agent.
func get(target string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: {host}\r\n{agent}\r\n"
}

// anonymous is a GET without a session.
func anonymous(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: {host}\r\n\r\n" }

// with is a GET of /ok by the agent with more header lines.
func with(lines string) string {
	return "GET /ok HTTP/1.1\r\nHost: {host}\r\n{agent}" + lines + "\r\n\r\n"
}

const bypassApp = `title: A target
extends: generic
identity:
  - {field: user, header: X-Remote-User, source: "choice: the name that attackers try first"}
  - {field: email, header: Remote-Email, source: "choice: as user"}
  - {field: name, header: X-Desk-Name, source: "choice: a name that no list holds"}
  - {field: roles, header: X-Desk-Roles, source: "choice: as name"}
  - {field: secret, header: X-Desk-Secret, source: "choice: as name"}
  - {field: assertion, header: X-Desk-Assertion, source: "choice: as name"}
admin_paths:
  - {path: /admin, source: "choice: the test's"}
data_paths:
  - {path: /data, source: "choice: the test's"}
public_paths:
  - {path: /static, source: "choice: the test's"}
authorization_paths:
  - {path: /api/v1, source: "choice: the test's"}
websocket_paths:
  - {path: /ws, source: "choice: the test's"}
session_cookies:
  - {name: DESKSESSION, source: "choice: the test's"}
refused_headers:
  - {header: X-RPC-Auth-Username, source: "choice: the test's"}
refused_parameters:
  - {path: /rest, names: [user, pass], source: "choice: the test's"}
`

// bypass is the gateway under attack.
type bypass struct {
	*running
	up     *recorder
	words  *strings.Replacer
	secret string
	count  int
	asked  int      // how many of them as questions of a proxy too
	never  []string // what must never reach the application, nor a proxy
}

const bypassPassword = "seventeen letters"

func startBypass(t *testing.T) *bypass {
	b := &bypass{up: newRecorder(t)}
	app := filepath.Join(t.TempDir(), "app")
	must(t, os.MkdirAll(app, 0o700))
	must(t, os.WriteFile(filepath.Join(app, "gateway.yaml"), []byte(bypassApp), 0o600))
	site := gateway.SiteConfig{Hosts: []string{"help.localhost"}, Upstreams: []string{b.up.url}, App: app, Access: []gateway.AccessRule{
		{Path: "/secret", Deny: true},
		{Path: "/intra", Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		{Path: "/public", Public: true},
	}}
	// These requests are made to look like attacks, and each must be answered by the part of the gateway that it is about.
	site.WAF.Mode = "off"
	loose := site
	loose.Hosts = []string{"loose.localhost"}
	loose.Paths.Allow = []string{"encoded-slash", "semicolon", "double-encoding", "backslash"}
	other := site
	other.Hosts = []string{"other.localhost"}
	other.Access = []gateway.AccessRule{{Path: "/", Public: true}}
	b.running = start(t, gateway.Config{ForwardAuth: gateway.ForwardAuthConfig{Trusted: loopback}, Limits: gateway.LimitsConfig{RequestsPerSecond: 1e6, Burst: 1e6}}, site, loose, other)

	secret, err := os.ReadFile(filepath.Join(b.dir, "identity", "help.localhost.secret"))
	must(t, err)
	b.secret = strings.TrimSpace(string(secret))
	for _, p := range []struct {
		name string
		role auth.Role
	}{{"agent", auth.Agent}, {"admin", auth.Admin}} {
		_, err := b.auth.AddPrincipal(t.Context(), auth.Actor{Name: "test", Origin: "local"}, auth.NewPrincipal{Name: p.name,
			Email: p.name + "@example.org", DisplayName: p.name + " of the desk", Roles: []auth.Role{p.role}, Password: bypassPassword})
		must(t, err)
	}
	port := b.port("https")
	agent := b.token("agent", "help.localhost")
	b.words = strings.NewReplacer("{host}", "help.localhost:"+port, "{loose}", "loose.localhost:"+port, "{other}", "other.localhost:"+port,
		"{token}", agent, "{agent}", "Cookie: __Host-doorward="+agent+"\r\n",
		"{admin}", "Cookie: __Host-doorward="+b.token("admin", "help.localhost")+"\r\n",
		"{looseagent}", "Cookie: __Host-doorward="+b.token("agent", "loose.localhost")+"\r\n")
	return b
}

// token signs somebody in at host and returns the session cookie's value.
func (b *bypass) token(name, host string) string {
	b.t.Helper()
	out, err := b.auth.SignIn(b.t.Context(), auth.Attempt{Login: name, Password: bypassPassword,
		Address: netip.MustParseAddr("127.0.0.1"), Realm: auth.SiteRealm, Host: host, Site: host}, time.Now())
	must(b.t, err)
	return out.Token
}

func (b *bypass) dial(a attack) net.Conn {
	b.t.Helper()
	if a.on != "" {
		conn, err := net.Dial("tcp", b.address(a.on))
		must(b.t, err)
		return conn
	}
	name := a.sni
	if name == "" {
		name = "help.localhost"
	}
	conn, err := tls.Dial("tcp", b.address("https"), &tls.Config{RootCAs: b.roots, ServerName: name, NextProtos: []string{"http/1.1"}})
	must(b.t, err)
	return conn
}

// run carries out one attack over HTTP/1.1.
func (b *bypass) run(t *testing.T, a attack) {
	t.Helper()
	b.count++
	b.up.take()
	conn := b.dial(a)
	defer conn.Close()
	request := b.words.Replace(a.request)
	must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	// The server may answer and close before all is sent.
	_, _ = io.WriteString(conn, request)
	answers := readAnswers(t, conn, request, a.want)
	conn.Close()
	b.up.waitQuiet(t)
	b.judge(t, a, answers)
	b.askAbout(t, a, request)
}

// judge compares what happened at both ends with what the attack says must.
func (b *bypass) judge(t *testing.T, a attack, answers []answer) {
	t.Helper()
	var got []string
	for _, r := range answers {
		got = append(got, r.status)
		b.checkAnswer(t, r)
	}
	if want := strings.Fields(a.want); !slices.EqualFunc(got, want, func(got, want string) bool {
		return slices.Contains(strings.Split(want, "|"), got)
	}) {
		t.Errorf("answers: got %v, want %v", got, want)
	}
	arrived := b.up.take()
	want := slices.DeleteFunc(slices.Clone(a.seen), func(s string) bool { return s == "broken" })
	if slices.Contains(a.seen, "broken") {
		arrived = slices.DeleteFunc(arrived, func(r seenRequest) bool { return r.broken != "" })
	}
	var lines []string
	for i := range want {
		want[i] = b.words.Replace(want[i])
	}
	if request, perhaps := strings.CutPrefix(strings.Join(want, "\n"), "perhaps "); perhaps {
		if len(arrived) == 0 {
			return
		}
		want = []string{request}
	}
	for i, r := range arrived {
		who := r.get("X-Remote-User")
		if who == "" {
			who = "-"
		}
		lines = append(lines, who+" "+r.method+" "+r.target)
		if i < len(want) {
			who, _, _ = strings.Cut(want[i], " ")
		}
		b.checkSeen(t, r, who)
	}
	if diff := cmp.Diff(want, lines, cmp.Transformer("none", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
		t.Errorf("what the application read (-want +got):\n%s", diff)
	}
	b.checkAlso(t, a, answers, arrived)
}

func (b *bypass) checkAlso(t *testing.T, a attack, answers []answer, arrived []seenRequest) {
	t.Helper()
	for _, check := range a.also {
		key, value, hasValue := strings.Cut(check, "=")
		switch {
		case key == "location":
			if len(answers) == 0 || answers[0].header.Get("Location") != value {
				t.Errorf("location: got %q, want %q", answers[0].header.Get("Location"), value)
			}
		case len(arrived) == 0:
			t.Errorf("nothing arrived to check %q on", check)
		case key == "body":
			if arrived[0].body != value {
				t.Errorf("body: got %q, want %q", arrived[0].body, value)
			}
		case !hasValue:
			if name := strings.TrimPrefix(key, "!"); arrived[0].has(name) {
				t.Errorf("%s arrived: %q", name, arrived[0].get(name))
			}
		case arrived[0].get(key) != value:
			t.Errorf("%s: got %q, want %q", key, arrived[0].get(key), value)
		}
	}
}

// checkAnswer holds for every answer, the application's and ours.
func (b *bypass) checkAnswer(t *testing.T, r answer) {
	t.Helper()
	if r.header == nil || r.bare {
		return
	}
	for _, name := range []string{"Server", "X-Powered-By", "Via", "X-Desk-Secret"} {
		if r.header.Get(name) != "" {
			t.Errorf("answer %s has %s: %s", r.status, name, r.header.Get(name))
		}
	}
	for _, line := range r.header["Set-Cookie"] {
		if strings.Contains(line, "planted") {
			t.Errorf("answer %s lets the application set our cookie: %s", r.status, line)
		}
	}
	if r.status < "200" {
		return
	}
	for _, name := range []string{"X-Content-Type-Options", "X-Frame-Options", "Content-Security-Policy", "Referrer-Policy"} {
		if len(r.header[name]) != 1 {
			t.Errorf("answer %s: %s is there %d times, want once", r.status, name, len(r.header[name]))
		}
	}
}

// checkSeen holds for every request that reached the application.
func (b *bypass) checkSeen(t *testing.T, r seenRequest, who string) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s; the application read:\n%s", fmt.Sprintf(format, args...), r.head)
	}
	if r.broken != "" {
		fail("not a whole request: %s", r.broken)
		return
	}
	identity := map[string]string{"X-Remote-User": who, "Remote-Email": who + "@example.org", "X-Desk-Name": who + " of the desk", "X-Desk-Roles": who}
	for name, want := range identity {
		values := r.all(name)
		if who == "-" && len(values) > 0 {
			fail("identity header %s for nobody", name)
		} else if who != "-" && !slices.Equal(values, []string{want}) {
			fail("%s: got %q, want %q once", name, values, want)
		}
	}
	for name, want := range map[string]int{"X-Desk-Secret": 1, "X-Forwarded-For": 1, "X-Forwarded-Proto": 1, "X-Forwarded-Host": 1,
		"X-Forwarded-Port": 1, "Forwarded": 1, "Host": 1} {
		if n := len(r.all(name)); n != want {
			fail("%s is there %d times, want %d", name, n, want)
		}
	}
	if host := r.get("Host"); strings.HasPrefix(host, "help.localhost") && r.get("X-Desk-Secret") != b.secret {
		fail("wrong secret")
	}
	if got := r.get("X-Forwarded-For"); got != "127.0.0.1" {
		fail("X-Forwarded-For is %q", got)
	}
	if r.has("Content-Length") && r.has("Transfer-Encoding") {
		fail("two framings")
	}
	for _, word := range append([]string{"doorward=", "spoofed", b.words.Replace("{token}")}, b.never...) {
		if strings.Contains(strings.ToLower(r.head), strings.ToLower(word)) {
			fail("%q got through", word)
		}
	}
	if !strings.HasPrefix(r.target, "/") || strings.HasPrefix(r.target, "//") {
		fail("target %q", r.target)
	}
}

// answer is one response, or the end of the connection.
type answer struct {
	status string // the code, "close" or "open"
	header http.Header
	bare   bool // by the server's parser, before there was a request
}

// readAnswers reads as many answers as want names, and what comes after them without being asked for.
func readAnswers(t *testing.T, conn net.Conn, request, want string) []answer {
	t.Helper()
	var answers []answer
	in := bufio.NewReader(conn)
	method, _, _ := strings.Cut(strings.TrimLeft(request, "\r\n"), " ")
	expected := strings.Fields(want)
	for {
		wait := time.Minute
		switch {
		case len(answers) >= len(expected):
			wait = 15 * time.Millisecond
		case expected[len(answers)] == "open":
			wait = 150 * time.Millisecond
		}
		must(t, conn.SetReadDeadline(time.Now().Add(wait)))
		_, err := in.Peek(1)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if len(answers) < len(expected) {
				answers = append(answers, answer{status: "open"})
			}
			return answers
		case err != nil:
			if len(answers) < len(expected) && strings.Contains(expected[len(answers)], "close") {
				answers = append(answers, answer{status: "close"})
			}
			return answers
		}
		must(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("read answer %d: %v", len(answers)+1, err)
		}
		_, err = io.Copy(io.Discard, res.Body)
		must(t, err)
		if res.StatusCode == http.StatusContinue {
			continue
		}
		answers = append(answers, answer{status: strconv.Itoa(res.StatusCode), header: res.Header,
			bare: res.Header.Get("X-Request-Id") == "" && res.StatusCode >= 400})
		method = "GET"
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
