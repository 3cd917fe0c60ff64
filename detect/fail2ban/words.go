package fail2ban

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// splitNamed cuts a list such as `iptables[port="ssh,22"] mail[dest=root]` at spaces and line ends that stand in no option.
func splitNamed(text string) []string {
	var all []string
	for {
		text = strings.TrimLeftFunc(text, isSpace)
		if text == "" {
			return all
		}
		end := strings.IndexFunc(text, func(r rune) bool { return r == '[' || isSpace(r) })
		if end > 0 && text[end] == '[' {
			if n := optionGroup(text[end:]); n > 0 && endsWord(text[end+n:]) {
				all = append(all, text[:end+n])
				text = text[end+n:]
				continue
			}
		}
		if end = strings.IndexFunc(text, isSpace); end < 0 {
			end = len(text)
		}
		all = append(all, text[:end])
		text = text[end:]
	}
}

func endsWord(rest string) bool {
	r, _ := utf8.DecodeRuneInString(rest)
	return rest == "" || isSpace(r)
}

// optionGroup is how long the [name=value, ...] is that text starts with; 0 when it is none.
func optionGroup(text string) int {
	at := 1 + spaces(text[1:])
	for {
		if strings.HasPrefix(text[at:], "]") {
			// A second group may follow at once: [a=1][b=2].
			after := at + 1 + spaces(text[at+1:])
			if !strings.HasPrefix(text[after:], "[") {
				return at + 1
			}
			at = after + 1 + spaces(text[after+1:])
			continue
		}
		n := optionName(text[at:])
		if n == 0 || !strings.HasPrefix(text[at+n:], "=") {
			return 0
		}
		at += n + 1
		if n = quoted(text[at:]); n == 0 {
			if n = strings.IndexAny(text[at:], ",]"); n < 0 {
				return 0
			}
		}
		at += n
		at += spaces(text[at:])
		if strings.HasPrefix(text[at:], ",") {
			at++
			at += spaces(text[at:])
		}
	}
}

func spaces(s string) int { return len(s) - len(strings.TrimLeftFunc(s, isSpace)) }

// optionName is how long the name of an option is that s starts with.
func optionName(s string) int {
	for i, r := range s {
		if !wordRune(r) && r != '-' && r != '.' {
			return i
		}
	}
	return len(s)
}

func wordRune(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) }

// quoted is how long the "text" or 'text' is that s starts with, with its quotes; 0 when it starts with none that ends.
func quoted(s string) int {
	if s == "" || s[0] != '"' && s[0] != '\'' {
		return 0
	}
	end := strings.IndexByte(s[1:], s[0])
	if end < 0 {
		return 0
	}
	return end + 2
}

// namedOptions reads name[option=value, ...]: the name and its options in their order.
func namedOptions(text string) (string, *dict, error) {
	options := newDict()
	at := strings.IndexByte(text, '[')
	if at < 0 {
		if text == "" {
			return "", nil, fmt.Errorf("an empty name")
		}
		return text, options, nil
	}
	name, inside := text[:at], strings.TrimRightFunc(text[at+1:], isSpace)
	if name == "" || !strings.HasSuffix(inside, "]") {
		return "", nil, fmt.Errorf("neither a name nor name[option=value, ...]: %.60q", text)
	}
	rest := inside[:len(inside)-1]
	for {
		rest = strings.TrimLeftFunc(rest, isSpace)
		if rest == "" || strings.HasPrefix(rest, ",") && trim(rest[1:]) == "" {
			return name, options, nil
		}
		n := optionName(rest)
		if n == 0 || !strings.HasPrefix(rest[n:], "=") {
			return "", nil, fmt.Errorf("no option=value: %.40q", rest)
		}
		option := rest[:n]
		rest = rest[n+1:]
		var value string
		if n = quoted(rest); n > 0 {
			value, rest = rest[1:n-1], rest[n:]
		} else {
			if n = strings.IndexAny(rest, ",]"); n < 0 {
				n = len(rest)
			}
			value, rest = rest[:n], rest[n:]
		}
		options.set(option, trim(value))
		var ok bool
		if rest, ok = nextOption(rest); !ok {
			return "", nil, fmt.Errorf("after option %s: %.40q", option, rest)
		}
	}
}

// nextOption passes what may stand between two options: a comma, or the end of a group and the start of another.
func nextOption(rest string) (string, bool) {
	if rest == "" || rest == "\n" {
		return "", true
	}
	if after, ok := strings.CutPrefix(rest, ","); ok {
		return after, true
	}
	if after, ok := strings.CutPrefix(rest, "]"); ok {
		if next, ok := strings.CutPrefix(strings.TrimLeftFunc(after, isSpace), "["); ok {
			return next, true
		}
	}
	return rest, false
}

// words cuts a list at commas, spaces and line ends.
func words(s string) []string {
	all := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' })
	kept := all[:0]
	for _, w := range all {
		if w = trim(w); w != "" {
			kept = append(kept, w)
		}
	}
	return kept
}

// shellWords cuts a line as a POSIX shell cuts words, with quotes and backslashes and nothing else of a shell.
func shellWords(line string) ([]string, error) {
	var all []string
	var word strings.Builder
	started := false
	for i := 0; i < len(line); i++ {
		switch ch := line[i]; ch {
		case ' ', '\t', '\r', '\n':
			if started {
				all = append(all, word.String())
				word.Reset()
				started = false
			}
		case '\\':
			if i++; i == len(line) {
				return nil, fmt.Errorf("nothing after the last backslash: %.60q", line)
			}
			started = true
			word.WriteByte(line[i])
		case '\'', '"':
			started = true
			end := i + 1
			for ; end < len(line) && line[end] != ch; end++ {
				if ch == '"' && line[end] == '\\' && end+1 < len(line) && (line[end+1] == '"' || line[end+1] == '\\') {
					end++
				}
				word.WriteByte(line[end])
			}
			if end == len(line) {
				return nil, fmt.Errorf("a quote that does not end: %.60q", line)
			}
			i = end
		default:
			started = true
			word.WriteByte(ch)
		}
	}
	if started {
		all = append(all, word.String())
	}
	return all, nil
}
