package seclang

import (
	"strings"
	"unicode/utf8"
)

// addMistyped shows the values of a form's body that is JSON or XML: some applications never look at the Content-Type.
func (t *Transaction) addMistyped(text string) {
	if !t.site.views || len(text) > maxViewValue {
		return
	}
	name, values, more := leaves(text)
	if more {
		t.Dropped.Views++
	}
	for _, value := range values {
		if len(value) < 3 {
			continue
		}
		if !t.addView(argsPost, pair{key: "", value: value, view: name}) {
			return
		}
		t.viewsOf(argsPost, "", "", value, name, viewDepth-1)
	}
}

// addJoined shows the values of a name that stands several times joined with commas, as some servers hand them to the
// application: an attack may stand in pieces.
func (t *Transaction) addJoined(list int) {
	const few = 16 // names that are compared with each other; of more a map is made
	if !t.site.views {
		return
	}
	end := 0
	for end < len(t.lists[list]) && t.lists[list][end].view == "" {
		end++
	}
	if end < 2 {
		return
	}
	var groups map[string][]int
	if end > few {
		groups = make(map[string][]int, end)
		for i := range end {
			name := t.lists[list][i].low
			groups[name] = append(groups[name], i)
		}
		if len(groups) == end {
			return
		}
	}
	for i := range end {
		name := t.lists[list][i].low
		same := groups[name]
		if groups == nil {
			same = sameNames(t.lists[list][:end], name)
		}
		if len(same) > 1 && same[0] == i && !t.join(list, same) {
			return
		}
	}
}

// sameNames are the places of a name; nil where it stands once.
func sameNames(pairs []pair, name string) []int {
	first, all := -1, []int(nil)
	for i := range pairs {
		switch {
		case pairs[i].low != name:
		case first < 0:
			first = i
		case all == nil:
			all = []int{first, i}
		default:
			all = append(all, i)
		}
	}
	return all
}

// join adds the values of the pairs as one; false means that there is no room left.
func (t *Transaction) join(list int, same []int) bool {
	var all strings.Builder
	words := true
	p := t.lists[list][same[0]]
	for n, i := range same {
		value := t.lists[list][i].value
		if all.Len()+len(value) > maxViewValue {
			t.Dropped.Views++
			return true
		}
		if n > 0 {
			all.WriteByte(',')
		}
		words = words && isWord(value)
		all.WriteString(value)
	}
	if words {
		return true // lists of numbers and names are nothing else when they are joined
	}
	return t.addView(list, pair{key: p.key, low: p.low, value: all.String(), view: viewJoined})
}

func isWord(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80) {
			return false
		}
	}
	return true
}

// unquoteCookie reads a cookie's value in quotes as RFC 2109 and Python's http.cookies do: \ and three octal digits are a
// byte, \ and anything else is that.
func unquoteCookie(text string) (string, bool) {
	if len(text) < 4 || text[0] != '"' || text[len(text)-1] != '"' || strings.IndexByte(text, '\\') < 0 {
		return "", false
	}
	text = text[1 : len(text)-1]
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			out = append(out, text[i])
			continue
		}
		if i+3 < len(text) && text[i+1] >= '0' && text[i+1] <= '3' && octal(text[i+2]) && octal(text[i+3]) {
			out = append(out, (text[i+1]-'0')<<6|(text[i+2]-'0')<<3|(text[i+3]-'0'))
			i += 3
			continue
		}
		i++
		out = append(out, text[i])
	}
	return string(out), true
}

func octal(c byte) bool { return c >= '0' && c <= '7' }

// narrowForms replaces the full-width and small forms of ASCII characters, digits in circles, and the letter that is an apostrophe: databases,
// file systems and normalisations make those of them (Unicode's NFKC, Windows' best fit).
func narrowForms(text string) (string, bool) {
	if strings.IndexByte(text, 0xef) < 0 && strings.IndexByte(text, 0xca) < 0 && !strings.Contains(text, "\xe2\x91") && !strings.Contains(text, "\xe2\x93") {
		return "", false
	}
	changed := false
	value := strings.Map(func(r rune) rune {
		n := narrowForm(r)
		changed = changed || n < utf8.RuneSelf && n != r
		return n
	}, text)
	return value, changed
}

func narrowForm(r rune) rune {
	const small = "\ufe64<\ufe65>\ufe68\\\ufe5b{\ufe5c}\ufe59(\ufe5a)\ufe54;\ufe55:\ufe60&\ufe61*\ufe66=\ufe69$\ufe6a%\ufe52.\ufe50,\ufe5f#\ufe62+\ufe63-\ufe6b@"
	switch {
	case r >= 0xff01 && r <= 0xff5e:
		return r - 0xfee0
	case r >= 0x2460 && r <= 0x2468: // digits in circles
		return r - 0x2460 + '1'
	case r == 0x24ea:
		return '0'
	case r == 0x2bc, r == 0x2b9:
		return '\''
	case r >= 0xfe50 && r <= 0xfe6b:
		if i := strings.IndexRune(small, r); i >= 0 {
			return rune(small[i+3])
		}
	}
	return r
}
