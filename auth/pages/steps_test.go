package pages_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
)

// demanding is a configuration where agents need a factor, at a host where passkeys are possible.
func demanding(factor string) auth.Config {
	return auth.Config{Factors: auth.FactorsConfig{Hosts: []string{host}}, Roles: []auth.RoleConfig{{Name: "agent", Factor: factor}}}
}

const (
	factorPage   = "/.doorward/sign-in/factor"
	heldPage     = "/.doorward/sign-in/held"
	passwordPage = "/.doorward/sign-in/password"
	enrolPage    = "/.doorward/sign-in/enrol"
)

// otherSteps fails unless every other step's page sends the browser to the right one, and does nothing itself.
func otherSteps(b *browser, right string) {
	b.s.t.Helper()
	for _, page := range []string{factorPage, passwordPage, enrolPage, heldPage} {
		if page != right {
			b.wantSentTo(b.get(page), right, "GET "+page)
			b.wantSentTo(b.post(page, "code", "000000", "new_password", "a new long password", "repeat_password", "a new long password", "do", "begin"), right, "POST "+page)
		}
	}
}

// F-26, M-08: whoever has a second factor is asked for it, and the password alone opens nothing.
func TestFactorStep(t *testing.T) {
	s := newSite(t, demanding("none"))
	app, recovery := s.enrolApp("agent")
	b := s.browser("192.0.2.1")
	res := b.post("/.doorward/sign-in", "username", "agent", "password", password, "return_to", "/ticket?id=1")
	b.wantSentTo(res, factorPage, "the password")
	if line := strings.Join(res.Header["Set-Cookie"], "\n"); !regexp.MustCompile(`^__Host-doorward-pending=[\w-]{43}; Path=/; HttpOnly; Secure; SameSite=Lax$`).MatchString(line) {
		t.Errorf("Set-Cookie %s", line)
	}
	b.wantSession("", 0, "after the password")
	b.wantText(b.get(factorPage), http.StatusOK, "the page", `name="code"`, `autocomplete="one-time-code"`, "<strong>agent</strong>", `action="/.doorward/sign-in/cancel"`)
	otherSteps(b, factorPage)

	for _, code := range []string{"", "000000", "zzz", strings.Repeat("9", 4000), app.code(-1)} {
		res := b.post(factorPage, "code", code)
		if res.StatusCode == http.StatusTooManyRequests {
			break // three wrong in a row
		}
		page := b.wantText(res, http.StatusUnauthorized, "wrong code "+code, `role="alert"`, "The code is not right", `name="code"`)
		if code != "" && strings.Contains(page, code) {
			t.Errorf("the page has the wrong code")
		}
	}
	// Another address of the same person is not kept waiting.
	b = s.browser("192.0.2.2")
	b.signIn("agent", "/ticket?id=1")
	token := b.jar[pendingName]
	for what, other := range map[string]*browser{"no cookie": s.browser("192.0.2.3"), "another realm's": {s: s, address: "192.0.2.3", accept: "en", jar: map[string]string{"__Host-doorward-console-pending": token}}} {
		other.wantSentTo(other.post(factorPage, "code", app.code(0)), "/.doorward/sign-in", what)
		other.wantSentTo(other.get(factorPage), "/.doorward/sign-in", what)
	}
	res = b.post(factorPage, "code", app.code(0))
	b.wantSentTo(res, "/ticket?id=1", "the right code")
	b.wantSession("agent", auth.FactorLevel, "the right code")
	if _, there := b.jar[pendingName]; there {
		t.Error("the pending sign-in's cookie stays")
	}
	again := s.browser("192.0.2.2")
	again.jar[pendingName] = token
	again.wantSentTo(again.post(factorPage, "code", recovery[0]), "/.doorward/sign-in", "the ended sign-in once more")
	again.wantSession("", 0, "the ended sign-in once more")

	b = s.browser("192.0.2.2")
	b.signIn("agent", "/")
	b.wantSentTo(b.post(factorPage, "code", strings.ToLower(recovery[0])), "/", "a recovery code")
	b.wantSession("agent", auth.FactorLevel, "a recovery code")
}

// What may go wrong with a request goes wrong on every page of a step in the same way.
func TestStepsRefuseForms(t *testing.T) {
	s := newSite(t, demanding("any"))
	b := s.browser("192.0.2.1")
	b.signIn("agent", "/")
	for _, c := range []struct {
		name, target, kind, body string
		header                   http.Header
		status                   int
	}{
		{"from another site", enrolPage, "", "do=begin", http.Header{"Sec-Fetch-Site": {"cross-site"}}, http.StatusForbidden},
		{"cancel from another site", "/.doorward/sign-in/cancel", "", "", http.Header{"Sec-Fetch-Site": {"same-site"}}, http.StatusForbidden},
		{"too large", enrolPage, "", "code=" + strings.Repeat("1", 17<<10), nil, http.StatusRequestEntityTooLarge},
		{"as JSON", enrolPage, "application/json", `{"code":"1"}`, nil, http.StatusUnsupportedMediaType},
		{"twice", enrolPage, "", "code=1&code=2", nil, http.StatusBadRequest},
		{"form to a JSON door", "/.doorward/passkey/enrol", "", "ceremony=1", nil, http.StatusUnsupportedMediaType},
		{"no JSON", "/.doorward/passkey/enrol", "application/json", "{", nil, http.StatusBadRequest},
		{"other JSON", "/.doorward/passkey/enrol", "application/json", `[1]`, nil, http.StatusBadRequest},
		{"JSON and more", "/.doorward/passkey/enrol", "application/json", `{}{}`, nil, http.StatusBadRequest},
		{"large JSON", "/.doorward/passkey/enrol", "application/json", `{"name":"` + strings.Repeat("x", 81<<10) + `"}`, nil, http.StatusRequestEntityTooLarge},
		{"JSON from another site", "/.doorward/passkey/sign-in", "application/json", `{}`, http.Header{"Sec-Fetch-Site": {"cross-site"}}, http.StatusForbidden},
	} {
		r := request(c.target, url.Values{})
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(c.body)), int64(len(c.body))
		if c.kind != "" {
			r.Header.Set("Content-Type", c.kind)
		}
		for name, values := range c.header {
			r.Header[name] = values
		}
		wantStatus(t, b.do(r), c.status, c.name)
	}
	for target, status := range map[string]int{enrolPage: 200, "/.doorward/passkey/enrol": 405, "/.doorward/sign-in/cancel": 405, "/.doorward/sign-in/other": 404} {
		res := b.do(httptest.NewRequest(http.MethodHead, "https://"+host+target, nil))
		wantStatus(t, res, status, "HEAD "+target)
		if got := body(t, res); got != "" {
			t.Errorf("HEAD %s has the body %q", target, got)
		}
	}
	if f := s.factors("agent"); f.Best() != auth.PasswordLevel {
		t.Errorf("factors %+v after refused requests", f)
	}
	b.wantSentTo(b.post("/.doorward/sign-in/cancel"), "/.doorward/sign-in?return_to=%2F", "cancel")
	b.wantSentTo(b.get(enrolPage), "/.doorward/sign-in", "after cancelling")
}

// D-05: a password that somebody else chose is changed before anything else.
func TestForcedChange(t *testing.T) {
	s := newSite(t, auth.Config{})
	s.add("fresh", auth.User, true)
	b := s.browser("192.0.2.1")
	if got := b.signIn("fresh", "/ticket"); got != passwordPage {
		t.Fatalf("sent to %s, want %s", got, passwordPage)
	}
	otherSteps(b, passwordPage)
	b.wantText(b.get(passwordPage), http.StatusOK, "the page", `autocomplete="new-password"`, `value="fresh" autocomplete="username"`)
	for given, want := range map[[2]string]string{
		{"a stone in the river", "a stone in the rivers"}: "not the same",
		{"short", "short"}:                         "It must have at least 15 characters.",
		{password, password}:                       "You have used it before.",
		{"fresh fresh fresh", "fresh fresh fresh"}: "This password cannot be used.",
		{"", ""}: "at least 15",
	} {
		page := b.wantText(b.post(passwordPage, "new_password", given[0], "repeat_password", given[1]), http.StatusUnprocessableEntity, given[0], want, `role="alert"`)
		if given[0] != "" && strings.Contains(page, given[0]) && !strings.Contains(given[0], "fresh") {
			t.Errorf("the page has the password %q", given[0])
		}
		b.wantSession("", 0, given[0])
	}
	b.wantSentTo(b.post(passwordPage, "new_password", "a stone in the river", "repeat_password", "a stone in the river"), "/ticket", "a good one")
	b.wantSession("fresh", auth.PasswordLevel, "a good one")
	wantStatus(t, b.post("/.doorward/sign-in", "username", "fresh", "password", password), http.StatusUnauthorized, "the old password")
}

var secretPattern = regexp.MustCompile(`id="secret">([A-Z2-7]+)<`)

// F-26: a role that demands a factor has it set up at the first sign-in.
func TestEnrolApp(t *testing.T) {
	s := newSite(t, demanding("any"))
	b := s.browser("192.0.2.1")
	if got := b.signIn("agent", "/ticket"); got != enrolPage {
		t.Fatalf("sent to %s, want %s", got, enrolPage)
	}
	otherSteps(b, enrolPage)
	b.wantText(b.get(enrolPage), http.StatusOK, "the page", `data-begin="/.doorward/passkey/enrol-options"`, `src="/.doorward/static/passkey.js"`, "authenticator app")
	b.wantText(b.post(enrolPage, "do", "confirm", "code", "123456"), http.StatusNotFound, "a code before any key")
	page := b.wantText(b.post(enrolPage, "do", "begin"), http.StatusOK, "the key", "<svg", `name="code"`)
	if csp := "style="; strings.Contains(page, csp) || strings.Contains(page, "<script") {
		t.Error("the QR code's page has a style or a script")
	}
	found := secretPattern.FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("no key on the page:\n%s", page)
	}
	app := newApp(t, found[1])
	b.wantText(b.post(enrolPage, "do", "confirm", "code", "000000"), http.StatusUnauthorized, "a wrong code", "The code is not right", `name="code"`)
	b.wantSession("", 0, "a wrong code")
	page = b.wantText(b.post(enrolPage, "do", "confirm", "code", app.code(0)), http.StatusOK, "the right code", `href="/ticket"`, "I have kept them")
	if n := len(regexp.MustCompile(`<li><code>[0-9A-Z-]{29}</code>`).FindAllString(page, -1)); n != 10 {
		t.Errorf("%d recovery codes, want 10:\n%s", n, page)
	}
	b.wantSession("agent", auth.FactorLevel, "the right code")
	b.wantSentTo(b.post(enrolPage, "do", "confirm", "code", app.code(1)), "/.doorward/sign-in", "once more")
}

// A role that wants a passkey takes no app; the passkey is proved by the very request that made it.
func TestEnrolPasskey(t *testing.T) {
	s := newSite(t, demanding("passkey"))
	b := s.browser("192.0.2.1")
	if got := b.signIn("agent", "/ticket"); got != enrolPage {
		t.Fatalf("sent to %s, want %s", got, enrolPage)
	}
	if page := b.wantText(b.get(enrolPage), http.StatusOK, "the page", "Make a passkey"); strings.Contains(page, "authenticator app") {
		t.Error("the page offers an app")
	}
	b.wantSentTo(b.post(enrolPage, "do", "begin"), enrolPage, "an app all the same")
	d := newDevice(t)
	options, ceremony := b.asked("/.doorward/passkey/enrol-options", `{}`)
	answer := d.create(options)
	stranger := s.browser("192.0.2.9")
	if _, to, _ := stranger.answered("/.doorward/passkey/enrol", ceremony, answer, ""); to != "/.doorward/sign-in" {
		t.Errorf("another browser is sent to %q", to)
	}
	wantStatus(t, b.json("/.doorward/passkey/enrol", `{"ceremony":"`+ceremony+`","response":{}}`), http.StatusUnauthorized, "a broken answer")
	res, to, recovery := b.answered("/.doorward/passkey/enrol", ceremony, answer, `,"name":"my phone"`)
	if to != "/ticket" || len(recovery) != 10 {
		t.Fatalf("enrolled: %d, sent to %q with %d recovery codes", res.StatusCode, to, len(recovery))
	}
	b.wantSession("agent", auth.PasskeyLevel, "the passkey")
	if f := s.factors("agent"); len(f.Passkeys) != 1 || f.Passkeys[0].Name != "my phone" {
		t.Errorf("passkeys %+v", f.Passkeys)
	}

	// The next sign-in asks for it, and takes no new one in its place.
	next := s.browser("192.0.2.1")
	if got := next.signIn("agent", "/x"); got != factorPage {
		t.Fatalf("sent to %s, want %s", got, factorPage)
	}
	if _, to, _ := next.answered("/.doorward/passkey/enrol", ceremony, answer, ""); to != factorPage {
		t.Errorf("enrolling instead of proving: sent to %q", to)
	}
	if _, to, _ := next.answered("/.doorward/passkey/enrol-options", "", []byte(`{}`), ""); to != factorPage {
		t.Errorf("options instead of proving: sent to %q", to)
	}
	options, ceremony = next.asked("/.doorward/passkey/factor-options", `{}`)
	if _, to, _ := next.answered("/.doorward/passkey/factor", ceremony, d.get(options), ""); to != "/x" {
		t.Errorf("sent to %q, want /x", to)
	}
	next.wantSession("agent", auth.PasskeyLevel, "the passkey after the password")

	// And alone.
	alone := s.browser("192.0.2.1")
	alone.wantText(alone.get("/.doorward/sign-in"), http.StatusOK, "the sign-in page", "Sign in with a passkey", "JavaScript")
	options, ceremony = alone.asked("/.doorward/passkey/sign-in-options", `{"return_to":"/ignored"}`)
	answer = d.get(options)
	if _, to, _ := alone.answered("/.doorward/passkey/sign-in", ceremony, answer, `,"return_to":"//evil.example"`); to != "/" {
		t.Errorf("sent to %q, want /", to)
	}
	alone.wantSession("agent", auth.PasskeyLevel, "the passkey alone")
	replay := s.browser("192.0.2.1")
	if res, _, _ := replay.answered("/.doorward/passkey/sign-in", ceremony, answer, ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the answer again: %d, want 401", res.StatusCode)
	}
	replay.wantSession("", 0, "the answer again")
}

// D-18: staying signed in is offered where a role allows it, and then outlives the browser.
func TestRemember(t *testing.T) {
	s := newSite(t, auth.Config{Roles: []auth.RoleConfig{{Name: "user", Sessions: auth.RoleSessionsConfig{Remember: 48 * time.Hour}}}})
	s.add("customer", auth.User, false)
	b := s.browser("192.0.2.1")
	b.wantText(b.get("/.doorward/sign-in"), http.StatusOK, "the page", `name="remember" type="checkbox"`)
	for name, want := range map[string]bool{"customer": true, "agent": false} {
		res := b.post("/.doorward/sign-in", "username", name, "password", password, "remember", "yes")
		wantStatus(t, res, http.StatusSeeOther, name)
		for _, c := range res.Cookies() {
			if long := c.MaxAge > 47*3600 && c.MaxAge <= 48*3600; c.Name == cookie && long != want {
				t.Errorf("%s: session cookie with Max-Age %d", name, c.MaxAge)
			}
			if c.Name == cookie+"-device" && c.MaxAge != 400*24*3600 {
				t.Errorf("device cookie with Max-Age %d", c.MaxAge)
			}
		}
	}
	if page := body(t, newSite(t, auth.Config{}).browser("192.0.2.1").get("/.doorward/sign-in")); strings.Contains(page, "remember") {
		t.Error("offered where no role allows it")
	}
}

// A page that needs more has a signed-in person prove it, and the session is a new one then (ASVS 7.2.4).
func TestStepUp(t *testing.T) {
	s := newSite(t, demanding("none"))
	b := s.browser("192.0.2.1")
	b.wantSentTo(b.get("/.doorward/step-up?return_to=%2Fadmin&factor=any"), "/.doorward/sign-in?return_to=%2Fadmin", "a stranger")
	b.wantSentTo(b.post("/.doorward/step-up", "return_to", "/admin"), "/.doorward/sign-in?return_to=%2Fadmin", "a stranger")
	b.signIn("agent", "/")
	before := b.jar[cookie]
	b.wantText(b.get("/.doorward/step-up?return_to=//evil.example&factor=other"), http.StatusOK, "the page", `value="/"`, `name="factor" value="any"`)
	b.wantText(b.get("/.doorward/step-up?return_to=%2Fadmin&factor=passkey"), http.StatusOK, "for a passkey", `value="/admin"`, `name="factor" value="passkey"`)
	b.wantSentTo(b.post("/.doorward/step-up", "return_to", "/admin", "factor", "any"), enrolPage, "without any factor")
	b.wantSession("agent", auth.PasswordLevel, "meanwhile")
	page := body(t, b.post(enrolPage, "do", "begin"))
	found := secretPattern.FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("no key on the page:\n%s", page)
	}
	b.wantText(b.post(enrolPage, "do", "confirm", "code", newApp(t, found[1]).code(0)), http.StatusOK, "the app", `href="/admin"`)
	b.wantSession("agent", auth.FactorLevel, "the app")
	if b.jar[cookie] == before {
		t.Error("the session has the token that it had before")
	}
	b.wantSentTo(b.get("/.doorward/step-up?return_to=%2Fadmin&factor=any"), "/admin", "with what is asked for")
	b.wantSentTo(b.post("/.doorward/step-up", "return_to", "/admin"), enrolPage, "the next one up")
	b.wantSentTo(b.post("/.doorward/sign-in/cancel"), "/", "cancel")
	b.wantSession("agent", auth.FactorLevel, "after cancelling")
}

// Who has lost the passkey that the role demands makes a new one with a recovery code. At a step-up the page leads to the
// account, which asks for the password too.
func TestLostPasskey(t *testing.T) {
	s := newSite(t, demanding("passkey"))
	b := s.browser("192.0.2.1")
	b.signIn("agent", "/")
	options, ceremony := b.asked("/.doorward/passkey/enrol-options", `{}`)
	_, _, codes := b.answered("/.doorward/passkey/enrol", ceremony, newDevice(t).create(options), "")
	lost := s.browser("192.0.2.1")
	lost.signIn("agent", "/ticket")
	lost.wantText(lost.get(factorPage), http.StatusOK, "the page", "Recovery code", `name="code"`)
	lost.wantSentTo(lost.post(factorPage, "code", codes[0]), enrolPage, "a recovery code")
	lost.wantSession("", 0, "before the new passkey")
	lost.wantText(lost.get(enrolPage), http.StatusOK, "the page", "Make a passkey")
	options, ceremony = lost.asked("/.doorward/passkey/enrol-options", `{}`)
	if _, to, recovery := lost.answered("/.doorward/passkey/enrol", ceremony, newDevice(t).create(options), ""); to != "/ticket" || len(recovery) != 0 {
		t.Errorf("sent to %q with %d recovery codes, want /ticket and none", to, len(recovery))
	}
	lost.wantSession("agent", auth.PasskeyLevel, "the new passkey")
	if f := s.factors("agent"); len(f.Passkeys) != 2 || f.RecoveryLeft != 9 {
		t.Errorf("%d passkeys and %d codes, want 2 and 9", len(f.Passkeys), f.RecoveryLeft)
	}
}

func TestLostPasskeyAtAStepUp(t *testing.T) {
	s := newSite(t, demanding("none"))
	b := s.browser("192.0.2.1")
	b.signIn("agent", "/")
	b.wantSentTo(b.post("/.doorward/step-up", "return_to", "/admin", "factor", "passkey"), enrolPage, "without any factor")
	options, ceremony := b.asked("/.doorward/passkey/enrol-options", `{}`)
	_, _, codes := b.answered("/.doorward/passkey/enrol", ceremony, newDevice(t).create(options), "")
	lost := s.browser("192.0.2.1")
	lost.signIn("agent", "/")
	lost.wantSentTo(lost.post(factorPage, "code", codes[0]), "/", "a recovery code where any factor will do")
	lost.wantSentTo(lost.post("/.doorward/step-up", "return_to", "/admin", "factor", "passkey"), factorPage, "a step-up")
	page := lost.wantText(lost.get(factorPage), http.StatusOK, "the page", `href="/.doorward/account"`, "Use a passkey")
	if strings.Contains(page, `name="code"`) {
		t.Error("the page asks for a code that would not help")
	}
	wantStatus(t, lost.post(factorPage, "code", codes[1]), http.StatusUnauthorized, "a recovery code all the same")
	if left := s.factors("agent").RecoveryLeft; left != 9 {
		t.Errorf("%d recovery codes left, want 9", left)
	}
}
