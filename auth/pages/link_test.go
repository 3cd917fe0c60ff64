package pages_test

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/auth/pages"
	"github.com/doorward/doorward/mail/mailtest"
)

// holding holds agents' sign-ins from new addresses.
func holding() auth.Config {
	return auth.Config{Roles: []auth.RoleConfig{{Name: "agent", TrustedAddresses: auth.TrustConfig{Required: true}}}}
}

// linkFor has the outbox deliver and returns the path and query of the link in the person's next mail.
func (s *site) linkFor(server *mailtest.Server, to string) string {
	s.t.Helper()
	if _, err := s.mail.Deliver(s.t.Context(), time.Now().Add(time.Second)); err != nil {
		s.t.Fatal(err)
	}
	m := server.Next(s.t, to)
	if len(m.Links()) != 1 {
		s.t.Fatalf("mail %q has the links %v, want one", m.Subject, m.Links())
	}
	target, ok := strings.CutPrefix(m.Links()[0], "https://"+host)
	if !ok {
		s.t.Fatalf("mail %q links to %s", m.Subject, m.Links()[0])
	}
	return target
}

func codeOf(t testing.TB, target string) string {
	t.Helper()
	_, code, ok := strings.Cut(target, "?c=")
	if !ok || len(code) != 43 {
		t.Fatalf("%s holds no code", target)
	}
	return code
}

// D-13, D-14: the link shows where the sign-in comes from and acts on a click, in the browser that began it.
func TestReleaseLink(t *testing.T) {
	server := mailtest.Start(t, mailtest.Options{})
	s := newSiteWith(t, holding(), server)
	b := s.browser("198.51.100.7")
	if got := b.signIn("agent", "/ticket"); got != heldPage {
		t.Fatalf("sent to %s, want %s", got, heldPage)
	}
	otherSteps(b, heldPage)
	page := b.wantText(b.get(heldPage), http.StatusOK, "the page", "<strong>a…@example.com</strong>", `<meta http-equiv="refresh" content="5">`, `action="/.doorward/sign-in/held"`)
	if strings.Contains(page, "agent@example.com") {
		t.Error("the page tells the whole address")
	}
	b.wantSentTo(b.post(heldPage), heldPage, "the button before the link")
	target := s.linkFor(server, "agent@example.com")
	code := codeOf(t, target)

	other := s.browser("203.0.113.9")
	page = other.wantText(other.get(target), http.StatusOK, "in another browser", "198.51.100.7", "Firefox on Linux", "<time datetime=", "This is not me")
	if strings.Contains(page, "let me in") {
		t.Error("another browser is offered to let the sign-in in")
	}
	wantStatus(t, other.post("/.doorward/link/release", "c", code, "do", "release"), http.StatusForbidden, "let in by another browser")
	moved := s.browser("203.0.113.9")
	moved.jar[pendingName] = b.jar[pendingName]
	wantStatus(t, moved.post("/.doorward/link/release", "c", code, "do", "release"), http.StatusForbidden, "let in from another address")

	res := b.get(target)
	b.wantText(res, http.StatusOK, "in the same browser", "This is me, let me in", "This is not me")
	if got := res.Header.Get("Referrer-Policy"); got != "strict-origin" {
		t.Errorf("Referrer-Policy %q would tell the code", got)
	}
	for range 3 { // programs that look at mails open links too
		b.get(target)
		b.do(httptest.NewRequest(http.MethodHead, "https://"+host+target, nil))
	}
	b.wantSession("", 0, "looking at the link")
	wantStatus(t, b.post("/.doorward/link/release", "c", code), http.StatusBadRequest, "without a choice")
	wantStatus(t, b.post("/.doorward/link/release?c="+code+"&do=release"), http.StatusBadRequest, "the choice in the address")
	foreign := request("/.doorward/link/release", map[string][]string{"c": {code}, "do": {"release"}})
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	wantStatus(t, b.do(foreign), http.StatusForbidden, "from another site")
	b.wantSentTo(b.post("/.doorward/link/release", "c", code, "do", "release"), "/ticket", "let in")
	b.wantSession("agent", auth.PasswordLevel, "let in")
	wantStatus(t, b.get(target), http.StatusNotFound, "the link again")

	// The address is trusted now.
	again := s.browser("198.51.100.7")
	again.wantSentTo(again.post("/.doorward/sign-in", "username", "agent", "password", password), "/", "the next sign-in from there")
}

// Released elsewhere, here by an administrator, the page goes on by itself.
func TestHeldGoesOn(t *testing.T) {
	s := newSite(t, holding())
	b := s.browser("198.51.100.7")
	b.signIn("agent", "/ticket")
	b.wantText(b.get(heldPage), http.StatusOK, "without mail", "administrator")
	if _, err := s.auth.TrustAddress(t.Context(), auth.Actor{Name: "owner", Origin: "local"}, "agent", addr("198.51.100.7"), time.Now()); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, b.do(httptest.NewRequest(http.MethodHead, "https://"+host+heldPage, nil)), http.StatusOK, "HEAD")
	b.wantSession("", 0, "HEAD")
	b.wantSentTo(b.get(heldPage), "/ticket", "the page's next look")
	b.wantSession("agent", auth.PasswordLevel, "the page's next look")
}

// Refusing takes the password from whoever knows it, and leads to a new one.
func TestRefuseLink(t *testing.T) {
	server := mailtest.Start(t, mailtest.Options{})
	s := newSiteWith(t, holding(), server)
	thief := s.browser("198.51.100.7")
	thief.signIn("agent", "/")
	target := s.linkFor(server, "agent@example.com")
	owner := s.browser("203.0.113.9")
	to := owner.sentTo(owner.post("/.doorward/link/release", "c", codeOf(t, target), "do", "refuse"), "refuse")
	if !strings.HasPrefix(to, "/.doorward/link/reset?c=") {
		t.Errorf("sent to %s", to)
	}
	thief.wantSentTo(thief.get(heldPage), "/.doorward/sign-in", "the thief")
	wantStatus(t, thief.post("/.doorward/sign-in", "username", "agent", "password", password), http.StatusUnauthorized, "the password")
	wantStatus(t, owner.post("/.doorward/link/release", "c", codeOf(t, target), "do", "refuse"), http.StatusNotFound, "once more")
}

// D-10: the link in a notice ends everything, on a click.
func TestNotMeLink(t *testing.T) {
	server := mailtest.Start(t, mailtest.Options{})
	s := newSiteWith(t, auth.Config{}, server)
	b := s.browser("198.51.100.7")
	b.signIn("agent", "/")
	target := s.linkFor(server, "agent@example.com")
	owner := s.browser("203.0.113.9")
	owner.wantText(owner.get(target), http.StatusOK, "the page", "<strong>agent</strong>", `method="post"`)
	b.wantSession("agent", auth.PasswordLevel, "looking at the link")
	for _, code := range []string{"", "x", strings.Repeat("A", 43), strings.Repeat("A", 5000)} {
		wantStatus(t, owner.post("/.doorward/link/not-me", "c", code), http.StatusNotFound, "code "+code)
	}
	if to := owner.sentTo(owner.post("/.doorward/link/not-me", "c", codeOf(t, target)), "not me"); !strings.HasPrefix(to, "/.doorward/link/reset?c=") {
		t.Errorf("sent to %s", to)
	}
	b.wantSession("", 0, "not me")
	wantStatus(t, owner.get(target), http.StatusNotFound, "the link again")
}

// Whose password another system has is sent to sign in there: there is none to choose here.
func TestNotMeLinkElsewhere(t *testing.T) {
	server := mailtest.Start(t, mailtest.Options{})
	s := newSiteWith(t, auth.Config{}, server)
	b := s.browser("198.51.100.7")
	b.signIn("agent", "/")
	err := s.db.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), `UPDATE principal SET origin = 'oidc:staff'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	target := s.linkFor(server, "agent@example.com")
	b.wantSentTo(b.post("/.doorward/link/not-me", "c", codeOf(t, target)), "/.doorward/sign-in", "not me")
	b.wantSession("", 0, "not me")
}

func TestLogTarget(t *testing.T) {
	for target, want := range map[string]string{
		"/ticket?id=1":                    "/ticket?id=1",
		"/.doorward/link/release?c=abc":   "/.doorward/link/release?[not-recorded]",
		"/.doorward/link/not-me?x=1&c=ab": "/.doorward/link/not-me?[not-recorded]",
		"/.doorward/%6cink/release?c=abc": "/.doorward/%6cink/release?[not-recorded]",
		"/.Doorward/Link/release?c=abc":   "/.Doorward/Link/release?[not-recorded]",
		"/%zz?c=abc":                      "/%zz?[not-recorded]",
		"/.doorward/link/release":         "/.doorward/link/release",
		"/.doorward/sign-in?return_to=/":  "/.doorward/sign-in?return_to=/",
		"https://desk.example/x?c=1":      "https://desk.example/x?c=1",
	} {
		if got := pages.LogTarget(target); got != want {
			t.Errorf("LogTarget(%q) = %q, want %q", target, got, want)
		}
	}
}
