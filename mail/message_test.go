package mail_test

import (
	"bytes"
	"maps"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/mail/mailtest"
)

// day is the time in tests that are about no time in particular.
var day = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func message(to string) mail.Message {
	return mail.Message{To: to, Subject: "Your sign-in link", Text: "Open https://desk.example.org/.doorward/link?t=abc&x=1 now.\n.\nBye.\n",
		HTML: `<p>Open <a href="https://desk.example.org/.doorward/link?t=abc&amp;x=1">this</a>.</p>`,
		Kind: "sign-in-link", Expires: day.Add(10 * time.Minute), Language: "en"}
}

func sender() mail.Config {
	cfg := mail.Config{Host: "mail.example.org", From: "Zoë's Desk <desk@example.org>", ReplyTo: "staff@example.org"}
	cfg.SetDefaults()
	return cfg
}

func TestMessageAsItIsSent(t *testing.T) {
	m := message("maria@bücher.example")
	m.Subject = "Grüße,  jetzt   anmelden"
	from, to, raw, err := mail.Compose(sender(), m, "0197", day)
	if err != nil {
		t.Fatal(err)
	}
	if from != "desk@example.org" || to != "maria@xn--bcher-kva.example" {
		t.Errorf("envelope is from %s to %s", from, to)
	}
	got, err := mailtest.Parse(raw)
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	if got.Subject != "Grüße, jetzt anmelden" || got.Text != m.Text || got.HTML != m.HTML {
		t.Errorf("got %q, %q, %q", got.Subject, got.Text, got.HTML)
	}
	want := map[string]string{"Auto-Submitted": "auto-generated", "Message-Id": "<0197@example.org>", "Date": "Wed, 25 Nov 2026 12:00:00 +0000",
		"Content-Language": "en", "Mime-Version": "1.0", "To": "<maria@xn--bcher-kva.example>", "Reply-To": "<staff@example.org>"}
	for name, value := range want {
		if got := got.Header.Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	if list, err := got.Header.AddressList("From"); err != nil || len(list) != 1 || list[0].Name != "Zoë's Desk" || list[0].Address != "desk@example.org" {
		t.Errorf("From is %v, %v", list, err)
	}
	if diff := cmp.Diff([]string{"https://desk.example.org/.doorward/link?t=abc&x=1"}, got.Links()); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	for line := range bytes.Lines(raw) {
		if len(line) > 998 || !bytes.HasSuffix(line, []byte("\r\n")) {
			t.Errorf("a line is longer than RFC 5322 allows, or has no CRLF: %q", line)
		}
	}
}

func TestTextAlone(t *testing.T) {
	m := message("maria@example.org")
	m.HTML, m.Language = "", ""
	_, _, raw, err := mail.Compose(sender(), m, "0197", day)
	if err != nil {
		t.Fatal(err)
	}
	got, err := mailtest.Parse(raw)
	if err != nil || got.Text != m.Text || got.HTML != "" || got.Header.Get("Content-Language") != "" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestRecipients(t *testing.T) {
	for _, test := range []struct{ to, want string }{
		{"maria@example.org", "maria@example.org"},
		{"Maria.M+desk@Example.ORG", "Maria.M+desk@example.org"},
		{"root@localhost", "root@localhost"},
		{"o'brien@example.org", "o'brien@example.org"},
		{"maria@例え.テスト", "maria@xn--r8jz45g.xn--zckzah"},
	} {
		if _, got, _, err := mail.Compose(sender(), message(test.to), "1", day); err != nil || got != test.want {
			t.Errorf("%s gave %q, %v; want %q", test.to, got, err, test.want)
		}
	}
	for to, want := range map[string]string{
		"":                                     "is not one e-mail address",
		"maria":                                "is not one e-mail address",
		"a@example.org,b@example.org":          "is not one e-mail address",
		"a@example.org b@example.org":          "is not one e-mail address",
		"Maria <maria@example.org>":            "is not one e-mail address",
		"<maria@example.org>":                  "is not one e-mail address",
		"maria@example.org\r\nBcc: b@c.org":    "is not one e-mail address",
		"maria@example.org\r\nRCPT TO:<b>":     "has no usable domain",
		"maria\n@example.org":                  "is not one e-mail address",
		"maria\x00@example.org":                "is not one e-mail address",
		`"maria m"@example.org`:                "is not one e-mail address",
		"mária@example.org":                    "has letters outside ASCII before the @",
		"maria@[192.0.2.1]":                    "has no usable domain",
		"maria@-example.org":                   "has no usable domain",
		"maria@example..org":                   "has no usable domain",
		"maria@exam_ple.org":                   "has no usable domain",
		"maria@example.org>":                   "has no usable domain",
		".maria@example.org":                   "is not one e-mail address",
		strings.Repeat("m", 65) + "@a.org":     "is not one e-mail address",
		"m@" + strings.Repeat("a.", 130) + "b": "is not one e-mail address",
	} {
		if _, _, _, err := mail.Compose(sender(), message(to), "1", day); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gave %v, want that it %s", to, err, want)
		}
	}
}

func TestMessagesThatCannotBe(t *testing.T) {
	for name, change := range map[string]func(*mail.Message){
		"subject with a header": func(m *mail.Message) { m.Subject = "x\r\nBcc: b@example.org" },
		"subject with NUL":      func(m *mail.Message) { m.Subject = "x\x00" },
		"subject not UTF-8":     func(m *mail.Message) { m.Subject = "x\xff" },
		"subject with U+2028":   func(m *mail.Message) { m.Subject = "x\u2028y" },
		"long subject":          func(m *mail.Message) { m.Subject = strings.Repeat("x", 251) },
		"no subject":            func(m *mail.Message) { m.Subject = "  " },
		"no text":               func(m *mail.Message) { m.Text = "" },
		"text with NUL":         func(m *mail.Message) { m.Text = "x\x00" },
		"HTML not UTF-8":        func(m *mail.Message) { m.HTML = "\xff" },
		"large text":            func(m *mail.Message) { m.Text = strings.Repeat("x", 256<<10+1) },
		"kind with a space":     func(m *mail.Message) { m.Kind = "sign in" },
		"no kind":               func(m *mail.Message) { m.Kind = "" },
		"language with a line":  func(m *mail.Message) { m.Language = "en\r\nX: y" },
		"expired":               func(m *mail.Message) { m.Expires = day },
		"never expires":         func(m *mail.Message) { m.Expires = time.Time{} },
		"expires too late":      func(m *mail.Message) { m.Expires = day.Add(8 * 24 * time.Hour) },
	} {
		m := message("maria@example.org")
		change(&m)
		if _, _, raw, err := mail.Compose(sender(), m, "1", day); err == nil {
			t.Errorf("%s: accepted:\n%s", name, raw)
		}
	}
}

// FuzzMessage: whatever is in a message, its header has the fields that we write and no other, and one recipient.
func FuzzMessage(f *testing.F) {
	f.Add("maria@example.org", "Your link", "text", "<p>text</p>", "Desk")
	f.Add("a@b.org,c@d.org", "x\r\nBcc: c@d.org", "\r\n.\r\nQUIT\r\n", "\r\n--x\r\nContent-Type: x/y\r\n", "a\r\nb")
	f.Add("a@b.org\r\nRCPT TO:<c@d.org>", "=?utf-8?q?a=0D=0ABcc:_c@d.org?=", "From here", "", "=?utf-8?q?=0d=0ax?=")
	f.Add("m@bücher.example", strings.Repeat("x ", 60)+strings.Repeat(" ", 60)+"y", "=", "\r", "<a@b.org>, c")
	f.Add("m@example.org", strings.Repeat("ü", 100), "--\n\x7f", "\n\n\n", `"`)
	fields := []string{"Auto-Submitted", "Content-Language", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}
	f.Fuzz(func(t *testing.T, to, subject, text, html, name string) {
		cfg := sender()
		cfg.ReplyTo = ""
		cfg.From = (&netmail.Address{Name: name, Address: "desk@example.org"}).String()
		m := mail.Message{To: to, Subject: subject, Text: text, HTML: html, Kind: "fuzz", Expires: day.Add(time.Hour), Language: "en"}
		from, recipient, raw, err := mail.Compose(cfg, m, "0197", day)
		if err != nil {
			return
		}
		if strings.ContainsAny(from+recipient, " \r\n<>,;:\"\x00") || strings.Count(recipient, "@") != 1 {
			t.Fatalf("envelope is %q to %q", from, recipient)
		}
		head, _, found := bytes.Cut(raw, []byte("\r\n\r\n"))
		if !found {
			t.Fatalf("the header has no end:\n%q", raw)
		}
		for line := range bytes.SplitSeq(head, []byte("\r\n")) {
			if len(bytes.TrimSpace(line)) == 0 || bytes.ContainsAny(line, "\r\n\x00") || len(line) > 998 {
				t.Fatalf("a line of the header is %q", line)
			}
		}
		got, err := mailtest.Parse(raw)
		if err != nil {
			t.Fatalf("%v:\n%s", err, raw)
		}
		names := slices.DeleteFunc(slices.Sorted(maps.Keys(got.Header)), func(n string) bool { return strings.HasPrefix(n, "Content-T") })
		if diff := cmp.Diff(fields, names); diff != "" {
			t.Fatalf("header fields (-want +got):\n%s\n%s", diff, raw)
		}
		for name, values := range got.Header {
			if len(values) != 1 {
				t.Fatalf("%s stands there %d times:\n%s", name, len(values), raw)
			}
		}
		if got.To != recipient {
			t.Fatalf("To is %q, the envelope's recipient %q", got.To, recipient)
		}
		if strings.ContainsAny(got.Subject, "\r\n") || strings.Join(strings.Fields(got.Subject), " ") != got.Subject {
			t.Fatalf("the subject became %q", got.Subject)
		}
	})
}
