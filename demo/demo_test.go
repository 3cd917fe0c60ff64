package demo_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/demo"
)

// running is a demo in this process.
type running struct {
	demo.Info
	end  func()
	done chan error
}

// start runs a demo and returns once it is ready.
func start(t *testing.T, o demo.Options) *running {
	t.Helper()
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Console == "" {
		o.Console = "127.0.0.1:0"
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{end: cancel, done: make(chan error, 1)}
	ready := make(chan demo.Info, 1)
	go func() { r.done <- demo.Run(ctx, o, func(i demo.Info) error { ready <- i; return nil }) }()
	select {
	case r.Info = <-ready:
	case err := <-r.done:
		cancel()
		t.Fatalf("start demo: %v", err)
	}
	t.Cleanup(func() { r.stop(t) })
	return r
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	r.end()
	select {
	case err, first := <-r.done:
		if err != nil {
			t.Errorf("stop demo: %v", err)
		}
		if first {
			close(r.done)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the demo does not stop")
	}
}

func (r *running) account(t *testing.T, role string) demo.Account {
	t.Helper()
	for _, u := range r.Users {
		if u.Role == role {
			return u
		}
	}
	t.Fatalf("no account with role %s", role)
	return demo.Account{}
}

// browser is a client that trusts the demo's root, keeps cookies and follows nothing.
func (r *running) browser(t *testing.T) *browser {
	t.Helper()
	root, err := os.ReadFile(r.Root)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t: t, base: r.Gateway, client: &http.Client{Jar: jar, Transport: transport, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type browser struct {
	t      *testing.T
	base   string
	client *http.Client
}

// send asks as a person's browser does; form nil means GET.
func (b *browser) send(path string, form url.Values, headers ...string) (*http.Response, string) {
	b.t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html")
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer, string(text)
}

func (b *browser) signIn(u demo.Account) {
	b.t.Helper()
	answer, text := b.send("/.doorward/sign-in", url.Values{"username": {u.Name}, "password": {u.Password}, "return_to": {"/"}})
	if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/" {
		b.t.Fatalf("sign in as %s: got %d to %q, want 303 to /\n%s", u.Name, answer.StatusCode, answer.Header.Get("Location"), text)
	}
}

func TestContract(t *testing.T) {
	r := start(t, demo.Options{})
	var roles []string
	for _, u := range r.Users {
		roles = append(roles, u.Role)
		if u.Name != "demo-"+u.Role || len(u.Password) < 15 || !strings.Contains(u.Email, "@") {
			t.Errorf("account %s: e-mail %q, role %s, password of %d characters", u.Name, u.Email, u.Role, len(u.Password))
		}
	}
	if got := strings.Join(roles, " "); got != "owner admin agent user" {
		t.Errorf("roles: got %q, want owner admin agent user", got)
	}
	for _, at := range []string{r.Gateway, r.Console} {
		if !regexp.MustCompile(`^https://localhost:\d+$`).MatchString(at) {
			t.Errorf("address %q is not https://localhost:PORT", at)
		}
	}
	t.Run("both loopback addresses", func(t *testing.T) { bothAddresses(t, r) })
	t.Run("strangers", func(t *testing.T) { strangers(t, r) })
	for _, u := range r.Users {
		t.Run(u.Name, func(t *testing.T) { person(t, r, u) })
	}
	t.Run("console", func(t *testing.T) { consoleOf(t, r) })
	t.Run("repairs", func(t *testing.T) { repairs(t, r) })
	t.Run("spoofed identity", func(t *testing.T) { spoofed(t, r) })
	t.Run("tickets", func(t *testing.T) { tickets(t, r) })
	t.Run("stream", func(t *testing.T) { stream(t, r) })
	t.Run("rate", func(t *testing.T) { rate(t, r) })
	t.Run("three wrong", func(t *testing.T) { threeWrong(t, r) }) // last: the address has to wait afterwards
}

func bothAddresses(t *testing.T, r *running) {
	for _, at := range []string{r.Gateway, r.Console} {
		port := at[strings.LastIndex(at, ":")+1:]
		for _, host := range []string{"127.0.0.1", "::1"} {
			conn, err := net.Dial("tcp", net.JoinHostPort(host, port))
			if err != nil {
				if host == "::1" && len(r.Notes) > 0 {
					continue // this machine has none, and the demo said so
				}
				t.Errorf("%s is not open on %s: %v", at, host, err)
				continue
			}
			conn.Close()
		}
	}
}

func strangers(t *testing.T, r *running) {
	b := r.browser(t)
	for _, path := range []string{"/", "/?q=anything", "/admin/", "/events", "/healthz", "/metrics"} {
		answer, _ := b.send(path, nil)
		if got := answer.Header.Get("Location"); answer.StatusCode != 303 || !strings.HasPrefix(got, "/.doorward/sign-in") {
			t.Errorf("a person at %s: got %d to %q, want 303 to the sign-in page", path, answer.StatusCode, got)
		}
		if answer, _ := b.send(path, nil, "Accept", "*/*"); answer.StatusCode != 401 {
			t.Errorf("a program at %s: got %d, want 401", path, answer.StatusCode)
		}
	}
	if answer, _ := b.send("/static/helpdesk.css", nil); answer.StatusCode != 200 {
		t.Errorf("a public file: got %d, want 200", answer.StatusCode)
	}
	if answer, _ := b.send("/data/", nil); answer.StatusCode != 403 {
		t.Errorf("the data folder: got %d, want 403", answer.StatusCode)
	}
}

func person(t *testing.T, r *running, u demo.Account) {
	b := r.browser(t)
	b.signIn(u)
	for _, path := range []string{"/", "/?q=anything", "/events"} {
		answer, page := b.send(path, nil)
		if answer.StatusCode != 200 || strings.Count(page, `<b id="who">`+u.Name+`</b>`) != 1 {
			t.Errorf("%s: got %d, want 200 with the account's name\n%s", path, answer.StatusCode, page)
		}
		for _, other := range r.Users {
			if other.Name != u.Name && strings.Contains(page, other.Name) {
				t.Errorf("%s names %s", path, other.Name)
			}
		}
	}
	operator := u.Role == "owner" || u.Role == "admin"
	want := map[string]int{"/data/": 403, "/DATA/": 403, "/data": 403, "/data/backup.sql": 403, "/no-such-page": 404, "/static/helpdesk.css": 200,
		"/admin/": 403, "/Admin/": 403, "/admin": 403, "/queue/": 200, "/healthz": 404, "/metrics": 404, "/data%2f": 400, "/./data/": 400}
	if operator {
		want["/admin/"], want["/Admin/"], want["/admin"] = 200, 404, 307
	}
	if u.Role == "user" {
		want["/queue/"] = 403
	}
	for path, status := range want {
		answer, page := b.send(path, nil)
		if path == "/admin" && answer.StatusCode == 301 { // ServeMux's word for "with the slash"
			status = 301
		}
		if answer.StatusCode != status {
			t.Errorf("%s: got %d, want %d", path, answer.StatusCode, status)
		}
		if answer.StatusCode == 403 {
			if id := answer.Header.Get("X-Request-Id"); id == "" || !strings.Contains(page, id) {
				t.Errorf("%s: the refusal shows no request id", path)
			}
		}
	}
}

func consoleOf(t *testing.T, r *running) {
	for role, want := range map[string]int{"owner": 200, "admin": 200, "agent": 403, "user": 403} {
		b := r.browser(t)
		b.base = r.Console
		b.signIn(r.account(t, role))
		answer, page := b.send("/", nil)
		if answer.StatusCode != want {
			t.Errorf("%s: got %d, want %d", role, answer.StatusCode, want)
		}
		if want == 200 && (!strings.Contains(page, "localhost") || !strings.Contains(page, "/data/backup.sql")) {
			t.Errorf("%s: the page does not show the site and the refused requests before", role)
		}
	}
	b := r.browser(t)
	b.base = r.Console
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if answer, text := b.send(path, nil); answer.StatusCode != 200 {
			t.Errorf("%s: got %d, want 200\n%s", path, answer.StatusCode, text)
		}
	}
}

func repairs(t *testing.T, r *running) {
	b := r.browser(t)
	b.signIn(r.account(t, "agent"))
	answer, _ := b.send("/", nil)
	if got, want := answer.Header.Get("Strict-Transport-Security"), "max-age=300"; got != want {
		t.Errorf("HSTS: got %q, want %q", got, want)
	}
	var session *http.Cookie
	for _, c := range answer.Cookies() {
		if c.Name == "helpdesk_session" {
			session = c
		}
	}
	if session == nil || !session.Secure || !session.HttpOnly || session.SameSite != http.SameSiteLaxMode {
		t.Errorf("the helpdesk's cookie was not repaired: %v", session)
	}
}

func spoofed(t *testing.T, r *running) {
	b := r.browser(t)
	b.signIn(r.account(t, "user"))
	app, err := os.ReadFile(filepath.Join(r.Data, "app", "gateway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(app, []byte("admin_paths")) {
		t.Errorf("the application folder is not the helpdesk's: %s", app)
	}
	for _, name := range []string{"X-Doorward-User", "x-doorward-roles", "X_Doorward_User", "Remote-User", "X-Forwarded-User"} {
		answer, page := b.send("/", nil, name, "demo-owner")
		if answer.StatusCode != 200 || strings.Contains(page, "demo-owner") || strings.Contains(page, "/admin/") {
			t.Errorf("%s: got %d; a client's own header reached the helpdesk", name, answer.StatusCode)
		}
	}
	socket := filepath.Join(r.Data, "helpdesk.sock")
	direct := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	defer direct.CloseIdleConnections()
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://helpdesk/", nil)
	request.Header.Set("X-Doorward-User", "demo-owner")
	answer, err := direct.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 403 {
		t.Errorf("the helpdesk without the gateway: got %d, want 403", answer.StatusCode)
	}
}

func tickets(t *testing.T, r *running) {
	b := r.browser(t)
	b.signIn(r.account(t, "user"))
	answer, _ := b.send("/tickets", url.Values{"subject": {"The door squeaks"}, "text": {"Oil, please."}})
	if answer.StatusCode != 303 {
		t.Fatalf("open a ticket: got %d, want 303", answer.StatusCode)
	}
	ticket := answer.Header.Get("Location")
	if _, page := b.send(ticket, nil); !strings.Contains(page, "The door squeaks") || !strings.Contains(page, "Your ticket was opened") {
		t.Errorf("the ticket's page lacks its subject or the word that it was opened:\n%s", page)
	}
	support := r.browser(t)
	support.signIn(r.account(t, "agent"))
	if answer, _ := support.send(ticket+"/replies", url.Values{"text": {"On my way."}}); answer.StatusCode != 303 {
		t.Errorf("reply: got %d, want 303", answer.StatusCode)
	}
	if _, page := b.send(ticket, nil); !strings.Contains(page, "On my way.") {
		t.Error("the person does not see the reply")
	}
	if answer, _ := b.send("/tickets", url.Values{"subject": {"forged"}}, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"); answer.StatusCode != 403 {
		t.Errorf("a form of another site: got %d, want 403", answer.StatusCode)
	}
}

// stream shows that events arrive as they happen and that signing out ends them.
func stream(t *testing.T, r *running) {
	b := r.browser(t)
	b.signIn(r.account(t, "user"))
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, r.Gateway+"/events", nil)
	request.Header.Set("Accept", "text/event-stream")
	answer, err := b.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewReader(answer.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "id: 1\n" {
		t.Fatalf("first line: got %q, %v", line, err)
	}
	if answer, _ := b.send("/.doorward/sign-out", url.Values{}); answer.StatusCode != 303 && answer.StatusCode != 200 {
		t.Fatalf("sign out: got %d", answer.StatusCode)
	}
	ended := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, lines); close(ended) }()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the stream goes on after signing out")
	}
}

func rate(t *testing.T, r *running) {
	b := r.browser(t)
	b.signIn(r.account(t, "agent"))
	refused := 0
	for range 200 {
		if answer, _ := b.send("/static/icon.svg", nil); answer.StatusCode != 200 {
			refused++
		}
	}
	if refused > 0 {
		t.Errorf("%d of 200 requests were refused", refused)
	}
}

func threeWrong(t *testing.T, r *running) {
	b := r.browser(t)
	u := r.account(t, "user")
	for range 3 {
		if answer, _ := b.send("/.doorward/sign-in", url.Values{"username": {u.Name}, "password": {"wrong"}}); answer.StatusCode != 401 {
			t.Errorf("a wrong password: got %d, want 401", answer.StatusCode)
		}
	}
	answer, _ := b.send("/.doorward/sign-in", url.Values{"username": {u.Name}, "password": {u.Password}})
	wait, err := strconv.Atoi(answer.Header.Get("Retry-After"))
	if answer.StatusCode != 429 || err != nil || wait < 1 || wait > 10 {
		t.Errorf("the right password after three wrong: got %d, Retry-After %q, want 429 with 1 to 10", answer.StatusCode, answer.Header.Get("Retry-After"))
	}
}

func TestTemporaryFolderGoesAndNamedOneStays(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	r := start(t, demo.Options{})
	if !strings.HasPrefix(r.Data, os.Getenv("TMPDIR")) || r.Keep {
		t.Errorf("folder %s, keep %v; want a temporary one", r.Data, r.Keep)
	}
	r.stop(t)
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("left in the temporary folder: %v", left)
	}
	dir := filepath.Join(t.TempDir(), "deep", "demo")
	r = start(t, demo.Options{Dir: dir})
	first := r.account(t, "owner")
	r.browser(t).signIn(first)
	log, err := os.ReadFile(filepath.Join(dir, "doorward.log"))
	if err != nil || !bytes.Contains(log, []byte("ready")) {
		t.Errorf("the log in the folder: %v, %q", err, log)
	}
	r.stop(t)
	if _, err := os.Stat(filepath.Join(dir, "doorward.db")); err != nil {
		t.Errorf("the named folder lost its database: %v", err)
	}

	again := start(t, demo.Options{Dir: dir})
	second := again.account(t, "owner")
	if second.Password == first.Password {
		t.Error("the second start on a folder shows the old password")
	}
	again.browser(t).signIn(second)
}

func TestTwoAtOnceAndOneFolderOnce(t *testing.T) {
	a, b := start(t, demo.Options{}), start(t, demo.Options{})
	if a.Data == b.Data || a.Gateway == b.Gateway {
		t.Fatalf("two demos share %s or %s", a.Data, a.Gateway)
	}
	a.browser(t).signIn(a.account(t, "user"))
	b.browser(t).signIn(b.account(t, "user"))

	dir := t.TempDir()
	start(t, demo.Options{Dir: dir})
	err := demo.Run(t.Context(), demo.Options{Listen: "127.0.0.1:0", Console: "127.0.0.1:0", Dir: dir}, func(demo.Info) error { return nil })
	refused(t, err, false, "process "+strconv.Itoa(os.Getpid())+") is running on the folder "+dir, "--dir")
}

func TestPortInUseIsNamedWithItsFlag(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, network := range []string{"tcp4", "tcp6"} {
		host := map[string]string{"tcp4": "127.0.0.1", "tcp6": "::1"}[network]
		taken, err := net.Listen(network, net.JoinHostPort(host, "0"))
		if err != nil {
			t.Logf("no %s here: %v", host, err)
			continue
		}
		defer taken.Close()
		port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
		for flag, o := range map[string]demo.Options{
			"--listen":  {Listen: "127.0.0.1:" + port, Console: "127.0.0.1:0"},
			"--console": {Listen: "127.0.0.1:0", Console: "localhost:" + port},
		} {
			err := demo.Run(t.Context(), o, func(demo.Info) error { return nil })
			refused(t, err, false, "port "+port+" is in use", flag)
		}
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("a failed start left %v", left)
	}
}

// refused checks that an error tells the person what is wrong and what to do.
func refused(t *testing.T, err error, usage bool, what, hint string) {
	t.Helper()
	var r *demo.Refusal
	if !errors.As(err, &r) {
		t.Errorf("got %v, want a refusal", err)
		return
	}
	if !strings.Contains(r.What, what) || !strings.Contains(r.Hint, hint) || r.Usage != usage {
		t.Errorf("got %q, hint %q, usage %v; want %q, hint %q, usage %v", r.What, r.Hint, r.Usage, what, hint, usage)
	}
}

func TestOtherAddressesAreRefused(t *testing.T) {
	for _, test := range []struct{ listen, what string }{
		{"0.0.0.0:8443", "127.0.0.1 and ::1 only"},
		{":8443", "127.0.0.1 and ::1 only"},
		{"[::]:8443", "127.0.0.1 and ::1 only"},
		{"192.0.2.1:8443", "127.0.0.1 and ::1 only"},
		{"127.0.0.2:8443", "127.0.0.1 and ::1 only"},
		{"example.org:8443", "127.0.0.1 and ::1 only"},
		{"localhost.example:8443", "127.0.0.1 and ::1 only"},
		{"8443", "is not an address"},
		{"127.0.0.1", "is not an address"},
		{"127.0.0.1:https", "port is not a number"},
		{"127.0.0.1:65536", "port is not a number"},
		{"127.0.0.1:-1", "port is not a number"},
	} {
		refused(t, demo.Run(t.Context(), demo.Options{Listen: test.listen, Console: "127.0.0.1:0"}, nil), true, test.what, "")
		refused(t, demo.Run(t.Context(), demo.Options{Listen: "127.0.0.1:0", Console: test.listen}, nil), true, test.what, "")
	}
	refused(t, demo.Run(t.Context(), demo.Options{Listen: "127.0.0.1:9000", Console: "[::1]:9000"}, nil), true, "both name port 9000", "different")
}

func TestFolderWithOtherFilesIsRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := demo.Options{Listen: "127.0.0.1:0", Console: "127.0.0.1:0", Dir: dir}
	refused(t, demo.Run(t.Context(), o, nil), true, dir+" holds other files", "empty folder")
	o.Dir = file
	refused(t, demo.Run(t.Context(), o, nil), true, "is not a folder", "empty folder")
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("the refused folder was written to: %v", entries)
	}
}

func TestStoppedWhileStarting(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var wg sync.WaitGroup
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 30 * time.Millisecond, 80 * time.Millisecond, 200 * time.Millisecond} {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			err := demo.Run(ctx, demo.Options{Listen: "127.0.0.1:0", Console: "127.0.0.1:0"}, func(demo.Info) error { return nil })
			if err != nil {
				t.Errorf("stopped after %v: got %v, want no error", after, err)
			}
		})
	}
	wg.Wait()
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDeepFolder(t *testing.T) {
	deep := t.TempDir()
	deep += "/" + strings.Repeat("d", 93-len(deep)-1)
	r := start(t, demo.Options{Dir: deep})
	b := r.browser(t)
	b.signIn(r.account(t, "agent"))
	if answer, _ := b.send("/", nil); answer.StatusCode != 200 {
		t.Errorf("at the longest path: got %d, want 200", answer.StatusCode)
	}
	o := demo.Options{Listen: "127.0.0.1:0", Console: "127.0.0.1:0", Dir: deep + "d"}
	refused(t, demo.Run(t.Context(), o, nil), true, "is too deep", "at most 93 bytes")
	if _, err := os.Stat(o.Dir); err == nil {
		t.Error("the refused folder was made")
	}
}

func TestInfoIsTheContractsLine(t *testing.T) {
	line, err := json.Marshal(demo.Info{Gateway: "g", Console: "c", Data: "d", Root: "r", Log: "l", Notes: []string{"n"},
		Users: []demo.Account{{Name: "n", Email: "e", Role: "r", Password: "p"}}})
	want := `{"gateway":"g","console":"c","data":"d","users":[{"name":"n","email":"e","role":"r","password":"p"}]}`
	if err != nil || string(line) != want {
		t.Errorf("got %s, %v; want %s", line, err, want)
	}
}
