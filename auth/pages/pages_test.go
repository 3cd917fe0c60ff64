package pages_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/auth/pages"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/language/languagetest"
	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/mail/mailtest"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

const (
	password = "correct horse battery"
	cookie   = "__Host-doorward"
	host     = "desk.example"
	wrong    = "The name or the password is not right. Please check both and try again."
)

// site is the pages as a gateway would mount them, with the account agent.
type site struct {
	t      testing.TB
	auth   *auth.Auth
	db     *store.DB
	pages  *pages.Pages
	events *event.Log
	mail   *mail.Outbox
}

func newSite(t testing.TB, cfg auth.Config) *site { return newSiteWith(t, cfg, nil) }

// newSiteWith is newSite with a mail server.
func newSiteWith(t testing.TB, cfg auth.Config, server *mailtest.Server) *site {
	t.Helper()
	db := storetest.SQLite(t)
	j, err := journal.Open(t.Context(), db, filepath.Join(t.TempDir(), "journal.key"))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.PasswordHash.MemoryKiB == 0 {
		cfg.PasswordHash.MemoryKiB, cfg.PasswordHash.Time = 64, 1
	}
	log := slog.New(slog.DiscardHandler)
	s := &site{t: t, db: db, events: eventLog(t, db)}
	if server != nil {
		s.mail = mail.New(server.Config(), mail.Deps{DB: db, Log: log})
	}
	a, err := auth.New(cfg, auth.Deps{DB: db, Journal: j, Log: log, Events: s.events, Mail: s.mail, Texts: languagetest.Shipped(t)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.AddPrincipal(t.Context(), auth.Actor{Name: "test", Origin: "local"},
		auth.NewPrincipal{Name: "agent", Email: "agent@example.com", Roles: []auth.Role{auth.Agent}, Password: password}); err != nil {
		t.Fatal(err)
	}
	p, err := pages.New(pages.Config{Realm: auth.SiteRealm, CookieName: cookie, Title: "Desk <1>"}, pages.Deps{Auth: a, Texts: languagetest.Shipped(t), Events: s.events, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s.auth, s.pages = a, p
	return s
}

// do sends a request as a gateway passes it on: with the visitor, whose session the cookie names.
func (s *site) do(r *http.Request, address string) *http.Response {
	s.t.Helper()
	v := pages.Visitor{Address: netip.MustParseAddr(address), Host: host, Site: "desk", RequestID: "req-7"}
	if c, err := r.Cookie(cookie); err == nil {
		v.Session, _ = s.auth.Session(r.Context(), auth.SiteRealm, host, c.Value, time.Now())
	}
	w := httptest.NewRecorder()
	s.pages.ServeHTTP(w, r.WithContext(pages.Visit(r.Context(), v)))
	return w.Result()
}

// getRequest asks for a page as a person's browser does.
func getRequest(target string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://"+host+target, nil)
	r.Header.Set("Accept", "text/html")
	return r
}

func (s *site) get(target string, cookies ...*http.Cookie) *http.Response {
	s.t.Helper()
	r := getRequest(target)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return s.do(r, "192.0.2.1")
}

// request is a form sent to a path.
func request(target string, form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "https://"+host+target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", "https://"+host)
	return r
}

func signInForm(username, password, returnTo string) url.Values {
	return url.Values{"username": {username}, "password": {password}, "return_to": {returnTo}}
}

// signIn signs agent in and returns the cookie.
func (s *site) signIn() *http.Cookie {
	s.t.Helper()
	res := s.do(request("/.doorward/sign-in", signInForm("agent", password, "/")), "192.0.2.1")
	if res.StatusCode != http.StatusSeeOther || len(res.Cookies()) != 2 {
		s.t.Fatalf("sign-in: %d with %d cookies, want 303 with the session's and the browser's", res.StatusCode, len(res.Cookies()))
	}
	return res.Cookies()[0]
}

func body(t testing.TB, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func wantStatus(t testing.TB, res *http.Response, want int, what string) {
	t.Helper()
	if res.StatusCode != want {
		t.Errorf("%s: status %d, want %d", what, res.StatusCode, want)
	}
}

func TestSignInPage(t *testing.T) {
	s := newSite(t, auth.Config{})
	res := s.get("/.doorward/sign-in?return_to=%2Fticket%3Fid%3D1%26a%3D%22x")
	wantStatus(t, res, http.StatusOK, "sign-in page")
	got := body(t, res)
	for _, want := range []string{
		`<form method="post" action="/.doorward/sign-in">`,
		`name="return_to" value="/ticket?id=1&amp;a=%22x"`,
		`<label for="username">`, `id="username" name="username"`, `autocomplete="username"`,
		`<label for="password">`, `id="password" name="password" type="password"`, `autocomplete="current-password"`,
		`Desk &lt;1&gt;`, `<html lang="en">`, `req-7`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %s:\n%s", want, got)
		}
	}
	// maxlength would cut a pasted password without a word.
	for _, never := range []string{"<script", "style=", "maxlength", "onload", "Desk <1>"} {
		if strings.Contains(got, never) {
			t.Errorf("the page contains %s", never)
		}
	}
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	s := newSite(t, auth.Config{})
	token := s.signIn()
	for what, res := range map[string]*http.Response{
		"page":         s.get("/.doorward/sign-in"),
		"signed in":    s.get("/.doorward/sign-in", token),
		"sign-out":     s.get("/.doorward/sign-out", token),
		"unknown page": s.get("/.doorward/x"),
		"wrong":        s.do(request("/.doorward/sign-in", signInForm("agent", "x", "/")), "192.0.2.1"),
		"right":        s.do(request("/.doorward/sign-in", signInForm("agent", password, "/")), "192.0.2.1"),
		"no form":      s.do(httptest.NewRequest(http.MethodPost, "https://"+host+"/.doorward/sign-in", nil), "192.0.2.1"),
		"style":        s.get("/.doorward/static/doorward.css"),
	} {
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %s = %q, want %q", what, name, got, want)
			}
		}
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, part) || strings.Contains(csp, "unsafe") {
				t.Errorf("%s: Content-Security-Policy %q lacks %s", what, csp, part)
			}
		}
		if got := res.Header.Get("Cache-Control"); what != "style" && got != "no-store" {
			t.Errorf("%s: Cache-Control %q, want no-store", what, got)
		}
		if got := res.Header.Get("Referrer-Policy"); got != "same-origin" && got != "no-referrer" {
			t.Errorf("%s: Referrer-Policy %q", what, got)
		}
	}
}

func TestSignInRight(t *testing.T) {
	s := newSite(t, auth.Config{})
	for _, login := range []string{"agent", "Agent@Example.com"} {
		res := s.do(request("/.doorward/sign-in?return_to=/elsewhere", signInForm(login, password, "/ticket?id=1&q=a+b")), "192.0.2.1")
		wantStatus(t, res, http.StatusSeeOther, login)
		if got := res.Header.Get("Location"); got != "/ticket?id=1&q=a+b" {
			t.Errorf("Location = %q, want the page asked for", got)
		}
		if got := res.Header.Get("Referrer-Policy"); got != "no-referrer" {
			t.Errorf("Referrer-Policy of the redirect = %q: the application would take it for a click of its own page", got)
		}
		line := res.Header.Get("Set-Cookie")
		if !regexp.MustCompile(`^__Host-doorward=[\w-]{43}; Path=/; HttpOnly; Secure; SameSite=Lax$`).MatchString(line) {
			t.Errorf("Set-Cookie: %s", line)
		}
		if session, err := s.auth.Session(t.Context(), auth.SiteRealm, host, res.Cookies()[0].Value, time.Now()); err != nil || session.UserAgent != "" || session.Address.String() != "192.0.2.1" {
			t.Errorf("session %+v, %v", session, err)
		}
	}
}

func TestSignInWrongPage(t *testing.T) {
	s := newSite(t, auth.Config{})
	var first string
	for i, form := range []url.Values{
		signInForm("agent", "wrong horse battery", "/ticket"), signInForm("nobody", password, "/ticket"),
		signInForm("agent", "", "/ticket"), signInForm("", password, "/ticket"),
		signInForm("agent", strings.Repeat("x", 2000), "/ticket"), signInForm("agent@example.com@evil.example", password, "/ticket"),
	} {
		res := s.do(request("/.doorward/sign-in", form), "198.51.100."+strconv.Itoa(i))
		wantStatus(t, res, http.StatusUnauthorized, form.Encode())
		got := body(t, res)
		if !strings.Contains(got, wrong) || !strings.Contains(got, `<form method="post"`) || !strings.Contains(got, `value="/ticket"`) || !strings.Contains(got, `role="alert"`) {
			t.Errorf("%s: page %s", form.Encode(), got)
		}
		if strings.Contains(got, form.Get("password")) && form.Get("password") != "" {
			t.Errorf("%s: the page contains the password", form.Encode())
		}
		if len(res.Cookies()) != 0 || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Doorward ") {
			t.Errorf("%s: headers %v", form.Encode(), res.Header)
		}
		// But for the name that is filled in again, the pages are the same to the byte.
		page := regexp.MustCompile(` value="[^"]*"| autofocus`).ReplaceAllString(got, "")
		if first == "" {
			first = page
		} else if page != first {
			t.Errorf("%s: the page differs from the first:\n%s\n%s", form.Encode(), page, first)
		}
	}
}

// The name field's content comes back escaped.
func TestSignInPageEscapes(t *testing.T) {
	s := newSite(t, auth.Config{})
	res := s.do(request("/.doorward/sign-in", signInForm(`"><script>alert(1)</script>`, "x", `/"><script>`)), "192.0.2.1")
	if got := body(t, res); strings.Contains(got, "<script") || strings.Contains(got, `value=""`) {
		t.Errorf("page: %s", got)
	}
}

func TestSignInWaits(t *testing.T) {
	s := newSite(t, auth.Config{})
	const from = "127.0.0.1"
	for range 3 {
		wantStatus(t, s.do(request("/.doorward/sign-in", signInForm("agent", "x", "/")), from), http.StatusUnauthorized, "wrong")
	}
	for _, accept := range []string{"text/html", "application/json", "*/*", ""} {
		r := request("/.doorward/sign-in", signInForm("agent", password, "/"))
		r.Header.Set("Accept", accept)
		res := s.do(r, from)
		wantStatus(t, res, http.StatusTooManyRequests, "right password in the wait, Accept: "+accept)
		if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || n < 1 || n > 10 {
			t.Errorf("Retry-After %q, want 1 to 10", res.Header.Get("Retry-After"))
		}
		if len(res.Cookies()) != 0 {
			t.Errorf("a cookie in the wait: %v", res.Cookies())
		}
		got := body(t, res)
		if accept == "application/json" {
			var v struct {
				Error, Message string
				RetryAfter     int `json:"retry_after"`
			}
			if err := json.Unmarshal([]byte(got), &v); err != nil || v.Error != "waiting" || v.RetryAfter < 1 || v.RetryAfter > 10 {
				t.Errorf("JSON %s: %v", got, err)
			}
		} else if !strings.Contains(got, "seconds and try again") || !strings.Contains(got, "<form") {
			t.Errorf("page: %s", got)
		}
	}
	wantStatus(t, s.do(request("/.doorward/sign-in", signInForm("agent", password, "/")), "192.0.2.2"), http.StatusSeeOther, "another address")
}

// A program gets the same statuses, and JSON.
func TestSignInJSON(t *testing.T) {
	s := newSite(t, auth.Config{})
	for _, c := range []struct {
		password string
		status   int
		want     string
	}{
		{password, http.StatusSeeOther, `{"name":"agent","roles":["agent"],"return_to":"/a"}`},
		{"x", http.StatusUnauthorized, `{"error":"wrong","message":"` + wrong + `","request_id":"req-7"}`},
	} {
		r := request("/.doorward/sign-in", signInForm("agent", c.password, "/a"))
		r.Header.Set("Accept", "application/json")
		r.Header.Del("Origin")
		r.Header.Del("Sec-Fetch-Site")
		res := s.do(r, "192.0.2.1")
		wantStatus(t, res, c.status, c.want)
		if got := strings.TrimSpace(body(t, res)); got != c.want || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s, want %s", res.Header.Get("Content-Type"), got, c.want)
		}
	}
}

// Without a store: 503 with Retry-After, as page and as JSON.
func TestSignInUnavailable(t *testing.T) {
	s := newSite(t, auth.Config{})
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, accept := range []string{"text/html", "application/json"} {
		r := request("/.doorward/sign-in", signInForm("agent", password, "/"))
		r.Header.Set("Accept", accept)
		res := s.do(r, "192.0.2.1")
		wantStatus(t, res, http.StatusServiceUnavailable, accept)
		if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || n < 1 {
			t.Errorf("Retry-After %q", res.Header.Get("Retry-After"))
		}
		if got := body(t, res); strings.Contains(got, "sql") || strings.Contains(got, "database") || !strings.Contains(got, "not possible at the moment") {
			t.Errorf("the visitor reads: %s", got)
		}
	}
}

// With the queue full: 503 with Retry-After.
func TestSignInBusy(t *testing.T) {
	s := newSite(t, auth.Config{PasswordHash: auth.HashConfig{MemoryKiB: 65536, Time: 4, AtOnce: 1, Queue: 1, QueueWait: 100 * time.Millisecond}})
	statuses := make(chan *http.Response, 12)
	for i := range 12 {
		r := request("/.doorward/sign-in", signInForm("nobody", password, "/"))
		go func() { statuses <- s.do(r, "198.51.100."+strconv.Itoa(i)) }()
	}
	busy := 0
	for range 12 {
		res := <-statuses
		if res.StatusCode == http.StatusServiceUnavailable {
			busy++
			if res.Header.Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
		} else if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("status %d", res.StatusCode)
		}
	}
	if busy == 0 {
		t.Error("twelve sign-ins at once with room for two: none was refused")
	}
}

func TestSignInRefusesForms(t *testing.T) {
	s := newSite(t, auth.Config{})
	good := signInForm("agent", password, "/").Encode()
	for _, c := range []struct {
		name, kind, body string
		header           http.Header
		status           int
	}{
		{"as JSON", "application/json", `{"username":"agent"}`, nil, http.StatusUnsupportedMediaType},
		{"multipart", "multipart/form-data; boundary=x", good, nil, http.StatusUnsupportedMediaType},
		{"without a type", "", good, nil, http.StatusUnsupportedMediaType},
		{"name twice", "application/x-www-form-urlencoded", good + "&username=owner", nil, http.StatusBadRequest},
		{"password twice", "application/x-www-form-urlencoded", good + "&password=x", nil, http.StatusBadRequest},
		{"return twice", "application/x-www-form-urlencoded", good + "&return_to=/x", nil, http.StatusBadRequest},
		{"bad escape", "application/x-www-form-urlencoded", good + "&x=%zz", nil, http.StatusBadRequest},
		{"semicolon", "application/x-www-form-urlencoded", good + ";username=owner", nil, http.StatusBadRequest},
		{"too large", "application/x-www-form-urlencoded", good + "&x=" + strings.Repeat("y", 16<<10), nil, http.StatusRequestEntityTooLarge},
		{"from another site", "application/x-www-form-urlencoded", good, http.Header{"Sec-Fetch-Site": {"cross-site"}}, http.StatusForbidden},
		{"from a sister host", "application/x-www-form-urlencoded", good, http.Header{"Sec-Fetch-Site": {"same-site"}}, http.StatusForbidden},
		{"old browser, other origin", "application/x-www-form-urlencoded", good, http.Header{"Sec-Fetch-Site": nil, "Origin": {"https://evil.example"}}, http.StatusForbidden},
		{"old browser, null origin", "application/x-www-form-urlencoded", good, http.Header{"Sec-Fetch-Site": nil, "Origin": {"null"}}, http.StatusForbidden},
		{"right", "application/x-www-form-urlencoded; charset=UTF-8", good, nil, http.StatusSeeOther},
	} {
		r := request("/.doorward/sign-in", nil)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(c.body)), int64(len(c.body))
		r.Header.Set("Content-Type", c.kind)
		for name, values := range c.header {
			r.Header[name] = values
		}
		wantStatus(t, s.do(r, "192.0.2.1"), c.status, c.name)
	}
	// The URL is no place for a password.
	wantStatus(t, s.do(request("/.doorward/sign-in?"+good, nil), "192.0.2.1"), http.StatusUnauthorized, "fields in the URL")
}

func TestSignedInVisitorIsSentOn(t *testing.T) {
	s := newSite(t, auth.Config{})
	token := s.signIn()
	for target, want := range map[string]string{
		"/.doorward/sign-in":                                   "/",
		"/.doorward/sign-in?return_to=/ticket":                 "/ticket",
		"/.doorward/sign-in?return_to=/.doorward/sign-in":      "/",
		"/.doorward/sign-in?return_to=https://evil.example":    "/",
		"/.doorward/sign-in?return_to=//evil.example":          "/",
		"/.doorward/sign-in?return_to=/%09/evil.example":       "/",
		"/.doorward/sign-in?return_to=/x&return_to=//evil.org": "/x",
	} {
		res := s.get(target, token)
		wantStatus(t, res, http.StatusSeeOther, target)
		if got := res.Header.Get("Location"); got != want {
			t.Errorf("%s: Location %q, want %q", target, got, want)
		}
	}
}

// Two tabs show the form; the person signs in in one and then in the other.
func TestTwoTabs(t *testing.T) {
	s := newSite(t, auth.Config{})
	first := s.signIn()
	r := request("/.doorward/sign-in", signInForm("agent", password, "/second"))
	r.AddCookie(first)
	res := s.do(r, "192.0.2.1")
	wantStatus(t, res, http.StatusSeeOther, "the second tab")
	if got := res.Header.Get("Location"); got != "/second" {
		t.Errorf("Location %q, want /second", got)
	}
	second := res.Cookies()[0]
	if _, err := s.auth.Session(t.Context(), auth.SiteRealm, host, first.Value, time.Now()); err == nil {
		t.Error("the first session lives on although the browser forgot it")
	}
	wantStatus(t, s.get("/.doorward/sign-in", second), http.StatusSeeOther, "with the second session")
}

// The gateway takes the cookie out of the request; the session ends all the same.
func TestPreviousTokenFromTheVisitor(t *testing.T) {
	s := newSite(t, auth.Config{})
	first := s.signIn()
	r := request("/.doorward/sign-in", signInForm("agent", password, "/"))
	w := httptest.NewRecorder()
	s.pages.ServeHTTP(w, r.WithContext(pages.Visit(context.Background(), pages.Visitor{
		Address: netip.MustParseAddr("192.0.2.1"), Host: host, Token: first.Value})))
	wantStatus(t, w.Result(), http.StatusSeeOther, "sign-in")
	if _, err := s.auth.Session(t.Context(), auth.SiteRealm, host, first.Value, time.Now()); err == nil {
		t.Error("the previous session lives on")
	}
}

func TestSignOutPage(t *testing.T) {
	s := newSite(t, auth.Config{})
	token := s.signIn()
	res := s.get("/.doorward/sign-out", token)
	wantStatus(t, res, http.StatusOK, "GET")
	if got := body(t, res); !strings.Contains(got, `<form method="post" action="/.doorward/sign-out">`) || !strings.Contains(got, "<strong>agent</strong>") {
		t.Errorf("page: %s", got)
	}
	session, err := s.auth.Session(t.Context(), auth.SiteRealm, host, token.Value, time.Now())
	if err != nil {
		t.Fatalf("GET has ended the session: %v", err)
	}
	foreign := request("/.doorward/sign-out", nil)
	foreign.AddCookie(token)
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	wantStatus(t, s.do(foreign, "192.0.2.1"), http.StatusForbidden, "POST from another site")

	r := request("/.doorward/sign-out", nil)
	r.AddCookie(token)
	res = s.do(r, "192.0.2.1")
	wantStatus(t, res, http.StatusSeeOther, "POST")
	if got := res.Header.Get("Location"); got != "/.doorward/sign-out" {
		t.Errorf("Location %q", got)
	}
	if got := res.Header.Get("Clear-Site-Data"); got != `"cache"` {
		t.Errorf("Clear-Site-Data %q: the application's storage is not ours", got)
	}
	if got := res.Header.Get("Set-Cookie"); got != "__Host-doorward=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax" {
		t.Errorf("Set-Cookie %q", got)
	}
	select {
	case <-session.Done():
	default:
		t.Error("Done is open")
	}
	if _, err := s.auth.Session(t.Context(), auth.SiteRealm, host, token.Value, time.Now()); err == nil {
		t.Error("the token still opens the session")
	}
	if got := body(t, s.get("/.doorward/sign-out", token)); !strings.Contains(got, "You are signed out") || strings.Contains(got, "<form") {
		t.Errorf("page afterwards: %s", got)
	}
	wantStatus(t, s.do(request("/.doorward/sign-out", nil), "192.0.2.1"), http.StatusSeeOther, "POST without a session")
}

func TestMethodsAndPaths(t *testing.T) {
	s := newSite(t, auth.Config{})
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"HEAD", "/.doorward/sign-in", 200}, {"PUT", "/.doorward/sign-in", 405}, {"DELETE", "/.doorward/sign-out", 405},
		{"OPTIONS", "/.doorward/sign-in", 405}, {"POST", "/.doorward/static/doorward.css", 405},
		{"GET", "/.doorward/static/", 404}, {"GET", "/.doorward/static/layout.html", 404}, {"GET", "/.doorward/static/../pages.go", 404},
		{"GET", "/.doorward/", 404}, {"GET", "/.doorward/sign-in/", 404}, {"GET", "/.doorward/Sign-in", 404}, {"GET", "/", 404},
	} {
		r := httptest.NewRequest(c.method, "https://"+host+c.path, nil)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		res := s.do(r, "192.0.2.1")
		wantStatus(t, res, c.status, c.method+" "+c.path)
		if c.method == "HEAD" && body(t, res) != "" {
			t.Errorf("HEAD has a body")
		}
		if c.status == 405 && res.Header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", c.method, c.path)
		}
	}
	css := s.get("/.doorward/static/doorward.css")
	if got := css.Header.Get("Content-Type"); got != "text/css; charset=utf-8" {
		t.Errorf("style: Content-Type %q", got)
	}
	if got := body(t, css); !strings.Contains(got, "prefers-color-scheme: dark") || strings.Contains(got, "url(") || strings.Contains(got, "@import") {
		t.Errorf("style: %s", got)
	}
	r := httptest.NewRequest(http.MethodGet, "https://"+host+"/.doorward/static/doorward.css", nil)
	r.Header.Set("If-None-Match", css.Header.Get("ETag"))
	wantStatus(t, s.do(r, "192.0.2.1"), http.StatusNotModified, "style asked for again")
}

// A request that did not come through a gateway or console has no address to count failures by.
func TestRequestWithoutVisitor(t *testing.T) {
	s := newSite(t, auth.Config{})
	w := httptest.NewRecorder()
	s.pages.ServeHTTP(w, request("/.doorward/sign-in", signInForm("agent", password, "/")))
	wantStatus(t, w.Result(), http.StatusInternalServerError, "no visitor")
}

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]pages.Config{
		"cookie without prefix": {Realm: auth.SiteRealm, CookieName: "doorward"},
		"no realm":              {CookieName: cookie},
	} {
		if _, err := pages.New(cfg, pages.Deps{Texts: languagetest.Shipped(t), Log: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
