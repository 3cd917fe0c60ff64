package sigma

import (
	"encoding/base64"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Caps on what one value can become.
const (
	maxValues       = 10_000 // of one field
	maxAlternatives = 1024   // that one value is expanded to
	maxForms        = 20_000 // that all values of a field are expanded to
	maxValueBytes   = 16 << 10
	maxModifiers    = 8
)

// value is one value of a field on its way through the modifiers.
type value struct {
	line    int
	kind    valueKind
	written string    // as the file has it, without quotes
	number  float64   // of numbers
	truth   bool      // of true and false
	forms   [][]piece // the patterns it has become; any of them is enough
}

type valueKind uint8

const (
	textValue valueKind = iota
	numberValue
	truthValue
	nullValue
)

// chain is the list of modifiers of one field, as they were applied so far.
type chain struct {
	field  string
	done   []string
	kind   atomKind // what the value has become; isText at first
	op     string
	all    bool
	neq    bool
	cased  bool
	flags  string // of the regular expression
	around string // contains, startswith, endswith
}

func (c *chain) has(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(c.done, n) })
}

// apply applies one modifier to all values and says why it cannot.
func (c *chain) apply(name string, values []*value, table map[string][]string) string {
	if c.has(name) {
		return "the modifier " + name + " is written twice"
	}
	if len(c.done) == maxModifiers {
		return "there are too many modifiers"
	}
	message := ""
	switch name {
	case "all":
		c.all = true
	case "neq":
		c.neq = true
	case "cased":
		c.cased = true
	case "contains", "startswith", "endswith":
		message = c.surround(name, values)
	case "i", "m", "s":
		if c.kind != isRegex {
			message = "the modifier " + name + " stands behind re only"
		}
		c.flags += name
	case "re", "cidr", "fieldref", "exists", "lt", "lte", "gt", "gte", "minute", "hour", "day", "week", "month", "year":
		message = c.become(name, values)
	case "windash", "wide", "utf16le", "utf16be", "utf16", "base64", "base64offset", "expand":
		message = c.transform(name, values, table)
	default:
		message = "there is no modifier " + name
	}
	c.done = append(c.done, name)
	return message
}

// surround is contains, startswith and endswith.
func (c *chain) surround(name string, values []*value) string {
	if c.has("contains", "startswith", "endswith") {
		return name + " cannot be joined with " + c.around + "; use one of them"
	}
	c.around = name
	if c.kind == isOtherField {
		return ""
	}
	if c.kind == isRegex {
		return "re is looked for anywhere in the value; write ^ and $ into the expression instead of " + name
	}
	if c.kind != isText {
		return name + " cannot stand behind " + c.done[len(c.done)-1]
	}
	for _, v := range values {
		if v.kind != textValue && v.kind != numberValue {
			return name + " needs texts or numbers as values"
		}
		for i := range v.forms {
			v.forms[i] = between(v.forms[i], name != "startswith", name != "endswith")
		}
	}
	return ""
}

// become is the modifiers that make another question of a value than a comparison of texts.
func (c *chain) become(name string, values []*value) string {
	for _, before := range c.done {
		if before != "all" && before != "neq" && (before != "cased" || name != "fieldref") {
			return name + " takes the value as it is written; it cannot stand behind " + before
		}
	}
	if c.field == "" && name != "re" {
		return name + " needs a field"
	}
	if name == "exists" && (len(c.done) > 0 || len(values) != 1) {
		return "exists stands alone, with one value"
	}
	c.op = name
	for _, v := range values {
		kind, message := asks(name, v)
		if message != "" {
			return message
		}
		c.kind = kind
	}
	return ""
}

// asks is what a modifier asks instead of a comparison of texts, and what is wrong with the value for it.
func asks(name string, v *value) (atomKind, string) {
	switch name {
	case "re":
		if v.kind != textValue && v.kind != numberValue {
			return isRegex, "re needs a text"
		}
		return isRegex, ""
	case "cidr":
		network, err := netip.ParsePrefix(v.written)
		if v.kind != textValue || err != nil {
			return isNetwork, "cidr needs a network such as 192.0.2.0/24 or 2001:db8::/32"
		}
		if network != network.Masked() {
			return isNetwork, "the network " + v.written + " has bits behind its mask; write " + network.Masked().String()
		}
		return isNetwork, ""
	case "fieldref":
		if v.kind != textValue || hasWild(v.forms[0]) || v.written == "" {
			return isOtherField, "fieldref needs the name of a field, without wildcards"
		}
		return isOtherField, ""
	case "exists":
		if v.kind != truthValue {
			return isThere, "exists needs true or false"
		}
		return isThere, ""
	case "lt", "lte", "gt", "gte":
		if v.kind != numberValue {
			return isCompared, name + " needs a number"
		}
		return isCompared, ""
	}
	least, most, _ := partRange(name)
	if v.kind != numberValue || v.number < least || v.number > most || v.number != float64(int(v.number)) {
		return isTimePart, name + " needs a whole number in its range"
	}
	return isTimePart, ""
}

// transform is the modifiers that make other texts of a text.
func (c *chain) transform(name string, values []*value, table map[string][]string) string {
	if c.kind != isText {
		return name + " cannot stand behind " + c.op
	}
	if c.has("base64", "base64offset") {
		return name + " must stand before base64 and base64offset"
	}
	if strings.HasPrefix(name, "utf16") || name == "wide" {
		if c.has("utf16", "utf16le", "utf16be", "wide") {
			return "a value is encoded as UTF-16 once only"
		}
	}
	total := 0
	for _, v := range values {
		if v.kind != textValue {
			return name + " needs texts as values"
		}
		var out [][]piece
		for _, form := range v.forms {
			next, message := transformed(name, form, table)
			if message != "" {
				return message
			}
			if len(out)+len(next) > maxAlternatives {
				return name + " would make too many variants of " + v.written
			}
			out = append(out, next...)
		}
		v.forms = out
		if total += len(out); total > maxForms {
			return name + " would make too many variants of all values"
		}
	}
	return ""
}

func transformed(name string, form []piece, table map[string][]string) ([][]piece, string) {
	switch name {
	case "windash":
		return windash(form)
	case "expand":
		return expand(form, table)
	case "base64", "base64offset":
		if hasWild(form) {
			return nil, name + " cannot encode wildcards; escape them, or put contains behind it"
		}
		text := ""
		for _, p := range form {
			text += p.text
		}
		if text == "" {
			return nil, name + " has nothing to encode"
		}
		if name == "base64" {
			return [][]piece{{{text: base64.StdEncoding.EncodeToString([]byte(text))}}}, ""
		}
		return offsets(text)
	}
	out := make([]piece, 0, len(form))
	for i, p := range form {
		if p.wild == '?' {
			return nil, name + " cannot encode the wildcard ?"
		}
		if p.wild == 0 {
			p.text = encodeUTF16(p.text, name, name == "utf16" && i == 0)
		}
		out = append(out, p)
	}
	return [][]piece{out}, ""
}

// offsets gives the three texts that stand for text inside of longer text in base64, by its place in a group of three
// bytes. The characters at the ends depend on what is around, and are left out.
func offsets(text string) ([][]piece, string) {
	var out [][]piece
	for shift := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat(" ", shift) + text))
		begin := [3]int{0, 2, 3}[shift]
		end := len(encoded)
		if (len(text)+shift)%3 != 0 {
			end-- // its last character holds bits of the next byte
		}
		if begin >= end {
			return nil, "base64offset needs a longer value: nothing of it is the same at every place"
		}
		out = append(out, []piece{{text: encoded[begin:end]}})
	}
	return out, ""
}

func encodeUTF16(s, name string, mark bool) string {
	var out []byte
	put := func(unit uint16) {
		if name == "utf16be" {
			out = append(out, byte(unit>>8), byte(unit))
		} else {
			out = append(out, byte(unit), byte(unit>>8))
		}
	}
	if mark {
		put(0xfeff)
	}
	for _, unit := range utf16.Encode([]rune(s)) {
		put(unit)
	}
	return string(out)
}

// windash makes a variant for each sign that Windows takes for the beginning of an option, wherever such a sign begins a
// word: -a is also /a, but the second sign of -a-b is not an option.
func windash(form []piece) ([][]piece, string) {
	signs := []string{"-", "/", "–", "—", "―"}
	out := [][]piece{nil}
	extend := func(variants ...string) bool {
		if len(out)*len(variants) > maxAlternatives {
			return false
		}
		next := make([][]piece, 0, len(out)*len(variants))
		for _, prefix := range out {
			for _, v := range variants {
				next = append(next, append(slices.Clone(prefix), piece{text: v}))
			}
		}
		out = next
		return true
	}
	const tooMany = "windash would make too many variants; a value may have four options at most"
	for _, p := range form {
		if p.wild != 0 {
			for i := range out {
				out[i] = append(slices.Clone(out[i]), p)
			}
			continue
		}
		rest, before := p.text, rune(0)
		for rest != "" {
			at := optionSign(rest, before)
			if at < 0 {
				extend(rest)
				break
			}
			_, size := utf8.DecodeRuneInString(rest[at:])
			if at > 0 {
				extend(rest[:at])
			}
			if !extend(signs...) {
				return nil, tooMany
			}
			before, _ = utf8.DecodeRuneInString(rest[at:])
			rest = rest[at+size:]
		}
	}
	return out, ""
}

// optionSign is the place of the first sign in s that begins a word; before is what stands in front of s.
func optionSign(s string, before rune) int {
	word := func(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
	for i, r := range s {
		if strings.ContainsRune("-/–—―", r) && !word(before) {
			if next, _ := utf8.DecodeRuneInString(s[i+utf8.RuneLen(r):]); word(next) {
				return i
			}
		}
		before = r
	}
	return -1
}

// expand puts the values of placeholders (%name%) in. A rule with a placeholder that has no values is refused, as the
// specification demands of whoever cannot handle it.
func expand(form []piece, table map[string][]string) ([][]piece, string) {
	place := regexp.MustCompile(`\\%|%\w+%`)
	out := [][]piece{nil}
	add := func(variants ...[]piece) bool {
		if len(out)*len(variants) > maxAlternatives {
			return false
		}
		next := make([][]piece, 0, len(out)*len(variants))
		for _, prefix := range out {
			for _, v := range variants {
				next = append(next, append(slices.Clone(prefix), v...))
			}
		}
		out = next
		return true
	}
	for _, p := range form {
		if p.wild != 0 {
			add([]piece{p})
			continue
		}
		last := 0
		for _, m := range place.FindAllStringIndex(p.text, -1) {
			add([]piece{{text: p.text[last:m[0]]}})
			last = m[1]
			name := strings.Trim(p.text[m[0]:m[1]], "%")
			if name == `\` {
				add([]piece{{text: "%"}})
				continue
			}
			variants := make([][]piece, 0, len(table[name]))
			for _, text := range table[name] {
				variants = append(variants, parsePattern(text))
			}
			if len(variants) == 0 {
				return nil, "the placeholder %" + name + "% has no values here"
			}
			if !add(variants...) {
				return nil, "the placeholder %" + name + "% has too many values"
			}
		}
		add([]piece{{text: p.text[last:]}})
	}
	return out, ""
}
