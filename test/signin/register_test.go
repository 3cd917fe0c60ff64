package signin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/mail/mailtest"
	"github.com/doorward/doorward/test/real"
)

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

// hook is a program that takes text messages.
type hook struct {
	*httptest.Server
	mu       sync.Mutex
	messages []map[string]string
}

func startHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := make(map[string]string)
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Errorf("the hook was given what is no JSON: %v", err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.messages = append(h.messages, m)
	}))
	t.Cleanup(h.Close)
	return h
}

// next waits until so many messages have come, and returns the last.
func (h *hook) next(t *testing.T, n int) (m map[string]string) {
	t.Helper()
	real.Eventually(t, time.Minute, fmt.Sprintf("message %d at the hook", n), func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.messages) >= n {
			m = h.messages[n-1]
		}
		return m != nil
	})
	return m
}

// TestRegistration: a stranger registers with an e-mail address and a phone number, and may do nothing until somebody gives the
// account a role (M-12, M-13). The same number is good for no second account, and the second person is not told.
func TestRegistration(t *testing.T) {
	server, h := mailtest.Start(t, mailtest.Options{}), startHook(t)
	o := startOffice(t, server.Settings(), "notices: {sign_in: \"off\"}\n",
		fmt.Sprintf("registration: {enabled: true, region: DE, sms: {url: %q}}\n", h.URL))
	o.AddUser("anna", "owner")
	const password = "a harbour full of kites"
	begin := func(name, phone string) *real.Page {
		page := o.visitor(t, "/.doorward/sign-in")
		page.Click(`a[href="/.doorward/register"]`)
		page.Fill("#email", name+"@example.org")
		page.Fill("#phone", phone)
		page.Fill("#name", name)
		page.Fill("#new_password", password)
		page.Fill("#repeat_password", password)
		page.Click("main form button[type=submit]")
		wantAt(t, page, o.URL+"/.doorward/register/confirm", "after the form")
		mailed := sixDigits.FindString(server.Next(t, name+"@example.org").Text)
		page.Fill("#code", mailed)
		page.Click("main form button[type=submit]")
		if text := page.Text(); !strings.Contains(text, "text message to +49170") {
			t.Fatalf("after the mailed code:\n%s", text)
		}
		return page
	}
	page := begin("joe", "0170 / 1234567")
	m := h.next(t, 1)
	if m["to"] != "+491701234567" || m["kind"] != "code" {
		t.Fatalf("the hook was given %v", m)
	}
	page.Fill("#code", sixDigits.FindString(m["text"]))
	page.Click("main form button[type=submit]")
	wantAt(t, page, o.URL+"/.doorward/account?done=registered", "after the code of the text message")
	if text := page.Text(); !strings.Contains(text, "give it a role") {
		t.Errorf("the account's page does not say what is lacking:\n%s", text)
	}
	page.Go(o.URL + "/tickets")
	if got := page.Eval(`() => String(document.querySelector('#who') === null)`); got != "true" {
		t.Errorf("an account without a role reaches the application:\n%s", page.Text())
	}
	if list := o.Run("", "user", "list", "--config", o.Config); !regexp.MustCompile(`(?m)^joe +- +enabled +joe@example\.org `).MatchString(list) {
		t.Errorf("the list does not show the account without a role:\n%s", list)
	}
	o.Run("", "user", "roles", "joe", "--set", "user", "--config", o.Config)
	page.Go(o.URL + "/tickets")
	signIn(page, "joe@example.org", password)
	wantWho(t, page, "joe")

	second := begin("jim", "+49 170 1234567")
	if m := h.next(t, 2); m["to"] != "+491701234567" || m["kind"] != "known" || sixDigits.MatchString(m["text"]) {
		t.Errorf("for the known number the hook was given %v", m)
	}
	second.Fill("#code", "123456")
	second.Click("main form button[type=submit]")
	if text := second.Text(); !strings.Contains(text, "The code is not right") {
		t.Errorf("the second person sees:\n%s", text)
	}
}

// TestForgottenPassword: the link in the mail lets the person choose a new password in another browser, where the second factor
// is asked for as ever (ASVS 6.4.3).
func TestForgottenPassword(t *testing.T) {
	server := mailtest.Start(t, mailtest.Options{})
	o := startOffice(t, server.Settings(), "notices: {sign_in: \"off\"}\n")
	o.AddUser("joe", "user", "--email", "joe@example.org")
	o.AddUser("maria", "agent", "--email", "maria@example.org")
	page := o.visitor(t, "/.doorward/sign-in")
	forgot := func(name string) {
		page.Go(o.URL + "/.doorward/sign-in")
		page.Click(`a[href="/.doorward/reset"]`)
		page.Fill("#username", name)
		page.Click("main form button[type=submit]")
		if text := page.Text(); !strings.Contains(text, "If there is such an account, a mail is on its way.") {
			t.Errorf("for %s the page says:\n%s", name, text)
		}
	}
	forgot("nobody")
	for _, c := range []struct{ name, path string }{{"joe", "/"}, {"maria", "/.doorward/sign-in/enrol"}} {
		forgot(c.name)
		m := server.Next(t, c.name+"@example.org")
		links := m.Links()
		if len(links) != 1 || !strings.HasPrefix(links[0], o.URL+"/.doorward/link/reset?c=") {
			t.Fatalf("links in the mail: %v\n%s", links, m.Text)
		}
		other := o.visitor(t, strings.TrimPrefix(links[0], o.URL))
		other.Fill("#new_password", "a harbour full of kites")
		other.Fill("#repeat_password", "a harbour full of kites")
		other.Click("main form button[type=submit]")
		wantAt(t, other, o.URL+c.path, "after "+c.name+"'s new password")
		if m := server.Next(t, c.name+"@example.org"); !strings.Contains(m.Subject, "was changed") {
			t.Errorf("%s is told %q", c.name, m.Subject)
		}
	}
}

// TestInvitation: who was invited completes the account and has its roles.
func TestInvitation(t *testing.T) {
	server := mailtest.Start(t, mailtest.Options{})
	o := startOffice(t, server.Settings(), "notices: {sign_in: \"off\"}\n")
	o.AddUser("anna", "owner")
	out := o.Run("", "user", "invite", "--email", "joe@example.org", "--role", "supervisor", "--name", "joe", "--config", o.Config)
	m := server.Next(t, "joe@example.org")
	links := m.Links()
	if len(links) != 1 || !strings.Contains(out, links[0]) || !strings.HasPrefix(links[0], o.URL+"/.doorward/link/invitation?c=") {
		t.Fatalf("the command says %q, and the mail has %v", out, links)
	}
	page := o.visitor(t, strings.TrimPrefix(links[0], o.URL))
	page.Fill("#new_password", "a harbour full of kites")
	page.Fill("#repeat_password", "a harbour full of kites")
	page.Click("main form button[type=submit]")
	wantAt(t, page, o.URL+"/", "after the form")
	wantWho(t, page, "joe")
	if list := o.Run("", "user", "list", "--config", o.Config); !regexp.MustCompile(`(?m)^joe +supervisor +enabled +joe@example\.org `).MatchString(list) {
		t.Errorf("the list:\n%s", list)
	}
}
