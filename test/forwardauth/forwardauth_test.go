package forwardauth_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

const host = "localhost"

func TestMain(m *testing.M) {
	code := m.Run()
	real.RemoveProgram()
	os.Exit(code)
}

// site is a proxy that keeps its place in front of an application, with Doorward beside it.
type site struct {
	t        *testing.T
	dir      string
	config   string // Doorward's
	doorward *real.Process
	ports    struct{ doorward, app, proxy int }
	roots    *x509.CertPool

	mu  sync.Mutex
	got []*http.Request // what the application received
}

// newSite starts Doorward and the application, and writes the proxy's certificate.
func newSite(t *testing.T) *site {
	s := &site{t: t, dir: real.Folder(t)}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.got = append(s.got, r)
		s.mu.Unlock()
		if strings.HasPrefix(r.URL.Path, "/answers/") { // with a status of the application's own
			w.WriteHeader(map[string]int{"/answers/401": 401, "/answers/403": 403}[r.URL.Path])
		}
		fmt.Fprintf(w, "hello %s", r.Header.Get("X-Doorward-User"))
	}))
	t.Cleanup(app.Close)
	s.ports.app = app.Listener.Addr().(*net.TCPAddr).Port
	s.ports.doorward, s.ports.proxy = real.FreePort(t), real.FreePort(t)
	s.config = real.Write(t, s.dir, "doorward.yaml", fmt.Sprintf(`data_dir: %s
listen: {plain: ["127.0.0.1:%d"]}
console: {listen: ["127.0.0.1:%d"]}
trusted_proxies: [127.0.0.1]
forward_auth: {trusted: [127.0.0.1]}
sites:
  - hosts: [%s]
    forward_auth: true
    access:
      - {path: /open, public: true}
      - {path: /admin, roles: [admin]}
      - {path: /keys, factor: passkey}
    app: %s
`, filepath.Join(s.dir, "data"), s.ports.doorward, real.FreePort(t), host, s.dir+"/app"), 0o644)
	real.Write(t, s.dir, "app/gateway.yaml", `title: An application with a login of its own
extends: generic
authorization_paths:
  - {path: /api, source: "choice: the test's"}
`, 0o644)
	s.start()
	s.certificate()
	return s
}

func (s *site) start() {
	s.t.Helper()
	s.doorward = real.Start(s.t, "doorward", exec.Command(real.Program(s.t), "serve", "--config", s.config))
	s.doorward.AwaitListening(fmt.Sprintf("127.0.0.1:%d", s.ports.doorward), time.Minute)
}

// certificate writes one that nobody but this test trusts: cert.pem, cert.key and both in both.pem.
func (s *site) certificate() {
	s.t.Helper()
	cert, private := real.Certificate(s.t)
	real.Write(s.t, s.dir, "cert.pem", cert, 0o644)
	real.Write(s.t, s.dir, "cert.key", private, 0o644)
	real.Write(s.t, s.dir, "both.pem", cert+private, 0o644)
	s.roots = x509.NewCertPool()
	s.roots.AppendCertsFromPEM([]byte(cert))
}

// snippet returns a file of packaging/proxies with this machine's ports and folders in place of the file's own.
func (s *site) snippet(name string, more ...string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(real.Repository(s.t), "packaging", "proxies", name))
	if err != nil {
		s.t.Fatal(err)
	}
	pairs := append(more, "127.0.0.1:8080", fmt.Sprintf("127.0.0.1:%d", s.ports.doorward), "127.0.0.1:9000", fmt.Sprintf("127.0.0.1:%d", s.ports.app),
		"/etc/ssl/desk.example.com.pem", s.dir+"/cert.pem", "/etc/ssl/desk.example.com.key", s.dir+"/cert.key",
		"/etc/haproxy/desk.example.com.pem", s.dir+"/both.pem", "desk.example.com", host, "/etc/haproxy/", s.dir+"/", "/etc/apache2/", s.dir+"/")
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(string(text), pairs[i]) && i < len(more) {
			s.t.Fatalf("packaging/proxies/%s does not hold %q", name, pairs[i])
		}
	}
	return strings.NewReplacer(pairs...).Replace(string(text))
}

// browser keeps cookies and follows no redirects; every name leads to the proxy.
func (s *site) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", s.ports.proxy))
		}}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// http1 is a browser that speaks HTTP/1.1 and shares c's cookies.
func http1(c *http.Client) *http.Client {
	older := *c
	transport := c.Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2, transport.DisableKeepAlives = false, true
	transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
	transport.TLSNextProto = make(map[string]func(string, *tls.Conn) http.RoundTripper)
	older.Transport = transport
	return &older
}

func (s *site) url(path string) string {
	return fmt.Sprintf("https://%s:%d%s", host, s.ports.proxy, path)
}

// do sends a request and returns status, body and where it leads.
func (s *site) do(c *http.Client, method, path string, headers ...string) (status int, body, location string) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url(path), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header[headers[i]] = append(req.Header[headers[i]], headers[i+1]) // as spelled
	}
	res, err := c.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res.StatusCode, string(text), res.Header.Get("Location")
}

// taken returns what the application has received since the last call.
func (s *site) taken() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

// addUser makes an account and returns a browser that is signed in, through the proxy.
func (s *site) addUser(name, role string) *http.Client {
	s.t.Helper()
	out, err := exec.Command(real.Program(s.t), "user", "add", name, "--role", role, "--generate-password", "--config", s.config).Output()
	if err != nil {
		s.t.Fatalf("add %s: %v", name, err)
	}
	password := strings.TrimSpace(strings.TrimPrefix(string(out), "password: "))
	c := s.browser()
	status, _, location := s.do(c, "GET", "/desk?a=1&b=2", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "none")
	if status/100 != 3 || !strings.HasPrefix(location, s.url("/.doorward/sign-in?return_to=")) {
		s.t.Fatalf("%s is sent to %q with %d, want the sign-in page", name, location, status)
	}
	if status, body, _ := s.do(c, "GET", strings.TrimPrefix(location, s.url(""))); status != 200 || !strings.Contains(body, `value="/desk?a=1&amp;b=2"`) {
		s.t.Fatalf("the sign-in page answers %d and does not know the way back:\n%s", status, body)
	}
	form := url.Values{"username": {name}, "password": {password}, "return_to": {"/desk?a=1&b=2"}}
	req, err := http.NewRequest(http.MethodPost, s.url("/.doorward/sign-in"), strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", s.url(""))
	res, err := c.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/desk?a=1&b=2" {
		s.t.Fatalf("sign in as %s: %d to %q, want 303 to /desk?a=1&b=2", name, res.StatusCode, res.Header.Get("Location"))
	}
	return c
}

// check is what every proxy must do with its snippet.
func (s *site) check() {
	t := s.t
	stranger := s.browser()
	if status, _, location := s.do(stranger, "GET", "/desk", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Site", "same-origin"); status != 401 || location != "" {
		t.Errorf("a stranger's script got %d to %q, want 401", status, location)
	}
	if status, body, _ := s.do(stranger, "GET", "/open/x", "X-Doorward-User", "root", "x-doorward-user", "root", "Cookie", "SID=1"); status != 200 || body != "hello " {
		t.Errorf("a stranger at a public path got %d %q, want 200 and nobody's name", status, body)
	}
	agent, admin := s.addUser("anna", "agent"), s.addUser("ada", "admin")
	s.taken()

	if status, body, _ := s.do(agent, "GET", "/desk?a=1&b=2"); status != 200 || body != "hello anna" {
		t.Errorf("anna got %d %q, want hello anna", status, body)
	}
	arrived := s.taken()
	if len(arrived) != 1 {
		t.Fatalf("%d requests arrived, want 1", len(arrived))
	}
	for name, want := range map[string]string{"X-Doorward-User": "anna", "X-Doorward-Roles": "agent", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https"} {
		if got := arrived[0].Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s arrived as %q, want %q", name, got, want)
		}
	}
	if arrived[0].RequestURI != "/desk?a=1&b=2" || strings.Count(arrived[0].Header.Get("X-Doorward-Assertion"), ".") != 2 || arrived[0].Header["Cookie"] != nil {
		t.Errorf("arrived: %s %v, want the target, an assertion and no cookie of ours", arrived[0].RequestURI, arrived[0].Header)
	}
	s.denied(agent, admin)
	s.doctor()
	s.spoofed(agent)
	s.tokens(agent)
	s.down(agent)
}

// denied are the requests that must not arrive.
func (s *site) denied(agent, admin *http.Client) {
	for _, c := range []struct {
		who          *http.Client
		method, path string
		headers      []string
		want         []int
	}{
		{agent, "GET", "/admin", nil, []int{403}}, {agent, "GET", "/ADMIN/x?y=1", nil, []int{403}}, {agent, "GET", "/%61dmin", nil, []int{403}},
		{agent, "GET", "/open/..%2fadmin", nil, []int{400, 404, 500}}, {agent, "GET", "/open//../admin", nil, []int{400, 403, 500}}, {agent, "GET", "/open/%2e%2e/admin", nil, []int{400, 403, 500}},
		{agent, "GET", "//admin", nil, []int{400, 403, 500}}, {agent, "GET", "/admin;x", nil, []int{400, 403, 500}},
		{agent, "GET", "/keys", []string{"Sec-Fetch-Mode", "cors"}, []int{403}},
		{agent, "POST", "/desk", []string{"Origin", "https://evil.example"}, []int{403}},
		{agent, "POST", "/desk", []string{"Sec-Fetch-Site", "cross-site"}, []int{403}},
		{agent, "GET", "/desk", []string{"Authorization", "Basic cm9vdDpyb290"}, []int{403}},
		{agent, "GET", "/.doorward/authz", []string{"X-Forwarded-Method", "GET", "X-Forwarded-Proto", "https", "X-Forwarded-Host", host, "X-Forwarded-Uri", "/desk"}, []int{404, 403}},
		{agent, "GET", "/.doorward/authz?mode=redirect", []string{"X-Forwarded-Uri", "/desk"}, []int{404, 403}},
		{agent, "GET", "/.doorward/%61uthz", []string{"X-Forwarded-Method", "GET", "X-Forwarded-Proto", "https", "X-Forwarded-Host", host, "X-Forwarded-Uri", "/desk"}, []int{404, 403}},
		{agent, "GET", "/.DOORWARD/x", nil, []int{403, 404, 500}},
		{agent, "GET", "/admin", []string{"X-Forwarded-Uri", "/open", "X-Original-URL", "/open"}, []int{403}},
		{agent, "POST", "/admin", []string{"X-Forwarded-Method", "GET", "X-HTTP-Method-Override", "GET"}, []int{403}},
		{s.browser(), "GET", "/desk", []string{"X-Forwarded-Uri", "/open", "X-Forwarded-For", "10.0.0.1", "Sec-Fetch-Mode", "cors"}, []int{401}},
		{s.browser(), "GET", "/desk", []string{"X-Forwarded-Host", "other.example", "Sec-Fetch-Mode", "cors"}, []int{401}},
	} {
		status, body, _ := s.do(c.who, c.method, c.path, c.headers...)
		ok := false
		for _, want := range c.want {
			ok = ok || status == want
		}
		if arrived := s.taken(); !ok || len(arrived) > 0 {
			s.t.Errorf("%s %s with %v: got %d and %d arrived, want one of %d and none\n%.200s", c.method, c.path, c.headers, status, len(arrived), c.want, body)
		}
	}
	if status, body, _ := s.do(admin, "GET", "/admin/"); status != 200 || body != "hello ada" {
		s.t.Errorf("ada at /admin/ got %d %q, want hello ada", status, body)
	}
	status, _, location := s.do(agent, "GET", "/keys?x=1", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "none")
	if want := s.url("/.doorward/step-up?return_to=%2Fkeys%3Fx%3D1&factor=passkey"); status/100 != 3 || location != want {
		s.t.Errorf("/keys leads to %q with %d, want %q", location, status, want)
	}
	for path, want := range map[string]int{"/answers/401": 401, "/answers/403": 403} { // the application's own are not ours to change
		if status, body, location := s.do(agent, "GET", path); status != want || body != "hello anna" || location != "" {
			s.t.Errorf("%s: got %d %q to %q, want the application's own %d", path, status, body, location, want)
		}
	}
}

// doctor finds nothing wrong with the wiring.
func (s *site) doctor() {
	s.t.Helper()
	out, err := exec.Command(real.Program(s.t), "doctor", "--config", s.config, "--url", s.url("/desk"), "--ca-file", s.dir+"/cert.pem").CombinedOutput()
	if err != nil || strings.Count(string(out), "\nok ") < 6 {
		s.t.Errorf("doctor: %v\n%s", err, out)
	}
}

// spoofed sends what names somebody else. It must not arrive, or the request must not.
func (s *site) spoofed(agent *http.Client) {
	for _, headers := range [][]string{{"X-Doorward-User", "root"}, {"x-doorward-user", "root", "X-Doorward-Roles", "owner", "X-Doorward-Email", "root@example.com"},
		{"X_Doorward_User", "root"}, {"X-Doorward_User", "root"}, {"X-Doorward-Secret", "root"}, {"X-Doorward-Assertion", "root"}, {"X-Doorward-Name", "root"},
		{"Connection", "X-Doorward-User"}, {"Connection", "close, X-Doorward-User, X-Doorward-Roles, Cookie"}} {
		s.taken()
		older := http1(agent)
		if headers[0] != "Connection" { // HTTP/2 knows no such header
			s.do(agent, "GET", "/desk", headers...)
			s.do(s.browser(), "GET", "/open", headers...)
		}
		s.do(older, "GET", "/desk", headers...)
		s.do(http1(s.browser()), "GET", "/open", headers...)
		for _, r := range s.taken() {
			for name, values := range r.Header {
				if text := strings.Join(values, " "); strings.Contains(text, "root") {
					s.t.Errorf("%v: %s arrived as %q", headers, name, text)
				}
			}
			if got := r.Header["X-Doorward-User"]; r.URL.Path == "/desk" && (len(got) != 1 || got[0] != "anna") {
				s.t.Errorf("%v: X-Doorward-User arrived as %q, want anna", headers, got)
			}
		}
	}
}

// tokens shows that an API token opens the site to a program, and that it ends at the proxy; the application's own Basic
// login passes where it may.
func (s *site) tokens(agent *http.Client) {
	token := real.AddToken(s.t, filepath.Join(s.dir, "data"), "anna")
	for _, c := range []struct {
		who           *http.Client
		path, value   string
		status        int
		authorization string // as it arrives
	}{
		{s.browser(), "/desk", "Bearer " + token, 200, ""}, {s.browser(), "/api/x", "bearer  " + token, 200, ""}, {s.browser(), "/open", "Bearer " + token, 200, ""},
		{agent, "/api/x", "Bearer " + token, 200, ""}, {s.browser(), "/admin", "Bearer " + token, 403, ""}, {s.browser(), "/keys", "Bearer " + token, 403, ""},
		{s.browser(), "/.doorward/account", "Bearer " + token, 403, ""}, {agent, "/.doorward/account", "Bearer " + token, 403, ""},
		{s.browser(), "/api/x", "Bearer " + token + "x", 401, ""}, {agent, "/api/x", "Basic cm9vdDpyb290", 200, "Basic cm9vdDpyb290"},
	} {
		s.taken()
		status, body, _ := s.do(c.who, "GET", c.path, "Authorization", c.value)
		arrived := s.taken()
		if status != c.status || len(arrived) != map[int]int{200: 1}[c.status] {
			s.t.Errorf("%s with %.10s…: got %d and %d arrived, want %d\n%.200s", c.path, c.value, status, len(arrived), c.status, body)
		}
		for _, r := range arrived {
			if got := strings.Join(r.Header["Authorization"], " "); got != c.authorization || r.Header.Get("X-Doorward-User") != "anna" {
				s.t.Errorf("%s with %.10s…: arrived with %q by %q, want %q by anna", c.path, c.value, got, r.Header.Get("X-Doorward-User"), c.authorization)
			}
		}
	}
}

// down shows that a proxy which gets no answer lets nobody through, not even to what is public.
func (s *site) down(agent *http.Client) {
	s.taken()
	s.doorward.Stop()
	for _, path := range []string{"/desk", "/open"} {
		if status, _, _ := s.do(agent, "GET", path); status < 500 {
			s.t.Errorf("%s with Doorward down: got %d, want 5xx", path, status)
		}
	}
	if arrived := s.taken(); len(arrived) > 0 {
		s.t.Errorf("%d requests arrived while Doorward was down", len(arrived))
	}
	s.start()
	real.Eventually(s.t, time.Minute, "the site to be back", func() bool {
		status, _, _ := s.do(agent, "GET", "/desk")
		return status == 200
	})
}
