package rt_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/test/real"
)

// TestSpoofedIdentity sends, as an agent who is signed in, what could make RT see root instead. RT must see the agent,
// or Doorward refuses the request.
func TestSpoofedIdentity(t *testing.T) {
	port := real.FreePort(t)
	r := startTracker(t, port)
	d := real.StartDoorward(t, port, r.site())
	client := d.Client()
	d.SignIn(client, "anna", d.AddUser("anna", "agent"))
	home, err := url.Parse(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	var cookies []string
	for _, c := range client.Jar.Cookies(home) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	if len(cookies) == 0 {
		t.Fatal("no session cookie after the sign-in")
	}

	// Twelve spellings of the name, each with root as its value.
	spellings := []string{"X-Doorward-User", "x-doorward-user", "X-DOORWARD-USER", "X_Doorward_User", "X-Doorward_User", "x_doorward-user",
		"X.Doorward.User", "X-Doorward-User ", "X-Doorward-User\t", "\tX-Doorward-User", "HTTP-X-Doorward-User", "X-Doorward-User\x00"}
	var tries []string
	for _, s := range spellings {
		tries = append(tries, s+": root\r\nX-Doorward-Roles: owner")
	}
	tries = append(tries,
		"X-Doorward-User: anna\r\nX-Doorward-User: root",
		"X-Doorward-User: anna,root",
		"X-Other: x\r\n X-Doorward-User: root", // a folded line
		"Remote-User: root", "REMOTE_USER: root", "X-Remote-User: root", "X-Forwarded-User: root", "Redirect-Remote-User: root", "Auth-User: root",
		// Connection makes a proxy drop the headers that it names: ours, if they were there already.
		"Connection: X-Doorward-User", "Connection: close, X-Doorward-User, X-Doorward-Secret, X-Doorward-Roles",
		"Connection: x-doorward-secret\r\nX-Doorward-User: root", "Connection: keep-alive, X-Forwarded-For, Host",
		"Connection: X-Doorward-User\r\nConnection: X-Doorward-User", "Proxy-Connection: X-Doorward-User", "Keep-Alive: X-Doorward-User",
		"TE: trailers, X-Doorward-User", "X-Doorward-Roles: owner", "X-Doorward-Assertion: e30.e30.", "X-Doorward-Secret: "+strings.Repeat("x", 52),
		"X-Doorward-Secret: "+r.secret+"\r\nX-Doorward-User: root", // even one who knows the secret
	)
	passed := 0
	for i, headers := range tries {
		marker := fmt.Sprintf("spoof-%d-end", i)
		got := sendRaw(t, d, "GET /Search/Simple.html?"+marker+" HTTP/1.1\r\nHost: "+home.Host+"\r\nCookie: "+strings.Join(cookies, "; ")+
			"\r\n"+headers+"\r\n\r\n")
		name := rtUserOn(t, got.body)
		switch {
		case got.status == http.StatusOK && name == "anna":
			passed++
		case (got.status == http.StatusBadRequest || got.status == http.StatusUnauthorized) && r.requests(t, marker) == 0:
			// Unauthorized: a folded line went into the cookie, which then opens nothing.
		default:
			t.Errorf("with %q: %d and RT sees %q; want anna, or a refusal and nothing reaches RT", headers, got.status, name)
		}
	}
	// Trailers come after the body; RT must not see these either.
	got := sendRaw(t, d, "POST /Search/Simple.html HTTP/1.1\r\nHost: "+home.Host+"\r\nCookie: "+strings.Join(cookies, "; ")+
		"\r\nTransfer-Encoding: chunked\r\nTrailer: X-Doorward-User\r\n\r\n0\r\nX-Doorward-User: root\r\n\r\n")
	if name := rtUserOn(t, got.body); name != "anna" {
		t.Errorf("with a trailer: %d and RT sees %q, want anna", got.status, name)
	}
	if passed < len(tries)/2 {
		t.Errorf("only %d of %d requests reached RT at all, so the rest shows little", passed, len(tries))
	}
	log := r.access(t)
	if strings.Contains(log, "- root [") || strings.Count(log, "- anna [") < passed {
		t.Errorf("RT's log of requests has root's, or lacks anna's:\n%s", log)
	}
}

// TestStrangersReachNothing sends the same kind of request without a session: RT must not see it.
func TestStrangersReachNothing(t *testing.T) {
	port := real.FreePort(t)
	r := startTracker(t, port)
	d := real.StartDoorward(t, port, r.site())
	for i, headers := range []string{"X-Doorward-User: root", "X_Doorward_User: root", "Remote-User: root", "Connection: X-Doorward-User",
		"Authorization: Basic cm9vdDpwYXNzd29yZA==", "Authorization: token 1-14-0123456789abcdef", "X-Original-URL: /NoAuth/Login.html",
		"X-Forwarded-For: 127.0.0.1", "User-Agent: kube-probe/1.30", "Cookie: RT_SID_desk.localhost." + fmt.Sprint(port) + "=00000000000000000000000000000000"} {
		for _, path := range []string{"/", "/NoAuth/Login.html", "/NoAuth/css/x.css", "/REST/1.0/ticket/1", "/REST/2.0/rt", "/REST/1.0/NoAuth/mail-gateway", "/Ticket/Display.html"} {
			marker := fmt.Sprintf("stranger-%d-end", i)
			got := sendRaw(t, d, "GET "+path+"?"+marker+" HTTP/1.1\r\nHost: localhost\r\n"+headers+"\r\n\r\n")
			if got.status < 300 || got.status >= 500 || r.requests(t, marker) != 0 {
				t.Errorf("GET %s with %q: %d, and RT saw %d requests; want a refusal and none", path, headers, got.status, r.requests(t, marker))
			}
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"} {
		got := send(t, d.Client(), method, d.URL+"/REST/2.0/ticket", "", func(q *http.Request) { q.SetBasicAuth("root", "password") })
		if got.status != http.StatusUnauthorized && got.status != http.StatusSeeOther {
			t.Errorf("%s by a stranger: %d, want 401 or 303", method, got.status)
		}
	}
	if n := r.requests(t, "/"); n != 0 {
		t.Errorf("RT saw %d requests of strangers:\n%s", n, r.access(t))
	}
	// Somebody who may does show up there.
	client := d.Client()
	d.SignIn(client, "anna", d.AddUser("anna", "agent"))
	send(t, client, "GET", d.URL+"/REST/2.0/rt?counted", "", nil)
	if n := r.requests(t, "?counted"); n != 1 {
		t.Errorf("RT saw %d requests of anna's, want the one:\n%s", n, r.access(t))
	}
}
