// Package signin_test has people sign in to a real doorward with a real browser: passkeys, authenticator apps, recovery codes,
// a forced change of the password, and what they do with their own account.
package signin_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-rod/rod"
	"github.com/go-rod/rod/lib/proto"

	"github.com/doorward/doorward/test/real"
)

func TestMain(m *testing.M) {
	code := m.Run()
	real.RemoveProgram()
	os.Exit(code)
}

// office is a doorward whose roles demand different things, before an application that says who is there.
type office struct {
	*real.Doorward
	t       testing.TB
	browser *rod.Browser
}

func startOffice(t *testing.T, more ...string) *office {
	t.Helper()
	real.Require(t, "/usr/bin/chromium")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	application := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "<!doctype html><title>Office</title><p>Hello <b id=who>%s</b> at %s", r.Header.Get("X-Doorward-User"), r.URL.Path)
	})}
	go func() { _ = application.Serve(listener) }()
	t.Cleanup(func() { _ = application.Close() })
	d := real.StartDoorward(t, real.FreePort(t), fmt.Sprintf(`  - hosts: [localhost]
    upstreams: ["http://%s"]
    access:
      - {path: /safe, factor: passkey}
roles:
  - {name: admin, factor: passkey}
  - {name: agent, factor: any}
  - {name: supervisor, staff: true, trusted_addresses: {required: true}}
password_hash: {memory_kib: 8192, time: 1}
%s`, listener.Addr(), strings.Join(more, "")))
	return &office{d, t, real.Browser(t)}
}

// visitor opens a page in a browser profile of its own.
func (o *office) visitor(t *testing.T, path string) *real.Page {
	t.Helper()
	profile, err := o.browser.Incognito()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = profile.Close() })
	return real.Open(t, profile, o.URL+path)
}

func signIn(page *real.Page, name, password string) {
	page.Fill("#username", name)
	page.Fill("#password", password)
	page.Click("button[type=submit]")
}

func wantAt(t *testing.T, page *real.Page, want, when string) {
	t.Helper()
	if got := page.URL(); got != want {
		t.Fatalf("%s: at %s, want %s\n%s", when, got, want, page.Text())
	}
}

func wantWho(t *testing.T, page *real.Page, want string) {
	t.Helper()
	if got := page.Eval(`() => document.querySelector('#who').innerText`); got != want {
		t.Fatalf("the application greets %q, want %q", got, want)
	}
}

// TestPasskey: an administrator, whose role wants a passkey, makes one at the first sign-in, and needs no password after that.
func TestPasskey(t *testing.T) {
	o := startOffice(t)
	password := o.AddUser("anna", "admin")
	page := o.visitor(t, "/report?q=1")
	device := page.AddAuthenticator()
	signIn(page, "anna", password)
	wantAt(t, page, o.URL+"/.doorward/sign-in/enrol", "after the password")
	page.Fill("#name", "my laptop")
	page.Eval(`() => document.querySelector('.passkey button').click()`)
	page.Await("#recovery:not([hidden]) li")
	if got := page.Eval(`() => document.querySelectorAll('#recovery li').length`); got != "10" {
		t.Errorf("%s recovery codes, want 10", got)
	}
	page.Click("#recovery a")
	wantAt(t, page, o.URL+"/report?q=1", "after the passkey was made")
	wantWho(t, page, "anna")

	page.Go(o.URL + "/.doorward/sign-out")
	page.Click("button[type=submit]")
	page.Go(o.URL + "/again")
	page.Click(".passkey button")
	wantAt(t, page, o.URL+"/again", "after the passkey alone")
	wantWho(t, page, "anna")
	page.Go(o.URL + "/.doorward/account")
	for _, want := range []string{"my laptop", "Sessions", "Passkeys", "Trusted addresses", "Recent activity"} {
		if !strings.Contains(page.Text(), want) {
			t.Errorf("the account's page lacks %q:\n%s", want, page.Text())
		}
	}

	// A person who does not agree at the device stays where they are, and reads why.
	page.Go(o.URL + "/.doorward/sign-out")
	page.Click("button[type=submit]")
	page.Go(o.URL + "/.doorward/sign-in")
	if err := (proto.WebAuthnSetUserVerified{AuthenticatorID: device, IsUserVerified: false}).Call(page); err != nil {
		t.Fatal(err)
	}
	page.Eval(`() => document.querySelector('.passkey button').click()`)
	page.Await(".passkey [role=alert]:not([hidden])")
	if got := page.Text(); !strings.Contains(got, "The passkey was not used") {
		t.Errorf("the page does not say why:\n%s", got)
	}
}

// TestApp: an agent sets an authenticator app up at the first sign-in, and signs in with it and with a recovery code.
func TestApp(t *testing.T) {
	o := startOffice(t)
	password := o.AddUser("ben", "agent")
	page := o.visitor(t, "/tickets")
	signIn(page, "ben", password)
	wantAt(t, page, o.URL+"/.doorward/sign-in/enrol", "after the password")
	page.Click("button[name=do]")
	secret := page.Eval(`() => document.querySelector('#secret').innerText`)
	if box := page.Eval(`() => document.querySelector('.qr svg').getBoundingClientRect().width > 100`); box != "true" {
		t.Error("there is no QR code to be seen")
	}
	page.Fill("#code", real.Code(t, secret, -1))
	page.Click("button[value=confirm]")
	recovery := page.Eval(`() => document.querySelector('.codes li').innerText`)
	page.Click("#kept")
	wantAt(t, page, o.URL+"/tickets", "after the app was set up")
	wantWho(t, page, "ben")

	next := o.visitor(t, "/next")
	signIn(next, "ben", password)
	wantAt(t, next, o.URL+"/.doorward/sign-in/factor", "after the password")
	next.Fill("#code", real.Code(t, secret, 0))
	next.Click("button[type=submit]")
	wantAt(t, next, o.URL+"/next", "after the code")
	wantWho(t, next, "ben")

	lost := o.visitor(t, "/lost")
	signIn(lost, "ben", password)
	lost.Fill("#code", strings.ToLower(recovery))
	lost.Click("button[type=submit]")
	wantAt(t, lost, o.URL+"/lost", "after the recovery code")
	again := o.visitor(t, "/lost")
	signIn(again, "ben", password)
	again.Fill("#code", recovery)
	again.Click("button[type=submit]")
	if got := again.Text(); !strings.Contains(got, "The code is not right") {
		t.Errorf("a recovery code is good twice:\n%s", got)
	}

	// What needs a passkey has the person make one, and goes on.
	next.AddAuthenticator()
	next.Go(o.URL + "/safe/box")
	wantAt(t, next, o.URL+"/.doorward/step-up?return_to=%2Fsafe%2Fbox&factor=passkey", "a page that needs a passkey")
	next.Click("button[type=submit]")
	next.Click(".passkey button")
	wantAt(t, next, o.URL+"/safe/box", "after the passkey")
}

// TestForcedChange: a password that an administrator chose is changed before anything else.
func TestForcedChange(t *testing.T) {
	o := startOffice(t)
	password := o.AddUser("cleo", "user", "--must-change")
	page := o.visitor(t, "/")
	signIn(page, "cleo", password)
	wantAt(t, page, o.URL+"/.doorward/sign-in/password", "after the password")
	for _, text := range []string{"short", password} {
		page.Fill("#new_password", text)
		page.Fill("#repeat_password", text)
		page.Click("button[type=submit]")
		page.Await("[role=alert]")
		wantAt(t, page, o.URL+"/.doorward/sign-in/password", "a password that is not good")
	}
	page.Fill("#new_password", "seven green lamps in the hall")
	page.Fill("#repeat_password", "seven green lamps in the hall")
	page.Click("button[type=submit]")
	wantAt(t, page, o.URL+"/", "after the change")
	wantWho(t, page, "cleo")
}

// TestAccount: a person ends a session elsewhere and chooses their language.
func TestAccount(t *testing.T) {
	o := startOffice(t)
	password := o.AddUser("dora", "user")
	here, elsewhere := o.visitor(t, "/"), o.visitor(t, "/")
	signIn(here, "dora", password)
	signIn(elsewhere, "dora", password)
	wantWho(t, elsewhere, "dora")
	here.Go(o.URL + "/.doorward/account")
	here.Click(`form[action="/.doorward/account/sessions/end"] button`)
	wantAt(t, here, o.URL+"/.doorward/account?done=session_ended", "after the session was ended")
	elsewhere.Go(o.URL + "/")
	if got := elsewhere.URL(); !strings.HasPrefix(got, o.URL+"/.doorward/sign-in") {
		t.Errorf("the ended session is at %s, want the sign-in page", got)
	}
	here.Eval(`() => { document.querySelector('#language').value = 'de' }`)
	here.Click(`form[action="/.doorward/account/language"] button`)
	if got := here.Text(); !strings.Contains(got, "Ihre Sprache ist gespeichert.") || here.Eval(`() => document.documentElement.lang`) != "de" {
		t.Errorf("the page is not in German:\n%s", got)
	}
	if got := here.Eval(`() => document.documentElement.scrollWidth > document.documentElement.clientWidth`); got != "false" {
		t.Error("the page is wider than the window")
	}
}
