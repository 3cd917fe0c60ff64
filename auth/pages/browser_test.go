package pages_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
)

const pendingName = cookie + "-pending"

// eventLog is a log that records until the end of the test.
func eventLog(t testing.TB, db *store.DB) *event.Log {
	t.Helper()
	cfg := event.Config{Dir: t.TempDir()}
	cfg.SetDefaults()
	l, err := event.Open(t.Context(), cfg, db, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = l.Run(ctx); close(done) }()
	t.Cleanup(func() {
		stop()
		<-done
		_ = l.Close()
	})
	return l
}

// browser is a person's browser at an address: it keeps cookies, and sends what browsers send.
type browser struct {
	s       *site
	address string
	accept  string // languages
	jar     map[string]string
}

func (s *site) browser(address string) *browser {
	return &browser{s: s, address: address, accept: "en", jar: make(map[string]string)}
}

// untranslated is a key that came out in place of its text.
var untranslated = regexp.MustCompile(`page\.[a-z_]+[._][a-z_.]+`)

func (b *browser) do(r *http.Request) *http.Response {
	b.s.t.Helper()
	for name, value := range b.jar {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	r.Header.Set("Accept-Language", b.accept)
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	}
	res := b.s.do(r, b.address)
	for _, c := range res.Cookies() {
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			b.s.t.Errorf("%s %s: cookie %s is not closed", r.Method, r.URL.Path, c)
		}
		if c.MaxAge < 0 {
			delete(b.jar, c.Name)
		} else {
			b.jar[c.Name] = c.Value
		}
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.s.t.Fatal(err)
	}
	if found := untranslated.Find(text); found != nil && !strings.HasPrefix(res.Header.Get("Content-Type"), "text/javascript") {
		b.s.t.Errorf("%s %s shows the key %s", r.Method, r.URL, found)
	}
	res.Body = io.NopCloser(bytes.NewReader(text))
	return res
}

func (b *browser) get(target string) *http.Response {
	b.s.t.Helper()
	return b.do(httptest.NewRequest(http.MethodGet, "https://"+host+target, nil))
}

func (b *browser) post(target string, fields ...string) *http.Response {
	b.s.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return b.do(request(target, form))
}

// json sends what the script sends.
func (b *browser) json(target, text string) *http.Response {
	b.s.t.Helper()
	r := request(target, nil)
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	return b.do(r)
}

// asked is what the script was told to ask the browser.
func (b *browser) asked(target, text string) (options []byte, ceremony string) {
	b.s.t.Helper()
	res := b.json(target, text)
	var in struct {
		Options  json.RawMessage
		Ceremony string
	}
	got := body(b.s.t, res)
	if err := json.Unmarshal([]byte(got), &in); err != nil || res.StatusCode != http.StatusOK || in.Ceremony == "" {
		b.s.t.Fatalf("%s: %d %s, want options", target, res.StatusCode, got)
	}
	return in.Options, in.Ceremony
}

// answered sends the browser's answer and returns what the script is told.
func (b *browser) answered(target, ceremony string, response []byte, more string) (res *http.Response, location string, recovery []string) {
	b.s.t.Helper()
	res = b.json(target, `{"ceremony":"`+ceremony+`","response":`+string(response)+more+`}`)
	var out struct {
		Location string
		Recovery []string
	}
	_ = json.Unmarshal([]byte(body(b.s.t, res)), &out)
	return res, out.Location, out.Recovery
}

// signIn signs in by the form and returns where the browser is sent.
func (b *browser) signIn(name, returnTo string) string {
	b.s.t.Helper()
	return b.sentTo(b.post("/.doorward/sign-in", "username", name, "password", password, "return_to", returnTo), "sign-in")
}

// sentTo is where a redirect leads.
func (b *browser) sentTo(res *http.Response, what string) string {
	b.s.t.Helper()
	if res.StatusCode != http.StatusSeeOther {
		b.s.t.Fatalf("%s: status %d, want 303\n%s", what, res.StatusCode, body(b.s.t, res))
	}
	return res.Header.Get("Location")
}

func (b *browser) wantSentTo(res *http.Response, want, what string) {
	b.s.t.Helper()
	if got := b.sentTo(res, what); got != want {
		b.s.t.Errorf("%s: sent to %s, want %s", what, got, want)
	}
}

// wantText fails unless the answer has the status and shows all the texts.
func (b *browser) wantText(res *http.Response, status int, what string, texts ...string) string {
	b.s.t.Helper()
	wantStatus(b.s.t, res, status, what)
	got := body(b.s.t, res)
	for _, text := range texts {
		if !strings.Contains(got, text) {
			b.s.t.Errorf("%s: the page lacks %q:\n%s", what, text, got)
		}
	}
	return got
}

// session is who is signed in with this browser; nil if nobody is.
func (b *browser) session() *auth.Session {
	s, err := b.s.auth.Session(b.s.t.Context(), auth.SiteRealm, host, b.jar[cookie], time.Now())
	if err != nil {
		return nil
	}
	return s
}

func (b *browser) wantSession(name string, level auth.Level, what string) {
	b.s.t.Helper()
	s := b.session()
	switch {
	case name == "" && s != nil:
		b.s.t.Fatalf("%s: signed in as %s", what, s.Principal.Name)
	case name != "" && (s == nil || s.Principal.Name != name || s.Level != level):
		b.s.t.Fatalf("%s: session %+v, want one of %s at level %d", what, s, name, level)
	}
}

// signInBefore gives the browser a session that began some time ago.
func (b *browser) signInBefore(name string, ago time.Duration) {
	b.s.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://"+host+"/", nil)
	at := auth.Attempt{Login: name, Password: password, Address: addr(b.address), Realm: auth.SiteRealm, Host: host, UserAgent: r.UserAgent()}
	out, err := b.s.auth.SignIn(b.s.t.Context(), at, time.Now().Add(-ago))
	if err != nil || out.Session == nil {
		b.s.t.Fatalf("sign in %v ago: %+v, %v", ago, out, err)
	}
	b.jar[cookie] = out.Token
}

// add makes an account of one role.
func (s *site) add(name string, role auth.Role, mustChange bool) auth.Principal {
	s.t.Helper()
	p, err := s.auth.AddPrincipal(s.t.Context(), auth.Actor{Name: "test", Origin: "local"}, auth.NewPrincipal{Name: name,
		Email: name + "@example.com", Roles: []auth.Role{role}, Password: password, MustChange: mustChange})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *site) person(name string) auth.Principal {
	s.t.Helper()
	p, err := s.auth.Principal(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *site) factors(name string) auth.FactorSummary {
	s.t.Helper()
	f, err := s.auth.Factors(s.t.Context(), s.person(name).ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}
