package seclang

import (
	"strings"

	"github.com/doorward/doorward/seclang/body"
	"github.com/doorward/doorward/seclang/syntax"
)

// Decoded views. An application may decode a value once more than the request's form says: base64 in a cookie, JSON in a
// parameter. What such a value would be is shown to the same rules as one more value of the same name, so that an
// exclusion for the parameter is one for its views. Views are no arguments: nothing counts them, and they have no names.

// Bounds of the views of one transaction.
const (
	viewDepth    = 2         // codings within each other
	maxViews     = 256       // of all values together
	maxViewBytes = 256 << 10 // of their texts together
	maxViewValue = 64 << 10  // bytes of a value that is decoded
	maxLeaves    = 128       // values of one JSON or XML text
	minCoded     = 12        // characters of a value in base64 or hexadecimal digits: below it words are taken for codes
)

// The names of views, as Found.View has them; those of a view of a view stand behind each other: "base64 json".
const (
	viewBase64    = "base64"
	viewBase64URL = "base64url"
	viewHex       = "hex"
	viewURL       = "url"
	viewJSON      = "json"
	viewXML       = "xml"
	viewSemicolon = "semicolon" // the pair that Perl reads between semicolons; its name is the pair's own
	viewDoctype   = "doctype"   // what the document type of an XML body declares
	viewAttribute = "attribute" // of an XML body
	viewQuoted    = "quoted"    // a cookie in quotes with escapes
	viewWide      = "fullwidth" // full-width forms of ASCII characters as those
	viewJoined    = "joined"    // the values of a name that stands several times
	viewEntities  = "entities"  // a text with the entities of HTML in it
	viewOverlong  = "overlong"  // bytes that careless decoders of UTF-8 take for ASCII
	viewGraphQL   = "graphql"   // the texts in a query of GraphQL
	viewHeader    = "header"    // a header line of which nobody knows what it is for
)

// addViews appends the views of the values in a collection, from the one with that index on.
func (t *Transaction) addViews(list, from int) {
	if !t.site.views {
		return
	}
	for i, end := from, len(t.lists[list]); i < end; i++ {
		p := t.lists[list][i]
		t.viewsOf(list, p.key, p.low, p.value, p.view, viewDepth)
	}
}

// viewsOf appends the views of one text, and depth-1 levels of their own.
func (t *Transaction) viewsOf(list int, key, low, text, path string, depth int) {
	if depth == 0 || len(text) < 3 {
		return
	}
	if len(text) > maxViewValue {
		t.Dropped.Views++
		return
	}
	if path != "" {
		path += " "
	}
	add := func(name, value string) bool {
		if !t.addView(list, pair{key: key, low: low, value: value, view: path + name}) {
			return false
		}
		t.viewsOf(list, key, low, value, path+name, depth-1)
		return true
	}
	name, values, more := leaves(text)
	if more {
		t.Dropped.Views++
	}
	if name == "" {
		if values = graphQLTexts(text); values != nil {
			name = viewGraphQL
		}
	}
	for _, value := range values {
		if len(value) >= 3 && value != text && !add(name, value) {
			return
		}
	}
	if name != "" {
		return // the escapes in it are those of its values
	}
	if value, ok := unescapeAgain(text); ok {
		add(viewURL, value)
	}
	if value, ok := unquoteCookie(text); ok && list == cookies {
		add(viewQuoted, value)
	}
	if value, ok := overlong(text); ok {
		add(viewOverlong, value)
	}
	if value, ok := fromEntities(text); ok {
		add(viewEntities, value)
	}
	if value, ok := narrowForms(text); ok {
		add(viewWide, value)
	}
	if value, name := fromBase64(text); name != "" {
		add(name, value)
	}
	if value, ok := fromHex(text); ok {
		add(viewHex, value)
	}
}

// addView appends one view; false means that there is no room left.
func (t *Transaction) addView(list int, p pair) bool {
	if t.views.count >= maxViews || t.views.bytes+len(p.value) > maxViewBytes {
		t.Dropped.Views++
		return false
	}
	t.views.count++
	t.views.bytes += len(p.value)
	t.lists[list] = append(t.lists[list], p)
	return true
}

// viewUse is what the views of a transaction take.
type viewUse struct{ count, bytes int }

// addLoose appends the pairs that are read only where semicolons separate pairs.
func (t *Transaction) addLoose(list int, text string, strict *body.Result) {
	if !t.site.views || !strict.Flags.Has(body.Semicolons) {
		return
	}
	known := make(map[body.Pair]bool, len(strict.Arguments))
	for _, p := range strict.Arguments {
		known[p] = true
	}
	loose := body.Loose(text, t.limits())
	for _, p := range loose.Arguments {
		if !known[p] && !t.addView(list, pair{key: p.Name, low: strings.ToLower(p.Name), value: p.Value, view: viewSemicolon}) {
			return
		}
	}
}

// unescapeAgain decodes the escapes %HH that are still in a decoded value.
func unescapeAgain(text string) (string, bool) {
	at := strings.IndexByte(text, '%')
	if at < 0 {
		return "", false
	}
	var out []byte
	for i := at; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			high, ok := digit(text[i+1])
			low, ok2 := digit(text[i+2])
			if ok && ok2 {
				if out == nil {
					out = append(make([]byte, 0, len(text)), text[:i]...)
				}
				out = append(out, high<<4|low)
				i += 2
				continue
			}
		}
		if out != nil {
			out = append(out, text[i])
		}
	}
	if value, ok := overlong(string(out)); ok {
		return value, true
	}
	return string(out), out != nil && readable(out)
}

func digit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// fromHex decodes hexadecimal digits, after 0x or with \x before each two.
func fromHex(text string) (string, bool) {
	text = strings.TrimSpace(text)
	step := 2
	switch {
	case strings.HasPrefix(text, `\x`):
		step = 4
	case strings.HasPrefix(text, "0x"), strings.HasPrefix(text, "0X"):
		text = text[2:]
	}
	if len(text) < minCoded || len(text)%step != 0 {
		return "", false
	}
	out := make([]byte, 0, 64)
	for i := 0; i < len(text); i += step {
		if step == 4 && text[i:i+2] != `\x` {
			return "", false
		}
		high, ok := digit(text[i+step-2])
		low, ok2 := digit(text[i+step-1])
		if !ok || !ok2 {
			return "", false
		}
		out = append(out, high<<4|low)
	}
	return string(out), readable(out)
}

// leaves are the values in a text that is JSON or XML; more tells that there are others.
func leaves(text string) (name string, values []string, more bool) {
	text = strings.TrimSpace(text)
	if len(text) < 5 {
		return "", nil, false
	}
	limits := body.Limits{Arguments: maxLeaves, Depth: 32, Nodes: maxLeaves}
	switch first, last := text[0], text[len(text)-1]; {
	case first == '{' && last == '}', first == '[' && last == ']':
		r := body.JSON(text, limits)
		if r.Err != nil {
			return "", nil, false
		}
		for _, p := range r.Arguments {
			values = append(values, p.Value)
		}
		return viewJSON, values, r.Truncated
	case first == '<' && last == '>' && !hypertext(text):
		r := body.XML(text, limits)
		if r.Err != nil && !errorIsLimit(r.Err) {
			r = body.DataXML(text, limits)
		}
		if r.Err != nil {
			return "", nil, errorIsLimit(r.Err)
		}
		return viewXML, append(r.Attributes, r.Texts...), false
	}
	return "", nil, false
}

func errorIsLimit(err error) bool { return err == body.ErrNodes || err == body.ErrDepth }

// hypertext tells whether a text begins as what editors of web pages send: it is no data of a program, its texts are prose,
// and the rules know its entities anyway.
func hypertext(text string) bool {
	text = text[1:]
	end := strings.IndexAny(text, " \t\r\n/>")
	if end < 0 {
		return true
	}
	switch strings.ToLower(text[:end]) {
	case "a", "b", "i", "u", "p", "s", "em", "strong", "div", "span", "br", "hr", "ul", "ol", "li", "dl", "h1", "h2", "h3", "h4", "h5", "h6",
		"table", "tbody", "tr", "td", "th", "pre", "code", "blockquote", "img", "font", "center", "html", "body", "!doctype", "!--", "tt", "sub", "sup":
		return !strings.HasPrefix(text, "!DOCTYPE") || !strings.Contains(text, "[")
	}
	return false
}

// readable tells whether decoded bytes are a text: nearly all of them are printable or belong to letters in UTF-8. What is
// left of pictures, keys and hashes is not, and what rules would find in it is chance.
func readable(b []byte) bool {
	const shown = 9 // of 10
	good := 0
	for i := 0; i < len(b); {
		c := b[i]
		n := 1
		switch {
		case c >= ' ' && c < 0x7f, c == '\t', c == '\n', c == '\r':
			good++
		case c >= 0xc2:
			if n = utf8Length(b[i:]); n > 1 {
				good += n
			}
		}
		i += n
	}
	return len(b) > 0 && good*10 >= len(b)*shown
}

// noteViews is called once a query, a body or a cookie header is read.
func (t *Transaction) noteViews(list, from int, text string, r *body.Result) {
	t.addViews(list, from)
	form := list == argsGet || list == argsPost && t.single[syntax.ReqbodyProcessor] == "URLENCODED"
	if form {
		t.addLoose(list, text, r)
	}
	if form && list == argsPost {
		t.addMistyped(text)
	}
	if list != cookies {
		t.addJoined(list)
	}
}
