package mail

import (
	"bytes"
	"errors"
	"fmt"
	netmail "net/mail"
	"strings"
	"time"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"
)

// Message is one mail to one person.
type Message struct {
	// To is one bare address (local@domain). Its domain may be written in any script; the part before the @ is ASCII.
	To string
	// Subject is one line of at most 250 bytes.
	Subject string
	// Text is the body for every reader; HTML is the same for those that show it, or empty. Each has at most 256 KiB.
	Text, HTML string
	// Kind says what it is about in a constant word ("sign-in-link"); it is kept after the message is gone.
	Kind string
	// Expires is when the message is of no use any more: it is not tried after that. At most seven days ahead.
	Expires time.Time
	// Language is the language of the texts (RFC 5646: "en", "de"), or empty.
	Language string
}

const (
	maxBody   = 256 << 10
	maxExpiry = 7 * 24 * time.Hour
)

// check judges the message and returns it in the form in which it is stored and sent.
func (m Message) check(now time.Time) (Message, error) {
	var err error
	if m.To, err = parseAddress(m.To); err != nil {
		return Message{}, fmt.Errorf("the recipient %w", err)
	}
	if m.Subject, err = headerText(m.Subject); err != nil {
		return Message{}, fmt.Errorf("the subject %w", err)
	}
	if m.Subject == "" || m.Text == "" {
		return Message{}, errors.New("a message needs a subject and a text")
	}
	for name, body := range map[string]string{"text": m.Text, "HTML": m.HTML} {
		if len(body) > maxBody || !utf8.ValidString(body) || strings.ContainsRune(body, 0) {
			return Message{}, fmt.Errorf("the %s is longer than %d bytes, or not UTF-8 without NUL", name, maxBody)
		}
	}
	if !isWord(m.Kind, "abcdefghijklmnopqrstuvwxyz0123456789-") {
		return Message{}, errors.New("the kind is not a word of lower-case letters, digits and hyphens")
	}
	if m.Language != "" && !isWord(m.Language, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") {
		return Message{}, errors.New("the language is not a tag such as en or de-AT")
	}
	if !m.Expires.After(now) || m.Expires.Sub(now) > maxExpiry {
		return Message{}, fmt.Errorf("the message has to expire within %v", maxExpiry)
	}
	return m, nil
}

func isWord(s, letters string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, letters) == ""
}

// envelope is a message as a mail server takes it.
type envelope struct {
	from, to string // bare addresses
	bytes    []byte // header and body with CRLF
}

// compose builds the mail. m has gone through check. id names it in Message-ID, and is the same at each try, so that
// whoever gets it twice can tell; date is when it was written.
func compose(cfg Config, m Message, id string, date time.Time) (envelope, error) {
	from, err := parseMailbox(cfg.From)
	if err != nil {
		return envelope{}, fmt.Errorf("the sender: %w", err)
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	mail := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithEncoding(gomail.EncodingQP), gomail.WithCharset(gomail.CharsetUTF8))
	mail.FromMailAddress(&from)
	mail.ToMailAddress(&netmail.Address{Address: m.To})
	if cfg.ReplyTo != "" {
		reply, err := parseMailbox(cfg.ReplyTo)
		if err != nil {
			return envelope{}, fmt.Errorf("reply_to: %w", err)
		}
		mail.ReplyToMailAddress(&reply)
	}
	mail.Subject(m.Subject)
	mail.SetDateWithValue(date.UTC())
	mail.SetMessageIDWithValue(id + "@" + domain)
	// No out-of-office answer to a machine (RFC 3834 5).
	mail.SetGenHeader("Auto-Submitted", "auto-generated")
	if m.Language != "" {
		mail.SetGenHeader("Content-Language", m.Language)
	}
	mail.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		mail.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	var b bytes.Buffer
	if _, err := mail.WriteTo(&b); err != nil {
		return envelope{}, fmt.Errorf("write message: %w", err)
	}
	return envelope{from: from.Address, to: m.To, bytes: b.Bytes()}, nil
}
