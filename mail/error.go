package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strings"
)

// Errors that callers decide on.
var (
	// ErrOff means that no mail server is configured.
	ErrOff = errors.New("no mail server is configured")
	// ErrFull means that too many messages wait already, for this recipient or altogether.
	ErrFull = errors.New("too many messages are waiting")
)

// Step is a part of handing a message to the server, in the order in which they happen.
type Step string

// The steps.
const (
	StepSettings  Step = "settings"  // reading the files that the configuration names
	StepResolve   Step = "resolve"   // finding the server's address
	StepConnect   Step = "connect"   // reaching it
	StepGreeting  Step = "greeting"  // being answered as a mail server answers
	StepTLS       Step = "tls"       // encryption and the server's certificate
	StepAuth      Step = "auth"      // account and password
	StepSender    Step = "sender"    // MAIL FROM
	StepRecipient Step = "recipient" // RCPT TO
	StepContent   Step = "content"   // the message itself
)

// Error says at which step a message was not handed over.
type Error struct {
	Step Step
	// Code is the server's reply code (RFC 5321 4.2), 0 if it gave none.
	Code int
	Err  error
	// Advice is what to do about it, for whoever runs Doorward.
	Advice string
}

// Error says what was done and what came of it, in one line. A reply of the server is part of it.
func (e *Error) Error() string {
	return string(e.Step) + ": " + oneLine(e.Err.Error())
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Permanent tells that the server will never take this message: a reply of 5yz to its sender, its recipient or its
// content. Before that a reply is about us, and whoever runs Doorward can mend it while the message waits.
func (e *Error) Permanent() bool { return e.Code/100 == 5 && e.aboutMessage() }

// aboutMessage tells that the server answered about this one message, so that others may fare better.
func (e *Error) aboutMessage() bool {
	return e.Code != 0 && (e.Step == StepSender || e.Step == StepRecipient || e.Step == StepContent)
}

// fail makes the *Error of a step. ctx is that of the try: when it is over, that is the reason.
func fail(ctx context.Context, cfg Config, step Step, what string, err error) *Error {
	e := &Error{Step: step}
	var reply *textproto.Error
	switch {
	case errors.As(err, &reply):
		e.Code = reply.Code
		err = fmt.Errorf("the server answers %d %s", reply.Code, reply.Msg)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = errors.New("the server did not answer in time")
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	e.Err = fmt.Errorf("%s: %w", what, err)
	e.Advice = advice(cfg, e)
	return e
}

// advice is what helps most often at the step.
func advice(cfg Config, e *Error) string {
	switch e.Step {
	case StepSettings:
		return "doorward check tells what is wrong with the files; the command must run as a user who may read them"
	case StepResolve:
		return "check mail.host, and that this machine's resolver works"
	case StepConnect:
		return fmt.Sprintf("check mail.host and mail.port, that the server listens on port %d, and that no firewall stands between", cfg.Port)
	case StepGreeting:
		return "check mail.port and mail.tls: port 465 is usually tls: implicit, ports 587 and 25 are tls: starttls"
	case StepTLS:
		return tlsAdvice(cfg, e.Err)
	case StepAuth:
		return "check mail.username and the file of mail.password_file; some providers want a password made for this program"
	case StepSender:
		return "mail.from must be an address that this account may send from"
	case StepRecipient:
		return "check the address; a server that relays for nobody also needs mail.username"
	}
	return "the server's reply says why"
}

func tlsAdvice(cfg Config, err error) string {
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &name):
		return "set mail.host, or mail.server_name, to a name in the certificate"
	case errors.As(err, &authority):
		return "set mail.ca_file to the authority that signed the server's certificate"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the server needs a new certificate; check this machine's clock too"
	case errors.As(err, &record):
		return "the server does not speak TLS there: ports 587 and 25 are usually tls: starttls"
	case errors.Is(err, errNoStartTLS):
		return "use a port on which the server offers STARTTLS (587), or tls: implicit (465); Doorward never sends in plain text to another machine"
	}
	return fmt.Sprintf("check that %s offers TLS 1.2 or newer on port %d", cfg.Host, cfg.Port)
}

var (
	errNoStartTLS = errors.New("the server does not offer STARTTLS, so nothing was sent")
	errNotLocal   = errors.New("tls is off and the server is not on this machine, so nothing was sent")
	errTooMuch    = errors.New("the server sent more than a mail server has to say")
)

// dialStep tells finding the address from reaching it.
func dialStep(err error) Step {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return StepResolve
	}
	return StepConnect
}

// maxLine bounds what is kept of a reply.
const maxLine = 300

// oneLine makes a text that another machine wrote fit for a log line and a table: one line, nothing invisible.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return '?'
		}
		return r
	}, s)
	if len(s) > maxLine {
		s = strings.ToValidUTF8(s[:maxLine], "")
	}
	return s
}
