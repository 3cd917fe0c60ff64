package mailtest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/doorward/doorward/mail"
)

// Options say what kind of server it is. The zero value offers STARTTLS with a certificate for 127.0.0.1 and takes
// mail from everybody.
type Options struct {
	// TLS is mail.StartTLS, mail.Implicit or mail.Off (then STARTTLS is not offered).
	TLS string
	// Name is the name or address in the certificate. Default: 127.0.0.1.
	Name string
	// Username and Password are asked for when Username is set.
	Username, Password string
	// Mechanism is PLAIN or LOGIN. Default: PLAIN.
	Mechanism string
}

// Steps at which a server can be told to misbehave.
const (
	Sender    = "sender"    // MAIL FROM
	Recipient = "recipient" // RCPT TO
	Content   = "content"   // after the message's last line
)

// Codes for Answer that are no replies.
const (
	Drop = -1 // close the connection
	Hang = -2 // never answer
)

// Server is a mail server for one test.
type Server struct {
	// Address is host:port; CAFile holds the authority that signed the certificate, PEM.
	Address string
	CAFile  string
	options Options
	stopped chan struct{}

	mu       sync.Mutex
	messages []Message
	taken    []bool // by Next
	answers  map[string][]int
	commands map[string]int
	sessions int
	signIns  []string
	changed  chan struct{} // closed and replaced when a step is reached or a message arrives
}

// Start starts a server that ends with t.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	if options.TLS == "" {
		options.TLS = mail.StartTLS
	}
	if options.Name == "" {
		options.Name = "127.0.0.1"
	}
	s := &Server{options: options, stopped: make(chan struct{}), answers: make(map[string][]int), commands: make(map[string]int),
		changed: make(chan struct{})}
	certificate, file := newCertificate(t, options.Name)
	s.CAFile = file
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start mail server: %v", err)
	}
	s.Address = l.Addr().String()
	server := smtp.NewServer(smtp.BackendFunc(s.newSession))
	server.Domain = "mail.example.org"
	server.ErrorLog = discard{}
	server.ReadTimeout, server.WriteTimeout = time.Minute, time.Minute
	server.MaxRecipients = 10
	switch options.TLS {
	case mail.StartTLS:
		server.TLSConfig = config
	case mail.Implicit:
		l = tls.NewListener(l, config)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		close(s.stopped) // wakes sessions that hang
		// The server only knows a listener that it has begun to serve, so both are closed.
		for _, err := range []error{server.Close(), l.Close(), <-ended} {
			if err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				t.Errorf("stop mail server: %v", err)
			}
		}
	})
	return s
}

// discard throws the server's own log away: clients that leave in the middle are what some tests are about.
type discard struct{}

// Printf does nothing.
func (discard) Printf(string, ...any) {}

// Println does nothing.
func (discard) Println(...any) {}

// Port is the port of Address.
func (s *Server) Port() int {
	_, port, _ := strings.Cut(s.Address, ":")
	var n int
	_, _ = fmt.Sscan(port, &n)
	return n
}

// Config is a configuration by which mail reaches the server. The password, if there is one, is the caller's to put
// into a file.
func (s *Server) Config() mail.Config {
	cfg := mail.Config{Host: "127.0.0.1", Port: s.Port(), Encryption: s.options.TLS, From: "Doorward <doorward@example.org>", Timeout: 30 * time.Second}
	if s.options.TLS != mail.Off {
		cfg.CAFile = s.CAFile
	}
	cfg.SetDefaults()
	return cfg
}

// Settings is Config as the `mail` section of a configuration file, in one line that ends with a line break.
func (s *Server) Settings() string {
	ca := ""
	if s.options.TLS != mail.Off {
		ca = fmt.Sprintf(", ca_file: %q", s.CAFile)
	}
	return fmt.Sprintf("mail: {host: 127.0.0.1, port: %d, tls: %s%s, from: \"Doorward <doorward@example.org>\"}\n", s.Port(), s.options.TLS, ca)
}

// Answer makes the server answer the next commands of a step with the codes, one each: a reply code such as 451 or
// 550, Drop or Hang; 250 lets one pass.
func (s *Server) Answer(step string, codes ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[step] = append(s.answers[step], codes...)
}

// Commands is how often a step was reached.
func (s *Server) Commands(step string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commands[step]
}

// Sessions is how often a client has greeted the server, before or after TLS. SignIns are the names for which a
// password was sent, right or wrong.
func (s *Server) Sessions() (sessions int, signIns []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions, slices.Clone(s.signIns)
}

// session is one client.
type session struct {
	server  *Server
	conn    *smtp.Conn
	user    string
	message Message
}

func (s *Server) newSession(c *smtp.Conn) (smtp.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions++
	return &session{server: s, conn: c}, nil
}

// act does what Answer has ordered for this command.
func (x *session) act(step string) error {
	s := x.server
	s.mu.Lock()
	s.commands[step]++
	s.wake()
	code := 250
	if queue := s.answers[step]; len(queue) > 0 {
		code, s.answers[step] = queue[0], queue[1:]
	}
	s.mu.Unlock()
	switch code {
	case 250:
		return nil
	case Drop:
		return x.conn.Close()
	case Hang:
		<-s.stopped
		return x.conn.Close()
	}
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 7, 1}, Message: "as the test wants"}
}

// Mail is MAIL FROM.
func (x *session) Mail(from string, _ *smtp.MailOptions) error {
	if x.server.options.Username != "" && x.user == "" {
		return smtp.ErrAuthRequired
	}
	x.message = Message{From: from}
	return x.act(Sender)
}

// Rcpt is RCPT TO.
func (x *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	x.message.Recipients = append(x.message.Recipients, to)
	return x.act(Recipient)
}

// Data is the message.
func (x *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := x.act(Content); err != nil {
		return err
	}
	m, err := Parse(raw)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: err.Error()}
	}
	m.From, m.Recipients, m.Username = x.message.From, x.message.Recipients, x.user
	_, m.TLS = x.conn.TLSConnectionState()
	x.server.add(m)
	return nil
}

// Reset is RSET.
func (x *session) Reset() { x.message = Message{} }

// Logout is the end of the connection.
func (x *session) Logout() error { return nil }

// AuthMechanisms is what EHLO offers.
func (x *session) AuthMechanisms() []string {
	_, encrypted := x.conn.TLSConnectionState()
	if x.server.options.Username == "" || !encrypted {
		return nil
	}
	if x.server.options.Mechanism != "" {
		return []string{x.server.options.Mechanism}
	}
	return []string{sasl.Plain}
}

// Auth begins a sign-in.
func (x *session) Auth(mechanism string) (sasl.Server, error) {
	check := func(username, password string) error {
		s := x.server
		s.mu.Lock()
		s.signIns = append(s.signIns, username)
		s.mu.Unlock()
		if username != s.options.Username || password != s.options.Password {
			return smtp.ErrAuthFailed
		}
		x.user = username
		return nil
	}
	if mechanism == sasl.Login {
		return &login{check: check}, nil
	}
	return sasl.NewPlainServer(func(_, username, password string) error { return check(username, password) }), nil
}

// login is the server's side of LOGIN, which asks for name and password one after the other.
type login struct {
	check    func(username, password string) error
	step     int
	username string
}

// Next takes one answer of the client.
func (l *login) Next(response []byte) (challenge []byte, done bool, err error) {
	l.step++
	switch l.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.username = string(bytes.Clone(response))
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.username, string(response))
}
