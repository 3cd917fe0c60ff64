package mailtest

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Message is a mail that arrived.
type Message struct {
	From       string   // of the envelope
	Recipients []string // of the envelope
	To         string   // the address in the header
	Subject    string   // decoded
	Text, HTML string   // decoded; HTML is empty when there is no such part
	Header     netmail.Header
	Raw        []byte // header and body as they came
	TLS        bool   // the connection was encrypted
	Username   string // who signed in to send it
}

// link matches a web address up to where a text or an attribute ends it.
var link = regexp.MustCompile(`https?://[^\s"'<>]+`)

// Links are the web addresses in the text and the HTML, each once, in the order in which they come.
func (m Message) Links() []string {
	var list []string
	for _, found := range append(link.FindAllString(m.Text, -1), link.FindAllString(m.HTML, -1)...) {
		found = strings.TrimRight(html.UnescapeString(found), ".,;)")
		if !slices.Contains(list, found) {
			list = append(list, found)
		}
	}
	return list
}

// Parse takes a mail apart: a text alone, or multipart/alternative of a text and HTML.
func Parse(raw []byte) (Message, error) {
	parsed, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Message{}, fmt.Errorf("read header: %w", err)
	}
	m := Message{Header: parsed.Header, Raw: raw}
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject")); err != nil {
		return Message{}, fmt.Errorf("read subject: %w", err)
	}
	to, err := parsed.Header.AddressList("To")
	if err != nil || len(to) != 1 {
		return Message{}, fmt.Errorf("header names %d recipients: %w", len(to), err)
	}
	m.To = to[0].Address
	kind, params, err := mime.ParseMediaType(parsed.Header.Get("Content-Type"))
	if err != nil {
		return Message{}, fmt.Errorf("read content type: %w", err)
	}
	if kind != "multipart/alternative" {
		return m, m.addPart(kind, parsed.Header.Get("Content-Transfer-Encoding"), parsed.Body)
	}
	parts := multipart.NewReader(parsed.Body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err != nil {
			return Message{}, fmt.Errorf("read part: %w", err)
		}
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil {
			return Message{}, fmt.Errorf("read content type: %w", err)
		}
		if err := m.addPart(kind, part.Header.Get("Content-Transfer-Encoding"), part); err != nil {
			return Message{}, err
		}
	}
}

func (m *Message) addPart(kind, encoding string, r io.Reader) error {
	if encoding != "quoted-printable" {
		return fmt.Errorf("a part is encoded as %q", encoding)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(r))
	if err != nil {
		return fmt.Errorf("read %s: %w", kind, err)
	}
	text := strings.ReplaceAll(string(body), "\r\n", "\n")
	switch {
	case kind == "text/plain" && m.Text == "":
		m.Text = text
	case kind == "text/html" && m.HTML == "":
		m.HTML = text
	default:
		return fmt.Errorf("a part of type %s was not expected", kind)
	}
	return nil
}

func (s *Server) add(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
	s.taken = append(s.taken, false)
	s.wake()
}

// wake tells Next and Await to look again; mu is held.
func (s *Server) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Messages are all messages so far, in the order in which they arrived.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Next waits for a message to the address that no earlier call has returned, and returns it. t fails if none comes
// within a minute.
func (s *Server) Next(t testing.TB, to string) Message {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		m, changed, found := s.take(to)
		if found {
			return m
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("no mail to %s arrived; %d to others did", to, len(s.Messages()))
		}
	}
}

// Await waits until a step was reached. t fails if that takes longer than a minute; it is called by the test's goroutine.
func (s *Server) Await(t testing.TB, step string) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		s.mu.Lock()
		reached, changed := s.commands[step] > 0, s.changed
		s.mu.Unlock()
		if reached {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("the step %s was not reached", step)
		}
	}
}

func (s *Server) take(to string) (m Message, changed <-chan struct{}, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range s.messages {
		if !s.taken[i] && strings.EqualFold(m.To, to) {
			s.taken[i] = true
			return m, nil, true
		}
	}
	return Message{}, s.changed, false
}
