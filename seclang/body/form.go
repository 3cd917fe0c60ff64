package body

import "strings"

// Query takes a query string apart (ARGS_GET): pairs are separated by &, a name without = has an empty value, empty
// pairs do not count, + is a space, and a % that is no escape stands for itself.
//
// Perl and older parsers of other languages separate pairs at semicolons too. The flag Semicolons says that they would,
// and Loose what they read.
func Query(query string, l Limits) Result { return form(query, false, l) }

// Form takes an application/x-www-form-urlencoded body apart (ARGS_POST), as Query does.
func Form(text string, l Limits) Result { return form(text, false, l) }

// Loose takes a query string or a form apart as Perl does: at & and at semicolons.
func Loose(text string, l Limits) Result { return form(text, true, l) }

func form(text string, loose bool, l Limits) (r Result) {
	most := l.filled().Arguments
	text = r.cut(text, l)
	if strings.IndexByte(text, ';') >= 0 {
		r.Flags |= Semicolons
	}
	for text != "" {
		end := 0
		for end < len(text) && text[end] != '&' && !(loose && text[end] == ';') {
			end++
		}
		pair := text[:end]
		text = text[min(end+1, len(text)):]
		if pair == "" {
			continue
		}
		if len(r.Arguments) == most {
			r.Truncated = true
			return r
		}
		if r.Arguments == nil {
			r.Arguments = make([]Pair, 0, min(most, 1+strings.Count(text, "&")+1))
		}
		name, value, _ := strings.Cut(pair, "=")
		r.Arguments = append(r.Arguments, Pair{r.unescape(name), r.unescape(value)})
	}
	return r
}

// unescape decodes %HH and +, and returns s itself where there is none.
func (r *Result) unescape(s string) string {
	i := 0
	for i < len(s) && s[i] != '%' && s[i] != '+' {
		i++
	}
	if i == len(s) {
		return s
	}
	var out strings.Builder
	out.Grow(len(s))
	out.WriteString(s[:i])
	for ; i < len(s); i++ {
		switch s[i] {
		case '+':
			out.WriteByte(' ')
		case '%':
			c, ok := escaped(s[i:])
			out.WriteByte(c)
			if ok {
				i += 2
			} else {
				r.Flags |= InvalidEscape
			}
		default:
			out.WriteByte(s[i])
		}
	}
	return out.String()
}

// escaped reads the escape at the front of s; where it is none, the result is the % itself.
func escaped(s string) (byte, bool) {
	if len(s) < 3 {
		return '%', false
	}
	high, ok := unhex(s[1])
	low, ok2 := unhex(s[2])
	if !ok || !ok2 {
		return '%', false
	}
	return high<<4 | low, true
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// Cookies takes a Cookie header apart (REQUEST_COOKIES): pairs are separated by semicolons; white space and control
// characters around names and values do not count; nothing is decoded. A value without a name has the empty name,
// because some servers hand it to the application.
func Cookies(header string, l Limits) (r Result) {
	most := l.filled().Arguments
	for header != "" {
		var pair string
		pair, header, _ = strings.Cut(header, ";")
		name, value, _ := strings.Cut(trimControl(pair), "=")
		name, value = trimControl(name), trimControl(value)
		if name == "" && value == "" {
			continue
		}
		if len(r.Arguments) == most {
			r.Truncated = true
			return r
		}
		r.Arguments = append(r.Arguments, Pair{name, value})
	}
	return r
}

func trimControl(s string) string {
	for s != "" && (s[0] <= ' ' || s[0] == 0x7f) {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] <= ' ' || s[len(s)-1] == 0x7f) {
		s = s[:len(s)-1]
	}
	return s
}
