package demo_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo"
)

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
	t.Run("bans", func(t *testing.T) { bans(t, r) })
	t.Run("attack", func(t *testing.T) { attack(t, r) })
	t.Run("pictures", func(t *testing.T) { pictures(t, r) })
	t.Run("guess", func(t *testing.T) { guess(t, r) })
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
	answer, page := b.send("/?q="+url.QueryEscape("<script>alert(1)</script>"), nil)
	if id := answer.Header.Get("X-Request-Id"); answer.StatusCode != 403 || id == "" || !strings.Contains(page, id) {
		t.Errorf("a script in a query: got %d with the request id %q, want 403 and the id on the page", answer.StatusCode, id)
	}
	if answer, _ := b.send("/?q="+url.QueryEscape("Müller & Söhne, it's 5 > 3"), nil); answer.StatusCode != 200 {
		t.Errorf("harmless words in a query: got %d, want 200", answer.StatusCode)
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
	case <-time.After(20 * time.Second):
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

func TestInfoIsTheContractsLine(t *testing.T) {
	line, err := json.Marshal(demo.Info{Gateway: "g", Console: "c", Data: "d", Root: "r", Log: "l", Notes: []string{"n"},
		Users: []demo.Account{{Name: "n", Email: "e", Role: "r", Password: "p"}}})
	want := `{"gateway":"g","console":"c","data":"d","users":[{"name":"n","email":"e","role":"r","password":"p"}]}`
	if err != nil || string(line) != want {
		t.Errorf("got %s, %v; want %s", line, err, want)
	}
}
