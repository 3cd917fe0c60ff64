package fail2ban

import "strings"

// What fail2ban looks for in the text of a date's expression, to know whether it is bound already. It knows the text
// and no syntax, so brackets in a set count too.

// inlineFlags returns the length of "(?letters)" at the start of s, 0 if there is none. Only small letters count if
// small is true, else all characters of a word.
func inlineFlags(s string, small bool) int {
	if !strings.HasPrefix(s, "(?") {
		return 0
	}
	for i := 2; i < len(s); i++ {
		c := s[i]
		switch {
		case c == ')' && i > 2:
			return i + 1
		case c >= 'a' && c <= 'z':
		case !small && (c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'):
		default:
			return 0
		}
	}
	return 0
}

// cutGlobalFlags takes the first "(?flags)" out, wherever it stands.
func cutGlobalFlags(expr string) (rest, flags string) {
	for i := range len(expr) {
		if n := inlineFlags(expr[i:], true); n > 0 {
			return expr[:i] + expr[i+n:], expr[i : i+n]
		}
	}
	return expr, ""
}

// opened returns s without the parentheses at its start, each of which may also stay: all rests that are possible.
func opened(s string) []string {
	all := []string{s}
	for strings.HasPrefix(s, "(") {
		s = s[1:]
		all = append(all, s)
	}
	return all
}

// withoutFlags returns s, and s without flags at its start if there are any.
func withoutFlags(s string) []string {
	if n := inlineFlags(s, false); n > 0 {
		return []string{s, s[n:]}
	}
	return []string{s}
}

// bindsBegin says whether an expression begins with ^ or **, maybe in parentheses.
func bindsBegin(expr string) bool {
	for _, s := range opened(expr) {
		for _, s := range withoutFlags(s) {
			if strings.HasPrefix(s, "^") || strings.HasPrefix(s, "(^") || strings.HasPrefix(s, "(?:^") {
				return true
			}
			if strings.HasPrefix(strings.TrimLeft(s, "("), "**") {
				return true
			}
		}
	}
	return false
}

// bindsEnd says whether an expression ends with $, \b, \s or **.
func bindsEnd(expr string) bool {
	for _, end := range []string{"$", "$)", `\b`, `\s`} {
		if rest, ok := strings.CutSuffix(expr, end); ok && !strings.HasSuffix(rest, `\`) {
			return true
		}
	}
	rest, ok := strings.CutSuffix(strings.TrimRight(expr, ")"), "**")
	return ok && !strings.HasSuffix(rest, `\`)
}

// beginsLine says whether an expression is bound to the start of the line.
func beginsLine(expr string) bool {
	for _, s := range withoutFlags(expr) {
		if strings.HasPrefix(s, "^") {
			return true
		}
		for _, open := range []string{"(^", "(?:^"} {
			if rest, ok := strings.CutPrefix(s, open); ok && !strings.HasPrefix(rest, "|") {
				return true
			}
		}
	}
	return false
}

// endsLine says whether an expression is bound to the end of the line.
func endsLine(expr string) bool {
	rest, ok := strings.CutSuffix(strings.TrimSuffix(expr, ")"), "$")
	return ok && !strings.HasSuffix(rest, `\`) && !strings.HasSuffix(rest, "|")
}

// hasPlainGroup says whether an expression has a group without a question mark.
func hasPlainGroup(expr string) bool {
	for i := range len(expr) {
		if expr[i] != '(' || i+1 < len(expr) && expr[i+1] == '?' {
			continue
		}
		before := expr[:i]
		if !strings.HasSuffix(before, "(?") && !strings.HasSuffix(before, `\`) {
			return true
		}
	}
	return false
}

// wrapGroup puts an expression into a group, its ends left outside.
func wrapGroup(expr string) string {
	head := inlineFlags(expr, false)
	if strings.HasPrefix(expr[head:], "^") {
		head++
	}
	head += inlineFlags(expr[head:], false)
	body, end := expr[head:], ""
	if strings.HasSuffix(body, "$") {
		body, end = body[:len(body)-1], "$"
	}
	return expr[:head] + "(" + body + ")" + end
}

// cutStars takes the ** out that say that an end is not bound.
func cutStars(expr string) string {
	for _, start := range opened(expr) {
		at := len(expr) - len(start)
		for _, s := range withoutFlags(start) {
			at := at + len(start) - len(s)
			inner := len(s) - len(strings.TrimLeft(s, "("))
			if strings.HasPrefix(s[inner:], "**") {
				expr = expr[:at+inner] + expr[at+inner+2:]
				return cutEndStars(expr)
			}
		}
	}
	return cutEndStars(expr)
}

func cutEndStars(expr string) string {
	body := strings.TrimRight(expr, ")")
	rest, ok := strings.CutSuffix(body, "**")
	if !ok || strings.HasSuffix(rest, `\`) {
		return expr
	}
	return rest + expr[len(body):]
}

// replaceEpoch puts an expression in the place of {EPOCH} and {LEPOCH}.
func replaceEpoch(pattern, expr string) string {
	return replaceTag(replaceTag(pattern, "{LEPOCH}", expr), "{EPOCH}", expr)
}

func hasEpoch(pattern string) bool { return replaceEpoch(pattern, "") != pattern }

// replaceTag puts text in the place of a tag, whatever its case, unless a backslash stands before it.
func replaceTag(pattern, tag, text string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); {
		if len(pattern)-i >= len(tag) && strings.EqualFold(pattern[i:i+len(tag)], tag) && (i == 0 || pattern[i-1] != '\\') {
			b.WriteString(text)
			i += len(tag)
			continue
		}
		b.WriteByte(pattern[i])
		i++
	}
	return b.String()
}

// unboundPattern takes away how a pattern is bound to the start, before it becomes part of another one.
func unboundPattern(pattern string) string {
	pattern = strings.TrimPrefix(pattern, unbound)
	pattern = strings.TrimPrefix(pattern, anchorBegin)
	for _, open := range []string{`(^|\b|\W)`, `(?:^|\b|\W)`} {
		if rest, ok := strings.CutPrefix(pattern, open); ok {
			pattern = rest
			break
		}
	}
	return strings.TrimSuffix(pattern, `(?=\b|\W|$)`)
}
