package rt_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/test/real"
)

// TestRTsOwnLogins: neither Basic nor a token nor user and pass sign anybody in to RT from outside, signed in at Doorward or not.
// Only root may make a queue in a fresh RT, so a queue that appears is a login that worked.
func TestRTsOwnLogins(t *testing.T) {
	port := real.FreePort(t)
	r := startTracker(t, port)
	d := real.StartDoorward(t, port, r.site())
	client := d.Client()
	d.SignIn(client, "anna", d.AddUser("anna", "agent"))

	basic := func(q *http.Request) { q.SetBasicAuth("root", "password") }
	t.Run("REST 2.0 by Basic", func(t *testing.T) {
		got := send(t, client, "POST", d.URL+"/REST/2.0/queue", `{"Name":"two"}`, func(q *http.Request) {
			basic(q)
			q.Header.Set("Content-Type", "application/json")
		})
		if got.status != http.StatusForbidden {
			t.Errorf("status %d, want RT's own 403 for anna: %s", got.status, got.body)
		}
	})
	t.Run("REST 1.0 by Basic", func(t *testing.T) {
		got := send(t, client, "POST", d.URL+"/REST/1.0/edit", url.Values{"content": {"id: queue/new\nName: one"}}.Encode(), func(q *http.Request) {
			basic(q)
			q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		})
		if strings.Contains(got.body, "created") {
			t.Errorf("status %d: %s; want no queue", got.status, got.body)
		}
	})
	t.Run("parameters", func(t *testing.T) { refuseParameters(t, r, d, client) })

	for _, queue := range []string{"one", "two", "three"} {
		got := send(t, plain(t), "GET", "http://"+r.address+"/REST/2.0/queue/"+queue, "", r.asDoorward(r.secret, "root", "owner"))
		if got.status != http.StatusNotFound {
			t.Errorf("queue %s: %d %s; want none", queue, got.status, got.body)
		}
	}
	// The same requests as root, behind Doorward's back, do make a queue: what was refused would have worked.
	made := send(t, plain(t), "POST", "http://"+r.address+"/REST/2.0/queue", `{"Name":"four"}`, func(q *http.Request) {
		r.asDoorward(r.secret, "root", "owner")(q)
		q.Header.Set("Content-Type", "application/json")
	})
	if made.status != http.StatusCreated {
		t.Errorf("RT's root makes a queue: %d %s, want 201", made.status, made.body)
	}
	if log := r.Log(); strings.Contains(log, "ccessful login") || strings.Contains(log, "FAILED LOGIN") {
		t.Errorf("a password was tried at RT:\n%s", log)
	}
}

// refuseParameters tries every way to put user and pass into a request: none may reach RT.
func refuseParameters(t *testing.T, r *tracker, d *real.Doorward, client *http.Client) {
	t.Helper()
	form := func(q *http.Request) { q.Header.Set("Content-Type", "application/x-www-form-urlencoded") }
	var parts bytes.Buffer
	w := multipart.NewWriter(&parts)
	for name, value := range map[string]string{"user": "root", "pass": "password", "content": "id: queue/new\nName: three"} {
		if err := w.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, method, path, body string
		change                   func(*http.Request)
	}{
		{"query, REST 1.0", "GET", "/REST/1.0/ticket/1?user=root&pass=password", "", nil},
		{"query, REST 2.0", "GET", "/REST/2.0/rt?user=root&pass=password", "", nil},
		{"token, REST 2.0", "GET", "/REST/2.0/rt?token=1-14-0123456789abcdef", "", nil},
		{"escaped names", "GET", "/REST/1.0/ticket/1?%75ser=root&%70ass=password", "", nil},
		{"other case", "GET", "/rest/1.0/ticket/1?USER=root&PASS=password", "", nil},
		{"semicolons", "GET", "/REST/1.0/ticket/1?a=b;user=root;pass=password", "", nil},
		{"form", "POST", "/REST/1.0/edit", "user=root&pass=password&content=id%3A+queue%2Fnew%0AName%3A+three", form},
		{"form, escaped", "POST", "/REST/1.0/edit", "us%65r=root&p%61ss=password&content=id%3A+queue%2Fnew%0AName%3A+three", form},
		{"multipart", "POST", "/REST/1.0/edit", parts.String(), func(q *http.Request) { q.Header.Set("Content-Type", w.FormDataContentType()) }},
		{"login page", "POST", "/NoAuth/Login.html", "user=root&pass=password", form},
		{"login page, query", "GET", "/NoAuth/Login.html?user=root&pass=password", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := r.requests(t, "HTTP/1")
			got := send(t, client, c.method, d.URL+c.path, c.body, c.change)
			if got.status != http.StatusForbidden && got.status != http.StatusBadRequest {
				t.Errorf("signed in: status %d, want 403 (or 400): %s", got.status, got.body)
			}
			stranger := send(t, d.Client(), c.method, d.URL+c.path, c.body, c.change)
			if stranger.status < 300 {
				t.Errorf("a stranger: status %d, want a refusal", stranger.status)
			}
			if n := r.requests(t, "HTTP/1") - before; n != 0 {
				t.Errorf("RT saw %d of the requests, want none", n)
			}
		})
	}
}

// TestPersonChanges: in one browser, after the next person has signed in, nothing in RT is the first one's, neither a page
// nor REST 2.0, though RT's own session cookie is still there.
func TestPersonChanges(t *testing.T) {
	port := real.FreePort(t)
	r := startTracker(t, port)
	d := real.StartDoorward(t, port, r.site())
	client := d.Client()
	who := func() [2]string {
		page := send(t, client, "GET", d.URL+"/Search/Simple.html", "", nil)
		api := send(t, client, "GET", d.URL+"/REST/2.0/user/anna", "", nil)
		seesPrivate := "other"
		if strings.Contains(api.body, `"MemberOf"`) || strings.Contains(api.body, `"Memberships"`) {
			seesPrivate = "self"
		}
		return [2]string{rtUserOn(t, page.body), seesPrivate}
	}
	d.SignIn(client, "anna", d.AddUser("anna", "agent"))
	if got, want := who(), [2]string{"anna", "self"}; got != want {
		t.Fatalf("anna: %v, want %v", got, want)
	}
	d.SignIn(client, "bea", d.AddUser("bea", "agent"))
	if got := who(); got[0] != "bea" {
		t.Errorf("after bea signed in RT's page sees %q", got[0])
	}
	seen := false
	for line := range strings.SplitSeq(r.access(t), "\n") {
		if strings.Contains(line, "- bea [") {
			seen = true
		}
		if seen && strings.Contains(line, "- anna [") {
			t.Errorf("a request after bea's first one ran as anna: %s", line)
		}
	}
	if !seen {
		t.Errorf("no request of bea's in RT's log:\n%s", r.access(t))
	}
}

// TestRoles: RT's administration needs a role at Doorward, and its own root as well.
func TestRoles(t *testing.T) {
	port := real.FreePort(t)
	r := startTracker(t, port)
	d := real.StartDoorward(t, port, r.site())
	sign := func(name, role string) *http.Client {
		c := d.Client()
		d.SignIn(c, name, d.AddUser(name, role))
		return c
	}
	agent, admin, user := sign("anna", "agent"), sign("root", "admin"), sign("ulla", "user")
	numeric := sign("14", "owner")
	fake := sign("nobody", "agent")
	for _, c := range []struct {
		who    string
		client *http.Client
		path   string
		status int
		name   string
	}{
		{"agent", agent, "/Admin/Tools/Configuration.html", 403, ""},
		{"agent", agent, "/admin/", 403, ""},
		{"agent", agent, "/Ticket/Create.html?Queue=1", 200, "anna"},
		{"admin called root", admin, "/Admin/", 200, "root"},
		{"user", user, "/SelfService/", 200, "ulla"},
		{"user", user, "/Ticket/Create.html?Queue=1", 403, ""},
		{"user", user, "/Admin/", 403, ""},
		{"owner with digits for a name", numeric, "/", 403, ""},
		{"agent with a name of RT's", fake, "/", 403, ""},
		{"agent", agent, "/REST/1.0/NoAuth/mail-gateway", 403, ""},
		{"admin called root", admin, "/REST/1.0/NoAuth/mail-gateway", 403, ""},
		{"admin called root", admin, "/Install/index.html", 403, ""},
		{"admin called root", admin, "/phpMyAdmin/", 403, ""},
		{"admin called root", admin, "/.git/config", 403, ""},
	} {
		got := send(t, c.client, "GET", d.URL+c.path, "", func(q *http.Request) { q.Header.Set("Referer", d.URL+"/") })
		if name := rtUserOn(t, got.body); got.status != c.status || name != c.name {
			t.Errorf("%s, %s: %d and RT sees %q, want %d and %q", c.who, c.path, got.status, name, c.status, c.name)
		}
	}
}
