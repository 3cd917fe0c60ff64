package pages_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/auth/pages"
	"github.com/doorward/doorward/language/languagetest"
	"github.com/doorward/doorward/mail/mailtest"
)

const (
	newPassword  = "seven green bottles stood"
	forgotPage   = "/.doorward/reset"
	resetPage    = "/.doorward/link/reset"
	registerPage = "/.doorward/register"
	confirmPage  = registerPage + "/confirm"
	invitePage   = "/.doorward/link/invitation"
	onTheWay     = "If there is such an account, a mail is on its way."
	registerName = cookie + "-register"
)

// hook takes text messages and keeps the last one.
type hook struct {
	url  string
	mu   sync.Mutex
	last map[string]string
}

func startHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.last = nil
		if err := json.NewDecoder(r.Body).Decode(&h.last); err != nil {
			t.Errorf("the hook was asked with what is no JSON: %v", err)
		}
	}))
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

// code has the messages sent and returns the newest one's code.
func (h *hook) code(s *site) string {
	s.t.Helper()
	if _, err := s.auth.SendTexts(s.t.Context(), time.Now()); err != nil {
		s.t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return sixDigits.FindString(h.last["text"])
}

// letter is the next mail to an address.
func (s *site) letter(server *mailtest.Server, to string) mailtest.Message {
	s.t.Helper()
	if _, err := s.mail.Deliver(s.t.Context(), time.Now().Add(time.Second)); err != nil {
		s.t.Fatal(err)
	}
	return server.Next(s.t, to)
}

func registering(url string) auth.Config {
	cfg := auth.Config{Registration: auth.RegistrationConfig{Enabled: true, Region: "DE", SMS: auth.SMSConfig{URL: url}}, SiteHosts: []string{host}}
	cfg.SetDefaults()
	return cfg
}

// The page says the same whoever is asked for, and the link leads to a new password.
func TestForgot(t *testing.T) {
	server := mailtest.Start(t, mailtest.Options{})
	s := newSiteWith(t, auth.Config{Notices: auth.NoticesConfig{SignIn: "off"}}, server)
	b := s.browser("198.51.100.7")
	b.wantText(b.get(forgotPage), http.StatusOK, "the page", `action="/.doorward/reset"`, "Name or e-mail address")
	known := b.wantText(b.post(forgotPage, "username", "agent"), http.StatusOK, "a known name", onTheWay)
	unknown := b.wantText(b.post(forgotPage, "username", "nobody"), http.StatusOK, "an unknown name", onTheWay)
	if known != unknown {
		t.Errorf("the pages differ:\n%s\n%s", known, unknown)
	}
	s.auth.Sweep(t.Context(), time.Now())
	target := s.linkFor(server, "agent@example.com")
	code := codeOf(t, target)
	other := s.browser("203.0.113.9")
	res := other.get(target)
	other.wantText(res, http.StatusOK, "the link", "<strong>agent</strong>", `action="/.doorward/link/reset"`, `autocomplete="new-password"`)
	if got := res.Header.Get("Referrer-Policy"); got != "strict-origin" {
		t.Errorf("Referrer-Policy %q would tell the code", got)
	}
	fields := func(first, second string) []string {
		return []string{"c", code, "new_password", first, "repeat_password", second}
	}
	other.wantText(other.post(resetPage, fields(newPassword, newPassword+"x")...), http.StatusUnprocessableEntity, "typed in two ways", "not the same", code)
	other.wantText(other.post(resetPage, fields("short", "short")...), http.StatusUnprocessableEntity, "a weak one", "at least", code)
	other.wantText(other.post(resetPage, fields(password, password)...), http.StatusUnprocessableEntity, "the current one", "used it before")
	foreign := request(resetPage, url.Values{"c": {code}, "new_password": {newPassword}, "repeat_password": {newPassword}})
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	wantStatus(t, other.do(foreign), http.StatusForbidden, "from another site")
	wantStatus(t, other.post(resetPage+"?c="+code, "new_password", newPassword, "repeat_password", newPassword), http.StatusNotFound, "the code in the address")
	other.wantSession("", 0, "before")
	other.wantSentTo(other.post(resetPage, fields(newPassword, newPassword)...), "/", "the new password")
	other.wantSession("agent", auth.PasswordLevel, "the new password")
	wantStatus(t, b.get(target), http.StatusNotFound, "the link again")
	wantStatus(t, b.post(resetPage, fields(newPassword, newPassword)...), http.StatusNotFound, "the form again")
}

// A second factor is asked for after the new password.
func TestResetGoesOnToFactor(t *testing.T) {
	server := mailtest.Start(t, mailtest.Options{})
	s := newSiteWith(t, auth.Config{Roles: []auth.RoleConfig{{Name: "agent", Factor: "any"}}, Notices: auth.NoticesConfig{SignIn: "off"}}, server)
	b := s.browser("198.51.100.7")
	b.post(forgotPage, "username", "AGENT@example.com")
	s.auth.Sweep(t.Context(), time.Now())
	code := codeOf(t, s.linkFor(server, "agent@example.com"))
	b.wantSentTo(b.post(resetPage, "c", code, "new_password", newPassword, "repeat_password", newPassword), "/.doorward/sign-in/enrol", "the new password")
	b.wantSession("", 0, "the factor is lacking")
}

func TestForgotIsLimited(t *testing.T) {
	s := newSiteWith(t, auth.Config{}, mailtest.Start(t, mailtest.Options{}))
	b := s.browser("198.51.100.7")
	for range 10 {
		b.wantText(b.post(forgotPage, "username", "agent"), http.StatusOK, "a request", onTheWay)
	}
	res := b.post(forgotPage, "username", "agent")
	b.wantText(res, http.StatusTooManyRequests, "one more", `value="agent"`) // in the last minutes of an hour the words are others
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// Without a mail server, with registration off, and at the console there are no such pages.
func TestPersonPagesAreNotThere(t *testing.T) {
	s := newSite(t, auth.Config{})
	b := s.browser("198.51.100.7")
	for _, page := range []string{forgotPage, registerPage, confirmPage} {
		wantStatus(t, b.get(page), http.StatusNotFound, page)
		wantStatus(t, b.post(page, "username", "agent"), http.StatusNotFound, "form to "+page)
	}
	console, err := pages.New(pages.Config{Realm: auth.ConsoleRealm, CookieName: "__Host-doorward-console"}, pages.Deps{Auth: s.auth, Texts: languagetest.Shipped(t)})
	if err != nil {
		t.Fatal(err)
	}
	s.pages = console
	for _, page := range []string{forgotPage, registerPage, confirmPage, invitePage} {
		wantStatus(t, b.get(page), http.StatusNotFound, "console "+page)
	}
}

func TestRegisterPages(t *testing.T) {
	server, h := mailtest.Start(t, mailtest.Options{}), startHook(t)
	s := newSiteWith(t, registering(h.url), server)
	b := s.browser("198.51.100.7")
	b.accept = "de"
	b.wantText(b.get(registerPage), http.StatusOK, "the form", "Registrieren", `type="tel"`, `name="new_password"`)
	fields := func(change ...string) []string {
		all := map[string]string{"name": "maria", "email": "maria@example.org", "display_name": "Maria <b>", "phone": "0170 1234567",
			"new_password": newPassword, "repeat_password": newPassword}
		for i := 0; i+1 < len(change); i += 2 {
			all[change[i]] = change[i+1]
		}
		var list []string
		for name, value := range all {
			list = append(list, name, value)
		}
		return list
	}
	for _, c := range []struct{ name, value, text string }{
		{"name", "a b", "am Anfang ein Buchstabe"}, {"email", "maria", "keine E-Mail-Adresse"}, {"phone", "123", "keine Mobilnummer"},
		{"new_password", "other", "nicht"}, {"display_name", "a\x07", "sichtbare"},
	} {
		page := b.wantText(b.post(registerPage, fields(c.name, c.value)...), http.StatusUnprocessableEntity, c.name, c.text)
		if strings.Contains(page, newPassword) || c.name != "display_name" && !strings.Contains(page, "Maria &lt;b&gt;") {
			t.Errorf("%s: the page shows the password, or not what was typed:\n%s", c.name, page)
		}
	}
	b.wantSentTo(b.post(registerPage, fields()...), confirmPage, "the form")
	b.wantText(b.get(confirmPage), http.StatusOK, "the mailed code is asked for", "<strong>maria@example.org</strong>", `name="step" value="email"`)
	other := s.browser("198.51.100.8")
	wantStatus(t, other.get(confirmPage), http.StatusNotFound, "another browser")
	m := s.letter(server, "maria@example.org")
	code := sixDigits.FindString(m.Text)
	wrong := "000000"
	if code == wrong {
		wrong = "000001"
	}
	b.wantText(b.post(confirmPage, "step", "email", "code", wrong), http.StatusUnauthorized, "a wrong code", `aria-invalid="true"`)
	wantStatus(t, other.post(confirmPage, "step", "email", "code", code), http.StatusNotFound, "another browser with the code")
	b.wantText(b.post(registerPage+"/code", "x", "y"), http.StatusTooManyRequests, "another code at once", "Zu viele Versuche")
	b.wantSentTo(b.post(confirmPage, "step", "email", "code", code), confirmPage, "the mailed code")
	b.wantText(b.get(confirmPage), http.StatusOK, "the text message's code is asked for", "<strong>+491701234567</strong>", `name="step" value="phone"`)
	b.wantSentTo(b.post(confirmPage, "step", "phone", "code", h.code(s)), "/.doorward/account?done=registered", "the text message's code")
	b.wantSession("maria", auth.PasswordLevel, "registered")
	if _, there := b.jar[registerName]; there {
		t.Error("the registration's cookie is still there")
	}
	b.wantText(b.get("/.doorward/account?done=registered"), http.StatusOK, "the account", "eine Rolle geben")
	b.wantSentTo(b.get(registerPage), "/.doorward/account", "the form, signed in")
}

// Whatever is an account's already, the pages are the same; a taken name shows at the end.
func TestRegisterPagesRevealNothing(t *testing.T) {
	server, h := mailtest.Start(t, mailtest.Options{}), startHook(t)
	cfg := registering(h.url)
	cfg.Registration.Phone = auth.PhoneOff
	s := newSiteWith(t, cfg, server)
	masked := func(page, email, name string) string {
		return strings.NewReplacer(email, "EMAIL", name, "NAME").Replace(page)
	}
	var seen []string
	for i, email := range []string{"agent@example.com", "maria@example.org"} {
		b := s.browser("198.51.100." + string(rune('1'+i)))
		form := []string{"name", "agent", "email", email, "new_password", newPassword, "repeat_password", newPassword}
		b.wantSentTo(b.post(registerPage, form...), confirmPage, email)
		page := body(t, b.get(confirmPage)) + body(t, b.post(confirmPage, "step", "email", "code", "xxxxxx"))
		seen = append(seen, masked(page, email, "agent"))
		m := s.letter(server, email)
		if i == 0 {
			if sixDigits.MatchString(m.Text) || !strings.Contains(m.Text, forgotPage) {
				t.Errorf("the mail to an account's address:\n%s", m.Text)
			}
			continue
		}
		b.wantSentTo(b.post(confirmPage, "step", "email", "code", sixDigits.FindString(m.Text)), confirmPage, "the code")
		b.wantText(b.get(confirmPage), http.StatusOK, "a taken name", "<strong>agent</strong>", `action="/.doorward/register/name"`)
		b.wantText(b.post(registerPage+"/name", "name", "a b"), http.StatusUnprocessableEntity, "an unfit name", `aria-invalid="true"`)
		b.wantSentTo(b.post(registerPage+"/name", "name", "maria"), "/.doorward/account?done=registered", "a free name")
		b.wantSession("maria", auth.PasswordLevel, "registered")
	}
	if seen[0] != seen[1] {
		t.Errorf("the pages differ:\n%s\n%s", seen[0], seen[1])
	}
}

// Codes that are used up, and a registration that cannot go on, say what to do.
func TestRegisterPagesWhenOver(t *testing.T) {
	server, h := mailtest.Start(t, mailtest.Options{}), startHook(t)
	cfg := registering(h.url)
	cfg.SignIn.Failures = 20
	s := newSiteWith(t, cfg, server)
	b := s.browser("198.51.100.7")
	b.post(registerPage, "name", "maria", "email", "maria@example.org", "phone", "0170 1234567", "new_password", newPassword, "repeat_password", newPassword)
	for range 5 {
		wantStatus(t, b.post(confirmPage, "step", "email", "code", "x"), http.StatusUnauthorized, "a wrong code")
	}
	b.wantText(b.post(confirmPage, "step", "email", "code", "x"), http.StatusConflict, "one more", "not good any more", `action="/.doorward/register/code"`)
	page := b.wantText(b.get(confirmPage), http.StatusOK, "the page", "no code that you could type in")
	if strings.Contains(page, `name="code"`) {
		t.Error("a code is asked for that cannot be right")
	}
	b.jar[registerName] = strings.Repeat("A", 43)
	b.wantText(b.get(confirmPage), http.StatusNotFound, "no registration", `href="/.doorward/register"`, `href="/.doorward/reset"`)
	if _, there := b.jar[registerName]; there {
		t.Error("the cookie of no registration is still there")
	}
}

func TestInvitationPage(t *testing.T) {
	server := mailtest.Start(t, mailtest.Options{})
	s := newSiteWith(t, auth.Config{SiteHosts: []string{host}, Notices: auth.NoticesConfig{SignIn: "off"}}, server)
	_, err := s.auth.Invite(t.Context(), auth.Actor{Name: "test", Origin: "local"}, auth.NewInvitation{Email: "maria@example.org", Name: "maria",
		DisplayName: "Maria <M>", Language: "de", Roles: []auth.Role{auth.Agent}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	target := s.linkFor(server, "maria@example.org")
	code := codeOf(t, target)
	b := s.browser("198.51.100.7")
	res := b.get(target)
	b.wantText(res, http.StatusOK, "the link", "Willkommen", "<strong>maria@example.org</strong>", `value="maria"`, `value="Maria &lt;M&gt;"`)
	if got := res.Header.Get("Referrer-Policy"); got != "strict-origin" {
		t.Errorf("Referrer-Policy %q would tell the code", got)
	}
	form := func(name, password, again string) []string {
		return []string{"c", code, "name", name, "display_name", "M", "new_password", password, "repeat_password", again}
	}
	b.wantText(b.post(invitePage, form("agent", newPassword, newPassword)...), http.StatusConflict, "a taken name", "vergeben", `value="agent"`, code)
	b.wantText(b.post(invitePage, form("a b", newPassword, newPassword)...), http.StatusUnprocessableEntity, "an unfit name", `aria-invalid="true"`)
	b.wantText(b.post(invitePage, form("maria", newPassword, "x")...), http.StatusUnprocessableEntity, "typed in two ways", code)
	b.wantText(b.post(invitePage, form("maria", "short", "short")...), http.StatusUnprocessableEntity, "a weak password", code)
	b.wantSession("", 0, "before")
	b.wantSentTo(b.post(invitePage, form("maria", newPassword, newPassword)...), "/", "accepted")
	b.wantSession("maria", auth.PasswordLevel, "accepted")
	wantStatus(t, b.get(target), http.StatusNotFound, "the link again")
	wantStatus(t, b.post(invitePage, form("maria2", newPassword, newPassword)...), http.StatusNotFound, "the form again")
}
