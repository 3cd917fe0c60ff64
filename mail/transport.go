package mail

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"github.com/doorward/doorward/store"
)

const (
	// maxReplies bounds what a server may say while it takes one message.
	maxReplies = 1 << 20
	// maxFile bounds what is read of ca_file; password_file is bounded by the length of a line.
	maxFile     = 1 << 20
	maxPassword = 1024
	// quitLimit is how long the goodbye may take: the message's fate is known by then.
	quitLimit = 2 * time.Second
)

// Send hands one message to the server of cfg now, at the only try. Its error is ErrOff, one that says what is wrong
// with the message, or an *Error, which says which step failed and what to do.
func Send(ctx context.Context, cfg Config, m Message) error {
	cfg.SetDefaults()
	if !cfg.Enabled() {
		return ErrOff
	}
	now := time.Now()
	m, err := m.check(now)
	if err != nil {
		return err
	}
	id, err := store.NewID()
	if err != nil {
		return fmt.Errorf("name the message: %w", err)
	}
	e, err := compose(cfg, m, id, now)
	if err != nil {
		return &Error{Step: StepSettings, Err: err, Advice: "check mail.from"}
	}
	if failed := transmit(ctx, cfg, e); failed != nil {
		return failed
	}
	return nil
}

// transmit opens a connection of its own for one message: mail is rare here, and a connection that is kept has
// usually been closed by the server when the next message comes.
//
// The conversation is go-mail's smtp.Client rather than its mail.Client: the latter leaves the connection open when
// the greeting fails, hides the cause of a failure, and takes a lost connection for a final refusal.
func transmit(ctx context.Context, cfg Config, e envelope) *Error {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	secrets, err := readSecrets(cfg)
	if err != nil {
		return fail(ctx, cfg, StepSettings, "read settings", err)
	}
	address := net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port))
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return fail(ctx, cfg, dialStep(err), "connect to "+address, err)
	}
	defer raw.Close()
	// The client knows no context: closing the connection is what ends its waiting.
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	client, failed := open(ctx, cfg, secrets, raw)
	if failed != nil {
		return failed
	}
	if failed := hand(ctx, cfg, client, e); failed != nil {
		goodbye(client, raw)
		return failed
	}
	goodbye(client, raw)
	return nil
}

// goodbye tells the server that we leave. Nothing depends on its answer.
func goodbye(client *smtp.Client, raw net.Conn) {
	if raw.SetDeadline(time.Now().Add(quitLimit)) == nil {
		_ = client.Quit()
	}
}

// open begins the conversation: greeting, TLS and account. When it returns a client, the connection is encrypted, or
// tls is off and the server is this machine.
func open(ctx context.Context, cfg Config, s secrets, raw net.Conn) (*smtp.Client, *Error) {
	var conn net.Conn = &boundedConn{Conn: raw, left: maxReplies}
	address := raw.RemoteAddr().String()
	switch cfg.Encryption {
	case Implicit:
		encrypted := tls.Client(conn, s.tls)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			return nil, fail(ctx, cfg, StepTLS, "encrypt the connection to "+address, err)
		}
		conn = encrypted
	case Off:
		// A name that Validate took for this machine may still be resolved to another one.
		if peer, err := netip.ParseAddrPort(address); err != nil || !peer.Addr().Unmap().IsLoopback() {
			return nil, fail(ctx, cfg, StepTLS, "connect to "+address, errNotLocal)
		}
	}
	client, err := smtp.NewClient(conn, cfg.Host)
	if err != nil {
		return nil, fail(ctx, cfg, StepGreeting, "wait for the greeting of "+address, err)
	}
	client.SkipSMTPUTF8(true)
	if err := client.Hello(helloName(cfg)); err != nil {
		return nil, fail(ctx, cfg, StepGreeting, "greet "+address, err)
	}
	if cfg.Encryption != Implicit && cfg.Encryption != Off {
		if offered, _ := client.Extension("STARTTLS"); !offered {
			return nil, fail(ctx, cfg, StepTLS, "encrypt the connection to "+address, errNoStartTLS)
		}
		if err := client.StartTLS(s.tls); err != nil {
			return nil, fail(ctx, cfg, StepTLS, "encrypt the connection to "+address, err)
		}
	}
	if cfg.Username != "" {
		if err := authenticate(cfg, client, s.password); err != nil {
			return nil, fail(ctx, cfg, StepAuth, "sign in to "+address+" as "+cfg.Username, err)
		}
	}
	return client, nil
}

// authenticate signs in by the first of PLAIN (RFC 4616) and LOGIN that the server offers. Both show the password to
// the server, so the connection must be encrypted to a server whose certificate was verified.
func authenticate(cfg Config, client *smtp.Client, password string) error {
	if state, encrypted := client.TLSConnectionState(); !encrypted || !state.HandshakeComplete {
		return errors.New("the connection is not encrypted, so the password was not sent")
	}
	_, offered := client.Extension("AUTH")
	mechanisms := strings.Fields(strings.ToUpper(offered))
	for _, mechanism := range mechanisms {
		if mechanism == "PLAIN" {
			return client.Auth(smtp.PlainAuth("", cfg.Username, password, cfg.Host, false))
		}
	}
	for _, mechanism := range mechanisms {
		if mechanism == "LOGIN" {
			return client.Auth(smtp.LoginAuth(cfg.Username, password, cfg.Host, false))
		}
	}
	return fmt.Errorf("the server offers neither PLAIN nor LOGIN, only %q", offered)
}

// hand gives the message to the server. It is taken when the server says so after its last line.
func hand(ctx context.Context, cfg Config, client *smtp.Client, e envelope) *Error {
	if err := client.Mail("<" + e.from + ">"); err != nil {
		return fail(ctx, cfg, StepSender, "name the sender "+e.from, err)
	}
	if err := client.Rcpt("<" + e.to + ">"); err != nil {
		return fail(ctx, cfg, StepRecipient, "name the recipient "+e.to, err)
	}
	w, err := client.Data()
	if err != nil {
		return fail(ctx, cfg, StepContent, "begin the message", err)
	}
	if _, err := w.Write(e.bytes); err != nil {
		// Without Close the last line is missing, and the server throws the rest away.
		return fail(ctx, cfg, StepContent, "send the message", err)
	}
	if err := w.Close(); err != nil {
		return fail(ctx, cfg, StepContent, "send the message", err)
	}
	return nil
}

// secrets are what the configuration's files hold.
type secrets struct {
	tls      *tls.Config
	password string
}

func readSecrets(cfg Config) (secrets, error) {
	s := secrets{tls: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cfg.Host}}
	if cfg.ServerName != "" {
		s.tls.ServerName = cfg.ServerName
	}
	if cfg.CAFile != "" {
		text, err := readFile(cfg.CAFile, maxFile)
		if err != nil {
			return secrets{}, err
		}
		s.tls.RootCAs = x509.NewCertPool()
		if !s.tls.RootCAs.AppendCertsFromPEM(text) {
			return secrets{}, fmt.Errorf("%s holds no PEM certificate", cfg.CAFile)
		}
	}
	if cfg.PasswordFile != "" {
		text, err := readFile(cfg.PasswordFile, maxPassword)
		if err != nil {
			return secrets{}, err
		}
		line, _, err := bufio.NewReader(strings.NewReader(string(text))).ReadLine()
		if err != nil || len(line) == 0 {
			return secrets{}, fmt.Errorf("%s holds no password in its first line", cfg.PasswordFile)
		}
		s.password = string(line)
	}
	return s, nil
}

func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return text, err
}

// helloName is what EHLO says (RFC 5321 4.1.1.1 wants a name that can be resolved).
func helloName(cfg Config) string {
	if cfg.Hello != "" {
		return helloForm(cfg.Hello)
	}
	if name, err := os.Hostname(); err == nil && strings.Contains(name, ".") && validHost(name) {
		return name
	}
	from, err := parseMailbox(cfg.From)
	if err != nil {
		return "localhost"
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	return domain
}

// helloForm writes an address as RFC 5321 4.1.3 wants it.
func helloForm(name string) string {
	addr, err := netip.ParseAddr(name)
	switch {
	case err != nil:
		return name
	case addr.Unmap().Is4():
		return "[" + addr.Unmap().String() + "]"
	}
	return "[IPv6:" + addr.String() + "]"
}

// boundedConn ends a conversation in which the other end talks without end.
type boundedConn struct {
	net.Conn
	left int
}

// Read reads at most what is left.
func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooMuch
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
