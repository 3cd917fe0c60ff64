package pages

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/doorward/doorward/language"
)

// view is what a template sees: the page's own data, and the words of its language.
type view struct {
	Lang, Site, RequestID string
	Heading               string // of the tab
	Message               string // what went wrong, above everything else
	Notice                string // what was done
	Script                bool   // the page asks the browser for a passkey
	Refresh               int    // seconds until the page asks again; 0: never
	Wide                  bool
	Data                  any
	Passkey               passkeyPart

	texts *language.Catalogue
}

// passkeyPart is the button that asks for a passkey.
type passkeyPart struct {
	Begin, Finish string // endpoints
	Label         string // the button's words
	Account       bool   // on the account's pages
}

// T is the text of a key, filled in from pairs of names and values.
func (v view) T(key string, pairs ...any) string {
	fill := make([]string, len(pairs))
	for i, p := range pairs {
		fill[i] = fmt.Sprint(p)
	}
	return v.texts.Text(v.Lang, key, fill...)
}

// Strong is the text of a key with one value that stands out.
func (v view) Strong(key, name, value string) template.HTML {
	text := html.EscapeString(v.texts.Text(v.Lang, key))
	return template.HTML(strings.ReplaceAll(text, "{"+name+"}", "<strong>"+html.EscapeString(value)+"</strong>"))
}

// Time is a moment in UTC, for people and programs.
func (v view) Time(t time.Time) template.HTML {
	if t.IsZero() {
		return template.HTML(html.EscapeString(v.texts.Text(v.Lang, "page.never")))
	}
	t = t.UTC()
	return template.HTML(`<time datetime="` + t.Format(time.RFC3339) + `">` + t.Format("2006-01-02 15:04 UTC") + `</time>`)
}

// title is what stands above the page.
func (p *Pages) title(v Visitor) string {
	if p.cfg.Title != "" {
		return p.cfg.Title
	}
	return v.Host
}

// show renders a page completely before it answers, so that a defect gives 500 and never half a page.
func (p *Pages) show(x *exchange, status int, name string, v view) error {
	v.Lang, v.texts, v.Site, v.RequestID = x.lang, p.texts, p.title(x.v), x.v.RequestID
	var b bytes.Buffer
	if err := p.templates[name].ExecuteTemplate(&b, "layout.html", v); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	h := x.w.Header()
	if v.Script {
		h.Set("Content-Security-Policy", scriptPolicy)
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", x.lang)
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(b.Bytes()) // an error is the visitor's departure
	}
	return nil
}
