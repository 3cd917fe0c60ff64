package seclang

import (
	"strconv"
	"strings"

	"github.com/doorward/doorward/seclang/body"
)

// Bounds of what is shown of a document type.
const (
	maxDeclaration  = 2 << 10 // bytes of one declaration
	maxDeclarations = 64
)

// addDoctype shows what the document type of an XML body declares: its values alone do not tell of it, and an entity's text
// comes to stand among the values where it is expanded.
func (t *Transaction) addDoctype(r *body.Result) {
	if !t.site.views {
		return
	}
	left := maxDeclarations
	show := func(text string) bool {
		if left == 0 {
			t.Dropped.Views++
			return false
		}
		left--
		return t.addView(xml, pair{key: "/*", low: "/*", value: text[:min(len(text), maxDeclaration)], view: viewDoctype})
	}
	for _, directive := range r.Directives {
		if !show("<!" + directive) {
			return
		}
		all := declarations(directive)
		// What names a file or another entity comes first: declarations without end must not hide it.
		for _, first := range []bool{true, false} {
			for _, d := range all {
				if d.reaches != first {
					continue
				}
				if !show(d.text) || d.literal != "" && !show(d.literal) {
					return
				}
			}
		}
	}
}

// declaration is an entity that a document type declares.
type declaration struct {
	text    string
	literal string // what it stands for
	reaches bool   // it names a file, or other entities
}

// declarations finds the entities that a document type declares.
func declarations(directive string) []declaration {
	const word = "<!ENTITY"
	var all []declaration
	for {
		at := strings.Index(directive, word)
		if at < 0 {
			return all
		}
		directive = directive[at:]
		var d declaration
		end, quote, start, head := len(word), byte(0), 0, ""
		for ; end < len(directive); end++ {
			c := directive[end]
			if quote == 0 && c == '>' {
				break
			}
			switch {
			case quote == 0 && (c == '"' || c == '\''):
				if quote, start = c, end+1; head == "" {
					head = directive[:end]
				}
			case c == quote:
				quote = 0
				d.literal = directive[start:end]
			}
		}
		d.text = directive[:end]
		d.reaches = strings.Contains(head, "SYSTEM") || strings.Contains(head, "PUBLIC") || strings.Contains(d.literal, "&") || strings.Contains(d.literal, "%")
		d.literal = characterReferences(d.literal)
		all = append(all, d)
		directive = directive[min(end, len(directive)):]
	}
}

// characterReferences replaces &#60; and &#x3c;.
func characterReferences(text string) string {
	if !strings.Contains(text, "&#") {
		return text
	}
	var out strings.Builder
	for {
		at := strings.Index(text, "&#")
		end := -1
		if at >= 0 {
			end = strings.IndexByte(text[at:], ';')
		}
		if end < 0 || end > 12 {
			if at < 0 || end < 0 {
				out.WriteString(text)
				return out.String()
			}
			out.WriteString(text[:at+2])
			text = text[at+2:]
			continue
		}
		digits, base := text[at+2:at+end], 10
		if strings.HasPrefix(digits, "x") {
			digits, base = digits[1:], 16
		}
		out.WriteString(text[:at])
		if n, err := strconv.ParseUint(digits, base, 21); err == nil {
			out.WriteRune(rune(n))
		}
		text = text[at+end+1:]
	}
}
