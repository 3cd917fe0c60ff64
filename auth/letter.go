package auth

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/doorward/doorward/mail"
)

//go:embed letter.html
var letterFile embed.FS

// letter is a mail as it is written: a kind, by which the catalogue has its texts (mail.KIND.subject, mail.KIND.text,
// mail.KIND.link), and what is filled in.
type letter struct {
	kind string
	to   Principal
	// variant is what stands behind the key of the text, where a kind has several: .added
	variant string
	host    string
	realm   Realm  // where the link leads; empty: the sites
	facts   string // lines that are no sentence
	path    string // of the link; empty: none
	code    string // to be typed in; empty: none
	until   time.Time
	pairs   []string
}

// written is a letter in its language.
type written struct {
	Language, Subject, Greeting, Text string
	Facts                             []string
	Link, LinkText, Code, Footer      string
}

// send puts the letter into the outbox, in the transaction of what it tells. A full outbox, or an address that no mail can go
// to, is no reason to refuse what the person does: it is logged, and false is returned.
func (a *Auth) send(ctx context.Context, tx *sql.Tx, l letter, now time.Time) (bool, error) {
	w := a.write(l)
	html, err := w.html(a.letters)
	if err != nil {
		return false, fmt.Errorf("write mail %s: %w", l.kind, err)
	}
	err = a.mail.Add(ctx, tx, mail.Message{To: l.to.Email, Subject: w.Subject, Text: w.plain(), HTML: html,
		Kind: strings.ReplaceAll(l.kind, "_", "-"), Expires: l.until, Language: w.Language}, now)
	if errors.Is(err, mail.ErrFull) || errors.Is(err, mail.ErrMessage) {
		a.logStep("a mail is not sent", err)
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("queue mail: %w", err)
	}
	return true, nil
}

func (a *Auth) write(l letter) written {
	lang := a.texts.Match(l.to.Language, "")
	name := l.to.DisplayName
	if name == "" {
		name = l.to.Name
	}
	pairs := append([]string{"host", l.host, "name", name}, l.pairs...)
	text := func(key string) string { return a.texts.Text(lang, key, pairs...) }
	w := written{Language: lang, Subject: text("mail." + l.kind + ".subject"), Greeting: text("mail.greeting"),
		Text: text("mail." + l.kind + ".text" + l.variant), Code: l.code, Footer: text("mail.footer")}
	if l.facts != "" {
		w.Facts = strings.Split(l.facts, "\n")
	}
	if l.path != "" {
		w.Link, w.LinkText = a.linkURL(l.realm, l.host, l.path), text("mail."+l.kind+".link")
	}
	return w
}

// plain is the letter for readers that show no HTML. The link stands on a line of its own, or programs cut it.
func (w written) plain() string {
	parts := []string{w.Greeting, w.Text}
	if len(w.Facts) > 0 {
		parts = append(parts, strings.Join(w.Facts, "\n"))
	}
	if w.Link != "" {
		parts = append(parts, w.LinkText+":\n"+w.Link)
	}
	if w.Code != "" {
		parts = append(parts, w.Code)
	}
	return strings.Join(append(parts, w.Footer), "\n\n") + "\n"
}

func (w written) html(t *template.Template) (string, error) {
	var b strings.Builder
	if err := t.Execute(&b, w); err != nil {
		return "", err
	}
	return b.String(), nil
}
