package pages_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
)

const account = "/.doorward/account"

// Every page and action of the account belongs to somebody who is signed in.
func TestAccountOfStrangers(t *testing.T) {
	s := newSite(t, auth.Config{})
	b := s.browser("192.0.2.1")
	const want = "/.doorward/sign-in?return_to=%2F.doorward%2Faccount"
	for _, page := range []string{"", "/confirm", "/passkey", "/app", "/recovery"} {
		b.wantSentTo(b.get(account+page), want, "GET "+page)
	}
	for _, action := range []string{"/confirm", "/password", "/passkey/rename", "/passkey/remove", "/app", "/app/remove", "/recovery",
		"/sessions/end", "/sessions/end-others", "/addresses/forget", "/language"} {
		b.wantSentTo(b.post(account+action, "id", "x"), want, "POST "+action)
		wantStatus(t, b.get(account+action), map[bool]int{true: http.StatusSeeOther, false: http.StatusMethodNotAllowed}[action == "/confirm" || action == "/app" || action == "/recovery"], "GET "+action)
	}
	for _, action := range []string{"confirm-options", "confirm"} {
		wantStatus(t, b.json("/.doorward/passkey/"+action, `{}`), http.StatusOK, action) // told where to sign in
	}
}

func TestAccountPage(t *testing.T) {
	s := newSite(t, demanding("none"))
	b, other := s.browser("192.0.2.1"), s.browser("2001:db8::7")
	other.signIn("agent", "/")
	b.signIn("agent", "/")
	page := b.wantText(b.get(account), http.StatusOK, "the page", ">Sessions</h2>", ">Passkeys</h2>", ">Trusted addresses</h2>", ">Recent activity</h2>",
		">Password</h2>", ">Authenticator app</h2>", ">Recovery codes</h2>", ">Language</h2>", "192.0.2.1", "2001:db8::", "Firefox on Linux", "This one", "<td>Sign-in</td>")
	if n := strings.Count(page, `action="/.doorward/account/sessions/end"`); n != 1 {
		t.Errorf("%d sessions can be ended, want the other one", n)
	}
	if strings.Contains(page, "<script") || strings.Contains(page, b.jar[cookie]) {
		t.Error("the page has a script or the session's token")
	}
	levels := regexp.MustCompile(`<h([1-6])`).FindAllStringSubmatch(page, -1)
	for i, level := range levels {
		if want := map[bool]string{true: "1", false: "2"}[i == 0]; level[1] != want {
			t.Errorf("heading %d is h%s, want h%s", i, level[1], want)
		}
	}
	for _, odd := range []string{"<script>", "", ".", "password.", ".password", "page.done.password", "password%00", "Password", "../error.internal",
		"{n}", "x&done=password", strings.Repeat("password.", 900)} {
		page := body(t, b.get(account+"?done="+odd))
		if strings.Contains(page, "notice") || strings.Contains(page, "page.done") {
			t.Errorf("done=%.40s: a notice of a stranger's words", odd)
		}
	}
	b.wantText(b.get(account+"?done=password"), http.StatusOK, "a notice", `role="status"`, "Your password is changed.")
}

func TestChangePassword(t *testing.T) {
	s := newSite(t, auth.Config{})
	b, other := s.browser("192.0.2.1"), s.browser("192.0.2.2")
	b.signIn("agent", "/")
	other.signIn("agent", "/")
	const next = "a stone in the river"
	b.wantText(b.post(account+"/password", "password", "wrong", "new_password", next, "repeat_password", next), http.StatusUnauthorized, "wrong current one", "The current password is not right.", ">Sessions</h2>")
	b.wantText(b.post(account+"/password", "password", password, "new_password", "short", "repeat_password", "short"), http.StatusUnprocessableEntity, "a short one", "at least 15")
	b.wantText(b.post(account+"/password", "password", password, "new_password", next, "repeat_password", "x"), http.StatusUnprocessableEntity, "not repeated", "not the same")
	other.wantSession("agent", auth.PasswordLevel, "after refusals")
	b.wantSentTo(b.post(account+"/password", "password", password, "new_password", next, "repeat_password", next), account+"?done=password", "a good one")
	b.wantSession("agent", auth.PasswordLevel, "this session")
	other.wantSession("", 0, "the other session")
}

// ASVS 7.5.1, 7.5.2: what changes how a person is recognised needs a fresh proof.
func TestConfirm(t *testing.T) {
	s := newSite(t, demanding("none"))
	app, recovery := s.enrolApp("agent")
	b := s.browser("192.0.2.1")
	b.signIn("agent", "/")
	b.wantSentTo(b.post(factorPage, "code", app.code(0)), "/", "sign-in")
	wantStatus(t, b.get(account+"/app"), http.StatusOK, "just signed in")

	old := s.browser("192.0.2.1")
	s.add("older", auth.User, false)
	old.signInBefore("older", 20*time.Minute)
	confirm := account + "/confirm?next=%2F.doorward%2Faccount"
	for _, action := range []string{"/passkey/remove", "/app/remove", "/sessions/end", "/sessions/end-others"} {
		old.wantSentTo(old.post(account+action, "id", "x"), confirm, action)
	}
	for _, page := range []string{"/passkey", "/app", "/recovery"} {
		old.wantSentTo(old.get(account+page), confirm+"%2F"+page[1:], page)
	}
	old.wantSentTo(old.post(account+"/app", "do", "begin"), confirm+"%2Fapp", "begin an app")
	if res := old.json("/.doorward/passkey/enrol-options", `{"account":true}`); !strings.Contains(body(t, res), confirm) {
		t.Error("a passkey without a proof")
	}
	old.jar[cookie+"-proof"] = b.jar[cookie] // nonsense
	old.wantSentTo(old.get(account+"/app"), confirm+"%2Fapp", "with a made-up proof")
	old.wantText(old.post(account+"/confirm", "password", "wrong", "return_to", account+"/app"), http.StatusUnauthorized, "wrong", "This is not right", `value="/.doorward/account/app"`)
	for given, want := range map[string]string{account + "/app": account + "/app", "/": account, "//evil.example": account, account + "/confirm": account} {
		old.wantSentTo(old.post(account+"/confirm", "password", password, "return_to", given), want, given)
	}
	wantStatus(t, old.get(account+"/app"), http.StatusOK, "after the proof")
	third := s.browser("192.0.2.1")
	third.signInBefore("older", 15*time.Minute)
	third.jar[cookie+"-proof"] = old.jar[cookie+"-proof"]
	third.wantSentTo(third.get(account+"/app"), confirm+"%2Fapp", "the proof of another session")

	// Who has a second factor gives it too.
	b.wantText(b.get(account+"/confirm"), http.StatusOK, "with a factor", `name="code"`)
	wantStatus(t, b.post(account+"/confirm", "password", password), http.StatusUnauthorized, "the password alone")
	b.wantSentTo(b.post(account+"/confirm", "password", password, "code", recovery[0]), account, "with a recovery code")
}

func TestAccountFactors(t *testing.T) {
	s := newSite(t, demanding("any"))
	b := s.browser("192.0.2.1")
	b.signIn("agent", "/")
	found := secretPattern.FindStringSubmatch(body(t, b.post(enrolPage, "do", "begin")))
	b.wantText(b.post(enrolPage, "do", "confirm", "code", newApp(t, found[1]).code(-1)), http.StatusOK, "the app", "I have kept them")

	b.wantText(b.post(account+"/app/remove"), http.StatusConflict, "the last factor", "Set up another second factor first")
	b.wantText(b.post(account+"/recovery"), http.StatusOK, "new codes", `href="/.doorward/account?done=recovery"`)

	d := newDevice(t)
	b.wantText(b.get(account+"/passkey"), http.StatusOK, "the page", `data-account="true"`)
	options, ceremony := b.asked("/.doorward/passkey/enrol-options", `{"account":true}`)
	answer := d.create(options)
	if res, _, _ := b.answered("/.doorward/passkey/enrol", ceremony, answer, `,"account":true,"name":"`+strings.Repeat("x", 65)+`"`); res.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("a long name: %d", res.StatusCode)
	}
	if _, to, recovery := b.answered("/.doorward/passkey/enrol", ceremony, answer, `,"account":true,"name":"key"`); to != account+"?done=passkey_added" || len(recovery) != 0 {
		t.Fatalf("sent to %q with %d codes", to, len(recovery))
	}
	id := s.factors("agent").Passkeys[0].ID
	b.wantSentTo(b.post(account+"/passkey/rename", "id", id, "name", "my <key>"), account+"?done=passkey_renamed", "rename")
	b.wantText(b.get(account), http.StatusOK, "renamed", `>my &lt;key&gt;</strong>`)
	wantStatus(t, b.post(account+"/passkey/rename", "id", id, "name", "a\nb"), http.StatusUnprocessableEntity, "a bad name")
	b.wantSentTo(b.post(account+"/app/remove"), account+"?done=app_removed", "not the last any more")

	// Another person's passkey is not there.
	s.add("other", auth.User, false)
	thief := s.browser("192.0.2.3")
	thief.signIn("other", "/")
	wantStatus(t, thief.post(account+"/passkey/remove", "id", id), http.StatusNotFound, "another's passkey")
	wantStatus(t, thief.post(account+"/passkey/rename", "id", id, "name", "mine"), http.StatusNotFound, "another's passkey")

	// A passkey is a fresh proof too.
	options, ceremony = b.asked("/.doorward/passkey/confirm-options", `{}`)
	if res, to, _ := b.answered("/.doorward/passkey/confirm", ceremony, d.get(options), `,"return_to":"/.doorward/account/app"`); to != account+"/app" {
		t.Errorf("confirmed: %d, sent to %q", res.StatusCode, to)
	}
	if b.jar[cookie+"-proof"] == "" {
		t.Error("no proof in the browser")
	}
	wantStatus(t, b.post(account+"/passkey/remove", "id", id), http.StatusConflict, "the last passkey")
}

func TestAccountSessions(t *testing.T) {
	s := newSite(t, auth.Config{})
	s.add("other", auth.User, false)
	b, second, third, stranger := s.browser("192.0.2.1"), s.browser("192.0.2.2"), s.browser("192.0.2.3"), s.browser("192.0.2.4")
	for _, x := range []*browser{b, second, third} {
		x.signIn("agent", "/")
	}
	stranger.signIn("other", "/")
	id := second.session().ID
	stranger.wantSentTo(stranger.post(account+"/sessions/end", "id", id), account+"?done=session_ended", "another's session")
	second.wantSession("agent", auth.PasswordLevel, "ended by a stranger")
	b.wantSentTo(b.post(account+"/sessions/end", "id", id), account+"?done=session_ended", "one's own")
	second.wantSession("", 0, "ended")
	third.wantSession("agent", auth.PasswordLevel, "not ended")
	b.wantSentTo(b.post(account+"/sessions/end-others"), account+"?done=sessions_ended", "all others")
	third.wantSession("", 0, "all others")
	stranger.wantSession("other", auth.PasswordLevel, "all others of another person")
	b.wantSession("agent", auth.PasswordLevel, "this one")
	b.wantSentTo(b.post(account+"/sessions/end", "id", b.session().ID), "/.doorward/sign-out", "this one")
	b.wantSession("", 0, "this one")
}

func TestAccountAddressesAndLanguage(t *testing.T) {
	s := newSite(t, auth.Config{})
	b := s.browser("192.0.2.1")
	b.signIn("agent", "/")
	for _, network := range []string{"", "x", "198.51.100.0/24", "0.0.0.0/0"} {
		wantStatus(t, b.post(account+"/addresses/forget", "network", network), http.StatusNotFound, network)
	}
	b.wantSentTo(b.post(account+"/addresses/forget", "network", "192.0.2.1/32"), account+"?done=address_forgotten", "a known one")
	known, err := s.auth.KnownAddresses(t.Context(), s.person("agent").ID)
	if err != nil || len(known) != 0 {
		t.Errorf("known %v, %v", known, err)
	}

	wantStatus(t, b.post(account+"/language", "language", "xx"), http.StatusUnprocessableEntity, "an unknown language")
	b.wantSentTo(b.post(account+"/language", "language", "de"), account+"?done=language", "German")
	b.wantText(b.get(account+"?done=language"), http.StatusOK, "German", `<html lang="de">`, ">Sitzungen</h2>", `<option value="de" lang="de" selected>Deutsch`, "Ihre Sprache ist gespeichert.")
	if got := s.person("agent").Language; got != "de" {
		t.Errorf("language %q", got)
	}
	stranger := s.browser("192.0.2.2")
	stranger.accept = "fr, de-AT;q=0.7, en;q=0.3"
	res := stranger.get("/.doorward/sign-in")
	stranger.wantText(res, http.StatusOK, "by the browser", `<html lang="de">`, "Passwort")
	if got := res.Header.Get("Content-Language"); got != "de" {
		t.Errorf("Content-Language %q", got)
	}
	stranger.wantText(stranger.post("/.doorward/sign-in", "username", "agent", "password", "x"), http.StatusUnauthorized, "by the browser", "Der Name oder das Passwort stimmt nicht.")
	b.wantSentTo(b.post(account+"/language", "language", ""), account+"?done=language", "the browser's")
	b.wantText(b.get(account), http.StatusOK, "the browser's", `<html lang="en">`)
}
