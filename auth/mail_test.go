package auth_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/mail/mailtest"
)

// withMail gives the fixture a mail server and an outbox; nextMail carries what is in it.
func (f *fixture) withMail() *mailtest.Server {
	f.t.Helper()
	server := mailtest.Start(f.t, mailtest.Options{})
	f.outbox = mail.New(server.Config(), mail.Deps{DB: f.db, Log: slog.New(slog.DiscardHandler)})
	f.restart()
	return server
}

// nextMail has the outbox deliver what is due at the fixture's time, and returns the next mail to the person.
func (f *fixture) nextMail(server *mailtest.Server, to string) mailtest.Message {
	f.t.Helper()
	f.deliver()
	return server.Next(f.t, to)
}

func (f *fixture) deliver() {
	f.t.Helper()
	if _, err := f.outbox.Deliver(f.t.Context(), f.now.Add(time.Second)); err != nil {
		f.t.Fatalf("deliver mail: %v", err)
	}
}

// codeIn returns the code of the mail's one link, which must be for the path at the host.
func codeIn(t testing.TB, m mailtest.Message, path string) string {
	t.Helper()
	links := m.Links()
	if len(links) != 1 {
		t.Fatalf("mail %q has the links %v, want one\n%s", m.Subject, links, m.Text)
	}
	code, found := strings.CutPrefix(links[0], "https://"+host+":8443"+path+"?c=")
	if !found {
		t.Fatalf("mail %q links to %s, want %s", m.Subject, links[0], path)
	}
	if !strings.Contains(m.HTML, code) {
		t.Errorf("mail %q: the HTML lacks the link", m.Subject)
	}
	return code
}

// roles sets what roles demand, from the next restart on.
func (f *fixture) roles(roles ...auth.RoleConfig) {
	f.t.Helper()
	f.cfg.Roles = roles
	f.cfg.SetDefaults()
	f.cfg.Validate(func(path, format string, args ...any) { f.t.Fatalf("%s: "+format, append([]any{path}, args...)...) })
	f.restart()
}

// begin signs in as far as the password goes and returns the outcome.
func (f *fixture) begin(at auth.Attempt) auth.Outcome {
	f.t.Helper()
	out, err := f.SignIn(f.t.Context(), at, f.now)
	if err != nil {
		f.t.Fatalf("sign in as %s from %s: %v", at.Login, at.Address, err)
	}
	return out
}

// wantStep fails the test unless the outcome lacks the step; the empty step means a session.
func (f *fixture) wantStep(out auth.Outcome, err error, want auth.Step, when string) {
	f.t.Helper()
	switch {
	case err != nil:
		f.t.Fatalf("%s: %v", when, err)
	case want == "" && out.Session == nil:
		f.t.Fatalf("%s: lacks %q, want a session", when, out.Pending.Step)
	case want != "" && (out.Pending == nil || out.Pending.Step != want || out.Session != nil):
		f.t.Fatalf("%s: %+v, want the step %s", when, out, want)
	}
}
