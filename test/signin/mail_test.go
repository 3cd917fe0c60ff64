package signin_test

import (
	"strings"
	"testing"

	"github.com/doorward/doorward/mail/mailtest"
)

// TestHeldSignIn: a person's sign-in from a network that is new for them waits until they open the mailed link in the same
// browser (D-13, D-14). Somebody else who opens it sees the details and cannot let it in.
func TestHeldSignIn(t *testing.T) {
	server := mailtest.Start(t, mailtest.Options{})
	o := startOffice(t, server.Settings(), "notices: {sign_in: \"off\"}\n")
	password := o.AddUser("maria", "supervisor", "--email", "maria@example.org")
	page := o.visitor(t, "/tickets?id=7")
	signIn(page, "maria", password)
	wantAt(t, page, o.URL+"/.doorward/sign-in/held", "after the password")
	if text := page.Text(); !strings.Contains(text, "m…@example.org") {
		t.Errorf("the page does not say where the mail went:\n%s", text)
	}
	m := server.Next(t, "maria@example.org")
	links := m.Links()
	if len(links) != 1 || !strings.HasPrefix(links[0], o.URL+"/.doorward/link/release?c=") {
		t.Fatalf("links in the mail: %v\n%s", links, m.Text)
	}
	if !strings.Contains(m.Text, "127.0.0.1") || !strings.Contains(m.Text, "Chrome") {
		t.Errorf("the mail lacks address or browser:\n%s", m.Text)
	}

	other := o.visitor(t, strings.TrimPrefix(links[0], o.URL))
	if text := other.Text(); !strings.Contains(text, "127.0.0.1") || other.Eval(`() => document.querySelectorAll('button[value=release]').length`) != "0" {
		t.Errorf("another browser may let the sign-in in:\n%s", text)
	}
	page.Go(links[0])
	page.Click("button[value=release]")
	wantAt(t, page, o.URL+"/tickets?id=7", "after the release")
	wantWho(t, page, "maria")

	again := o.visitor(t, "/")
	signIn(again, "maria", password)
	wantAt(t, again, o.URL+"/", "from the network that is trusted by now")
}

// TestNotMe: the mail about a sign-in has a link that ends it and makes the password useless, and leads to a new one.
func TestNotMe(t *testing.T) {
	server := mailtest.Start(t, mailtest.Options{})
	o := startOffice(t, server.Settings())
	password := o.AddUser("joe", "user", "--email", "joe@example.org")
	thief := o.visitor(t, "/")
	signIn(thief, "joe", password)
	wantWho(t, thief, "joe")
	m := server.Next(t, "joe@example.org")
	links := m.Links()
	if len(links) != 1 || !strings.HasPrefix(links[0], o.URL+"/.doorward/link/not-me?c=") {
		t.Fatalf("links in the mail: %v\n%s", links, m.Text)
	}
	joe := o.visitor(t, strings.TrimPrefix(links[0], o.URL))
	thief.Go(o.URL + "/still-here")
	wantWho(t, thief, "joe") // opening the link changes nothing
	joe.Click("button.danger")
	if at := joe.URL(); !strings.HasPrefix(at, o.URL+"/.doorward/link/reset?c=") {
		t.Fatalf("after \"this was not me\": at %s\n%s", at, joe.Text())
	}
	thief.Go(o.URL + "/still-here")
	if at := thief.URL(); !strings.HasPrefix(at, o.URL+"/.doorward/sign-in") {
		t.Fatalf("the thief is at %s", at)
	}
	signIn(thief, "joe", password)
	if text := thief.Text(); !strings.Contains(text, "not right") {
		t.Errorf("the thief's password: %s", text)
	}
	const fresh = "a harbour full of kites"
	joe.Fill("#new_password", fresh)
	joe.Fill("#repeat_password", fresh)
	joe.Click("main form button[type=submit]")
	wantWho(t, joe, "joe")
}
