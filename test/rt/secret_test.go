package rt_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

// TestWithoutDoorwardsSecret asks RT itself: whoever reaches its port without the secret gets nothing from it.
func TestWithoutDoorwardsSecret(t *testing.T) {
	r := startTracker(t, real.FreePort(t))
	paths := []string{"/", "/NoAuth/Login.html", "/NoAuth/css/elevator-light/x.css", "/Ticket/Create.html?Queue=1", "/Admin/", "/SelfService/",
		"/REST/1.0/ticket/1", "/REST/2.0/rt", "/REST/1.0/NoAuth/mail-gateway/x", "/REST/1.0/NoAuth//mail-gateway", "/static/images/favicon.png", "/m/"}
	attempts := map[string]func(*http.Request){
		"nothing":       func(*http.Request) {},
		"a name":        r.asDoorward("", "root", "owner"),
		"a wrong one":   r.asDoorward(strings.Repeat("x", len(r.secret)), "root", "owner"),
		"a part of it":  r.asDoorward(r.secret[:len(r.secret)-1], "root", "owner"),
		"more than it":  r.asDoorward(r.secret+"x", "root", "owner"),
		"twice":         func(q *http.Request) { q.Header["X-Doorward-Secret"] = []string{r.secret, r.secret} },
		"other headers": func(q *http.Request) { q.Header.Set("Remote-User", "root"); q.Header.Set("X-Remote-User", "root") },
		"Basic":         func(q *http.Request) { q.SetBasicAuth("root", "password") },
	}
	for _, path := range paths {
		for name, change := range attempts {
			if got := send(t, plain(t), "GET", "http://"+r.address+path, "", change); got.status != 403 || strings.Contains(got.body, "RT ") {
				t.Errorf("GET %s with %s: %d %q, want 403 and nothing of RT's", path, name, got.status, got.body)
			}
		}
	}
	login := send(t, plain(t), "POST", "http://"+r.address+"/NoAuth/Login.html", "user=root&pass=password", func(q *http.Request) {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	})
	if login.status != 403 || login.header.Get("Set-Cookie") != "" {
		t.Errorf("RT's own login with its default password: %d, cookie %q; want 403 and none", login.status, login.header.Get("Set-Cookie"))
	}
	if strings.Contains(r.Log(), "Successful login") {
		t.Errorf("RT let somebody in:\n%s", r.Log())
	}
	// The same requests with the secret do reach it: the refusals above are not an accident.
	got := send(t, plain(t), "GET", "http://"+r.address+"/", "", r.asDoorward(r.secret, "bea", "agent"))
	if name := rtUserOn(t, got.body); got.status != 200 || name != "bea" {
		t.Errorf("with the secret: %d for %q, want 200 for bea", got.status, name)
	}
}

// TestSecretRotation: two secrets at once, changed without a restart, never three or none.
func TestSecretRotation(t *testing.T) {
	r := startTracker(t, real.FreePort(t))
	status := func(secret string) int {
		return send(t, plain(t), "GET", "http://"+r.address+"/REST/2.0/rt", "", r.asDoorward(secret, "bea", "agent")).status
	}
	send(t, plain(t), "GET", "http://"+r.address+"/", "", r.asDoorward(r.secret, "bea", "agent")) // makes the account
	newer, unknown := strings.Repeat("n", 40), strings.Repeat("u", 40)
	steps := []struct {
		file                         string
		old, newer, unknown, nothing int
	}{
		{r.secret + "\n", 200, 403, 403, 403},
		{newer + "\n" + r.secret + "\n", 200, 200, 403, 403},
		{"  " + newer + "  \n\n", 403, 200, 403, 403},
		{"", 503, 503, 503, 503},
		{"short\n", 503, 503, 503, 503},
		{r.secret + "\n" + newer + "\n" + unknown + "\n", 503, 503, 503, 503},
	}
	for _, step := range steps {
		if err := os.WriteFile(r.secretFile, []byte(step.file), 0o600); err != nil {
			t.Fatal(err)
		}
		later := time.Now().Add(time.Hour * time.Duration(len(step.file))) // so that the change shows even within a second
		if err := os.Chtimes(r.secretFile, later, later); err != nil {
			t.Fatal(err)
		}
		got := [4]int{status(r.secret), status(newer), status(unknown), status("")}
		if want := [4]int{step.old, step.newer, step.unknown, step.nothing}; got != want {
			t.Errorf("file %q: old, newer, unknown and no secret got %v, want %v", step.file, got, want)
		}
	}
}

// TestNamesThatRTWouldMisread: RT takes digits for an account's number, and its own accounts can do everything.
func TestNamesThatRTWouldMisread(t *testing.T) {
	r := startTracker(t, real.FreePort(t))
	for _, c := range []struct {
		name, roles, want string // want is whom RT sees; empty: nobody
	}{
		{"bea", "agent", "bea"},
		{"Bea", "agent", "bea"},
		{"zoë", "user", "zoë"},
		{"zo%C3%AB", "user", "zoë"}, // as Doorward writes it
		{"14", "owner", ""},         // root's number
		{"1", "owner", ""},
		{"", "owner", ""},
		{"root", "agent", ""},
		{"%72oot", "agent", ""},
		{"%31%34", "owner", ""},
		{"ROOT", "agent,user", ""},
		{"root", "owner", "root"},
		{"root", "user,admin", "root"},
		{"RT_System", "owner", ""},
		{"rt_system", "owner", ""},
		{"Nobody", "owner", ""},
		{"\xff\xfe", "owner", ""},
	} {
		page := "/"
		if c.roles == "user" {
			page = "/SelfService/"
		}
		got := send(t, plain(t), "GET", "http://"+r.address+page, "", r.asDoorward(r.secret, c.name, c.roles))
		name, status := rtUserOn(t, got.body), 200
		if c.want == "" {
			status = 403
		}
		if name != c.want || got.status != status {
			t.Errorf("%q as %s: %d for %q, want %d for %q", c.name, c.roles, got.status, name, status, c.want)
		}
	}
}

// TestMailGateway: rt-mailgate on RT's own host works without a secret, and only that one path does.
func TestMailGateway(t *testing.T) {
	r := startTracker(t, real.FreePort(t))
	mail := "From: zed@example.org\nTo: help@example.org\nSubject: By mail\nMessage-Id: <1@example.org>\n\nHello.\n"
	body := "action=correspond&queue=General&message=" + strings.NewReplacer("\n", "%0A", " ", "%20", "<", "%3C", ">", "%3E", "@", "%40").Replace(mail)
	// A fresh RT lets nobody write to a queue by mail; its answer says that it read the mail, which is what matters here.
	got := send(t, plain(t), "POST", fmt.Sprintf("http://%s/REST/1.0/NoAuth/mail-gateway", r.address), body, func(q *http.Request) {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.asDoorward("", "root", "owner")(q)
	})
	if got.status != 200 || !strings.Contains(got.body, "ok") {
		t.Errorf("mail gateway: %d %q, want RT's own answer", got.status, got.body)
	}
	real.Eventually(t, time.Minute, "RT to tell of the mail", func() bool { return strings.Contains(r.Log(), "zed@example.org") })
}
