package mail_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/mail/mailtest"
	"github.com/doorward/doorward/porttest"
)

// nowMessage is a message that has not expired for the real clock, by which Send goes.
func nowMessage() mail.Message {
	m := message("maria@example.org")
	m.Expires = time.Now().Add(10 * time.Minute)
	return m
}

// passwordFile writes a password into a file.
func passwordFile(t *testing.T, password string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mail.password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSendOverEachKindOfConnection(t *testing.T) {
	for _, test := range []struct {
		name      string
		options   mailtest.Options
		encrypted bool
	}{
		{"starttls", mailtest.Options{}, true},
		{"implicit", mailtest.Options{TLS: mail.Implicit}, true},
		{"off", mailtest.Options{TLS: mail.Off}, false},
		{"starttls with PLAIN", mailtest.Options{Username: "desk", Password: "geheim: ü"}, true},
		{"implicit with LOGIN", mailtest.Options{TLS: mail.Implicit, Username: "desk", Password: "secret", Mechanism: "LOGIN"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := mailtest.Start(t, test.options)
			cfg := server.Config()
			if test.options.Username != "" {
				cfg.Username, cfg.PasswordFile = test.options.Username, passwordFile(t, test.options.Password)
			}
			if err := mail.Send(t.Context(), cfg, nowMessage()); err != nil {
				t.Fatal(err)
			}
			got := server.Next(t, "maria@example.org")
			if got.TLS != test.encrypted || got.Username != test.options.Username || got.Subject != "Your sign-in link" {
				t.Errorf("got encrypted %t, user %q, subject %q", got.TLS, got.Username, got.Subject)
			}
			if got.From != "doorward@example.org" || !slices.Equal(got.Recipients, []string{"maria@example.org"}) {
				t.Errorf("the envelope is from %s to %q", got.From, got.Recipients)
			}
		})
	}
}

// failing is a way in which nothing can be sent.
type failing struct {
	name    string
	options mailtest.Options
	change  func(t *testing.T, s *mailtest.Server, cfg *mail.Config)
	step    mail.Step
	text    string // in the error
	advice  string // in the advice
	final   bool
}

var failures = []failing{
	{name: "no STARTTLS", options: mailtest.Options{TLS: mail.Off}, step: mail.StepTLS, text: "does not offer STARTTLS, so nothing was sent", advice: "tls: implicit",
		change: func(_ *testing.T, _ *mailtest.Server, cfg *mail.Config) { cfg.Encryption = mail.StartTLS }},
	{name: "no STARTTLS with an account", options: mailtest.Options{TLS: mail.Off}, step: mail.StepTLS, text: "does not offer STARTTLS",
		change: func(t *testing.T, _ *mailtest.Server, cfg *mail.Config) {
			cfg.Encryption, cfg.Username, cfg.PasswordFile = mail.StartTLS, "desk", passwordFile(t, "secret")
		}},
	{name: "wrong name", options: mailtest.Options{Name: "other.example.org"}, step: mail.StepTLS, text: "certificate", advice: "mail.server_name"},
	{name: "wrong name, implicit", options: mailtest.Options{TLS: mail.Implicit, Name: "other.example.org"}, step: mail.StepTLS, text: "certificate", advice: "mail.server_name"},
	{name: "unknown authority", step: mail.StepTLS, text: "unknown authority", advice: "mail.ca_file",
		change: func(_ *testing.T, _ *mailtest.Server, cfg *mail.Config) { cfg.CAFile = "" }},
	{name: "TLS from the first byte where none is", step: mail.StepTLS, text: "does not look like a TLS handshake", advice: "tls: starttls",
		change: func(_ *testing.T, _ *mailtest.Server, cfg *mail.Config) { cfg.Encryption = mail.Implicit }},
	{name: "greeting that never comes", options: mailtest.Options{TLS: mail.Implicit}, step: mail.StepGreeting, text: "did not answer in time", advice: "port 465",
		change: func(_ *testing.T, _ *mailtest.Server, cfg *mail.Config) {
			cfg.Encryption, cfg.Timeout = mail.StartTLS, time.Second
		}},
	{name: "wrong password", options: mailtest.Options{Username: "desk", Password: "right"}, step: mail.StepAuth, text: "535", advice: "mail.password_file",
		change: func(t *testing.T, _ *mailtest.Server, cfg *mail.Config) {
			cfg.Username, cfg.PasswordFile = "desk", passwordFile(t, "wrong")
		}},
	{name: "account wanted", options: mailtest.Options{Username: "desk", Password: "right"}, step: mail.StepSender, text: "Please authenticate", final: true},
	{name: "account not wanted", step: mail.StepAuth, text: "neither PLAIN nor LOGIN",
		change: func(t *testing.T, _ *mailtest.Server, cfg *mail.Config) {
			cfg.Username, cfg.PasswordFile = "desk", passwordFile(t, "secret")
		}},
	{name: "no password file", step: mail.StepSettings, text: "no such file",
		change: func(_ *testing.T, _ *mailtest.Server, cfg *mail.Config) {
			cfg.Username, cfg.PasswordFile = "desk", "/nonexistent"
		}},
	{name: "empty password file", step: mail.StepSettings, text: "holds no password",
		change: func(t *testing.T, _ *mailtest.Server, cfg *mail.Config) {
			cfg.Username, cfg.PasswordFile = "desk", passwordFile(t, "")
		}},
	{name: "nobody listens", step: mail.StepConnect, text: "connection refused", advice: "mail.port",
		change: func(t *testing.T, _ *mailtest.Server, cfg *mail.Config) { cfg.Port = freePort(t) }},
	{name: "no such host", step: mail.StepResolve, text: "no-such-host.invalid", advice: "mail.host",
		change: func(_ *testing.T, _ *mailtest.Server, cfg *mail.Config) { cfg.Host = "no-such-host.invalid" }},
	{name: "sender refused", step: mail.StepSender, text: "553", advice: "mail.from", final: true,
		change: func(_ *testing.T, s *mailtest.Server, _ *mail.Config) { s.Answer(mailtest.Sender, 553) }},
	{name: "recipient refused", step: mail.StepRecipient, text: "550", advice: "check the address", final: true,
		change: func(_ *testing.T, s *mailtest.Server, _ *mail.Config) { s.Answer(mailtest.Recipient, 550) }},
	{name: "recipient later", step: mail.StepRecipient, text: "450",
		change: func(_ *testing.T, s *mailtest.Server, _ *mail.Config) { s.Answer(mailtest.Recipient, 450) }},
	{name: "content refused", step: mail.StepContent, text: "554", final: true,
		change: func(_ *testing.T, s *mailtest.Server, _ *mail.Config) { s.Answer(mailtest.Content, 554) }},
	{name: "hangs after the content", step: mail.StepContent, text: "did not answer in time",
		change: func(_ *testing.T, s *mailtest.Server, cfg *mail.Config) {
			s.Answer(mailtest.Content, mailtest.Hang)
			cfg.Timeout = 5 * time.Second // it is for the steps before, too
		}},
	{name: "closes at the recipient", step: mail.StepRecipient, text: "EOF",
		change: func(_ *testing.T, s *mailtest.Server, _ *mail.Config) { s.Answer(mailtest.Recipient, mailtest.Drop) }},
}

func TestFailuresSayWhichStepAndWhatToDo(t *testing.T) {
	for _, test := range failures {
		t.Run(test.name, func(t *testing.T) {
			server := mailtest.Start(t, test.options)
			cfg := server.Config()
			if test.change != nil {
				test.change(t, server, &cfg)
			}
			err := mail.Send(t.Context(), cfg, nowMessage())
			var failed *mail.Error
			if !errors.As(err, &failed) || failed.Step != test.step || !strings.Contains(err.Error(), test.text) || !strings.Contains(failed.Advice, test.advice) {
				t.Fatalf("got %v (%+v), want step %s with %q and the advice %q", err, failed, test.step, test.text, test.advice)
			}
			if failed.Permanent() != test.final {
				t.Errorf("Permanent is %t, want %t", failed.Permanent(), test.final)
			}
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("the error has several lines: %q", err)
			}
			if n := len(server.Messages()); n != 0 {
				t.Errorf("%d messages arrived, want none", n)
			}
		})
	}
}

// TestNothingIsSaidInPlainText: without TLS a server hears our name and nothing else, whatever it claims.
func TestNothingIsSaidInPlainText(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan []string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			heard <- nil
			return
		}
		defer c.Close()
		heard <- converse(c, "250-mail\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n")
	}()
	cfg := sender()
	cfg.Host, cfg.Port, cfg.Hello = "127.0.0.1", l.Addr().(*net.TCPAddr).Port, "desk.example.org"
	cfg.Username, cfg.PasswordFile = "desk", passwordFile(t, "secret")
	err = mail.Send(t.Context(), cfg, nowMessage())
	if err == nil || !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("got %v, want that STARTTLS is missing", err)
	}
	for _, line := range <-heard {
		if line != "EHLO desk.example.org" && line != "QUIT" {
			t.Errorf("the server heard %q", line)
		}
	}
}

// converse is a server that answers EHLO with the text and everything else with 250, and returns what it heard.
func converse(c net.Conn, ehlo string) (lines []string) {
	c.SetDeadline(time.Now().Add(time.Minute))
	c.Write([]byte("220 mail\r\n"))
	for in := bufio.NewScanner(c); in.Scan(); {
		lines = append(lines, in.Text())
		answer := "250 yes\r\n"
		if strings.HasPrefix(in.Text(), "EHLO") {
			answer = ehlo
		}
		c.Write([]byte(answer))
	}
	return lines
}

// TestTalkativeServer: a server that never ends its reply costs neither memory nor time without end.
func TestTalkativeServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for line := []byte("220-" + strings.Repeat("x", 1000) + "\r\n"); err == nil; {
			_, err = c.Write(line)
		}
	}()
	cfg := sender()
	cfg.Host, cfg.Port = "127.0.0.1", l.Addr().(*net.TCPAddr).Port
	err = mail.Send(t.Context(), cfg, nowMessage())
	if err == nil || !strings.Contains(err.Error(), "more than a mail server has to say") {
		t.Errorf("got %v, want that the server said too much", err)
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	server := mailtest.Start(t, mailtest.Options{})
	server.Answer(mailtest.Sender, mailtest.Hang)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- mail.Send(ctx, server.Config(), nowMessage()) }()
	server.Await(t, mailtest.Sender)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context canceled", err)
	}
}

func TestSendWithoutServer(t *testing.T) {
	if err := mail.Send(t.Context(), mail.Config{}, nowMessage()); !errors.Is(err, mail.ErrOff) {
		t.Errorf("got %v, want ErrOff", err)
	}
}

// freePort is a port on which nobody listens.
func freePort(t *testing.T) int {
	t.Helper()
	port, err := porttest.Free()
	if err != nil {
		t.Fatal(err)
	}
	return port
}
