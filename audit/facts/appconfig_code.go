package facts

import (
	"strings"
)

// codeToken is one word of PHP or Perl.
type codeToken struct {
	kind byte // 's' a string, 'w' a word, 'v' a variable, 'n' a number, else the sign itself
	text string
	line int
}

// tokenize splits code into words. Here documents and regular expressions are not understood; in a configuration file they
// only lose the values in them.
func tokenize(text string, perl bool) []codeToken {
	var tokens []codeToken
	line := 1
	word := func(c byte) bool {
		return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
	}
	for i := 0; i < len(text); {
		c, start := text[i], line
		switch {
		case c == '\n':
			line++
			i++
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case c == '#', !perl && strings.HasPrefix(text[i:], "//"):
			i = upTo(text, i, "\n")
		case !perl && strings.HasPrefix(text[i:], "/*"):
			end := upTo(text, i+2, "*/")
			line += strings.Count(text[i:end], "\n")
			i = min(end+2, len(text))
		case perl && c == '=' && (i == 0 || text[i-1] == '\n') && i+1 < len(text) && word(text[i+1]): // documentation
			end := min(upTo(text, i, "\n=cut")+5, len(text))
			line += strings.Count(text[i:end], "\n")
			i = end
		case c == '\'' || c == '"':
			value, end := quoted(text, i)
			line += strings.Count(text[i:end], "\n")
			tokens = append(tokens, codeToken{'s', value, start})
			i = end
		case (c == '$' || perl && (c == '%' || c == '@')) && i+1 < len(text) && word(text[i+1]):
			end := i + 1
			for end < len(text) && word(text[end]) {
				end++
			}
			tokens = append(tokens, codeToken{'v', text[i:end], start})
			i = end
		case word(c):
			end := i
			for end < len(text) && (word(text[end]) || text[end] == '.' && c >= '0' && c <= '9') {
				end++
			}
			kind := byte('w')
			if c >= '0' && c <= '9' {
				kind = 'n'
			}
			tokens = append(tokens, codeToken{kind, text[i:end], start})
			i = end
		case strings.HasPrefix(text[i:], "=>"):
			tokens = append(tokens, codeToken{',', "=>", start})
			i += 2
		case strings.HasPrefix(text[i:], "==") || strings.HasPrefix(text[i:], "||"):
			tokens = append(tokens, codeToken{text[i] + 0x80, text[i : i+2], start}) // no sign of its own
			i += 2
		default:
			tokens = append(tokens, codeToken{c, text[i : i+1], start})
			i++
		}
	}
	return tokens
}

func upTo(text string, from int, end string) int {
	if from > len(text) {
		return len(text)
	}
	if at := strings.Index(text[from:], end); at >= 0 {
		return from + at
	}
	return len(text)
}

// quoted reads the string that begins at i, and returns where it ends.
func quoted(text string, i int) (string, int) {
	var value strings.Builder
	quote := text[i]
	for i++; i < len(text) && text[i] != quote; i++ {
		if text[i] == '\\' && i+1 < len(text) && (quote == '"' || text[i+1] == quote || text[i+1] == '\\') {
			i++
		}
		value.WriteByte(text[i])
	}
	return value.String(), min(i+1, len(text))
}

// codeReader takes the values that a configuration written in PHP or Perl states: assignments, define(), return of an
// array, and RT's Set(). It knows no control flow but a comparison of two strings.
type codeReader struct {
	tokens []codeToken
	at     int
	perl   bool
	set    func(key, value string, line int) error
	known  map[string]string // variables that hold a string
	blocks []bool            // the blocks around the place: whether they run
	idle   int               // how many of them do not
	last   bool              // the condition before an else was true
}

func (c *codeReader) peek(n int) codeToken {
	if c.at+n < len(c.tokens) {
		return c.tokens[c.at+n]
	}
	return codeToken{}
}

// is says whether the next words are these: signs by themselves, "w" for a word and so on.
func (c *codeReader) is(kinds string) bool {
	for i := range len(kinds) {
		if c.peek(i).kind != kinds[i] {
			return false
		}
	}
	return true
}

func (c *codeReader) read() error {
	for c.at < len(c.tokens) {
		if err := c.statement(); err != nil {
			return err
		}
	}
	return nil
}

func (c *codeReader) statement() error {
	t := c.peek(0)
	switch {
	case t.kind == '{':
		c.open(true)
	case t.kind == '}':
		c.close()
	case t.kind == 'w' && (t.text == "if" || t.text == "elsif"):
		c.condition(t.text == "elsif" && c.last)
	case t.kind == 'w' && t.text == "else" && c.peek(1).kind == '{':
		c.at++
		c.open(!c.last)
	case t.kind == 'w' && (t.text == "define" && !c.perl || t.text == "Set" && c.perl) && c.peek(1).kind == '(':
		c.at += 2
		return c.call(t)
	case t.kind == 'w' && t.text == "return" && (c.peek(1).kind == '[' || c.peek(1).text == "array"):
		c.at++
		return c.assign("return", t.line, 0)
	case t.kind == 'v':
		return c.variable(t)
	default:
		c.at++
	}
	return nil
}

// condition decides if ('a' eq 'b') {, and takes the block of any other condition as one that runs.
func (c *codeReader) condition(never bool) {
	c.at++
	runs := !never
	if a, op, b := c.peek(1), c.peek(2), c.peek(3); a.kind == 's' && b.kind == 's' && c.peek(4).kind == ')' {
		equal := a.text == b.text
		switch op.text {
		case "eq", "==":
			runs = runs && equal
		case "ne":
			runs = runs && !equal
		}
	}
	for c.at < len(c.tokens) && !strings.ContainsRune("{;}", rune(c.peek(0).kind)) {
		c.at++
	}
	if c.peek(0).kind == '{' {
		c.open(runs)
	}
}

// open goes into a block.
func (c *codeReader) open(runs bool) {
	c.blocks = append(c.blocks, runs)
	if !runs {
		c.idle++
	}
	c.at++
}

// close leaves a block.
func (c *codeReader) close() {
	if n := len(c.blocks); n > 0 {
		if c.last = c.blocks[n-1]; !c.last {
			c.idle--
		}
		c.blocks = c.blocks[:n-1]
	}
	c.at++
}

// put stores a value, unless it stands in a block that does not run.
func (c *codeReader) put(key, value string, line int) error {
	if c.idle > 0 || len(key) > maxConfigName {
		return nil
	}
	c.known[key] = value
	return c.set(key, value, line)
}

// call reads define('KEY', value) and Set($KEY, value).
func (c *codeReader) call(name codeToken) error {
	key := strings.TrimLeft(c.peek(0).text, "$@%")
	if k := c.peek(0).kind; k != 's' && k != 'v' || c.peek(1).kind != ',' {
		return nil
	}
	c.at += 2
	return c.assign(key, name.line, 0)
}

// variable reads $a = …, $a['b']['c'] = … and, for later use, my $a = ….
func (c *codeReader) variable(t codeToken) error {
	key := strings.TrimLeft(t.text, "$@%")
	c.at++
	for range maxNesting {
		if !c.is("[s]") && !c.is("[n]") {
			break
		}
		key += "." + c.peek(1).text
		c.at += 3
	}
	if c.peek(0).kind != '=' {
		return nil
	}
	c.at++
	return c.assign(key, t.line, 0)
}

// assign reads what stands after the sign: an array, entry by entry, or one value.
func (c *codeReader) assign(key string, line, depth int) error {
	end := byte(']')
	switch {
	case c.peek(0).kind == 'w' && c.peek(0).text == "array" && c.peek(1).kind == '(':
		c.at, end = c.at+2, ')'
	case c.peek(0).kind == '[':
		c.at++
	case c.perl && c.peek(0).kind == '(':
		c.at, end = c.at+1, ')'
	case c.perl && c.peek(0).kind == '{':
		c.at, end = c.at+1, '}'
	default:
		return c.put(key, c.value(), line)
	}
	for c.at < len(c.tokens) && c.peek(0).kind != end {
		t := c.peek(0)
		if strings.IndexByte("swn", t.kind) >= 0 && c.peek(1).text == "=>" && depth < maxNesting && len(key) <= maxConfigName {
			c.at += 2
			if err := c.assign(key+"."+t.text, t.line, depth+1); err != nil {
				return err
			}
			continue
		}
		c.at++
	}
	c.at++
	return nil
}

// constant is the value of a word: of the language, or a constant of PHP.
func (c *codeReader) constant(word string) (value string, known bool) {
	switch lower := strings.ToLower(word); lower {
	case "true", "false":
		return lower, true
	case "null", "undef":
		return "", true
	}
	value, known = c.known[word]
	return value, known && !c.perl
}

// value reads strings, numbers and known variables, joined by dots; all else is unreadable.
func (c *codeReader) value() string {
	var value strings.Builder
	ok, depth := true, 0
	add := func(part string, known bool) {
		if ok = ok && known && part != unreadable && value.Len()+len(part) <= maxConfigValue; ok {
			value.WriteString(part)
		}
	}
	for ; c.at < len(c.tokens); c.at++ {
		t := c.peek(0)
		switch t.kind {
		case 's', 'n':
			add(t.text, true)
			continue
		case '.':
			continue
		case 'v':
			name := strings.TrimLeft(t.text, "$")
			if c.is("v{w}") || c.is("v{s}") { // an entry of a Perl hash
				name += "." + c.peek(2).text
				c.at += 3
			}
			known, found := c.known[name]
			add(known, found)
			continue
		case '|' + 0x80: // what comes after it is for when there is nothing before it
			for c.at+1 < len(c.tokens) && !strings.ContainsRune(",;)]}", rune(c.peek(1).kind)) {
				c.at++
			}
			continue
		case 'w':
			add(c.constant(t.text))
			continue
		case '(', '[', '{':
			depth++
			ok = false
			continue
		case ')', ']', '}':
			if depth > 0 {
				depth--
				continue
			}
		case ',', ';':
			if depth > 0 {
				continue
			}
		default:
			ok = false
			continue
		}
		break
	}
	if !ok {
		return unreadable
	}
	return value.String()
}
